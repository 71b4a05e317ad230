//! What happened: the journal of exchanges with the outside, and the API server's audit log, both JSON lines.
//!
//! Holds: a reader starts at a [`Mark`] taken earlier, so that a test in a shared world counts only what came after;
//! a line that is not whole yet is left for the next time. Absent: judging. Whether the exchanges are such as the
//! providers could have had is for the contract check.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A place in a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark(u64);

/// A file of JSON lines that somebody else appends to.
#[derive(Debug, Clone)]
pub struct Record<T> {
    path: PathBuf,
    line: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Record<T> {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self {
            path,
            line: PhantomData,
        }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The end of what is there now: after the last whole line, since another may be just being written.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn mark(&self) -> Result<Mark> {
        match self.end() {
            Ok(end) => Ok(Mark(end)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Mark::default()),
            Err(error) => Err(error).with_context(|| self.path.display().to_string()),
        }
    }

    fn end(&self) -> io::Result<u64> {
        const STEP: u64 = 64 * 1024;
        let mut file = fs::File::open(&self.path)?;
        let mut end = file.metadata()?.len();
        while end > 0 {
            let begin = end.saturating_sub(STEP);
            file.seek(SeekFrom::Start(begin))?;
            let mut text = Vec::new();
            (&mut file).take(end - begin).read_to_end(&mut text)?;
            if let Some(at) = text.iter().rposition(|byte| *byte == b'\n') {
                return Ok(begin + at as u64 + 1);
            }
            end = begin;
        }
        Ok(0)
    }

    /// The lines since a mark.
    ///
    /// # Errors
    /// The file cannot be read, or a line is not what it should be.
    pub fn since(&self, mut mark: Mark) -> Result<Vec<T>> {
        self.follow(&mut mark)
    }

    /// The lines since a mark, which goes on to their end: who waits for something reads each line once.
    ///
    /// # Errors
    /// The file cannot be read, or a line is not what it should be.
    pub fn follow(&self, mark: &mut Mark) -> Result<Vec<T>> {
        let mut text = Vec::new();
        match fs::File::open(&self.path) {
            Ok(mut file) => {
                file.seek(SeekFrom::Start(mark.0))?;
                file.read_to_end(&mut text)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| self.path.display().to_string()),
        }
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        mark.0 += whole as u64;
        let lines = text[..whole]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        lines
            .map(|line| {
                serde_json::from_slice(line).with_context(|| {
                    format!("{}: {}", self.path.display(), String::from_utf8_lossy(line))
                })
            })
            .collect()
    }

    /// All lines.
    ///
    /// # Errors
    /// The file cannot be read, or a line is not what it should be.
    pub fn all(&self) -> Result<Vec<T>> {
        self.since(Mark::default())
    }
}

/// One exchange with the outside.
#[derive(Debug, Clone, Deserialize)]
pub struct Exchange {
    #[serde(default)]
    pub n: u64,
    #[serde(default)]
    pub at: Option<Timestamp>,
    pub provider: String,
    #[serde(default)]
    pub host: String,
    pub method: String,
    /// Below the host, with its query string.
    pub path: String,
    /// What was asked for: GraphQL's root fields, or a method and a path.
    #[serde(default)]
    pub operation: String,
    #[serde(default)]
    pub workspace: Option<String>,
    /// 0: there was no answer.
    pub status: u16,
    /// The answer was made or changed by a fault.
    #[serde(default)]
    pub fault: bool,
    /// Which fault.
    #[serde(default)]
    pub effect: Option<String>,
    #[serde(default)]
    pub request: Value,
    #[serde(default)]
    pub response: Value,
}

/// One request to the API server.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "AuditEvent")]
pub struct Audited {
    /// `ResponseComplete`, or for a watch also `ResponseStarted`.
    pub stage: String,
    pub verb: String,
    pub user: String,
    pub agent: String,
    pub uri: String,
    /// Empty for what is no resource, such as discovery.
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// The HTTP status; 0 where there was none.
    pub code: u16,
    pub at: Option<Timestamp>,
}

impl Audited {
    /// A finished request that changes something (or tried to).
    #[must_use]
    pub fn is_write(&self) -> bool {
        let writes = ["create", "update", "patch", "delete", "deletecollection"];
        self.stage == "ResponseComplete" && writes.contains(&self.verb.as_str())
    }

    /// Made with the controller's credentials.
    #[must_use]
    pub fn is_controller(&self) -> bool {
        let namespace = crate::install::SYSTEM_NAMESPACE;
        self.user
            == format!(
                "system:serviceaccount:{namespace}:{}",
                crate::install::SERVICE_ACCOUNT
            )
    }
}

/// As the API server writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuditEvent {
    stage: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
    #[serde(default)]
    stage_timestamp: Option<Timestamp>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

impl From<AuditEvent> for Audited {
    fn from(event: AuditEvent) -> Self {
        Self {
            stage: event.stage,
            verb: event.verb,
            user: event.user.username,
            agent: event.user_agent,
            uri: event.request_uri,
            group: event.object_ref.api_group,
            resource: event.object_ref.resource,
            subresource: event.object_ref.subresource,
            namespace: event.object_ref.namespace,
            name: event.object_ref.name,
            code: event.response_status.code,
            at: event.stage_timestamp,
        }
    }
}
