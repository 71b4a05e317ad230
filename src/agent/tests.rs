//! Tests of asking an agent whether it is ready.

use super::*;

const TOKEN: &str = "9c1f-token-of-mine";

fn token() -> SecretString {
    SecretString::from(TOKEN)
}

#[test]
fn only_plain_paths_are_called() {
    for path in ["/", "/pool/health", "/a-b/c_d.e~"] {
        assert!(is_path(path), "{path}");
    }
    for path in [
        "",
        "pool",
        "//evil.example/",
        "/a?b",
        "/a#b",
        "/a b",
        "/a%2e",
        "/a\n",
    ] {
        assert!(!is_path(path), "{path}");
    }
}

#[test]
fn what_an_agent_says() {
    let other = |status| Health::NotReady(Answer::Status(status));
    for (status, body, health) in [
        (
            200,
            r#"{"ready": true, "version": "1.4", "runtime": "openclaw", "more": 1}"#,
            Health::Ready {
                version: Some("1.4".into()),
            },
        ),
        (
            200,
            r#"{"ready": true, "version": null}"#,
            Health::Ready { version: None },
        ),
        (
            200,
            r#"{"ready": false}"#,
            Health::NotReady(Answer::OtherValue),
        ),
        (
            200,
            r#"{"ready": "yes"}"#,
            Health::NotReady(Answer::OtherValue),
        ),
        (200, r#"{"ok": true}"#, Health::NotReady(Answer::NoValue)),
        (200, "<html>", Health::NotReady(Answer::NotJson)),
        (503, r#"{"ready": false}"#, other(503)),
        (302, "", other(302)),
        (401, r#"{"error": "token"}"#, other(401)),
        (
            404,
            r#"{"status":"error","code":404,"message":"Application not found"}"#,
            Health::NotReady(Answer::NotRunning),
        ),
        (
            502,
            r#"{"status":"error","code":502,"message":"Application failed to respond"}"#,
            Health::NotReady(Answer::NotRunning),
        ),
        (404, "not found", other(404)),
    ] {
        assert_eq!(
            understand(status, body.as_bytes(), &Expects::default(), &token()),
            health,
            "{status} {body}"
        );
    }
}

#[test]
fn any_image_can_say_that_it_is_ready() {
    let ready = Health::Ready { version: None };
    let not = Health::NotReady;
    let value = |pointer: &str, equals: &str| Expects::Value {
        pointer: pointer.into(),
        equals: equals.into(),
    };
    for (expects, status, body, health) in [
        (Expects::Status(200), 200, "<html>", ready.clone()),
        (Expects::Status(401), 401, "", ready.clone()),
        (Expects::Status(204), 200, "", not(Answer::Status(200))),
        (
            Expects::Status(404),
            404,
            r#"{"status":"error","code":404,"message":"Application not found"}"#,
            not(Answer::NotRunning),
        ),
        (
            value("/status/0", "ok"),
            200,
            r#"{"status": ["ok"]}"#,
            ready.clone(),
        ),
        (value("/n", "1.5"), 200, r#"{"n": 1.5}"#, ready.clone()),
        (value("/n", "null"), 200, r#"{"n": null}"#, ready.clone()),
        (value("", "up"), 200, r#""up""#, ready.clone()),
        (value("/a~1b", "true"), 200, r#"{"a/b": true}"#, ready),
        (
            value("/a", "{}"),
            200,
            r#"{"a": {}}"#,
            not(Answer::OtherValue),
        ),
        (
            value("/a", "1"),
            503,
            r#"{"a": 1}"#,
            not(Answer::Status(503)),
        ),
    ] {
        let said = understand(status, body.as_bytes(), &expects, &token());
        assert_eq!(said, health, "{expects}: {status} {body}");
    }
}

#[test]
fn a_version_is_a_short_word_with_a_number_and_nothing_else_reaches_a_status() {
    let of = |told: &str| {
        let body = serde_json::json!({"ready": true, "version": told}).to_string();
        match understand(200, body.as_bytes(), &Expects::default(), &token()) {
            Health::Ready { version } => version,
            other => panic!("{other:?}"),
        }
    };
    for told in ["1.4", " 2026.9.6 ", "v0.22.2-rc.1", "1.0.0+b_7"] {
        assert_eq!(of(told).as_deref(), Some(told.trim()), "{told}");
    }
    let long = format!("1{}", "0".repeat(64));
    for told in ["", "latest", "1.4 of mine", &long, TOKEN, "<1>"] {
        assert_eq!(of(told), None, "{told}");
    }
}

#[test]
fn the_token_is_shown_as_the_harness_takes_it_and_to_nobody_else() {
    let agents = Agents::new(reqwest::Client::builder, Duration::from_secs(5)).unwrap();
    let sent = |form: Option<TokenForm>| {
        let shown = form.map(|form| ShownToken {
            form,
            variable: "TOKEN".to_owned(),
        });
        let request = agents.request("a.example.com", "/x", &shown, &token());
        request.map(|request| request.build().unwrap())
    };
    let header = |form, name: &str| {
        let request = sent(form).unwrap();
        let value = request.headers().get(name).cloned();
        value.map(|value| {
            assert!(value.is_sensitive(), "{name}");
            value.to_str().unwrap().to_owned()
        })
    };
    let of = |form: Option<TokenForm>| header(form, "authorization");
    assert_eq!(of(None), None);
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(of(Some(TokenForm::Bearer)), Some(bearer));
    let user = "opencode".to_owned();
    let basic = "Basic b3BlbmNvZGU6OWMxZi10b2tlbi1vZi1taW5l".to_owned();
    assert_eq!(of(Some(TokenForm::Basic { user })), Some(basic));
    let own = |name: &str| {
        Some(TokenForm::Header {
            name: name.to_owned(),
        })
    };
    assert_eq!(of(own("X-Session-API-Key")), None);
    let value = header(own("X-Session-API-Key"), "x-session-api-key");
    assert_eq!(value.as_deref(), Some(TOKEN));
    // What is no header is sent to nobody.
    assert!(sent(own("a b")).is_none());
}

#[tokio::test]
async fn a_bad_address_is_never_called() {
    let agents = Agents::new(reqwest::Client::builder, Duration::from_secs(5)).unwrap();
    let readiness = ReadinessProbe::asking("/", Expects::default());
    let health = agents.health("127.0.0.1", &readiness, &"t".into()).await;
    assert_eq!(health, Health::NotReady(Answer::NotAsked));
}
