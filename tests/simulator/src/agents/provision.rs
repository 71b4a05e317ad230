//! Being told who it is: an agent keeps the first claim on its disk before it acts, and answers the same again the same.
//!
//! Holds: another claim than the one it keeps is 409 for ever, also after a reset; what it does is done even if nobody waits for the
//! answer. Absent: a disk where there is no volume: a new deployment then knows no claim, as the setting `agent.memory` says.

use serde_json::{Value, json};

use super::memory::{Binding, Memory};
use super::{Agents, Running, no_response};
use crate::clock;
use crate::exchange::Answer;
use crate::identity::uuid;
use crate::nature::Trait;

/// What an agent does about a telling.
enum Next {
    /// To join, or to make, its conversation.
    Join,
    /// To wait for the one that is joining for the same claim.
    Wait,
    Answer(Answer),
}

impl Agents {
    pub(super) async fn provision(&self, running: &Running, host: &str, body: &Value) -> Answer {
        for name in ["agentName", "instructions"] {
            if body[name].as_str().is_none_or(str::is_empty) {
                return Answer::error(400, &format!("{name} is missing"));
            }
        }
        if running.deployment.nature.is(Trait::RejectsClaim) {
            return Answer::error(422, "this agent will not");
        }
        loop {
            // Before the look: whoever ends afterwards is heard of.
            let ended = self.joined.notified();
            let keeps = !running.deployment.nature.is(Trait::Forgetful);
            match self.remember(running, |memory| begin(memory, keeps, body)) {
                Next::Join => return self.join(running, host, body).await,
                Next::Wait => ended.await,
                Next::Answer(answer) => return answer,
            }
        }
    }

    /// The answer may take a while.
    async fn join(&self, running: &Running, host: &str, body: &Value) -> Answer {
        let time = self.settings.of(&running.project.workspace).provision_time;
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        let nature = &running.deployment.nature;
        let runs = self.behind(host, clock::now());
        let runs = runs.is_ok_and(|now| now.deployment.id == running.deployment.id);
        let answer = if runs {
            self.remember(running, |memory| {
                memory.tainted = true;
                memory.agent_name = body["agentName"].as_str().map(str::to_owned);
                memory.hear(body);
                let given = body["env"].as_object();
                memory.given = given
                    .map(|rows| rows.keys().cloned().collect())
                    .unwrap_or_default();
                if nature.is(Trait::RefusesProvision) {
                    memory.binding = Binding::Free;
                    return Answer::error(502, "could not join the conversation");
                }
                memory.joins += 1;
                memory.invited = body["joinUrl"].as_str().map(str::to_owned);
                memory.binding = if nature.is(Trait::Pending) {
                    Binding::Pending
                } else {
                    Binding::Bound {
                        conversation: uuid(),
                    }
                };
                bound(memory)
            })
        } else {
            // Its container has ended meanwhile, and it with it.
            no_response()
        };
        self.joined.notify_waiters();
        answer
    }
}

/// Looks at what it keeps, and keeps what it is told.
fn begin(memory: &mut Memory, keeps: bool, body: &Value) -> Next {
    memory.provisions += 1;
    let told = body["claim"].as_str().filter(|_| keeps);
    let same = told.is_some() && memory.claim.as_deref() == told;
    let taken = |memory: &Memory| {
        let mut body = json!({ "error": "already bound" });
        if keeps {
            body["claim"] = json!(memory.claim);
        }
        Next::Answer(Answer::json(409, body))
    };
    match &memory.binding {
        Binding::Free if same || memory.claim.is_none() => {
            memory.claim = told.map(str::to_owned);
            memory.binding = Binding::Joining;
            Next::Join
        }
        Binding::Joining if same => Next::Wait,
        Binding::Pending | Binding::Bound { .. } if same => Next::Answer(bound(memory)),
        _ => taken(memory),
    }
}

/// What it says of its conversation.
fn bound(memory: &Memory) -> Answer {
    let status = match (&memory.binding, &memory.invited) {
        (Binding::Pending, _) => "pending_acceptance",
        (_, Some(_)) => "joined",
        (_, None) => "created",
    };
    let invite = format!("https://agents.example.com/i/{}", memory.inbox);
    Answer::json(
        200,
        json!({
            "ok": true,
            "status": status,
            "joined": status == "joined",
            "conversationId": memory.conversation(),
            "inviteUrl": memory.invited.as_ref().unwrap_or(&invite),
        }),
    )
}
