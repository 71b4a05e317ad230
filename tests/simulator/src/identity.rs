//! Made-up identifiers: UUIDs as Railway uses them, short tokens, digests.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// A random UUID, version 4.
pub(crate) fn uuid() -> String {
    uuid_from(rand::random())
}

/// The UUID that always belongs to this text.
pub(crate) fn uuid_of(text: &str) -> String {
    let hex = sha256(text.as_bytes());
    uuid_from(u128::from_str_radix(&hex[..32], 16).unwrap_or_default())
}

fn uuid_from(bits: u128) -> String {
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

/// Some random hexadecimal digits.
pub(crate) fn short() -> String {
    format!("{:08x}", rand::random::<u32>())
}

/// 64 random hexadecimal digits.
pub(crate) fn long() -> String {
    format!(
        "{:032x}{:032x}",
        rand::random::<u128>(),
        rand::random::<u128>()
    )
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[cfg(test)]
mod tests {
    #[test]
    fn uuids_are_version_4() {
        let id = super::uuid();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]));
    }

    #[test]
    fn a_text_keeps_its_uuid() {
        assert_eq!(super::uuid_of("a"), super::uuid_of("a"));
        assert_ne!(super::uuid_of("a"), super::uuid_of("b"));
    }
}
