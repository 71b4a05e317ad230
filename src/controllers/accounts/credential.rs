//! Whether an account's credential is good: the same for every kind of account.
//!
//! What holds: a credential that was found good stays so until it is refused, goes unchecked for long, or changes; an
//! outage takes nothing away; one that is not known to be of the account's organisation is not good (`engine::identity`), and
//! what the account is held to is on record before a credential is used. Deliberately absent: the credential itself.

use crate::api::account::AccountIdentity;
use crate::cluster::call::Written;
use crate::controllers::held;
use crate::engine::account::{Credential, told};
use crate::engine::identity::Hold;
use crate::model::identity::Whose;
use crate::model::{Done, Fault};
use jiff::Timestamp;
use std::sync::Mutex;
use tokio::sync::Notify;

/// A credential that was found good is good for so long, as far as we ask.
const CHECKED_FOR: jiff::SignedDuration = jiff::SignedDuration::from_mins(30);

/// What is known of an account's credential.
#[derive(Default)]
pub struct Checked {
    known: Mutex<CheckState>,
    usable: Notify,
}

#[derive(Default)]
struct CheckState {
    check: Option<(Option<i64>, Timestamp)>,
    identity: Option<AccountIdentity>,
    refused: Option<String>,
}

/// What a check came to.
#[derive(Debug)]
pub enum Judged {
    /// It may be used.
    Good(Whose),
    /// It may not.
    Held(Hold),
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

    /// Whether nobody could be asked yet.
    pub fn unasked(&self) -> bool {
        let known = held(&self.known);
        known.identity.is_none() && known.refused.is_none()
    }

    /// Comes back when the account has become usable, for the one who reads it.
    pub async fn became_usable(&self) {
        self.usable.notified().await;
    }

    /// Asks that the credential be checked again: it has changed.
    pub fn check_again(&self) {
        held(&self.known).check = None;
    }

    /// What the credential is worth. Who we are is asked (`who`) only where that is due: never asked for this generation
    /// of the account, not good, not told by the provider, or long ago. `missing`: why nobody can be asked, where there is
    /// no credential at all. Answers also whether it is news.
    pub async fn ask<F>(
        &self,
        generation: Option<i64>,
        missing: Option<String>,
        now: Timestamp,
        who: F,
    ) -> Written<(Credential, bool)>
    where
        F: Future<Output = Written<Done<Judged>>>,
    {
        let (identity, due) = {
            let known = held(&self.known);
            let recent = known.check.is_some_and(|(checked, at)| {
                checked == generation && now.duration_since(at) < CHECKED_FOR
            });
            let told = known.identity.as_ref().is_some_and(|one| one.id.is_some());
            (
                known.identity.clone(),
                !recent || !told || known.refused.is_some(),
            )
        };
        let credential = match (identity, missing) {
            (None, Some(missing)) => Credential::Missing(missing),
            (Some(identity), _) if !due => Credential::Good(identity),
            _ => match who.await? {
                Ok(Judged::Good(whose)) => Credential::Good(told(&whose)),
                Ok(Judged::Held(hold)) => Credential::Held(hold),
                Err(
                    fault @ (Fault::Denied { .. } | Fault::Missing { .. } | Fault::Rejected { .. }),
                ) => Credential::Refused(fault),
                Err(_) => Credential::NotAsked,
            },
        };
        let news = self.learn(generation, now, &credential);
        Ok((credential, news))
    }

    fn learn(&self, generation: Option<i64>, now: Timestamp, credential: &Credential) -> bool {
        let (identity, refused) = match credential {
            Credential::Good(identity) => (Some(identity.clone()), None),
            Credential::Missing(message) => (None, Some(message.clone())),
            // Told to the account's users, who cannot mend it; its own condition says how.
            Credential::Refused(fault) => (
                None,
                Some(format!(
                    "its provider refuses its credential ({}); ask whoever runs Yardmaster here",
                    fault.message()
                )),
            ),
            Credential::Held(hold) => (None, Some(hold.told_to_users())),
            Credential::NotAsked => return false,
        };
        let mut known = held(&self.known);
        known.check = Some((generation, now));
        let news = (identity.is_some() && known.identity != identity) || known.refused != refused;
        if identity.is_some() {
            known.identity = identity;
        }
        known.refused = refused;
        if news && known.refused.is_none() {
            self.usable.notify_one();
        }
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
        asked(checked, now, answer, Some("o")).await
    }

    async fn asked(
        checked: &Checked,
        now: Timestamp,
        answer: Option<Done<&str>>,
        id: Option<&str>,
    ) -> (String, bool) {
        let who = async {
            // A check that is not due asks nobody.
            let judged = answer.unwrap().map(|name| {
                Judged::Good(Whose {
                    id: id.map(str::to_owned),
                    name: name.to_owned(),
                    plan: String::new(),
                })
            });
            Ok(judged)
        };
        let (credential, news) = checked.ask(Some(1), None, now, who).await.unwrap();
        let word = match credential {
            Credential::Good(identity) => identity.name,
            Credential::Missing(_) => "missing".into(),
            Credential::Refused(_) => "refused".into(),
            Credential::Held(_) => "held".into(),
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
        assert!(checked.usable().is_err() && checked.unasked());
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
        let why = checked.usable().unwrap_err();
        assert!(why.contains("refuses its credential (no)"), "{why}");
        assert_eq!(
            ask(&checked, at(42), refused()).await,
            told("refused", false)
        );
        assert_eq!(
            ask(&checked, at(43), Some(Ok("acme"))).await,
            told("acme", true)
        );
    }

    #[tokio::test]
    async fn whose_it_is_is_asked_until_the_provider_tells() {
        let checked = Checked::default();
        for minute in [0, 1] {
            asked(&checked, at(minute), Some(Ok("acme")), None).await;
        }
        ask(&checked, at(2), Some(Ok("acme"))).await;
        ask(&checked, at(3), None).await;
    }
}
