//! What this process has taken back itself: the only memory of things that providers' files share.
//!
//! Holds: it is asked only where the provider itself cannot tell, and lost with the process, after which taking back again is
//! the way to know again. Deliberately absent: what exists; that is known from the ledger and the provider.

use crate::wire::held;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// For whom a thing is gone that is gone for everybody.
pub(super) const ALL: &str = "";

/// Ids of things that were taken back here, and for which name.
#[derive(Debug, Default)]
pub(super) struct TakenBack(Mutex<BTreeSet<(String, String)>>);

impl TakenBack {
    /// It is taken back.
    pub(super) fn note(&self, id: &str, name: &str) {
        held(&self.0).insert((id.to_owned(), name.to_owned()));
    }

    /// It may be there again.
    pub(super) fn forget(&self, id: &str, name: &str) {
        held(&self.0).remove(&(id.to_owned(), name.to_owned()));
    }

    /// Whether it was taken back here, and nothing has been made of that id since.
    pub(super) fn has(&self, id: &str, name: &str) -> bool {
        held(&self.0).contains(&(id.to_owned(), name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_has_let_go_is_there_for_another() {
        let gone = TakenBack::default();
        gone.note("profile", "ada");
        assert!(gone.has("profile", "ada") && !gone.has("profile", "bob"));
        gone.forget("profile", "ada");
        assert!(!gone.has("profile", "ada"));
    }
}
