//! The harness: started, watched, started again, ended.
//!
//! Holds: at most one runs, with nothing left of the one before it, because two on one disk destroy what is there; one that ends by
//! itself is started again, later each time; a stop is heard whatever else is done. Absent: whether it is ready (`probe.rs`).

use crate::children::{Children, Started, command, descendants, how};
use crate::contract::Contract;
use crate::environment::Given;
use crate::lines::{self, Lines};
use crate::memory::Memory;
use crate::output::Log;
use crate::probe::Probe;
use crate::secret::Secret;
use rustix::process::{Signal, WaitStatus, kill_process};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};

/// It is stopped, these are deleted, and it is started; then that is told.
pub struct Restart {
    pub delete: Vec<PathBuf>,
    pub started: oneshot::Sender<Result<(), String>>,
}

/// Whether it is to be stopped for good.
pub type Stopping = watch::Receiver<bool>;

/// Why one that ran does not any longer, or one that waits is not started yet.
enum Next {
    /// It ended by itself, or could not be started.
    Again,
    /// That is done before it is started.
    After(Restart),
    /// Nothing more.
    Stop,
}

/// What is needed to run it.
pub struct Harness {
    pub contract: Arc<Contract>,
    pub given: Arc<Given>,
    pub memory: Arc<Memory>,
    pub children: Arc<Children>,
    pub probe: Arc<Probe>,
    pub log: Log,
    pub port: u16,
    pub credential: Secret,
}

/// How long to wait before the next start.
#[derive(Default)]
struct Backoff(u32);

impl Backoff {
    /// After one that ran for so long.
    fn after(&mut self, ran: Duration) -> Duration {
        if ran >= Duration::from_secs(60) {
            self.0 = 0;
        }
        let wait = Duration::from_secs(1 << self.0.min(6)).min(Duration::from_secs(60));
        self.0 += 1;
        wait
    }
}

/// So long its last lines are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Waits until something is to be done with it.
async fn told(orders: &mut mpsc::Receiver<Restart>, stopping: &mut Stopping) -> Next {
    tokio::select! {
        // An error: whoever could say so is gone.
        _ = stopping.wait_for(|stop| *stop) => Next::Stop,
        order = orders.recv() => order.map_or(Next::Stop, Next::After),
    }
}

impl Harness {
    /// Runs it until it is told to stop.
    pub async fn run(self, mut orders: mpsc::Receiver<Restart>, mut stopping: Stopping) {
        let mut backoff = Backoff::default();
        let mut waits: Option<oneshot::Sender<Result<(), String>>> = None;
        // Heard while another end was under way: nothing is started any more.
        while !*stopping.borrow() {
            let began = Instant::now();
            let mut next = match self.start() {
                Ok(child) => {
                    if let Some(waits) = waits.take() {
                        let _ = waits.send(Ok(()));
                    }
                    self.watch(child, &mut orders, &mut stopping).await
                }
                Err(why) => {
                    self.log
                        .say(&format!("{} is not started: {why}", self.contract.name));
                    if let Some(waits) = waits.take() {
                        let _ = waits.send(Err(why.to_string()));
                    }
                    // It may run all the same, unheard.
                    self.end_the_rest(began).await;
                    Next::Again
                }
            };
            if matches!(next, Next::Again) {
                let wait = backoff.after(began.elapsed());
                self.log.say(&format!(
                    "{} is started again in {} s",
                    self.contract.name,
                    wait.as_secs()
                ));
                next = tokio::select! {
                    () = sleep(wait) => continue,
                    next = told(&mut orders, &mut stopping) => next,
                };
            }
            let Next::After(Restart { delete, started }) = next else {
                return;
            };
            backoff = Backoff::default();
            match self.delete(&delete) {
                Ok(()) => waits = Some(started),
                Err(why) => {
                    let _ = started.send(Err(why.to_string()));
                }
            }
        }
    }

    /// Waits for its end or for an order, and ends all that is left of it.
    async fn watch(
        &self,
        mut child: Started,
        orders: &mut mpsc::Receiver<Restart>,
        stopping: &mut Stopping,
    ) -> Next {
        let grace = Duration::from_secs(self.contract.grace_seconds);
        let (next, until) = tokio::select! {
            ended = &mut child.ended => {
                self.ended(ended.ok());
                (Next::Again, Instant::now() + grace)
            }
            next = told(orders, stopping) => {
                let until = Instant::now() + grace;
                self.children.signal(child.pid, Signal::TERM);
                let ended = match timeout_at(until, &mut child.ended).await {
                    Ok(ended) => ended,
                    Err(_) => {
                        self.log.say(&format!("{} did not end within {} s and is killed", self.contract.name, grace.as_secs()));
                        self.children.signal(child.pid, Signal::KILL);
                        child.ended.await
                    }
                };
                self.ended(ended.ok());
                (next, until.max(Instant::now() + Duration::from_secs(1)))
            }
        };
        self.end_the_rest(until).await;
        let last_words = Instant::now() + LAST_WORDS;
        for ended in child.lines {
            // A process that could not be ended may hold the stream.
            let _ = timeout_at(last_words, ended).await;
        }
        next
    }

