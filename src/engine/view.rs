//! What a pass needs to know of an instance, its template and its tools, worked out from what was read: the pure half of
//! gathering.
//!
//! Holds: the same objects give the same view. Deliberately absent: reading them (`controllers::instance`).

use super::compose::{self, Broken, compose, references, revision, template_references};
use super::tools::GivenByTools;
use super::world::{
    Desired, Glance, RolloutTurn, TemplateReady, TemplateView, ToolAccountView, Tools, World,
};
use super::{program, rollout};
use crate::api::condition::{find, is_true, kind, reason};
use crate::api::instance::Ownership;
use crate::api::template::{Entrypoint, EnvVar, ResolvedImage, Runtime};
use crate::api::text::Span;
use crate::api::{ABANDON_ANNOTATION, AgentInstance, AgentTemplate, Part, Seen, Slot, SlotState};
use crate::model::runner::spoken;
use crate::model::slot::FoundBy;
use crate::model::tool::{Resource, Wanted};
use crate::model::values::{References, Seal, Values};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a deployment may take where the template does not say: as its schema has it.
const STARTUP_DEADLINE: Duration = Duration::from_secs(900);

/// What a pass tries. A fault of one try says nothing about another, so that whatever was corrected is tried at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Try {
    /// The spec's generation.
    pub generation: Option<i64>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// What it is told to give up.
    pub abandons: Option<String>,
    /// The template's revision, and what of the configuration is the instance's own.
    pub configuration: Option<(String, String)>,
    /// How its account is.
    pub account: Option<std::mem::Discriminant<super::world::AccountView>>,
    /// The tools that it shall have.
    pub tools: Option<Vec<Wanted>>,
    /// How their accounts are.
    pub accounts: BTreeMap<(String, String), ToolAccountView>,
}

/// Names what a pass over this world tries.
pub fn tried(w: &World) -> Try {
    // Not its key: before the token is in its Secret each pass makes up another, and with it another key.
    let configuration = match (&w.template, &w.desired) {
        (TemplateView::Ready(template), Desired::Composed(composed)) => {
            Some((template.revision.clone(), composed.own.clone()))
        }
        _ => None,
    };
    Try {
        generation: w.instance.metadata.generation,
        deleting: w.deleting(),
        abandons: w.instance.annotations().get(ABANDON_ANNOTATION).cloned(),
        configuration,
        account: Some(std::mem::discriminant(&w.account)),
        tools: w.tools.wanted.clone(),
        accounts: w.tools.accounts.clone(),
    }
}

/// The id of the project that an instance has on record.
pub fn project(instance: &AgentInstance) -> Option<&str> {
    let entries = instance.status.iter().flat_map(|status| &status.external);
    let mut projects = entries.filter(|entry| entry.slot == Slot::Project);
    projects.next()?.id.as_deref()
}

/// The id of the project that is an instance's alone.
pub fn own_project(instance: &AgentInstance) -> Option<&str> {
    let adopted = instance.spec.adopt.as_ref();
    let shared = adopted.is_some_and(|adopt| adopt.ownership == Ownership::Shared);
    project(instance).filter(|_| !shared)
}

/// The id of the project that an instance has on record or, before it has one, is to adopt.
pub fn project_or_adopted(instance: &AgentInstance) -> Option<&str> {
    let adopted = instance.spec.adopt.as_ref();
    project(instance).or_else(|| adopted.map(|adopt| adopt.project_id.as_str()))
}

/// Whether anything of a slot is on record.
pub fn on_record(instance: &AgentInstance, slot: Slot) -> bool {
    let mut entries = instance.status.iter().flat_map(|status| &status.external);
    entries.any(|entry| entry.slot == slot)
}

/// Whether an instance's ledger was lost, so that it is written again from what the template says.
pub fn ledger_lost(instance: &AgentInstance) -> bool {
    instance.spec.adopt.is_none() && !on_record(instance, Slot::Project)
}

/// The wallets whose Secrets are of interest.
pub fn wallets(instance: &AgentInstance, wanted: &[Wanted]) -> BTreeSet<Slot> {
    let entries = instance.status.iter().flat_map(|status| &status.external);
    let recorded = entries
        .filter(|entry| entry.row().found_by == FoundBy::Kept)
        .map(|entry| entry.slot);
    let wanted = wanted
        .iter()
        .filter(|tool| tool.account.is_empty())
        .filter_map(|tool| Slot::tool(&tool.name, Part::Main));
    recorded.chain(wanted).collect()
}

