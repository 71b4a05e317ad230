//! Whose outside things an object may touch: its own, those of the object that it was before it was restored from a backup,
//! or none.
//!
//! What holds: an object whose identity is not its UID touches nothing until the account's owner has said once that it
//! goes on as what it was; that is on record in the status, which a tenant cannot write, for this UID alone. What it then
//! takes over bears identity, namespace and name. Of several living objects with one identity one goes on, for everyone
//! the same. An object without an identity (a backup of an old version, an annotation taken away) is held in the same way
//! where the account shows that something of its name was made under another UID. Deliberately absent: which of an
//! instance's Secrets are its own (`cluster::secret`).

use crate::api::acknowledge::{ACKNOWLEDGE_ANNOTATION, acknowledged, occurrence};
use crate::api::condition::{self, kind, reason};
use crate::api::instance::Restored;
use crate::api::{
    AgentInstance, AgentInstanceStatus, IDENTITY_ANNOTATION, NamespacedName, ProviderAccount, Slot,
};
use crate::model::{Home, InstallationId, Marker};
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::BTreeSet;

/// Whose things an object may touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityState {
    /// Those of its identity.
    Own,
    /// It begins anew under its own UID: what its status names is another identity's.
    Anew,
    /// Nobody can say before its account has been read.
    Unread,
    /// None: it was restored.
    Held {
        /// As what it would go on. Empty: as nothing that could be told. Several: a person must say as which.
        identities: BTreeSet<String>,
        /// What the account's owner has said of it.
        word: Word,
    },
    /// None: another living object has its identity.
    Taken,
}

/// What an account's owner has said of restored objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// Since when the account tells of such; `None`: it does not yet.
    pub since: Option<Timestamp>,
    /// Whether they go on as what they were.
    pub given: bool,
}

/// What an account tells of restored objects, and what its owner has answered.
pub fn word(account: &ProviderAccount) -> Word {
    let conditions = account.status.iter().flat_map(|status| &status.conditions);
    let since = conditions
        .filter(|one| one.type_ == kind::OBJECTS_RESTORED && one.status == "True")
        .map(|one| one.last_transition_time.0)
        .next();
    let given = since.is_some_and(|since| {
        acknowledged(account.annotations(), reason::RESTORED_ELSEWHERE, since)
    });
    Word { since, given }
}

/// What an account says while objects of its own wait for a word.
pub fn told(account: &str, since: Timestamp) -> String {
    format!(
        "AgentInstances were restored from a backup or made anew under their old names: nothing is made, changed or deleted for them, because what they had may be in use elsewhere. To let all of them go on with what they had: {}. One begins anew where its annotation {IDENTITY_ANNOTATION} is set to its own metadata.uid",
        command(account, since)
    )
}

pub(super) fn command(account: &str, since: Timestamp) -> String {
    format!(
        "kubectl annotate provideraccount {account} --overwrite {ACKNOWLEDGE_ANNOTATION}={}",
        occurrence(reason::RESTORED_ELSEWHERE, since)
    )
}

/// What a judgement is taken from beside the object.
pub struct Facts<'a> {
    /// This installation.
    pub installation: &'a InstallationId,
    /// What the last believed reading of the object's account showed. `None`: there was none yet.
    pub homes: Option<&'a [Home]>,
    /// UIDs of what was left behind on purpose under the object's name.
    pub left_behind: &'a BTreeSet<String>,
    /// Whether another living object comes first under the identity that it states.
    pub taken: bool,
    /// What the account's owner has said.
    pub word: Word,
}

