//! What a decision about an instance is taken from: the object as it was just read, what is known of its account and
//! template, what was seen outside, and the diary of this pass: what it has done and learnt so far.

use super::places::{Most, TakenPlaces};
use super::restored::IdentityState;
pub use super::retry::Patience;
pub use super::views::{
    AccountRoom, AccountView, Desired, Rights, RolloutTurn, TemplateReady, TemplateView,
    ToolAccountView,
};
use super::{ledger, retry};
use crate::api::condition::{is_true, kind};
use crate::api::limits::MostMoney;
use crate::api::money::Money;
use crate::api::{AgentInstance, AgentInstanceStatus, FINALIZER, LedgerEntry, Slot};
use crate::model::slot::RAILWAY;
use crate::model::tool::{Kept, Made, RefusedTool, Resource, Wanted};
use crate::model::values::Seal;
use crate::model::{Fault, Health, Home, InstallationId, Marker, Pauses, Sight};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a decision depends on.
#[derive(Clone, Debug)]
pub struct World {
    /// The present moment.
    pub now: Timestamp,
    /// Process-wide limits of patience with the outside.
    pub limits: Limits,
    /// This installation.
    pub installation: InstallationId,
    /// Its hash key: the names of tools' resources prove by it whose they are.
    pub seal: Seal,
    /// The object; its status is moved on in memory as the pass goes.
    pub instance: AgentInstance,
    /// Whose outside things it may touch.
    pub standing: IdentityState,
    /// What is paused, as it was when the pass last planned.
    pub pauses: Pauses,
    /// The account that the object names.
    pub account: AccountView,
    /// What the owners of its accounts leave to it.
    pub rights: Rights,
    /// The template that the object names.
    pub template: TemplateView,
    /// Whether the Secret with the gateway token is there.
    pub token: bool,
    /// Who else has or wants what this instance is to adopt, and comes first.
    pub adopted_by: Option<String>,
    /// What a deployment would be made from now.
    pub desired: Desired,
    /// What was seen outside.
    pub outside: Outside,
    /// What is known of the agent's tools.
    pub tools: Tools,
    /// Until when a fault of an earlier pass asks for patience, where nothing has changed since.
    pub patience: Option<Patience>,
    /// What this pass has done and learnt.
    pub pass: Diary,
}

/// What a pass has done and learnt so far, apart from what it was told of home and tools. It is empty when a pass begins.
#[derive(Clone, Debug, Default)]
pub struct Diary {
    /// Whether the finalizer was put on: then nothing was ever made for the object.
    pub new: bool,
    /// What the agent said.
    pub agent: Option<Health>,
    /// What differs between the configuration that was read back and the one wanted, if it was read.
    pub drift: Option<Vec<String>>,
    /// Whether something was ended or deleted: it is looked at before it is asked for again.
    pub stopped: bool,
    /// Slots whose present attempt this pass has begun and not yet acted on: only these are known not to have landed.
    pub untried: BTreeSet<Slot>,
    /// The fault that ends the pass.
    pub fault: Option<Fault>,
}

/// Limits of patience with the outside. All from the process's configuration.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a request is waited for.
    pub request: SignedDuration,
    /// How long after that a request may still land, and a write may stay invisible to reads.
    pub settle: SignedDuration,
}

impl Limits {
    /// When a request sent at `start` can no longer land unseen.
    pub fn landed_by(&self, start: Timestamp) -> Timestamp {
        start + self.request + self.settle
    }
}

/// What was seen outside.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// When the newest complete and trusted reading of the account began.
    pub listing: Option<Timestamp>,
    /// Projects that bear this instance's identity or its name, or that its ledger names or it is to adopt, in that reading.
    pub homes: Vec<Home>,
    /// What the recorded project has cost this month. `None`: not known, or there is none.
    pub cost: Option<Money>,
    /// The recorded project, read by itself in this pass.
    pub looked: Option<Sight<Home>>,
    /// Other projects that say that they are this instance's, each read by itself in this pass.
    pub beside: BTreeMap<String, Sight<Home>>,
    /// Whether the account was read anew in this pass.
    pub searched: bool,
    /// Whether the provider said in this pass that it has deleted the recorded project.
    pub taken: bool,
}

