//! A storm: a fleet of agents in several namespaces with a pool in each, claims on those, and everything at once that could go
//! wrong: users who change their minds, hands at the providers, faults on both sides, kills, sleeps, losses of ledgers, statuses and Secrets. When it is
//! over, everything must come to rest as the objects say, and then go.
//!
//! Holds: what happens is a list made before it begins (`script`), written beside the world's records, and can be run
//! again; a storm that found something wrong says what, and where its list is. Absent: the product's code; what is true is
//! read off objects and inventory (`judge`).

mod claims;
mod fleet;
mod hands;
mod judge;
mod script;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::time;

use crate::options::Options;
use crate::world::World;
use fleet::Fleet;

/// The list in the world's directory.
const SCRIPT: &str = "storm.jsonl";

/// A storm to come.
#[derive(Debug, Clone)]
pub struct Storm {
    /// Where the world goes.
    pub dir: PathBuf,
    /// The controller's binary.
    pub controller: PathBuf,
    /// What is thrown: the list of this seed, or one that was written.
    pub source: Source,
    /// How long disturbances come.
    pub length: Duration,
    /// Agents in each of the three namespaces.
    pub agents: usize,
}

/// Where the list comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Made from a seed.
    Seed(u64),
    /// Read from a file.
    Replay(PathBuf),
}

/// What came of a storm.
#[derive(Debug)]
pub struct Weathered {
    disturbances: BTreeMap<String, usize>,
    refused: usize,
    fired_outside: u64,
    fired_inside: u64,
    restarts: u32,
    came_up: Duration,
    came_to_rest: Duration,
    gone_after: Duration,
    compared: usize,
    wallets: usize,
}

impl fmt::Display for Weathered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: usize = self.disturbances.values().sum();
        writeln!(
            f,
            "{all} disturbances ({} met nothing to disturb), {} faults fired outside and {} at the API server, {} restarts",
            self.refused, self.fired_outside, self.fired_inside, self.restarts
        )?;
        for (word, count) in &self.disturbances {
            write!(f, "{word} {count}; ")?;
        }
        write!(
            f,
            "\nup after {:.0} s, at rest {:.0} s after the last disturbance with {} things held against ledgers, gone after {:.0} s; {} wallets stay suspended",
            self.came_up.as_secs_f64(),
            self.came_to_rest.as_secs_f64(),
            self.compared,
            self.gone_after.as_secs_f64(),
            self.wallets,
        )
    }
}

impl Storm {
    /// Runs it, in a world of its own.
    ///
    /// # Errors
    /// Something did not hold: the error says what, and where the list of disturbances is.
    pub async fn run(&self) -> Result<Weathered> {
        let options = Options::new(&self.dir)
            .controller(&self.controller)
            // So that a late answer can be later than any deadline and still land before it is given up.
            .controller_arg("--settle=2s");
        let world = World::start(options).await?;
        let list = match &self.source {
            Source::Seed(seed) => script::script(*seed, self.length, self.agents),
            Source::Replay(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                script::read(&text).with_context(|| path.display().to_string())?
            }
        };
        let kept = world.dir().join(SCRIPT);
        std::fs::write(&kept, script::write(&list)?)
            .with_context(|| format!("cannot write {}", kept.display()))?;
        let weathered = self.through(&world, &list).await;
        let stopped = world.stop().await;
        let weathered = weathered.with_context(|| {
            format!(
                "the storm found something; the same again: --replay {}; the world's records are in {}",
                kept.display(),
                world.dir().display()
            )
        })?;
        stopped?;
        Ok(weathered)
    }

    async fn through(&self, world: &World, list: &[script::Due]) -> Result<Weathered> {
        let rival = world.another_controller("rival", &[])?;
        rival.start().await?;
        let begun = Instant::now();
        let fleet = Fleet::launch(world, self.agents).await?;
        judge::at_rest(&fleet, judge::Patience::COMING_UP)
            .await
            .context("before anything was disturbed")?;
        let came_up = begun.elapsed();

        let storm = Instant::now();
        let mut hands = hands::Hands::new(&fleet, &rival).await?;
        let mut disturbances = BTreeMap::new();
        let mut refused = 0;
        for due in list {
            time::sleep_until((storm + Duration::from_millis(due.at)).into()).await;
            *disturbances.entry(due.what.word()).or_default() += 1;
            // What finds nothing to disturb, or is refused by the API server because that is disturbed, is no news.
            if let Err(error) = hands.disturb(&due.what).await {
                refused += 1;
                eprintln!("{:>6} ms {}: {error:#}", due.at, due.what.word());
            }
        }
        let (fired_outside, fired_inside) = hands.calm().await?;

        let calm = Instant::now();
        let compared = judge::at_rest(&fleet, judge::Patience::AFTER_A_STORM)
            .await
            .context("after the last disturbance")?;
        let came_to_rest = calm.elapsed();
        judge::rests(&fleet).await.context("at rest")?;
        let leaving = Instant::now();
        let wallets = judge::goes(&fleet).await.context("on the way back")?;
        let restarts = world.controller()?.restarts() + rival.restarts();
        rival.stop().await?;
        Ok(Weathered {
            disturbances,
            refused,
            fired_outside,
            fired_inside,
            restarts,
            came_up,
            came_to_rest,
            gone_after: leaving.elapsed(),
            compared,
            wallets,
        })
    }
}
