//! What providers with a REST API have in common: where a request goes, whose credential it carries, what is in its
//! body, and how many came in a second.
//!
//! Deliberately absent: routes and refusals. Each provider matches on the parts of the path and words its own errors.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::clock;
use crate::exchange::Request;

/// Path and query of a request, decoded.
#[derive(Debug)]
pub(crate) struct Call {
    parts: Vec<String>,
    query: Vec<(String, String)>,
}

impl Call {
    /// `base` is the path of the provider's server, without a slash at its end; `None` for a request that is not below it.
    pub(crate) fn below(base: &str, request: &Request) -> Option<Self> {
        let rest = request.path.strip_prefix(base)?.strip_prefix('/')?;
        let query = request.query.as_deref().unwrap_or_default();
        let query = query.split('&').filter(|pair| !pair.is_empty());
        let form = |text: &str| decode(&text.replace('+', " "));
        let query = query.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (form(name), form(value))
        });
        let (parts, query) = (rest.split('/').map(decode).collect(), query.collect());
        Some(Self { parts, query })
    }

    /// The segments of the path, to match on: `("GET", ["keys", hash])`.
    pub(crate) fn parts(&self) -> Vec<&str> {
        self.parts.iter().map(String::as_str).collect()
    }

    /// The first query parameter of this name.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// `%40` as `@`. What is no escape stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after
            .get(..2)
            .filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The account that a test credential names: `<prefix><account>_<anything>`, as in `ws_team-a_1`.
pub(crate) fn account(credential: Option<&str>, prefix: &str) -> Option<String> {
    let (account, _) = credential?.strip_prefix(prefix)?.split_once('_')?;
    (!account.is_empty()).then(|| account.to_owned())
}

/// The body as a JSON object of this shape, or what is wrong with it, for the provider's own 400.
pub(crate) fn body<T: DeserializeOwned>(request: &Request) -> Result<T, String> {
    let object = request.body.json().filter(|body| body.is_object());
    let Some(body) = object else {
        return Err("the request body is no JSON object".to_owned());
    };
    T::deserialize(body).map_err(|error| error.to_string())
}

/// For a field where null means something else than no field: `None` is absent, `Some(None)` is null. Goes with
/// `#[serde(default, deserialize_with = "rest::given")]`.
pub(crate) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// How many requests each account made in its current second.
#[derive(Debug, Default)]
pub(crate) struct Rate(Mutex<HashMap<String, (Timestamp, u64)>>);

impl Rate {
    /// Counts this request: is it one too many? 0 is no limit. The wait is never longer than a second.
    pub(crate) fn exceeded(&self, account: &str, per_second: u64, now: Timestamp) -> bool {
        if per_second == 0 {
            return false;
        }
        let mut seconds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, used) = seconds.entry(account.to_owned()).or_insert((now, 0));
        if clock::after(*begun, Duration::from_secs(1)) <= now {
            (*begun, *used) = (now, 0);
        }
        *used += 1;
        *used > per_second
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use jiff::Timestamp;
    use serde::Deserialize;
    use serde_json::json;

    use super::{Call, Rate, account, body, given};
    use crate::exchange::{Body, Request};

    fn request(path: &str, query: &str, body: Body) -> Request {
        Request {
            host: "api.test".to_owned(),
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: Some(query.to_owned()),
            headers: HeaderMap::new(),
            body,
        }
    }

    #[test]
    fn a_path_is_taken_apart_and_decoded() {
        let asked = request(
            "/v0/inboxes/a%40b.c",
            "filter%5Bname%5D=x+y&n=1",
            Body::Empty,
        );
        let call = Call::below("/v0", &asked).unwrap();
        assert_eq!(call.parts(), ["inboxes", "a@b.c"]);
        assert_eq!(call.query("filter[name]"), Some("x y"));
        assert_eq!(call.query("m"), None);
        assert_eq!(super::decode("100%+%zz%e2%82%ac%"), "100%+%zz€%");
        assert!(Call::below("/v1", &asked).is_none());
    }

    #[test]
    fn a_credential_names_its_account() {
        assert_eq!(
            account(Some("sk-or-mgmt-team-a_1"), "sk-or-mgmt-").as_deref(),
            Some("team-a")
        );
        assert_eq!(account(Some("sk-or-mgmt-_1"), "sk-or-mgmt-"), None);
        assert_eq!(account(Some("sk-or-v1-0e6"), "sk-or-mgmt-"), None);
        assert_eq!(account(None, ""), None);
    }

    #[test]
    fn null_is_not_absent() {
        #[derive(Deserialize)]
        struct Edit {
            #[serde(default, deserialize_with = "given")]
            limit: Option<Option<f64>>,
        }
        let limit = |value| body::<Edit>(&request("/", "", value)).map(|edit| edit.limit);
        assert_eq!(limit(Body::Json(json!({}))), Ok(None));
        assert_eq!(limit(Body::Json(json!({ "limit": null }))), Ok(Some(None)));
        assert_eq!(
            limit(Body::Json(json!({ "limit": 1 }))),
            Ok(Some(Some(1.0)))
        );
        assert!(limit(Body::Empty).is_err());
    }

    #[test]
    fn a_second_holds_so_many_requests() {
        let rate = Rate::default();
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        assert!(!rate.exceeded("a", 1, at(0)));
        assert!(rate.exceeded("a", 1, at(999)));
        assert!(!rate.exceeded("b", 1, at(999)));
        assert!(!rate.exceeded("a", 1, at(1000)));
        assert!(!rate.exceeded("a", 0, at(1000)));
    }
}