/// What is known of an agent's tools.
#[derive(Clone, Debug, Default)]
pub struct Tools {
    /// Those that it shall have now; `None` where that cannot be said, and nothing may be made or taken back for it.
    pub wanted: Option<Vec<Wanted>>,
    /// What it asks for in vain.
    pub refused: Vec<RefusedTool>,
    /// Whether the claim that has it is known to be gone: nobody tells it any more what it is given.
    pub claim_gone: bool,
    /// Tools of which it would adopt something that another agent has, or was first to ask for.
    pub rivals: BTreeSet<String>,
    /// The accounts of its tools, by name and by the provider at which each should be.
    pub accounts: BTreeMap<(String, String), ToolAccountView>,
    /// The most money that those accounts let one agent have.
    pub most: BTreeMap<String, MostMoney>,
    /// Most places that they have.
    pub rooms: BTreeMap<String, Most>,
    /// Of slots of which nothing was tried: the places that others take in their accounts.
    pub others: BTreeMap<Slot, TakenPlaces>,
    /// Slots for which a place was asked for in this pass. Where there was one, they have it.
    pub asked: BTreeSet<Slot>,
    /// Slots for which an order was to be recorded in this pass; where it was not, until when an hour's are.
    pub orders: BTreeMap<Slot, Option<Timestamp>>,
    /// What Secrets keep for it.
    pub kept: BTreeMap<Slot, Kept>,
    /// What the last believed listing of an account showed of a recorded resource.
    pub seen: BTreeMap<Slot, Glance>,
    /// What the last believed listing of an account showed under a name of a slot's that is not on record.
    pub unclaimed: BTreeMap<Slot, Vec<Resource>>,
    /// Slots that are not on record, in accounts that have a listing of which none was believed yet.
    pub unread: BTreeSet<Slot>,
    /// What was asked for by itself in this pass: when that reading began, and what it showed.
    pub looked: BTreeMap<Slot, (Timestamp, Option<Resource>)>,
    /// What a search by name in this pass showed, and when it began.
    pub found: BTreeMap<Slot, (Timestamp, Vec<Resource>)>,
    /// What was made in this pass, with a secret that no Secret keeps yet.
    pub fresh: BTreeMap<Slot, Made>,
    /// What was asked in this pass to go: it is looked at before it is asked again.
    pub stopped: BTreeSet<Slot>,
    /// What the provider said in this pass that it has deleted.
    pub taken: BTreeSet<Slot>,
    /// Faults of this pass.
    pub faults: BTreeMap<Slot, Fault>,
    /// Slots of which something succeeded in this pass.
    pub answered: BTreeSet<Slot>,
    /// What faults of earlier passes ask for.
    pub patience: BTreeMap<Slot, Patience>,
    /// Whether this pass made something whose values are gathered at the beginning of the next.
    pub regather: bool,
}

/// What a listing showed.
#[derive(Clone, Debug)]
pub struct Glance {
    /// When the listing began.
    pub begun: Timestamp,
    /// What bears the recorded id or name.
    pub resources: Vec<Resource>,
}

/// Whether an object is at rest: ready or suspended, with nothing under way and nobody needed, and nothing in it has changed
/// since.
pub fn at_rest(instance: &AgentInstance) -> bool {
    let Some(status) = &instance.status else {
        return false;
    };
    let conditions = &status.conditions;
    let suspended = is_true(conditions, kind::SUSPENDED);
    (is_true(conditions, kind::READY) || suspended)
        && !is_true(conditions, kind::RECONCILING)
        && !is_true(conditions, kind::STALLED)
        && status.observed_generation == instance.metadata.generation
}

/// The marker of one of an instance's slots.
pub fn marker(installation: &InstallationId, instance: &AgentInstance, slot: Slot) -> Marker {
    Marker {
        installation: installation.clone(),
        namespace: instance.namespace().unwrap_or_default(),
        name: instance.name_any(),
        uid: instance.identity(),
        slot,
    }
}

