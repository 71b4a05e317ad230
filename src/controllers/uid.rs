//! What tells an object from every other one, in the memories of this process.

use kube::Resource;
use std::fmt;

/// What tells an object from every other one, also of its own name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(String);

impl Uid {
    /// Of an object.
    pub fn of<K: Resource>(object: &K) -> Uid {
        Uid(object.meta().uid.clone().unwrap_or_default())
    }
}

impl From<&str> for Uid {
    fn from(uid: &str) -> Uid {
        Uid(uid.to_owned())
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
