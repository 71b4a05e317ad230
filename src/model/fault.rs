//! How a request to the outside can end badly: the only input to retrying (design 4.3).
//!
//! Each provider room maps its own error shapes to these classes, once. What holds: no variant carries a secret, a
//! request body or a response body; `message` is the provider's own sentence, cut short, or ours.

use jiff::Timestamp;

/// What an unsuccessful request means for the one who sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Refused for now and certainly not applied; allowed again at `until`.
    #[error("{message} (allowed again at {until})")]
    Throttled {
        /// Earliest moment at which the request may be sent again.
        until: Timestamp,
        /// Who throttles and why.
        message: String,
    },
    /// Certainly not applied, and likely to succeed when repeated (connect refused, not ready yet).
    #[error("{message}")]
    Transient {
        /// What went wrong.
        message: String,
    },
    /// The credential is not good for this; wakes when the account or its Secret changes.
    #[error("{message}")]
    Denied {
        /// What was refused.
        message: String,
    },
    /// The object that the request names does not exist (or is no longer visible).
    #[error("{message}")]
    Missing {
        /// What was not found.
        message: String,
    },
    /// The request itself is wrong and stays wrong until the spec changes.
    #[error("{message}")]
    Rejected {
        /// What the provider objects to.
        message: String,
    },
    /// No more of this may be made under the account's plan or limits; a person must act.
    #[error("{message}")]
    Exhausted {
        /// Which limit.
        message: String,
    },
    /// The API server refuses a write or a read of ours.
    #[error("{message}")]
    Refused {
        /// Whether that passes by itself.
        passes: bool,
        /// What was asked for, what it answered, and who can change that.
        message: String,
    },
    /// Sent, and nobody knows whether it was applied: looked up, never blindly repeated.
    #[error("{message}")]
    Uncertain {
        /// How the answer got lost.
        message: String,
    },
    /// We do not understand our own request or the provider's answer to it.
    #[error("{message}")]
    Bug {
        /// What surprised us.
        message: String,
    },
}

/// Result of a request to the outside.
pub type Done<T> = Result<T, Fault>;

impl AsRef<Fault> for Fault {
    fn as_ref(&self) -> &Fault {
        self
    }
}

impl Fault {
    /// The class as a stable word for metrics, logs and condition reasons.
    pub fn class(&self) -> &'static str {
        match self {
            Fault::Throttled { .. } => "Throttled",
            Fault::Transient { .. } => "Transient",
            Fault::Denied { .. } => "Denied",
            Fault::Missing { .. } => "Missing",
            Fault::Rejected { .. } => "Rejected",
            Fault::Exhausted { .. } => "Exhausted",
            Fault::Refused { .. } => "Refused",
            Fault::Uncertain { .. } => "Uncertain",
            Fault::Bug { .. } => "Bug",
        }
    }

    /// What went wrong, without a time in it: the same fault reads the same each time.
    pub fn message(&self) -> &str {
        match self {
            Fault::Throttled { message, .. }
            | Fault::Transient { message }
            | Fault::Denied { message }
            | Fault::Missing { message }
            | Fault::Rejected { message }
            | Fault::Exhausted { message }
            | Fault::Refused { message, .. }
            | Fault::Uncertain { message }
            | Fault::Bug { message } => message,
        }
    }

    /// The same in other words.
    pub fn reworded(mut self, with: impl FnOnce(&str) -> String) -> Fault {
        let (Fault::Throttled { message, .. }
        | Fault::Transient { message }
        | Fault::Denied { message }
        | Fault::Missing { message }
        | Fault::Rejected { message }
        | Fault::Exhausted { message }
        | Fault::Refused { message, .. }
        | Fault::Uncertain { message }
        | Fault::Bug { message }) = &mut self;
        *message = with(message);
        self
    }

    /// Whether the request may have taken effect although it failed.
    ///
    /// A `Bug` counts: an answer that we cannot read may be the answer to a change that was made.
    pub fn may_have_landed(&self) -> bool {
        matches!(self, Fault::Uncertain { .. } | Fault::Bug { .. })
    }
}
