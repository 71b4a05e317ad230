//! Exchanges with a listener of our own, on this machine.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_millis(300);

/// What becomes of a request to a listener that answers with these bytes, and then stays silent until its peer goes.
async fn answered(text: &'static str, largest: usize) -> Result<Reply, NoReply> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut asked = [0; 4096];
        let mut length = 0;
        while !asked[..length].ends_with(b"\r\n\r\n") {
            length += peer.read(&mut asked[length..]).await.unwrap();
        }
        peer.write_all(text.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = peer.read_to_end(&mut rest).await;
    });
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let reply = super::reply(http.get(url), largest, PATIENCE).await;
    server.abort();
    reply
}

#[tokio::test]
async fn a_status_counts_whatever_becomes_of_the_rest() {
    let text = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 9\r\n\r\n{";
    let reply = answered(text, 64).await.unwrap();
    assert_eq!(reply.status, 429);
    assert_eq!(reply.headers["retry-after"], "7");
    assert!(matches!(reply.body, Err(NoReply::Lost(why)) if why.contains("no answer within")));
}

#[tokio::test]
async fn an_answer_is_read_up_to_a_limit_and_no_further() {
    let text = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123456789";
    assert_eq!(answered(text, 9).await.unwrap().body.unwrap(), b"123456789");
    let lost = NoReply::Lost("its answer is too large".into());
    assert_eq!(answered(text, 8).await.unwrap().body, Err(lost));
}

#[tokio::test]
async fn what_is_sent_and_not_answered_is_lost_and_what_cannot_connect_was_not_sent() {
    let silent = answered("", 64).await.unwrap_err();
    assert!(matches!(silent, NoReply::Lost(_)), "{silent:?}");
    let class = |effect| silent.fault("Acme", effect).class();
    assert_eq!(class(Effect::Read), "Transient");
    for effect in [Effect::Create, Effect::Change, Effect::Delete] {
        assert_eq!(class(effect), "Uncertain");
    }
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let refused = super::reply(http.get("http://127.0.0.1:9/secret"), 64, PATIENCE).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, NoReply::NotSent(_)), "{refused:?}");
    let fault = refused.fault("Acme", Effect::Create);
    assert_eq!(fault.class(), "Transient");
    assert!(fault.message().starts_with("Acme cannot be reached: "));
    assert!(!fault.message().contains("/secret"), "{fault}");
}
