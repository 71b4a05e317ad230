//! What passes through: heads, bodies of any size, streams, upgrades, slow readers.

use crate::running::{OWN, Runner, TOKEN, connect, until};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_request_passes_with_the_harness_own_credential_in_place_of_ours() {
    let runner = Runner::ready(|_| {}).await;
    let (status, echo) = runner.call("PUT", "/echo?a=1&b=%20", "x").await;
    assert_eq!(status, 200);
    assert_eq!(
        (&echo["method"], &echo["uri"]),
        (&"PUT".into(), &"/echo?a=1&b=%20".into())
    );
    assert_eq!(echo["headers"]["authorization"], format!("Bearer {OWN}"));
    assert_eq!(echo["headers"]["host"], "agent.example");
    assert_eq!(echo["headers"]["content-length"], "1");
    assert!(
        !echo.to_string().contains(TOKEN),
        "the harness must not know the gateway token"
    );
}

#[tokio::test]
async fn headers_of_one_connection_end_there() {
    let runner = Runner::ready(|_| {}).await;
    let mut stream = TcpStream::connect(("127.0.0.1", runner.port))
        .await
        .expect("a connection");
    let head = format!(
        "GET /echo HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\
         TE: trailers\r\nProxy-Authorization: x\r\nUpgrade: h2c\r\nX-Kept: 1\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    let text = text.to_lowercase();
    for gone in [
        "x-hop",
        "\"te\"",
        "proxy-authorization",
        "\"upgrade\"",
        "h2c",
    ] {
        assert!(!text.contains(gone), "{gone} in {text}");
    }
    assert!(
        text.contains("\"x-kept\":\"1\"") && text.contains("x-own: 1"),
        "{text}"
    );
}

#[tokio::test]
async fn a_body_of_100_mb_passes_both_ways_and_is_the_same() {
    let runner = Runner::ready(|_| {}).await;
    let piece: Vec<u8> = (0..MIB).map(|at| (at % 251) as u8).collect();
    let body = Bytes::from(piece.repeat(100));
    let sum = body.iter().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    let request = Request::post("/count").header("authorization", format!("Bearer {TOKEN}"));
    let request = request.body(Full::new(body)).expect("a request");
    let mut sender = connect(runner.port).await.expect("a connection");
    let answer = sender.send_request(request).await.expect("an answer");
    let answer = answer
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!(answer, serde_json::json!({"bytes": 100 * MIB, "sum": sum}));
    let mut body = runner
        .open(&format!("/blob?{}", 100 * MIB))
        .await
        .into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame
            .expect("a frame")
            .into_data()
            .map_or(0, |data| data.len());
    }
    assert_eq!(length, 100 * MIB);
    assert!(crate::footprint::resident(runner.pid()) < 15 << 10);
}

#[tokio::test]
async fn events_come_one_by_one() {
    let runner = Runner::ready(|_| {}).await;
    let answer = runner.open("/events").await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body();
    for event in 1..=3 {
        let frame = body.frame().await.expect("an event").expect("an event");
        let data = frame.into_data().expect("data");
        assert_eq!(data, format!("data: {event}\n\n"));
        runner.call("POST", "/next", "").await;
    }
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_reader_that_goes_away_is_gone_for_the_harness_too() {
    let runner = Runner::ready(|_| {}).await;
    let mut body = runner.open("/events").await.into_body();
    body.frame().await.expect("an event").expect("an event");
    drop(body);
    runner.until_said("nobody reads the events").await;
}

#[tokio::test]
async fn a_websocket_passes_and_its_end_does() {
    let runner = Runner::ready(|_| {}).await;
    let request = Request::builder()
        .uri("/upgrade")
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("connection", "Upgrade")
        .header("upgrade", "websocket");
    let request = request.body(Full::default()).expect("a request");
    let mut sender = connect(runner.port).await.expect("a connection");
    let answer = sender.send_request(request).await.expect("an answer");
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.headers()["upgrade"], "websocket");
    let upgraded = hyper::upgrade::on(answer).await.expect("upgraded");
    let mut stream = hyper_util::rt::TokioIo::new(upgraded);
    for text in ["hello", "again"] {
        stream.write_all(text.as_bytes()).await.expect("written");
        let mut back = [0_u8; 5];
        stream.read_exact(&mut back).await.expect("read");
        assert_eq!(&back, text.as_bytes());
    }
    // More than lies between: it is held back on both sides, and all comes.
    let (mut read, mut write) = tokio::io::split(stream);
    let writing = tokio::spawn(async move {
        write
            .write_all(&vec![7_u8; 20 * MIB])
            .await
            .expect("written");
        write.shutdown().await.expect("shut down");
    });
    let mut all = Vec::new();
    read.read_to_end(&mut all).await.expect("read");
    writing.await.expect("written");
    assert_eq!(all.len(), 20 * MIB);
    runner.until_said("the other side has ended").await;
}

