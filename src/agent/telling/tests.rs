//! Telling and asking, with a listener of our own on this machine.

use super::*;
use crate::api::template::Harness;
use crate::model::harness;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(10);
const TOKEN: &str = "gateway-token-0123456789";
const VALUE: &str = "value-of-a-variable";
const LINK: &str = "https://agents.example.com/join/capability";

fn row() -> TellingRow {
    harness::row(Harness::Convos).telling.unwrap()
}

fn provision() -> Provision {
    Provision {
        model: None,
        claim: "uid-1".into(),
        agent_name: "Ada".into(),
        instructions: "help".into(),
        join_url: Some(LINK.into()),
        profile_image: None,
        metadata: BTreeMap::from([("team".into(), "a".into())]),
        env: BTreeMap::from([("KEY".into(), VALUE.into())]),
    }
}

/// A client as `Agents` has it, but for a plain address on this machine.
fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A whole request: its head, and its body.
async fn received(peer: &mut TcpStream) -> (String, Value) {
    let mut text = Vec::new();
    loop {
        let mut part = [0; 4096];
        let length = peer.read(&mut part).await.unwrap();
        text.extend_from_slice(&part[..length]);
        let all = String::from_utf8_lossy(&text).to_lowercase();
        let Some((head, body)) = all.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.split("content-length: ").nth(1);
        let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        if body.len() >= length {
            let whole = String::from_utf8(text).unwrap();
            let (head, body) = whole.split_once("\r\n\r\n").unwrap();
            return (
                head.to_owned(),
                serde_json::from_str(body).unwrap_or_default(),
            );
        }
    }
}

/// The address of a listener that receives one request, answers it with these bytes and closes; and what it received.
async fn agent(reply: String) -> (String, tokio::task::JoinHandle<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await.unwrap();
        let request = received(&mut peer).await;
        peer.write_all(reply.as_bytes()).await.unwrap();
        request
    });
    (url, served)
}

fn http_answer(status: u16, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

async fn telling(reply: String, within: Duration) -> (TellOutcome, (String, Value)) {
    let (url, served) = agent(reply).await;
    let request = http().post(format!("{url}/pool/provision"));
    let outcome = told(request, &row(), &provision(), &TOKEN.into(), within).await;
    (outcome, served.await.unwrap())
}

async fn answered(status: u16, body: &str) -> TellOutcome {
    telling(http_answer(status, body), PATIENCE).await.0
}

#[tokio::test]
async fn an_agent_is_told_all_of_it_and_its_answer_is_taken_apart() {
    let body = json!({
        "ok": true, "status": "joined", "joined": true, "conversationId": "c1",
        "inviteUrl": "https://agents.example.com/i/1", "more": 7, "none": null, "list": [1], "a b": "no key",
    });
    let (outcome, (head, told)) = telling(http_answer(200, &body.to_string()), PATIENCE).await;
    assert!(head.starts_with("POST /pool/provision HTTP/1.1"), "{head}");
    assert!(head.contains(&format!("authorization: Bearer {TOKEN}")));
    let expected = json!({
        "claim": "uid-1", "agentName": "Ada", "instructions": "help", "joinUrl": LINK,
        "metadata": {"team": "a"}, "env": {"KEY": VALUE},
    });
    assert_eq!(told, expected);
    let TellOutcome::Told(result) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(!result.pending);
    let shown = [
        ("conversationId", "c1"),
        ("joined", "true"),
        ("status", "joined"),
    ];
    let shown: BTreeMap<String, String> = shown
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    assert_eq!(result.shown, shown);
    let kept: Vec<(&str, &str)> = result
        .kept
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose_secret()))
        .collect();
    assert_eq!(
        kept,
        [
            ("inviteUrl", "https://agents.example.com/i/1"),
            ("more", "7")
        ]
    );
}

#[tokio::test]
async fn what_waits_for_acceptance_says_so_and_what_quotes_a_secret_is_not_shown() {
    let body =
        json!({"ok": true, "status": "pending_acceptance", "conversationId": format!("of {LINK}")});
    let TellOutcome::Told(result) = answered(200, &body.to_string()).await else {
        panic!();
    };
    assert!(result.pending);
    assert!(!result.shown.contains_key("conversationId"));
    assert!(result.kept.contains_key("conversationId"));
    for hidden in ["c".repeat(SHOWN + 1), "a\nb".to_owned(), TOKEN.to_owned()] {
        let body = json!({"ok": true, "status": "created", "conversationId": hidden});
        let TellOutcome::Told(result) = answered(200, &body.to_string()).await else {
            panic!();
        };
        assert_eq!(result.shown.keys().collect::<Vec<_>>(), ["status"]);
        assert_eq!(result.kept["conversationId"].expose_secret(), hidden);
    }
}

