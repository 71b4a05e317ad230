//! Values that specs refer to, and the key under which they are hashed.
//!
//! What holds: every value is secret until something exposes it on purpose.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The installation's own hash key.
#[derive(Clone, Debug)]
pub struct Seal(pub SecretString);

impl Seal {
    /// The keyed hash of a text.
    pub fn hash(&self, text: &str) -> Vec<u8> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes()) else {
            // A key of any length is one.
            return Vec::new();
        };
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    }

    /// Its first 16 bytes in hexadecimal digits.
    pub fn hex(&self, text: &str) -> String {
        let hash = self.hash(text);
        hex(&hash[..hash.len().min(16)])
    }
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

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

/// Most bytes that the values of one spec's variables may have together, or its files, wherever they come from: as many as the schema
/// allows those that stand in the spec.
pub const MOST: usize = 262_144;

/// Most bytes that are read for one spec's variables, or for its files: more than all that they may have.
pub const HELD: usize = 2 * MOST;

/// The data of every referenced object that exists.
pub type Values = BTreeMap<Source, BTreeMap<String, SecretString>>;
