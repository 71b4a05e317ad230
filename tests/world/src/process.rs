//! Child processes of a world: how they are signalled, awaited, and ended with this process, however it ends.
//!
//! Holds: no process that a world started outlives it, also where the world is killed. The control plane looks after
//! that itself (it asks whether its parent still lives); for the controller, which must not know of such things, a
//! [`Watchdog`] does. Linux's parent-death signal would do it in one call, but that call is unsafe code, and it fires
//! when the starting thread ends, which in a test is long before the process does.
//! Children get a process group of their own: Ctrl-C in a terminal is for the world alone, which then ends them in order.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time;

/// Sends a signal; a process that is gone already is no error.
pub(crate) fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    match signal::kill(Pid::from_raw(pid), signal) {
        Err(Errno::ESRCH) => Ok(()),
        other => other.map_err(io::Error::from),
    }
}

/// Whether there is such a process. One that has ended and was not waited for counts as there.
pub(crate) fn is_alive(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| signal::kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH))
}

/// Asks a child to end, and kills it where it does not in time.
pub(crate) async fn end(child: &mut Child, patience: Duration) -> io::Result<ExitStatus> {
    if let Some(pid) = child.id() {
        send(pid, Signal::SIGTERM)?;
    }
    match time::timeout(patience, child.wait()).await {
        Ok(ended) => ended,
        Err(_) => {
            child.kill().await?;
            child.wait().await
        }
    }
}

/// A shell that waits for this process's end (its input closes then) and kills another process.
#[derive(Debug)]
pub(crate) struct Watchdog(Child);

impl Watchdog {
    pub(crate) fn over(pid: u32) -> Result<Self> {
        let child = Command::new("/bin/sh")
            .args(["-c", "read -r _; kill -KILL \"$1\"", "watchdog"])
            .arg(pid.to_string())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the watchdog shell")?;
        Ok(Self(child))
    }

    /// Lets go: the process that was watched has ended, and its number may soon be another's.
    pub(crate) async fn dismiss(mut self) -> io::Result<()> {
        // Killed before its input closes, or it would do what it waits for.
        self.0.kill().await
    }
}

/// The last lines of a text file, for messages.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let Ok(content) = std::fs::read(path) else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&content);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep")
            .arg("1000")
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    #[tokio::test]
    async fn a_watchdog_kills_when_its_owner_is_gone() {
        let mut sleeper = sleeper();
        let mut watchdog = Watchdog::over(sleeper.id().unwrap()).unwrap();
        // What the system does for a process that ends, however it does.
        drop(watchdog.0.stdin.take());
        let end = time::timeout(Duration::from_secs(10), sleeper.wait()).await;
        assert!(!end.expect("killed in time").unwrap().success());
    }

    #[tokio::test]
    async fn a_dismissed_watchdog_does_nothing() {
        let mut sleeper = sleeper();
        let watchdog = Watchdog::over(sleeper.id().unwrap()).unwrap();
        watchdog.dismiss().await.unwrap();
        assert_eq!(sleeper.try_wait().unwrap(), None);
    }

    #[tokio::test]
    async fn who_does_not_end_in_time_is_killed() {
        let script = "trap '' TERM; echo deaf; while :; do sleep 1; done";
        let mut deaf = Command::new("/bin/sh");
        let mut deaf = deaf
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut output = tokio::io::BufReader::new(deaf.stdout.take().unwrap());
        tokio::io::AsyncBufReadExt::read_line(&mut output, &mut said)
            .await
            .unwrap();
        let end = end(&mut deaf, Duration::from_millis(50)).await.unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&end), Some(9));
    }
}
