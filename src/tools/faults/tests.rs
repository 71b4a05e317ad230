//! The table of fault shapes that all providers share, case by case; each provider's own words are tested in its file.

use super::Effect::{Change, Read};
use super::*;
use serde_json::json;

const PLAIN: Dialect = Dialect {
    name: "Acme",
    objection: |body| Objection {
        code: String::new(),
        sentence: body["error"].as_str().unwrap_or_default().to_owned(),
    },
    meaning: plain,
};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn page(status: u16) -> Unserved {
    Unserved::Refused(RestRefusal {
        status,
        ..RestRefusal::default()
    })
}

fn says(status: u16, sentence: &str) -> Unserved {
    Unserved::Refused(RestRefusal {
        status,
        body: Some(json!({ "error": sentence })),
        ..RestRefusal::default()
    })
}

fn fault(answer: &Unserved, effect: Effect) -> Fault {
    classify(answer, effect, &PLAIN, "keys", now())
}

#[test]
fn every_shape_has_a_class() {
    let refused = || Unserved::NoReply(NoReply::NotSent("connection refused".into()));
    let reset = || Unserved::NoReply(NoReply::Lost("connection reset".into()));
    for (answer, effect, class) in [
        (refused(), Read, "Transient"),
        (refused(), Change, "Transient"),
        (reset(), Read, "Transient"),
        (reset(), Change, "Uncertain"),
        (Unserved::Strange, Read, "Bug"),
        (Unserved::Strange, Change, "Bug"),
        (says(400, "no"), Change, "Rejected"),
        (says(401, "no"), Read, "Denied"),
        (says(402, "no"), Change, "Exhausted"),
        (says(403, "no"), Read, "Denied"),
        (says(404, "no"), Read, "Missing"),
        (says(404, "no"), Change, "Missing"),
        (says(405, "no"), Change, "Bug"),
        (says(408, "no"), Change, "Uncertain"),
        (says(409, "no"), Change, "Rejected"),
        (says(422, "no"), Change, "Rejected"),
        (says(429, "no"), Change, "Throttled"),
        (says(500, "no"), Read, "Transient"),
        (says(500, "no"), Change, "Uncertain"),
        (says(503, "no"), Change, "Uncertain"),
        // Not the provider's own word: pages of proxies and edges.
        (page(302), Change, "Uncertain"),
        (page(400), Change, "Uncertain"),
        (page(401), Read, "Denied"),
        (page(403), Change, "Throttled"),
        (page(404), Read, "Transient"),
        (page(404), Change, "Uncertain"),
        (page(429), Read, "Throttled"),
        (page(502), Read, "Transient"),
        (page(504), Change, "Uncertain"),
    ] {
        let fault = fault(&answer, effect);
        assert_eq!(fault.class(), class, "{effect:?} {answer:?} -> {fault}");
    }
}

#[test]
fn a_throttle_says_when_to_come_again() {
    let header = |name: &'static str, value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        again(&headers, now()).map(|until| until.as_second() - now().as_second())
    };
    assert_eq!(header("retry-after", "30"), Some(30));
    assert_eq!(header("retry-after", "86400"), Some(75 * 60));
    assert_eq!(
        header("retry-after", "Fri, 15 Jan 2027 08:00:10 GMT"),
        Some(10)
    );
    assert_eq!(header("retry-after", "soon"), None);
    assert_eq!(header("retry-after", "-3"), None);
    assert_eq!(header("x-ratelimit-reset", "7"), Some(7));
    assert_eq!(header("ratelimit-reset", "9"), Some(9));
    assert_eq!(header("x-ratelimit-reset", "1800000000000"), None);
    let untimed = fault(&says(429, "slow down"), Read);
    assert!(matches!(untimed, Fault::Throttled { until, .. } if until == later(now(), UNTIMED)));
}

#[test]
fn a_message_is_the_providers_sentence_and_never_a_body() {
    assert_eq!(
        fault(&says(404, "Key not found"), Read).message(),
        "Acme: Key not found"
    );
    assert_eq!(
        fault(&page(502), Read).message(),
        "Acme answered keys with HTTP 502"
    );
    assert_eq!(
        fault(&says(500, &"a ".repeat(999)), Read)
            .message()
            .chars()
            .count(),
        300
    );
    assert_eq!(
        fault(&says(400, "two\n lines\t"), Read).message(),
        "Acme: two lines"
    );
}
