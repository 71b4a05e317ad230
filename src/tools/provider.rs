//! What every provider of tools can be asked for.
//!
//! Holds: a call may be the last before a crash, after any of its requests, and calling again is safe; an answer that got lost
//! is `Uncertain` and never repeated here; a listing is complete or a fault. Deliberately absent: retrying, Kubernetes.

use crate::model::identity::Whose;
use crate::model::tool::{Made, Named, Order, Resource, Sought, Stock, Wish};
use crate::model::{Done, Fault};
use futures::future::BoxFuture;

/// One account at one provider of tools.
pub trait Provider: Send + Sync {
    /// Whose the credential is, as far as the provider tells. `Denied` where it is not good for what is needed.
    fn identity(&self) -> BoxFuture<'_, Done<Whose>>;

    /// Makes what is ordered. A provider that knows the key answers with what is there already. May be two changes, of
    /// which the first takes away what nobody holds.
    fn make<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Done<Made>>;

    /// Everything that bears this name, of this part. What looking costs says the row ([`FoundBy`](crate::model::slot::FoundBy)): it may make the thing
    /// where there was none, or revoke all of its kind.
    fn find<'a>(&'a self, sought: &'a Sought) -> BoxFuture<'a, Done<Vec<Resource>>>;

    /// The resource of that id as it is now. `None`: the provider says that it does not exist. A phone number that has come
    /// to be is given its profile and our reference, which changes nothing when repeated.
    fn look<'a>(&'a self, named: &'a Named) -> BoxFuture<'a, Done<Option<Resource>>>;

    /// Changes in place what can be changed.
    fn adjust<'a>(&'a self, named: &'a Named, wish: &'a Wish) -> BoxFuture<'a, Done<()>>;

    /// Takes it back. For what may hold money: puts it to rest; with `for_good`, closes it.
    fn delete<'a>(&'a self, named: &'a Named, for_good: bool) -> BoxFuture<'a, Done<()>>;

    /// Everything that lives in the account, ours or not. `None` where the provider has no listing.
    fn list(&self) -> BoxFuture<'_, Done<Option<Stock>>>;
}

/// What the provider says does not exist is an answer, not a fault.
pub(super) fn unless_missing<T>(result: Done<T>) -> Done<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Fault::Missing { .. }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Whose a credential is, where the provider tells no plan.
pub(super) fn whose(id: Option<String>, name: impl Into<String>) -> Whose {
    Whose {
        id,
        name: name.into(),
        plan: String::new(),
    }
}

/// A wish or a part that is another provider's.
pub(super) fn not_ours(name: &str) -> Fault {
    Fault::Bug {
        message: format!("{name} was asked for something of another kind"),
    }
}