/// The accounts, each with the provider that it must be at, of the tools that an instance has or shall have.
pub fn tool_accounts(
    instance: &AgentInstance,
    wanted: Option<&[Wanted]>,
) -> BTreeSet<(String, String)> {
    let entries = instance.status.iter().flat_map(|status| &status.external);
    let recorded = entries
        .filter(|entry| entry.slot.as_tool().is_some())
        .map(|entry| (entry.account.clone(), entry.provider.clone()));
    let wanted = wanted
        .iter()
        .flat_map(|wanted| wanted.iter())
        .map(|tool| (tool.account.clone(), tool.kind.provider().to_owned()));
    recorded
        .chain(wanted)
        .filter(|(account, _)| !account.is_empty())
        .collect()
}

/// What the last believed listing of an account shows, where one was believed: when it began, and what bears this id or name.
pub type Shows<'a> = &'a dyn Fn(&str, &str, &str) -> (Option<Timestamp>, Vec<Resource>);

/// What the last believed listing of an account shows under names of a slot; `None` where there are listings and none was
/// believed yet.
pub type Bears<'a> = &'a dyn Fn(&str, Slot) -> Option<Vec<Resource>>;

impl Tools {
    /// Takes in what listings show of what is on record. None shows the keys of an inbox or a wallet: that one of those is not
    /// there says nothing.
    pub fn glance(&mut self, instance: &AgentInstance, shows: Shows<'_>) {
        let entries = instance.status.iter().flat_map(|status| &status.external);
        for entry in entries {
            let place = (entry.account.clone(), entry.provider.clone());
            let open = self
                .accounts
                .get(&place)
                .is_some_and(ToolAccountView::answers);
            let listed = entry
                .slot
                .as_tool()
                .is_some_and(|own| own.part != Part::Key);
            if let (true, true, Some(id)) = (open, listed, &entry.id)
                && let (Some(begun), resources) = shows(&entry.account, id, &entry.key)
            {
                self.seen.insert(entry.slot, Glance { begun, resources });
            }
        }
    }

    /// Takes in what listings show under names of slots that the instance shall have and that are not on record.
    pub fn claim(&mut self, instance: &AgentInstance, bears: Bears<'_>) {
        let wanted = self.wanted.iter().flatten();
        for tool in wanted.filter(|tool| tool.adopt.is_none()) {
            let place = (tool.account.clone(), tool.kind.provider().to_owned());
            let Some(account) = self.accounts.get(&place) else {
                continue;
            };
            let parts = tool.parts.iter().filter(|part| **part != Part::Key);
            let slots = parts.filter_map(|part| Slot::tool(&tool.name, *part));
            for slot in slots.filter(|slot| !on_record(instance, *slot)) {
                let found = match account {
                    account if account.answers() => bears(&tool.account, slot),
                    account if account.is_out_of_reach() => None,
                    _ => continue,
                };
                match found {
                    Some(found) if found.is_empty() => {}
                    Some(found) => {
                        self.unclaimed.insert(slot, found);
                    }
                    None => {
                        self.unread.insert(slot);
                    }
                }
            }
        }
    }
}

/// Whether the template's own controller has seen it as it is now.
pub fn observed(template: &AgentTemplate) -> bool {
    let status = template.status.as_ref();
    status.is_some_and(|status| status.observed_generation == template.metadata.generation)
}

/// A template as its own controller has last seen it, ready to be used.
pub struct Stamp<'a> {
    template: &'a AgentTemplate,
    runtime: &'a Runtime,
    image: ResolvedImage,
    revision: String,
}

/// The template, where its own controller says that it is ready as it is now.
pub fn stamp(template: Option<&Seen<AgentTemplate>>) -> Result<Stamp<'_>, Box<TemplateView>> {
    let template = match template {
        Some(Seen::Read(template)) => template,
        Some(Seen::Unreadable(template)) => {
            return Err(Box::new(not_ready(true, "", template.sentence())));
        }
        None => return Err(Box::new(TemplateView::Missing)),
    };
    let runtime = match compose::runtime(&template.spec) {
        Ok(runtime) => runtime,
        Err(broken) => return Err(Box::new(unusable(broken))),
    };
    let status = template.status.clone().unwrap_or_default();
    let current = observed(template);
    // What keeps the template from being ready comes first: one that never was has neither image nor revision.
    let ready = find(&status.conditions, kind::READY);
    if let Some(ready) = ready.filter(|ready| current && ready.status != "True") {
        let stalled = is_true(&status.conditions, kind::STALLED);
        let why = ready.reason.as_str();
        return Err(Box::new(not_ready(stalled, why, ready.message.clone())));
    }
    match (status.image, status.revision) {
        (Some(image), Some(revision)) if current => Ok(Stamp {
            template,
            runtime,
            image,
            revision,
        }),
        _ => Err(Box::new(not_ready(
            false,
            "",
            "it was just changed and is being looked at",
        ))),
    }
}

