//! A resource of a tool as the handlers meet it: what it should be, and what keeps it from that.
//!
//! Holds: nothing is asked of an account that cannot be used, nor while a fault asks for patience.

use crate::api::condition::reason;
use crate::api::instance::MOST_SLOTS;
use crate::api::money::Money;
use crate::api::{AgentInstanceStatus, LedgerEntry, Part, Slot};
use crate::engine::ledger;
use crate::engine::meaning;
use crate::engine::places::PlaceAsked;
use crate::engine::quota;
use crate::engine::rights;
use crate::engine::step::Step;
use crate::engine::world::{ToolAccountView, World};
use crate::model::left::counts;
use crate::model::slot::{self, SlotRow};
use crate::model::tool::{Kept, Wanted};
use crate::model::{Fault, PausedBy};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

/// What keeps a resource from being as it should.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Held {
    pub(in crate::engine) reason: &'static str,
    pub(in crate::engine) message: String,
    /// Whether a person has to do something.
    pub(in crate::engine) person: bool,
    /// Whether the agent could be deployed all the same: what it is given is complete.
    pub(super) complete: bool,
    pub(in crate::engine) wake: Option<Timestamp>,
}

impl Held {
    pub(super) fn waits(reason: &'static str, message: impl Into<String>, wake: Timestamp) -> Held {
        Held {
            reason,
            message: message.into(),
            person: false,
            complete: false,
            wake: Some(wake),
        }
    }

    pub(super) fn person(reason: &'static str, message: impl Into<String>) -> Held {
        Held {
            person: true,
            wake: None,
            ..Held::waits(reason, message, Timestamp::UNIX_EPOCH)
        }
    }

    /// Nobody comes again by himself: the end of a pause wakes those whom it concerns.
    pub(super) fn paused(by: &PausedBy) -> Held {
        Held {
            wake: None,
            ..Held::waits(
                by.reason(),
                format!("paused by {by}; {}", by.ends()),
                Timestamp::UNIX_EPOCH,
            )
        }
    }

    pub(super) fn of(fault: &Fault, wake: Option<Timestamp>) -> Held {
        let (reason, person, message) = meaning::meaning(fault);
        Held {
            reason,
            message,
            person,
            complete: false,
            wake,
        }
    }

    pub(super) fn but_complete(self) -> Held {
        Held {
            complete: true,
            ..self
        }
    }
}

/// What a handler makes of a resource.
pub(super) enum Next {
    /// This effect is next.
    Step(Step),
    /// The ledger has changed: the resource is looked at again.
    Again,
    /// Something keeps it from being as it should.
    Held(Held),
    /// It is as it should be.
    Fine,
}

/// A resource of a tool, with all that is known about what it should be.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) tool: &'a Wanted,
    pub(super) slot: Slot,
    pub(super) part: Part,
    pub(super) row: &'static SlotRow,
}

impl Subject<'_> {
    /// Whether an entry is of this very provider and account: under the tool's name the agent may have had another thing.
    pub(super) fn made(&self, entry: &LedgerEntry) -> bool {
        entry.provider == self.row.provider && entry.account == self.tool.account
    }

    /// An entry that says of it that nothing was tried.
    pub(super) fn blank(&self, w: &World) -> LedgerEntry {
        let account = self.tool.account.clone();
        LedgerEntry::new(self.slot, self.row.provider, account, ledger::moment(w.now))
    }

    /// The tool's own slots that must be there before it.
    pub(super) fn parents(&self) -> impl Iterator<Item = Slot> {
        self.row.needs.iter().filter_map(|need| match need {
            slot::SlotKind::Tool(part) if self.tool.parts.contains(part) => {
                Slot::tool(&self.tool.name, *part)
            }
            _ => None,
        })
    }
}

pub(super) fn subjects<'a>(wanted: &'a [Wanted]) -> Vec<Subject<'a>> {
    let mut all: Vec<Subject<'a>> = wanted
        .iter()
        .flat_map(|tool| {
            slot::parts(tool.kind.provider())
                .filter(|(part, _)| tool.parts.contains(part))
                .filter_map(move |(part, row)| {
                    let slot = Slot::tool(&tool.name, part)?;
                    Some(Subject {
                        tool,
                        slot,
                        part,
                        row,
                    })
                })
        })
        .collect();
    all.sort_by_key(|subject| subject.row.rank);
    all
}