impl World {
    /// A world of which nothing is known but the object.
    pub fn unread(
        now: Timestamp,
        limits: Limits,
        (installation, seal): (InstallationId, Seal),
        instance: AgentInstance,
    ) -> World {
        World {
            now,
            limits,
            installation,
            seal,
            instance,
            standing: IdentityState::Unread,
            pauses: Pauses::default(),
            account: AccountView::Unreachable,
            rights: Rights::default(),
            template: TemplateView::Missing,
            token: false,
            adopted_by: None,
            desired: Desired::Unknown,
            outside: Outside::default(),
            tools: Tools::default(),
            patience: None,
            pass: Diary::default(),
        }
    }

    /// The status as it stands in memory.
    pub fn status(&self) -> AgentInstanceStatus {
        self.instance.status.clone().unwrap_or_default()
    }

    /// Whether the object is at rest, and nothing in it has changed since.
    pub fn at_rest(&self) -> bool {
        at_rest(&self.instance)
    }

    /// The newest sighting of a tool's resource that is on record.
    pub fn resource(&self, slot: Slot) -> Option<&Resource> {
        let id = self.entry(slot)?.id.as_deref();
        match self.tools.looked.get(&slot) {
            Some((_, resource)) => resource.as_ref(),
            None => {
                let mut glimpsed = self.tools.seen.get(&slot)?.resources.iter();
                glimpsed.find(|resource| Some(resource.id.as_str()) == id)
            }
        }
    }

    /// The ledger's entry for a slot.
    pub fn entry(&self, slot: Slot) -> Option<&LedgerEntry> {
        self.instance
            .status
            .as_ref()?
            .external
            .iter()
            .find(|entry| entry.slot == slot)
    }

    /// The marker of one of this instance's slots.
    pub fn marker(&self, slot: Slot) -> Marker {
        marker(&self.installation, &self.instance, slot)
    }

    /// An entry that says of a slot of the home that nothing is there.
    pub fn blank(&self, slot: Slot) -> LedgerEntry {
        let account = self.instance.spec.account_ref.name.0.clone();
        LedgerEntry {
            key: self.marker(slot).outside_name(),
            ..LedgerEntry::new(slot, RAILWAY, account, ledger::moment(self.now))
        }
    }

    /// Projects that live and are this instance's, as both their description and their name say: those with something in
    /// them first, then the oldest. An instance that adopts makes none: what says so all the same was written by somebody
    /// else.
    pub fn ours(&self) -> Vec<&Home> {
        if self.instance.spec.adopt.is_some() {
            return Vec::new();
        }
        let mark = self.marker(Slot::Project);
        let mut homes: Vec<&Home> = self
            .outside
            .homes
            .iter()
            .filter(|home| {
                !home.deleted && home.marker.as_ref() == Some(&mark) && mark.is_borne_by(&home.name)
            })
            .collect();
        homes.sort_by(|a, b| {
            (a.is_empty(), a.created, &a.id).cmp(&(b.is_empty(), b.created, &b.id))
        });
        homes
    }

    /// The recorded project as it was last seen: by itself if that was asked in this pass, else in the listing.
    pub fn home(&self) -> Sight<Home> {
        let adopt = self.instance.spec.adopt.as_ref();
        let Some(id) = self
            .entry(Slot::Project)
            .and_then(|entry| entry.id.as_deref())
            .or_else(|| adopt.map(|adopt| adopt.project_id.0.as_str()))
        else {
            return Sight::Unknown;
        };
        if let Some(sight) = &self.outside.looked {
            return sight.clone();
        }
        match (
            self.outside.homes.iter().find(|home| home.id == id),
            self.outside.listing,
        ) {
            (Some(home), _) => Sight::Seen(home.clone()),
            (None, Some(begun)) => Sight::Absent { begun },
            (None, None) => Sight::Unknown,
        }
    }

    /// When to look again at what nobody tells the end of.
    pub fn recheck(&self) -> Timestamp {
        retry::recheck(
            self.instance.metadata.uid.as_deref().unwrap_or_default(),
            self.now,
        )
    }

    /// Whether the finalizer is on: something outside may be the object's.
    pub fn held(&self) -> bool {
        let mut finalizers = self.instance.finalizers().iter();
        finalizers.any(|name| name == FINALIZER)
    }

    /// Whether the object is being deleted.
    pub fn deleting(&self) -> bool {
        self.instance.metadata.deletion_timestamp.is_some()
    }
}
