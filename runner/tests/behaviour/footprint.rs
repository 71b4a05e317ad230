//! How much memory it takes.

use crate::running::Runner;
use rustix::process::Pid;

/// Resident memory at its highest, in KiB.
pub fn resident(pid: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let text = line.expect("VmHWM").trim().trim_end_matches(" kB");
    text.parse().expect("a number")
}

#[tokio::test]
async fn it_takes_less_than_15_mib() {
    let runner = Runner::ready(|_| {}).await;
    for _ in 0..500 {
        runner.call("GET", "/plain", "").await;
    }
    let most = resident(runner.pid());
    println!("resident at most: {most} KiB");
    assert!(most < 15 << 10, "{most} KiB");
}
