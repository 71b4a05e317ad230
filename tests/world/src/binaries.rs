//! The programs that a world starts, and how they come to be: control plane, kubectl and Helm from the Go module
//! `tests/control-plane`, the controller from this workspace.
//!
//! Holds: the Go programs are built once for each state of their sources, also when many test processes ask at once,
//! and a build that was broken off is not taken for a finished one (the stamp is written last).
//! Absent: installing Go, and any download besides what `go build` and `cargo build` do themselves.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::checkout;

/// The version that API server and kubectl report. It is known only to the linker (the module's README.md).
pub(crate) const KUBERNETES_VERSION: &str = "v1.36.3";

/// What is built of the Go module: flags for the linker, and packages.
const BUILDS: [(&str, &[&str]); 2] = [
    (
        "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
         -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36",
        &[".", "k8s.io/kubernetes/cmd/kubectl"],
    ),
    (
        "-s -w -X helm.sh/helm/v4/internal/version.version=v4.3.1",
        &["helm.sh/helm/v4/cmd/helm"],
    ),
];

/// The three programs of the Go module.
#[derive(Debug, Clone)]
pub struct ClusterBinaries {
    pub control_plane: PathBuf,
    pub kubectl: PathBuf,
    pub helm: PathBuf,
}

impl ClusterBinaries {
    /// The three programs, built first where their sources changed. The first build takes minutes.
    ///
    /// # Errors
    /// There is no Go, or the build fails.
    pub fn built() -> Result<Self> {
        let sources = checkout::root().join("tests/control-plane");
        let into = checkout::target_dir().join("control-plane");
        fs::create_dir_all(&into).with_context(|| format!("cannot make {}", into.display()))?;
        let binaries = Self {
            control_plane: into.join("control-plane"),
            kubectl: into.join("kubectl"),
            helm: into.join("helm"),
        };
        let lock = File::create(into.join("lock")).context("cannot make the build's lock file")?;
        lock.lock().context("cannot lock the build directory")?;

        let wanted = stamp(&sources)?;
        let stamp_file = into.join("stamp");
        if fs::read_to_string(&stamp_file).is_ok_and(|found| found == wanted) && binaries.exist() {
            return Ok(binaries);
        }
        eprintln!(
            "Building the control plane, kubectl and Helm in {} (the first build takes some minutes) …",
            sources.display()
        );
        let started = Instant::now();
        remove_if_there(&stamp_file)?;
        build(&sources, &into)?;
        fs::write(&stamp_file, wanted).context("cannot write the build's stamp")?;
        eprintln!("Built in {} s.", started.elapsed().as_secs());
        Ok(binaries)
    }

    fn exist(&self) -> bool {
        [&self.control_plane, &self.kubectl, &self.helm]
            .iter()
            .all(|path| path.is_file())
    }
}

fn build(sources: &Path, into: &Path) -> Result<()> {
    // A directory as output: each package becomes the program of its own name.
    let output = format!("{}/", into.display());
    for (linker_flags, packages) in BUILDS {
        let mut command = Command::new("go");
        command
            .args([
                "build",
                "-trimpath",
                "-ldflags",
                linker_flags,
                "-o",
                &output,
            ])
            .args(packages);
        let status = match command.current_dir(sources).stdout(Stdio::null()).status() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
                "the local world needs Go ({} says which version): there is no `go` in PATH",
                sources.join("go.mod").display()
            ),
            other => other.context("cannot run go build")?,
        };
        if !status.success() {
            bail!(
                "go build of {packages:?} in {} failed ({status})",
                sources.display()
            );
        }
    }
    Ok(())
}

/// A hash of everything that the three programs are built from.
fn stamp(sources: &Path) -> Result<String> {
    let mut files: Vec<PathBuf> = fs::read_dir(sources)
        .with_context(|| format!("cannot read {}", sources.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    files.retain(|path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        name == "go.mod"
            || name == "go.sum"
            || (name.ends_with(".go") && !name.ends_with("_test.go"))
    });
    files.sort();
    if files.is_empty() {
        bail!("{} holds no Go module", sources.display());
    }
    let mut hash = Sha256::new();
    hash.update(format!("{BUILDS:?}"));
    for path in files {
        let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update(content.len().to_le_bytes());
        hash.update(content);
    }
    Ok(hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Builds what [`crate::World::start`] would build first.
///
/// # Errors
/// There is no Go, or the build fails.
pub fn cluster() -> Result<()> {
    ClusterBinaries::built().map(drop)
}

/// The controller's binary, built from this checkout as this program was: optimised or not.
///
/// # Errors
/// The build fails.
pub fn controller() -> Result<PathBuf> {
    cargo_build("yardmaster", checkout::is_release())
}

/// The runner's binary, built likewise.
///
/// # Errors
/// The build fails.
pub fn runner() -> Result<PathBuf> {
    cargo_build("yardmaster-runner", checkout::is_release())
}

/// The controller's binary, built from this checkout as the image's is.
///
/// # Errors
/// The build fails.
pub fn optimised_controller() -> Result<PathBuf> {
    cargo_build("yardmaster", true)
}

fn cargo_build(program: &str, optimised: bool) -> Result<PathBuf> {
    eprintln!("Building {program} …");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--package", program, "--bin", program])
        .args(["--message-format", "json-render-diagnostics"])
        .arg("--target-dir")
        .arg(checkout::target_dir())
        .current_dir(checkout::root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if optimised {
        command.arg("--release");
    }
    let mut cargo = command.spawn().context("cannot run cargo build")?;
    let mut binary = None;
    if let Some(messages) = cargo.stdout.take() {
        for line in BufReader::new(messages).lines() {
            let message: Value = serde_json::from_str(&line?).unwrap_or_default();
            if message["target"]["name"] == program
                && let Some(path) = message["executable"].as_str()
            {
                binary = Some(PathBuf::from(path));
            }
        }
    }
    let status = cargo.wait()?;
    if !status.success() {
        bail!("cargo build --bin {program} failed ({status})");
    }
    binary.with_context(|| format!("cargo build did not say where {program} is"))
}
