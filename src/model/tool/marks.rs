//! What the settings of a resource say of whether it may be used: a mark at their end.
//!
//! Holds: the ledger has a mark before its provider is asked for what it says, so that it is known whose it is to put it back.

use super::{DISABLED, DISABLING, ENABLED, Wish};

impl Wish {
    /// Whether nobody may use it, or shall, by settings as [`Wish::settings`] has them.
    pub fn is_out_of_use(settings: &str) -> bool {
        settings.ends_with(DISABLED) || settings.ends_with(DISABLING)
    }

    /// These settings while they are being asked for: what comes of that is not known yet.
    pub fn going_out_of_use(&self) -> String {
        let settings = self.settings();
        format!("{}{DISABLING}", Wish::unmarked(&settings))
    }

    /// Whether it was put into use again, and what was asked before that may come later.
    pub fn comes_into_use(settings: &str) -> bool {
        settings.ends_with(ENABLED)
    }

    /// The settings without what they say of its use.
    pub fn unmarked(settings: &str) -> &str {
        let mut marks = [DISABLED, DISABLING, ENABLED].into_iter();
        let bare = marks.find_map(|mark| settings.strip_suffix(mark));
        bare.unwrap_or(settings)
    }
}
