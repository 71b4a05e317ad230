//! A pass over one object as values: the loop that plans and enacts, how its end becomes the next visit, and the laws.
//!
//! [`pass`] runs one over an AgentInstance with whatever [`pass::Hands`] it is given; [`end`] says what its end means for the
//! workqueue and for what is remembered of faults. The laws run this very code over a simulated API server and outside.
//!
//! Holds: nothing here knows how a step is carried out, nor where the time comes from. Deliberately absent: reading what a pass
//! needs (`controllers::instance`).

pub mod end;
#[cfg(test)]
mod laws;
pub mod pass;
