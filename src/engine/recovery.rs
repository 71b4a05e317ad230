//! Whether what this cluster remembers of an account is what is there: statuses may have been lost, or its etcd set back to
//! an earlier time. Then nothing is changed through the account before its owner has said so (RecoveryMode).
//!
//! What holds: only what bears this installation's full and genuine marker counts, and only once a reading shows it that
//! began `settle` after it was found on no record: so long what its instance took back may be shown still. What a living
//! object may claim, what was left behind on purpose and what may hold money and rests is no sign of a time that went back.
//! An acknowledgement is of what there was when that was told, never of what comes later. Deliberately absent: the reading
//! of ledgers and records (`controllers::accounts::recollection`), what is held back meanwhile (`paused`), and a few lost
//! ledgers, which find again by themselves what is theirs (`home`).

mod told;

pub use told::{RecoveryAnswer, condition, holds, told};

use super::sweep::{Claims, Item, Provenance};
use super::world::{Limits, marker};
use crate::api::condition::{reason, whole_seconds};
use crate::api::{AgentInstance, FINALIZER, LedgerEntry, Slot, SlotState};
use crate::model::InstallationId;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

/// So few lost ledgers find by themselves what is theirs.
const FEW: usize = 5;

/// So long what an instance parted with is remembered where no reading shows it.
const PARTED: SignedDuration = SignedDuration::from_mins(10);

/// Why it is taken that less is remembered than was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Most of what is ours stands in no ledger.
    LedgersLost {
        /// So much.
        unknown: usize,
        /// Of so much.
        ours: usize,
    },
    /// Something that nobody claims is younger than everything that ledgers know.
    TimeWentBack {
        /// What it is.
        thing: String,
        /// When it was made.
        made: Timestamp,
        /// Of when the newest record is.
        newest: Timestamp,
    },
}

impl Cause {
    /// The condition's reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Cause::LedgersLost { .. } => reason::LEDGERS_LOST,
            Cause::TimeWentBack { .. } => reason::TIME_WENT_BACK,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::LedgersLost { unknown, ours } => write!(
                f,
                "{unknown} of {ours} resources that bear this installation's marker here stand in no ledger, which is more likely a loss of statuses than so much that is nobody's"
            ),
            Cause::TimeWentBack {
                thing,
                made,
                newest,
            } => write!(
                f,
                "{thing}, made at {made}, stands in no ledger, and the newest record of any ledger here is of {newest}: more likely this cluster was set back to an earlier time than it became nobody's"
            ),
        }
    }
}

/// An occurrence of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lapse {
    /// What shows it.
    pub cause: Cause,
    /// The acknowledged occurrence beyond which it goes.
    pub beyond: Option<Timestamp>,
}

/// What an account's ledgers know of what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembrance {
    /// What there is to know.
    Remembers,
    /// Less, and its owner has said that it goes on.
    Acknowledged,
    /// Less.
    Lapsed(Lapse),
}

/// How the names of tools' resources begin that living instances may have, whatever their ledgers say.
#[derive(Clone, Debug, Default)]
pub struct Bearers {
    living: BTreeSet<String>,
    /// Of those that were restored from a backup: whether they go on is asked for them alone.
    restored: BTreeSet<String>,
}

impl Bearers {
    /// One more. `slots`: of its tools, as its template says.
    pub fn add(
        &mut self,
        installation: &InstallationId,
        instance: &AgentInstance,
        slots: impl IntoIterator<Item = Slot>,
    ) {
        let recorded = instance.status.iter().flat_map(|status| &status.external);
        let recorded = recorded.map(|entry| entry.slot);
        let tools = recorded
            .chain(slots)
            .filter(|slot| slot.as_tool().is_some());
        let stems = tools.map(|slot| marker(installation, instance, slot).tool_stem());
        match instance.is_its_own() {
            true => self.living.extend(stems),
            false => self.restored.extend(stems),
        }
    }
}

/// The newest record that ledgers have in an account. What is only planned is none, and while the account tells that it
/// remembers less, none from then on is: neither says that the others are as new.
pub fn newest<'a>(
    instances: impl IntoIterator<Item = &'a AgentInstance>,
    account: &str,
    told: RecoveryAnswer,
) -> Option<Timestamp> {
    let counts = |entry: &&LedgerEntry| {
        let before = match told {
            RecoveryAnswer::Open { since } => entry.started_at.0 < since,
            _ => true,
        };
        entry.account == account && entry.state != SlotState::Planned && before
    };
    let status = instances.into_iter().filter_map(|one| one.status.as_ref());
    let entries = status.flat_map(|status| &status.external);
    entries.filter(counts).map(|entry| entry.started_at.0).max()
}

