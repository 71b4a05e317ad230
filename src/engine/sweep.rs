//! The orphan sweep: what lives in an account against what ledgers claim, and which single thing, if any, may be taken
//! back now (`facts/reliability.md` 2.3).
//!
//! What holds: nothing is ever chosen that a ledger, a living instance or a record of what was left behind lays claim to,
//! that does not bear this installation's full and unedited marker, that may hold money, or that was not seen for the
//! whole grace period in readings that are believed. A reading that failed, or shows far less than there was, proves
//! nothing; ledgers that could not be read completely claim everything. At most one thing is chosen at a time, and so
//! many in an hour.
//!
//! A marker is believed only where it agrees with the name beside it: the name is a hash of the installation and the
//! UID, so a description in which a person changed one letter is no longer ours, though every word of it is there.
//!
//! What an instance has taken back is no orphan, though a reading that began before shows it still, and its absence is no
//! shrinking: its ledger let go of it only when it was seen to be gone.
//!
//! Deliberately absent: the deletion, and the second look before it (`controllers/sweep.rs`); deletion of what instances
//! still own, which is their own passes' business.

mod claims;
mod told;
mod verdict;

pub use claims::{Claims, Instance, Item, Provenance, Reader};
use told::report;
pub use told::{Findings, HeldBack, conditions};
pub use verdict::{Verdict, verdict};

use crate::api::account::{AccountSweep, Sweep, SweepMode};
use crate::api::text::Span;
use crate::engine::breaker;
use crate::model::slot::RAILWAY;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Where deletions are counted.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// What is remembered of an account from one reading to the next, by the process that leads. It begins empty: after a
/// restart every grace period begins anew.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Since which reading each id was there in every believed one.
    pub first_seen: BTreeMap<String, Timestamp>,
    /// How much the last believed reading showed, without what was taken back lately.
    pub size: Option<usize>,
    /// What was taken back lately, by the sweep or by its instance, and when: a reading that began before may show it
    /// still, and so may one that lags.
    pub taken: BTreeMap<String, Taken>,
    /// Of what the last believed reading showed, that which ledgers claimed when it was last compared.
    pub claimed: BTreeSet<String>,
    /// Since when readings show far less than that.
    pub shrunk: Option<Timestamp>,
    /// When deletions were tried.
    pub deletions: Vec<Timestamp>,
    /// Why the sweep is held back, and the reading that first said so.
    pub held_back: Option<(HeldBack, Timestamp)>,
}

/// When something was taken back, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// When.
    pub at: Timestamp,
    /// Whether its own instance took it back, and saw it gone.
    pub by_instance: bool,
}

impl Memory {
    /// Something is being taken back now, whatever comes of it: it counts, its absence is no shrinking, and where it is
    /// there all the same it is waited for anew.
    pub fn taken_back(&mut self, id: &str, now: Timestamp) {
        self.deletions.push(now);
        self.first_seen.remove(id);
        self.goes(id, now, false);
    }

    /// What ledgers knew and let go of, or are about to: that a reading lacks it is no shrinking.
    fn let_go(&mut self, claims: &Claims, now: Timestamp) {
        let mut claimed = std::mem::take(&mut self.claimed);
        claimed.retain(|id| {
            let known = claims.ids.contains(id);
            if !known || claims.going.contains(id) {
                self.goes(id, now, true);
            }
            known
        });
        self.claimed = claimed;
    }

    fn goes(&mut self, id: &str, at: Timestamp, by_instance: bool) {
        let taken = Taken { at, by_instance };
        if self.taken.insert(id.to_owned(), taken).is_none() {
            self.size = self.size.map(|size| size.saturating_sub(1));
        }
    }

    /// Whether its instance took it back so late that a reading may show it still.
    fn may_be_gone(&self, id: &str, begun: Timestamp, settle: SignedDuration) -> bool {
        self.taken
            .get(id)
            .is_some_and(|taken| taken.by_instance && begun <= taken.at + settle)
    }
}

