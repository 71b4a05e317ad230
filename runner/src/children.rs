//! Processes below this one: how one is started, how each that ends is reaped, and which are left.
//!
//! Holds: no zombie stays, also of grandchildren, whose parent this process becomes; a harness dies with the runner. Starting and
//! reaping happen on one thread, so no child ends unheard between the two. Absent: when to do any of it (`harness.rs`).

use crate::BECOME;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process, set_child_subreaper,
    set_parent_process_death_signal, wait,
};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdout, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// A child that runs, or has ended and was not looked at.
pub struct Started {
    pub pid: Pid,
    pub stdout: Option<ChildStdout>,
    pub stderr: Option<ChildStderr>,
    /// Says how it ended.
    pub ended: oneshot::Receiver<WaitStatus>,
    /// Each ends once all that came of one of its streams has gone on.
    pub lines: Vec<oneshot::Receiver<()>>,
}

/// All children.
pub struct Children {
    awaited: Mutex<HashMap<Pid, oneshot::Sender<WaitStatus>>>,
    /// Changes whenever any child was reaped.
    reaped: watch::Sender<()>,
}

impl Children {
    /// Becomes the parent of those whose parent ends, and reaps whoever ends.
    pub fn watch() -> io::Result<Arc<Children>> {
        // As PID 1 it is that anyway.
        set_child_subreaper(Some(getpid()))?;
        let mut signals = signal(SignalKind::child())?;
        let children = Arc::new(Children {
            awaited: Mutex::default(),
            reaped: watch::Sender::default(),
        });
        let own = Arc::clone(&children);
        tokio::spawn(async move {
            loop {
                own.reap();
                if signals.recv().await.is_none() {
                    return;
                }
            }
        });
        Ok(children)
    }

    /// Starts a program, through this one, so that it ends with this process.
    pub fn start(&self, mut command: Command) -> io::Result<Started> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("a process without an id"))?;
        let (tell, ended) = oneshot::channel();
        self.awaited().insert(pid, tell);
        Ok(Started {
            pid,
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            ended,
            lines: Vec::new(),
        })
    }

    /// Sends a signal to a child that was not reaped, so to no other process with its id.
    pub fn signal(&self, pid: Pid, signal: Signal) {
        if self.awaited().contains_key(&pid) {
            // It may have ended and not be reaped: then there is nobody to hear it.
            let _ = kill_process(pid, signal);
        }
    }

    /// Says when any child has been reaped.
    pub fn reaped(&self) -> watch::Receiver<()> {
        self.reaped.subscribe()
    }

    fn awaited(&self) -> std::sync::MutexGuard<'_, HashMap<Pid, oneshot::Sender<WaitStatus>>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reap(&self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if let Some(tell) = self.awaited().remove(&pid) {
                        let _ = tell.send(status);
                    }
                    self.reaped.send_replace(());
                }
                Err(Errno::INTR) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }
}

/// Of this program, how a harness is started.
pub fn command(argv: &[OsString]) -> Command {
    // Not by its path: the file may be replaced while it runs.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(BECOME)
        .arg(getpid().as_raw_nonzero().to_string())
        .args(argv);
    command
}

/// This process becomes the harness, and ends when its parent does.
pub fn become_harness(mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let parent = words.next();
    let parent = parent.and_then(|word| word.to_str()?.parse::<i32>().ok());
    let Some(program) = words.next() else {
        return ExitCode::from(2);
    };
    if set_parent_process_death_signal(Some(Signal::KILL)).is_err() {
        return ExitCode::from(126);
    }
    // It may have ended before the line above.
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != parent {
        return ExitCode::from(126);
    }
    let why = Command::new(&program).args(words).exec();
    eprintln!("cannot start {}: {why}", program.display());
    ExitCode::from(127)
}

/// All that run below this process, in no order.
pub fn descendants() -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for entry in entries {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(pid) = pid
            && let Some(parent) = parent_of(pid)
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut ahead = vec![getpid().as_raw_nonzero().get()];
    while let Some(parent) = ahead.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            ahead.push(child);
            found.extend(Pid::from_raw(child));
        }
    }
    found
}

/// Its parent, unless it has ended. Its name may have blanks and parentheses in it: what follows stands behind the last of them.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z" && state != "X").then_some(parent)
}

/// How it ended, in words.
pub fn how(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("ended with {code}"),
        (_, Some(signal)) => format!("was ended by signal {signal}"),
        _ => "ended".to_owned(),
    }
}
