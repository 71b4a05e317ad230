//! The line, without a network.

use super::super::faults::{Objection, RestRefusal, plain};
use super::*;
use crate::wire::{Effect, Leave};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

const MANNERS: Manners = Manners {
    base: "http://127.0.0.1:9",
    header: None,
    dialect: Dialect {
        name: "Acme",
        objection: |body| Objection {
            code: String::new(),
            sentence: body["error"].as_str().unwrap_or_default().to_owned(),
        },
        meaning: plain,
    },
};

fn connection() -> Connection {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Connection::of_an_onlooker(http, Duration::from_secs(5), Arc::new(Timestamp::now))
}

fn line(credential: &str) -> Line {
    Line::new(MANNERS, &SecretString::from(credential), 5, connection())
}

fn refusal(status: u16, body: Value) -> Result<(), Unserved> {
    Err(Unserved::Refused(RestRefusal {
        status,
        until: None,
        body: Some(body),
    }))
}

#[test]
fn a_credential_is_trimmed_and_replaced() {
    let line = line("one\n");
    assert!(!line.replace(&SecretString::from("one")));
    assert!(line.replace(&SecretString::from("two ")));
    assert_eq!(line.credential().unwrap().expose_secret(), "two");
    assert!(line.replace(&SecretString::from("\n")));
    assert_eq!(line.credential().unwrap_err().class(), "Denied");
}

#[test]
fn a_refusal_holds_the_account_back_and_a_run_of_failures_is_trouble() {
    let line = line("secret");
    let conclude = |outcome| {
        let credential = SecretString::from("secret");
        line.conclude("keys", Effect::Read, &credential, outcome)
    };
    assert!(line.open().is_ok());
    for status in [500, 404, 503] {
        let _ = conclude(refusal(status, serde_json::json!({ "error": "no" })));
    }
    assert_eq!(line.standing(), Standing::Fine, "a 404 tells nothing");
    let fault = conclude(refusal(429, serde_json::json!({ "error": "slow" }))).unwrap_err();
    assert_eq!(line.open(), Err(fault));
    assert!(matches!(line.standing(), Standing::Trouble { .. }));
    line.answered();
    assert_eq!(line.standing(), Standing::Fine);
}

#[test]
fn an_answer_that_repeats_the_credential_says_nothing() {
    let line = line("hush");
    let credential = SecretString::from("hush");
    let body = serde_json::json!({ "error": "hush is wrong" });
    let fault = line.conclude("keys", Effect::Read, &credential, refusal(401, body));
    assert_eq!(
        fault.unwrap_err().message(),
        "Acme answered keys with HTTP 401"
    );
}

#[tokio::test]
async fn what_cannot_connect_was_not_sent_and_who_may_not_send_does_not() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let leads = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&leads);
    let watched = Connection {
        meter: Arc::new(move |operation, outcome, _| held(&tell).push((operation, outcome))),
        leave: Leave::only_while(move || asked.load(Ordering::SeqCst)),
        ..connection()
    };
    let line = Line::new(MANNERS, &SecretString::from("secret"), 5, watched);
    let ask = || Ask::post("key.make", "/keys", Value::Null);
    let fault = line.tell(ask()).await.unwrap_err();
    assert_eq!(fault.class(), "Transient", "{fault}");
    assert!(!fault.message().contains("127.0.0.1:9/"), "{fault}");
    leads.store(false, Ordering::SeqCst);
    let fault = line.tell(ask()).await.unwrap_err();
    assert_eq!(fault.message(), "this process does not lead");
    assert_eq!(*held(&told), [("key.make", "Transient")]);
}
