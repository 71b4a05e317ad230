//! The harness's life: it ends, refuses, forks, ignores signals; the runner is killed or told to end.

use crate::running::{Runner, children, runs, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Instant;

fn raw(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

#[tokio::test]
async fn a_harness_that_is_killed_is_started_again() {
    let runner = Runner::ready(|_| {}).await;
    let before = runner.harness().await;
    kill_process(before, Signal::KILL).expect("killed");
    runner.until_said("fake was ended by signal 9").await;
    runner.until_said("fake is started again in 1 s").await;
    until("there is another", async || {
        let (status, echo) = runner.call("GET", "/echo", "").await;
        status == 200 && echo["pid"] != raw(before)
    })
    .await;
    runner.until_ready().await;
}

#[tokio::test]
async fn a_harness_dies_with_a_runner_that_is_killed_and_its_claim_is_kept() {
    let mut runner = Runner::ready(|_| {}).await;
    let told = json!({"claim": "c1", "agentName": "Ada", "instructions": "Count."}).to_string();
    let (status, first) = runner.call("POST", "/pool/provision", &told).await;
    assert_eq!(status, 200);
    let harness = runner.harness().await;
    runner.child.kill().expect("killed");
    runner.child.wait().expect("waited");
    until("the harness has ended", async || !runs(harness)).await;
    runner.again().await;
    assert_eq!(
        runner.call("GET", "/convos/status", "").await.1["claim"],
        "c1"
    );
    assert_eq!(
        runner.call("POST", "/pool/provision", &told).await,
        (200, first)
    );
}

#[tokio::test]
async fn a_harness_that_refuses_to_start_is_tried_later_each_time() {
    let runner = Runner::start(
        |contract| {
            contract["argv"]
                .as_array_mut()
                .expect("words")
                .push("--refuse".into());
        },
        &[],
    );
    runner.until_said("fake ! will not start").await;
    runner.until_said("fake ended with 3").await;
    for seconds in [1, 2] {
        runner
            .until_said(&format!("fake is started again in {seconds} s"))
            .await;
    }
    assert_eq!(runner.call_as("GET", "/pool/health", None, "").await.0, 503);
    assert_eq!(runner.call("GET", "/pool/status", "").await.0, 200);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_said() {
    let runner = Runner::start(
        |contract| contract["argv"] = json!(["/no/such/program"]),
        &[],
    );
    runner.until_said("cannot start /no/such/program").await;
    runner.until_said("fake ended with 127").await;
}

#[tokio::test]
async fn sigterm_is_passed_on_and_all_ends_well() {
    let mut runner = Runner::ready(|_| {}).await;
    let harness = runner.harness().await;
    runner.signal(Signal::TERM);
    assert_eq!(runner.until_ended().await.code(), Some(0));
    runner.until_said("fake was ended by signal 15").await;
    assert!(!runs(harness));
}

#[tokio::test]
async fn a_harness_that_ignores_sigterm_is_killed_after_its_grace() {
    let mut runner = Runner::ready(|contract| {
        contract["argv"]
            .as_array_mut()
            .expect("words")
            .push("--ignore-term".into());
    })
    .await;
    let harness = runner.harness().await;
    let began = Instant::now();
    runner.signal(Signal::TERM);
    assert_eq!(runner.until_ended().await.code(), Some(0));
    assert!(began.elapsed().as_millis() >= 1000, "it has its grace");
    runner.until_said("SIGTERM is ignored").await;
    runner
        .until_said("did not end within 1 s and is killed")
        .await;
    assert!(!runs(harness));
}

/// Two on one disk would destroy what is there.
#[tokio::test]
async fn what_a_harness_leaves_behind_is_ended_before_the_next_starts() {
    let runner = Runner::ready(|_| {}).await;
    let harness = runner.harness().await;
    // One in its group, one in a session of its own that does not hear SIGTERM.
    runner.call("POST", "/orphan", "").await;
    runner.call("POST", "/daemon", "").await;
    let left = || {
        let all = children(runner.pid());
        let left = all
            .into_iter()
            .filter(|(_, words)| words.contains("sleep 1000"));
        left.count()
    };
    until("both are the runner's children", async || left() == 2).await;
    kill_process(harness, Signal::KILL).expect("killed");
    runner.until_said("processes behind: they are ended").await;
    runner.until_said("started again").await;
    assert_eq!(left(), 0);
    runner.until_ready().await;
    assert_ne!(runner.harness().await, harness);
}

#[tokio::test]
async fn no_zombie_stays() {
    let runner = Runner::ready(|_| {}).await;
    for _ in 0..5 {
        assert_eq!(runner.call("POST", "/zombies", "").await.0, 200);
    }
    until("the harness is its only child", async || {
        children(runner.pid()).len() == 1
    })
    .await;
    assert_eq!(runner.call("GET", "/plain", "").await.0, 200);
}

/// As in a container: PID 1 of a namespace, where signals without a handler are not heard and whoever loses its parent is its child.
#[tokio::test]
async fn it_is_a_good_pid_1() {
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let tried = std::process::Command::new(unshare[0])
        .args(&unshare[1..])
        .arg("true")
        .output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        eprintln!("not tried: this machine allows no namespaces");
        return;
    }
    let mut runner = Runner::below(&unshare);
    runner.until_ready().await;
    let (_, echo) = runner.call("GET", "/echo", "").await;
    let first = echo["pid"].as_u64().expect("a pid");
    assert!(first < 100, "it is in a namespace of its own: {first}");
    runner.call("POST", "/zombies", "").await;
    let own = || {
        let parent = runner.pid().as_raw_nonzero();
        let path = format!("/proc/{parent}/task/{parent}/children");
        let children = std::fs::read_to_string(path).expect("children");
        crate::running::pid(children.trim().parse().expect("one child"))
    };
    until("the harness is its only child", async || {
        children(own()).len() == 1
    })
    .await;
    runner.call("POST", "/daemon", "").await;
    kill_process(own(), Signal::TERM).expect("told to end");
    assert_eq!(runner.until_ended().await.code(), Some(0));
    runner.until_said("all has ended").await;
}

#[tokio::test]
async fn files_are_laid_before_the_start_and_the_agents_own_edits_stay() {
    let laid = |path: &str, mode: &str| json!({"path": path, "content": "dGV4dA==", "mode": mode, "permissions": "0640"});
    let files = json!([
        laid("deep/kept.md", "IfMissing"),
        laid("deep/ours.md", "Always")
    ]);
    let mut runner = Runner::ready(|contract| contract["files"] = files).await;
    let read = |runner: &Runner, name: &str| fs::read_to_string(runner.state(name)).expect("read");
    for name in ["deep/kept.md", "deep/ours.md"] {
        assert_eq!(read(&runner, name), "text");
        fs::write(runner.state(name), "the agent's own").expect("written");
    }
    runner.signal(Signal::TERM);
    runner.until_ended().await;
    runner.again().await;
    assert_eq!(read(&runner, "deep/kept.md"), "the agent's own");
    assert_eq!(read(&runner, "deep/ours.md"), "text");
}

/// More than the kernel takes in one variable.
#[tokio::test]
async fn a_contract_in_pieces_lays_large_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut contract = crate::running::contract(directory.path());
    contract["files"] = json!([{"path": "large", "content": "QUFB".repeat(90_000)}]);
    let text = contract.to_string();
    let pieces: Vec<&str> = text
        .as_bytes()
        .chunks(100_000)
        .map(|piece| std::str::from_utf8(piece).expect("text"))
        .collect();
    let names = [
        "YARDMASTER_RUNNER",
        "YARDMASTER_RUNNER_1",
        "YARDMASTER_RUNNER_2",
        "YARDMASTER_RUNNER_3",
    ];
    assert_eq!(pieces.len(), names.len());
    let env: Vec<_> = names.into_iter().zip(pieces).collect();
    let runner = Runner::start(|_| {}, &env);
    runner.until_ready().await;
    let laid = fs::metadata(directory.path().join("state/large")).expect("laid");
    assert_eq!(laid.len(), 270_000);
    let (_, echo) = runner.call("GET", "/echo", "").await;
    let names = echo["env"].as_object().expect("variables").keys();
    assert!(!names.clone().any(|name| name.starts_with("YARDMASTER")));
}

#[tokio::test]
async fn a_link_of_the_agent_leads_no_file_outside() {
    let mut runner = Runner::ready(|contract| {
        contract["files"] = json!([{"path": "work/x.md", "content": "dGV4dA==", "mode": "Always"}]);
    })
    .await;
    let outside = runner.directory.path().join("outside");
    fs::create_dir(&outside).expect("outside");
    fs::remove_dir_all(runner.state("work")).expect("deleted");
    symlink(&outside, runner.state("work")).expect("link");
    kill_process(runner.harness().await, Signal::KILL).expect("killed");
    runner
        .until_said("fake is not started: work/x.md: a directory on the way is a link")
        .await;
    assert_eq!(fs::read_dir(&outside).expect("outside").count(), 0);
    runner.signal(Signal::TERM);
    runner.until_ended().await;
}

#[tokio::test]
async fn a_path_outside_is_refused_at_once() {
    let mut runner = Runner::start(
        |contract| {
            contract["files"] = json!([{"path": "../x", "content": ""}]);
        },
        &[],
    );
    assert_eq!(runner.until_ended().await.code(), Some(2));
    runner
        .until_said("../x is outside the harness's own places")
        .await;
    assert!(!runner.directory.path().join("x").exists());
}

#[tokio::test]
async fn what_a_killed_one_leaves_is_deleted_before_the_next() {
    let runner = Runner::ready(|contract| contract["stale"] = json!(["gateway.pid"])).await;
    fs::write(runner.state("gateway.pid"), "1").expect("written");
    kill_process(runner.harness().await, Signal::KILL).expect("killed");
    until("the lock is gone", async || {
        !runner.state("gateway.pid").exists()
    })
    .await;
}

/// As on a machine that shuts down while an agent is reset: the platform waits for seconds, not for two ends and a start.
#[tokio::test]
async fn sigterm_is_heard_while_it_is_started_again() {
    let mut runner = Runner::ready(|contract| {
        let argv = contract["argv"].as_array_mut().expect("words");
        argv.push("--ignore-term".into());
        contract["reset"] = json!({"delete": []});
    })
    .await;
    let token = format!("Bearer {}", crate::running::TOKEN);
    let reset = runner.try_call("POST", "/pool/reset", Some(&token), "");
    let told = async {
        runner.until_said("SIGTERM is ignored").await;
        runner.signal(Signal::TERM);
    };
    let (answer, ()) = tokio::join!(reset, told);
    assert!(answer.is_none_or(|(status, _)| status == 503));
    assert_eq!(runner.until_ended().await.code(), Some(0));
    runner.until_said("all has ended").await;
    assert_eq!(runner.said().matches("fake is started\n").count(), 1);
}

/// What it says last is why it ended.
#[tokio::test]
async fn the_last_words_are_said() {
    let script = "trap 'seq 100000; exit 0' TERM; echo up; sleep 1000 & wait";
    let sh = json!(["/bin/sh", "-c", script]);
    let mut runner = Runner::start(|contract| contract["argv"] = sh, &[]);
    runner.until_said("fake | up").await;
    runner.signal(Signal::TERM);
    runner.until_ended().await;
    runner.until_said("fake | 100000\n").await;
}

/// The token opens everything, and the harness has the runner's user.
#[tokio::test]
async fn the_harness_cannot_read_the_runners_environment() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).expect("open");
    let copy = directory.path().join("yardmaster-runner");
    fs::copy(env!("CARGO_BIN_EXE_yardmaster-runner"), &copy).expect("a copy");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("for all");
    let read = "tr '\\0' '\\n' < /proc/$PPID/environ && echo it was read || echo it was not read";
    let mut contract = crate::running::contract(directory.path());
    contract["argv"] = json!(["/bin/sh", "-c", read]);
    let mut runner = Runner::of(copy, directory, contract);
    runner.until_said("it was ").await;
    assert!(
        runner.said().contains("it was not read"),
        "{}",
        runner.said()
    );
    assert!(!runner.said().contains(crate::running::TOKEN));
    runner.signal(Signal::TERM);
    runner.until_ended().await;
}
