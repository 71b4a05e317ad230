//! The calls an agent answers: health, status, reset, update-template, clone-summary; provision is in `provision.rs`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::memory::Memory;
use super::{Agents, Running, programs};
use crate::exchange::{Answer, Request};
use crate::nature::Trait;

/// An agent that has this is a program behind yardmaster-runner, whatever its image is called. One whose contract is longer than one
/// variable is not imitated.
const RUNNER: &str = "YARDMASTER_RUNNER";

impl Agents {
    pub(super) async fn serve(
        &self,
        running: &Running,
        request: &Request,
        now: Timestamp,
    ) -> Answer {
        self.remember(running, |memory| memory.requests += 1);
        let variables = &running.deployment.variables;
        let runner = variables.get(RUNNER);
        if let (Some(program), None) = (programs::of(&running.deployment.image), runner) {
            return programs::answer(program, running, request, now);
        }
        let settings = self.settings.of(&running.project.workspace);
        let own_path = variables.get("HEALTH_PATH");
        if own_path
            .into_iter()
            .chain(&settings.health_paths)
            .any(|path| *path == request.path)
        {
            return health(running, now);
        }
        if (request.method.as_str(), request.path.as_str()) == ("POST", "/pool/provision") {
            let number = self.tellings.heard(running, request, now);
            let answer = self.reached(running, request, now).await;
            self.tellings.answered(number, answer.status);
            return answer;
        }
        self.reached(running, request, now).await
    }

    /// What is behind the health path: nothing until it is up, and nothing without the token.
    async fn reached(&self, running: &Running, request: &Request, now: Timestamp) -> Answer {
        let variables = &running.deployment.variables;
        if !running.answers(now) {
            return Answer::error(503, "starting");
        }
        let token = variables
            .get("GATEWAY_TOKEN")
            .filter(|token| !token.is_empty());
        if token.is_none() || request.bearer() != token.map(String::as_str) {
            return Answer::error(401, "unauthorized");
        }
        let nothing = json!({});
        let body = request.body.json().unwrap_or(&nothing);
        let old = running.deployment.nature.is(Trait::Old);
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/convos/status" | "/pool/status") => {
                let keeps = !running.deployment.nature.is(Trait::Forgetful);
                self.remember(running, |memory| status(memory, keeps))
            }
            ("POST", "/pool/provision") => self.provision(running, &request.host, body).await,
            ("POST", "/convos/reset") => {
                let cleans = !running.deployment.nature.is(Trait::Unclean);
                self.remember(running, |memory| memory.reset(cleans));
                done(200)
            }
            ("POST", "/pool/update-template" | "/pool/clone-summary") if old => {
                Answer::error(404, "not found")
            }
            ("POST", "/pool/update-template") => self.remember(running, |memory| {
                memory.hear_anew(body);
                done(200)
            }),
            ("POST", "/pool/clone-summary") if body["childInboxId"].is_string() => {
                self.remember(running, |memory| memory.clones += 1);
                done(202)
            }
            ("POST", "/pool/clone-summary") => Answer::error(400, "childInboxId is missing"),
            _ => Answer::error(404, "not found"),
        }
    }
}

fn health(running: &Running, now: Timestamp) -> Answer {
    let deployment = &running.deployment;
    let variables = &deployment.variables;
    let runtime = variables.get("RUNTIME").map_or("openclaw", String::as_str);
    let ready = running.is_ready(now);
    let mut body = json!({ "ready": ready, "version": deployment.version, "runtime": runtime });
    let mut works = running.answers(now);
    if let Some(contract) = variables.get(RUNNER) {
        // The runner says so only while its program does.
        let contract: Value = serde_json::from_str(contract).unwrap_or_default();
        body["runtime"] = contract["name"].clone();
        works = ready && !contract["argv"].is_null();
    }
    Answer::json(if works { 200 } else { 503 }, body)
}

/// Whose it is. One that keeps no claim does not know the word.
fn status(memory: &Memory, keeps: bool) -> Answer {
    let mut body = json!({
        "conversationId": memory.conversation(),
        "inboxId": memory.inbox,
        "pending": memory.is_pending(),
        "clean": memory.is_clean(),
    });
    if keeps {
        body["claim"] = json!(memory.claim);
    }
    Answer::json(200, body)
}

fn done(status: u16) -> Answer {
    Answer::json(status, json!({ "ok": true }))
}
