//! A runner in a directory of its own, and what is asked of it.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpStream;

pub const TOKEN: &str = "gateway-token-canary-71c2";

pub const OWN: &str = "harness-token-canary-b08e";

pub type Text = Arc<Mutex<String>>;

pub struct Runner {
    pub directory: TempDir,
    pub child: Child,
    pub port: u16,
    pub contract: Value,
    pub env: Vec<(String, String)>,
    pub said: Text,
}

/// The fake harness: cargo builds examples beside the tests.
pub fn fake() -> PathBuf {
    let runner = Path::new(env!("CARGO_BIN_EXE_yardmaster-runner"));
    let fake = runner
        .parent()
        .expect("a directory")
        .join("examples/fake-harness");
    assert!(
        fake.exists(),
        "{} is missing: cargo test builds it",
        fake.display()
    );
    fake
}

pub fn contract(directory: &Path) -> Value {
    json!({
        "version": 1,
        "name": "fake",
        "argv": [fake()],
        "port": {"variable": "FAKE_PORT"},
        "credential": {"variable": "FAKE_TOKEN", "value": OWN, "auth": {"type": "Bearer"}},
        "readiness": {"path": "/readyz", "pointer": "/ready", "credential": true, "version": "/version"},
        "stateDirectory": directory.join("state"),
        "graceSeconds": 1,
    })
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

impl Runner {
    /// Started with a contract that is changed a little, and ready.
    pub async fn ready(change: impl FnOnce(&mut Value)) -> Runner {
        let runner = Runner::start(change, &[]);
        runner.until_ready().await;
        runner
    }

    pub fn start(change: impl FnOnce(&mut Value), env: &[(&str, &str)]) -> Runner {
        let directory = tempfile::tempdir().expect("a directory");
        let mut contract = contract(directory.path());
        change(&mut contract);
        let env = env.iter();
        let env: Vec<_> = env
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let port = free_port();
        let said = Text::default();
        let child = spawn(port, &contract, &env, &said);
        Runner {
            directory,
            child,
            port,
            contract,
            env,
            said,
        }
    }

    /// With these words before it.
    pub fn below(words: &[&str]) -> Runner {
        let directory = tempfile::tempdir().expect("a directory");
        let contract = contract(directory.path());
        let (port, said) = (free_port(), Text::default());
        let own = command(port, &contract, &[]);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(own.get_program()).env_clear();
        let env = own.get_envs();
        command.envs(env.filter_map(|(name, value)| Some((name, value?))));
        Runner {
            child: run(command, &said),
            directory,
            port,
            contract,
            env: Vec::new(),
            said,
        }
    }

    /// This copy of it, as a user without rights, where the tests are root: root may read everything.
    pub fn of(copy: PathBuf, directory: TempDir, contract: Value) -> Runner {
        let (port, said) = (free_port(), Text::default());
        let own = command(port, &contract, &[]);
        let mut command = Command::new(copy);
        let env = own.get_envs();
        command.env_clear();
        command.envs(env.filter_map(|(name, value)| Some((name, value?))));
        if rustix::process::getuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
        Runner {
            child: run(command, &said),
            directory,
            port,
            contract,
            env: Vec::new(),
            said,
        }
    }

    /// Once more on the same disk.
    pub async fn again(&mut self) {
        self.port = free_port();
        self.child = spawn(self.port, &self.contract, &self.env, &self.said);
        self.until_ready().await;
    }

    pub fn state(&self, path: &str) -> PathBuf {
        self.directory.path().join("state").join(path)
    }

    pub fn said(&self) -> String {
        self.said.lock().expect("said").clone()
    }

    pub fn pid(&self) -> Pid {
        pid(self.child.id())
    }

    pub async fn until_ready(&self) {
        until("it is ready", async || {
            matches!(
                self.try_call("GET", "/pool/health", None, "").await,
                Some((200, _))
            )
        })
        .await;
    }

    pub async fn until_said(&self, words: &str) {
        until(words, async || self.said().contains(words)).await;
    }

    /// Its harness's process, as the harness says.
    pub async fn harness(&self) -> Pid {
        let (_, echo) = self.call("GET", "/echo", "").await;
        pid(u32::try_from(echo["pid"].as_u64().expect("a pid")).expect("a pid"))
    }

    pub async fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.call_as(method, path, Some(&format!("Bearer {TOKEN}")), body)
            .await
    }

    pub async fn call_as(
        &self,
        method: &str,
        path: &str,
        auth: Option<&str>,
        body: &str,
    ) -> (u16, Value) {
        let answer = self.try_call(method, path, auth, body).await;
        assert!(
            answer.is_some(),
            "no answer to {path}; it said:\n{}",
            self.said()
        );
        answer.expect("an answer")
    }

    pub async fn try_call(
        &self,
        method: &str,
        path: &str,
        auth: Option<&str>,
        body: &str,
    ) -> Option<(u16, Value)> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "agent.example");
        if let Some(auth) = auth {
            request = request.header("authorization", auth);
        }
        let request = request
            .body(Full::from(body.to_owned()))
            .expect("a request");
        let response = connect(self.port).await?.send_request(request).await.ok()?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Some((status, value))
    }

    /// An answer that is read by whoever asked.
    pub async fn open(&self, path: &str) -> Response<Incoming> {
        let request = Request::builder()
            .uri(path)
            .header("authorization", format!("Bearer {TOKEN}"));
        let request = request.body(Full::default()).expect("a request");
        let mut sender = connect(self.port).await.expect("a connection");
        sender.send_request(request).await.expect("an answer")
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a signal");
    }

    pub async fn until_ended(&mut self) -> ExitStatus {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().expect("waited") {
                return status;
            }
            assert!(
                Instant::now() < until,
                "it does not end; it said:\n{}",
                self.said()
            );
            pause().await;
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // So that it takes with it what the harness has started.
        let _ = kill_process(self.pid(), Signal::TERM);
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until && !matches!(self.child.try_wait(), Ok(Some(_))) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, contract: &Value, env: &[(String, String)], said: &Text) -> Child {
    run(command(port, contract, env), said)
}

