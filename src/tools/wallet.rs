//! Key pairs for EVM chains, made here.
//!
//! What holds: nothing is sent anywhere; the address is what the chain derives from the key (Keccak-256 of the public
//! key, its last 20 bytes, letters as in EIP-55), so the address alone names the wallet. Randomness is passed in.
//! Deliberately absent: everything outside: whether there is money in a wallet, nobody here can know.

use super::provider::{Provider, whose};
use crate::model::identity::Whose;
use crate::model::slot::Part;
use crate::model::tool::{Made, Named, Order, Resource, Sought, Stage, Stock, Wish};
use crate::model::{Done, Fault, values};
use futures::future::BoxFuture;
use k256::SecretKey;
use k256::elliptic_curve::sec1::ToSec1Point;
use secrecy::SecretString;
use sha3::{Digest, Keccak256};
use std::sync::Arc;

/// Where the bytes of new keys come from.
pub type Randomness = Arc<dyn Fn() -> [u8; 32] + Send + Sync>;

/// The maker of wallets.
pub struct Wallet {
    randomness: Randomness,
}

impl Wallet {
    /// From this randomness.
    pub fn new(randomness: Randomness) -> Wallet {
        Wallet { randomness }
    }
}

/// `0x` and hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    format!("0x{}", values::hex(bytes))
}

/// The address that belongs to a key.
fn address(key: &SecretKey) -> String {
    let point = key.public_key().to_sec1_point(false);
    // Without the byte that says how the point is written.
    let hash = Keccak256::digest(&point.as_bytes()[1..]);
    checksummed(&hash[12..])
}

/// EIP-55: a letter is large where the same digit of the hash of the small address is 8 or more.
fn checksummed(address: &[u8]) -> String {
    let small = hex(address);
    let hash = hex(&Keccak256::digest(&small.as_bytes()[2..]));
    let letters = small.chars().zip(hash.chars());
    letters
        .enumerate()
        .map(|(at, (letter, digit))| match digit.to_digit(16) {
            Some(8..) if at >= 2 => letter.to_ascii_uppercase(),
            _ => letter,
        })
        .collect()
}

fn wallet(key: &SecretKey) -> Made {
    let address = address(key);
    Made {
        resource: Resource {
            address: Some(address.clone()),
            ..Resource::bare(Part::Main, address, String::new(), Stage::Ready)
        },
        secret: Some(SecretString::from(hex(&key.to_bytes()))),
    }
}

fn nothing_outside<T>() -> Done<T> {
    Err(Fault::Bug {
        message: "a wallet made here has nothing outside that could be asked for it".to_owned(),
    })
}

impl Provider for Wallet {
    fn identity(&self) -> BoxFuture<'_, Done<Whose>> {
        Box::pin(async { Ok(whose(None, "local")) })
    }

    fn make<'a>(&'a self, _: &'a Order) -> BoxFuture<'a, Done<Made>> {
        Box::pin(async move {
            // Zero and the numbers above the curve's order are no keys: about one in 2^128. A source that gives nothing
            // else is broken.
            let mut tries = (0..4).map(|_| SecretKey::from_slice(&(self.randomness)()));
            let key = tries.find_map(Result::ok).ok_or_else(|| Fault::Bug {
                message: "the source of randomness gives no keys".to_owned(),
            })?;
            Ok(wallet(&key))
        })
    }

    /// Found in the Secret, or not made: a key that nobody kept opens nothing.
    fn find<'a>(&'a self, _: &'a Sought) -> BoxFuture<'a, Done<Vec<Resource>>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn look<'a>(&'a self, _: &'a Named) -> BoxFuture<'a, Done<Option<Resource>>> {
        Box::pin(async { nothing_outside() })
    }

    fn adjust<'a>(&'a self, _: &'a Named, _: &'a Wish) -> BoxFuture<'a, Done<()>> {
        Box::pin(async { nothing_outside() })
    }

    /// The Secret is the wallet: taking it back is the business of whoever keeps the Secret.
    fn delete<'a>(&'a self, _: &'a Named, _: bool) -> BoxFuture<'a, Done<()>> {
        Box::pin(async { Ok(()) })
    }

    fn list(&self) -> BoxFuture<'_, Done<Option<Stock>>> {
        Box::pin(async { Ok(None) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    /// The first account of the test mnemonic that Hardhat and Anvil publish.
    const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

    fn bytes(hex: &str) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 + 2 * at..4 + 2 * at], 16).unwrap();
        }
        bytes
    }

    fn order() -> Order {
        Order {
            part: Part::Main,
            key: "acme-ada-purse-g1".into(),
            note: String::new(),
            wish: Wish::Wallet,
            parts: Default::default(),
        }
    }

    #[tokio::test]
    async fn a_known_key_has_its_known_address() {
        let maker = Wallet::new(Arc::new(|| bytes(KEY)));
        let made = maker.make(&order()).await.unwrap();
        assert_eq!(made.resource.id, ADDRESS);
        assert_eq!(made.resource.address.as_deref(), Some(ADDRESS));
        assert_eq!(made.secret.unwrap().expose_secret(), KEY);
    }

    #[test]
    fn letters_are_as_in_the_standard() {
        // From EIP-55 itself.
        for known in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0xde709f2102306220921060314715629080e2fb77",
        ] {
            let raw: Vec<u8> = (0..20)
                .map(|at| u8::from_str_radix(&known[2 + 2 * at..4 + 2 * at], 16).unwrap())
                .collect();
            assert_eq!(checksummed(&raw), known);
        }
    }

    #[tokio::test]
    async fn bytes_that_are_no_key_are_not_taken() {
        let broken = Wallet::new(Arc::new(|| [0; 32]));
        assert_eq!(broken.make(&order()).await.unwrap_err().class(), "Bug");
        let maximum = Wallet::new(Arc::new(|| [0xff; 32]));
        assert_eq!(maximum.make(&order()).await.unwrap_err().class(), "Bug");
        let Order {
            part, key, parts, ..
        } = order();
        let sought = Sought { part, key, parts };
        assert!(maximum.find(&sought).await.unwrap().is_empty());
        assert!(maximum.list().await.unwrap().is_none());
    }
}
