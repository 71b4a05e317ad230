//! The calls an agent answers: health, status, provision, reset, update-template, clone-summary.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::memory::{Binding, Memory};
use super::{Agents, Running};
use crate::exchange::{Answer, Request};
use crate::identity::uuid;
use crate::nature::Trait;

impl Agents {
    pub(super) async fn serve(
        &self,
        running: &Running,
        request: &Request,
        now: Timestamp,
    ) -> Answer {
        self.remember(running, |memory| memory.requests += 1);
        let variables = &running.deployment.variables;
        let settings = self.settings.of(&running.project.workspace);
        let own_path = variables.get("HEALTH_PATH");
        if own_path
            .into_iter()
            .chain(&settings.health_paths)
            .any(|path| *path == request.path)
        {
            return health(running, now);
        }
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
            ("GET", "/convos/status") => self.remember(running, |memory| status(memory)),
            ("POST", "/pool/provision") => self.provision(running, body).await,
            ("POST", "/convos/reset") => {
                let cleans = !running.deployment.nature.is(Trait::Unclean);
                self.remember(running, |memory| memory.reset(cleans));
                done(200)
            }
            ("POST", "/pool/update-template" | "/pool/clone-summary") if old => {
                Answer::error(404, "not found")
            }
            ("POST", "/pool/update-template") => self.remember(running, |memory| {
                memory.updates += 1;
                memory.template_updated_at = body["templateUpdatedAt"].as_str().map(str::to_owned);
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

    /// Joins the conversation it is told to. The answer may take a while; what it does is done even if nobody waits.
    async fn provision(&self, running: &Running, body: &Value) -> Answer {
        for name in ["agentName", "instructions"] {
            if body[name].as_str().is_none_or(str::is_empty) {
                return Answer::error(400, &format!("{name} is missing"));
            }
        }
        let free = self.remember(running, |memory| {
            memory.provisions += 1;
            let free = memory.binding == Binding::Free;
            if free {
                memory.binding = Binding::Joining;
            }
            free
        });
        if !free {
            return Answer::error(409, "already bound");
        }
        let time = self.settings.of(&running.project.workspace).provision_time;
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        let nature = &running.deployment.nature;
        let join_url = body["joinUrl"].as_str();
        self.remember(running, |memory| {
            memory.tainted = true;
            memory.agent_name = body["agentName"].as_str().map(str::to_owned);
            let given = body["env"].as_object();
            memory.given = given
                .map(|rows| rows.keys().cloned().collect())
                .unwrap_or_default();
            if nature.is(Trait::RefusesProvision) {
                memory.binding = Binding::Free;
                return Answer::error(502, "could not join the conversation");
            }
            if nature.is(Trait::Pending) {
                memory.binding = Binding::Pending;
                return bound(memory, "pending_acceptance", join_url);
            }
            memory.binding = Binding::Bound {
                conversation: uuid(),
            };
            bound(
                memory,
                if join_url.is_some() {
                    "joined"
                } else {
                    "created"
                },
                join_url,
            )
        })
    }
}

fn health(running: &Running, now: Timestamp) -> Answer {
    let deployment = &running.deployment;
    let runtime = deployment
        .variables
        .get("RUNTIME")
        .map_or("openclaw", String::as_str);
    let body = json!({ "ready": running.is_ready(now), "version": deployment.version, "runtime": runtime });
    Answer::json(if running.answers(now) { 200 } else { 503 }, body)
}

fn status(memory: &Memory) -> Answer {
    Answer::json(
        200,
        json!({
            "conversationId": memory.conversation(),
            "inboxId": memory.inbox,
            "pending": memory.is_pending(),
            "clean": memory.is_clean(),
        }),
    )
}

fn bound(memory: &Memory, status: &str, join_url: Option<&str>) -> Answer {
    let invite = format!("https://agents.example.com/i/{}", memory.inbox);
    Answer::json(
        200,
        json!({
            "ok": true,
            "status": status,
            "joined": status == "joined",
            "conversationId": memory.conversation(),
            "inviteUrl": join_url.unwrap_or(&invite),
        }),
    )
}

fn done(status: u16) -> Answer {
    Answer::json(status, json!({ "ok": true }))
}
