//! One exchange with the outside, as every room that speaks HTTP shares it.
//!
//! Owns how a request is sent and its answer read ([`Exchange`]), the right to send it ([`Leave`]), when to come
//! again ([`headers`]) and which names lead outside ([`is_public_name`]). Holds: no request of an account leaves without a
//! proof that this process leads ([`Led`]), taken after all waiting; one deadline covers the whole exchange; an answer is read
//! up to a limit, whatever is sent; each request is counted. Deliberately absent: repeating; what a provider calls its
//! things; what its refusals mean.

mod credential;
mod exchange;
pub mod headers;
mod leave;
mod lock;
mod names;

pub use credential::trimmed;
pub use exchange::{
    Clock, Connection, Effect, Exchange, Meter, NoReply, Reply, USER_AGENT, Unread, body, read,
    reply,
};
pub use headers::later;
pub use leave::{Leave, Led};
pub use lock::held;
pub use names::is_public_name;