/// Whether all that is ours stands in the ledgers of these: mostly there is nothing more to ask.
pub fn all_recorded<'a>(
    items: &[Item],
    instances: impl IntoIterator<Item = &'a AgentInstance>,
) -> bool {
    let status = instances.into_iter().filter_map(|one| one.status.as_ref());
    let known: HashSet<&str> = status
        .flat_map(|status| &status.external)
        .flat_map(|entry| entry.id.as_deref().into_iter().chain([entry.key.as_str()]))
        .collect();
    let recorded =
        |item: &Item| known.contains(item.id.as_str()) || known.contains(item.name.as_str());
    items.iter().filter(|item| is_ours(item)).all(recorded)
}

fn is_ours(item: &Item) -> bool {
    matches!(item.bears, Provenance::Ours(_))
}

/// What is remembered from one comparison to the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecallMemory {
    /// Since when each thing that is ours stands on no record, as far as this process knows.
    unrecorded: BTreeMap<String, Timestamp>,
    /// Ids and names of what instances parted with that were seen to be deleted, or without their finalizer, and since when.
    parted: BTreeMap<String, Timestamp>,
    /// Whether ledgers have known most of it since the last acknowledgement.
    again: bool,
}

impl RecallMemory {
    /// An instance is gone. Where it was being deleted, or was let go of by hand, what it had is no sign of a loss.
    pub fn parted(&mut self, last: &AgentInstance, now: Timestamp) {
        let held = last.finalizers().iter().any(|one| one == FINALIZER);
        if held && last.metadata.deletion_timestamp.is_none() {
            return;
        }
        let entries = last.status.iter().flat_map(|status| &status.external);
        let words = entries.flat_map(|entry| entry.id.iter().chain([&entry.key]));
        self.parted.extend(words.map(|word| (word.clone(), now)));
    }

    /// Everything is on record.
    pub fn all_recorded(&mut self, now: Timestamp) {
        self.unrecorded.clear();
        self.parted.retain(|_, since| now < *since + PARTED);
    }

    fn take_in(&mut self, items: &[Item], unknown: &[&Item], now: Timestamp) {
        let shown: HashSet<&str> = items
            .iter()
            .flat_map(|item| [item.id.as_str(), item.name.as_str()])
            .collect();
        self.parted
            .retain(|word, since| shown.contains(word.as_str()) || now < *since + PARTED);
        let before = std::mem::take(&mut self.unrecorded);
        let since = |item: &&Item| {
            let since = before.get(&item.id).copied().unwrap_or(now);
            (item.id.clone(), since)
        };
        self.unrecorded = unknown.iter().map(since).collect();
    }

    fn has_parted(&self, item: &Item) -> bool {
        self.parted.contains_key(&item.id) || self.parted.contains_key(&item.name)
    }
}

/// What is compared.
pub struct Recall<'a> {
    /// When the believed reading began.
    pub begun: Timestamp,
    /// What it showed.
    pub items: &'a [Item],
    /// What ledgers and records claim: of all instances, read after that.
    pub claims: &'a Claims,
    /// What living instances may have beside.
    pub bearers: &'a Bearers,
    /// The newest record of any ledger there.
    pub newest: Option<Timestamp>,
    /// How long what was made or deleted may be shown otherwise.
    pub limits: Limits,
    /// What the account has told so far.
    pub told: RecoveryAnswer,
    /// The present moment.
    pub now: Timestamp,
}

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// `None`: that is not clear yet.
    pub standing: Option<Remembrance>,
    /// When a reading has to begin that makes it clear.
    pub clear_at: Option<Timestamp>,
}

