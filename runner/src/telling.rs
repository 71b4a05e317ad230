//! The runner's own calls: who the agent is, what is new for it, whose it is, and forgetting it.
//!
//! Holds: the first claim is on the disk before anything is done, the same again is answered alike and done once, another is 409 for ever;
//! what was begun is done even if nobody waits for the answer; one call after the other. Nothing that was told is repeated in an answer.

use crate::apply::Applying;
use crate::contract::Need;
use crate::environment::{refusal, unfit};
use crate::memory::Told;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::sync::Mutex;

/// A status and a JSON body.
pub type Reply = (u16, Value);

/// What the agent is told. Fields that are unknown here are another version's.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Telling {
    claim: Option<String>,
    agent_name: Option<String>,
    instructions: Option<String>,
    model: Option<String>,
    join_url: Option<String>,
    profile_image: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    env: BTreeMap<String, String>,
    template_updated_at: Option<String>,
}

/// Takes in what the agent is told.
pub struct Desk {
    applying: Applying,
    /// One call after the other.
    turn: Mutex<()>,
}

impl Desk {
    /// Over this harness.
    pub fn new(applying: Applying) -> Desk {
        Desk {
            applying,
            turn: Mutex::default(),
        }
    }

    /// Whose it is, and whether something of anybody is in it.
    pub async fn status(&self) -> Reply {
        let told = self.applying.memory.told();
        let mut said = json!({
            "conversationId": told.claim.as_ref().filter(|_| told.bound),
            "inboxId": told.inbox,
            "pending": false,
            "clean": self.is_clean(&told).await,
            "claim": told.claim,
        });
        if let Some(busy) = self.applying.probe.busy().await {
            said["busy"] = json!(busy);
        }
        (200, said)
    }

    /// Tells it who it is.
    pub async fn provision(&self, body: &[u8]) -> Reply {
        let telling = match self.read(body) {
            Ok(telling) => telling,
            Err(refused) => return refused,
        };
        let named = |value: &Option<String>| value.as_ref().is_some_and(|text| !text.is_empty());
        for (name, value) in [
            ("claim", &telling.claim),
            ("agentName", &telling.agent_name),
            ("instructions", &telling.instructions),
        ] {
            if !named(value) {
                return error(400, &format!("{name} is missing"));
            }
        }
        let _turn = self.turn.lock().await;
        let before = self.applying.memory.told();
        if let Some(taken) = of_another(&before, telling.claim.as_deref()) {
            return taken;
        }
        if before.bound {
            return bound(&before);
        }
        let mut told = Told {
            claim: telling.claim.clone(),
            moment: None,
            ..before.clone()
        };
        self.hear(&mut told, telling);
        let unheard = self.unheard(&before, &told);
        if let Some(why) = unheard.or_else(|| unfit(&self.applying.contract, &told)) {
            return error(422, &why);
        }
        if let Err(why) = self.applying.keep(told) {
            return error(503, &why);
        }
        if let Err(why) = self.applying.apply().await {
            return error(503, &why);
        }
        let told = Told {
            bound: true,
            ..self.applying.memory.told()
        };
        match self.applying.keep(told) {
            Ok(()) => bound(&self.applying.memory.told()),
            Err(why) => error(503, &why),
        }
    }

    /// Tells it something new.
    pub async fn update(&self, body: &[u8]) -> Reply {
        let telling = match self.read(body) {
            Ok(telling) => telling,
            Err(refused) => return refused,
        };
        let _turn = self.turn.lock().await;
        let before = self.applying.memory.told();
        let claim = telling.claim.as_deref();
        // Without one it is for whoever has the agent.
        if let Some(taken) = claim.and_then(|claim| of_another(&before, Some(claim))) {
            return taken;
        }
        let moment = telling.template_updated_at.as_deref();
        if before.laid && is_older(moment, before.moment.as_deref()) {
            return (200, json!({"ok": true}));
        }
        let mut told = before.clone();
        // One whose disk was lost is told by whom it is kept.
        told.claim = told.claim.or_else(|| telling.claim.clone());
        told.moment = telling.template_updated_at.clone().or(told.moment);
        self.hear(&mut told, telling);
        let unheard = self.unheard(&before, &told);
        if let Some(why) = unheard.or_else(|| unfit(&self.applying.contract, &told)) {
            return error(422, &why);
        }
        if let Err(why) = self.applying.keep(told) {
            return error(503, &why);
        }
        match self.applying.apply().await {
            Ok(()) => (200, json!({"ok": true})),
            Err(why) => error(503, &why),
        }
    }

    /// Makes it forget who it is, and never whose it was.
    pub async fn reset(&self) -> Reply {
        let Some(reset) = &self.applying.contract.reset else {
            return error(501, "this agent cannot be reset");
        };
        let _turn = self.turn.lock().await;
        let before = self.applying.memory.told();
        let told = Told {
            inbox: before.inbox,
            claim: before.claim,
            // Until it is done.
            tainted: true,
            ..Told::default()
        };
        if let Err(why) = self.applying.keep(told.clone()) {
            return error(503, &why);
        }
        let personas = self.applying.contract.persona.files.iter();
        let mut deleted = reset.delete.clone();
        deleted.extend(personas.map(|file| file.path.clone()));
        if let Err(why) = self.applying.restart(deleted).await {
            return error(503, &why);
        }
        // Without a way to look nobody knows it.
        let tainted = self.applying.contract.clean.is_none();
        match self.applying.keep(Told { tainted, ..told }) {
            Ok(()) => (200, json!({"ok": true})),
            Err(why) => error(503, &why),
        }
    }