/// Whose things the object may touch.
pub fn standing(instance: &AgentInstance, facts: &Facts<'_>) -> IdentityState {
    let uid = instance.uid().unwrap_or_default();
    let held = |identities| IdentityState::Held {
        identities,
        word: facts.word,
    };
    match instance.annotations().get(IDENTITY_ANNOTATION) {
        Some(stated) if *stated == uid => match (on_record(instance), facts.homes) {
            (None, _) => IdentityState::Own,
            (Some(_), None) => IdentityState::Unread,
            (Some(_), Some(homes)) if anothers(instance, homes, facts.installation) => {
                IdentityState::Anew
            }
            (Some(_), Some(_)) => IdentityState::Own,
        },
        Some(_) if taken_over(instance) && !facts.taken => IdentityState::Own,
        Some(_) if facts.taken => IdentityState::Taken,
        Some(stated) => held(
            AgentInstance::is_identity(stated)
                .then(|| stated.clone())
                .into_iter()
                .collect(),
        ),
        None if instance.spec.adopt.is_some() || is_own(instance, facts.installation) => {
            IdentityState::Own
        }
        // Said already, and the annotation taken away by hand: it is put back.
        None if on_record(instance).is_some_and(|one| one.taken_over_by == instance.uid()) => {
            IdentityState::Held {
                identities: on_record(instance)
                    .map(|one| one.identity.clone())
                    .into_iter()
                    .collect(),
                word: Word {
                    since: facts.word.since,
                    given: true,
                },
            }
        }
        None => match facts.homes {
            None => IdentityState::Unread,
            Some(homes) => {
                let mut found = namesakes(instance, homes, facts.installation);
                found.retain(|uid| !facts.left_behind.contains(uid));
                // Under another name, too, a ledger may be another's: a backup that was restored beside what it is of.
                let whose = recorded(instance, homes, facts.installation);
                let others = whose.is_some_and(|whose| Some(&whose.uid) != instance.uid().as_ref());
                found.extend(whose.filter(|_| others).map(|whose| whose.uid.clone()));
                if found.is_empty() {
                    IdentityState::Own
                } else {
                    held(found)
                }
            }
        },
    }
}

/// What the status says of its having been restored.
pub fn on_record(instance: &AgentInstance) -> Option<&Restored> {
    instance.status.as_ref()?.restored.as_ref()
}

/// Whether the object goes on as what it was: said of this very object, and of the identity that it states.
pub(super) fn taken_over(instance: &AgentInstance) -> bool {
    on_record(instance).is_some_and(|restored| {
        restored.taken_over_by == instance.uid()
            && instance.annotations().get(IDENTITY_ANNOTATION) == Some(&restored.identity)
    })
}

/// Whether the ledger's project bears the name that the object's own UID gives it.
fn is_own(instance: &AgentInstance, installation: &InstallationId) -> bool {
    let entries = instance.status.iter().flat_map(|status| &status.external);
    let mut projects = entries.filter(|entry| entry.slot == Slot::Project);
    let own = Marker {
        installation: installation.clone(),
        namespace: instance.namespace().unwrap_or_default(),
        name: instance.name_any(),
        uid: instance.uid().unwrap_or_default(),
        slot: Slot::Project,
    };
    projects.any(|entry| entry.key == own.outside_name())
}

/// Whether what the ledger has for its project was made under another UID than the object's.
fn anothers(instance: &AgentInstance, homes: &[Home], installation: &InstallationId) -> bool {
    recorded(instance, homes, installation)
        .is_some_and(|whose| Some(&whose.uid) != instance.uid().as_ref())
}

/// What the project in the ledger says that it was made for.
fn recorded<'a>(
    instance: &AgentInstance,
    homes: &'a [Home],
    installation: &InstallationId,
) -> Option<&'a Marker> {
    let entries = instance.status.iter().flat_map(|status| &status.external);
    let recorded = entries
        .filter(|entry| entry.slot == Slot::Project)
        .find_map(|entry| entry.id.as_ref());
    homes
        .iter()
        .filter(|home| Some(&home.id) == recorded)
        .find_map(|home| genuine(home, installation))
}

/// UIDs under which something of the object's name was made. None where something was made under its own.
pub fn namesakes(
    instance: &AgentInstance,
    homes: &[Home],
    installation: &InstallationId,
) -> BTreeSet<String> {
    let (namespace, name) = (instance.namespace(), instance.name_any());
    let found: BTreeSet<String> = homes
        .iter()
        .filter(|home| !home.deleted)
        .filter_map(|home| genuine(home, installation))
        .filter(|marker| Some(&marker.namespace) == namespace.as_ref() && marker.name == name)
        .map(|marker| marker.uid.clone())
        .collect();
    if instance.uid().is_some_and(|own| found.contains(&own)) {
        return BTreeSet::new();
    }
    found
}

