//! The journal: every exchange as one JSON line, whole and flushed before the client can have its answer.
//!
//! A line is what the contract check reads, plus `n`, `at`, `host`, `operation`, `workspace` and `effect`. Headers are
//! not in it, so no credential of a request is. The lock is held for one `write` of a finished line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::clock;
use crate::exchange::{Answer, Request};

#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    lines: AtomicU64,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome<'a> {
    /// The provider's own answer.
    Answered(&'a Answer),
    /// An answer that a fault made or changed.
    Injected(&'a Answer),
    /// The client got nothing.
    Silent,
}

/// What a line says about an exchange besides request and response.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub provider: &'static str,
    pub operations: Vec<String>,
    pub workspace: Option<String>,
    pub effect: Option<&'static str>,
    /// Else it stands in `harness.jsonl`.
    pub journaled: bool,
}

impl Journal {
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        // A journal belongs to one simulator: what an earlier one left in this directory is dropped.
        File::create(&path)?;
        let file = OpenOptions::new().append(true).open(&path)?;
        Ok(Self {
            path,
            file: Mutex::new(file),
            lines: AtomicU64::new(0),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn record(&self, about: &About, request: &Request, outcome: Outcome<'_>) {
        let (status, response, fault) = match outcome {
            Outcome::Answered(answer) => (answer.status, answer.body.journal(), false),
            Outcome::Injected(answer) => (answer.status, answer.body.journal(), true),
            Outcome::Silent => (0, "null".to_owned(), true),
        };
        let mut head = json!({
            "n": self.lines.fetch_add(1, Ordering::Relaxed) + 1,
            "at": clock::text(clock::now()),
            "provider": about.provider,
            "host": request.host,
            "method": request.method,
            "path": request.target(),
            "status": status,
            "operation": about.operations.join(","),
        });
        if let Value::Object(fields) = &mut head {
            if let Some(workspace) = &about.workspace {
                fields.insert("workspace".to_owned(), json!(workspace));
            }
            if fault {
                fields.insert("fault".to_owned(), json!(true));
            }
            if let Some(effect) = about.effect {
                fields.insert("effect".to_owned(), json!(effect));
            }
        }
        let mut line = head.to_string();
        line.pop();
        line.push_str(",\"request\":");
        line.push_str(&request.body.journal());
        line.push_str(",\"response\":");
        line.push_str(&response);
        line.push_str("}\n");
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::error!(%error, "the journal cannot be written");
        }
    }
}