/// What lies in the buffers of sockets between harness and reader is the kernel's; a body that is much larger shows that no more is taken.
#[tokio::test]
async fn a_slow_reader_slows_the_harness_and_not_others() {
    let runner = Runner::ready(|_| {}).await;
    let mut body = runner
        .open(&format!("/blob?{}", 200 * MIB))
        .await
        .into_body();
    body.frame().await.expect("a frame").expect("a frame");
    let mut last = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let (_, produced) = runner.call("GET", "/produced", "").await;
        let now = produced.as_u64().expect("a number");
        if now == last {
            break;
        }
        last = now;
    }
    assert!(
        last < 100 * MIB as u64,
        "{last} bytes were taken from the harness"
    );
    assert!(crate::footprint::resident(runner.pid()) < 15 << 10);
    assert_eq!(
        runner.call("GET", "/plain", "").await.0,
        200,
        "others are served"
    );
}

#[tokio::test]
async fn a_harness_that_does_not_read_slows_the_sender() {
    let runner = Runner::ready(|_| {}).await;
    let mut stream = TcpStream::connect(("127.0.0.1", runner.port))
        .await
        .expect("a connection");
    let length = 200 * MIB;
    let head = format!(
        "POST /hold HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    let (piece, mut sent) = (vec![1_u8; MIB], 0);
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(500), stream.write(&piece)).await
    {
        sent += written.expect("written");
        assert!(sent < 100 * MIB, "the runner takes all of it");
    }
    assert!(crate::footprint::resident(runner.pid()) < 15 << 10);
    runner.call("POST", "/next", "").await;
    while sent < length {
        let most = MIB.min(length - sent);
        stream.write_all(&piece[..most]).await.expect("written");
        sent += most;
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    assert!(text.contains(&format!("\"bytes\":{length}")), "{text}");
}

#[tokio::test]
async fn while_no_harness_listens_it_is_said() {
    let runner = Runner::start(
        |contract| contract["argv"] = serde_json::json!(["/bin/sleep", "100"]),
        &[],
    );
    runner.until_said("fake is started").await;
    until("it answers", async || {
        runner
            .try_call("GET", "/pool/health", None, "")
            .await
            .is_some()
    })
    .await;
    let (status, body) = runner.call("GET", "/x", "").await;
    assert_eq!(
        (status, &body["error"]),
        (503, &"the harness is not ready".into())
    );
}

#[tokio::test]
async fn many_requests_on_one_connection_and_over_a_new_start_of_the_harness() {
    let runner = Runner::ready(|_| {}).await;
    let mut sender = connect(runner.port).await.expect("a connection");
    for round in 0..200 {
        if round == 100 {
            let before = runner.harness().await;
            runner
                .call_as("POST", "/exit?0", Some(&format!("Bearer {TOKEN}")), "")
                .await;
            until("there is another", async || {
                let (status, echo) = runner.call("GET", "/echo", "").await;
                status == 200 && echo["pid"] != before.as_raw_nonzero().get()
            })
            .await;
        }
        let request = Request::post("/count").header("authorization", format!("Bearer {TOKEN}"));
        let request = request.body(Full::from("12345")).expect("a request");
        sender.ready().await.expect("kept open");
        let answer = sender.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), 200, "round {round}");
        answer.into_body().collect().await.expect("a body");
    }
}