/// What a decision is taken from.
pub struct View<'a> {
    /// The account's name.
    pub account: &'a str,
    /// The provider's name.
    pub provider: &'a str,
    /// When the reading began, and what it showed. `None`: it failed, or is not believed.
    pub reading: Option<(Timestamp, &'a [Item])>,
    /// What ledgers claim. `None`: not all of them could be read.
    pub claims: Option<&'a Claims>,
    /// Whether an instance that may have something in the account was restored from a backup and waits for a word.
    pub restored: bool,
    /// Whether the account is paused, or everything is.
    pub paused: bool,
    /// Whether less is remembered of the account than was.
    pub recovering: bool,
    /// What the account wants.
    pub sweep: &'a Sweep,
    /// Whether a person has said that much may be taken back at once.
    pub acknowledged: bool,
    /// How long what was deleted may still be seen.
    pub settle: SignedDuration,
    /// The present moment.
    pub now: Timestamp,
}

/// The result of a sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Swept {
    /// A verdict for each item, in the order of the reading. Empty where there was none.
    pub verdicts: Vec<Verdict>,
    /// What people are told; `None` where nothing new is known.
    pub report: Option<AccountSweep>,
    /// How many orphans of each kind it counts.
    pub kinds: BTreeMap<String, usize>,
    /// The position of the one thing that may be taken back now.
    pub due: Option<usize>,
    /// Why nothing is told anew, or nothing taken back that would be; where it is not over with the next reading.
    pub held_back: Option<HeldBack>,
}

/// Compares a reading with ledgers. Takes the reading into the memory.
pub fn sweep(view: &View<'_>, memory: &mut Memory) -> Swept {
    let begun = view.reading.map_or(view.now, |(begun, _)| begun);
    let mut swept = compare(view, memory);
    memory.held_back = swept.held_back.map(|why| match memory.held_back {
        Some((before, since)) if before == why => (why, since),
        _ => (why, begun),
    });
    // What one reading lacks the next one mostly has.
    swept.held_back = memory
        .held_back
        .filter(|(why, since)| !why.may_pass() || *since < begun)
        .map(|(why, _)| why);
    swept
}

fn compare(view: &View<'_>, memory: &mut Memory) -> Swept {
    let (Some((begun, items)), Some(claims)) = (view.reading, view.claims) else {
        return Swept {
            held_back: Some(HeldBack::Unread),
            ..Swept::default()
        };
    };
    memory.let_go(claims, view.now);
    let distrust = distrust(view, claims, begun, items.len(), memory);
    if distrust.is_none() {
        take_in(begun, items, memory);
    }
    let verdicts: Vec<Verdict> = items
        .iter()
        .map(|item| {
            let first = memory.first_seen.get(&item.id).copied();
            match verdict(item, claims, first.unwrap_or(begun)) {
                Verdict::Orphan { .. } if memory.may_be_gone(&item.id, begun, view.settle) => {
                    Verdict::Claimed
                }
                verdict => verdict,
            }
        })
        .collect();
    if let Some(why) = distrust {
        return Swept {
            verdicts,
            held_back: Some(why),
            ..Swept::default()
        };
    }
    let claimed = items.iter().filter(|item| claims.ids.contains(&item.id));
    memory.claimed = claimed.map(|item| item.id.clone()).collect();
    let orphans = orphans(items, &verdicts);
    let mut kinds = BTreeMap::new();
    for (_, at) in &orphans {
        *kinds.entry(items[*at].kind.clone()).or_default() += 1;
    }
    let claimed = verdicts.iter().filter(|one| **one == Verdict::Claimed);
    let many = breaker::too_many_orphans(orphans.len(), claimed.count());
    let (due, held_back) = match due(view, claims, begun, items, &orphans, memory) {
        (_, None) if many && wants(view) && !view.acknowledged => (None, Some(HeldBack::TooMany)),
        // What was acknowledged is told as long as it lasts, whatever else holds it back: it is that one occurrence.
        (_, Some(HeldBack::Recovery)) if many => (None, Some(HeldBack::TooMany)),
        (due, None) if many && wants(view) => (due, Some(HeldBack::TooMany)),
        found => found,
    };
    Swept {
        report: Some(report(view.provider, items, &verdicts, &orphans)),
        kinds,
        verdicts,
        due,
        held_back,
    }
}

