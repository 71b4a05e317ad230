//! Values that specs refer to, and the key under which they are hashed.
//!
//! What holds: every value is secret until something exposes it on purpose.

use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};

/// The installation's own hash key.
#[derive(Clone, Debug)]
pub struct Seal(pub SecretString);

/// Where a referenced value comes from, in the namespace of the one who refers to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A Secret.
    Secret(String),
    /// A ConfigMap.
    ConfigMap(String),
}

/// What is referred to: which keys of which objects.
pub type References = BTreeMap<Source, BTreeSet<String>>;

/// Most bytes that the values of one spec's variables may have together, wherever they come from: as many as the schema
/// allows those that stand in the spec.
pub const MOST: usize = 262_144;

/// The data of every referenced object that exists.
pub type Values = BTreeMap<Source, BTreeMap<String, SecretString>>;
