//! The story of one real program under Yardmaster: the steps are those of `cargo world -- harness check`, told to a person.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use world::{Conformance, Harness, Subject};

use crate::interrupted;

/// Tells it. Without `once` the world stays up afterwards.
pub(crate) async fn tell(harness: Harness, dir: Option<PathBuf>, once: bool) -> Result<()> {
    let (dir, temporary) = match dir {
        Some(dir) => (dir, None),
        None => {
            let temporary = TempDir::with_prefix("yardmaster-demo-")?;
            (temporary.path().to_owned(), Some(temporary))
        }
    };
    let told = interrupted()?;
    tokio::pin!(told);
    let building = tokio::task::spawn_blocking(|| {
        world::build_cluster()?;
        Ok::<_, anyhow::Error>((world::build_controller()?, world::build_runner()?))
    });
    let (controller, runner) = tokio::select! {
        built = building => built??,
        () = &mut told => bail!("interrupted"),
    };
    let story = Conformance {
        subject: Subject::Known(harness),
        dir,
        controller,
        runner: Some(runner),
    };
    println!(
        "{} {} in a world of its own: a Kubernetes API server, a simulated Railway and OpenRouter, and the controller",
        harness.name(),
        harness.version()
    );
    let world = tokio::select! {
        world = story.world() => world?,
        () = &mut told => bail!("interrupted"),
    };
    let report = tokio::select! {
        report = story.tell(&world) => Some(report),
        () = &mut told => None,
    };
    if report.is_some() && !once {
        println!(
            "the world stays up; Ctrl-C ends it. Its directory: {}",
            world.dir().display()
        );
        tokio::select! {
            error = world.control_plane_died() => return Err(error),
            () = &mut told => {}
        }
    }
    world.stop().await?;
    if let Some(temporary) = temporary {
        let removed = temporary.close();
        removed.context("cannot remove the demo's directory")?;
    }
    match report {
        None => bail!("interrupted"),
        Some(report) => {
            let report = report?;
            match report.held() {
                true => Ok(()),
                false => bail!("did not hold:{}", report.closing()),
            }
        }
    }
}
