//! Whether a row of the harness table tells the truth: each of its fields against the real program, in a world of its own.
//!
//! Holds: the program is started by the simulator's Railway as the real controller configured it, and spoken to at its public address; what
//! its models were asked stands in `harness.jsonl`. The row is the product's own (`yardmaster::model`), so that no copy of it is proven.

mod behind;
mod dialect;
mod direct;
mod door;
mod lab;
mod report;
mod subject;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

pub use report::{Manner, Report};
pub use subject::Subject;

use crate::options::Options;
use crate::world::World;
use lab::Lab;

/// A check of one program.
#[derive(Debug, Clone)]
pub struct Conformance {
    pub subject: Subject,
    /// Where the world goes.
    pub dir: PathBuf,
    /// The controller's binary.
    pub controller: PathBuf,
    /// `yardmaster-runner`; without it the program is checked as its image starts it alone.
    pub runner: Option<PathBuf>,
}

impl Conformance {
    /// The world in which it is checked. A program that is not installed is installed first.
    ///
    /// # Errors
    /// It cannot be installed, or the world does not start.
    pub async fn world(&self) -> Result<World> {
        let (subject, runner) = (self.subject.clone(), self.runner.clone());
        let preparing = tokio::task::spawn_blocking(move || subject.prepare(runner.as_deref()));
        let programs = preparing.await.context("installing")??;
        let options = Options::new(&self.dir)
            .controller(&self.controller)
            .controller_arg("--request-timeout=10s")
            .set("agent.programs", &programs.display().to_string());
        let world = World::start(options).await;
        // The simulator has read it.
        let _ = std::fs::remove_file(programs);
        world
    }

    /// Checks it, and tells each check as a test runner would.
    ///
    /// # Errors
    /// What a check needs could not be had: that is no failed check.
    pub async fn run(&self) -> Result<bool> {
        let world = self.world().await?;
        let mut report = Report::new(self.subject.name(), Manner::Tests);
        let checked = self.checked(&world, &mut report).await;
        let stopped = world.stop().await;
        println!("{}", report.closing());
        checked.with_context(|| format!("the world's records are in {}", world.dir().display()))?;
        stopped?;
        Ok(report.held())
    }

    async fn checked(&self, world: &World, report: &mut Report) -> Result<()> {
        let lab = Lab::new(world, &self.subject, "direct").await?;
        report.half("direct");
        direct::direct(&lab, report).await?;
        if let (Some(_), Subject::Known(harness)) = (&self.runner, &self.subject) {
            let lab = Lab::new(world, &self.subject, "runner").await?;
            report.half("runner");
            behind::behind(&lab, *harness, report).await?;
        }
        Ok(())
    }

    /// The way of an agent behind the runner from pool to release, told to a person.
    ///
    /// # Errors
    /// What a step needs could not be had.
    pub async fn tell(&self, world: &World) -> Result<Report> {
        let mut report = Report::new(self.subject.name(), Manner::Story);
        if let Subject::Known(harness) = self.subject {
            let lab = Lab::new(world, &self.subject, "demo").await?;
            behind::behind(&lab, harness, &mut report).await?;
        }
        Ok(report)
    }
}
