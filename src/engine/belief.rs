//! What a listing of an account is worth, and whom it concerns: here one of tools (its memory in [`stocks`]), in [`homes`] one
//! of projects.
//!
//! Holds: when a listing must show what a ledger knows is answered once, for both ([`must_show`]); a listing takes nothing away from a ledger unless it is believable as a whole, or each thing that it lacks
//! was confirmed gone by itself; a repeated wrong answer is no confirmation. An instance is woken by what changed of its
//! own, and by what it has spent at each step that its status tells. Deliberately absent: what becomes of something that is gone
//! (that is the plan's), and whose a thing is that stands in no ledger (`model::marker`).

pub mod homes;
pub mod stocks;

use super::world::Limits;
use crate::api::condition::reason;
use crate::api::instance::ToolUsage;
use crate::api::{AgentInstance, LedgerEntry, NamespacedName, Part, SlotState};
use crate::model::Marker;
use crate::model::tool::{Named, Resource, Stage, Stock, Usage};
use crate::model::values::Seal;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashMap, HashSet};

/// So long an instance that was woken for a step of spending is not woken for it again.
pub const USAGE_AGE: SignedDuration = SignedDuration::from_mins(5);

/// Whether a listing begun at `begun` must show what this entry records: it exists, and for so long that no read can have
/// missed it.
pub fn must_show(entry: &LedgerEntry, begun: Timestamp, limits: Limits) -> bool {
    entry.state == SlotState::Exists
        && entry.id.is_some()
        && limits.landed_by(entry.started_at.0) <= begun
}

/// A resource of an account that a ledger knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The instance whose ledger it is.
    pub instance: NamespacedName,
    /// The resource; without an id where its creation is not known to have succeeded.
    pub named: Named,
    /// Whether it exists for long enough that a complete listing must show it.
    pub expected: bool,
    /// What the instance's status says that it has spent.
    pub told: Option<ToolUsage>,
    /// Whether its status says that it is gone.
    pub told_gone: bool,
}

/// What an instance's ledger knows in an account. A listing begun at `begun` must show what had landed by then.
pub fn recorded(
    instance: &AgentInstance,
    account: &str,
    begun: Timestamp,
    limits: Limits,
) -> Vec<Recorded> {
    let Some(status) = &instance.status else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in status
        .external
        .iter()
        .filter(|entry| entry.account == account)
    {
        let Some(slot) = entry.slot.as_tool() else {
            continue;
        };
        let parts: BTreeMap<_, _> = status
            .external
            .iter()
            .filter_map(|other| {
                let part = other.slot.as_tool()?;
                let beside = part.tool == slot.tool && part.part != slot.part;
                Some((part.part, other.id.clone()?)).filter(|_| beside)
            })
            .collect();
        let told = status
            .tools
            .iter()
            .find(|tool| tool.name == slot.tool.as_str());
        found.push(Recorded {
            told: told.and_then(|tool| tool.usage.clone()),
            told_gone: told.is_some_and(|tool| tool.reason == reason::DELETED_EXTERNALLY),
            instance: NamespacedName::of(instance),
            named: Named {
                part: slot.part,
                id: entry.id.clone().unwrap_or_default(),
                key: entry.key.clone(),
                seen: false,
                parts,
            },
            // A key hangs at the thing that it opens: no listing of an account shows it.
            expected: slot.part != Part::Key && must_show(entry, begun, limits),
        });
    }
    found
}

/// What the listing must show and does not.
pub fn missing<'a>(stock: &Stock, recorded: &'a [Recorded]) -> Vec<&'a Named> {
    let listed: HashSet<&str> = stock.resources.iter().map(|one| one.id.as_str()).collect();
    recorded
        .iter()
        .filter(|one| one.expected && !listed.contains(one.named.id.as_str()))
        .map(|one| &one.named)
        .collect()
}

/// What a listing shows alive under a name that was given to this slot, in whichever of its lives.
pub fn bearing(stock: &Stock, marker: &Marker, seal: &Seal) -> Vec<Resource> {
    let part = marker.slot.as_tool().map(|own| own.part);
    let lives = |one: &&Resource| !matches!(one.stage, Stage::Failed { .. } | Stage::Resting);
    let found = stock.resources.iter().filter(lives);
    found
        .filter(|one| Some(one.part) == part && marker.named(seal, &one.name))
        .cloned()
        .collect()
}

/// A set of ids, kept from one reading to the next: what is in it, and was not before, is news once. So an absence is told
/// also where no listing ever showed the thing: what is deleted right after it was made is missing from the first one that
/// must show it.
#[derive(Clone, Debug, Default)]
pub struct Newly(HashSet<String>);

impl Newly {
    /// Whether an id was in the reading before.
    pub fn has(&self, id: &str) -> bool {
        self.0.contains(id)
    }

    /// Takes the ids of this reading. Answers those that the one before did not have.
    pub fn news(&mut self, ids: impl IntoIterator<Item = String>) -> HashSet<String> {
        let now: HashSet<String> = ids.into_iter().collect();
        let news = now.difference(&self.0).cloned().collect();
        self.0 = now;
        news
    }
}

