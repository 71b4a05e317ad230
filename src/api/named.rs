//! Which object of a namespace is meant.
//!
//! Holds: of one kind no two living objects share a [`NamespacedName`]. Deliberately absent: the kind, which whoever uses the
//! name knows, and the UID, which tells an object from the next one of its name.

use kube::ResourceExt;
use std::fmt;

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespacedName {
    /// Its namespace.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

impl NamespacedName {
    /// That of an object.
    pub fn of(object: &impl ResourceExt) -> NamespacedName {
        NamespacedName {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        }
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
