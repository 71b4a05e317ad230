//! `cargo demo`: a world in a temporary directory, and the story of a few agents in it, told line by line.
//!
//! Holds: with `--once` it ends with 0 only if everything in the story held and nothing is left outside. Absent: what a
//! test should check; this is for people who want to see it run.

mod hand;
mod manifests;
mod narrator;
mod program;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use world::{Harness, Options, World};

use crate::manifests::Manifests;
use crate::narrator::Narrator;
use crate::story::Story;

/// Shows agents coming up on a simulated Railway, managed by the real controller in a real Kubernetes API server.
#[derive(Parser)]
#[command(name = "demo", version)]
struct CommandLine {
    /// End after the story, with 0 only if all of it held and nothing is left outside.
    #[arg(long)]
    once: bool,
    /// Use this directory and keep it; without it a temporary one is used and removed.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Set a simulator setting, such as agent.programs=FILE.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = world::setting)]
    settings: Vec<(String, String)>,
    /// Show one real program instead: from a pool, claimed, told who it is, in a chat, updated, at its limit, released. It is
    /// installed first, where it is not.
    #[arg(long, value_name = "openclaw|hermes|opencode", value_parser = harness, conflicts_with_all = ["manifests", "settings"])]
    harness: Option<Harness>,
    /// Manifests to apply instead of `examples/`: files, or directories of them.
    #[arg(value_name = "PATH")]
    manifests: Vec<PathBuf>,
}

fn harness(name: &str) -> Result<Harness, String> {
    let known = Harness::ALL.map(Harness::name).join(", ");
    Harness::named(name).ok_or_else(|| format!("{name:?} is none of {known}"))
}

/// So that a person can follow: what takes no time in tests takes a second here.
const PACE: [(&str, &str); 2] = [("railway.deployTime", "700ms"), ("agent.bootTime", "700ms")];

#[tokio::main]
async fn main() -> ExitCode {
    let args = CommandLine::parse_from(world::arguments());
    let told = match args.harness {
        Some(harness) => program::tell(harness, args.dir, args.once).await,
        None => run(args).await,
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The examples that the story tells of. Those of harnesses are each a story of its own.
fn told_of() -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(world::checkout_root().join("examples"))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| !path.ends_with("harnesses"));
    paths.sort();
    Ok(paths)
}

async fn run(args: CommandLine) -> Result<()> {
    // Read first: a wrong path should not cost a build.
    let examples = args.manifests.is_empty();
    let manifests = match examples {
        true => Manifests::read(&told_of()?)?,
        false => Manifests::read(&args.manifests)?,
    };
    let (dir, temporary) = match args.dir {
        Some(dir) => (dir, None),
        None => {
            let temporary = TempDir::with_prefix("yardmaster-demo-")?;
            (temporary.path().to_owned(), Some(temporary))
        }
    };
    let told = interrupted()?;
    tokio::pin!(told);

    let building = tokio::task::spawn_blocking(|| {
        world::build_cluster().and_then(|()| world::build_controller())
    });
    let controller = tokio::select! {
        built = building => built??,
        () = &mut told => bail!("interrupted"),
    };
    // The clock starts when everything is built.
    let narrator = Narrator::new();
    narrator.say("starting a Kubernetes API server, a simulated Railway, and the controller");
    let starting = async {
        let mut options = Options::new(dir).controller(controller);
        for (key, value) in PACE {
            options = options.set(key, value);
        }
        for (key, value) in args.settings {
            options = options.set(&key, &value);
        }
        World::start(options).await
    };
    let world = tokio::select! {
        world = starting => world?,
        () = &mut told => bail!("interrupted"),
    };

    let following = async {
        narrator.follow(&world).await.unwrap_or_else(|error| {
            narrator.say(&format!("(the agents cannot be watched: {error:#})"));
        });
        std::future::pending::<()>().await;
    };
    let mut story = Story::new(&world, &narrator, manifests);
    let telling = async {
        match (examples, args.once) {
            (true, once) => story.tell_examples(once).await,
            (false, once) => story.tell_manifests(once).await,
        }
    };
    let told_in_full = tokio::select! {
        () = telling => true,
        () = following => false,
        () = &mut told => false,
    };
    if told_in_full && !args.once {
        let directory = world.directory();
        narrator.say("the world stays up; Ctrl-C ends it. In another terminal:");
        println!("export KUBECONFIG={}", directory.kubeconfig().display());
        println!(
            "export PATH={}:$PATH",
            directory.path().join("bin").display()
        );
        println!("kubectl get yard -A");
        tokio::select! {
            error = world.control_plane_died() => return Err(error),
            () = &mut told => {}
        }
    }
    let broken = story.broken();
    world.stop().await?;
    if let Some(temporary) = temporary {
        temporary
            .close()
            .context("cannot remove the demo's directory")?;
    }
    if !told_in_full {
        bail!("interrupted");
    }
    if !broken.is_empty() {
        bail!("did not hold:\n  {}", broken.join("\n  "));
    }
    Ok(())
}

/// Completes when the user or the system wants this to end.
fn interrupted() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
