//! Whose account a credential opens, and whether it may be used: an account is held to the organisation with which it was
//! first used, until a person says otherwise.
//!
//! What holds: a credential of another organisation is never used, and nothing is concluded through it, before that very
//! occurrence was acknowledged; one of which the provider does not tell whose it is counts as another's until it shows
//! something that a ledger knows; what ledgers know nothing of may be opened by any. A credential that was proven once stays
//! so. Deliberately absent: asking the provider, and where a pin is kept.

use crate::api::ProviderAccount;
use crate::api::acknowledge::{acknowledged, command};
use crate::api::condition::{self, kind, reason};
use crate::model::identity::{Pin, Whose};
use jiff::Timestamp;
use kube::ResourceExt;

/// What speaks for a credential, or against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It was proven before, or the provider tells the same organisation.
    Same,
    /// The provider tells another organisation.
    Other,
    /// The provider does not tell, and ledgers know nothing there that it could show.
    Nothing,
    /// The provider does not tell, and the credential shows something that a ledger knows.
    Shown,
    /// The provider does not tell, and the credential shows nothing that a ledger knows.
    Hidden,
}

/// A credential on trial.
#[derive(Clone, Copy, Debug)]
pub struct CredentialTrial<'a> {
    /// The account as it was read.
    pub account: &'a ProviderAccount,
    /// Where the credential is kept, for people.
    pub kept_in: &'a str,
    /// What the account is held to; `None` before its first good check.
    pub pin: Option<&'a Pin>,
    /// What the provider says.
    pub whose: &'a Whose,
    /// Keyed hash of the credential; empty where the provider always tells whose it is.
    pub credential: &'a str,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialVerdict {
    /// It may be used, and this is what the account is held to from now on.
    Good {
        /// To be kept before the credential is used.
        pin: Pin,
        /// Whether the account is another organisation's from now on: what was seen before says nothing.
        moved: bool,
    },
    /// It may not be used.
    Held(Hold),
}

/// Why a credential may not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The reason of the condition.
    pub reason: &'static str,
    /// What is so. The same words: the same occurrence.
    what: String,
    /// What mends it, beside an acknowledgement.
    remedy: String,
    /// Who the credential says that we are.
    pub whose: Whose,
}

/// So much of what is so fits beside its remedy into a condition's message.
const LONGEST_WHAT: usize = 640;
/// So much of an id or a name is shown.
const LONGEST_NAME: usize = 80;

