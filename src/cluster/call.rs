//! One call to the API server, with a deadline and an outcome that says what to do.

use crate::model::Fault;
use crate::model::words::sayable;
use kube::core::Status;
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// Longest that one call may take, its retries by the client included.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// Why a call did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Somebody else was faster: read again and decide anew.
    #[error("{what}: changed by somebody else meanwhile")]
    Stale {
        /// What was being done.
        what: &'static str,
    },
    /// The object is gone.
    #[error("{what}: the object is gone")]
    Gone {
        /// What was being done.
        what: &'static str,
    },
    /// Something that the operator cannot do without is not there.
    #[error("{what}: it is missing; restore it from a backup")]
    Absent {
        /// What was being done.
        what: &'static str,
    },
    /// No answer in time.
    #[error("{what}: the API server did not answer in time")]
    Slow {
        /// What was being done.
        what: &'static str,
    },
    /// Understood, and refused.
    #[error("{what}: the API server refuses it: {refusal}")]
    Refused {
        /// What was being done.
        what: &'static str,
        /// Why.
        refusal: Refusal,
    },
    /// Broken.
    #[error("{what}: {source}")]
    Failed {
        /// What was being done.
        what: &'static str,
        /// The client's error.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Why the API server refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Who can change that.
    pub class: RefusalClass,
    /// Its own sentence, without what could be a credential, cut short.
    pub answer: String,
}

/// Who can change that the API server refuses something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalClass {
    /// Whoever gives rights and writes policies.
    Forbidden,
    /// Whoever sets the quota, or uses it up.
    Quota,
    /// What was sent breaks a rule of the schema or of a policy.
    Invalid,
    /// What was sent is too large to be stored.
    TooLarge,
    /// Somebody else's object has the name.
    Taken,
    /// Nobody has to: a webhook that does not answer, a namespace that is going.
    Passing,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.answer)
    }
}

impl Refusal {
    /// What an answer refuses; `None` where the server is in trouble itself, or asks for patience.
    fn of(status: &Status) -> Option<Refusal> {
        let says = |words: &str| status.message.contains(words);
        let going = status
            .details
            .iter()
            .flat_map(|details| &details.causes)
            .any(|cause| cause.reason == "NamespaceTerminating");
        let class = match status.code {
            _ if going || says("failed calling webhook") => RefusalClass::Passing,
            403 if says("exceeded quota") => RefusalClass::Quota,
            401 | 403 => RefusalClass::Forbidden,
            413 => RefusalClass::TooLarge,
            _ if says("request is too large") => RefusalClass::TooLarge,
            400 | 405 | 415 | 422 => RefusalClass::Invalid,
            _ => return None,
        };
        Some(Refusal {
            class,
            answer: sayable(&status.message),
        })
    }

    /// The same as a fault of a pass. `asked` names verb, resource and object, such as `to create Secret ada-agent`.
    pub fn fault(&self, asked: &str) -> Fault {
        let remedy = match self.class {
            RefusalClass::Forbidden => {
                "let the operator's ServiceAccount do this here: ask whoever sets the policies and rights of this cluster"
            }
            RefusalClass::Quota => "raise the namespace's ResourceQuota, or delete what uses it up",
            RefusalClass::Invalid => {
                "ask whoever sets the policies of this cluster; where none is named, please report it"
            }
            RefusalClass::TooLarge => "make the object smaller: less in env, fewer tools",
            RefusalClass::Taken => "delete that object, or give what needs the name another one",
            RefusalClass::Passing => "it is tried again by itself",
        };
        Fault::Refused {
            passes: self.class == RefusalClass::Passing,
            message: format!("the API server refuses {asked}: {}; {remedy}", self.answer),
        }
    }
}

/// Result of a write.
pub type Written<T> = Result<T, ClusterError>;

/// Runs a call within the deadline.
pub async fn call<T>(
    what: &'static str,
    future: impl Future<Output = kube::Result<T>>,
) -> Written<T> {
    match tokio::time::timeout(DEADLINE, future).await {
        Err(_) => Err(ClusterError::Slow { what }),
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
            Err(ClusterError::Stale { what })
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(ClusterError::Gone { what }),
        Ok(Err(source)) => Err(refused(what, &source).unwrap_or(ClusterError::Failed {
            what,
            source: Box::new(source),
        })),
    }
}

fn refused(what: &'static str, error: &kube::Error) -> Option<ClusterError> {
    let kube::Error::Api(status) = error else {
        return None;
    };
    let refusal = Refusal::of(status)?;
    Some(ClusterError::Refused { what, refusal })
}

/// The same, where an object that is not there is an answer and not an error.
pub async fn find<T>(
    what: &'static str,
    future: impl Future<Output = kube::Result<Option<T>>>,
) -> Written<Option<T>> {
    match call(what, future).await {
        Err(ClusterError::Gone { .. }) => Ok(None),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::{StatusCause, StatusDetails};

    fn answer(code: u16, message: &str) -> Status {
        Status {
            code,
            message: message.to_owned(),
            ..Status::default()
        }
    }

    #[test]
    fn a_refusal_says_who_can_change_it() {
        let rows = [
            (
                403,
                "secrets \"a-agent\" is forbidden: ValidatingAdmissionPolicy 'none' denied request: no",
                Some(RefusalClass::Forbidden),
            ),
            (
                403,
                "secrets \"a-agent\" is forbidden: exceeded quota: none, requested: secrets=1, used: secrets=0, limited: secrets=0",
                Some(RefusalClass::Quota),
            ),
            (
                400,
                "admission webhook \"w\" denied the request: no",
                Some(RefusalClass::Invalid),
            ),
            (
                422,
                "AgentInstance is invalid: status.variables: Too many: 301",
                Some(RefusalClass::Invalid),
            ),
            (
                413,
                "Request entity too large: limit is 3145728",
                Some(RefusalClass::TooLarge),
            ),
            (
                500,
                "etcdserver: request is too large",
                Some(RefusalClass::TooLarge),
            ),
            (
                500,
                "Internal error occurred: failed calling webhook \"w\": no endpoints",
                Some(RefusalClass::Passing),
            ),
            (500, "etcdserver: leader changed", None),
            (429, "too many requests", None),
            (504, "timeout", None),
        ];
        for (code, message, class) in rows {
            let refusal = Refusal::of(&answer(code, message));
            assert_eq!(refusal.map(|found| found.class), class, "{code} {message}");
        }
        let mut going = answer(403, "unable to create new content in namespace a");
        going.details = Some(StatusDetails {
            causes: vec![StatusCause {
                reason: "NamespaceTerminating".to_owned(),
                message: String::new(),
                field: String::new(),
            }],
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            retry_after_seconds: 0,
        });
        let refusal = Refusal::of(&going).unwrap();
        assert_eq!(refusal.class, RefusalClass::Passing);
    }

    #[test]
    fn a_refusal_names_what_was_asked_and_repeats_no_credential() {
        let text = "secrets \"a-agent\" is forbidden: value sk-or-v1-0e6f44a47a05f1dad2ad7e88c4c1d6b7 is not wanted here";
        let refusal = Refusal::of(&answer(403, text)).unwrap();
        let fault = refusal.fault("to create Secret a-agent");
        assert_eq!(
            fault.message(),
            "the API server refuses to create Secret a-agent: secrets \"a-agent\" is forbidden: value (hidden) is not wanted here; \
             let the operator's ServiceAccount do this here: ask whoever sets the policies and rights of this cluster"
        );
        assert!(matches!(fault, Fault::Refused { passes: false, .. }));
    }
}