/// What a Secret keeps of the resource that an entry stands for, and of no earlier one.
pub(super) fn kept<'a>(w: &'a World, entry: &LedgerEntry) -> Option<&'a Kept> {
    w.tools
        .kept
        .get(&entry.slot)
        .filter(|kept| kept.key == entry.key)
        .filter(|kept| entry.id.as_ref().is_none_or(|id| *id == kept.id))
}

/// Why nothing can be asked of a resource's account now.
pub(super) fn obstacle(w: &World, subject: &Subject<'_>) -> Option<Held> {
    if let Some(full) = full(w, subject) {
        return Some(full);
    }
    if subject.tool.account.is_empty() {
        return fault_of(w, subject.slot);
    }
    closed(w, &subject.tool.account, subject.row.provider).or_else(|| fault_of(w, subject.slot))
}

/// Why nothing can be done now about what is on record.
pub(super) fn out_of_reach(w: &World, entry: &LedgerEntry) -> Option<Held> {
    closed(w, &entry.account, &entry.provider).or_else(|| fault_of(w, entry.slot))
}

/// Why nothing new can be made in a resource's account now.
pub(super) fn no_place(w: &World, subject: &Subject<'_>) -> Option<Held> {
    obstacle(w, subject)
        .or_else(|| goes(w, subject))
        .or_else(|| untold(w, &w.status(), subject))
        .or_else(|| not_allowed(w, subject))
        // One that lost its credential is made again as it was.
        .or_else(|| above(w, subject, w.entry(subject.slot)))
        .or_else(|| crowded(w, subject))
}

/// That there is no room for it in its account.
pub(super) fn crowded(w: &World, subject: &Subject<'_>) -> Option<Held> {
    no_room(w, subject, asks(w, subject))
}

/// What a resource that is not there yet asks for in its account.
fn asks(w: &World, subject: &Subject<'_>) -> PlaceAsked {
    PlaceAsked {
        thing: true,
        usd: quota::monthly(w, subject.tool),
        metered: false,
    }
}

fn no_room(w: &World, subject: &Subject<'_>, asked: PlaceAsked) -> Option<Held> {
    let Some(others) = w.tools.others.get(&subject.slot).copied() else {
        let said = w.tools.asked.contains(&subject.slot);
        let until = w.now + SignedDuration::from_secs(1);
        let message = "looking at what is in the account already";
        return said.then(|| Held::waits(reason::PENDING, message, until));
    };
    let namespace = w.instance.namespace().unwrap_or_default();
    let account = &subject.tool.account;
    let message = w
        .tools
        .rooms
        .get(account)?
        .full(others, asked, account, &namespace)?;
    let until = w.now + SignedDuration::from_mins(1);
    Some(Held {
        wake: Some(until),
        ..Held::person(reason::QUOTA_EXCEEDED, message)
    })
}

/// What has to be asked for before something is begun: a place in its account.
pub(super) fn place(w: &World, subject: &Subject<'_>) -> Option<Step> {
    let asks = counts(subject.slot)
        && !subject.tool.account.is_empty()
        && !w.tools.asked.contains(&subject.slot);
    asks.then(|| taking(subject, self::asks(w, subject)))
}

fn taking(subject: &Subject<'_>, asked: PlaceAsked) -> Step {
    Step::TakePlace {
        slot: subject.slot,
        account: subject.tool.account.clone(),
        asked,
    }
}

/// What comes before something that is there is let cost more a month: the account's room for it.
pub(super) fn costs_more(
    w: &World,
    subject: &Subject<'_>,
    usd: Money,
) -> Option<Result<Step, Held>> {
    let asked = PlaceAsked {
        thing: false,
        usd,
        metered: false,
    };
    match w.tools.asked.contains(&subject.slot) {
        false => Some(Ok(taking(subject, asked))),
        true => no_room(w, subject, asked).map(Err),
    }
}

/// That the account's owner does not let it be had as it is asked for.
pub(super) fn not_allowed(w: &World, subject: &Subject<'_>) -> Option<Held> {
    let adopted = rights::not_adopted(w, subject.tool);
    adopted
        .map(|why| Held::person(reason::ADOPTION_NOT_ALLOWED, why))
        .or_else(|| not_left_to_rest(w, subject))
}

/// That the account's owner does not let it rest when it is taken back, as the template asks.
pub(super) fn not_left_to_rest(w: &World, subject: &Subject<'_>) -> Option<Held> {
    let why = rights::not_left_to_rest(w, subject.tool, subject.row.undo)?;
    Some(Held::person(reason::RETENTION_NOT_ALLOWED, why))
}