impl CredentialTrial<'_> {
    /// What can be said without a proof; `None` where only that can tell.
    pub fn evidence(&self) -> Option<Evidence> {
        let pin = self.pin?;
        if !self.credential.is_empty() && pin.credential == self.credential {
            return Some(Evidence::Same);
        }
        match (&pin.id, &self.whose.id) {
            (Some(pinned), Some(told)) if pinned == told => Some(Evidence::Same),
            (Some(_), Some(_)) => Some(Evidence::Other),
            // What the provider tells now weighs more than what was proven of an earlier one.
            _ => pin.knew(self.credential).then_some(Evidence::Same),
        }
    }

    /// Whether the credential may be used.
    pub fn verdict(&self, evidence: Evidence) -> CredentialVerdict {
        let hold = match (self.mismatch(), evidence) {
            (Some(mismatch), _) => return CredentialVerdict::Held(mismatch),
            (None, Evidence::Same | Evidence::Nothing | Evidence::Shown) => None,
            (None, Evidence::Other) => Some(self.changed()),
            (None, Evidence::Hidden) => Some(self.unproven()),
        };
        let moved = hold.is_some() || (evidence == Evidence::Nothing && self.pin.is_some());
        match hold {
            Some(hold) if !hold.acknowledged(self.account) => CredentialVerdict::Held(hold),
            _ => CredentialVerdict::Good {
                pin: self.pinned(moved),
                moved,
            },
        }
    }

    fn pinned(&self, moved: bool) -> Pin {
        // A provider that does not tell now may have told before.
        let before = self.pin.filter(|_| !moved);
        let id = before.and_then(|pin| pin.id.clone());
        Pin {
            id: self.whose.id.clone().or(id),
            name: self.whose.name.clone(),
            credential: self.credential.to_owned(),
            earlier: before.map_or_else(Vec::new, |pin| pin.before(self.credential)),
        }
    }

    fn mismatch(&self) -> Option<Hold> {
        let expected = self.account.spec.expected_identity.as_ref()?;
        let told = self.whose.id.as_ref()?;
        (told != &expected.0).then(|| {
            let expected = short(&expected.0);
            self.hold(
                reason::IDENTITY_MISMATCH,
                format!(
                    "the credential in {} is of {}, and spec.expectedIdentity is {expected}",
                    self.kept_in,
                    name(self.whose.id.as_deref(), &self.whose.name)
                ),
                format!("put one of {expected} there, or correct spec.expectedIdentity"),
            )
        })
    }

    fn changed(&self) -> Hold {
        let pinned = self
            .pin
            .map_or_else(String::new, |pin| name(pin.id.as_deref(), &pin.name));
        self.hold(
            reason::IDENTITY_CHANGED,
            format!(
                "the credential in {} is of {}, and this account is {pinned}'s",
                self.kept_in,
                name(self.whose.id.as_deref(), &self.whose.name)
            ),
            format!("put one of {pinned} there"),
        )
    }

    fn unproven(&self) -> Hold {
        let mark: String = self.credential.chars().take(8).collect();
        let mark = match mark.is_empty() {
            true => mark,
            false => format!(", fingerprint {mark}"),
        };
        self.hold(
            reason::IDENTITY_UNPROVEN,
            format!(
                "the credential in {} ({}{mark}) shows nothing of what ledgers know in this account, so it may be another organisation's",
                self.kept_in,
                name(self.whose.id.as_deref(), &self.whose.name)
            ),
            "put one there that shows it".to_owned(),
        )
    }

    fn hold(&self, reason: &'static str, what: String, remedy: String) -> Hold {
        Hold {
            reason,
            what: what.chars().take(LONGEST_WHAT).collect(),
            remedy,
            whose: self.whose.clone(),
        }
    }
}

impl Hold {
    /// Since when this very occurrence has been told, where it has.
    pub fn since(&self, account: &ProviderAccount) -> Option<Timestamp> {
        let conditions = &account.status.as_ref()?.conditions;
        let ready = condition::find(conditions, kind::READY)?;
        let same = ready.status == "False"
            && ready.reason == self.reason
            && ready.message.starts_with(&self.what);
        same.then_some(ready.last_transition_time.0)
    }

    /// Whether a person has acknowledged it. What contradicts the spec is mended there.
    fn acknowledged(&self, account: &ProviderAccount) -> bool {
        self.reason != reason::IDENTITY_MISMATCH
            && self
                .since(account)
                .is_some_and(|since| acknowledged(account.annotations(), self.reason, since))
    }

    /// The sentence for those who run the account.
    pub fn told(&self, account: &str, since: Timestamp) -> String {
        let otherwise = match self.reason {
            reason::IDENTITY_MISMATCH => String::new(),
            reason => format!(
                ", or where this one is meant: {}",
                command("provideraccount", account, reason, since)
            ),
        };
        format!(
            "{}; nothing is concluded, made, changed or deleted through it: {}{otherwise}",
            self.what, self.remedy
        )
    }

    /// The sentence for those who use the account: it names nobody.
    pub fn told_to_users(&self) -> String {
        "its credential is not known to be of the organisation that the account belongs to; ask whoever runs Yardmaster here"
            .to_owned()
    }
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST_NAME).collect()
}

/// An organisation by name and id.
fn name(id: Option<&str>, name: &str) -> String {
    match id {
        Some(id) if !name.contains(id) => format!("{} ({})", short(name), short(id)),
        _ => short(name),
    }
}

#[cfg(test)]
mod tests;
