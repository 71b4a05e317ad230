//! What the runner costs: each request of a round once to the harness alone and once through the runner, by turns, over kept
//! connections, in one run.
//!
//! `cargo build --release -p yardmaster-runner --bins --examples && target/release/examples/overhead`

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

const ROUNDS: usize = 5000;

/// What is asked of each, and with which token.
struct Side {
    sender: SendRequest<Full<Bytes>>,
    token: &'static str,
    times: Vec<Duration>,
}

/// Ends when this does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Side {
    async fn ask(&mut self, path: &str) -> usize {
        let request = Request::get(path)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", self.token));
        let request = request.body(Full::default()).expect("a request");
        let began = Instant::now();
        self.sender.ready().await.expect("kept open");
        let answer = self.sender.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let body = answer
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        self.times.push(began.elapsed());
        body.len()
    }

    fn at(&mut self, share: f64) -> f64 {
        self.times.sort_unstable();
        let index = (self.times.len() as f64 * share) as usize;
        self.times[index.min(self.times.len() - 1)].as_secs_f64() * 1e6
    }
}

async fn connect(port: u16) -> SendRequest<Full<Bytes>> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await {
            stream.set_nodelay(true).expect("a socket");
            let shaken = Builder::new().handshake(TokioIo::new(stream)).await;
            let (sender, connection) = shaken.expect("a connection");
            tokio::spawn(connection);
            return sender;
        }
        assert!(Instant::now() < until, "nothing listens at {port}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let examples = std::env::current_exe().expect("a path");
    let examples = examples.parent().expect("a directory");
    let (state, own, port) = (
        std::env::temp_dir().join(format!("overhead-{}", std::process::id())),
        free_port(),
        free_port(),
    );
    let contract = json!({
        "version": 1,
        "name": "fake",
        "argv": [examples.join("fake-harness")],
        "port": {"number": own, "variable": "FAKE_PORT"},
        "credential": {"variable": "FAKE_TOKEN", "value": "own", "auth": {"type": "Bearer"}},
        "readiness": {"path": "/readyz", "pointer": "/ready", "credential": true},
        "stateDirectory": state,
    });
    let runner = Command::new(examples.join("../yardmaster-runner"))
        .env("PORT", port.to_string())
        .env("GATEWAY_TOKEN", "gateway")
        .env("YARDMASTER_RUNNER", contract.to_string())
        .spawn();
    let runner = Running(runner.expect("the runner"));
    let mut sides = [(own, "own"), (port, "gateway")].map(|(port, token)| (port, token, None));
    for (port, token, side) in &mut sides {
        let sender = connect(*port).await;
        *side = Some(Side {
            sender,
            token,
            times: Vec::new(),
        });
    }
    let [(_, _, Some(mut alone)), (_, _, Some(mut through))] = sides else {
        return;
    };
    println!("memory at the start: {}", memory(&runner));
    for path in ["/plain", "/blob?1048576"] {
        for round in 0..ROUNDS / if path == "/plain" { 1 } else { 25 } {
            // By turns, so that what else the machine does hits both.
            if round % 2 == 0 {
                alone.ask(path).await;
                through.ask(path).await;
            } else {
                through.ask(path).await;
                alone.ask(path).await;
            }
        }
        println!(
            "{path}: {} requests each, in microseconds",
            alone.times.len()
        );
        for share in [0.5, 0.9, 0.99] {
            let (alone, through) = (alone.at(share), through.at(share));
            println!(
                "  {share}: alone {alone:.0}, through the runner {through:.0}, more by {:.0}",
                through - alone
            );
        }
        alone.times.clear();
        through.times.clear();
    }
    println!("memory at the end: {}", memory(&runner));
    drop(runner);
    let _ = std::fs::remove_dir_all(state);
}

fn memory(runner: &Running) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", runner.0.id()));
    let status = status.expect("it runs");
    let lines = status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    let lines: Vec<String> = lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    lines.join(", ")
}
