//! What lives in an account as a sweep sees it, and what ledgers, instances and records claim of it.

use crate::api::money::Money;
use crate::api::{
    AgentInstance, IDENTITY_ANNOTATION, NamespacedName, Seen, Slot, SlotState, Unreadable,
};
use crate::engine::restored;
use crate::engine::world::marker;
use crate::model::marker::{STEM, is_tool_name, named, stem_of};
use crate::model::slot::{Undo, parts};
use crate::model::tool::{Resource, Stage};
use crate::model::values::Seal;
use crate::model::{Home, InstallationId};
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};

/// Who reads a marker: the installation and its key.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The installation's id.
    pub installation: &'a InstallationId,
    /// Key of its names' proofs.
    pub seal: &'a Seal,
}

/// Something that lives in an account.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What it is: `project`, `openrouter`, `telnyx/profile`.
    pub kind: String,
    /// The provider's id.
    pub id: String,
    /// Its name there.
    pub name: String,
    /// Whose it says it is.
    pub bears: Provenance,
    /// When it was made, where the provider tells.
    pub created: Option<Timestamp>,
    /// What it can cost within a month, where the provider tells.
    pub monthly_usd: Option<Money>,
    /// Whether it may hold money: then it is told, and only a person takes it back.
    pub may_hold_money: bool,
    /// Whether it was put to rest, as such things are when their instance goes.
    pub resting: bool,
}

/// Whose something says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// Nobody's of this kind.
    Nothing,
    /// It looks like one of a Yardmaster, and is not ours: another installation's, edited, or only in part.
    Likeness,
    /// This installation's full marker: the instance, where there was room for it.
    Ours(Option<Instance>),
}

/// The instance that a marker names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance {
    /// Its namespace and name.
    pub named: NamespacedName,
    /// Its UID.
    pub uid: String,
}

impl Item {
    /// A Railway project.
    pub fn of_home(home: &Home, reader: Reader<'_>) -> Item {
        let bears = match &home.marker {
            Some(marker) if marker.is_genuine(&home.name, reader.installation) => {
                Provenance::Ours(Some(Instance {
                    named: marker.object(),
                    uid: marker.uid.clone(),
                }))
            }
            None if !home.name.starts_with(STEM) => Provenance::Nothing,
            _ => Provenance::Likeness,
        };
        Item {
            kind: "project".to_owned(),
            id: home.id.clone(),
            name: home.name.clone(),
            bears,
            created: Some(home.created),
            monthly_usd: None,
            may_hold_money: false,
            resting: false,
        }
    }

    /// A tool's resource at a provider.
    pub fn of_resource(provider: &str, resource: &Resource, reader: Reader<'_>) -> Item {
        let row = parts(provider).find(|(part, _)| *part == resource.part);
        let bears = if is_tool_name(reader.seal, reader.installation, &resource.name) {
            Provenance::Ours(None)
        } else if resource.name.starts_with(STEM) {
            Provenance::Likeness
        } else {
            Provenance::Nothing
        };
        Item {
            kind: row.map_or_else(|| provider.to_owned(), |(_, row)| row.word()),
            id: resource.id.clone(),
            name: resource.name.clone(),
            bears,
            created: resource.created,
            monthly_usd: Some(resource.monthly_usd),
            // What no row knows is nothing that we may judge.
            may_hold_money: row.is_none_or(|(_, row)| row.undo == Undo::Rest),
            resting: resource.stage == Stage::Resting,
        }
    }
}

impl Item {
    /// How its name begins, where it is a tool's that we gave.
    pub(in crate::engine) fn stem(&self) -> Option<&str> {
        matches!(self.bears, Provenance::Ours(None)).then(|| stem_of(&self.name))?
    }
}

/// What the ledgers of all instances claim, whatever the account: two accounts may lead to one workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Living instances, each by the identity under which it has things outside.
    pub owners: BTreeSet<Instance>,
    /// Those that were restored from a backup and wait for a word: they may want back what bears their
    /// name.
    pub waiting: BTreeSet<NamespacedName>,
    /// Living instances that state no identity yet: as what they go on is not known before their passes.
    pub unstated: BTreeSet<NamespacedName>,
    /// Those that have another identity than their UID, whether they wait or go on.
    pub reborn: BTreeSet<NamespacedName>,
    /// Ids in ledgers, whatever their state, and those of what is to be adopted.
    pub ids: BTreeSet<String>,
    /// Names in ledgers, whatever their state.
    pub keys: BTreeSet<String>,
    /// How many things ledgers say exist in each account.
    pub exist: BTreeMap<String, usize>,
    /// How the names of tools' resources begin that living instances may have although their ledgers do not say so.
    pub stems: BTreeSet<String>,
    /// Those of the ids whose instances are taking them back.
    pub going: BTreeSet<String>,
    /// Ids and names of what was left behind on purpose, how such names begin, and objects as [`named`] words them.
    pub left_behind: BTreeSet<String>,
    /// Whether an instance is among them whose ledger cannot be read.
    pub unread: bool,
}

