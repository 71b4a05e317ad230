//! The providers of tools, behind one trait: a file each, and nothing outside these files knows what a provider calls
//! its things.
//!
//! What holds: each call is one change outside at most, and may be the last before a crash; an answer that got lost is
//! `Uncertain` and never repeated here; `find` and `list` are complete or a fault; nothing is concluded from a 404 that a
//! narrower credential could have caused; no secret, id that is a secret, or URL with one gets into a fault's message or a
//! log. Deliberately absent: retrying, memory of what was made, Kubernetes.

use crate::model::Done;
use crate::model::tool::{Made, Named, Order, Resource, Stock, Wish};
use futures::future::BoxFuture;

/// One account at one provider of tools.
pub trait Provider: Send + Sync {
    /// Who the credential says we are, in a few words for people. `Denied` where it is not good for what is needed.
    fn identity(&self) -> BoxFuture<'_, Done<String>>;

    /// Makes what is ordered. A provider that knows the key answers with what is there already.
    fn make<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Done<Made>>;

    /// Everything that bears this name, of this part.
    fn find<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Done<Vec<Resource>>>;

    /// The resource of that id as it is now. `None`: the provider says that it does not exist.
    fn look<'a>(&'a self, named: &'a Named) -> BoxFuture<'a, Done<Option<Resource>>>;

    /// Changes in place what can be changed.
    fn adjust<'a>(&'a self, named: &'a Named, wish: &'a Wish) -> BoxFuture<'a, Done<()>>;

    /// Takes it back. For what may hold money: puts it to rest; with `for_good`, closes it.
    fn delete<'a>(&'a self, named: &'a Named, for_good: bool) -> BoxFuture<'a, Done<()>>;

    /// Everything that lives in the account, ours or not. `None` where the provider has no listing.
    fn list(&self) -> BoxFuture<'_, Done<Option<Stock>>>;
}
