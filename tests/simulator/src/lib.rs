//! A small internet for tests: Railway, a container registry, the agents that are deployed and the tools they use,
//! behind one HTTPS proxy.
//!
//! This file owns the life of a simulator: what it starts, where it writes, how it stops. A client needs only the proxy
//! URL and the CA file; the control API (`control/`) is for tests and people. Deliberately absent: persistence, and
//! anything that would forward a request to a real host.

mod agentmail;
mod agents;
mod authority;
mod bankr;
mod clock;
mod control;
mod exa;
mod exchange;
mod faults;
mod gate;
mod harness_log;
mod hosts;
mod identity;
mod inventory;
mod journal;
mod llm;
mod nature;
mod openrouter;
mod passage;
mod programs;
mod provider;
mod proxy;
mod railway;
mod registry;
mod rest;
pub mod settings;
mod start_command;
mod telnyx;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

pub use railway::schema::sdl;
pub use settings::{SettingError, SettingsStore};

/// Why a simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("the simulator's files or ports: {0}")]
    Io(#[from] io::Error),
    #[error("the simulator's certificate authority: {0}")]
    Authority(#[from] rcgen::Error),
    #[error("the simulator's proxy: {0}")]
    Proxy(#[from] hudsucker::Error),
    #[error("{0}")]
    Programs(String),
}

#[derive(Debug, Clone)]
pub struct Options {
    /// `journal.jsonl` and `ca.pem` are written here.
    pub dir: PathBuf,
    /// `KEY=VALUE` pairs; the keys are those of [`settings::TABLE`].
    pub settings: Vec<(String, String)>,
}

impl Options {
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            settings: Vec::new(),
        }
    }

    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }
}

/// A running simulated internet. Dropping it stops it as well.
#[derive(Debug)]
pub struct Simulator {
    proxy: SocketAddr,
    control: SocketAddr,
    ca_file: PathBuf,
    journal_file: PathBuf,
    stopped: Arc<AtomicBool>,
    programs: Arc<programs::Running>,
    tasks: Vec<JoinHandle<()>>,
}

impl Simulator {
    /// Starts everything on free loopback ports.
    ///
    /// # Errors
    /// A setting that does not exist or has a bad value; a directory that cannot be written.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let settings = SettingsStore::new(&options.settings)?;
        std::fs::create_dir_all(&options.dir)?;
        let ca_file = options.dir.join("ca.pem");
        let authority = authority::create(&ca_file)?;

        let registry = Arc::new(registry::Registry::new(settings.clone()));
        let railway = Arc::new(railway::Railway::new(
            settings.clone(),
            Arc::clone(&registry),
        ));
        let edge = railway::Edge::new(Arc::clone(&railway));
        let listener = listen()?;
        let proxy = listener.local_addr()?;
        let network = programs::Network {
            proxy: format!("http://{proxy}"),
            authority: std::path::absolute(&ca_file)?,
        };
        let dir = std::path::absolute(&options.dir)?;
        let programs =
            programs::Running::new(settings.clone(), Arc::clone(&railway), &dir, network);
        if settings.has_programs() {
            programs::Running::permitted()
                .await
                .map_err(StartError::Programs)?;
        }
        let agents = agents::Agents::new(
            settings.clone(),
            Arc::clone(&railway),
            Arc::clone(&programs),
        );
        let agents = Arc::new(agents);
        let openrouter = Arc::new(openrouter::OpenRouter::new(settings.clone()));
        let anthropic = llm::anthropic::Anthropic::new(settings.clone(), Arc::clone(&openrouter));
        let exa = Arc::new(exa::Exa::new(settings.clone()));
        let agentmail = Arc::new(agentmail::AgentMail::new(settings.clone()));
        let telnyx = Arc::new(telnyx::Telnyx::new(settings.clone()));
        let bankr = Arc::new(bankr::Bankr::new(settings.clone()));
        let gate = Arc::new(gate::Gate {
            hosts: hosts::Hosts::new(vec![
                (
                    "backboard.railway.com",
                    Arc::new(edge) as Arc<dyn provider::Provider>,
                ),
                ("ghcr.io", Arc::clone(&registry) as _),
                ("registry-1.docker.io", Arc::clone(&registry) as _),
                ("index.docker.io", Arc::clone(&registry) as _),
                ("auth.docker.io", Arc::clone(&registry) as _),
                ("*.up.railway.app", Arc::clone(&agents) as _),
                ("openrouter.ai", Arc::clone(&openrouter) as _),
                ("api.anthropic.com", Arc::new(anthropic) as _),
                ("admin-api.exa.ai", Arc::clone(&exa) as _),
                ("api.agentmail.to", Arc::clone(&agentmail) as _),
                ("api.telnyx.com", Arc::clone(&telnyx) as _),
                ("api.bankr.bot", Arc::clone(&bankr) as _),
            ]),
            faults: faults::Faults::default(),
            journal: journal::Journal::create(options.dir.join("journal.jsonl"))?,
            harness: Arc::new(harness_log::HarnessLog::create(
                options.dir.join("harness.jsonl"),
            )?),
        });
        let journal_file = gate.journal.path().to_owned();

        let stopped = Arc::new(AtomicBool::new(false));
        let door = proxy::Door {
            gate: Arc::clone(&gate),
            stopped: Arc::clone(&stopped),
        };
        let server = hudsucker::Proxy::builder()
            .with_listener(listener)
            .with_ca(authority)
            .with_rustls_connector(rustls::crypto::aws_lc_rs::default_provider())
            .with_http_handler(door)
            .build()?;
        let served = tokio::spawn(async move {
            if let Err(error) = server.start().await {
                tracing::error!(%error, "the proxy ended");
            }
        });

        let listener = listen()?;
        let control = listener.local_addr()?;
        let router = control::router(control::Desk {
            gate,
            settings,
            railway,
            registry,
            agents,
            openrouter,
            exa,
            agentmail,
            telnyx,
            bankr,
        });
        let controlled = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the control API ended");
            }
        });

        let followed = tokio::spawn(Arc::clone(&programs).follow());
        let tasks = vec![followed, served, controlled];
        Ok(Self {
            proxy,
            control,
            ca_file,
            journal_file,
            stopped,
            programs,
            tasks,
        })
    }

    /// For `HTTPS_PROXY`.
    #[must_use]
    pub fn proxy_url(&self) -> String {
        format!("http://{}", self.proxy)
    }

    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// The certificate to trust, PEM.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    #[must_use]
    pub fn journal_file(&self) -> &Path {
        &self.journal_file
    }

    /// Ends all of it. Connections that are still open get no more answers.
    pub async fn stop(mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // Aborted on purpose: the error says just that.
            let _ = task.await;
        }
        self.programs.end().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // Inherited by accepted connections: without it every small answer waits for a delayed acknowledgement.
    socket.set_nodelay(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    socket.listen(1024)
}
