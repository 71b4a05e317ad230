//! The controller's process, and the supervision that a Deployment would give it.
//!
//! Holds: whenever it is wanted and not running, it is started, at once, and only one that keeps dying is slowed down;
//! one that was stopped or killed through this module stays down until it is started again. One task owns the child, so
//! orders never race with its death. Absent: what the controller is told (`launch`), and what is in its log.

use std::fmt;
use std::fs::OpenOptions;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::sys::signal::Signal;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::time;

use crate::launch::Launch;
use crate::process::{self, Watchdog};

/// A controller ends within its own shutdown deadline of 25 seconds, or it hangs.
const STOP: Duration = Duration::from_secs(30);
/// One that lived shorter than this has failed to start.
const SHORT_LIFE: Duration = Duration::from_secs(2);
/// So many may fail to start in a row before the next one has to wait.
const FREE_RESTARTS: u32 = 3;
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What is known of the process.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) pid: Option<u32>,
    starts: u32,
    ends: u32,
    last_end: Option<ExitStatus>,
    /// Why it could not be started.
    error: Option<String>,
}

#[derive(Debug)]
enum Order {
    Run,
    /// Signal it and do not start it again.
    End(Signal),
}

/// A controller process under supervision. Dropping it kills the process.
#[derive(Debug)]
pub struct Controller {
    launch: Launch,
    orders: mpsc::UnboundedSender<Order>,
    state: watch::Receiver<State>,
}

impl Controller {
    /// Not running yet.
    pub(crate) fn new(launch: Launch) -> Self {
        let (orders, inbox) = mpsc::unbounded_channel();
        let (publish, state) = watch::channel(State::default());
        tokio::spawn(supervise(launch.clone(), inbox, publish));
        Self {
            launch,
            orders,
            state,
        }
    }

    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Starts it and supervises it from now on; waits for the process, not for its readiness.
    ///
    /// # Errors
    /// The process cannot be started.
    pub async fn start(&self) -> Result<u32> {
        self.order(Order::Run)?;
        let state = self
            .reached("has started", STOP, |state| {
                state.pid.is_some() || state.error.is_some()
            })
            .await?;
        match (state.pid, state.error) {
            (Some(pid), _) => Ok(pid),
            (None, error) => bail!("{}", error.unwrap_or_default()),
        }
    }

    /// Asks it to end (SIGTERM), and waits until it has. It stays down.
    ///
    /// # Errors
    /// It did not end in time; it is killed then.
    pub async fn stop(&self) -> Result<Option<ExitStatus>> {
        self.order(Order::End(Signal::SIGTERM))?;
        match self
            .reached("has ended", STOP, |state| state.pid.is_none())
            .await
        {
            Ok(state) => Ok(state.last_end),
            Err(error) => {
                self.kill().await?;
                Err(error.context("it did not end on SIGTERM and was killed"))
            }
        }
    }

    /// Kills it (SIGKILL), and waits until it is gone. It stays down.
    ///
    /// # Errors
    /// Only if it cannot be killed.
    pub async fn kill(&self) -> Result<()> {
        self.order(Order::End(Signal::SIGKILL))?;
        self.reached("is gone", STOP, |state| state.pid.is_none())
            .await?;
        Ok(())
    }

    /// Kills it (SIGKILL) as a crash would, and waits until the supervision has started the next one.
    ///
    /// # Errors
    /// It was not running, or does not come back.
    pub async fn crash(&self) -> Result<u32> {
        let (pid, starts) = {
            let state = self.state.borrow();
            (
                state.pid.context("the controller is not running")?,
                state.starts,
            )
        };
        process::send(pid, Signal::SIGKILL)?;
        let came_back = |state: &State| state.starts > starts && state.pid.is_some();
        let state = self.reached("has come back", STOP, came_back).await?;
        state.pid.context("the controller is not running")
    }

