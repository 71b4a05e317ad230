//! Reading the journal over HTTP: `GET /journal?provider=&workspace=&operation=&since=`.

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Desk, Outcome, Sorry};

#[derive(Deserialize)]
pub(super) struct Part {
    provider: Option<String>,
    workspace: Option<String>,
    operation: Option<String>,
    /// Lines to leave out at the start.
    #[serde(default)]
    since: usize,
}

/// `{"lines": […], "next": n}`; `next` is the `since` that continues from here.
pub(super) async fn read(State(desk): State<Desk>, Query(part): Query<Part>) -> Outcome {
    let text = std::fs::read_to_string(desk.gate.journal.path())
        .map_err(|error| Sorry::not_found(error.to_string()))?;
    // A line is written whole, but a reader may come in between.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let is = |line: &Value, name: &str, wanted: &Option<String>| {
        wanted.as_ref().is_none_or(|wanted| line[name] == **wanted)
    };
    let mut next = part.since;
    let mut lines = Vec::new();
    for line in whole.lines().skip(part.since) {
        next += 1;
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        let has_operation = part.operation.as_ref().is_none_or(|wanted| {
            line["operation"]
                .as_str()
                .is_some_and(|names| names.split(',').any(|name| name == wanted))
        });
        if is(&line, "provider", &part.provider)
            && is(&line, "workspace", &part.workspace)
            && has_operation
        {
            lines.push(line);
        }
    }
    Ok(Json(json!({ "lines": lines, "next": next })))
}
