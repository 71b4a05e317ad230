//! The control plane's process: etcd, API server, garbage collector and namespace controller in one.
//!
//! Holds: when `start` returns, the API server answers and the administrator's kubeconfig is there. The process ends
//! by itself when this one is gone. Absent: what it is made of (`tests/control-plane`).

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time;

use crate::binaries::ClusterBinaries;
use crate::directory::Directory;
use crate::process;

/// It takes three seconds on an idle machine; tests may run beside a build.
const START: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct ControlPlane {
    child: Child,
    pub(crate) pid: u32,
    pub(crate) server: String,
    /// The URL of its control API.
    pub(crate) control: String,
    /// Kept open: a process whose output nobody holds dies of its next line.
    _output: Lines<BufReader<ChildStdout>>,
}

/// What we need of `control-plane.json`.
#[derive(Deserialize)]
struct Published {
    server: String,
    control: String,
}

impl ControlPlane {
    pub(crate) async fn start(binaries: &ClusterBinaries, directory: &Directory) -> Result<Self> {
        let mut child = Command::new(&binaries.control_plane)
            .arg("--dir")
            .arg(directory.path())
            .arg("--audit-log")
            .arg(directory.audit())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the control plane")?;
        let pid = child.id().context("the control plane ended at once")?;
        let output = child
            .stdout
            .take()
            .context("the control plane has no output")?;
        let mut output = BufReader::new(output).lines();

        let first = time::timeout(START, output.next_line()).await;
        match first {
            Ok(Ok(Some(line))) if line == "ready" => {}
            Ok(Ok(Some(line))) => bail!("the control plane said {line:?} instead of ready"),
            Ok(_) => return Err(ended(child, directory).await),
            Err(_) => bail!(
                "the control plane is not ready after {} s; the end of its log:\n{}",
                START.as_secs(),
                process::tail(&directory.control_plane_log(), 20)
            ),
        }
        let published = tokio::fs::read(directory.path().join("control-plane.json")).await?;
        let Published { server, control } = serde_json::from_slice(&published)?;
        Ok(Self {
            child,
            pid,
            server,
            control,
            _output: output,
        })
    }

    pub(crate) async fn stop(&mut self) -> Result<()> {
        process::end(&mut self.child, STOP)
            .await
            .context("cannot stop the control plane")?;
        Ok(())
    }

    /// Waits for an end that nobody asked for.
    pub(crate) async fn died(&mut self, directory: &Directory) -> anyhow::Error {
        let status = self.child.wait().await;
        anyhow!(
            "the control plane ended ({status:?}); the end of its log:\n{}",
            process::tail(&directory.control_plane_log(), 20)
        )
    }
}

/// Why it ended before it was ready.
async fn ended(mut child: Child, directory: &Directory) -> anyhow::Error {
    let mut said = String::new();
    if let Some(mut errors) = child.stderr.take() {
        // What cannot be read cannot be told.
        let _ = errors.read_to_string(&mut said).await;
    }
    let log = process::tail(&directory.control_plane_log(), 20);
    anyhow!(
        "the control plane did not start: {}\nthe end of its log:\n{log}",
        said.trim()
    )
}
