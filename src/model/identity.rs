//! Whose account a credential opens, as its provider tells it, and what was once proven of that.
//!
//! What holds: a pin holds nothing that opens anything: of the credential only a keyed hash. Deliberately absent: what is
//! concluded from it (`engine::identity`), and where pins are kept.

use super::values::Seal;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Longest id or name that is kept, in characters: providers choose both.
const LONGEST: usize = 200;

/// Who a provider says that a credential belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// The id of the organisation, team or workspace; `None` where the provider does not tell, or not now.
    pub id: Option<String>,
    /// In a few words for people.
    pub name: String,
    /// The plan; empty where the provider does not tell it.
    pub plan: String,
}

impl Whose {
    /// Within the bounds of a status.
    #[must_use]
    pub fn bounded(self) -> Whose {
        let cut = |text: String| text.chars().take(LONGEST).collect::<String>();
        Whose {
            id: self.id.map(cut).filter(|id| !id.is_empty()),
            name: cut(self.name),
            plan: cut(self.plan),
        }
    }
}

/// What an account was found to open, and is held to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The provider's id; `None` where it never told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Keyed hash of the credential that was proven last.
    #[serde(default)]
    pub credential: String,
    /// Of those that were proven before it, newest first. They stay proven: one that is put back when everything that it
    /// could show is just being deleted has nothing left to prove itself with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<String>,
}

/// So many earlier credentials are known again: whoever rotates goes back by one or two.
const EARLIER: usize = 3;

impl Pin {
    /// Whether a credential of this keyed hash was proven before the newest.
    pub fn knew(&self, credential: &str) -> bool {
        self.earlier.iter().any(|one| one == credential)
    }

    /// What is known as earlier once `next` is the newest.
    #[must_use]
    pub fn before(&self, next: &str) -> Vec<String> {
        let known = std::iter::once(&self.credential).chain(&self.earlier);
        known
            .filter(|one| !one.is_empty() && *one != next)
            .take(EARLIER)
            .cloned()
            .collect()
    }
}

/// The keyed hash by which a credential is known again. Secrets made from files end in a newline as a rule.
pub fn known_again(seal: &Seal, credential: &SecretString) -> String {
    let text = format!("credential {}", credential.expose_secret().trim());
    seal.hex(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_known_again_by_a_hash_that_only_we_can_make() {
        let (seal, other) = (Seal("one".into()), Seal("two".into()));
        let hash = known_again(&seal, &"sk-1".into());
        assert_eq!(hash, known_again(&seal, &"sk-1\n".into()));
        assert_ne!(hash, known_again(&seal, &"sk-2".into()));
        assert_ne!(hash, known_again(&other, &"sk-1".into()));
        assert!(!hash.contains("sk-1") && hash.len() == 32);
    }

    #[test]
    fn what_a_provider_calls_itself_is_bounded() {
        let whose = Whose {
            id: Some(String::new()),
            name: "n".repeat(5000),
            plan: "p".repeat(5000),
        };
        let bounded = whose.bounded();
        assert_eq!(
            (bounded.id, bounded.name.len(), bounded.plan.len()),
            (None, 200, 200)
        );
    }

    #[test]
    fn a_pin_of_another_version_can_be_read() {
        let pin: Pin = serde_json::from_str(r#"{"id":"o","since":"2027"}"#).unwrap();
        assert_eq!(pin.id.as_deref(), Some("o"));
    }
}