#[tokio::test]
async fn an_agent_is_told_anew_what_may_change_and_nothing_else() {
    let hears = async |provision: Provision, status: u16, body: &str| {
        let (url, served) = agent(http_answer(status, body)).await;
        let request = http().post(format!("{url}/pool/update-template"));
        let moment = "2026-11-27T10:00:00Z";
        let token = TOKEN.into();
        let outcome = told_anew(request, &provision, moment, &token, PATIENCE).await;
        (outcome, served.await.unwrap())
    };
    let anew = async |status: u16, body: &str| hears(provision(), status, body).await;
    // Told of its tools alone, it keeps all else that it knows.
    let tools = Provision {
        env: provision().env,
        ..Provision::of("uid-1".to_owned())
    };
    let (_, (_, told)) = hears(tools, 200, r#"{"ok": true}"#).await;
    let expected = json!({
        "claim": "uid-1", "env": {"KEY": "value-of-a-variable"}, "templateUpdatedAt": "2026-11-27T10:00:00Z",
    });
    assert_eq!(told, expected);
    let (outcome, (head, told)) = anew(200, r#"{"ok": true}"#).await;
    assert!(matches!(outcome, TellOutcome::Told(_)), "{outcome:?}");
    assert!(head.contains(&format!("authorization: Bearer {TOKEN}")));
    let expected = json!({
        "claim": "uid-1", "agentName": "Ada", "instructions": "help", "metadata": {"team": "a"},
        "env": {"KEY": "value-of-a-variable"}, "templateUpdatedAt": "2026-11-27T10:00:00Z",
    });
    assert_eq!(told, expected);
    let edge = r#"{"status":"error","code":404,"message":"Application not found"}"#;
    for (status, body, says) in [
        (422, r#"{"error": "too long"}"#, Some("too long")),
        (413, r#"{"error": "too large"}"#, Some("too large")),
        (413, "<html>", None),
        (404, r#"{"error": "not found"}"#, Some("answered 404")),
        (405, "", Some("answered 405")),
        (422, "<html>", None),
        (404, edge, None),
        (401, r#"{"error": "unauthorized"}"#, None),
        (200, "{}", None),
        (503, "", None),
    ] {
        let (outcome, _) = anew(status, body).await;
        match (&outcome, says) {
            (TellOutcome::Refused { message }, Some(says)) => assert!(message.contains(says)),
            (TellOutcome::Unknown { .. }, None) => {}
            _ => panic!("{status} {body}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn only_the_agents_own_400_413_and_422_are_a_refusal() {
    for status in [400, 413, 422] {
        let outcome = answered(status, r#"{"error": "no such conversation"}"#).await;
        assert!(
            matches!(&outcome, TellOutcome::Refused { message } if message == "no such conversation"),
            "{outcome:?}"
        );
        for foreign in ["", "<html>", "[]", r#"{"message": "Bad Request"}"#] {
            let outcome = answered(status, foreign).await;
            assert!(
                matches!(&outcome, TellOutcome::Unknown { why } if why == &not_its_own(status)),
                "{foreign}: {outcome:?}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_that_it_was_told_is_repeated() {
    for secret in [VALUE, LINK, TOKEN] {
        let body = json!({"error": format!("cannot use {secret}")}).to_string();
        let TellOutcome::Refused { message } = answered(422, &body).await else {
            panic!();
        };
        assert_eq!(
            message,
            "answered 422, in words that quote what it was told; they are not repeated"
        );
    }
    let harmless = json!({"error": "nobody is at agents.example.com"}).to_string();
    let outcome = answered(422, &harmless).await;
    assert!(
        matches!(&outcome, TellOutcome::Refused { message } if message == "nobody is at agents.example.com"),
        "{outcome:?}"
    );
    let outcome = answered(500, &json!({"error": VALUE}).to_string()).await;
    assert!(!format!("{outcome:?}").contains(VALUE), "{outcome:?}");
    let told = format!("{:?}", provision());
    assert!(!told.contains(VALUE) && !told.contains(LINK), "{told}");
}

#[tokio::test]
async fn all_else_is_unknown() {
    let edge = r#"{"status":"error","code":502,"message":"Application failed to respond"}"#;
    let wrong = [
        (200, "<html>", "no JSON"),
        (200, r#"{"ok": false}"#, "another value"),
        (200, "{}", "another value"),
        (202, r#"{"ok": true}"#, "answered 202"),
        (302, "", "answered 302"),
        (401, r#"{"error": "unauthorized"}"#, "answered 401"),
        (404, r#"{"error": "not found"}"#, "answered 404"),
        (
            409,
            r#"{"error": "x", "claim": "uid-1"}"#,
            "keeps this very claim",
        ),
        (
            409,
            r#"{"error": "x", "claim": null}"#,
            "does not say to which",
        ),
        (409, "", "answered 409"),
        (429, "", "answered 429"),
        (500, r#"{"error": "x"}"#, "answered 500"),
        (502, edge, "nothing runs there"),
    ];
    for (status, body, says) in wrong {
        let outcome = answered(status, body).await;
        assert!(
            matches!(&outcome, TellOutcome::Unknown { why } if why.contains(says)),
            "{status} {body}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn an_agent_that_keeps_another_claim_is_that_ones() {
    let outcome = answered(
        409,
        r#"{"error": "x", "claim": "0d5c2c1e-6c0e-4b5e-9c39-0b6f6f1d7c11"}"#,
    )
    .await;
    let whose =
        matches!(&outcome, TellOutcome::OfAnother { why } if why.contains("keeps another claim"));
    assert!(whose, "{outcome:?}");
    // What is no claim's UID says of nobody that it is his.
    for nonsense in ["", "x", "0d5c2c1e6c0e4b5e9c390b6f6f1d7c11"] {
        let body = json!({"error": "x", "claim": nonsense}).to_string();
        let outcome = answered(409, &body).await;
        let unknown = matches!(&outcome, TellOutcome::Unknown { .. });
        assert!(unknown, "{outcome:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_is_unknown() {
    // Closed without a word; in the middle of a body; longer than is read.
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"ok\": true".to_owned();
    let long = http_answer(200, &" ".repeat(super::super::LARGEST + 1));
    for reply in [String::new(), cut, long] {
        let (outcome, _) = telling(reply, PATIENCE).await;
        assert!(
            matches!(outcome, TellOutcome::Unknown { .. }),
            "{outcome:?}"
        );
    }
    // Nothing in time: the peer has the request and keeps the connection.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let silent = Duration::from_millis(200);
    let outcome = told(
        http().post(url),
        &row(),
        &provision(),
        &TOKEN.into(),
        silent,
    )
    .await;
    assert!(
        matches!(&outcome, TellOutcome::Unknown { why } if why.contains("no answer within")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn what_cannot_connect_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let no_tls = plain.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut peer, _) = plain.accept().await.unwrap();
        peer.write_all(b"HTTP/1.1 400 no TLS here\r\n\r\n")
            .await
            .unwrap();
    });
    for url in [
        format!("http://{address}/"),
        "http://nobody.invalid/".to_owned(),
        format!("https://{no_tls}/"),
    ] {
        let outcome = told(
            http().post(&url),
            &row(),
            &provision(),
            &TOKEN.into(),
            PATIENCE,
        )
        .await;
        assert!(
            matches!(outcome, TellOutcome::NotSent { .. }),
            "{url}: {outcome:?}"
        );
    }
    served.await.unwrap();
}

#[tokio::test]
async fn a_bad_address_is_never_told() {
    let agents = Agents::new(reqwest::Client::builder, PATIENCE).unwrap();
    let leave = wire::Leave::always();
    let led = leave.take().unwrap();
    let outcome = agents
        .tell(
            led,
            "127.0.0.1",
            &row(),
            &provision(),
            &TOKEN.into(),
            PATIENCE,
        )
        .await;
    assert!(
        matches!(outcome, TellOutcome::NotSent { .. }),
        "{outcome:?}"
    );
    let binding = agents.binding("a.svc", &row(), &TOKEN.into()).await;
    assert!(
        matches!(binding, AgentBinding::Unknown { .. }),
        "{binding:?}"
    );
}

async fn binding(status: u16, body: &str) -> (AgentBinding, String) {
    let (url, served) = agent(http_answer(status, body)).await;
    let request = http().get(format!("{url}/convos/status"));
    let said = asked(request, &TOKEN.into(), PATIENCE).await;
    (said, served.await.unwrap().0)
}

#[tokio::test]
async fn an_agent_says_whose_it_is() {
    let body = |claim: Value| {
        let mut body =
            json!({"conversationId": "c1", "inboxId": "i", "pending": true, "clean": false});
        if claim != json!("unsaid") {
            body["claim"] = claim;
        }
        body.to_string()
    };
    for (claim, kept) in [
        (json!("uid-1"), ClaimKept::Of("uid-1".into())),
        (json!(null), ClaimKept::Nothing),
        (json!("unsaid"), ClaimKept::Unsaid),
    ] {
        let (said, head) = binding(200, &body(claim)).await;
        assert!(head.starts_with("GET /convos/status"), "{head}");
        assert!(head.contains(&format!("authorization: Bearer {TOKEN}")));
        let expected = AgentBinding::Says {
            claim: kept,
            conversation: Some("c1".into()),
            pending: true,
            clean: false,
        };
        assert_eq!(said, expected);
    }
}

#[tokio::test]
async fn whose_it_is_is_unknown_where_it_does_not_say_so_itself() {
    let edge = r#"{"status":"error","code":404,"message":"Application not found"}"#;
    for (status, body, says) in [
        (200, "<html>", "no JSON"),
        (200, r#"{"claim": "uid-1"}"#, "lacks the value"),
        (
            200,
            r#"{"claim": 7, "pending": false, "clean": true}"#,
            "another value",
        ),
        (401, "", "answered 401"),
        (404, edge, "nothing runs there"),
        (503, r#"{"error": "starting"}"#, "answered 503"),
    ] {
        let (said, _) = binding(status, body).await;
        assert!(
            matches!(&said, AgentBinding::Unknown { why } if why.contains(says)),
            "{status} {body}: {said:?}"
        );
    }
}
