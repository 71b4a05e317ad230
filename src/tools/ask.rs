//! One request of a tool: what is asked, where, and what it would have done.

use crate::wire::Effect;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write;

/// One request.
pub(super) struct Ask {
    /// Its name in metrics and logs.
    pub(super) operation: &'static str,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) effect: Effect,
    pub(super) also_good: Option<u16>,
}

impl Ask {
    /// Reads.
    pub(super) fn get(operation: &'static str, path: impl Into<String>) -> Ask {
        Ask {
            effect: Effect::Read,
            ..Ask::act(operation, path).by(Method::GET)
        }
    }

    /// Makes something.
    pub(super) fn post(operation: &'static str, path: impl Into<String>, body: Value) -> Ask {
        Ask {
            body: Some(body),
            effect: Effect::Create,
            ..Ask::act(operation, path)
        }
    }

    /// Sets something.
    pub(super) fn patch(operation: &'static str, path: impl Into<String>, body: Value) -> Ask {
        Ask {
            body: Some(body),
            ..Ask::act(operation, path).by(Method::PATCH)
        }
    }

    /// Takes something away.
    pub(super) fn delete(operation: &'static str, path: impl Into<String>) -> Ask {
        Ask {
            effect: Effect::Delete,
            ..Ask::act(operation, path).by(Method::DELETE)
        }
    }

    /// Does something that needs no words.
    pub(super) fn act(operation: &'static str, path: impl Into<String>) -> Ask {
        Ask {
            operation,
            method: Method::POST,
            path: path.into(),
            body: None,
            effect: Effect::Change,
            also_good: None,
        }
    }

    /// This status is a good answer as well, where its body shows an `id`.
    pub(super) fn also_good(mut self, status: u16) -> Ask {
        self.also_good = Some(status);
        self
    }

    /// With another method.
    pub(super) fn by(mut self, method: Method) -> Ask {
        self.method = method;
        self
    }
}

/// What several providers wrap their answers in.
#[derive(Deserialize)]
pub(super) struct Data<T> {
    pub(super) data: T,
}

/// Percent-encodes a piece of a path or a value of a query: everything but the unreserved characters, so `@` in a path
/// too (`facts/tool-providers.md` 2).
pub(super) fn piece(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_encoded_whole() {
        assert_eq!(piece("a/b?c@d+e f~-._"), "a%2Fb%3Fc%40d%2Be%20f~-._");
        assert_eq!(piece("ü"), "%C3%BC");
    }
}
