//! What was told becomes what the harness knows: its files, its variables, a call or a new start.
//!
//! Holds: it is done when the harness is ready again. Absent: what was told (`telling.rs`).

use crate::contract::{Contract, ToldBy};
use crate::environment::Given;
use crate::harness::Restart;
use crate::memory::{Memory, Told};
use crate::probe::Probe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

/// The controller waits 75 seconds for a telling.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// So often it is asked whether it is ready.
const BETWEEN: Duration = Duration::from_millis(300);

/// Changes the harness.
pub struct Applying {
    pub contract: Arc<Contract>,
    pub given: Arc<Given>,
    pub memory: Arc<Memory>,
    pub probe: Arc<Probe>,
    pub orders: mpsc::Sender<Restart>,
}

impl Applying {
    /// Makes the harness know what is kept now. One that was started with the same already is only waited for: who asks again because the
    /// answer took long does not begin it anew.
    pub async fn apply(&self) -> Result<(), String> {
        let told = self.memory.told();
        let places = self.contract.places();
        for file in &self.contract.persona.files {
            if let Some((text, mode)) = told.lays(file) {
                let laid = places.lay(&file.path, text.as_bytes(), 0o600, mode);
                laid.map_err(|why| why.to_string())?;
            }
        }
        self.keep(self.memory.told().laid())?;
        // Nobody can change the variables of what runs.
        let variables = |told| self.given.of_harness(&self.contract, told, 0, "");
        let started = self.memory.started();
        let same = variables(&started) == variables(&told);
        match &self.contract.told_by {
            ToldBy::Restart if same && started.says_the_same(&told) => {}
            ToldBy::Nothing if same => {}
            ToldBy::Post(path) if same => {
                self.ready().await?;
                self.probe.post(path).await?;
            }
            _ => self.restart(Vec::new()).await?,
        }
        self.ready().await
    }

    /// Keeps what is known, durably.
    pub fn keep(&self, told: Told) -> Result<(), String> {
        self.memory.keep(told).map_err(|why| why.to_string())
    }

    /// Stops it, deletes these, and starts it.
    pub async fn restart(&self, delete: Vec<PathBuf>) -> Result<(), String> {
        let (started, done) = oneshot::channel();
        let ends = || "the runner ends".to_owned();
        let order = Restart { delete, started };
        self.orders.send(order).await.map_err(|_| ends())?;
        done.await.map_err(|_| ends())?
    }

    async fn ready(&self) -> Result<(), String> {
        let until = Instant::now() + READY_WITHIN;
        while !self.probe.ready().await.yes {
            if Instant::now() >= until {
                return Err("the harness does not become ready".to_owned());
            }
            sleep(BETWEEN).await;
        }
        Ok(())
    }
}
