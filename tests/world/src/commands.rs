//! Running kubectl and Helm against a world, as a user would.
//!
//! Holds: the user's own kubeconfig, home and proxies are neither read nor written. Absent: reading what they print.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::directory::Directory;
use crate::launch::inherited;
use crate::world::World;

/// What a program said.
#[derive(Debug, Clone)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// What it printed, if it succeeded.
    ///
    /// # Errors
    /// It did not; the error is what it complained.
    pub fn ok(self) -> Result<String> {
        match self.status.success() {
            true => Ok(self.stdout),
            false => bail!("{}: {}{}", self.status, self.stderr, self.stdout),
        }
    }
}

impl World {
    /// Runs kubectl with the administrator's kubeconfig.
    ///
    /// # Errors
    /// It cannot be run; that it failed is in the output.
    pub async fn kubectl<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Output> {
        self.run(&self.directory().kubectl(), args, "").await
    }

    /// Runs kubectl, with a text as its input (`apply -f -`).
    ///
    /// # Errors
    /// It cannot be run; that it failed is in the output.
    pub async fn kubectl_with<S: AsRef<OsStr>>(&self, args: &[S], input: &str) -> Result<Output> {
        self.run(&self.directory().kubectl(), args, input).await
    }

    /// Runs Helm with the administrator's kubeconfig.
    ///
    /// # Errors
    /// It cannot be run; that it failed is in the output.
    pub async fn helm<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Output> {
        self.run(&self.directory().helm(), args, "").await
    }

    async fn run<S: AsRef<OsStr>>(
        &self,
        program: &Path,
        args: &[S],
        input: &str,
    ) -> Result<Output> {
        let mut child = Command::new(program)
            .args(args)
            .current_dir(crate::checkout::root())
            .env_clear()
            .envs(client_environment(self.directory()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let stdin = child.stdin.take();
        let give = async {
            if let Some(mut stdin) = stdin {
                // A program that does not want its input has closed it; what it says tells why.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let (output, ()) = tokio::join!(child.wait_with_output(), give);
        let output = output?;
        Ok(Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// The environment of kubectl and Helm: a home of their own, so that the user's is neither read nor written.
pub(crate) fn client_environment(directory: &Directory) -> Vec<(String, String)> {
    let mut environment = inherited();
    environment.push((
        "HOME".to_owned(),
        directory.client_state().display().to_string(),
    ));
    environment.push((
        "KUBECONFIG".to_owned(),
        directory.kubeconfig().display().to_string(),
    ));
    environment
}
