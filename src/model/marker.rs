//! Whose an outside resource is: names and the marker that its description carries (design 3.1).
//!
//! What holds: a name is derived from the installation, the object's UID and the slot alone, so that a repeat of the
//! same attempt meets the same name and an object made anew under an old name never meets its predecessor's. A marker
//! that is incomplete or of another installation is nobody's business of ours.

use super::slot::Slot;
use super::values::Seal;
use crate::api::NamespacedName;
use jiff::Timestamp;
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
    /// The object that it names.
    pub fn object(&self) -> NamespacedName {
        NamespacedName {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// The outside name: `ym-`, then 26 characters of a hash, lower case letters and digits only.
    pub fn outside_name(&self) -> String {
        let hash = hash(&[
            self.installation.0.as_str(),
            &self.uid,
            &self.slot.to_string(),
        ]);
        format!("ym-{}", letters(&hash, 26))
    }

    /// Whether a project of this name is the one that was made with this marker: the name is a hash of what the marker
    /// says, so a copy with another name, or a description in which one letter was changed, is nobody's.
    pub fn is_borne_by(&self, name: &str) -> bool {
        self.slot == Slot::Project && self.outside_name() == name
    }

    /// The name of a tool's resource, which is all that most providers have room for: `ym-`, the installation, eight
    /// characters that say whose slot it is, three that tell one life of it from another, and five that are a keyed hash of
    /// all the others. So the name itself proves whose it is, as the full marker does elsewhere: an edited one, or one that
    /// was made up, does not pass [`is_tool_name`], and a ledger that was lost finds its own again
    /// ([`Marker::named`]).
    ///
    /// `born` is when this life of the slot began. It makes the name of what is made again under an old slot a new one: some
    /// providers remember the names of what was deleted (`facts/tool-providers.md` 2).
    pub fn tool_name(&self, seal: &Seal, born: Timestamp) -> String {
        let life = hash(&[
            self.uid.as_str(),
            &self.slot.to_string(),
            &born.as_microsecond().to_string(),
        ]);
        let open = format!("{}{}", self.tool_stem(), letters(&life, LIFE));
        let proof = proof(seal, &open);
        format!("{open}{proof}")
    }

    /// Whether a name is one that was given to this slot's resource, in whichever of its lives.
    pub fn named(&self, seal: &Seal, name: &str) -> bool {
        name.starts_with(&self.tool_stem()) && is_tool_name(seal, &self.installation, name)
    }

    /// How the names of this slot's resource begin, in whichever of its lives.
    pub fn tool_stem(&self) -> String {
        let owner = hash(&[self.uid.as_str(), &self.slot.to_string()]);
        format!("{}{}", stem(&self.installation), letters(&owner, 8))
    }
}

fn hash(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

impl Marker {
    /// Whether a project of that name, described so, was made by this installation: the name is a hash of the installation
    /// and the UID, so a description in which a person changed one of them is no longer ours.
    pub fn is_genuine(&self, name: &str, installation: &InstallationId) -> bool {
        &self.installation == installation && self.is_borne_by(name)
    }
}

/// How records of what was left behind name an object: by the UID under which its things were made, and by its name.
pub fn named(uid: &str, namespace: &str, name: &str) -> String {
    format!("{uid} {namespace}/{name}")
}

/// Letters of a tool's name that tell its life, and those that prove that the name is ours.
const LIFE: usize = 3;
const PROOF: usize = 5;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

fn letters(bytes: &[u8], count: usize) -> String {
    bytes
        .iter()
        .take(count)
        .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
        .collect()
}

/// Letters that tell a namespace from every other where its name has no place.
pub fn told_apart(namespace: &str) -> String {
    letters(&Sha256::digest(namespace.as_bytes()), 10)
}

/// How the names of all outside resources of every Yardmaster begin.
pub const STEM: &str = "ym-";

fn stem(installation: &InstallationId) -> String {
    format!("{STEM}{installation}-")
}

fn proof(seal: &Seal, open: &str) -> String {
    letters(&seal.hash(open), PROOF)
}

/// Whether a name is one that this installation gave to a tool's resource, whole and unedited.
pub fn is_tool_name(seal: &Seal, installation: &InstallationId, name: &str) -> bool {
    let Some(own) = name.strip_prefix(&stem(installation)) else {
        return false;
    };
    if own.len() != 16 || !own.bytes().all(|byte| ALPHABET.contains(&byte)) {
        return false;
    }
    let (open, given) = name.split_at(name.len() - PROOF);
    proof(seal, open) == given
}

/// Of a name that this installation gave to a tool's resource, what all lives of its slot have in common.
pub fn stem_of(name: &str) -> Option<&str> {
    name.get(..name.len().checked_sub(LIFE + PROOF)?)
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
    fn a_tools_name_proves_whose_it_is_and_an_edited_one_does_not() {
        let seal = Seal("one".into());
        let marker = Marker {
            installation: InstallationId("4098d72c4a21".into()),
            slot: Slot::named("tool/llm").unwrap(),
            ..marker()
        };
        let born = Timestamp::from_second(5).unwrap();
        let name = marker.tool_name(&seal, born);
        assert_eq!(name.len(), NAME_LIMIT);
        assert!(is_tool_name(&seal, &marker.installation, &name));
        assert_ne!(
            name,
            marker.tool_name(&seal, Timestamp::from_second(6).unwrap())
        );
        // Each life has a name of its own, and all are known as this slot's.
        let lives = |second| marker.tool_name(&seal, Timestamp::from_second(second).unwrap());
        let other = Marker {
            uid: "5f2d".into(),
            ..marker.clone()
        };
        let beside = Marker {
            slot: Slot::named("tool/search").unwrap(),
            ..marker.clone()
        };
        for name in [lives(5), lives(6), lives(1_800_000_000)] {
            assert!(marker.named(&seal, &name), "{name}");
            assert!(!other.named(&seal, &name) && !beside.named(&seal, &name));
            assert!(!marker.named(&Seal("two".into()), &name));
        }
        let another = InstallationId("4098d72c4a22".into());
        assert!(!is_tool_name(&seal, &another, &name));
        assert!(!is_tool_name(
            &Seal("two".into()),
            &marker.installation,
            &name
        ));
        for at in 0..name.len() {
            let mut edited = name.clone().into_bytes();
            edited[at] = if edited[at] == b'a' { b'b' } else { b'a' };
            let edited = String::from_utf8(edited).unwrap();
            assert!(
                !is_tool_name(&seal, &marker.installation, &edited),
                "{edited}"
            );
        }
        for wrong in ["", "ym-", &name[..31], &format!("{name}a"), &name[1..]] {
            assert!(!is_tool_name(&seal, &marker.installation, wrong), "{wrong}");
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
