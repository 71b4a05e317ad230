//! From the environment to a running door and harness, and to their end.
//!
//! Holds: what is wrong with the environment is said once, in words without values, and ends the runner; SIGTERM is passed on, and the
//! door stays open until the harness has ended. Absent: everything that happens between.

use crate::apply::Applying;
use crate::children::Children;
use crate::contract::{self, Contract};
use crate::door::Door;
use crate::environment::{Given, PORT, TOKEN};
use crate::harness::{Harness, Stopping};
use crate::memory::Memory;
use crate::output::Log;
use crate::pool::Pool;
use crate::probe::{Probe, Shown};
use crate::secret::Secret;
use crate::telling::Desk;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// The runner, from its start to its end.
pub fn run() -> ExitCode {
    // The harness has the runner's user: else it could read the token from the runner's environment (prctl(2), PR_SET_DUMPABLE).
    if let Err(why) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        eprintln!("runner | its environment cannot be hidden: {why}");
        return ExitCode::from(2);
    }
    // One thread: a harness ends with the thread that started it, and this one lives as long as the process.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ran = runtime
        .map_err(|why| why.to_string())
        .and_then(|runtime| runtime.block_on(serve()));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("runner | {why}");
            ExitCode::from(2)
        }
    }
}

/// What stands in the environment.
struct Settings {
    given: Arc<Given>,
    contract: Arc<Contract>,
    token: Secret,
    port: u16,
}

impl Settings {
    fn read() -> Result<Settings, String> {
        let given = Given::read();
        let text = given.contract();
        let text = text.ok_or_else(|| format!("{} is not set", contract::VARIABLE))?;
        let read = Contract::read(&text);
        let contract = read.map_err(|why| format!("{}: {why}", contract::VARIABLE))?;
        // Without it everything would be open.
        let token = given.text(TOKEN);
        let token = token.ok_or_else(|| format!("{TOKEN} is not set"))?;
        let token = Secret::new(token.to_owned());
        let port = given.text(PORT).and_then(|port| port.parse().ok());
        let port: u16 = port.ok_or_else(|| format!("{PORT} is not set, or no port"))?;
        if contract.port.number == Some(port) {
            return Err(format!(
                "port.number is {PORT} too: both cannot listen there"
            ));
        }
        Ok(Settings {
            contract: Arc::new(contract),
            given: Arc::new(given),
            token,
            port,
        })
    }
}

async fn serve() -> Result<(), String> {
    let words = |why: std::io::Error| why.to_string();
    let Settings {
        given,
        contract,
        token,
        port,
    } = Settings::read()?;
    let credential = match &contract.credential.value {
        Some(given) => given.clone(),
        None => Secret::random().map_err(words)?,
    };
    let shown = Arc::new(Shown::new(&contract.credential.auth, &credential)?);
    let listener = listen(port)
        .await
        .map_err(|why| format!("{PORT} {port}: {why}"))?;
    let own = contract.port.number.map_or_else(free_port, Ok);
    let own = own.map_err(words)?;
    let memory = Arc::new(Memory::open(&contract).map_err(words)?);
    let log = Log::start().map_err(words)?;
    let children = Children::watch().map_err(words)?;
    let pool = Pool::new(own);
    let probe = Arc::new(Probe::new(
        Arc::clone(&contract),
        Arc::clone(&pool),
        own,
        Arc::clone(&shown),
    ));
    let (orders, taken) = mpsc::channel(1);
    let applying = Applying {
        contract: Arc::clone(&contract),
        given: Arc::clone(&given),
        memory: Arc::clone(&memory),
        probe: Arc::clone(&probe),
        orders,
    };
    let door = Arc::new(Door {
        contract: Arc::clone(&contract),
        token,
        desk: Arc::new(Desk::new(applying)),
        probe: Arc::clone(&probe),
        pool,
        shown,
        log: log.clone(),
    });
    let harness = Harness {
        contract,
        given,
        memory,
        children,
        probe,
        log: log.clone(),
        port: own,
        credential,
    };
    tokio::spawn(door.serve(listener));
    harness.run(taken, stop_when_told()?).await;
    log.say("all has ended");
    log.flush();
    Ok(())
}

/// Everywhere: the platform's private network may be of either kind.
async fn listen(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(listener) => Ok(listener),
        // A machine without IPv6.
        Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await,
    }
}

fn free_port() -> std::io::Result<u16> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// Heard from now on.
fn stop_when_told() -> Result<Stopping, String> {
    let listen = |kind| signal(kind).map_err(|why| why.to_string());
    let (mut term, mut int) = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    let (tell, stopping) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tell.send_replace(true);
    });
    Ok(stopping)
}