/// What is ours and nobody's, the longest first.
fn orphans(items: &[Item], verdicts: &[Verdict]) -> Vec<(Timestamp, usize)> {
    let mut orphans: Vec<(Timestamp, usize)> = verdicts
        .iter()
        .enumerate()
        .filter_map(|(at, verdict)| match verdict {
            Verdict::Orphan { since } => Some((*since, at)),
            _ => None,
        })
        .collect();
    orphans.sort_by(|(one, at), (other, place)| {
        (one, &items[*at].id).cmp(&(other, &items[*place].id))
    });
    orphans
}

/// Why a reading is not believed, if it is not.
fn distrust(
    view: &View<'_>,
    claims: &Claims,
    begun: Timestamp,
    size: usize,
    memory: &mut Memory,
) -> Option<HeldBack> {
    let claimed = claims.exist.get(view.account).copied().unwrap_or(0);
    if size == 0 && claimed > 0 {
        return Some(HeldBack::ListingEmpty);
    }
    let before = memory.size.unwrap_or(0);
    let shrunk = size * 2 < before || (size == 0 && before > 0);
    if !shrunk {
        memory.shrunk = None;
        return None;
    }
    // Something may really have been deleted on a large scale: what stays so for a grace period is the new truth, and
    // nothing that it shows has been waited for yet.
    let since = *memory.shrunk.get_or_insert(begun);
    if begun > since && begun.duration_since(since) >= grace(view.sweep).max(SETTLED) {
        memory.shrunk = None;
        memory.first_seen.clear();
        return None;
    }
    Some(HeldBack::ListingShrunk)
}

/// A listing that shrank is not the new truth sooner than this, however short the grace period.
const SETTLED: SignedDuration = SignedDuration::from_mins(10);

fn take_in(begun: Timestamp, items: &[Item], memory: &mut Memory) {
    let old = std::mem::take(&mut memory.first_seen);
    memory.first_seen = items
        .iter()
        .map(|item| {
            let first = old.get(&item.id).copied().unwrap_or(begun);
            (item.id.clone(), first)
        })
        .collect();
    memory
        .taken
        .retain(|_, taken| begun.duration_since(taken.at) < SETTLED);
    let taken = &memory.taken;
    let counted = items.iter().filter(|item| !taken.contains_key(&item.id));
    memory.size = Some(counted.count());
}

/// The oldest orphan that may go now, and why none may where one would.
fn due(
    view: &View<'_>,
    claims: &Claims,
    begun: Timestamp,
    items: &[Item],
    orphans: &[(Timestamp, usize)],
    memory: &mut Memory,
) -> (Option<usize>, Option<HeldBack>) {
    if !wants(view) || orphans.is_empty() {
        return (None, None);
    }
    memory
        .deletions
        .retain(|at| view.now.duration_since(*at) < HOUR);
    let most = usize::try_from(view.sweep.max_deletions_per_hour).unwrap_or(0);
    let held = [
        (view.paused, HeldBack::Paused),
        (view.recovering, HeldBack::Recovery),
        (memory.deletions.len() >= most, HeldBack::HourlyLimit),
        (view.restored, HeldBack::Restored),
    ];
    if let Some((_, why)) = held.into_iter().find(|(so, _)| *so) {
        return (None, Some(why));
    }
    // A project names its instance; a tool does not.
    if claims.unread && view.provider != RAILWAY {
        return (None, Some(HeldBack::Unreadable));
    }
    let grace = grace(view.sweep);
    let ripe = |item: &Item| {
        let seen = memory.first_seen.get(&item.id).is_some_and(|first| {
            // Two readings at least, however short the grace period.
            *first < begun && begun.duration_since(*first) >= grace
        });
        let old = item
            .created
            .is_none_or(|made| view.now.duration_since(made) >= grace);
        seen && old && !item.may_hold_money && !claims.restored(item) && !claims.unclear(item)
    };
    let chosen = orphans
        .iter()
        .map(|(_, at)| *at)
        .find(|at| ripe(&items[*at]));
    (chosen, None)
}

/// Whether the account wants orphans to be taken back.
fn wants(view: &View<'_>) -> bool {
    view.sweep.mode == SweepMode::Delete
}

fn grace(sweep: &Sweep) -> SignedDuration {
    let grace = Span::or(Some(&sweep.grace_period), Duration::from_secs(3600));
    SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests;
