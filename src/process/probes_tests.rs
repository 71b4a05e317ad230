//! The endpoints over a real socket.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One request over a connection of its own: status, lower-cased head, body.
async fn ask(address: SocketAddr, path: &str, accept: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: probes\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (status, _, body) = ask(address, path, "*/*").await;
    (status, body)
}

#[tokio::test]
async fn a_process_comes_up_shows_itself_and_ends() {
    let probes = Probes::default();
    let listener = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (trigger, shutdown) = Shutdown::manual();
    let server = tokio::spawn(probes.clone().serve(listener, shutdown));

    probes
        .readiness
        .lacks("cache AgentInstance", "not listed yet");
    probes.readiness.lacks("lease", "not read yet");
    assert_eq!(get(address, "/livez").await, (200, "alive\n".to_owned()));
    let (status, body) = get(address, "/readyz").await;
    assert_eq!(status, 503);
    assert_eq!(
        body,
        "cache AgentInstance: not listed yet\nlease: not read yet\n"
    );

    probes.readiness.arrived("lease");
    probes.readiness.arrived("cache AgentInstance");
    assert_eq!(get(address, "/readyz").await, (200, "ready\n".to_owned()));

    let (status, head, body) = ask(address, "/metrics", "*/*").await;
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(body.contains("yardmaster_leader 0"), "{body}");
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,*/*;q=0.1";
    let (_, head, body) = ask(address, "/metrics", prometheus).await;
    assert!(
        head.contains("content-type: application/openmetrics-text"),
        "{head}"
    );
    assert!(body.ends_with("# EOF\n"), "{body}");

    assert_eq!(get(address, "/").await.0, 404);
    trigger.ask();
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_place_that_is_taken_says_what_to_do() {
    let taken = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let error = listen(taken.local_addr().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("--listen"), "{error}");
}

#[test]
fn a_loop_that_stands_still_is_named() {
    let liveness = Liveness::default();
    let start = Instant::now();
    let limit = Duration::from_secs(30);
    let lease = liveness.watch("lease", limit, start);
    let _never = liveness.watch("observer", limit, start);
    assert_eq!(liveness.still(start + limit), Vec::<String>::new());

    lease.beat(start + limit);
    let later = start + Duration::from_secs(45);
    assert_eq!(liveness.still(later), ["observer: no sign of life for 45s"]);
    assert_eq!(liveness.still(later + limit).len(), 2);
}