/// Whether the listing shows anything that a ledger knows, by its id or by the name that proves whose it is.
pub fn shows(stock: &Stock, recorded: &[Recorded]) -> bool {
    let index = Index::new(&stock.resources);
    recorded
        .iter()
        .any(|one| !index.portrait(&one.named).is_empty())
}

/// How large a listing is beside what was known before.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// Resources in the listing.
    listed: usize,
    /// Resources in the last believed one, where there is one.
    before: Option<usize>,
    /// Resources that ledgers expect in it.
    expected: usize,
    /// Those of them that it lacks and that nobody has confirmed gone.
    missing: usize,
}

/// Whether the listing is believed, and if not, why: it lacks something, and is empty or has shrunk to less than half.
fn judge(extent: Extent) -> Result<(), String> {
    let Extent {
        listed,
        before,
        expected,
        missing,
    } = extent;
    // A process that has just started remembers no listing; the ledgers do.
    let known = before.unwrap_or(expected);
    if missing == 0 || (listed > 0 && listed.saturating_mul(2) >= known) {
        return Ok(());
    }
    Err(format!(
        "the provider lists {listed} resources where there were {known}, without {missing} that exist as far as is known: the listing is not believed"
    ))
}

/// A listing while it is judged: what it lacks may be confirmed gone, piece by piece.
pub struct ListingTrial<'a> {
    listed: usize,
    before: Option<usize>,
    expected: usize,
    missing: Vec<&'a Named>,
}

impl<'a> ListingTrial<'a> {
    /// Of a listing, beside what ledgers know and how much the last believed one showed.
    pub fn new(
        stock: &Stock,
        recorded: &'a [Recorded],
        before: Option<&Stock>,
    ) -> ListingTrial<'a> {
        ListingTrial {
            listed: stock.resources.len(),
            before: before.map(|stock| stock.resources.len()),
            expected: recorded.iter().filter(|one| one.expected).count(),
            missing: missing(stock, recorded),
        }
    }

    /// Of what was confirmed gone, that which the listing lacks still: what it shows again is not remembered as gone.
    pub fn still_gone(&self, mut gone: HashSet<String>) -> HashSet<String> {
        gone.retain(|id| self.missing.iter().any(|one| &one.id == id));
        gone
    }

    /// What is to be asked for by itself, `most` at once.
    pub fn asks(&self, gone: &HashSet<String>, most: usize) -> Vec<&'a Named> {
        let open = self.missing.iter().filter(|one| !gone.contains(&one.id));
        open.take(most).copied().collect()
    }

    /// Whether the listing is believed, given what was confirmed gone.
    ///
    /// # Errors
    /// Why it is not.
    pub fn judge(&self, gone: &HashSet<String>) -> Result<(), String> {
        judge(Extent {
            listed: self.listed,
            before: self.before,
            expected: self.expected,
            missing: self.asks(gone, usize::MAX).len(),
        })
    }
}

/// Resources by what they can be found by.
struct Index<'a> {
    by_id: HashMap<&'a str, &'a Resource>,
    by_name: HashMap<&'a str, Vec<&'a Resource>>,
}

impl<'a> Index<'a> {
    fn new(resources: &'a [Resource]) -> Index<'a> {
        let mut by_name: HashMap<&str, Vec<&Resource>> = HashMap::new();
        for one in resources.iter().filter(|one| !one.name.is_empty()) {
            by_name.entry(one.name.as_str()).or_default().push(one);
        }
        Index {
            by_id: resources.iter().map(|one| (one.id.as_str(), one)).collect(),
            by_name,
        }
    }

    /// What an instance acts upon, of everything that bears the id or the name: which there are, how far, set to what.
    fn portrait(&self, named: &Named) -> Vec<(&'a str, &'a Stage, Option<&'a str>)> {
        let same_name = self.by_name.get(named.key.as_str()).into_iter().flatten();
        let mut all: Vec<_> = self
            .by_id
            .get(named.id.as_str())
            .into_iter()
            .chain(same_name)
            .map(|one| (one.id.as_str(), &one.stage, one.settings.as_deref()))
            .collect();
        all.sort_unstable_by_key(|(id, ..)| *id);
        all.dedup();
        all
    }
}

/// Of what ledgers know, that which a newly believed listing shows otherwise than the one before; all of it where there
/// was none.
pub fn changed<'a>(
    before: Option<&Stock>,
    now: &Stock,
    recorded: &'a [Recorded],
) -> Vec<&'a Recorded> {
    let Some(before) = before else {
        return recorded.iter().collect();
    };
    let (before, now) = (Index::new(&before.resources), Index::new(&now.resources));
    recorded
        .iter()
        .filter(|one| before.portrait(&one.named) != now.portrait(&one.named))
        .collect()
}

/// Of what ledgers know, that which has come to a step of spending that its instance's status does not tell.
fn spent<'a>(stock: &Stock, recorded: &'a [Recorded]) -> Vec<(&'a Recorded, Usage)> {
    let index = Index::new(&stock.resources);
    let news = |one: &'a Recorded| {
        let usage = index.by_id.get(one.named.id.as_str())?.usage?;
        let told = one.told.as_ref().map(Usage::told);
        let news = told.is_none_or(|told| usage.is_news(told));
        news.then_some((one, usage))
    };
    recorded.iter().filter_map(news).collect()
}

#[cfg(test)]
mod tests;