impl Recall<'_> {
    /// Compares, and takes what it has seen into the memory.
    pub fn judge(&self, memory: &mut RecallMemory) -> Judgement {
        let unknown: Vec<&Item> = self
            .items
            .iter()
            .filter(|item| self.unknown(item))
            .collect();
        memory.take_in(self.items, &unknown, self.now);
        let unknown: Vec<&Item> = unknown
            .into_iter()
            .filter(|item| !memory.has_parted(item))
            .collect();
        let clear = |item: &&Item| {
            let since = memory.unrecorded.get(&item.id);
            since.is_some_and(|since| self.begun >= *since + self.limits.settle)
        };
        let ripe: Vec<&Item> = unknown.iter().copied().filter(clear).collect();
        let perhaps = self.cause(&unknown, memory.again);
        let certainly = self.cause(&ripe, memory.again);
        let waits = perhaps.is_some() && certainly.is_none();
        let clear_at = unknown
            .iter()
            .filter(|item| waits && !clear(item))
            .filter_map(|item| Some(*memory.unrecorded.get(&item.id)? + self.limits.settle))
            .max();
        memory.again = match self.told {
            RecoveryAnswer::Acknowledged { .. } => memory.again || self.lost(&unknown).is_none(),
            _ => false,
        };
        let standing = match (certainly, self.covered()) {
            (Some(cause), beyond) => Some(Remembrance::Lapsed(Lapse { cause, beyond })),
            (None, _) if waits => None,
            (None, Some(_)) if self.remains(&unknown) => Some(Remembrance::Acknowledged),
            (None, _) => Some(Remembrance::Remembers),
        };
        Judgement { standing, clear_at }
    }

    /// The occurrence that was acknowledged.
    fn covered(&self) -> Option<Timestamp> {
        match self.told {
            RecoveryAnswer::Acknowledged { since } => Some(since),
            _ => None,
        }
    }

    fn cause(&self, unknown: &[&Item], again: bool) -> Option<Cause> {
        let lost = self.lost(unknown);
        lost.filter(|_| self.covered().is_none() || again)
            .or_else(|| self.went_back(unknown))
    }

    /// Ours, and in no ledger or record.
    fn unknown(&self, item: &Item) -> bool {
        let rests = item.may_hold_money && item.resting;
        is_ours(item) && !self.claims.recorded(item) && !self.claims.left(item) && !rests
    }

    fn lost(&self, unknown: &[&Item]) -> Option<Cause> {
        let counts = |item: &Item| !self.restored(item);
        let ours = self
            .items
            .iter()
            .filter(|item| is_ours(item) && counts(item));
        let (unknown, ours) = (
            unknown.iter().filter(|item| counts(item)).count(),
            ours.count(),
        );
        (unknown > FEW && unknown * 2 > ours).then_some(Cause::LedgersLost { unknown, ours })
    }

    /// Whether it is of an object that was restored from a backup.
    fn restored(&self, item: &Item) -> bool {
        match &item.bears {
            Provenance::Ours(Some(one)) => self.claims.reborn.contains(&one.named),
            _ => item
                .stem()
                .is_some_and(|stem| self.bearers.restored.contains(stem)),
        }
    }

    fn went_back(&self, unknown: &[&Item]) -> Option<Cause> {
        let newest = self.newest?;
        // What the newest attempt on record made, and what was acknowledged, is older than this.
        let known = self.covered().map_or(newest, |since| since.max(newest));
        let known = self.limits.landed_by(known);
        let (made, item) = unknown
            .iter()
            .filter(|item| self.nobodys(item))
            .filter_map(|item| Some((item.created?, item)))
            .max_by_key(|(made, item)| (*made, &item.id))?;
        (made > known).then(|| Cause::TimeWentBack {
            thing: format!("{} {}", item.kind, item.id),
            made: whole_seconds(made),
            newest: whole_seconds(newest),
        })
    }

    /// Whether no living object may claim it.
    fn nobodys(&self, item: &Item) -> bool {
        let tool = matches!(item.bears, Provenance::Ours(None));
        let borne = item
            .stem()
            .is_some_and(|stem| self.bearers.living.contains(stem));
        let of_unread = tool && self.claims.unread;
        let named = self.claims.unclear(item) || self.claims.restored(item) || self.restored(item);
        !(self.claims.claim(item) || named || borne || of_unread)
    }

    /// Whether something is left of what was acknowledged.
    fn remains(&self, unknown: &[&Item]) -> bool {
        self.lost(unknown).is_some() || unknown.iter().any(|item| self.nobodys(item))
    }
}

#[cfg(test)]
mod tests;