    /// Sends it a signal: SIGSTOP and SIGCONT make it a leader that was asleep.
    ///
    /// # Errors
    /// It is not running.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().context("the controller is not running")?;
        Ok(process::send(pid, signal)?)
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.state.borrow().pid
    }

    /// Waits until the process that runs now has ended, and tells how. If none runs: how the last one did.
    ///
    /// # Errors
    /// It has not ended by then, or none was ever started.
    pub async fn wait_exit(&self, deadline: Duration) -> Result<ExitStatus> {
        let (pid, ends) = {
            let state = self.state.borrow();
            (state.pid, state.ends)
        };
        let ended = |state: &State| pid.is_none() || state.ends > ends;
        let state = self.reached("has ended", deadline, ended).await?;
        state.last_end.context("no controller has run yet")
    }

    /// How often it was started again after it had died by itself or by a fault.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.state.borrow().starts.saturating_sub(1)
    }

    /// Where probes and metrics are: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.launch.address
    }

    /// Its metrics, as it gives them.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let url = format!("{}/metrics", self.launch.address);
        let answer = crate::control::http()?.get(&url).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Passes over instances so far that had all that a pass needs, by its own count.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn passes(&self) -> Result<usize> {
        Ok(passes(&self.metrics().await?))
    }

    /// Waits until its readiness probe says yes.
    ///
    /// # Errors
    /// It does not by then, or it died without having been ready.
    pub async fn wait_ready(&self, deadline: Duration) -> Result<()> {
        let url = format!("{}/readyz", self.launch.address);
        let http = crate::control::http()?;
        let started = Instant::now();
        let ends = self.state.borrow().ends;
        let mut last = String::new();
        loop {
            match http.get(&url).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => {
                    let status = answer.status();
                    last = format!(
                        "{status}: {}",
                        answer.text().await.unwrap_or_default().trim()
                    );
                }
                Err(error) if last.is_empty() => last = error.to_string(),
                Err(_) => {}
            }
            let failing = self.state.borrow().ends > ends + FREE_RESTARTS;
            if started.elapsed() > deadline || failing {
                bail!(
                    "the controller is not ready after {:.1} s; {url} said: {last}\nIts log ends:\n{}",
                    started.elapsed().as_secs_f64(),
                    self.log_tail(30)
                );
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        process::tail(&self.launch.log, lines)
    }

    /// The file with all it wrote, over all its lives.
    #[must_use]
    pub fn log(&self) -> &std::path::Path {
        &self.launch.log
    }

    fn order(&self, order: Order) -> Result<()> {
        self.orders
            .send(order)
            .map_err(|_| anyhow!("the controller's supervision has ended"))
    }

    async fn reached(
        &self,
        what: &str,
        deadline: Duration,
        condition: impl FnMut(&State) -> bool,
    ) -> Result<State> {
        let mut state = self.state.clone();
        match time::timeout(deadline, state.wait_for(condition)).await {
            Ok(reached) => Ok(reached
                .context("the controller's supervision has ended")?
                .clone()),
            Err(_) => bail!(
                "waited {} s until the controller {what}; its log ends:\n{}",
                deadline.as_secs(),
                self.log_tail(30)
            ),
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid() {
            Some(pid) => write!(f, "controller (process {pid})"),
            None => write!(f, "controller (not running)"),
        }
    }
}

/// A child and the watchdog over it.
struct Life {
    child: Child,
    watchdog: Watchdog,
    since: Instant,
}

async fn supervise(
    launch: Launch,
    mut inbox: mpsc::UnboundedReceiver<Order>,
    publish: watch::Sender<State>,
) {
    let mut wanted = false;
    let mut life: Option<Life> = None;
    let mut failed_starts = 0;
    loop {
        if wanted && life.is_none() && failed_starts <= FREE_RESTARTS {
            match begin(&launch) {
                Ok((begun, pid)) => {
                    life = Some(begun);
                    publish.send_modify(|state| {
                        state.pid = Some(pid);
                        state.starts += 1;
                        state.error = None;
                    });
                }
                Err(error) => {
                    failed_starts = FREE_RESTARTS + 1;
                    publish.send_modify(|state| state.error = Some(format!("{error:#}")));
                }
            }
        }
        let pausing = wanted && life.is_none();
        let running = life.is_some();
        let child_end = async {
            match &mut life {
                Some(life) => life.child.wait().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            end = child_end, if running => {
                if let Some(ended) = life.take() {
                    let short = ended.since.elapsed() < SHORT_LIFE;
                    failed_starts = if short { failed_starts + 1 } else { 0 };
                    // A shell that cannot be killed is gone.
                    let _ = ended.watchdog.dismiss().await;
                }
                publish.send_modify(|state| {
                    state.pid = None;
                    state.ends += 1;
                    state.last_end = end.ok();
                });
            }
            () = time::sleep(RESTART_PAUSE), if pausing => failed_starts = FREE_RESTARTS,
            order = inbox.recv() => match order {
                Some(Order::Run) => {
                    wanted = true;
                    failed_starts = 0;
                }
                Some(Order::End(signal)) => {
                    wanted = false;
                    if let Some(pid) = life.as_ref().and_then(|life| life.child.id()) {
                        // It may have ended a moment ago; then there is nothing left to do.
                        let _ = process::send(pid, signal);
                    }
                }
                // Nobody holds the controller any more; the child is killed as it is dropped.
                None => return,
            },
        }
    }
}

fn begin(launch: &Launch) -> Result<(Life, u32)> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&launch.log)
        .with_context(|| format!("cannot open {}", launch.log.display()))?;
    let mut command = Command::new(&launch.binary);
    command
        .args(&launch.args)
        .env_clear()
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true);
    let child = command
        .spawn()
        .with_context(|| format!("cannot start {}", launch.binary.display()))?;
    let pid = child.id().context("the controller ended at once")?;
    let watchdog = Watchdog::over(pid)?;
    Ok((
        Life {
            child,
            watchdog,
            since: Instant::now(),
        },
        pid,
    ))
}

