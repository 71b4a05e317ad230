//! One program of a deployment, from its first start to its end: started again as the restart policy says, asked to end, killed.
//!
//! It runs in a process namespace of its own, whose first process it is, as in a container: when that ends, whatever it started
//! ends. That process is killed when its parent is, and the parent when the thread of this world that started it ends. So nothing
//! outlives a world, also one that was killed, and none of it is unsafe code.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time;

use super::order::Order;
use super::script::script;

/// Where the tools lie that lay the disks. What the program finds is its own PATH.
const TOOLS: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// How often is looked whether a program takes connections.
const GLANCE: Duration = Duration::from_millis(50);
/// Between an end and the next start.
const PAUSE: Duration = Duration::from_millis(250);

/// Which start of which deployment: a restart by hand is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub deployment: String,
    pub restarted: Option<jiff::Timestamp>,
}

/// How it came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was asked to.
    Stopped,
    /// By itself, and well.
    Completed,
    /// It failed too often.
    GaveUp,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Course {
    pub pid: Option<u32>,
    pub starts: u64,
    pub serves: bool,
    pub stopping: bool,
    pub ended: bool,
}

#[derive(Debug)]
pub(super) struct Unit {
    pub key: Key,
    /// Ids of environment and service.
    pub service: (String, String),
    pub port: u16,
    /// Its own directory: `log`, `home`, `root`.
    pub directory: PathBuf,
    pub version: Option<String>,
    pub disks: Vec<String>,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    pub course: Mutex<Course>,
    pub stop: watch::Sender<bool>,
}

impl Unit {
    pub(super) fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Asks it to end; it takes no requests from now on.
    pub(super) fn ask_to_end(&self) {
        self.course().stopping = true;
        self.stop.send_replace(true);
    }

    /// A line of our own in the program's log.
    fn say(&self, text: &str) {
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.log_file());
        if let Err(error) = log.and_then(|mut log| writeln!(log, "[simulator] {text}")) {
            tracing::warn!(%error, "a program's log cannot be written");
        }
    }

    /// Runs it until it is not started again.
    pub(super) async fn live(self: &Arc<Self>, order: &Order) -> Ending {
        let mut stop = self.stop.subscribe();
        loop {
            if *stop.borrow_and_update() {
                return Ending::Stopped;
            }
            let mut child = match self.start(order) {
                Ok(child) => child,
                Err(error) => {
                    self.say(&format!("cannot be started: {error}"));
                    return Ending::GaveUp;
                }
            };
            let ended = tokio::select! {
                ended = child.wait() => ended,
                never = self.watch_port() => never,
                () = told(&mut stop) => {
                    self.end(&mut child).await;
                    return Ending::Stopped;
                }
            };
            let (starts, failed) = {
                let mut course = self.course();
                (course.serves, course.pid) = (false, None);
                (
                    course.starts,
                    !matches!(&ended, Ok(status) if status.success()),
                )
            };
            self.say(&format!("ended: {}", described(&ended)));
            if !order.restarts.again(starts, failed) {
                return match failed {
                    true => Ending::GaveUp,
                    false => Ending::Completed,
                };
            }
            // Whoever asks it to end meanwhile is heard at the beginning of the next turn.
            let _ = time::timeout(PAUSE, told(&mut stop)).await;
        }
    }

    fn start(&self, order: &Order) -> io::Result<Child> {
        let (home, root) = (self.directory.join("home"), self.directory.join("root"));
        for directory in order
            .disks
            .iter()
            .map(|disk| &disk.directory)
            .chain([&home, &root])
        {
            fs::create_dir_all(directory)?;
        }
        let pid_file = self.pid_file();
        let _ = fs::remove_file(&pid_file);
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.log_file())?;
        let mut command = Command::new("setpriv");
        command
            .args([
                "--pdeathsig",
                "KILL",
                "unshare",
                "--mount",
                "--pid",
                "--fork",
            ])
            .arg("--kill-child=KILL");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command
            .args([
                "/bin/sh",
                "-c",
                &script(&root, &pid_file, &order.disks)?,
                "sh",
            ])
            .arg(&order.cwd)
            .arg(&order.path)
            .args(&order.argv)
            .env_clear()
            .envs(&order.environment)
            .env("PATH", TOOLS)
            .stdin(Stdio::null())
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            .process_group(0)
            .kill_on_drop(true);
        self.say(&format!(
            "starts at port {}: {}",
            self.port,
            order.argv.join(" ")
        ));
        let child = command.spawn()?;
        let mut course = self.course();
        course.starts += 1;
        course.pid = child.id();
        Ok(child)
    }

    fn pid_file(&self) -> PathBuf {
        self.directory.join("pid")
    }

    /// Never ends; says when its port takes connections.
    async fn watch_port<T>(&self) -> T {
        loop {
            time::sleep(GLANCE).await;
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                self.course().serves = true;
                return std::future::pending().await;
            }
        }
    }

    /// SIGTERM to the program itself, SIGKILL to all of it when the grace is over.
    async fn end(&self, child: &mut Child) {
        let pid = fs::read_to_string(self.pid_file()).ok();
        let pid = pid.and_then(|text| Pid::from_raw(text.trim().parse().ok()?));
        if let Some(pid) = pid {
            // One that has ended is gone already.
            let _ = kill_process(pid, Signal::TERM);
        }
        let grace = if pid.is_some() {
            self.grace
        } else {
            Duration::ZERO
        };
        let how = match time::timeout(grace, child.wait()).await {
            Ok(_) => "stopped",
            Err(_) => {
                let _ = child.kill().await;
                "killed: it did not end in time"
            }
        };
        self.say(how);
    }
}

/// Completes when it is told to end; nobody left to tell it is the same.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn described(ended: &io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

/// Whether this machine lets a program begin so; the text says what it does not.
pub(super) async fn permitted() -> Result<(), String> {
    let own: &[&str] = match rustix::process::geteuid().is_root() {
        true => &[],
        false => &["--user", "--map-root-user"],
    };
    let tried = Command::new("setpriv")
        .args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
        ])
        .args(own)
        .args(["/bin/sh", "-c", "mount -t tmpfs tmpfs /mnt"])
        .env("PATH", TOOLS)
        .stdin(Stdio::null())
        .output()
        .await;
    let said = match tried {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(format!(
        "agent.programs needs `unshare --mount --pid` and `setpriv` of util-linux on Linux, as root or with user namespaces, \
         and this machine does not permit it: {said}"
    ))
}

/// A port that nobody has, below the range that systems take outgoing ports from.
pub(super) fn free_port() -> io::Result<u16> {
    for _ in 0..1000 {
        let port = rand::random_range(20_000..32_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::other("no port is free"))
}

/// Makes a unit's directory, and its log.
pub(super) fn prepare(directory: &std::path::Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    File::options()
        .append(true)
        .create(true)
        .open(directory.join("log"))
        .map(drop)
}
