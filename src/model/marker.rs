//! Whose an outside resource is: names and the marker that its description carries (design 3.1).
//!
//! What holds: a name is derived from the installation, the object's UID and the slot alone, so that a repeat of the
//! same attempt meets the same name and an object made anew under an old name never meets its predecessor's. A marker
//! that is incomplete or of another installation is nobody's business of ours.

use super::slot::Slot;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// The random id of one Yardmaster in one cluster, made once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstallationId(pub String);

impl fmt::Display for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The full statement of ownership that an outside resource carries where there is room for text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Marker {
    /// The installation that made it.
    pub installation: InstallationId,
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The object's UID.
    pub uid: String,
    /// What it is to the object.
    pub slot: Slot,
}

/// Longest name that Railway accepts (`facts/predecessors.md` A16, `facts/railway.md` 4).
pub const NAME_LIMIT: usize = 32;

impl Marker {
    /// The outside name: `ym-`, then 26 characters of a hash, lower case letters and digits only.
    pub fn outside_name(&self) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut hash = Sha256::new();
        for part in [self.installation.0.as_str(), &self.uid, self.slot.name()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let digest = hash.finalize();
        let text: String = digest
            .iter()
            .take(26)
            .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
            .collect();
        format!("ym-{text}")
    }
}

/// The text for a description field. `parse` is its inverse.
impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "yardmaster installation={} namespace={} name={} uid={} slot={}",
            self.installation, self.namespace, self.name, self.uid, self.slot
        )
    }
}

impl Marker {
    /// Reads a description. `None` unless every part is there exactly once: a description that a person has edited
    /// no longer says whose it is.
    pub fn parse(description: &str) -> Option<Marker> {
        let mut words = description.split_ascii_whitespace();
        if words.next() != Some("yardmaster") {
            return None;
        }
        let mut part = |key: &str| -> Option<String> {
            let value = words.next()?.strip_prefix(key)?.strip_prefix('=')?;
            (!value.is_empty()).then(|| value.to_owned())
        };
        let marker = Marker {
            installation: InstallationId(part("installation")?),
            namespace: part("namespace")?,
            name: part("name")?,
            uid: part("uid")?,
            slot: Slot::named(&part("slot")?)?,
        };
        words.next().is_none().then_some(marker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker() -> Marker {
        Marker {
            installation: InstallationId("i-1".into()),
            namespace: "team-a".into(),
            name: "ada".into(),
            uid: "5f2c".into(),
            slot: Slot::Project,
        }
    }

    #[test]
    fn a_marker_survives_the_round_trip() {
        assert_eq!(Marker::parse(&marker().to_string()), Some(marker()));
    }

    #[test]
    fn an_edited_marker_is_no_marker() {
        let text = marker().to_string();
        for edited in [
            text.replace("uid=5f2c", "uid="),
            text.replace("uid=5f2c ", ""),
            format!("{text} hello"),
            text.replace("yardmaster", "Yardmaster"),
            text.replace("slot=project", "slot=projects"),
            String::new(),
        ] {
            assert_eq!(Marker::parse(&edited), None, "{edited}");
        }
    }

    #[test]
    fn names_are_legal_outside_and_differ_by_uid_and_installation() {
        let name = marker().outside_name();
        assert!(name.len() <= NAME_LIMIT);
        assert!(
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        );
        assert_eq!(name, marker().outside_name());
        assert_ne!(
            name,
            Marker {
                uid: "5f2d".into(),
                ..marker()
            }
            .outside_name()
        );
        let other = InstallationId("i-2".into());
        assert_ne!(
            name,
            Marker {
                installation: other,
                ..marker()
            }
            .outside_name()
        );
    }
}