impl Claims {
    /// Of these instances, which must be all that there are.
    pub fn of(instances: impl IntoIterator<Item = Seen<AgentInstance>>) -> Claims {
        let mut claims = Claims::default();
        for instance in instances {
            let named = NamespacedName::of(&instance);
            if instance.read().is_some_and(|one| restored::waits(one)) {
                claims.waiting.insert(named.clone());
            }
            let own = instance.read().is_none_or(|one| one.is_its_own());
            if !own || claims.waiting.contains(&named) {
                claims.reborn.insert(named.clone());
            }
            let stated = instance.annotations().contains_key(IDENTITY_ANNOTATION);
            if instance.read().is_some() && !stated {
                claims.unstated.insert(named.clone());
            }
            let identity = instance.read().map(|one| one.identity());
            claims.owners.insert(Instance {
                named,
                uid: identity.or_else(|| instance.uid()).unwrap_or_default(),
            });
            match instance {
                Seen::Read(instance) => claims.read(&instance),
                Seen::Unreadable(instance) => claims.unread(&instance),
            }
        }
        claims
    }

    /// Of an instance whose ledger names no project, because it was lost or has not begun, these slots may have something.
    pub fn expect(
        &mut self,
        installation: &InstallationId,
        instance: &AgentInstance,
        slots: impl IntoIterator<Item = Slot>,
    ) {
        let mut entries = instance.status.iter().flat_map(|status| &status.external);
        if entries.all(|entry| entry.slot != Slot::Project) {
            let slots = slots.into_iter();
            self.stems
                .extend(slots.map(|slot| marker(installation, instance, slot).tool_stem()));
        }
    }

    fn read(&mut self, instance: &AgentInstance) {
        if let Some(adopt) = &instance.spec.adopt {
            self.ids.insert(adopt.project_id.0.clone());
            self.ids
                .extend(adopt.tools.iter().map(|tool| tool.id.0.clone()));
        }
        for entry in instance.status.iter().flat_map(|status| &status.external) {
            self.ids.extend(entry.id.clone());
            if entry.state == SlotState::Deleting {
                self.going.extend(entry.id.clone());
            }
            if !entry.key.is_empty() {
                self.keys.insert(entry.key.clone());
            }
            // What is inside a project is not listed by itself.
            let listed = entry.row().undo != Undo::WithProject;
            if listed && entry.state == SlotState::Exists {
                *self.exist.entry(entry.account.clone()).or_default() += 1;
            }
        }
    }

    /// Whatever it mentions is its own. That may not be all: a version that writes ledgers in another form may write names
    /// in another form, too.
    fn unread(&mut self, instance: &Unreadable) {
        self.unread = true;
        for word in instance.words() {
            self.ids.insert(word.to_owned());
            self.keys.insert(word.to_owned());
        }
    }

    /// Whether a ledger names it, or an instance is to adopt it.
    pub(in crate::engine) fn recorded(&self, item: &Item) -> bool {
        self.ids.contains(&item.id) || self.keys.contains(&item.name)
    }

    pub(in crate::engine) fn claim(&self, item: &Item) -> bool {
        let owned = match &item.bears {
            Provenance::Ours(Some(instance)) => self.owners.contains(instance),
            _ => false,
        };
        owned || self.recorded(item) || item.stem().is_some_and(|stem| self.stems.contains(stem))
    }

    pub(in crate::engine) fn left(&self, item: &Item) -> bool {
        let owner = match &item.bears {
            Provenance::Ours(Some(one)) => {
                let whose = named(&one.uid, &one.named.namespace, &one.named.name);
                self.left_behind.contains(&whose)
            }
            _ => false,
        };
        let stem = item.stem();
        owner
            || self.left_behind.contains(&item.id)
            || self.left_behind.contains(&item.name)
            || stem.is_some_and(|stem| self.left_behind.contains(stem))
    }

    /// Whether it names a living instance that states no identity yet, and may turn out to be its own.
    pub fn unclear(&self, item: &Item) -> bool {
        match &item.bears {
            Provenance::Ours(Some(one)) => self.unstated.contains(&one.named),
            _ => false,
        }
    }

    /// Whether it names an instance that was restored from a backup and waits for a word. One that lives under that name and
    /// another identity for sure has no use for it.
    pub fn restored(&self, item: &Item) -> bool {
        match &item.bears {
            Provenance::Ours(Some(one)) => {
                !self.owners.contains(one) && !self.left(item) && self.waiting.contains(&one.named)
            }
            _ => false,
        }
    }
}
