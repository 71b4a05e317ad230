//! Of which unreadable objects the log was told.

use crate::api::Unreadable;
use crate::controllers::held;
use crate::controllers::uid::Uid;
use std::collections::HashMap;
use std::sync::Mutex;

/// Of which objects, as they were then, the log has been told. A restart tells again.
#[derive(Debug, Default)]
pub struct Warned(Mutex<HashMap<Uid, Option<String>>>);

impl Warned {
    /// Whether this is news.
    pub fn news(&self, uid: Uid, object: &Unreadable) -> bool {
        let version = object.metadata.resource_version.clone();
        held(&self.0).insert(uid, version.clone()) != Some(version)
    }

    /// The object was read, or is gone.
    pub fn forget(&self, uid: &Uid) {
        held(&self.0).remove(uid);
    }
}