    fn ended(&self, status: Option<WaitStatus>) {
        self.probe.forget();
        let how = status.map_or_else(|| "ended".to_owned(), how);
        self.log.say(&format!("{} {how}", self.contract.name));
    }

    /// What it has started and left behind: it holds the port and the disk.
    async fn end_the_rest(&self, until: Instant) {
        let mut reaped = self.children.reaped();
        let mut signal = Signal::TERM;
        let killed = until + Duration::from_secs(5);
        loop {
            reaped.mark_unchanged();
            let rest = descendants();
            if rest.is_empty() {
                return;
            }
            for pid in &rest {
                let _ = kill_process(*pid, signal);
            }
            if signal == Signal::TERM {
                self.log.say(&format!(
                    "{} left {} processes behind: they are ended",
                    self.contract.name,
                    rest.len()
                ));
            }
            // Whoever starts others while it is ended is ended with them.
            loop {
                let late = Instant::now() >= until;
                let next = if late {
                    Instant::now() + Duration::from_millis(100)
                } else {
                    until
                };
                let changed = timeout_at(next, reaped.changed()).await.is_ok();
                if descendants().is_empty() {
                    return;
                }
                if Instant::now() >= killed {
                    self.log.say("some processes cannot be ended");
                    return;
                }
                if !changed || Instant::now() >= until {
                    signal = Signal::KILL;
                    break;
                }
            }
        }
    }

    fn delete(&self, paths: &[PathBuf]) -> io::Result<()> {
        let places = self.contract.places();
        paths.iter().try_for_each(|path| places.delete(path))
    }

    fn start(&self) -> io::Result<Started> {
        self.delete(&self.contract.stale)?;
        self.lay()?;
        let told = self.memory.told();
        let port = self.port.to_string();
        let argv = self.contract.argv.iter();
        let argv: Vec<OsString> = argv
            .map(|word| word.replace("{port}", &port).into())
            .collect();
        let mut command = command(&argv);
        let all = self
            .given
            .of_harness(&self.contract, &told, self.port, self.credential.expose());
        command.env_clear().envs(all);
        if let Some(directory) = &self.contract.directory {
            command.current_dir(directory);
        }
        let mut child = self.children.start(command)?;
        let name = &self.contract.name;
        let hidden = self.credential.expose();
        if let Some(stream) = child.stdout.take() {
            let lines = Lines::new(&format!("{name} | "), hidden);
            let ended = lines::copy(stream, lines, Arc::clone(&self.log.out))?;
            child.lines.push(ended);
        }
        if let Some(stream) = child.stderr.take() {
            let lines = Lines::new(&format!("{name} ! "), hidden);
            let ended = lines::copy(stream, lines, Arc::clone(&self.log.err))?;
            child.lines.push(ended);
        }
        self.memory.starts(told);
        self.log.say(&format!("{name} is started"));
        Ok(child)
    }

    /// The template's files, and who it is where that is not on the disk as it was told.
    fn lay(&self) -> io::Result<()> {
        let places = self.contract.places();
        let told = self.memory.told();
        let persona = &self.contract.persona.files;
        for file in &self.contract.files {
            let same = |other: &&_| {
                let other: &&crate::contract::PersonaFile = other;
                places.locate(&other.path) == places.locate(&file.path)
            };
            // What it was told stands above what its template says of everybody.
            if told.is_somebody() && persona.iter().find(same).is_some() {
                continue;
            }
            let permissions = file.permissions().map_err(io::Error::other)?;
            places.lay(&file.path, &file.content.0, permissions, file.mode)?;
        }
        if told.is_somebody() {
            for file in persona {
                if let Some((text, mode)) = told.lays(file) {
                    places.lay(&file.path, text.as_bytes(), 0o600, mode)?;
                }
            }
            if !told.laid {
                self.memory.keep(told.laid())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_start_comes_later_each_time_and_soon_after_a_minute() {
        let mut backoff = Backoff::default();
        let mut after = |seconds| backoff.after(Duration::from_secs(seconds)).as_secs();
        let waits: Vec<u64> = (0..9).map(|_| after(59)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!((after(60), after(0)), (1, 2));
    }
}
