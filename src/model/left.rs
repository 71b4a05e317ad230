//! What takes a place in an account, and what of it was left behind on purpose.

use crate::api::money::Money;
use crate::api::{Part, Slot};

/// A thing that was left behind, as its record has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeftThing {
    /// The account.
    pub account: String,
    /// Whose it was: the namespace.
    pub namespace: String,
    /// The provider's id, where it was known.
    pub id: Option<String>,
    /// The name that we gave it.
    pub key: String,
    /// What it may cost a month, where that was recorded.
    pub usd: Money,
}

/// Whether a thing takes a place: the others come and go with it.
pub fn counts(slot: Slot) -> bool {
    match slot {
        Slot::Project => true,
        Slot::Tool(tool) => tool.part == Part::Main,
        _ => false,
    }
}
