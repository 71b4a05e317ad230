//! The harness table: for each program that an agent may be, how it is started, configured and spoken to.
//!
//! What holds: a row names everything that differs between programs, and nobody else knows their paths and variables; what a template
//! says itself comes before it (`engine::program`). What stands here was seen of the real programs (`facts/field-2026-11.md` 2.1, 2.3).
//! Deliberately absent: images (a template names its own), and fields that nothing reads.

use super::health::{Expects, TokenForm};
use crate::api::template::Harness;

/// How a harness is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HarnessRow {
    /// Its word in templates and statuses.
    pub name: &'static str,
    /// The versions that the row was tried with. `None`: every image has versions of its own.
    pub versions: Option<VersionRow>,
    /// The command that starts it where the template says none; `{port}` is its port. `None`: the image's own.
    pub start: Option<&'static str>,
    /// The port on which it listens where the template says none.
    pub port: Option<u16>,
    /// The variable from which it reads its port.
    pub port_variable: Option<&'static str>,
    /// What it is asked.
    pub path: &'static str,
    /// What says that it is ready.
    pub expects: Expects,
    /// Whether it answers that to everybody: then the token is not sent along.
    pub open: bool,
    /// The variable from which it reads its token.
    pub token_variable: &'static str,
    /// How it takes its token.
    pub form: TokenForm,
    /// What switches on what is needed.
    pub switches: &'static [(&'static str, &'static str)],
    /// What it keeps, and how that comes onto a volume.
    pub state: Option<StateRow>,
    /// Files that it needs and that are laid where none is: a template's file at the same path takes the place of one.
    pub files: &'static [RowFile],
    /// Directories of its own, beside that of its state and the volume.
    pub places: &'static [&'static str],
    /// Files that say who it is.
    pub persona: &'static [&'static str],
    /// How it is told who it is. `None`: it cannot be told.
    pub telling: Option<TellingRow>,
    /// How it is made to forget, and known to be clean. `None`: it cannot be.
    pub reset: Option<&'static str>,
    /// Where it says that it is busy. `None`: nowhere.
    pub busy: Option<&'static str>,
    /// The user that its image runs as, where that is known.
    pub uid: Option<u32>,
    /// The least memory that it needs, as Kubernetes writes it, where that is known.
    pub least_memory: Option<&'static str>,
}

/// Which versions a row was tried with, and where the version is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRow {
    /// The first.
    pub from: &'static str,
    /// The first that is too new, where one is known.
    pub below: Option<&'static str>,
    /// Which path tells it.
    pub path: &'static str,
    /// Where in that answer, as a JSON pointer.
    pub pointer: &'static str,
}

impl VersionRow {
    /// The range, as people write it.
    pub fn range(&self) -> String {
        let from = format!(">={}", self.from);
        self.below
            .map_or_else(|| from.clone(), |below| format!("{from}, <{below}"))
    }

    /// Whether a version is inside. `None`: it is none that can be compared.
    pub fn holds(&self, version: &str) -> Option<bool> {
        let version = numbers(version)?;
        let from = numbers(self.from)?;
        let below = self.below.and_then(numbers);
        Some(from <= version && below.is_none_or(|below| version < below))
    }
}

/// The three first numbers of a version. What follows them (`-2`, `-beta.1`) is not compared.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let bare = version.strip_prefix('v').unwrap_or(version);
    let end = bare.find(|c: char| !c.is_ascii_digit() && c != '.');
    let mut parts = bare[..end.unwrap_or(bare.len())].split('.');
    let mut three = [0; 3];
    three[0] = parts.next()?.parse().ok()?;
    for (place, part) in three.iter_mut().skip(1).zip(parts) {
        *place = part.parse().ok()?;
    }
    Some(three)
}

/// What a harness keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateRow {
    /// Where, unless it is told otherwise.
    pub directory: &'static str,
    /// The variable that moves it.
    pub variable: &'static str,
    /// What follows the volume's mount path in that variable.
    pub below: &'static str,
    /// A variable that moves its configuration as well, and what follows the directory of its state in that. It is set only where a template
    /// has files there: to set it for all would move the configuration of agents that run.
    pub configuration: Option<(&'static str, &'static str)>,
}

