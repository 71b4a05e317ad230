//! `harness.jsonl`: what real programs were asked, and what they asked of models, one JSON line each, written when it has ended.
//!
//! It is not the journal: no description of a provider's API holds these. Bodies stand here of calls to models alone; headers
//! never do, so no credential of a request does.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::clock;
use crate::exchange::Request;
use crate::journal::{About, Outcome};

#[derive(Debug)]
pub(crate) struct HarnessLog {
    file: Mutex<File>,
    lines: AtomicU64,
}

impl HarnessLog {
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        // As the journal, it belongs to one simulator.
        File::create(&path)?;
        Ok(Self {
            file: Mutex::new(OpenOptions::new().append(true).open(&path)?),
            lines: AtomicU64::new(0),
        })
    }

    /// An exchange that was read whole.
    pub(crate) fn record(&self, about: &About, request: &Request, outcome: Outcome<'_>) {
        let answer = match outcome {
            Outcome::Answered(answer) | Outcome::Injected(answer) => Some(answer),
            Outcome::Silent => None,
        };
        let status = answer.map_or(0, |answer| answer.status);
        let got = answer.map_or(0, |answer| answer.body.wire().len());
        let sizes = (request.body.wire().len() as u64, got as u64);
        let mut line = self.line(about, request, status, sizes);
        if about.provider != "agent" {
            line["request"] = request.body.json().cloned().unwrap_or_default();
            line["response"] = answer
                .map(|answer| answer.body.journal())
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default();
        }
        self.write(&line);
    }

    /// An exchange that was passed on unread.
    pub(crate) fn passed(&self, about: &About, head: &Request, status: u16, sizes: (u64, u64)) {
        self.write(&self.line(about, head, status, sizes));
    }

    fn line(
        &self,
        about: &About,
        head: &Request,
        status: u16,
        (sent, received): (u64, u64),
    ) -> Value {
        json!({
            "n": self.lines.fetch_add(1, Ordering::Relaxed) + 1,
            "at": clock::text(clock::now()),
            "provider": about.provider,
            "workspace": about.workspace,
            "host": head.host,
            "method": head.method,
            // Without its query string: some programs take a token there.
            "path": head.path,
            "status": status,
            "sent": sent,
            "received": received,
            "effect": about.effect,
        })
    }

    fn write(&self, line: &Value) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
            tracing::error!(%error, "harness.jsonl cannot be written");
        }
    }
}
