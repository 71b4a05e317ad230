//! The world's directory: which file lies where, and the two files that the world itself writes, `world.json` and
//! `proxy.env`.
//!
//! Holds: these names are a promise (README.md), people script against them; files that say something about running
//! processes appear whole or not at all. Two worlds never share a directory, and nothing is removed from it but what an
//! ended world left. Absent: what the control plane and the simulator write, and how.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::binaries::ClusterBinaries;

/// What `world.json` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// URL of the Kubernetes API server.
    pub api_server: String,
    /// URL of the API server's control API: faults.
    pub control_plane: String,
    /// URL of the HTTPS proxy behind which the outside is.
    pub proxy: String,
    /// URL of the simulator's control API.
    pub simulator: String,
    /// URL of the controller's metrics; none without a controller.
    pub metrics: Option<String>,
    /// URLs of the controller's probes; none without a controller.
    pub probes: Option<Probes>,
    /// Process ids.
    pub pids: Pids,
}

/// The controller's probes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Probes {
    pub live: String,
    pub ready: String,
}

/// Who runs. The simulator is a part of the world's own process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pids {
    pub world: u32,
    pub control_plane: u32,
    /// None while no controller runs.
    pub controller: Option<u32>,
}

/// Says that a directory is a world's, and by its lock that the world lives.
const CLAIM: &str = ".world";

const CONTROL_PLANE_ENDS: Duration = Duration::from_secs(10);

/// Everything that a world, its control plane and its simulator write.
fn is_ours(name: &str) -> bool {
    let exact = [
        "kubeconfig",
        "controller.kubeconfig",
        "world.json",
        "proxy.env",
        "ca.pem",
        "journal.jsonl",
        "harness.jsonl",
        "programs",
        "volumes",
        "bin",
        "client-state",
        "control-plane.json",
        "control-plane.log",
        "authentication.yaml",
        "audit-policy.yaml",
        "lock",
        "etcd",
        "copies",
        "pki",
    ];
    let numbered = [("audit", ".jsonl"), ("controller", ".log")];
    exact.contains(&name)
        || numbered
            .iter()
            .any(|(start, end)| name.starts_with(start) && name.ends_with(end))
}

/// What is there of an earlier world.
fn entries_of_a_world(path: &Path) -> Result<Vec<PathBuf>> {
    let mut ours = Vec::new();
    for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
        let entry = entry?;
        if is_ours(&entry.file_name().to_string_lossy()) {
            ours.push(entry.path());
        }
    }
    Ok(ours)
}