/// A file that a harness needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowFile {
    /// Where, below the directory of its state.
    pub path: &'static str,
    /// What stands in it.
    pub content: &'static str,
}

/// Where a program that nobody knows may have its own files: as the API server holds templates to it (`api::files`).
const USUAL_PLACES: &[&str] = &["/app", "/home", "/opt", "/srv", "/workspace"];

/// How a harness is told who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TellingRow {
    /// Where it is told.
    pub provision: &'static str,
    /// Where it is told something new.
    pub update: &'static str,
    /// Where it says whose it is.
    pub status: &'static str,
    /// What of its answer everybody may see who sees the claim. All else may be a capability, such as an invite.
    pub shown: &'static [&'static str],
}

/// The row of a harness.
pub fn row(harness: Harness) -> HarnessRow {
    match harness {
        Harness::Convos => convos(),
        Harness::Http => http(),
        Harness::OpenClaw => openclaw(),
        Harness::Hermes => hermes(),
        Harness::OpenCode => opencode(),
    }
}

/// The row of that name.
pub fn named(name: &str) -> Option<HarnessRow> {
    let mut rows = Harness::ALL.into_iter().map(row);
    rows.find(|row| row.name == name)
}

fn convos() -> HarnessRow {
    HarnessRow {
        name: "convos",
        versions: None,
        start: None,
        port: None,
        port_variable: Some("PORT"),
        path: "/pool/health",
        expects: Expects::default(),
        open: false,
        token_variable: "GATEWAY_TOKEN",
        form: TokenForm::Bearer,
        switches: &[],
        state: None,
        files: &[],
        places: USUAL_PLACES,
        persona: &[],
        telling: Some(TellingRow {
            provision: "/pool/provision",
            update: "/pool/update-template",
            status: "/convos/status",
            shown: &["conversationId", "joined", "status"],
        }),
        reset: Some("`POST /convos/reset`, and `clean` in `/convos/status`"),
        busy: None,
        uid: None,
        least_memory: None,
    }
}

fn http() -> HarnessRow {
    HarnessRow {
        name: "http",
        path: "/",
        expects: Expects::Status(200),
        telling: None,
        reset: None,
        ..convos()
    }
}

/// Railway's edge comes from 100.64.0.0/10. Of what comes through an edge that is not named here the gateway answers nothing, its health neither.
const OPENCLAW_CONFIG: &str = r#"{"gateway":{"mode":"local","trustedProxies":["100.64.0.0/10"],"http":{"endpoints":{"chatCompletions":{"enabled":true}}}}}"#;

/// It answers an unknown path with a page and 200; `/startupz` begins with 2026.8.1, and one broken channel does not make it fail. Through
/// an edge it says its version only to whoever shows the token.
fn openclaw() -> HarnessRow {
    HarnessRow {
        name: "openclaw",
        versions: Some(VersionRow {
            from: "2026.8.1",
            below: None,
            path: "/startupz",
            pointer: "/version",
        }),
        start: Some("openclaw gateway --bind lan --port {port} --allow-unconfigured"),
        port: Some(18789),
        port_variable: Some("OPENCLAW_GATEWAY_PORT"),
        path: "/startupz",
        expects: value("/status", "started"),
        open: false,
        token_variable: "OPENCLAW_GATEWAY_TOKEN",
        form: TokenForm::Bearer,
        switches: &[],
        state: Some(StateRow {
            directory: "/home/node/.openclaw",
            variable: "OPENCLAW_STATE_DIR",
            below: "/.openclaw",
            configuration: None,
        }),
        files: &[RowFile {
            path: "openclaw.json",
            content: OPENCLAW_CONFIG,
        }],
        places: &[],
        persona: &["AGENTS.md", "SOUL.md", "IDENTITY.md"],
        telling: None,
        reset: None,
        busy: None,
        uid: Some(1000),
        least_memory: Some("2Gi"),
    }
}

