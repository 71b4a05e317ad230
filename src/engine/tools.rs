//! The agent's tools: each of their resources is made, found again, kept in order and taken back by what its row in the
//! slot table says, whatever it is. A tool more is a row more, and nothing here.
//!
//! What holds: an attempt of unknown outcome is looked up before anything is made again; a credential is in the
//! instance's Secret before the ledger says `Exists`; what holds an address, a number or money is never made a second time
//! by itself; one tool's trouble holds up the others only where the agent is of no use without it.
//!
//! In `wish` what is asked for, in `make` how it comes to be, in `keep` what becomes of what is on record, in `back` the way
//! back, in `tell` what the status says of it.

mod back;
mod keep;
mod make;
mod tell;
mod wish;

pub(super) use back::{Back, in_order_of_teardown, leave_here, monthly, one_back, retire};
pub use wish::{Refusal, wanted};

use super::ledger;
use super::plan::{Draft, Phase, act, follows, prepares, wait};
use super::report;
use super::step::Step;
use super::world::{Desired, ToolAccount, World};
use crate::api::condition::{kind, reason};
use crate::api::instance::{MOST_SLOTS, OperatingMode};
use crate::api::{LedgerEntry, Part, Slot, SlotState};
use crate::model::Fault;
use crate::model::slot::{self, SlotRow};
use crate::model::tool::{Kept, Resource, Wanted};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::ops::ControlFlow::{Break, Continue};

/// Whether the credentials are still in their Secrets is looked at this often.
const SECRETS_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// Room in a ledger that stays free for what is begun together.
const MOST_AT_ONCE: usize = 16;

/// What keeps a resource from being as it should.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Held {
    pub(in crate::engine) reason: &'static str,
    pub(in crate::engine) message: String,
    /// Whether a person has to do something.
    pub(in crate::engine) person: bool,
    /// Whether the agent could be deployed all the same: what it is given is complete.
    complete: bool,
    pub(in crate::engine) wake: Option<Timestamp>,
}

impl Held {
    fn waits(reason: &'static str, message: impl Into<String>, wake: Timestamp) -> Held {
        Held {
            reason,
            message: message.into(),
            person: false,
            complete: false,
            wake: Some(wake),
        }
    }

    fn person(reason: &'static str, message: impl Into<String>) -> Held {
        Held {
            person: true,
            wake: None,
            ..Held::waits(reason, message, Timestamp::UNIX_EPOCH)
        }
    }

    fn of(fault: &Fault, wake: Option<Timestamp>) -> Held {
        let (reason, person, message) = report::meaning(fault);
        Held {
            reason,
            message,
            person,
            complete: false,
            wake,
        }
    }

    fn but_complete(self) -> Held {
        Held {
            complete: true,
            ..self
        }
    }
}

/// A step, or how the resource is.
type Slotted = std::ops::ControlFlow<Step, Result<(), Held>>;

/// A resource of a tool, with all that is known about what it should be.
struct Subject<'a> {
    tool: &'a Wanted,
    slot: Slot,
    part: Part,
    row: &'static SlotRow,
}

impl Subject<'_> {
    /// Whether an entry is of this very provider and account: under the tool's name the agent may have had another thing.
    fn made(&self, entry: &LedgerEntry) -> bool {
        entry.provider == self.row.provider && entry.account == self.tool.account
    }

    /// An entry that says of it that nothing was tried.
    fn blank(&self, w: &World) -> LedgerEntry {
        let account = self.tool.account.clone();
        LedgerEntry::new(self.slot, self.row.provider, account, ledger::moment(w.now))
    }

    /// The tool's own slots that must be there before it.
    fn parents(&self) -> impl Iterator<Item = Slot> {
        self.row.needs.iter().filter_map(|need| match need {
            slot::Kind::Tool(part) if self.tool.parts.contains(part) => {
                Slot::tool(&self.tool.name, *part)
            }
            _ => None,
        })
    }
}

fn subjects<'a>(wanted: &'a [Wanted]) -> Vec<Subject<'a>> {
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

