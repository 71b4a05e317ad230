//! What a deployment is made from, with everything resolved: the value that one commit applies.
//!
//! What holds: the image is a digest, quantities are numbers, every variable has its value, and values are secret
//! until something exposes them on purpose. Deliberately absent: references to Kubernetes objects.

use secrecy::SecretString;

/// Everything that one deployment is made from.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Image by digest: `ghcr.io/acme/agent@sha256:…`.
    pub image: String,
    /// Command instead of the image's own. The provider does not run it through a shell.
    pub start_command: Option<String>,
    /// Where to run.
    pub region: Option<String>,
    /// Virtual CPUs.
    pub cpu: Option<f64>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// What happens when the process ends.
    pub restart: Restart,
    /// Let it sleep when there is no traffic.
    pub sleep_when_idle: bool,
    /// Credentials for a private image.
    pub registry: Option<RegistryCredentials>,
    /// Where the volume is mounted, where there is one.
    pub volume_mount: Option<String>,
    /// Size of the volume in megabytes, where the spec says one.
    pub volume_megabytes: Option<u64>,
    /// Every variable of ours, sorted by name.
    pub variables: Vec<Variable>,
}

/// What happens when the agent's process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Always started again.
    Always,
    /// Never started again.
    Never,
    /// Started again after a failure, at most so often.
    OnFailure(u32),
}

/// User and password for a private image.
#[derive(Clone, Debug)]
pub struct RegistryCredentials {
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: SecretString,
}

/// An environment variable.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: SecretString,
}
