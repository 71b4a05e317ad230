//! The `yardmaster` binary: reads the command line and hands over to the library.

use clap::Parser;
use std::process::ExitCode;
use yardmaster::process::config::{Command, CommandLine, RunFlags};
use yardmaster::process::import::ImportFlags;
use yardmaster::process::sweep::SweepFlags;
use yardmaster::process::{generate, import, run, sweep, telemetry};

fn main() -> ExitCode {
    let done = match CommandLine::parse().command {
        Command::Run(flags) => operate(*flags),
        Command::Import(flags) => adoptable(*flags),
        Command::Sweep(flags) => return sweep(flags),
        Command::Crds => generate::stream()
            .map(|text| print!("{text}"))
            .map_err(|error| error.to_string()),
        Command::Generate { checkout } => {
            generate::write(&checkout).map_err(|error| error.to_string())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("yardmaster: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Ends as its help says.
fn sweep(flags: SweepFlags) -> ExitCode {
    match provide_tls().and_then(|()| block_on(sweep::run(flags))) {
        Ok(told) => {
            print!("{}", told.text);
            ExitCode::from(told.code)
        }
        Err(message) => {
            eprintln!("yardmaster: {message}");
            ExitCode::from(2)
        }
    }
}

fn adoptable(flags: ImportFlags) -> Result<(), String> {
    provide_tls()?;
    let printed = block_on(import::run(flags, |name| std::env::var(name).ok()))?;
    print!("{}", printed.manifests);
    eprintln!("{}", printed.summary);
    Ok(())
}

/// One crypto provider for everything, before anything speaks TLS.
fn provide_tls() -> Result<(), String> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| "another TLS provider is installed already".to_owned())
}

fn block_on<T, E: ToString>(work: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?
        .block_on(work)
        .map_err(|error| error.to_string())
}

fn operate(flags: RunFlags) -> Result<(), String> {
    let environment = |name: &str| std::env::var(name).ok();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|host| host.trim().to_owned());
    let config = flags
        .resolve(environment, host, rand::random())
        .map_err(|error| error.to_string())?;
    telemetry::install(config.log_format, &config.log).map_err(|error| error.to_string())?;
    provide_tls()?;
    block_on(run::run(config))
}
