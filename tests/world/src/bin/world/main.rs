//! `cargo world`: a local world for people and scripts. README.md says what is in its directory.

mod measure;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use world::{
    Breakers, Conformance, Harness, Options, Rush, SYSTEM_NAMESPACE, Source, Storm, Subject, World,
    canary, truth,
};

/// A real Kubernetes API server, a simulated outside, and the controller, on this machine.
#[derive(Parser)]
#[command(name = "world", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Let a fleet lose what it stands on, and see that it changes nothing until it is told to.
    Breakers(BreakersOf),
    /// Search what the worlds of tests left behind for every credential that took part in them.
    Canary {
        /// The folder of the worlds.
        #[arg(default_value = "target/worlds")]
        worlds: PathBuf,
    },
    /// Programs that agents are, as their makers publish them.
    #[command(subcommand)]
    Harness(HarnessCommand),
    /// Measure the numbers of the README's table.
    #[command(subcommand)]
    Measure(measure::Measure),
    /// Look at every status that the worlds of tests left behind for two things of which only one can be so.
    Truth {
        /// The folder of the worlds.
        #[arg(default_value = "target/worlds")]
        worlds: PathBuf,
    },
    /// Send many claims for few agents while answers get lost, two controllers lead, and leaders die: nothing is served twice.
    Rush(RushOf),
    /// Put a fleet through a storm of disturbances, and see that it comes to rest and goes.
    Storm(StormOf),
    /// Start a world, print `ready`, and keep it until Ctrl-C or SIGTERM.
    Up(Up),
}

#[derive(Subcommand)]
enum HarnessCommand {
    /// Check what the table of harnesses says of one against the real program, as its image starts it and behind the runner.
    Check(CheckOf),
    /// Fetch one into cargo's target directory: openclaw and opencode from npm, hermes from PyPI.
    Install {
        #[arg(value_name = "NAME", value_parser = harness)]
        harness: Harness,
    },
}

fn harness(name: &str) -> Result<Harness, String> {
    let known = Harness::ALL.map(Harness::name).join(", ");
    Harness::named(name).ok_or_else(|| format!("{name:?} is none of {known}"))
}

#[derive(Args)]
struct CheckOf {
    /// openclaw, hermes or opencode, which are installed first where they are not; or http, with --program.
    name: String,
    /// Your own program for http: a file that can be run, or one in Python whose name ends in .py.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where the world's files go.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The controller's binary; without it, it is built.
    #[arg(long, value_name = "FILE")]
    controller: Option<PathBuf>,
    /// The runner's binary; without it, it is built.
    #[arg(long, value_name = "FILE")]
    runner: Option<PathBuf>,
}

#[derive(Args)]
struct RushOf {
    /// Where the world's files go.
    #[arg(long, value_name = "DIR", default_value = "target/rush")]
    dir: PathBuf,
    /// Agents that are idle at first.
    #[arg(long, default_value_t = 300)]
    agents: usize,
    /// Claims that come at once.
    #[arg(long, default_value_t = 1000)]
    claims: usize,
    /// Rounds in which a leader is killed or sleeps.
    #[arg(long, default_value_t = 50)]
    rounds: usize,
    /// Of what befalls them.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The controller's binary; without it, it is built.
    #[arg(long, value_name = "FILE")]
    controller: Option<PathBuf>,
}

#[derive(Args)]
struct BreakersOf {
    /// Where the world's files go.
    #[arg(long, value_name = "DIR", default_value = "target/breakers")]
    dir: PathBuf,
    /// Agents of the fleet.
    #[arg(long, default_value_t = 1000)]
    agents: usize,
    /// The controller's binary; without it, it is built.
    #[arg(long, value_name = "FILE")]
    controller: Option<PathBuf>,
}

#[derive(Args)]
struct StormOf {
    /// Where the world's files go.
    #[arg(long, value_name = "DIR", default_value = "target/storm")]
    dir: PathBuf,
    /// What the disturbances are made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long they come.
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// Agents in each of the three namespaces.
    #[arg(long, default_value_t = 6)]
    agents: usize,
    /// The list of disturbances of an earlier storm (storm.jsonl in its world's directory), in place of a seed's.
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    replay: Option<PathBuf>,
    /// The controller's binary; without it, it is built.
    #[arg(long, value_name = "FILE")]
    controller: Option<PathBuf>,
}

