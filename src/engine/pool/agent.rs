//! An agent as its pool sees it: whether a claim can have it, comes up, or failed.
//!
//! Holds: it follows from the object alone, and from the time.

use crate::api::condition::{self, kind, reason};
use crate::api::instance::{OperatingMode, UpdatePolicy};
use crate::api::{AgentInstance, SlotState};
use crate::model::pause::annotated;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use std::cmp::Reverse;

/// An agent of a pool's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolAgent {
    /// Its name.
    pub name: String,
    /// Its UID. Empty: it was just made, and not seen yet.
    pub uid: String,
    /// Of the object that was seen.
    pub version: Option<String>,
    /// When it was made.
    pub made: Timestamp,
    /// The account in which it lives.
    pub account: String,
    /// How it stands.
    pub standing: AgentStanding,
    /// Whether it is known to be at the template's revision.
    pub current: bool,
    /// The revision at which it runs. `None`: it was never deployed.
    pub revision: Option<String>,
    /// Whether its template's own rollout moves it.
    pub follows: bool,
    /// Whether nothing outside is in flight for it.
    pub settled: bool,
    /// What its pool has asked of it.
    pub update: Option<AskedUpdate>,
    /// Whether a claim has it.
    pub claimed: bool,
    /// Whether that is not for good yet.
    pub in_between: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether it is not deleted now: it, its template, its account or the installation is paused, or less is remembered of the
    /// account than was.
    pub held: bool,
    /// Since when it is ready.
    pub ready_since: Option<Timestamp>,
    /// Until when one that was ready may be without being so. Then another one takes its place.
    pub patience_ends: Option<Timestamp>,
}

/// How an agent of a pool stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentStanding {
    /// A claim can have it.
    Idle,
    /// It is on its way.
    Coming,
    /// A limit of its account keeps it from coming: another one in its place would come no further.
    Unplaced,
    /// It takes, or is to take, another revision.
    Updating,
    /// It failed, or was ready and is not any more.
    Unhealthy {
        /// Whether another one in its place may do better.
        replaceable: bool,
    },
    /// It was restored from a backup of another one: it is there, nothing is done to it, and another one is made beside it.
    Restored,
    /// This version cannot read it: it is there, and nothing is done to it.
    Unread,
}

/// What its pool has asked of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedUpdate {
    /// The revision that it is to take.
    pub revision: String,
    /// Since when.
    pub since: Timestamp,
    /// How far that is.
    pub stage: UpdateStage,
    /// Why it does not get ready, where that is its own failure.
    pub failed: Option<String>,
}

/// How far an update is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateStage {
    /// It runs another revision still.
    Asked,
    /// It has taken the revision, and was not ready since.
    Taken,
    /// It was ready at it.
    Done,
}

/// How long an agent that was ready may be without being so; and so long one is ready before that proves anything.
pub(super) const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// What another agent in the place of one may do better at.
const ITS_OWN: [&str; 4] = [
    reason::DEPLOYMENT_FAILED,
    reason::CRASHED,
    reason::STARTUP_DEADLINE_EXCEEDED,
    reason::DELETED_EXTERNALLY,
];

impl PoolAgent {
    /// An instance as its pool sees it.
    pub fn of(instance: &AgentInstance, now: Timestamp) -> PoolAgent {
        let created = instance.metadata.creation_timestamp.as_ref();
        let hold = instance.spec.claim_ref.as_ref();
        PoolAgent {
            name: instance.name_any(),
            uid: instance.uid().unwrap_or_default(),
            version: instance.resource_version(),
            made: created.map_or(Timestamp::UNIX_EPOCH, |created| created.0),
            account: instance.spec.account_ref.name.0.clone(),
            standing: standing(instance, now),
            current: is_current(instance),
            revision: revision(instance).cloned(),
            follows: instance.spec.update_policy == UpdatePolicy::Automatic,
            settled: settled(instance),
            update: update(instance),
            claimed: hold.is_some(),
            in_between: hold.is_some_and(|hold| hold.handed_over_at.is_none()),
            deleting: instance.metadata.deletion_timestamp.is_some(),
            held: annotated(instance.annotations()),
            ready_since: ready_since(instance),
            patience_ends: patience_ends(instance),
        }
    }

