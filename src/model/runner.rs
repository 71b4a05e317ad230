//! The runner in front of a program: how an agent is spoken to then, and what the runner is to know of each program.
//!
//! What holds: whoever speaks to an agent of a template goes by `spoken`, and by nothing else, so there is one way to ask and to tell it;
//! behind the runner every program is spoken to alike. The form of what the runner reads: `runner/README.md`. Deliberately absent: writing
//! it (`engine::runner`), and programs that answer the runner's contract themselves.

use super::harness::{HarnessRow, RowFile, TellingRow, VersionRow, row};
use super::health::{Expects, TokenForm};
use crate::api::template::{Entrypoint, Harness, Runtime};
use std::collections::BTreeSet;

/// Where the runner listens, unless the template says it.
const PORT: u16 = 8080;

/// What the runner is to know of a program beside what its row says. In texts `{state}` stands for its state directory, and below what the
/// runner fills in (`runner/README.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerRow {
    /// The words that start it on loopback; `{port}` stands for its port. None: the template says them.
    pub words: &'static [&'static str],
    /// Where it keeps its state without a volume.
    pub directory: &'static str,
    /// Variables that lead it there: the controller's, whatever `env` says, because the runner writes there.
    pub places: &'static [(&'static str, &'static str)],
    /// Its other variables, where the container has none of that name.
    pub variables: &'static [(&'static str, &'static str)],
    /// Files that are laid where there are none, in place of its row's.
    pub files: &'static [RowFile],
    /// Files of its configuration. A template that lays one of them says the model itself, and a claim cannot.
    pub configuration: &'static [&'static str],
    /// Variables that say its configuration, which are the template's alone: where one is said there, the model is said there.
    pub configured: &'static [&'static str],
    /// Other variables that a claim cannot set.
    pub held: &'static [&'static str],
    /// Whether it is not to be told anything without a model: it would take any, or answer nobody.
    pub needs_model: bool,
    /// Files that say who it is: path and text. What is told stands quoted in all but Markdown.
    pub persona: &'static [(&'static str, &'static str)],
    /// Variables that say who it is.
    pub told: &'static [(&'static str, &'static str)],
    /// What makes it read its files again.
    pub hears: Hearing,
    /// What is deleted when it is reset. None: it cannot be.
    pub reset: &'static [&'static str],
    /// What says that it is clean. `None`: nobody can tell once it was told something.
    pub clean: Option<CleanRow>,
    /// What it is asked, with its credential, to hear whether it is at work: path and JSON pointer, and the value at rest.
    pub busy: &'static [(&'static str, &'static str, &'static str)],
}

impl RunnerRow {
    /// The directory in which a template's program keeps its state.
    pub fn state(&self, runtime: &Runtime) -> String {
        let below = row(runtime.harness).state.map_or("", |state| state.below);
        runtime.volume.as_ref().map_or_else(
            || self.directory.to_owned(),
            |volume| format!("{}{below}", volume.mount_path.0),
        )
    }

    /// Names of variables that a claim cannot set: by them the program would look elsewhere for what it is, or do something else than its row
    /// says.
    pub fn reserved(&self) -> BTreeSet<&'static str> {
        let pairs = self.places.iter().chain(self.variables).chain(self.told);
        let names = pairs.map(|(name, _)| *name);
        let others = self.configured.iter().chain(self.held).copied();
        names.chain(others).collect()
    }
}

/// What makes a program read its files again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// It does so by itself.
    ByItself,
    /// It is started again.
    Restart,
}

/// What says that a program is clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanRow {
    /// That none of these is there.
    Missing(&'static [&'static str]),
    /// Its answer: path, JSON pointer and value.
    Answer(&'static str, &'static str, &'static str),
}

/// How an agent of a template is spoken to.
pub fn spoken(runtime: &Runtime) -> HarnessRow {
    let row = row(runtime.harness);
    match runtime.entrypoint {
        Entrypoint::Harness => row,
        Entrypoint::Runner => HarnessRow {
            versions: row.versions.map(|versions| VersionRow {
                path: HEALTH,
                pointer: "/version",
                ..versions
            }),
            start: None,
            port: Some(PORT),
            port_variable: Some("PORT"),
            path: HEALTH,
            expects: Expects::default(),
            open: true,
            token_variable: "GATEWAY_TOKEN",
            form: TokenForm::Bearer,
            // What its program needs the runner gives it.
            switches: &[],
            telling: Some(TellingRow {
                provision: "/pool/provision",
                update: "/pool/update-template",
                status: "/pool/status",
                shown: &["conversationId", "joined", "status"],
            }),
            ..row
        },
    }
}

const HEALTH: &str = "/pool/health";

/// What the runner in front of a template's program is to know of it. `None`: there is none.
pub fn before(runtime: &Runtime) -> Option<RunnerRow> {
    match runtime.entrypoint {
        Entrypoint::Harness => None,
        Entrypoint::Runner => behind(runtime.harness),
    }
}

/// What the runner is to know of a program. `None`: it is no program to stand in front of.
pub fn behind(harness: Harness) -> Option<RunnerRow> {
    match harness {
        Harness::Convos => None,
        Harness::Http => Some(http()),
        Harness::OpenClaw => Some(openclaw()),
        Harness::Hermes => Some(hermes()),
        Harness::OpenCode => Some(opencode()),
    }
}

/// Who an agent is, as programs that read Markdown are told it.
const WHO: &str = "# {agentName}\n\n{instructions}\n\n{metadata}";