/// Puts what the agent shall have into a ledger that was lost.
pub(super) fn recollect(w: &World, d: &mut Draft) {
    if let Some(wanted) = &w.tools.wanted {
        make::recollect(w, d, &subjects(wanted));
    }
}

/// What the agent is of no use without and a person has to make possible first: until then not even a project is made.
pub(super) fn possible(w: &World, d: &mut Draft) -> Phase {
    let wanted = w.tools.wanted.as_deref().unwrap_or_default();
    let status = w.status();
    let missing = |one: &&Subject<'_>| {
        let known = ledger::entry(&status, one.slot).is_some();
        one.tool.required && !one.tool.account.is_empty() && !known
    };
    for subject in subjects(wanted).iter().filter(missing) {
        let closed = closed(w, &subject.tool.account, subject.row.provider);
        if let Some(why) = closed.or_else(|| goes(w, subject)).filter(|why| why.person) {
            let message = format!("{}: {}", subject.slot, why.message);
            d.stalled_on(kind::TOOLS_READY, why.reason, message);
            return wait(why.wake);
        }
    }
    Continue(())
}

/// Makes sure of every tool that the instance shall have.
pub(super) fn provide(w: &World, d: &mut Draft) -> Phase {
    let Some(wanted) = &w.tools.wanted else {
        return Continue(());
    };
    let subjects = subjects(wanted);
    let prepares = prepares(w);
    if prepares {
        make::intend(w, d, &subjects);
    }
    let mut held: Vec<(&Subject<'_>, Held)> = Vec::new();
    for subject in &subjects {
        let known = ledger::entry(&d.status, subject.slot).is_some();
        if !prepares && !known && subject.tool.adopt.is_none() {
            continue;
        }
        match one(w, d, subject) {
            Break(step) => return act_on(d, subject, step),
            Continue(Ok(())) => {}
            Continue(Err(why)) => held.push((subject, why)),
        }
    }
    not_tried(w, d);
    if !w.tools.kept.is_empty() {
        // Nobody tells that a Secret was deleted: to be told, one would have to be allowed to read every Secret.
        d.again(w.now + SECRETS_EVERY);
    }
    tell::tell(w, d, wanted, &held);
    if w.tools.regather || lacks(w, d, &subjects) {
        // What was just made reaches the agent as values, and those are gathered when a pass begins.
        d.working(reason::CREATING, "giving the agent what was made for it");
        return wait(Some(w.now));
    }
    conclude(w, d, &held)
}

/// Whether what exists by now gives the agent something that was not there yet when its values were gathered: what an
/// earlier attempt left was found, say.
fn lacks(w: &World, d: &Draft, subjects: &[Subject<'_>]) -> bool {
    let Desired::Composed(composed) = &w.desired else {
        return false;
    };
    let names = composed.names();
    subjects.iter().any(|subject| {
        let Some(entry) =
            ledger::entry(&d.status, subject.slot).filter(|entry| entry.state == SlotState::Exists)
        else {
            return false;
        };
        // Under the name there may still be what another row made: the agent is given that.
        let gives = entry.row().gives;
        let told = d
            .status
            .tools
            .iter()
            .find(|told| told.name == subject.tool.name);
        let address = told.and_then(|told| told.address.as_ref());
        let given = [
            gives.secret.filter(|_| kept(w, entry).is_some()),
            gives.address.filter(|_| address.is_some()),
            gives.id.filter(|_| entry.id.is_some()),
        ];
        given
            .into_iter()
            .flatten()
            .any(|name| !names.iter().any(|known| known == name))
    })
}

fn act_on(d: &mut Draft, subject: &Subject<'_>, step: Step) -> Phase {
    let message = format!("making sure of {}", subject.slot);
    d.working_on(kind::TOOLS_READY, reason::CREATING, message);
    act(step)
}

/// What the tools' state means for the rest of the life.
fn conclude(w: &World, d: &mut Draft, held: &[(&Subject<'_>, Held)]) -> Phase {
    for wake in held.iter().filter_map(|(_, why)| why.wake) {
        d.again(wake);
    }
    let stops = |subject: &Subject<'_>, why: &Held| {
        // A variable that the agent has may not be taken from it because its source is in trouble.
        let has = |name: &str| w.status().variables.iter().any(|known| known == name);
        !why.complete && (subject.tool.required || subject.row.gives.names().any(has))
    };
    for (subject, why) in held.iter().filter(|(subject, _)| subject.tool.required) {
        let message = format!("{}: {}", subject.slot, why.message);
        if why.person {
            d.stalled(why.reason, message);
        } else if prepares(w) || !why.complete {
            // What waits for the agent's turn is no work that is under way.
            d.working(why.reason, message);
        }
    }
    if let Some(refusal) = w.tools.refused.first() {
        d.stalled(reason::NOT_ALLOWED, refusal.message.clone());
    }
    // One that is suspended is given nothing, and its suspension waits for nobody.
    let runs = w.instance.spec.operating_mode == OperatingMode::Running;
    if runs && held.iter().any(|(subject, why)| stops(subject, why)) {
        return wait(None);
    }
    Continue(())
}

/// What a Secret keeps of the resource that an entry stands for, and of no earlier one.
fn kept<'a>(w: &'a World, entry: &LedgerEntry) -> Option<&'a Kept> {
    w.tools
        .kept
        .get(&entry.slot)
        .filter(|kept| kept.key == entry.key)
        .filter(|kept| entry.id.as_ref().is_none_or(|id| *id == kept.id))
}

/// The newest sighting of a resource that is on record.
pub fn seen(w: &World, slot: Slot) -> Option<&Resource> {
    let id = w.entry(slot)?.id.as_deref();
    match w.tools.looked.get(&slot) {
        Some((_, resource)) => resource.as_ref(),
        None => w
            .tools
            .seen
            .get(&slot)?
            .resources
            .iter()
            .find(|resource| Some(resource.id.as_str()) == id),
    }
}

/// What was intended and has not been tried when the pass ends certainly left nothing.
fn not_tried(w: &World, d: &mut Draft) {
    let tools: Vec<Slot> = d
        .untried
        .iter()
        .copied()
        .filter(|slot| slot.as_tool().is_some())
        .collect();
    for slot in tools {
        // The name and the number stay, for earlier attempts that may have left something.
        if !w.tools.fresh.contains_key(&slot) {
            ledger::planned(&mut d.status, slot);
            d.untried.remove(&slot);
        }
    }
}

/// Why nothing can be asked of a resource's account now.
fn obstacle(w: &World, subject: &Subject<'_>) -> Option<Held> {
    if let Some(full) = full(w, subject) {
        return Some(full);
    }
    if subject.tool.account.is_empty() {
        return fault_of(w, subject.slot);
    }
    closed(w, &subject.tool.account, subject.row.provider).or_else(|| fault_of(w, subject.slot))
}

/// Why nothing new can be made in a resource's account now.
fn no_place(w: &World, subject: &Subject<'_>) -> Option<Held> {
    obstacle(w, subject).or_else(|| goes(w, subject))
}

/// That a resource's account is being deleted.
fn goes(w: &World, subject: &Subject<'_>) -> Option<Held> {
    let place = (
        subject.tool.account.clone(),
        subject.row.provider.to_owned(),
    );
    let goes = w.tools.accounts.get(&place) == Some(&ToolAccount::Deleting);
    goes.then(|| {
        Held::person(
            reason::ACCOUNT_DELETING,
            format!(
                "{}; take the tool out of the template, or give it another name and the accountRef of an account that stays",
                report::account_goes(&subject.tool.account)
            ),
        )
    })
}

/// Why no further resource can be put on record: what a template no longer names stays there until it is taken back.
fn full(w: &World, subject: &Subject<'_>) -> Option<Held> {
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
fn closed(w: &World, account: &str, needed: &str) -> Option<Held> {
    let soon = w.recheck();
    let place = (account.to_owned(), needed.to_owned());
    match w.tools.accounts.get(&place) {
        Some(ToolAccount::Deleting | ToolAccount::Ready) => None,
        None | Some(ToolAccount::NotAvailable) => Some(Held {
            person: !w.deleting(),
            ..Held::waits(
                reason::ACCOUNT_NOT_AVAILABLE,
                report::not_available(account, &w.instance.namespace().unwrap_or_default()),
                soon,
            )
        }),
        Some(ToolAccount::Elsewhere { provider }) => Some(Held {
            person: !w.deleting(),
            ..Held::waits(
                reason::ACCOUNT_NOT_AVAILABLE,
                format!(
                    "{}; make the right account under this name, or give the tool another name and the right accountRef",
                    report::elsewhere(account, provider, needed)
                ),
                soon,
            )
        }),
        Some(ToolAccount::NotReady { message }) => Some(Held::waits(
            reason::ACCOUNT_NOT_READY,
            format!("ProviderAccount {account} is not ready: {message}"),
            soon,
        )),
        Some(ToolAccount::Unreachable) => Some(Held::waits(
            reason::ACCOUNT_UNREACHABLE,
            format!("the provider of ProviderAccount {account} cannot be reached"),
            soon,
        )),
    }
}

/// What a fault of this pass, or of an earlier one, says about a slot.
fn fault_of(w: &World, slot: Slot) -> Option<Held> {
    if let Some(fault) = w.tools.faults.get(&slot) {
        // When it is tried again is decided where faults are counted.
        return Some(Held::of(fault, None));
    }
    let patience = w.tools.patience.get(&slot)?;
    (patience.until > w.now).then(|| Held::of(&patience.fault, Some(patience.until)))
}

/// What the agent has stays until its turn.
fn next_revision(w: &World) -> Held {
    Held::waits(
        reason::PENDING,
        "what the template says of it now comes with the template's next revision",
        w.recheck(),
    )
    .but_complete()
}

/// One resource: the step that it needs next, or how it is.
fn one(w: &World, d: &mut Draft, subject: &Subject<'_>) -> Slotted {
    let other = |slot: Slot| {
        ledger::entry(&d.status, slot)
            .is_some_and(|entry| entry.state != SlotState::Deleting && !subject.made(entry))
    };
    if !follows(w) && subject.parents().any(other) {
        return Continue(Err(next_revision(w)));
    }
    let exists = |slot: Slot| {
        ledger::entry(&d.status, slot)
            .is_some_and(|entry| entry.state == SlotState::Exists && subject.made(entry))
    };
    if !subject.parents().all(exists) {
        return Continue(Err(Held::waits(
            reason::PENDING,
            "waits for what it belongs to",
            w.recheck(),
        )));
    }
    let entry = ledger::entry(&d.status, subject.slot).cloned();
    match entry {
        // Under this name the agent had something at another provider, or in another account: that goes first.
        Some(entry) if !subject.made(&entry) => {
            if !follows(w) && entry.state != SlotState::Deleting {
                // One that was passed over stays so until its turn would bring it further.
                if let Some(held) = back::hindrance(w, &entry).filter(|_| prepares(w)) {
                    return Continue(Err(held));
                }
                return Continue(Err(next_revision(w)));
            }
            keep::remake(w, d, subject, &entry)
        }
        Some(entry) if entry.state == SlotState::Exists => keep::keep(w, d, subject, &entry),
        Some(entry) if entry.state == SlotState::Deleting => keep::remake(w, d, subject, &entry),
        Some(entry) if entry.state == SlotState::Creating => {
            if let Some(held) = obstacle(w, subject) {
                return Continue(Err(held));
            }
            if w.tools.fresh.contains_key(&subject.slot) {
                return Break(Step::KeepSecret { slot: subject.slot });
            }
            if d.untried.contains(&subject.slot) {
                Break(make::make(w, d, subject))
            } else {
                make::recover(w, d, subject, &entry)
            }
        }
        _ => make::fresh_start(w, d, subject),
    }
}