    /// One that this version cannot read: it is there, and nothing is done to it.
    pub fn unread(object: &ObjectMeta) -> PoolAgent {
        PoolAgent {
            name: object.name.clone().unwrap_or_default(),
            uid: String::new(),
            version: None,
            made: Timestamp::UNIX_EPOCH,
            account: String::new(),
            standing: AgentStanding::Unread,
            current: false,
            revision: None,
            follows: false,
            settled: false,
            update: None,
            claimed: false,
            in_between: false,
            deleting: object.deletion_timestamp.is_some(),
            held: true,
            ready_since: None,
            patience_ends: None,
        }
    }

    /// Whether nobody has it, and it stays.
    pub fn is_free(&self) -> bool {
        !self.claimed && !self.deleting && self.standing != AgentStanding::Restored
    }

    /// Whether its pool has nothing to do with it any more.
    pub fn is_parted(&self) -> bool {
        let restored = self.standing == AgentStanding::Restored && !self.deleting;
        restored || self.claimed && !self.in_between
    }

    /// Whether it goes where its pool is gone: nobody has it, and it is in nobody's hands.
    pub fn is_left_over(&self) -> bool {
        self.is_free() && !self.held && self.version.is_some()
    }

    /// The least useful first: what failed, what comes up and came last, what is of an older revision, what is older.
    pub(super) fn usefulness(&self) -> (u8, Reverse<Timestamp>, Timestamp, &str) {
        let (class, late, early) = match self.standing {
            AgentStanding::Unhealthy { replaceable } => {
                (u8::from(!replaceable), Timestamp::MIN, self.made)
            }
            AgentStanding::Unplaced => (1, self.made, Timestamp::MIN),
            AgentStanding::Coming | AgentStanding::Updating => (2, self.made, Timestamp::MIN),
            AgentStanding::Unread | AgentStanding::Restored => (5, Timestamp::MIN, self.made),
            AgentStanding::Idle => (3 + u8::from(self.current), Timestamp::MIN, self.made),
        };
        (class, Reverse(late), early, &self.name)
    }
}

/// Whether it is known to be at its template's revision.
pub fn is_current(instance: &AgentInstance) -> bool {
    let status = instance.status.iter();
    let mut said = status.flat_map(|status| &status.conditions);
    said.any(|one| one.type_ == kind::TEMPLATE_SYNCED && one.status == "True")
}

/// Whether a claim can have it now: it is a pool's and nobody's, and stands ready with nothing in flight.
pub fn claimable(instance: &AgentInstance) -> bool {
    let spec = &instance.spec;
    let conditions = instance.status.iter().map(|status| &status.conditions);
    spec.pool_ref.is_some()
        && spec.claim_ref.is_none()
        && spec.operating_mode == OperatingMode::Running
        && instance.metadata.deletion_timestamp.is_none()
        && instance.is_its_own()
        && !has_another_owner(instance)
        && !annotated(instance.annotations())
        && !awaits_update(instance)
        && conditions
            .into_iter()
            .any(|said| condition::is_true(said, kind::READY))
        && settled(instance)
}

/// The revision at which it runs.
fn revision(instance: &AgentInstance) -> Option<&String> {
    instance.status.as_ref()?.template_revision.as_ref()
}

/// Whether its pool has asked it to take a revision that it has not taken: its pass may begin that at any moment.
fn awaits_update(instance: &AgentInstance) -> bool {
    let asked = instance.spec.update_to.as_ref();
    asked.is_some_and(|asked| revision(instance) != Some(&asked.revision))
}