fn hermes() -> HarnessRow {
    HarnessRow {
        name: "hermes",
        versions: Some(VersionRow {
            from: "0.19.0",
            below: Some("1.0.0"),
            path: "/health",
            pointer: "/version",
        }),
        start: Some("hermes gateway run"),
        port: Some(8642),
        port_variable: Some("API_SERVER_PORT"),
        path: "/health",
        expects: value("/status", "ok"),
        open: true,
        token_variable: "API_SERVER_KEY",
        form: TokenForm::Bearer,
        switches: &[
            ("API_SERVER_ENABLED", "true"),
            ("API_SERVER_HOST", "0.0.0.0"),
        ],
        state: Some(StateRow {
            directory: "/opt/data",
            variable: "HERMES_HOME",
            below: "",
            configuration: None,
        }),
        files: &[],
        places: &[],
        persona: &["SOUL.md"],
        telling: None,
        reset: None,
        busy: Some("`active_agents` in `/health/detailed`"),
        uid: Some(0),
        least_memory: Some("1Gi"),
    }
}

/// Without its token it answers nothing at all. From 2 on `/global/health` is a page.
fn opencode() -> HarnessRow {
    HarnessRow {
        name: "opencode",
        versions: Some(VersionRow {
            from: "1.18.0",
            below: Some("2.0.0"),
            path: "/global/health",
            pointer: "/version",
        }),
        start: Some("opencode serve --hostname 0.0.0.0 --port {port}"),
        port: Some(4096),
        port_variable: None,
        path: "/global/health",
        expects: value("/healthy", "true"),
        open: false,
        token_variable: "OPENCODE_SERVER_PASSWORD",
        form: TokenForm::Basic {
            user: "opencode".to_owned(),
        },
        switches: &[],
        state: Some(StateRow {
            directory: "$HOME/.local/share",
            variable: "XDG_DATA_HOME",
            below: "",
            configuration: Some(("XDG_CONFIG_HOME", "/config")),
        }),
        files: &[],
        places: USUAL_PLACES,
        persona: &["AGENTS.md"],
        telling: None,
        reset: None,
        busy: None,
        uid: None,
        least_memory: Some("1Gi"),
    }
}

fn value(pointer: &str, equals: &str) -> Expects {
    Expects::Value {
        pointer: pointer.to_owned(),
        equals: equals.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_bears_the_word_that_templates_write() {
        for harness in Harness::ALL {
            let word = serde_json::to_value(harness).unwrap();
            assert_eq!(word, row(harness).name);
            assert_eq!(named(row(harness).name), Some(row(harness)));
        }
        assert_eq!(named("goose"), None);
    }

    #[test]
    fn a_version_is_inside_outside_or_none() {
        let of = |name: &str, version: &str| named(name).unwrap().versions.unwrap().holds(version);
        for (name, version, holds) in [
            ("openclaw", "2026.8.1", Some(true)),
            ("openclaw", "2026.9.6", Some(true)),
            ("openclaw", "2026.10.0-beta.1", Some(true)),
            ("openclaw", "2026.7.1-2", Some(false)),
            ("hermes", "0.19.0", Some(true)),
            ("hermes", "v0.22.2", Some(true)),
            ("hermes", "0.18", Some(false)),
            ("hermes", "1.0.0", Some(false)),
            ("opencode", "1.18.33", Some(true)),
            ("opencode", "2.0.4", Some(false)),
            ("opencode", "latest", None),
            ("opencode", "", None),
            ("opencode", "1.x", None),
            ("opencode", "99999999999.1", None),
        ] {
            assert_eq!(of(name, version), holds, "{name} {version}");
        }
        let ranges = ["openclaw", "hermes"].map(|name| named(name).unwrap().versions.unwrap());
        let ranges = ranges.map(|versions| versions.range());
        assert_eq!(ranges, [">=2026.8.1", ">=0.19.0, <1.0.0"]);
    }
}
