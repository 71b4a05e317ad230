//! What stores keep of the objects of each kind, and by what these are found.
//!
//! Holds: values of variables, contents of files, and what an agent is told, are kept by no store.

use crate::api::condition::{kind, reason};
use crate::api::persona::AgentPersona;
use crate::api::{AgentClaim, AgentInstance, AgentPool, AgentTemplate, ProviderAccount, Seen};
use crate::controllers::store::Stored;
use crate::controllers::turned::Ref;
use crate::controllers::wake::{persona_of, pool_of_member, template_of};
use crate::engine::account::uses;
use crate::engine::claiming::{is_roomless, is_untold};
use crate::engine::rivals;
use kube::ResourceExt;
use std::collections::HashSet;

/// What instances are looked up by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InstanceBy {
    /// The template, by namespace and name.
    Template(Ref<AgentTemplate>),
    /// An account that it names itself: its home, or one in its ledger.
    Account(String),
    /// The namespace.
    Namespace(String),
    /// The identity under which its things were made.
    Identity(String),
    /// The project that it has on record, or is to adopt.
    Project(String),
    /// That it waits for a place, in whatever account.
    Placeless,
    /// The pool for which it was made.
    Pool(Ref<AgentPool>),
    /// The claim that has it, by namespace and UID: what is written in another namespace is nothing to a claim.
    Claim(String, String),
}

impl Stored for AgentInstance {
    type Term = InstanceBy;

    fn terms(object: &Seen<AgentInstance>) -> Vec<InstanceBy> {
        let Some(instance) = object.read() else {
            return Vec::new();
        };
        let accounts = uses(instance, None).into_iter().map(InstanceBy::Account);
        let namespace = InstanceBy::Namespace(instance.namespace().unwrap_or_default());
        let template = InstanceBy::Template(template_of(instance));
        let identity = InstanceBy::Identity(instance.identity());
        let projects = rivals::projects(instance).map(InstanceBy::Project);
        let own = [namespace, template, identity];
        let waits = waits_for_a_place(instance).then_some(InstanceBy::Placeless);
        let pool = pool_of_member(instance).map(InstanceBy::Pool);
        let claim = instance.spec.claim_ref.as_ref();
        let claim = claim.map(|hold| {
            InstanceBy::Claim(instance.namespace().unwrap_or_default(), hold.uid.clone())
        });
        let all = accounts.chain(own).chain(projects).chain(waits);
        all.chain(pool).chain(claim).collect()
    }

    fn strip(&mut self) {
        let brought = self.spec.from_claim.iter_mut();
        let brought = brought.flat_map(|brought| &mut brought.env);
        for variable in self.spec.env.iter_mut().chain(brought) {
            variable.value = None;
        }
    }

    fn observed(&self) -> Option<i64> {
        self.status.as_ref()?.observed_generation
    }
}

/// An account that a template names; one that cannot be read, by whatever it mentions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TemplateBy(pub String);

impl Stored for AgentTemplate {
    type Term = TemplateBy;

    fn terms(object: &Seen<AgentTemplate>) -> Vec<TemplateBy> {
        let terms: HashSet<String> = match object {
            Seen::Read(template) => {
                let tools = template.spec.tools.iter();
                tools
                    .filter_map(|tool| Some(tool.account_ref.as_ref()?.name.0.clone()))
                    .collect()
            }
            Seen::Unreadable(template) => template.words().into_iter().map(str::to_owned).collect(),
        };
        terms.into_iter().map(TemplateBy).collect()
    }

    fn strip(&mut self) {
        for variable in &mut self.spec.env {
            variable.value = None;
        }
        for file in &mut self.spec.files {
            file.content = None;
        }
        if let Some(persona) = &mut self.spec.persona {
            persona.instructions = None;
            persona.variables.clear();
        }
    }

    fn observed(&self) -> Option<i64> {
        self.status.as_ref()?.observed_generation
    }
}

/// Accounts are few: they are looked up by their names alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AccountBy {}

impl Stored for ProviderAccount {
    type Term = AccountBy;

    fn terms(_: &Seen<ProviderAccount>) -> Vec<AccountBy> {
        Vec::new()
    }

    fn strip(&mut self) {}

    fn observed(&self) -> Option<i64> {
        self.status.as_ref()?.observed_generation
    }
}

/// What pools are looked up by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PoolBy {
    /// The template.
    Template(Ref<AgentTemplate>),
    /// An account in which it may make agents.
    Account(String),
}

impl Stored for AgentPool {
    type Term = PoolBy;

    fn terms(object: &Seen<AgentPool>) -> Vec<PoolBy> {
        let Some(pool) = object.read() else {
            return Vec::new();
        };
        let namespace = pool.namespace().unwrap_or_default();
        let template = Ref::new(pool.spec.template_ref.name.as_str()).within(&namespace);
        let accounts = pool.spec.account_refs.iter();
        let accounts = accounts.map(|account| PoolBy::Account(account.name.0.clone()));
        accounts.chain([PoolBy::Template(template)]).collect()
    }

    fn strip(&mut self) {}

    fn observed(&self) -> Option<i64> {
        self.status.as_ref()?.observed_generation
    }
}

/// What claims are looked up by. Who waits for an agent stands in a line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClaimBy {
    /// The template whose persona it is to be told, of those whose agent was not told yet.
    Persona(Ref<AgentTemplate>),
    /// That there is no room for what it brings its agent, in whatever account.
    Roomless,
}

impl Stored for AgentClaim {
    type Term = ClaimBy;

    fn terms(object: &Seen<AgentClaim>) -> Vec<ClaimBy> {
        let untold = object.read().filter(|claim| is_untold(claim));
        let persona = untold.and_then(|claim| persona_of(claim));
        let claim = object.read();
        let roomless = claim.is_some_and(|claim| is_roomless(claim));
        let roomless = roomless.then_some(ClaimBy::Roomless);
        persona
            .map(ClaimBy::Persona)
            .into_iter()
            .chain(roomless)
            .collect()
    }

    fn strip(&mut self) {
        self.spec.agent = AgentPersona::default();
        for variable in &mut self.spec.env {
            variable.value = None;
        }
    }

    fn observed(&self) -> Option<i64> {
        self.status.as_ref()?.observed_generation
    }
}

fn waits_for_a_place(instance: &AgentInstance) -> bool {
    let conditions = instance.status.iter().flat_map(|status| &status.conditions);
    conditions
        .filter(|found| found.type_ == kind::STALLED && found.status == "True")
        .any(|found| found.reason == reason::QUOTA_EXCEEDED)
}
