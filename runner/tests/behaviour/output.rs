//! What is written: with a prefix, bounded, without credentials, whoever reads it.

use crate::footprint::resident;
use crate::running::{OWN, Runner, TOKEN, command, contract, pid, until};
use std::io::Read;
use std::process::{ChildStdout, Stdio};

/// A GiB with `RUNNER_TESTS=full`: on a slow machine that takes long.
fn flood() -> u64 {
    let full = std::env::var("RUNNER_TESTS").is_ok_and(|value| value == "full");
    if full { 1 << 30 } else { 256 << 20 }
}

/// A runner, and what it writes: nobody reads that but the test.
fn unread() -> (Runner, ChildStdout) {
    let directory = tempfile::tempdir().expect("a directory");
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = {
        let port = port;
        port.local_addr().expect("an address").port()
    };
    let mut child = command(port, &contract(directory.path()), &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the runner");
    let out = child.stdout.take().expect("stdout");
    let runner = Runner {
        directory,
        child,
        port,
        contract: serde_json::Value::Null,
        env: Vec::new(),
        said: crate::running::Text::default(),
    };
    (runner, out)
}

#[tokio::test]
async fn lines_have_a_prefix_and_no_credential() {
    let runner = Runner::ready(|contract| {
        contract["argv"]
            .as_array_mut()
            .expect("words")
            .push("--tell-token".into());
    })
    .await;
    runner.until_said("fake | my token is ***\n").await;
    runner.until_said("fake ! really ***\n").await;
    runner
        .call_as("GET", "/x", Some("Bearer canary-wrong"), "")
        .await;
    let said = runner.said();
    for secret in [OWN, TOKEN, "canary-wrong"] {
        assert!(!said.contains(secret), "{said}");
    }
    for line in said.lines() {
        assert!(
            ["fake | ", "fake ! ", "runner | "]
                .iter()
                .any(|prefix| line.starts_with(prefix)),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_gib_of_output_goes_through_without_growth() {
    let (runner, mut out) = unread();
    let count = std::thread::spawn(move || {
        let (mut piece, mut lines, mut bytes) = (vec![0_u8; 64 << 10], 0_u64, 0_u64);
        while let Ok(length @ 1..) = out.read(&mut piece) {
            bytes += length as u64;
            lines += piece[..length]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count() as u64;
        }
        (lines, bytes)
    });
    runner.until_ready().await;
    runner
        .call("POST", &format!("/flood?{}", flood()), "")
        .await;
    let most = resident(runner.pid());
    assert!(most < 15 << 10, "{most} KiB");
    drop(runner);
    let (lines, bytes) = count.join().expect("counted");
    let (wanted, started) = (flood().div_ceil(64_000) * 640, 1);
    assert_eq!(
        lines,
        wanted + started,
        "no line is lost while somebody reads"
    );
    assert!(bytes > flood());
}

/// Nobody reads: the harness goes on, what does not fit is left out, and that is said.
#[tokio::test]
async fn a_reader_that_has_stopped_stops_nobody() {
    let (runner, mut out) = unread();
    runner.until_ready().await;
    let (status, _) = runner
        .call("POST", &format!("/flood?{}", 64 << 20), "")
        .await;
    assert_eq!(status, 200, "the harness was not stopped");
    assert_eq!(runner.call("GET", "/plain", "").await.0, 200);
    assert!(resident(runner.pid()) < 15 << 10);
    let said = crate::running::Text::default();
    let own = std::sync::Arc::clone(&said);
    std::thread::spawn(move || {
        let mut piece = vec![0_u8; 64 << 10];
        while let Ok(length @ 1..) = out.read(&mut piece) {
            own.lock()
                .expect("said")
                .push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    });
    runner.call("POST", "/flood?100", "").await;
    until("it is said", async || {
        said.lock().expect("said").contains("lines were left out")
    })
    .await;
    let _ = pid(runner.child.id());
}
