//! The right to act outside: whether this process leads, and the proof of it that a request needs.
//!
//! Holds: a proof comes from [`Leave::take`] alone, cannot be copied, and is used up by one request. Deliberately absent: how
//! the lead is won (`process`), and a lead that is certain: another process may take over between the proof and the effect,
//! which is what the ledger's protocol is for.

use crate::model::{Done, Fault};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Says whether this process may act at this moment. Cheap to clone.
#[derive(Clone)]
pub struct Leave(Arc<dyn Fn() -> bool + Send + Sync>);

/// The proof that this process led when it was taken: for one effect, at once.
#[must_use]
pub struct Led<'a>(PhantomData<&'a Leave>);

impl Leave {
    /// Leave as long as this says so.
    pub fn only_while(leads: impl Fn() -> bool + Send + Sync + 'static) -> Leave {
        Leave(Arc::new(leads))
    }

    /// Leave for one who changes nothing, and so needs no lead.
    pub fn always() -> Leave {
        Leave::only_while(|| true)
    }

    /// A proof for one effect.
    ///
    /// # Errors
    /// `Transient` where this process does not lead.
    pub fn take(&self) -> Done<Led<'_>> {
        if (self.0)() {
            return Ok(Led(PhantomData));
        }
        Err(Fault::Transient {
            message: "this process does not lead".to_owned(),
        })
    }
}

impl fmt::Debug for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leave")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn leave_is_asked_for_each_time() {
        let leads = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&leads);
        let leave = Leave::only_while(move || asked.load(Ordering::SeqCst));
        assert!(leave.take().is_ok());
        leads.store(false, Ordering::SeqCst);
        let refused = leave.take().err().unwrap();
        assert_eq!(refused.class(), "Transient");
        assert_eq!(refused.message(), "this process does not lead");
    }
}