/// The control plane of a world that was killed takes a moment to see it.
fn wait_for_control_plane(path: &Path) -> Result<()> {
    let Ok(lock) = File::open(path.join("lock")) else {
        return Ok(());
    };
    let started = Instant::now();
    while let Err(TryLockError::WouldBlock) = lock.try_lock_shared() {
        if started.elapsed() > CONTROL_PLANE_ENDS {
            bail!(
                "waited {CONTROL_PLANE_ENDS:?} until the control plane of an earlier world in {} ends",
                path.display()
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// One world's directory.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
    /// Locked as long as the world lives.
    _claim: Arc<File>,
    amending: Arc<Mutex<()>>,
}

impl Directory {
    /// Makes the directory, or clears it of an earlier world that has ended. Files that are no world's stay: somebody
    /// may be writing this program's output there.
    ///
    /// # Errors
    /// A world runs there, or the directory holds files that look like a world's and are none.
    pub(crate) fn prepare(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let path = fs::canonicalize(path)?;
        let ours = entries_of_a_world(&path)?;
        let claim = path.join(CLAIM);
        if !claim.is_file()
            && let Some(first) = ours.first()
        {
            let shown = first.display();
            bail!("{shown} is in the way: its directory is not that of an earlier world");
        }
        let claim = File::create(&claim).with_context(|| claim.display().to_string())?;
        if let Err(TryLockError::WouldBlock) = claim.try_lock() {
            bail!("{} belongs to a world that still runs", path.display());
        }
        wait_for_control_plane(&path)?;
        for entry in ours {
            let removed = match entry.is_dir() {
                true => fs::remove_dir_all(&entry),
                false => fs::remove_file(&entry),
            };
            removed.with_context(|| format!("cannot remove {}", entry.display()))?;
        }
        Ok(Self {
            path,
            _claim: Arc::new(claim),
            amending: Arc::default(),
        })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.file("kubeconfig")
    }

    /// The kubeconfig of the chart's ServiceAccount, with which the controller runs.
    #[must_use]
    pub fn controller_kubeconfig(&self) -> PathBuf {
        self.file("controller.kubeconfig")
    }

    #[must_use]
    pub fn world_json(&self) -> PathBuf {
        self.file("world.json")
    }

    #[must_use]
    pub fn proxy_env(&self) -> PathBuf {
        self.file("proxy.env")
    }

    /// The certificate of the simulator's authority.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// Takes the outside's authority and its journal from another world's directory.
    pub(crate) fn share_outside(&self, other: &Path) -> Result<()> {
        for name in ["ca.pem", "journal.jsonl"] {
            std::os::unix::fs::symlink(other.join(name), self.file(name))
                .with_context(|| format!("cannot share {name}"))?;
        }
        Ok(())
    }

    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.file("journal.jsonl")
    }

    #[must_use]
    pub fn audit(&self) -> PathBuf {
        self.file("audit.jsonl")
    }

    #[must_use]
    pub fn controller_log(&self) -> PathBuf {
        self.file("controller.log")
    }

    #[must_use]
    pub fn control_plane_log(&self) -> PathBuf {
        self.file("control-plane.log")
    }

    /// Where the API server's data is.
    pub(crate) fn etcd(&self) -> PathBuf {
        self.file("etcd")
    }

    /// A copy of it.
    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        self.file("copies").join(name)
    }

    #[must_use]
    pub fn kubectl(&self) -> PathBuf {
        self.file("bin/kubectl")
    }

    #[must_use]
    pub fn helm(&self) -> PathBuf {
        self.file("bin/helm")
    }

    /// Where kubectl and Helm keep what they would keep in the user's home.
    pub(crate) fn client_state(&self) -> PathBuf {
        self.file("client-state")
    }

    /// Puts kubectl and Helm into `bin`.
    pub(crate) fn link(&self, binaries: &ClusterBinaries) -> Result<()> {
        fs::create_dir_all(self.file("bin"))?;
        for (binary, link) in [
            (&binaries.kubectl, self.kubectl()),
            (&binaries.helm, self.helm()),
        ] {
            std::os::unix::fs::symlink(binary, &link)
                .with_context(|| format!("cannot link {}", link.display()))?;
        }
        Ok(())
    }

    /// What `world.json` says.
    pub(crate) fn description(&self) -> Result<Description> {
        let path = self.world_json();
        let text = fs::read(&path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    /// Changes what `world.json` says; one writer after another.
    pub(crate) fn amend(&self, change: impl FnOnce(&mut Description)) -> Result<()> {
        let _one = self.amending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut description = self.description()?;
        change(&mut description);
        self.describe(&description)
    }

    /// Writes `world.json`.
    pub(crate) fn describe(&self, description: &Description) -> Result<()> {
        let text = serde_json::to_string_pretty(description)? + "\n";
        self.replace(&self.world_json(), &text)
    }

    /// Writes `proxy.env`: the environment that leads a client into the simulated outside.
    pub(crate) fn write_proxy_env(&self, proxy: &str) -> Result<()> {
        let mut text = String::from(
            "# Source this to send a client's HTTPS requests into the simulated outside.\n",
        );
        let environment = proxy_environment(proxy, &self.ca());
        let others = other_names(&environment);
        for (name, value) in environment.into_iter().chain(others) {
            text.push_str(&format!(
                "export {name}='{}'\n",
                value.replace('\'', r"'\''")
            ));
        }
        self.replace(&self.proxy_env(), &text)
    }

    /// Writes the controller's kubeconfig: with a token in it, so for its owner alone.
    pub(crate) fn write_controller_kubeconfig(&self, text: &str) -> Result<()> {
        self.replace(&self.controller_kubeconfig(), text)
    }

    /// Whole or not at all, and for its owner alone.
    fn replace(&self, path: &Path, text: &str) -> Result<()> {
        let new = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(true).mode(0o600);
        let written = options
            .open(&new)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        let written = written.and_then(|()| fs::rename(&new, path));
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The environment of a client inside the world.
pub(crate) fn proxy_environment(proxy: &str, ca: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("HTTPS_PROXY", proxy.to_owned()),
        ("NO_PROXY", "127.0.0.1,localhost".to_owned()),
        ("SSL_CERT_FILE", ca.display().to_string()),
    ]
}

/// What leads other clients astray if a user's shell has it: the small names, which curl and Python look at first, and
/// the authorities of curl, Python's requests and Node.
fn other_names(environment: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let renamed = |(name, value): &(&'static str, String)| -> Vec<(&'static str, String)> {
        let others: &[&'static str] = match *name {
            "HTTPS_PROXY" => &["https_proxy"],
            "NO_PROXY" => &["no_proxy"],
            _ => &[
                "CURL_CA_BUNDLE",
                "REQUESTS_CA_BUNDLE",
                "NODE_EXTRA_CA_CERTS",
            ],
        };
        others.iter().map(|other| (*other, value.clone())).collect()
    };
    environment.iter().flat_map(renamed).collect()
}
