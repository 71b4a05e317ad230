//! A value that must not be printed: it has neither `Debug` nor `Display`.

use serde::Deserialize;
use std::hint::black_box;

/// A credential.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A given one.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// A random one of 256 bits.
    pub fn random() -> std::io::Result<Secret> {
        Ok(Secret(random(32)?))
    }

    /// What it is.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is this, in a time that does not depend on where they differ.
    pub fn is(&self, other: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let mut differs = u8::from(own.len() != other.len());
        for (index, byte) in own.iter().enumerate() {
            // As many steps as our own has, whatever was sent.
            let theirs = other.get(index).copied().unwrap_or(!byte);
            differs = black_box(differs | (byte ^ theirs));
        }
        differs == 0
    }
}

/// So many random bytes, in hex.
pub fn random(bytes: usize) -> std::io::Result<String> {
    let mut buffer = vec![0_u8; bytes];
    let got = rustix::rand::getrandom(&mut buffer[..], rustix::rand::GetRandomFlags::empty())?;
    if got < bytes {
        return Err(std::io::Error::other(
            "the kernel gave too few random bytes",
        ));
    }
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = Secret::new("abc".to_owned());
        assert!(token.is(b"abc"));
        for other in [&b""[..], b"ab", b"abd", b"abcd", b"ABC"] {
            assert!(!token.is(other));
        }
        assert_ne!(random(8).expect("random"), random(8).expect("random"));
        assert_eq!(random(32).expect("random").len(), 64);
    }
}
