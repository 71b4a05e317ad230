//! What a running agent remembers: the conversation it is bound to, and what it was told.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::identity::uuid;
use crate::settings::MemoryKept;

/// By environment and service.
pub(crate) type Memories = HashMap<(String, String), Memory>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Binding {
    Free,
    /// A provision call is on its way.
    Joining,
    /// Somebody has to accept it first.
    Pending,
    Bound {
        conversation: String,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Memory {
    deployment: String,
    pub inbox: String,
    pub binding: Binding,
    /// UID of the first claim that it was told: kept before anything is done, and never given up.
    pub claim: Option<String>,
    /// Whether it was to join a conversation, or to make one.
    pub invited: Option<String>,
    /// Something of a tenant is left in it.
    pub tainted: bool,
    pub agent_name: Option<String>,
    /// What it was told to do last, and what else.
    pub instructions: Option<String>,
    pub metadata: Value,
    pub model: Option<String>,
    /// Names of variables that a provision call handed over.
    pub given: BTreeSet<String>,
    pub template_updated_at: Option<String>,
    pub provisions: u64,
    /// How often it has joined or made a conversation.
    pub joins: u64,
    pub resets: u64,
    pub updates: u64,
    pub clones: u64,
    pub requests: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            deployment: String::new(),
            inbox: uuid(),
            binding: Binding::Free,
            claim: None,
            invited: None,
            tainted: false,
            agent_name: None,
            instructions: None,
            metadata: Value::Null,
            model: None,
            given: BTreeSet::new(),
            template_updated_at: None,
            provisions: 0,
            joins: 0,
            resets: 0,
            updates: 0,
            clones: 0,
            requests: 0,
        }
    }
}

impl Memory {
    /// Another deployment answers now: it knows what was kept. Counts of calls go on in any case.
    pub(super) fn settle(&mut self, deployment: &str, kept: MemoryKept, has_volume: bool) {
        if self.deployment == deployment {
            return;
        }
        let first = self.deployment.is_empty();
        self.deployment = deployment.to_owned();
        let keeps = match kept {
            MemoryKept::Always => true,
            MemoryKept::Volume => has_volume,
            MemoryKept::Never => false,
        };
        if !first && !keeps {
            let counts = self.clone();
            *self = Self {
                deployment: counts.deployment,
                provisions: counts.provisions,
                joins: counts.joins,
                resets: counts.resets,
                updates: counts.updates,
                clones: counts.clones,
                requests: counts.requests,
                ..Self::default()
            };
        }
        if self.binding == Binding::Joining {
            // Whatever was joining has ended with its container, and may have left something.
            self.binding = Binding::Free;
            self.tainted = true;
        }
    }

    pub(super) fn conversation(&self) -> Option<&str> {
        match &self.binding {
            Binding::Bound { conversation } => Some(conversation),
            _ => None,
        }
    }

    pub(super) fn is_pending(&self) -> bool {
        matches!(self.binding, Binding::Joining | Binding::Pending)
    }

    pub(super) fn is_clean(&self) -> bool {
        self.binding == Binding::Free && !self.tainted
    }

    /// Takes in what it is told; what it is not told stays.
    pub(super) fn hear(&mut self, body: &Value) {
        if let Some(text) = body["instructions"].as_str() {
            self.instructions = Some(text.to_owned());
        }
        if body["metadata"].is_object() {
            self.metadata = body["metadata"].clone();
        }
        if let Some(model) = body["model"].as_str() {
            self.model = Some(model.to_owned());
        }
    }

    /// Takes in what it is told anew, unless that is older than what it was told last.
    pub(super) fn hear_anew(&mut self, body: &Value) {
        self.updates += 1;
        let moment = body["templateUpdatedAt"].as_str();
        let older = moment.is_some_and(|moment| {
            let last = self.template_updated_at.as_deref();
            last.is_some_and(|last| moment < last)
        });
        if !older {
            self.template_updated_at = moment.map(str::to_owned);
            self.hear(body);
            let given = body["env"].as_object();
            let given = given.into_iter().flat_map(|rows| rows.keys().cloned());
            self.given.extend(given);
        }
    }

    /// Forgets its conversation, and never its claim; whether it is clean then is another matter.
    pub(super) fn reset(&mut self, cleans: bool) {
        self.resets += 1;
        self.tainted = !cleans && (self.tainted || self.binding != Binding::Free);
        self.binding = Binding::Free;
        self.invited = None;
        if cleans {
            self.agent_name = None;
            (self.instructions, self.metadata, self.model) = (None, Value::Null, None);
            self.given.clear();
        }
    }
}
