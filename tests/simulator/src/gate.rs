//! The gate every exchange passes: a fault may strike, the provider answers, the journal gets its line, and only then
//! does the client get its reply.
//!
//! An exchange runs in a task of its own, so a client that hangs up never leaves one half done.

use std::sync::Arc;

use crate::exchange::{Answer, Body, Request};
use crate::faults::{Effect, Exchange, Faults};
use crate::harness_log::HarnessLog;
use crate::hosts::Hosts;
use crate::journal::{About, Journal, Outcome};
use crate::provider::Provider;

/// What goes back to the client.
#[derive(Debug)]
pub(crate) enum Reply {
    Answer(Answer),
    /// All headers, this much of the body, and then nothing: (answer, bytes that are sent).
    Truncated(Answer, usize),
    /// The head of an answer, and a body without end.
    Endless(Answer),
    /// The connection closes without a byte.
    Close,
}

pub(crate) struct Gate {
    pub hosts: Hosts,
    pub faults: Faults,
    pub journal: Journal,
    /// What real programs are asked, and ask models.
    pub harness: Arc<HarnessLog>,
}

impl Gate {
    pub(crate) async fn pass(
        self: Arc<Self>,
        provider: Arc<dyn Provider>,
        request: Request,
    ) -> Reply {
        let begun = self.begin(&*provider, &request);
        self.go_on(provider, request, begun).await
    }

    /// The rest of an exchange that has begun.
    pub(crate) async fn go_on(
        self: Arc<Self>,
        provider: Arc<dyn Provider>,
        request: Request,
        begun: (About, Option<Effect>),
    ) -> Reply {
        let exchange = tokio::spawn(async move { self.exchange(provider, request, begun).await });
        match exchange.await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::error!(%error, "an exchange was cut off");
                Reply::Close
            }
        }
    }

    /// What an exchange is about, and the fault that strikes it.
    pub(crate) fn begin(
        &self,
        provider: &dyn Provider,
        request: &Request,
    ) -> (About, Option<Effect>) {
        let mut about = About {
            provider: provider.name(),
            operations: provider.operations(request),
            workspace: provider.account(request),
            effect: None,
            journaled: provider.is_journaled(request),
        };
        let effect = self.faults.strike(Exchange {
            provider: about.provider,
            operations: &about.operations,
            workspace: about.workspace.as_deref(),
            request,
        });
        if about.operations.is_empty() {
            about
                .operations
                .push(format!("{} {}", request.method, request.path));
        }
        (about, effect)
    }

    fn record(&self, about: &About, request: &Request, outcome: Outcome<'_>) {
        match about.journaled {
            true => self.journal.record(about, request, outcome),
            false => self.harness.record(about, request, outcome),
        }
    }

    async fn exchange(
        &self,
        provider: Arc<dyn Provider>,
        request: Request,
        (mut about, effect): (About, Option<Effect>),
    ) -> Reply {
        let Some(effect) = effect else {
            let answer = provider.answer(&request).await;
            self.record(&about, &request, Outcome::Answered(&answer));
            return Reply::Answer(answer);
        };
        about.effect = Some(effect.name());
        let silent = || {
            self.record(&about, &request, Outcome::Silent);
            Reply::Close
        };
        let inject = |answer: Answer| {
            self.record(&about, &request, Outcome::Injected(&answer));
            Reply::Answer(answer)
        };
        match effect {
            Effect::ResetBefore => silent(),
            Effect::ResetAfter => {
                provider.answer(&request).await;
                silent()
            }
            Effect::Late(wait) => {
                let reply = silent();
                tokio::time::sleep(wait).await;
                provider.answer(&request).await;
                reply
            }
            Effect::Delay(wait) => {
                let answer = provider.answer(&request).await;
                self.record(&about, &request, Outcome::Answered(&answer));
                tokio::time::sleep(wait).await;
                Reply::Answer(answer)
            }
            Effect::Status {
                status,
                body,
                headers,
                applied,
            } => {
                if applied {
                    provider.answer(&request).await;
                }
                let body = match body {
                    serde_json::Value::Null => Body::Empty,
                    serde_json::Value::String(text) => Body::Text(text),
                    json => Body::Json(json),
                };
                inject(Answer {
                    status,
                    headers: headers.into_iter().collect(),
                    body,
                })
            }
            Effect::GraphqlError(message) => inject(
                provider
                    .refusal(&message)
                    .unwrap_or_else(|| Answer::error(500, &message)),
            ),
            Effect::Throttled => inject(provider.throttled(&request)),
            Effect::Truncated => {
                let answer = provider.answer(&request).await;
                let wire = answer.body.wire();
                let half = (0..=wire.len() / 2)
                    .rev()
                    .find(|at| wire.is_char_boundary(*at));
                let sent = half.unwrap_or(0);
                let body = Body::Text(wire.get(..sent).unwrap_or_default().to_owned());
                let shown = Answer {
                    body,
                    ..answer.clone()
                };
                self.record(&about, &request, Outcome::Injected(&shown));
                Reply::Truncated(answer, sent)
            }
            Effect::Endless => {
                let answer = provider.answer(&request).await;
                self.record(&about, &request, Outcome::Injected(&answer));
                Reply::Endless(answer)
            }
            Effect::ShortList(keep) => {
                let mut answer = provider.answer(&request).await;
                if let Ok(mut body) = serde_json::from_str(&answer.body.wire()) {
                    provider.shorten(&mut body, keep);
                    answer.body = Body::Json(body);
                }
                inject(answer)
            }
            Effect::Kill { pid, before } => {
                if !before {
                    provider.answer(&request).await;
                }
                let reply = silent();
                kill(pid);
                reply
            }
        }
    }
}

fn kill(pid: i32) {
    use rustix::process::{Pid, Signal, kill_process};
    let killed = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
    if !matches!(killed, Some(Ok(()))) {
        tracing::warn!(pid, ?killed, "the process to kill is not there");
    }
}
