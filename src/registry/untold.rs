//! Why a registry has not told, and what people read of it.
//!
//! Holds: words of our own alone; whether something listens where a registry points to is told in one sentence, so that nobody
//! learns by it what is open inside.

use super::reference::Reference;
use crate::model::Fault;
use crate::model::words::cut;
use crate::wire::Unread;
use reqwest::StatusCode;

/// The longest name of an image that is repeated, in characters.
pub(super) const NAME: usize = 200;

/// Why a registry has not told.
pub(super) enum Untold {
    /// Refused for want of the right credentials.
    Denied,
    /// There is no such thing.
    Unknown,
    /// It says that it cannot now.
    Status(StatusCode),
    /// No connection, no answer, or none that can be used: told alike.
    Silent,
    /// It sends us to another domain.
    Elsewhere,
}

impl From<reqwest::Error> for Untold {
    fn from(_: reqwest::Error) -> Untold {
        Untold::Silent
    }
}

impl From<Unread> for Untold {
    fn from(_: Unread) -> Untold {
        Untold::Silent
    }
}

pub(super) fn refused(status: StatusCode) -> Untold {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Untold::Denied,
        StatusCode::NOT_FOUND => Untold::Unknown,
        status => Untold::Status(status),
    }
}

/// What a failure means, in words of our own.
pub(super) fn fault(
    untold: &Untold,
    reference: &Reference,
    image: &str,
    credentials: bool,
) -> Fault {
    let (registry, image) = (&reference.registry, cut(image, NAME));
    match untold {
        Untold::Denied if credentials => Fault::Denied {
            message: format!("{registry} refuses the credentials for {image}"),
        },
        Untold::Denied => Fault::Denied {
            message: format!("{registry} refuses {image} without credentials, or does not know it"),
        },
        Untold::Unknown => Fault::Rejected {
            message: format!("{registry} knows no {image}"),
        },
        Untold::Elsewhere => Fault::Rejected {
            message: format!(
                "{registry} sends those who ask for {image} to another domain, where nobody goes; name the registry that has it"
            ),
        },
        Untold::Status(StatusCode::TOO_MANY_REQUESTS) => Fault::Transient {
            message: format!("{registry} cannot say what {image} is: too many requests"),
        },
        Untold::Status(status) => Fault::Transient {
            message: format!(
                "{registry} cannot say what {image} is: HTTP {}",
                status.as_u16()
            ),
        },
        Untold::Silent => silent(reference, &image, ""),
    }
}

pub(super) fn silent(reference: &Reference, image: &str, besides: &str) -> Fault {
    let (registry, image) = (&reference.registry, cut(image, NAME));
    Fault::Transient {
        message: format!("{registry} gives no answer about {image} that can be used{besides}"),
    }
}
