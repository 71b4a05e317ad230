//! Whether an account's credential is good: the same for every kind of account.
//!
//! What holds: a credential that was found good stays so until it is refused, goes unchecked for long, or changes; an
//! outage takes nothing away. Deliberately absent: the credential itself.

use super::held;
use crate::api::account::AccountIdentity;
use crate::engine::account::Credential;
use crate::model::{Done, Fault};
use jiff::Timestamp;
use std::sync::Mutex;

/// A credential that was found good is good for so long, as far as we ask.
const CHECKED_FOR: jiff::SignedDuration = jiff::SignedDuration::from_mins(30);

/// What is known of an account's credential.
#[derive(Default)]
pub struct Checked {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    check: Option<(Option<i64>, Timestamp)>,
    identity: Option<AccountIdentity>,
    refused: Option<String>,
}

impl Checked {
    /// Whether the account can be used, and if not, why.
    pub fn usable(&self) -> Result<(), String> {
        let known = held(&self.known);
        match (&known.refused, &known.identity) {
            (Some(why), _) => Err(why.clone()),
            (None, None) => Err("its credential has not been checked yet".to_owned()),
            (None, Some(_)) => Ok(()),
        }
    }

    /// Asks that the credential be checked again: it has changed.
    pub fn check_again(&self) {
        held(&self.known).check = None;
    }

    /// What the credential is worth. Who we are is asked (`who`) only where that is due: never asked for this generation
    /// of the account, not good, or long ago. `missing`: sentences about what is not there. Answers also whether it is
    /// news.
    pub async fn ask<F>(
        &self,
        generation: Option<i64>,
        missing: &[String],
        now: Timestamp,
        who: F,
    ) -> (Credential, bool)
    where
        F: Future<Output = Done<AccountIdentity>>,
    {
        let (identity, due) = {
            let known = held(&self.known);
            let recent = known.check.is_some_and(|(checked, at)| {
                checked == generation && now.duration_since(at) < CHECKED_FOR
            });
            (
                known.identity.clone(),
                !recent || known.identity.is_none() || known.refused.is_some(),
            )
        };
        let credential = match identity {
            None if !missing.is_empty() => Credential::Missing(missing.join("; ")),
            Some(identity) if !due => Credential::Good(identity),
            _ => match who.await {
                Ok(identity) => Credential::Good(AccountIdentity {
                    name: identity.name.chars().take(1024).collect(),
                    plan: identity.plan.chars().take(256).collect(),
                }),
                Err(
                    fault @ (Fault::Denied { .. } | Fault::Missing { .. } | Fault::Rejected { .. }),
                ) => Credential::Refused(fault),
                Err(_) => Credential::NotAsked,
            },
        };
        let news = self.learn(generation, now, &credential);
        (credential, news)
    }

    fn learn(&self, generation: Option<i64>, now: Timestamp, credential: &Credential) -> bool {
        let (identity, refused) = match credential {
            Credential::Good(identity) => (Some(identity.clone()), None),
            Credential::Missing(message) => (None, Some(message.clone())),
            Credential::Refused(fault) => (None, Some(fault.message().to_owned())),
            Credential::NotAsked => return false,
        };
        let mut known = held(&self.known);
        known.check = Some((generation, now));
        let news = (identity.is_some() && known.identity != identity) || known.refused != refused;
        if identity.is_some() {
            known.identity = identity;
        }
        known.refused = refused;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    async fn ask(checked: &Checked, now: Timestamp, answer: Option<Done<&str>>) -> (String, bool) {
        let who = async {
            // A check that is not due asks nobody.
            answer.unwrap().map(|name| AccountIdentity {
                name: name.to_owned(),
                plan: String::new(),
            })
        };
        let (credential, news) = checked.ask(Some(1), &[], now, who).await;
        let word = match credential {
            Credential::Good(identity) => identity.name,
            Credential::Missing(_) => "missing".into(),
            Credential::Refused(_) => "refused".into(),
            Credential::NotAsked => "not asked".into(),
        };
        (word, news)
    }

    #[tokio::test]
    async fn a_good_credential_is_asked_about_again_when_it_changed_was_refused_or_long_ago() {
        let down = || {
            Some(Err(Fault::Transient {
                message: "down".into(),
            }))
        };
        let refused = || {
            Some(Err(Fault::Denied {
                message: "no".into(),
            }))
        };
        let checked = Checked::default();
        let told = |word: &str, news| (word.to_owned(), news);
        assert_eq!(ask(&checked, at(0), down()).await, told("not asked", false));
        assert!(checked.usable().is_err());
        assert_eq!(
            ask(&checked, at(1), Some(Ok("acme"))).await,
            told("acme", true)
        );
        assert_eq!(ask(&checked, at(2), None).await, told("acme", false));
        // Long ago, and an outage: what is known stands.
        assert_eq!(
            ask(&checked, at(40), down()).await,
            told("not asked", false)
        );
        assert_eq!(checked.usable(), Ok(()));
        checked.check_again();
        assert_eq!(
            ask(&checked, at(41), refused()).await,
            told("refused", true)
        );
        assert_eq!(checked.usable(), Err("no".to_owned()));
        assert_eq!(
            ask(&checked, at(42), refused()).await,
            told("refused", false)
        );
        assert_eq!(
            ask(&checked, at(43), Some(Ok("acme"))).await,
            told("acme", true)
        );
    }
}