#[derive(Args)]
struct Up {
    /// Where the world's files go: kubeconfig, world.json, proxy.env, records and logs.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Start no controller.
    #[arg(long)]
    without_controller: bool,
    /// Apply no chart: an empty cluster to install it into. The controller is started when it is installed, as a kubelet
    /// would start the Deployment's Pod.
    #[arg(long)]
    without_chart: bool,
    /// Set a simulator setting (railway.readLag=3s), or a flag of the controller (controller.observeInterval=1s).
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = world::setting)]
    settings: Vec<(String, String)>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match CommandLine::parse_from(world::arguments()).command {
        Command::Canary { worlds } => {
            canary::search(&worlds).map(|searched| println!("{searched}"))
        }
        Command::Harness(harness) => harness.run().await,
        Command::Measure(measure) => measure.run().await,
        Command::Truth { worlds } => truth::look(&worlds).map(|looked| println!("{looked}")),
        Command::Breakers(breakers) => breakers.run().await,
        Command::Rush(rush) => rush.run().await,
        Command::Storm(storm) => storm.run().await,
        Command::Up(up) => up.run().await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("world: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The binary that was named, or one that is built.
async fn built(controller: Option<PathBuf>) -> Result<PathBuf> {
    match controller {
        Some(built) => Ok(std::path::absolute(built)?),
        None => tokio::task::spawn_blocking(world::build_controller)
            .await
            .context("building the controller")?,
    }
}

impl HarnessCommand {
    async fn run(self) -> Result<()> {
        let harness = match self {
            Self::Check(check) => return check.run().await,
            Self::Install { harness } => harness,
        };
        let installing = tokio::task::spawn_blocking(move || harness.install());
        let installed = installing.await.context("installing")??;
        let (name, version) = (harness.name(), harness.version());
        let was = if installed.fetched {
            "is"
        } else {
            "was already"
        };
        println!("{name} {version} {was} in {}", installed.into.display());
        println!("--set agent.programs={}", installed.programs.display());
        Ok(())
    }
}

impl CheckOf {
    async fn run(self) -> Result<()> {
        let subject = match (self.name.as_str(), self.program) {
            ("http", Some(program)) => Subject::Own(program),
            ("http", None) => bail!("http is a program of yours: name it with --program FILE"),
            (name, None) => Subject::Known(harness(name).map_err(anyhow::Error::msg)?),
            (name, Some(_)) => {
                bail!("--program is for http: what {name} is stands in tests/harness")
            }
        };
        let runner = match (self.runner, &subject) {
            (_, Subject::Own(_)) => None,
            (Some(runner), _) => Some(std::path::absolute(runner)?),
            (None, _) => {
                let build = tokio::task::spawn_blocking(world::build_runner);
                Some(build.await.context("building the runner")??)
            }
        };
        let dir = self
            .dir
            .unwrap_or_else(|| format!("target/worlds/harness.{}", self.name).into());
        let conformance = Conformance {
            subject,
            dir,
            controller: built(self.controller).await?,
            runner,
        };
        match conformance.run().await? {
            true => Ok(()),
            false => bail!("{} is not what its row says", self.name),
        }
    }
}

impl BreakersOf {
    async fn run(self) -> Result<()> {
        let breakers = Breakers {
            dir: self.dir,
            controller: built(self.controller).await?,
            agents: self.agents,
        };
        println!("{}", breakers.run().await?);
        Ok(())
    }
}

impl RushOf {
    async fn run(self) -> Result<()> {
        let rush = Rush {
            dir: self.dir,
            controller: built(self.controller).await?,
            agents: self.agents,
            claims: self.claims,
            rounds: self.rounds,
            seed: self.seed,
        };
        println!("{}", rush.run().await?);
        Ok(())
    }
}

impl StormOf {
    async fn run(self) -> Result<()> {
        let storm = Storm {
            dir: self.dir,
            controller: built(self.controller).await?,
            length: Duration::try_from_secs_f64(self.minutes * 60.0)?,
            source: self.replay.map_or(Source::Seed(self.seed), Source::Replay),
            agents: self.agents,
        };
        println!("{}", storm.run().await?);
        Ok(())
    }
}

impl Up {
    async fn run(self) -> Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let told = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        };
        tokio::pin!(told);

        let starting = self.start();
        let (mut world, awaited) = tokio::select! {
            started = starting => started?,
            () = &mut told => return Ok(()),
        };
        println!("ready");
        if let Some((binary, flags)) = awaited {
            tokio::select! {
                installed = installed(&world) => installed?,
                () = &mut told => return world.stop().await,
            }
            world.run_installed(binary, flags).await?;
            println!("the chart is installed, and its controller runs");
        }
        let died = tokio::select! {
            error = world.control_plane_died() => Err(error),
            () = &mut told => Ok(()),
        };
        let stopped = world.stop().await;
        died.and(stopped)
    }

    /// The world, and the controller that is to be run when the chart is there.
    async fn start(self) -> Result<(World, Option<(PathBuf, Vec<String>)>)> {
        let mut options = Options::new(self.dir);
        for (key, value) in self.settings {
            match key.strip_prefix("controller.") {
                Some(flag) => options
                    .controller_args
                    .push(format!("--{}={value}", kebab(flag))),
                None => options.simulator_settings.push((key, value)),
            }
        }
        if !self.without_controller {
            let build = tokio::task::spawn_blocking(world::build_controller);
            options.controller = Some(build.await.context("building the controller")??);
        }
        let mut awaited = None;
        if self.without_chart {
            options.chart = false;
            let flags = options.controller_args.clone();
            awaited = options.controller.take().map(|binary| (binary, flags));
        }
        Ok((World::start(options).await?, awaited))
    }
}

/// Waits until the chart's Deployment is there; all that it needs was made before it.
async fn installed(world: &World) -> Result<()> {
    let deployment = world.object("Deployment", Some(SYSTEM_NAMESPACE), "yardmaster");
    loop {
        if deployment.find().await?.is_some() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// `observeInterval` as the flag's `observe-interval`.
fn kebab(name: &str) -> String {
    let mut flag = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            flag.push('-');
        }
        flag.push(letter.to_ascii_lowercase());
    }
    flag
}

#[cfg(test)]
mod tests {
    #[test]
    fn settings_name_flags() {
        assert_eq!(super::kebab("observeInterval"), "observe-interval");
        assert_eq!(super::kebab("log"), "log");
    }
}
