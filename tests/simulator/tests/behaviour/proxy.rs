//! The small internet itself: which hosts are there, and what a stranger gets.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::{World, client};
use simulator::{Options, Simulator};

async fn connect(world: &World, host: &str) -> String {
    let address = world.simulator.proxy_url().replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 4096];
    let read = stream.read(&mut buffer).await.unwrap();
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

#[tokio::test]
async fn other_hosts_are_refused_with_a_sentence() {
    let world = World::new().await;
    let answer = connect(&world, "example.com").await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(
        answer.contains("This simulated internet has no host example.com."),
        "{answer}"
    );
    assert!(
        world
            .client
            .get("https://example.com/")
            .send()
            .await
            .is_err()
    );
    let refused = world.control("GET", "/refused", Value::Null).await;
    assert_eq!(refused, json!({ "example.com": 2 }));
    assert!(
        connect(&world, "backboard.railway.com")
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        world
            .client
            .get("http://ghcr.io/v2/")
            .send()
            .await
            .unwrap()
            .status()
            == 502
    );
}

#[tokio::test]
async fn settings_are_checked_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = Options::new(dir.path()).set("railway.readlag", "1s");
    let error = Simulator::start(wrong).await.unwrap_err().to_string();
    assert!(
        error.contains("unknown setting \"railway.readlag\""),
        "{error}"
    );
    assert!(error.contains("railway.readLag"), "{error}");
    let wrong = Options::new(dir.path()).set("railway.readLag", "soon");
    let error = Simulator::start(wrong).await.unwrap_err().to_string();
    assert!(
        error.contains("railway.readLag: \"soon\" is no duration"),
        "{error}"
    );
}

#[tokio::test]
async fn a_stopped_simulator_answers_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(Options::new(dir.path())).await.unwrap();
    let client = client(&simulator);
    assert_eq!(
        client
            .get("https://ghcr.io/v2/")
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
    simulator.stop().await;
    assert!(client.get("https://ghcr.io/v2/").send().await.is_err());
}
