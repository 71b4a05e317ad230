//! Files that a template lays for its agents, and where they may lie as far as the API server can know it.
//!
//! Holds: a rule is a pair of what is checked and what to write. Deliberately absent: where each program keeps its state, which its
//! row knows (`engine::files`).

use super::text::FilePath;
use super::values::ValueFrom;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A file that is laid before an agent's program starts.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.content) != has(self.contentFrom)").message("a files entry must have exactly one of content and contentFrom"))]
pub struct TemplateFile {
    /// Where it lies. A path that does not begin with / is below the directory in which the program keeps its state (docs/harnesses.md), on the
    /// volume where there is one; with `runtime.harness` convos and http it is below `runtime.volume.mountPath`. Others must lie in that directory, on the
    /// volume, or in one of the harness's other places.
    pub path: FilePath,
    /// What stands in it. Everybody who can read the template can read this: secrets belong into a Secret, named in `contentFrom.secretKeyRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262_144))]
    pub content: Option<String>,
    /// Where what stands in it comes from. Text alone: a value of a Secret that is not UTF-8, and `binaryData` of a ConfigMap, cannot be laid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_from: Option<ValueFrom>,
    /// IfMissing: only where nothing is there yet, so that what the agent has written stays. Always: at every start.
    #[serde(default)]
    pub mode: FileMode,
}

/// When a file is laid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FileMode {
    /// Where there is none.
    #[default]
    IfMissing,
    /// At every start.
    Always,
}

/// A template without a runtime makes no agent.
pub(super) const NEED_RUNTIME: (&str, &str) = (
    "!has(self.files) || self.files.size() == 0 || has(self.runtime)",
    "files needs runtime: no agent is made from a template that has a persona alone; take files away, or put them into the template of the agents",
);

/// Of a program that nobody knows, only its volume and the usual directories of programs can be its own.
pub(super) const OF_ANY_PROGRAM: (&str, &str) = (
    "!has(self.files) || !has(self.runtime) || (has(self.runtime.harness) && !(self.runtime.harness in ['convos', 'http'])) || self.files.all(f, f.path.startsWith('/') ? ['/app/', '/home/', '/opt/', '/srv/', '/workspace/'].exists(p, f.path.startsWith(p)) || (has(self.runtime.volume) && f.path.startsWith(self.runtime.volume.mountPath + '/')) : has(self.runtime.volume))",
    "files[].path must lie, with runtime.harness convos and http, below runtime.volume.mountPath, /app, /home, /opt, /srv or /workspace; one that does not begin with / lies below runtime.volume.mountPath and needs runtime.volume, which only another AgentTemplate can have",
);

/// What is the system's is no program's own. Where exactly a known program's files may lie its row says.
pub(super) const OF_A_KNOWN_PROGRAM: (&str, &str) = (
    "!has(self.files) || !has(self.runtime) || self.files.all(f, !['/bin/', '/boot/', '/dev/', '/etc/', '/lib/', '/lib64/', '/proc/', '/run/', '/sbin/', '/sys/', '/usr/', '/var/'].exists(p, f.path.startsWith(p)) || (has(self.runtime.volume) && f.path.startsWith(self.runtime.volume.mountPath + '/')))",
    "files[].path must not lie in a directory of the system, such as /etc or /usr; write a path on the volume, or one that does not begin with /, which lies where the program keeps its state",
);