/// A program that nobody knows reads its file and its variables if it likes.
fn http() -> RunnerRow {
    RunnerRow {
        words: &[],
        directory: "/tmp/agent",
        places: &[("AGENT_STATE_DIR", "{state}")],
        variables: &[],
        files: &[],
        configuration: &[],
        configured: &[],
        held: &[],
        needs_model: false,
        persona: &[("AGENTS.md", WHO)],
        told: &[("AGENT_NAME", "{agentName}"), ("AGENT_MODEL", "{model}")],
        hears: Hearing::Restart,
        reset: &[],
        clean: None,
        busy: &[],
    }
}

/// It refuses a configuration with a word that it does not know. The model in it is heeded at once; without one no chat is answered.
fn openclaw() -> RunnerRow {
    RunnerRow {
        words: &[
            "openclaw",
            "gateway",
            "--bind",
            "loopback",
            "--port",
            "{port}",
            "--allow-unconfigured",
        ],
        directory: "/home/node/.openclaw",
        places: &[("OPENCLAW_STATE_DIR", "{state}")],
        files: &[RowFile {
            path: "openclaw.json",
            content: r#"{"gateway":{"mode":"local","http":{"endpoints":{"chatCompletions":{"enabled":true}}}}}"#,
        }],
        configuration: &["openclaw.json"],
        configured: &["OPENCLAW_CONFIG_PATH"],
        needs_model: true,
        persona: &[
            ("workspace/SOUL.md", WHO),
            (
                "openclaw.json",
                r#"{"gateway":{"mode":"local","http":{"endpoints":{"chatCompletions":{"enabled":true}}}},"agents":{"defaults":{"model":{"primary":"openrouter/{model}"}}}}"#,
            ),
        ],
        told: &[],
        hears: Hearing::ByItself,
        reset: &[
            "agents",
            "workspace",
            "memory",
            "tasks",
            "cron",
            "credentials",
            "state",
            "cache",
            "tmp",
        ],
        clean: Some(CleanRow::Missing(&[
            "agents/main/agent/openclaw-agent.sqlite",
        ])),
        ..http()
    }
}

/// It reads both files at each request. What it writes with the first prompt of all, and not when it starts, says that it is not clean. Its
/// image gives up root for user 10000 where `hermes` is called, and newer ones refuse a gateway that is root's, but for the two last variables (its
/// own `docker/hermes-exec-shim.sh` and `website/docs/user-guide/docker.md`); the runner's files are root's. Not tried with the image.
fn hermes() -> RunnerRow {
    RunnerRow {
        words: &["hermes", "gateway", "run"],
        directory: "/opt/data",
        places: &[("HERMES_HOME", "{state}")],
        variables: &[
            ("API_SERVER_ENABLED", "true"),
            ("API_SERVER_HOST", "127.0.0.1"),
            ("HERMES_DOCKER_EXEC_AS_ROOT", "1"),
            ("HERMES_ALLOW_ROOT_GATEWAY", "1"),
        ],
        configuration: &["config.yaml"],
        held: &[
            "API_SERVER_CORS_ORIGINS",
            "API_SERVER_KEY",
            "API_SERVER_PORT",
        ],
        needs_model: true,
        persona: &[
            ("SOUL.md", WHO),
            (
                "config.yaml",
                "model:\n  default: \"{model}\"\n  provider: openrouter\n",
            ),
        ],
        told: &[],
        hears: Hearing::ByItself,
        reset: HERMES_KEEPS,
        clean: Some(CleanRow::Missing(&[".skills_prompt_snapshot.json"])),
        busy: &[
            ("/health/detailed", "/active_agents", "0"),
            (
                "/health/detailed",
                "/readiness/checks/background_queues/active_api_runs",
                "0",
            ),
        ],
        ..http()
    }
}

/// All that Hermes writes but its configuration.
const HERMES_KEEPS: &[&str] = &[
    "sessions",
    "memories",
    "skills",
    "cron",
    "kanban",
    "kanban.db",
    "state.db",
    "state.db-shm",
    "state.db-wal",
    "response_store.db",
    "response_store.db-shm",
    "response_store.db-wal",
    "state",
    "sandboxes",
    "cache",
    "image_cache",
    "audio_cache",
    "pairing",
    "platforms",
    "hooks",
    "logs",
    "auth.json",
    "channel_directory.json",
    ".skills_prompt_snapshot.json",
];

/// Its model is read when it starts, its other file at each message. Without a model it takes one by chance.
fn opencode() -> RunnerRow {
    RunnerRow {
        words: &[
            "opencode",
            "serve",
            "--hostname",
            "127.0.0.1",
            "--port",
            "{port}",
        ],
        directory: "/tmp/opencode",
        places: &[
            ("XDG_DATA_HOME", "{state}/data"),
            ("XDG_CONFIG_HOME", "{state}/config"),
        ],
        configuration: &[
            "config/opencode/opencode.json",
            "config/opencode/opencode.jsonc",
        ],
        configured: &[
            "OPENCODE_CONFIG",
            "OPENCODE_CONFIG_CONTENT",
            "OPENCODE_CONFIG_DIR",
        ],
        needs_model: true,
        persona: &[
            ("config/opencode/AGENTS.md", WHO),
            (
                "config/opencode/opencode.json",
                r#"{"model":"openrouter/{model}"}"#,
            ),
        ],
        told: &[],
        reset: &["data"],
        clean: Some(CleanRow::Answer("/session", "", "[]")),
        busy: &[("/session/status", "", "{}")],
        ..http()
    }
}

#[cfg(test)]
mod tests;