/// That it was for a claim that is gone: nobody would tell the agent of it. A tool of which something is on record is the agent's, and
/// stays whole.
pub(super) fn untold(
    w: &World,
    status: &AgentInstanceStatus,
    subject: &Subject<'_>,
) -> Option<Held> {
    let own = subject.slot.as_tool().map(|own| own.tool);
    let mut entries = status.external.iter();
    let begun = entries.any(|entry| entry.slot.as_tool().map(|known| known.tool) == own);
    let gone = w.tools.claim_gone && subject.tool.for_claim && !begun;
    gone.then(|| {
        let message = "its claim is gone, and nobody would tell the agent of it: it is not made";
        Held::waits(reason::CLAIM_GONE, message, w.recheck())
    })
}

/// That more money is asked for than its account lets one agent have, or none at all. `entry`: what is on record of it.
pub(super) fn above(w: &World, subject: &Subject<'_>, entry: Option<&LedgerEntry>) -> Option<Held> {
    // What is taken over is taken as it is.
    let new = subject.part == Part::Main && (entry.is_some() || subject.tool.adopt.is_none());
    if !new {
        return None;
    }
    let nothing = quota::nothing(subject.tool, entry);
    let nothing = nothing.map(|why| Held::person(reason::VALUE_NOT_USABLE, why));
    let more = || quota::money(w, subject.tool, entry);
    nothing.or_else(|| more().map(|why| Held::person(reason::QUOTA_EXCEEDED, why)))
}

/// That a resource's account is being deleted.
pub(super) fn goes(w: &World, subject: &Subject<'_>) -> Option<Held> {
    let place = (
        subject.tool.account.clone(),
        subject.row.provider.to_owned(),
    );
    let goes = w.tools.accounts.get(&place) == Some(&ToolAccountView::Deleting);
    goes.then(|| {
        Held::person(
            reason::ACCOUNT_DELETING,
            format!(
                "{}; take the tool out of the template, or give it another name and the accountRef of an account that stays",
                meaning::account_goes(&subject.tool.account)
            ),
        )
    })
}

/// Why no further resource can be put on record: what a template no longer names stays there until it is taken back.
pub(super) fn full(w: &World, subject: &Subject<'_>) -> Option<Held> {
    let status = w.status();
    let known = ledger::entry(&status, subject.slot).is_some();
    (!known && status.external.len() + MOST_AT_ONCE > MOST_SLOTS).then(|| {
        Held::waits(
            reason::LIMIT_REACHED,
            format!(
                "status.external holds {} resources, and no further one is made before tools that the template no longer names are taken back",
                status.external.len()
            ),
            w.recheck(),
        )
    })
}

/// Why nothing can be asked of an account now.
pub(super) fn closed(w: &World, account: &str, needed: &str) -> Option<Held> {
    let soon = w.recheck();
    let place = (account.to_owned(), needed.to_owned());
    match w.tools.accounts.get(&place) {
        Some(ToolAccountView::Deleting | ToolAccountView::Ready) => None,
        None | Some(ToolAccountView::NotAvailable) => Some(Held {
            person: !w.deleting(),
            ..Held::waits(
                reason::ACCOUNT_NOT_AVAILABLE,
                meaning::not_available(account, &w.instance.namespace().unwrap_or_default()),
                soon,
            )
        }),
        Some(ToolAccountView::Elsewhere { provider }) => Some(Held {
            person: !w.deleting(),
            ..Held::waits(
                reason::ACCOUNT_NOT_AVAILABLE,
                format!(
                    "{}; make the right account under this name, or give the tool another name and the right accountRef",
                    meaning::elsewhere(account, provider, needed)
                ),
                soon,
            )
        }),
        Some(ToolAccountView::NotReady { message }) => Some(Held::waits(
            reason::ACCOUNT_NOT_READY,
            format!("ProviderAccount {account} is not ready: {message}"),
            soon,
        )),
        Some(ToolAccountView::Unreachable) => Some(Held::waits(
            reason::ACCOUNT_UNREACHABLE,
            format!("the provider of ProviderAccount {account} cannot be reached"),
            soon,
        )),
    }
}

/// What a fault of this pass, or of an earlier one, says about a slot.
pub(super) fn fault_of(w: &World, slot: Slot) -> Option<Held> {
    if let Some(fault) = w.tools.faults.get(&slot) {
        // When it is tried again is decided where faults are counted.
        return Some(Held::of(fault, None));
    }
    let patience = w.tools.patience.get(&slot)?;
    (patience.until > w.now).then(|| Held::of(&patience.fault, Some(patience.until)))
}

/// Room in a ledger that stays free for what is begun together.
pub(super) const MOST_AT_ONCE: usize = 16;
