//! Credentials, as people put them into Secrets.

use secrecy::{ExposeSecret, SecretString};

/// A credential without what surrounds it: Secrets made from files end in a newline as a rule.
pub fn trimmed(credential: &SecretString) -> SecretString {
    SecretString::from(credential.expose_secret().trim())
}