fn passes(metrics: &str) -> usize {
    let ended = ["unchanged", "changed", "fault"].map(|outcome| {
        format!("yardmaster_reconciles_total{{kind=\"AgentInstance\",outcome=\"{outcome}\"}} ")
    });
    let counts = metrics.lines().filter_map(|line| {
        let count = ended.iter().find_map(|start| line.strip_prefix(start))?;
        count.parse::<usize>().ok()
    });
    counts.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    const SOON: Duration = Duration::from_secs(10);

    /// A stand-in that writes a line and does what the script says.
    fn controller(dir: &tempfile::TempDir, script: &str) -> Controller {
        Controller::new(Launch {
            binary: "/bin/sh".into(),
            args: vec!["-c".to_owned(), format!("echo begun; {script}")],
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            log: dir.path().join("log"),
            address: "http://127.0.0.1:1".to_owned(),
        })
    }

    fn lines(controller: &Controller) -> usize {
        controller.log_tail(usize::MAX).lines().count()
    }

    #[tokio::test]
    async fn stopped_it_stays_down_until_started_again() {
        let dir = tempfile::tempdir().unwrap();
        let controller = controller(&dir, "exec sleep 1000");
        let first = controller.start().await.unwrap();
        assert_eq!(controller.start().await.unwrap(), first, "it runs already");
        let end = controller.stop().await.unwrap().unwrap();
        assert_eq!(end.signal(), Some(Signal::SIGTERM as i32));
        assert_eq!(controller.pid(), None);
        let second = controller.start().await.unwrap();
        assert_ne!(first, second);
        controller.kill().await.unwrap();
        assert_eq!(controller.pid(), None);
        assert_eq!(controller.restarts(), 1);
    }

    #[tokio::test]
    async fn one_that_dies_by_itself_is_started_again_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let controller = controller(&dir, "exec sleep 1000");
        let first = controller.start().await.unwrap();
        let started = Instant::now();
        let second = controller.crash().await.unwrap();
        assert_ne!(first, second);
        assert!(started.elapsed() < RESTART_PAUSE, "it was not made to wait");

        // As a kill fault does it: behind the supervision's back.
        let (exit, killed) = tokio::join!(controller.wait_exit(SOON), async {
            process::send(second, Signal::SIGKILL)
        });
        killed.unwrap();
        assert_eq!(exit.unwrap().signal(), Some(Signal::SIGKILL as i32));
        controller
            .reached("runs", SOON, |state| state.starts == 3)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn one_that_cannot_live_is_slowed_down() {
        let dir = tempfile::tempdir().unwrap();
        let controller = controller(&dir, "exit 3");
        controller.start().await.unwrap();
        let begun = FREE_RESTARTS + 1;
        controller
            .reached("has failed", SOON, |state| state.ends == begun)
            .await
            .unwrap();
        let error = controller
            .wait_ready(Duration::from_millis(200))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("begun"),
            "the error shows the log: {error}"
        );
        assert_eq!(lines(&controller), begun as usize, "the next one waits");
        controller.stop().await.unwrap();
    }

    #[test]
    fn passes_that_had_something_to_look_at_are_counted() {
        let metrics = "# TYPE yardmaster_reconciles_total counter\n\
            yardmaster_reconciles_total{kind=\"AgentInstance\",outcome=\"unchanged\"} 7\n\
            yardmaster_reconciles_total{kind=\"AgentInstance\",outcome=\"changed\"} 2\n\
            yardmaster_reconciles_total{kind=\"AgentInstance\",outcome=\"waiting\"} 40\n\
            yardmaster_reconciles_total{kind=\"AgentTemplate\",outcome=\"unchanged\"} 300\n";
        assert_eq!(passes(metrics), 9);
    }

    #[tokio::test]
    async fn dropped_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let controller = controller(&dir, "exec sleep 1000");
        let pid = controller.start().await.unwrap();
        drop(controller);
        let gone = crate::eventually("it is gone", SOON, || async {
            Ok((!process::is_alive(pid)).then_some(()))
        });
        gone.await.unwrap();
    }
}