/// The marker of a project, where it and the project's name are ours and agree.
fn genuine<'a>(home: &'a Home, installation: &InstallationId) -> Option<&'a Marker> {
    let marker = home.marker.as_ref()?;
    marker
        .is_genuine(&home.name, installation)
        .then_some(marker)
}

/// Of which object a project says that it has this identity.
pub fn bearer<'a>(
    identity: &str,
    homes: impl IntoIterator<Item = &'a Home>,
    installation: &InstallationId,
) -> Option<NamespacedName> {
    homes
        .into_iter()
        .filter(|home| !home.deleted)
        .filter_map(|home| genuine(home, installation))
        .find(|marker| marker.uid == identity)
        .map(Marker::object)
}

/// Whether another living object comes first under the identity that this one states: the one that was born with it, then
/// the one of which the word was given, then the one that a project names, then the older. `bearer`: whom a project names.
pub fn taken<'a>(
    instance: &AgentInstance,
    all: impl IntoIterator<Item = &'a AgentInstance>,
    bearer: Option<&NamespacedName>,
) -> bool {
    let identity = instance.identity();
    let (_, unsaid, strange, ..) = precedence(instance, bearer);
    if Some(&identity) == instance.uid().as_ref() {
        return false;
    }
    unsaid && strange
        || all
            .into_iter()
            .filter(|other| other.uid() != instance.uid() && other.identity() == identity)
            .any(|other| precedence(other, bearer) < precedence(instance, bearer))
}

type Precedence = (bool, bool, bool, Option<Timestamp>, Option<String>);

fn precedence(instance: &AgentInstance, bearer: Option<&NamespacedName>) -> Precedence {
    let own = NamespacedName::of(instance);
    (
        instance.uid() != Some(instance.identity()),
        !taken_over(instance),
        bearer.is_some_and(|bearer| *bearer != own),
        instance.metadata.creation_timestamp.as_ref().map(|at| at.0),
        instance.uid(),
    )
}

/// Whether an object shows by itself that it was restored, and nobody has said yet that it goes on.
pub fn waits(instance: &AgentInstance) -> bool {
    match instance.annotations().get(IDENTITY_ANNOTATION) {
        Some(stated) => Some(stated) != instance.uid().as_ref() && !taken_over(instance),
        None => matches!(
            stalled(instance),
            Some(reason::RESTORED_ELSEWHERE | reason::IDENTITY_UNCLEAR)
        ),
    }
}

/// Whether the word of the account's owner would let it go on, unless another one has its identity.
pub fn waits_for_a_word(instance: &AgentInstance) -> bool {
    let stated = instance.annotations().get(IDENTITY_ANNOTATION);
    let clear = match stated {
        Some(stated) => AgentInstance::is_identity(stated),
        None => stalled(instance) != Some(reason::IDENTITY_UNCLEAR),
    };
    waits(instance) && clear && instance.metadata.deletion_timestamp.is_none()
}

pub(super) fn stalled(instance: &AgentInstance) -> Option<&str> {
    let conditions = &instance.status.as_ref()?.conditions;
    condition::find(conditions, kind::STALLED)
        .filter(|found| found.status == "True")
        .map(|found| found.reason.as_str())
}

/// The object as it is decided upon: one that begins anew knows nothing of what it was.
pub fn as_it_stands(mut instance: AgentInstance, standing: &IdentityState) -> AgentInstance {
    if *standing == IdentityState::Anew
        && let Some(status) = instance.status.take()
    {
        instance.status = Some(AgentInstanceStatus {
            conditions: status.conditions,
            observed_generation: status.observed_generation,
            ..AgentInstanceStatus::default()
        });
    }
    instance
}

/// Whether deleting the object touches nothing outside.
pub fn touches_nothing(standing: &IdentityState) -> bool {
    matches!(standing, IdentityState::Held { .. } | IdentityState::Taken)
}

#[cfg(test)]
mod tests;
