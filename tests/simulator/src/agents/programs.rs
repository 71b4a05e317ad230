//! The programs that people run as agents: each answers as the real one was seen to (facts/field-2026-11.md 2.1, 2.3).
//!
//! Holds: a program is known by its image's name; its token is in its own variable, and one that is not configured as it needs is not
//! reached: it listens on loopback, on another port, or has no API. Absent: everything behind its status paths.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Running, no_response};
use crate::exchange::{Answer, Request};
use crate::start_command::StartCommand;

/// What these programs are asked, and no other agent is: no description of the agents' own contract has it.
pub(super) const STATUS_PATHS: [&str; 5] =
    ["/startupz", "/readyz", "/health", "/global/health", "/doc"];

/// A program that agents are made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    OpenClaw,
    Hermes,
    OpenCode,
}

/// Image names and what is in them.
const IMAGES: [(&str, Program); 3] = [
    ("ghcr.io/openclaw/openclaw", Program::OpenClaw),
    ("ghcr.io/nousresearch/hermes-agent", Program::Hermes),
    ("ghcr.io/sst/opencode", Program::OpenCode),
];

/// The program behind an image, if it is one of them.
pub(super) fn of(image: &str) -> Option<Program> {
    let named = |name: &&(&str, Program)| {
        let rest = image.strip_prefix(name.0);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@']))
    };
    IMAGES.iter().find(named).map(|(_, program)| *program)
}

/// What it answers.
pub(super) fn answer(
    program: Program,
    running: &Running,
    request: &Request,
    now: Timestamp,
) -> Answer {
    let variables = &running.deployment.variables;
    let command = StartCommand::of(&running.deployment);
    let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
    let domains = running.environment_row().domains.iter();
    let mut domains = domains.filter(|domain| domain.domain == request.host);
    let leads_to = domains.next().and_then(|domain| domain.target_port);
    let variable = |name: &str| {
        let value = variables.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    };
    let after = |flag: &str| {
        let at = words.iter().position(|word| *word == flag)?;
        words.get(at + 1).copied()
    };
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i32>().ok());
    // Nobody leads the edge elsewhere: then it finds the port by itself.
    let reached = |port: Option<i32>| leads_to.is_none() || leads_to == port;
    let version = running.deployment.version.as_deref().unwrap_or("0.0.0");
    let listens = running.answers(now)
        && match program {
            Program::OpenClaw => {
                let port = number(after("--port").or_else(|| variable("OPENCLAW_GATEWAY_PORT")));
                after("--bind") == Some("lan")
                    && variable("OPENCLAW_GATEWAY_TOKEN").is_some()
                    && reached(port.or(Some(18789)))
            }
            Program::Hermes => {
                let port = number(variable("API_SERVER_PORT")).or(Some(8642));
                let key = variable("API_SERVER_KEY").is_some_and(|key| key.len() >= 8);
                variable("API_SERVER_ENABLED") == Some("true")
                    && variable("API_SERVER_HOST") == Some("0.0.0.0")
                    && key
                    && reached(port)
            }
            Program::OpenCode => {
                words.get(1) == Some(&"serve")
                    && after("--hostname") == Some("0.0.0.0")
                    && reached(number(after("--port")))
            }
        };
    if !listens {
        return no_response();
    }
    let ready = running.is_ready(now);
    match program {
        Program::OpenClaw => openclaw(request, variable("OPENCLAW_GATEWAY_TOKEN"), version, ready),
        Program::Hermes => hermes(request, variable("API_SERVER_KEY"), version, ready),
        Program::OpenCode => {
            let user = variable("OPENCODE_SERVER_USERNAME").unwrap_or("opencode");
            let opens = variable("OPENCODE_SERVER_PASSWORD").map(|password| (user, password));
            opencode(request, opens, version, ready)
        }
    }
}

/// Its status paths are open; every path that it does not know is its page.
fn openclaw(request: &Request, token: Option<&str>, version: &str, ready: bool) -> Answer {
    let open = request.bearer() == token;
    match request.path.as_str() {
        "/healthz" => Answer::json(200, json!({ "ok": true, "status": "live" })),
        "/startupz" if ready => Answer::json(
            200,
            json!({ "ok": true, "status": "started", "version": version }),
        ),
        "/startupz" => Answer::json(503, json!({ "ok": false, "status": "starting" })),
        "/readyz" => {
            let mut body = json!({ "ready": ready });
            if open {
                body["failing"] = json!([]);
            }
            Answer::json(if ready { 200 } else { 503 }, body)
        }
        path if path.starts_with("/v1/") && !open => Answer::error(401, "unauthorized"),
        _ => Answer::text(
            200,
            "<!doctype html><html><title>OpenClaw Control</title></html>",
        )
        .with("content-type", "text/html; charset=utf-8"),
    }
}

fn hermes(request: &Request, key: Option<&str>, version: &str, ready: bool) -> Answer {
    let status = if ready { "ok" } else { "starting" };
    let said = json!({ "status": status, "platform": "hermes-agent", "version": version });
    match request.path.as_str() {
        "/health" | "/v1/health" => Answer::json(200, said),
        "/health/detailed" | "/v1/models" | "/v1/capabilities" if request.bearer() != key => {
            let error =
                json!({ "message": "Invalid API key", "type": "auth", "code": "invalid_api_key" });
            Answer::json(401, json!({ "error": error }))
        }
        "/health/detailed" => {
            let mut said = said;
            said["active_agents"] = json!(0);
            // No model is configured.
            said["status"] = json!("degraded");
            Answer::json(200, said)
        }
        "/v1/models" | "/v1/capabilities" => Answer::json(
            200,
            json!({ "object": "list", "data": Value::Array(Vec::new()) }),
        ),
        _ => Answer::error(404, "not found"),
    }
}

/// Nothing is open. One without a password is open to everybody.
fn opencode(request: &Request, opens: Option<(&str, &str)>, version: &str, ready: bool) -> Answer {
    let shown = request.basic();
    let shown = shown
        .as_ref()
        .map(|(user, password)| (user.as_str(), password.as_str()));
    if opens.is_some() && shown != opens {
        return Answer::text(401, "Unauthorized").with("www-authenticate", "Basic");
    }
    match request.path.as_str() {
        "/global/health" => Answer::json(200, json!({ "healthy": ready, "version": version })),
        "/api/health" => Answer::json(200, json!({ "healthy": ready })),
        "/doc" => Answer::json(200, json!({ "openapi": "3.1.1" })),
        _ => Answer::error(404, "not found"),
    }
}