fn update(instance: &AgentInstance) -> Option<AskedUpdate> {
    let asked = instance.spec.update_to.as_ref()?;
    let status = instance.status.as_ref();
    let taking = status.and_then(|status| status.rollout.as_ref());
    let begun =
        taking.is_some_and(|taking| taking.revision == asked.revision && taking.begun_at.is_some());
    let conditions = status.map_or(&[][..], |status| &status.conditions);
    let ready = condition::is_true(conditions, kind::READY) && settled(instance);
    let stage = match awaits_update(instance) {
        true => UpdateStage::Asked,
        false if begun && !ready => UpdateStage::Taken,
        false => UpdateStage::Done,
    };
    let stalled = condition::find(conditions, kind::STALLED).filter(|one| one.status == "True");
    let own = stalled.filter(|one| ITS_OWN.contains(&one.reason.as_str()));
    Some(AskedUpdate {
        revision: asked.revision.clone(),
        since: asked.since.0,
        stage,
        failed: own
            .filter(|_| stage != UpdateStage::Asked)
            .map(|one| one.reason.clone()),
    })
}

/// Whether somebody else controls it: an object has one controller, and a claim could not be it.
fn has_another_owner(instance: &AgentInstance) -> bool {
    let mut owners = instance.owner_references().iter();
    owners.any(|owner| owner.controller == Some(true))
}

fn ready_since(instance: &AgentInstance) -> Option<Timestamp> {
    let conditions = &instance.status.as_ref()?.conditions;
    let said = condition::find(conditions, kind::READY).filter(|said| said.status == "True");
    said.map(|said| said.last_transition_time.0)
}

fn patience_ends(instance: &AgentInstance) -> Option<Timestamp> {
    let status = instance.status.as_ref()?;
    status.timings.as_ref()?.ready.as_ref()?;
    let said = condition::find(&status.conditions, kind::READY)?;
    let unready = said.status == "False";
    unready.then(|| said.last_transition_time.0 + PATIENCE)
}

/// Whether nothing outside is being made or taken back for it.
pub fn settled(instance: &AgentInstance) -> bool {
    let status = instance.status.iter();
    let mut ledger = status.flat_map(|status| &status.external);
    !ledger.any(|entry| matches!(entry.state, SlotState::Creating | SlotState::Deleting))
}

/// Whether its project was deleted at the provider, and that is told rather than mended.
pub fn is_emptied(instance: &AgentInstance) -> bool {
    let status = instance.status.iter();
    let mut said = status.flat_map(|status| &status.conditions);
    said.any(|one| one.type_ == kind::STALLED && one.reason == reason::DELETED_EXTERNALLY)
}

fn standing(instance: &AgentInstance, now: Timestamp) -> AgentStanding {
    if claimable(instance) {
        return AgentStanding::Idle;
    }
    if !instance.is_its_own() {
        return AgentStanding::Restored;
    }
    if instance.spec.claim_ref.is_none() && has_another_owner(instance) {
        return AgentStanding::Unhealthy { replaceable: false };
    }
    if update(instance).is_some_and(|update| update.stage != UpdateStage::Done) {
        return AgentStanding::Updating;
    }
    let Some(status) = &instance.status else {
        return AgentStanding::Coming;
    };
    let stalled = condition::find(&status.conditions, kind::STALLED);
    if let Some(stalled) = stalled.filter(|stalled| stalled.status == "True") {
        if stalled.reason == reason::QUOTA_EXCEEDED {
            return AgentStanding::Unplaced;
        }
        let replaceable = ITS_OWN.contains(&stalled.reason.as_str());
        return AgentStanding::Unhealthy { replaceable };
    }
    match patience_ends(instance) {
        Some(ends) => AgentStanding::Unhealthy {
            replaceable: now > ends && instance.spec.operating_mode == OperatingMode::Running,
        },
        None => AgentStanding::Coming,
    }
}
