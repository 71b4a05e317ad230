//! What the controller says of a harness, in the variable `YARDMASTER_RUNNER`. README.md beside this explains each field.
//!
//! Holds: an unknown field or another version is refused with its name; no value is repeated in an error, because some are secret.

mod check;

use crate::files::Places;
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The variable.
pub const VARIABLE: &str = "YARDMASTER_RUNNER";

/// The version of the format that is read.
const VERSION: u64 = 1;

/// All that differs between harnesses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Contract {
    /// Of the format.
    #[serde(rename = "version")]
    _version: u64,
    /// What health calls it, and its lines' prefix.
    pub name: String,
    /// What is started. `{port}` stands for the harness's port.
    pub argv: Vec<String>,
    /// Where it is started; left out, where the runner is.
    pub directory: Option<PathBuf>,
    #[serde(default)]
    pub port: OwnPort,
    #[serde(default)]
    pub credential: Credential,
    /// Variables of the harness, where the container has no others.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    pub readiness: Question,
    /// Where it keeps its state. Relative paths below are meant from here.
    pub state_directory: PathBuf,
    /// Other directories in which files may be laid.
    #[serde(default)]
    pub places: Vec<PathBuf>,
    #[serde(default)]
    pub files: Vec<LaidFile>,
    #[serde(default)]
    pub persona: Persona,
    /// How it is told that its persona has changed.
    #[serde(default)]
    pub told_by: ToldBy,
    /// Left out: it cannot be reset.
    pub reset: Option<Reset>,
    /// Left out: nobody can tell whether it is clean once it was told something.
    pub clean: Option<Clean>,
    /// What a killed one leaves behind and must be gone before the next starts, such as a lock.
    #[serde(default)]
    pub stale: Vec<PathBuf>,
    /// It is at work where one of these is so. None: it does not say.
    #[serde(default)]
    pub busy: Vec<Question>,
    /// Variables that nobody is told: the program would look elsewhere for what lies here.
    #[serde(default)]
    pub reserved: Vec<String>,
    /// What it must be told.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// So many seconds after SIGTERM it is killed.
    #[serde(default = "grace")]
    pub grace_seconds: u64,
}

/// The port at which the harness listens, on loopback.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OwnPort {
    /// Left out: a free one.
    pub number: Option<u16>,
    /// The variable that tells it.
    pub variable: Option<String>,
}

/// The harness's own credential.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Credential {
    /// The variable that tells it.
    pub variable: Option<String>,
    /// Left out: a random one at each start of the runner.
    pub value: Option<Secret>,
    #[serde(default)]
    pub auth: Authentication,
}

/// How a request shows the credential.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Authentication {
    #[serde(rename = "type", default)]
    pub kind: AuthKind,
    /// With `Basic`.
    pub username: Option<String>,
    /// With `Header`.
    pub header: Option<String>,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
pub enum AuthKind {
    Bearer,
    Basic,
    Header,
    #[default]
    None,
}

/// Something to ask of the harness, and what says yes: a status, or 200 with a value in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Question {
    pub path: String,
    pub status: Option<u16>,
    /// JSON pointer.
    pub pointer: Option<String>,
    /// The text of the value at `pointer`, compact JSON where it is a list or a map; left out, `true`.
    pub equals: Option<String>,
    /// Any value at `pointer` but this one.
    pub unlike: Option<String>,
    /// Whether the credential is shown.
    #[serde(default)]
    pub credential: bool,
    /// JSON pointer to the harness's version in the same answer.
    pub version: Option<String>,
}

/// A file to lay before the harness starts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LaidFile {
    pub path: PathBuf,
    pub content: Content,
    #[serde(default)]
    pub mode: LayMode,
    /// In octal.
    #[serde(default = "private")]
    pub permissions: String,
}

/// Bytes, in base64.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub struct Content(pub Vec<u8>);

impl TryFrom<String> for Content {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Content, &'static str> {
        STANDARD
            .decode(text)
            .map(Content)
            .map_err(|_| "a file's content is no base64")
    }
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
pub enum LayMode {
    /// What the agent wrote itself stays.
    #[default]
    IfMissing,
    Always,
}

/// Where a persona goes. In texts `{agentName}`, `{instructions}`, `{model}`, `{joinUrl}`, `{profileImage}` and `{metadata}` stand for
/// what was told.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Persona {
    #[serde(default)]
    pub files: Vec<PersonaFile>,
    /// Variables of the harness.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
}

/// A file that is written when the agent is told who it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PersonaFile {
    pub path: PathBuf,
    pub text: String,
    /// What was told is written as inside the quotes of JSON and YAML: else it could end them and say more than a value.
    #[serde(default)]
    pub quoted: bool,
}

/// What a harness is not told without.
#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Need {
    Model,
}

#[derive(Deserialize, Default)]
pub enum ToldBy {
    /// It reads its files again by itself.
    #[default]
    Nothing,
    Restart,
    /// This path is called with POST.
    Post(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Reset {
    pub delete: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Clean {
    #[serde(default)]
    pub missing: Vec<PathBuf>,
    /// And it says so itself.
    pub answer: Option<Question>,
}

fn grace() -> u64 {
    10
}

fn private() -> String {
    "0600".to_owned()
}

impl Contract {
    /// Reads it, and says what is wrong with it without repeating any value.
    pub fn read(text: &str) -> Result<Contract, String> {
        let version: serde_json::Value =
            serde_json::from_str(text).map_err(|wrong| words(&wrong))?;
        match version.get("version").map(serde_json::Value::as_u64) {
            Some(Some(VERSION)) => {}
            Some(_) => return Err(format!("version: this runner reads {VERSION} alone")),
            None => return Err("version is missing".to_owned()),
        }
        let contract: Contract = serde_json::from_str(text).map_err(|wrong| words(&wrong))?;
        contract.check()?;
        Ok(contract)
    }

    /// The directories in which something may be laid or deleted.
    pub fn places(&self) -> Places {
        Places::new(&self.state_directory, &self.places)
    }
}

impl LaidFile {
    /// What it says in octal.
    pub fn permissions(&self) -> Result<u32, String> {
        let bits = u32::from_str_radix(&self.permissions, 8).ok();
        bits.filter(|bits| *bits <= 0o777)
            .ok_or_else(|| "files.permissions is no octal number up to 0777".to_owned())
    }
}

/// Whether it can be a variable's name.
pub fn is_variable(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(plain) && !name.as_bytes()[0].is_ascii_digit()
}

/// An error of serde, unless it would repeat a value.
fn words(wrong: &serde_json::Error) -> String {
    let text = wrong.to_string();
    if ["unknown field", "missing field", "a file's content"]
        .iter()
        .any(|start| text.starts_with(start))
    {
        return text;
    }
    format!(
        "no JSON of this form at line {}, column {}",
        wrong.line(),
        wrong.column()
    )
}

#[cfg(test)]
#[path = "contract_tests.rs"]
mod tests;