    /// Takes in what is told; what is not told stays.
    fn hear(&self, told: &mut Told, telling: Telling) {
        if told.laid {
            told.before = Some(Box::new(Told {
                env: BTreeMap::new(),
                ..told.clone()
            }));
        }
        let take_in = |own: &mut Option<String>, new: Option<String>| {
            if new.is_some() {
                *own = new;
            }
        };
        take_in(&mut told.agent_name, telling.agent_name);
        take_in(&mut told.instructions, telling.instructions);
        take_in(&mut told.model, telling.model);
        take_in(&mut told.join_url, telling.join_url);
        take_in(&mut told.profile_image, telling.profile_image);
        if let Some(metadata) = telling.metadata {
            told.metadata = metadata;
        }
        let deployment = self.applying.given.deployment().map(str::to_owned);
        if told.deployment != deployment {
            // What an earlier deployment was told stands in the variables of this one.
            told.env.clear();
        }
        told.env.extend(telling.env);
        told.deployment = deployment;
        told.tainted = true;
        told.laid = false;
    }

    /// Why it cannot be told that: it would go on without, and nobody would know.
    fn unheard(&self, before: &Told, told: &Told) -> Option<String> {
        let contract = &self.applying.contract;
        let files = &contract.persona.files;
        let texts = files.iter().map(|file| &file.text);
        let texts = texts.chain(contract.persona.variables.values());
        let place = |word: &str| texts.clone().any(|text| text.contains(word));
        // What it was told when there was a place for it is no news.
        if told.model != before.model && !place("{model}") {
            return Some("model: this agent cannot be told one: its template's own files say the program's configuration, and the model with it".to_owned());
        }
        if told.join_url != before.join_url && !place("{joinUrl}") {
            return Some("joinUrl: this agent joins no conversation".to_owned());
        }
        if told.model.is_none() && contract.needs.contains(&Need::Model) {
            return Some(
                "model is missing: without one this program takes any, or answers nobody"
                    .to_owned(),
            );
        }
        let mut instructed = files
            .iter()
            .filter(|file| file.text.contains("{instructions}"));
        let unfilled = instructed.any(|file| told.lays(file).is_none());
        (told.instructions.is_some() && unfilled).then(|| {
            "agentName, or something else that a file says who it is with, was never told to this agent".to_owned()
        })
    }

    async fn is_clean(&self, told: &Told) -> bool {
        let places = self.applying.contract.places();
        let paths = self.applying.contract.clean.iter();
        let mut paths = paths.flat_map(|clean| &clean.missing);
        !told.tainted
            && !told.bound
            && paths.all(|path| matches!(places.has(path), Ok(false)))
            && self.applying.probe.clean().await
    }

    fn read(&self, body: &[u8]) -> Result<Telling, Reply> {
        let refused = |why: &str| Err(error(400, why));
        // An error of serde would repeat what was told.
        let Ok(telling) = serde_json::from_slice::<Telling>(body) else {
            return refused(
                "the body is no JSON of this form: texts, and maps of texts in metadata and env",
            );
        };
        let contract = &self.applying.contract;
        for (name, value) in &telling.env {
            if let Some(why) = refusal(contract, name, value) {
                return refused(&why);
            }
        }
        Ok(telling)
    }
}

/// A 409 with the claim that it keeps.
fn of_another(told: &Told, claim: Option<&str>) -> Option<Reply> {
    let kept = told.claim.as_deref()?;
    (claim != Some(kept)).then(|| (409, json!({"error": "already bound", "claim": kept})))
}

/// A harness has no conversation of its own: the claim stands for it.
fn bound(told: &Told) -> Reply {
    let said =
        json!({"ok": true, "status": "created", "joined": false, "conversationId": told.claim});
    (200, said)
}

fn error(status: u16, why: &str) -> Reply {
    (status, json!({"error": why}))
}

/// Whether a moment is before another. Both are UTC; fractions of seconds may be of any length.
fn is_older(moment: Option<&str>, last: Option<&str>) -> bool {
    let parts = |text: &str| {
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let plain = |text: &str| text.trim_end_matches('Z').to_owned();
        (plain(seconds), plain(fraction))
    };
    match (moment, last) {
        (Some(moment), Some(last)) => parts(moment) < parts(last),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_moment_is_known_by_its_fraction_too() {
        let older = |a, b| is_older(Some(a), Some(b));
        assert!(older("2026-11-28T07:00:00Z", "2026-11-28T07:00:00.5Z"));
        assert!(older("2026-11-28T07:00:00.49Z", "2026-11-28T07:00:00.5Z"));
        assert!(!older("2026-11-28T07:00:01Z", "2026-11-28T07:00:00.5Z"));
        assert!(!older("2026-11-28T07:00:00Z", "2026-11-28T07:00:00Z"));
        assert!(!is_older(None, Some("2026")) && !is_older(Some("2026"), None));
    }
}