fn unusable(broken: Broken) -> TemplateView {
    not_ready(true, broken.reason, broken.message)
}

/// `why` is the template's own reason. Of those that an instance is told, all but one are told as one.
fn not_ready(stalled: bool, why: &str, message: impl Into<String>) -> TemplateView {
    TemplateView::NotReady {
        stalled,
        reason: match why {
            reason::FILES_NOT_SUPPORTED => reason::FILES_NOT_SUPPORTED,
            _ => reason::TEMPLATE_NOT_READY,
        },
        message: message.into(),
    }
}

/// Whether the instance runs what the template says, as a store has both, so that nothing is to be changed for it.
pub fn runs_what_it_says(instance: &AgentInstance, stored: &Seen<AgentTemplate>) -> bool {
    let said = stored.read().filter(|template| observed(template));
    let said = said.and_then(|template| template.status.as_ref()?.revision.as_ref());
    let (status, generation) = (instance.status.as_ref(), instance.metadata.generation);
    status.is_some_and(|status| {
        status.observed_generation == generation
            && said.is_some()
            && status.template_revision.as_ref() == said
    })
}

/// Whether this is what was last applied, so that nothing will be changed for it.
pub fn applied(desired: &Desired, instance: &AgentInstance) -> bool {
    let Desired::Composed(composed) = desired else {
        return false;
    };
    let mut entries = instance.status.iter().flat_map(|status| &status.external);
    entries.any(|entry| {
        entry.slot == Slot::Configuration
            && entry.state == SlotState::Exists
            && entry.key == composed.key
    })
}

fn brought(instance: &AgentInstance) -> &[EnvVar] {
    let brought = instance.spec.from_claim.as_ref();
    brought.map_or(&[], |brought| &brought.env)
}

/// What an agent is made from, beside its template.
pub struct Own<'a> {
    /// The agent's object.
    pub instance: &'a AgentInstance,
    /// Its gateway token.
    pub token: &'a SecretString,
    /// The variables that it gets from its tools.
    pub given: &'a GivenByTools,
}

impl Stamp<'_> {
    /// What the template refers to, what the instance does, and what its claim brought.
    pub fn references(&self, instance: &AgentInstance) -> [References; 4] {
        let [own, files] = template_references(&self.template.spec);
        [
            own,
            files,
            references(None, &instance.spec.env),
            references(None, brought(instance)),
        ]
    }

    /// The revision that the template's controller has named.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Whether the template's own controller has seen the same values: a change rolls out in its turn.
    ///
    /// # Errors
    /// What its instances are told. Its controller should look again.
    pub fn seen_with(&self, seal: &Seal, values: &Values) -> Result<(), Box<TemplateView>> {
        match revision(seal, &self.template.spec, &self.image.digest, values) {
            Ok(named) if named == self.revision => Ok(()),
            Ok(_) => Err(Box::new(not_ready(
                false,
                "",
                "a value that it refers to was just changed and is being looked at",
            ))),
            Err(broken) => Err(Box::new(unusable(broken))),
        }
    }

    /// What a deployment would be made from.
    pub fn desired(&self, seal: &Seal, values: &Values, own: &Own<'_>) -> Desired {
        let composed = compose(
            seal,
            &self.template.spec,
            &self.image.digest,
            (&own.instance.spec.env, brought(own.instance)),
            values,
            own.token,
            &own.given.deployed,
        );
        match composed {
            Ok(composed) => Desired::Composed(composed.bringing(&own.given.brought)),
            Err(Broken { reason, message }) => Desired::Broken { reason, message },
        }
    }

    /// Whether it is the instance's turn anyway: it runs nothing yet, or this revision.
    pub fn needs_no_turn(&self, instance: &AgentInstance) -> bool {
        let status = instance.status.as_ref();
        status.is_none_or(|status| !rollout::behind(status, &self.revision))
    }

    /// The template as its instances use it.
    pub fn view(self, turn: RolloutTurn) -> TemplateView {
        let runtime = self.runtime;
        let readiness = match program::readiness(runtime) {
            Ok(readiness) => readiness,
            Err(broken) => return unusable(broken),
        };
        let deadline = Span::or(Some(&runtime.startup_deadline), STARTUP_DEADLINE);
        let volume = runtime.volume.as_ref();
        TemplateView::Ready(TemplateReady {
            turn,
            revision: self.revision,
            image: self.image,
            readiness,
            startup_deadline: SignedDuration::try_from(deadline).unwrap_or(SignedDuration::MAX),
            port: program::port(runtime),
            harness: spoken(runtime).name,
            runner: runtime.entrypoint == Entrypoint::Runner,
            volume_mount: volume.map(|volume| volume.mount_path.0.clone()),
        })
    }
}
