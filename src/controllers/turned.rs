//! An object before and after it changed, and what names it.

use crate::api::Seen;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};

/// Names an object of a kind.
pub type Ref<K> = ObjectRef<Seen<K>>;

/// The reference to an object.
pub fn named<K>(object: &Seen<K>) -> Ref<K>
where
    K: Resource<DynamicType = ()> + Clone,
{
    let named = Ref::new(&object.name_any());
    match object.namespace() {
        Some(namespace) => named.within(&namespace),
        None => named,
    }
}

/// An object before and after it changed. Without a before it is new here, without an after it is gone.
#[derive(Clone, Debug)]
pub struct Turned<K> {
    /// As it was.
    pub before: Option<Seen<K>>,
    /// As it is.
    pub after: Option<Seen<K>>,
    /// Whether the watch told it as it happened; else it was found in a list.
    pub live: bool,
}
