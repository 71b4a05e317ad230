//! What may be news, and who may be woken.
//!
//! Holds: one name for each. Deliberately absent: which is news for whom ([`super::news`]).

use crate::api::{
    AgentClaim, AgentInstance, AgentPool, AgentTemplate, NamespacedName, ProviderAccount, Seen,
};
use crate::controllers::queue::Rank;
use crate::controllers::turned::{Ref, Turned};
use kube::Resource;
use std::time::Duration;

/// Something that may be news for somebody.
#[derive(Clone, Debug)]
pub enum Change {
    /// An instance.
    Instance(Turned<AgentInstance>),
    /// A template.
    Template(Turned<AgentTemplate>),
    /// An account.
    Account(Turned<ProviderAccount>),
    /// A pool.
    Pool(Turned<AgentPool>),
    /// A claim.
    Claim(Turned<AgentClaim>),
    /// A reading of an account shows something else of these instances than the one before.
    Shown(Vec<NamespacedName>),
    /// The projects of these instances cost otherwise than they tell.
    Costs(Vec<NamespacedName>),
    /// An account was read for the first time.
    FirstRead(String),
    /// An account has more or fewer resources of ours.
    Counted(String),
    /// An account was full, and is not any more.
    Room(String),
    /// The instance that had a place in a full account is gone: the listing that showed the place free may be older.
    PlaceFree(String),
    /// An account's provider does not answer any more, or does again.
    Outage(String),
    /// An account's credential is to be asked about once more.
    Doubt(String),
    /// An account can be used, or cannot, or in another way than before.
    Usable(String),
    /// A Secret or a ConfigMap that an object refers to.
    Source(Dependent),
    /// The labels of a namespace.
    Labels(String),
    /// An image registry has answered what a template asked.
    Answered(Ref<AgentTemplate>),
    /// An instance read other values than its template's last pass did.
    Values(Ref<AgentTemplate>),
    /// These instances may take the new revision.
    Turn(Vec<NamespacedName>),
    /// The sweep has something else to tell of an account.
    Swept(String),
    /// Less is remembered of an account than was, or that is known again.
    Recovery(String),
    /// An object of the account was restored, or is one no longer.
    Restored(String),
    /// The account's owner has said what becomes of these, or they have to hear that nobody has.
    Word(Vec<NamespacedName>),
    /// These accounts lead to the place of one that came, went or was told so.
    Neighbours(Vec<String>),
}

/// Who refers to a Secret or a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependent {
    /// An instance.
    Instance(NamespacedName),
    /// A template.
    Template(NamespacedName),
    /// An account.
    Account(String),
    /// A claim.
    Claim(NamespacedName),
}

/// Who is woken.
#[derive(Clone, Debug, PartialEq)]
pub enum Whom {
    /// An instance.
    Instance(Ref<AgentInstance>),
    /// A template.
    Template(Ref<AgentTemplate>),
    /// An account.
    Account(String),
    /// The instances of a template.
    Followers(Ref<AgentTemplate>),
    /// The instances that use an account.
    Users(String),
    /// Those of them that state no identity.
    Unidentified(String),
    /// The instances of a namespace.
    Inhabitants(String),
    /// Those that have waited longest for a place in an account.
    Placeless(String),
    /// The templates of the instances that live in an account.
    RolledOutOver(String),
    /// Somebody at a pool.
    Near(NearPool),
}

/// Who is woken at a pool.
#[derive(Clone, Debug, PartialEq)]
pub enum NearPool {
    /// The pool.
    Pool(Ref<AgentPool>),
    /// A claim.
    Claim(Ref<AgentClaim>),
    /// Those who wait for one of its agents.
    Waiting(Ref<AgentPool>),
    /// Claims that are to tell a template's persona.
    ToldBy(Ref<AgentTemplate>),
    /// The pools of a template.
    PoolsOf(Ref<AgentTemplate>),
    /// The pools that may make agents in an account.
    PoolsOver(String),
}

/// A wake-up.
#[derive(Clone, Debug, PartialEq)]
pub struct Wake {
    /// Who.
    pub whom: Whom,
    /// How urgently.
    pub rank: Rank,
    /// In how long.
    pub after: Duration,
}

/// Somebody is woken at once.
pub(super) fn now(whom: Whom, rank: Rank) -> Wake {
    let after = Duration::ZERO;
    Wake { whom, rank, after }
}

/// Members of a rollout change many at once: their template looks at them together.
pub(super) const TOGETHER: Duration = Duration::from_millis(20);

/// Whether a view of an object is another than before.
pub(super) fn differs<K, V: PartialEq>(turned: &Turned<K>, view: fn(&Seen<K>) -> V) -> bool {
    turned.before.as_ref().map(view) != turned.after.as_ref().map(view)
}

/// What a change is of.
pub(super) fn named<K>(turned: &Turned<K>) -> Option<Ref<K>>
where
    K: Resource<DynamicType = ()> + Clone,
{
    let object = turned.after.as_ref().or(turned.before.as_ref())?;
    Some(crate::controllers::turned::named(object))
}

/// Where a field cannot be read, and what is expected there.
pub(super) fn trouble<K>(object: &Seen<K>) -> Option<(String, String)> {
    let object = object.unreadable()?;
    Some((object.field.clone(), object.expected.clone()))
}

/// What people change: spec, annotations, whether it is deleted, whether it can be read.
pub(super) fn as_people_left_it<K>(object: &Seen<K>) -> impl PartialEq + use<K>
where
    K: Resource<DynamicType = ()> + Clone,
{
    let meta = object.meta();
    let (uid, generation) = (meta.uid.clone(), meta.generation);
    let deleted = meta.deletion_timestamp.is_some();
    let annotations = meta.annotations.clone();
    (uid, generation, deleted, annotations, trouble(object))
}