fn run(mut command: Command, said: &Text) -> Child {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the runner");
    keep(child.stdout.take().expect("stdout"), said);
    keep(child.stderr.take().expect("stderr"), said);
    child
}

pub fn command(port: u16, contract: &Value, env: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_yardmaster-runner"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("PORT", port.to_string())
        .env("GATEWAY_TOKEN", TOKEN)
        .env("YARDMASTER_RUNNER", contract.to_string())
        .envs(env.iter().cloned());
    command
}

fn keep(mut from: impl Read + Send + 'static, said: &Text) {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        let mut piece = [0_u8; 4096];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            let text = String::from_utf8_lossy(&piece[..length]);
            said.lock().expect("said").push_str(&text);
        }
    });
}

pub async fn connect(port: u16) -> Option<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let (sender, connection) = Builder::new().handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(async move {
        let _ = connection.with_upgrades().await;
    });
    Some(sender)
}

pub fn pid(id: u32) -> Pid {
    let id = i32::try_from(id).expect("an id");
    Pid::from_raw(id).expect("an id")
}

/// Whether a process runs: one that has ended and was not reaped does not.
pub fn runs(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Children of a process: their state and command line.
pub fn children(of: Pid) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((_, rest)) = stat.rsplit_once(')') else {
            continue;
        };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        if fields
            .get(1)
            .is_some_and(|parent| *parent == of.as_raw_nonzero().to_string())
        {
            let words = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            found.push((fields[0].to_owned(), words.replace('\0', " ")));
        }
    }
    found
}

pub async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

pub async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < until, "not within 20 s: {what}");
        pause().await;
    }
}
