//! The way back of one tool's resources: deleted or put to rest, seen to be gone, and forgotten; and what may stay.
//!
//! What holds: what attempts of unknown outcome may have left is looked for until it can no longer land; what may hold money
//! goes for good only where the spec or a person says so, and what stays is told once.

use super::naming::{find, named, siblings};
use super::subject::{Held, fault_of, kept, out_of_reach, subjects};
use crate::api::condition::reason;
use crate::api::money::Money;
use crate::api::template::ReclaimPolicy;
use crate::api::{AgentInstanceStatus, LedgerEntry, Origin, Part, Slot, SlotState, ToolSlot};
use crate::engine::draft::{Draft, Phase, act};
use crate::engine::leave;
use crate::engine::step::Step;
use crate::engine::world::World;
use crate::engine::{adopt, ledger, retry};
use crate::model::Announcement;
use crate::model::slot::{self, FoundBy, Undo};
use crate::model::tool::{Resource, Stage};
use jiff::SignedDuration;
use std::ops::ControlFlow::{Break, Continue};

/// Takes back the tools that the instance no longer wants.
pub(in crate::engine) fn retire(w: &World, d: &mut Draft) -> Phase {
    let Some(wanted) = &w.tools.wanted else {
        return Continue(());
    };
    let kept: Vec<Slot> = subjects(wanted)
        .iter()
        .map(|subject| subject.slot)
        .collect();
    // One tool's trouble does not keep another one, which may cost money every month.
    let mut stuck: Vec<ToolSlot> = Vec::new();
    for entry in in_order_of_teardown(&d.status) {
        let Some(own) = entry.slot.as_tool() else {
            continue;
        };
        let waits = stuck.iter().any(|other| other.tool == own.tool);
        if kept.contains(&entry.slot) || waits {
            continue;
        }
        d.stands(w);
        match one_back(w, d, &entry) {
            Continue(()) => {}
            Break(Back::Step(step)) => {
                if let Some(by) = step.paused(w, &d.status) {
                    d.hold(by);
                    stuck.push(*own);
                    continue;
                }
                let message = format!("taking back {}, which is no longer wanted", entry.slot);
                d.working(reason::DELETING, message);
                return act(step);
            }
            Break(Back::Wait(held)) => {
                d.working(held.reason, format!("{}: {}", entry.slot, held.message));
                if let Some(wake) = held.wake {
                    d.again(wake);
                }
                stuck.push(*own);
            }
        }
    }
    // The agent's own life goes on.
    Continue(())
}

/// Takes one of the ledger's resources back, or lets it stay where that was asked for.
pub(in crate::engine) fn one_back(
    w: &World,
    d: &mut Draft,
    entry: &LedgerEntry,
) -> std::ops::ControlFlow<Back> {
    if entry.is_blank() {
        forget(d, entry.slot);
        return Continue(());
    }
    let here = entry.row().found_by == FoundBy::Kept;
    let given_up = leave::given_up(w, entry);
    if given_up && !here {
        leave::abandon(w, d, entry);
        return Continue(());
    }
    if entry.origin == Origin::Adopted && adopt::shared(&w.instance) {
        leave::leave_to_others(w, d, entry);
        return Continue(());
    }
    let for_good = goes_for_good(entry) || here && given_up;
    if here && !for_good {
        leave_here(w, d, entry);
        return Continue(());
    }
    take_back(w, d, entry, for_good)
}

/// Why taking it back could not even begin now.
pub(super) fn hindrance(w: &World, entry: &LedgerEntry) -> Option<Held> {
    let here = entry.row().found_by == FoundBy::Kept;
    let others = entry.origin == Origin::Adopted && adopt::shared(&w.instance);
    let free = entry.is_blank() || here || others || leave::given_up(w, entry);
    if free {
        return None;
    }
    out_of_reach(w, entry)
}

/// The ledger's tools in the order in which they are taken back.
pub(in crate::engine) fn in_order_of_teardown(status: &AgentInstanceStatus) -> Vec<LedgerEntry> {
    let mut tools: Vec<LedgerEntry> = status
        .external
        .iter()
        .filter(|entry| entry.slot.as_tool().is_some())
        .cloned()
        .collect();
    tools.sort_by_key(|entry| std::cmp::Reverse(entry.row().rank));
    tools
}

/// Whether it goes for good also where it may hold money: the spec said so, and the ledger remembers.
fn goes_for_good(entry: &LedgerEntry) -> bool {
    entry.row().undo != Undo::Rest || entry.reclaim == Some(ReclaimPolicy::Delete)
}

/// What a resource costs a month, where that is known.
pub(in crate::engine) fn monthly(w: &World, entry: &LedgerEntry) -> Option<Money> {
    let usd = w.resource(entry.slot)?.monthly_usd;
    (usd > Money::ZERO).then_some(usd)
}

/// A wallet made here is its Secret, and that outlives the instance: told once, and then nobody's any more.
pub(in crate::engine) fn leave_here(w: &World, d: &mut Draft, entry: &LedgerEntry) {
    d.announcements.push(left_here(w, entry));
    forget(d, entry.slot);
}

fn left_here(w: &World, entry: &LedgerEntry) -> Announcement {
    let wallet = entry.id.as_deref().unwrap_or("of unknown address");
    let secret = w.tools.kept.get(&entry.slot);
    let note = match secret.and_then(|kept| kept.secret.as_ref()) {
        Some(secret) => format!(
            "the Secret {secret} with the private key of wallet {wallet} stays, because the wallet may hold money; delete the Secret when it does not"
        ),
        None => format!(
            "the Secret with the private key of wallet {wallet} is not there any more; what the wallet holds can be reached with a backup only"
        ),
    };
    Announcement {
        warning: true,
        reason: reason::RETAINED,
        action: "KeepWallet",
        note,
    }
}

/// How taking back goes on.
pub(in crate::engine) enum Back {
    /// With an effect.
    Step(Step),
    /// With waiting.
    Wait(Held),
}

/// Takes one resource back: deletes, then observes that it is gone, then forgets it.
fn take_back(
    w: &World,
    d: &mut Draft,
    entry: &LedgerEntry,
    for_good: bool,
) -> std::ops::ControlFlow<Back> {
    let slot = entry.slot;
    let row = entry.row();
    if row.found_by == FoundBy::Kept {
        if w.tools.kept.contains_key(&slot) {
            return Break(match fault_of(w, slot) {
                Some(held) => Back::Wait(held),
                None => Back::Step(Step::DropSecret { slot }),
            });
        }
        d.announcements.push(Announcement {
            warning: true,
            reason: reason::ABANDONED,
            action: "DropWallet",
            note: format!(
                "the Secret with the private key of wallet {} is deleted, as reclaimPolicy or the abandon annotation says: what the wallet holds can be reached with a backup only",
                entry.id.as_deref().unwrap_or("of unknown address")
            ),
        });
        forget(d, slot);
        return Continue(());
    }
    if let Some(held) = out_of_reach(w, entry) {
        return Break(Back::Wait(held));
    }
    match (entry.state, entry.id.clone()) {
        (SlotState::Exists, Some(id)) => {
            let named = named(&d.status, entry, &id);
            if let Some(entry) = ledger::entry_mut(&mut d.status, slot) {
                entry.state = SlotState::Deleting;
                entry.started_at = ledger::moment(w.now);
            }
            Break(Back::Step(Step::DeleteTool {
                slot,
                account: entry.account.clone(),
                named,
                for_good,
                surplus: false,
            }))
        }
        (SlotState::Deleting, Some(id)) => watch_it_go(w, d, entry, &id, for_good),
        _ => find_leftovers(w, d, entry),
    }
}

fn forget(d: &mut Draft, slot: Slot) {
    d.status.external.retain(|entry| entry.slot != slot);
}

/// It is gone: its credential goes as well, where the Secret does not go with the instance, and then its entry.
fn finish(w: &World, d: &mut Draft, entry: &LedgerEntry) -> std::ops::ControlFlow<Back> {
    if !w.deleting() && kept(w, entry).is_some() {
        return Break(Back::Step(Step::DropSecret { slot: entry.slot }));
    }
    if !goes_for_good(entry) {
        d.announcements.push(Announcement {
            warning: true,
            reason: reason::RETAINED,
            action: "SuspendWallet",
            note: format!(
                "{} {} is suspended and its keys are revoked; it stays in account {}, because it may hold money",
                entry.slot,
                entry.id.as_deref().unwrap_or("of unknown id"),
                entry.account
            ),
        });
    }
    forget(d, entry.slot);
    Continue(())
}

fn watch_it_go(
    w: &World,
    d: &mut Draft,
    entry: &LedgerEntry,
    id: &str,
    for_good: bool,
) -> std::ops::ControlFlow<Back> {
    let slot = entry.slot;
    let named = named(&d.status, entry, id);
    let gone = match w.tools.looked.get(&slot) {
        // What was asked for in this pass is looked at first; an older request may have been lost, and is repeated:
        // deleting twice does no harm.
        None if w.tools.stopped.contains(&slot) => {
            return Break(Back::Step(Step::LookTool {
                slot,
                account: entry.account.clone(),
                named,
            }));
        }
        None => {
            return Break(Back::Step(Step::DeleteTool {
                slot,
                account: entry.account.clone(),
                named,
                for_good,
                surplus: false,
            }));
        }
        Some((_, Some(resource))) => match resource.stage {
            Stage::Resting => !for_good,
            Stage::Failed { .. } => true,
            _ => false,
        },
        // After a plain "done" absence is what was to be expected; otherwise the provider may just not show it yet.
        Some((begun, None)) => {
            w.tools.taken.contains(&slot) || *begun >= entry.started_at.0 + w.limits.settle
        }
    };
    if !gone {
        let next = retry::next_look(entry.started_at.0, w.now);
        return Break(Back::Wait(Held::waits(
            reason::DELETING,
            "its deletion was asked for, and it is still there",
            next.max(w.now + SignedDuration::from_secs(1)),
        )));
    }
    if entry.doubtful && entry.origin == Origin::Made {
        // An earlier attempt's outcome was once unknown: nothing of it may be left either.
        return find_leftovers(w, d, entry);
    }
    finish(w, d, entry)
}

/// Looks for what attempts of unknown outcome may have left, until they can no longer land.
fn find_leftovers(w: &World, d: &mut Draft, entry: &LedgerEntry) -> std::ops::ControlFlow<Back> {
    let slot = entry.slot;
    let Some((begun, found)) = w.tools.found.get(&slot) else {
        if row_needs_parent(entry) && siblings(&d.status, slot).is_empty() {
            // Nobody can look for it but at what it belongs to.
            find_parent(w, d, slot)?;
            if siblings(&d.status, slot).is_empty() {
                // It could only have been made inside something that was never there.
                forget(d, slot);
                return Continue(());
            }
        }
        return Break(Back::Step(find(&d.status, entry)));
    };
    // What is recorded was seen to be gone, where it was there.
    let recorded = |resource: &&Resource| Some(&resource.id) == entry.id.as_ref();
    let gone = |resource: &&Resource| match resource.stage {
        _ if recorded(resource) => true,
        Stage::Failed { .. } => true,
        Stage::Resting => entry.row().undo == Undo::Rest,
        _ => false,
    };
    if let Some(left) = found.iter().find(|resource| !gone(resource)) {
        return Break(Back::Step(Step::DeleteTool {
            slot,
            account: entry.account.clone(),
            named: named(&d.status, entry, &left.id),
            for_good: goes_for_good(entry),
            surplus: true,
        }));
    }
    let landed_by = w.limits.landed_by(entry.started_at.0);
    if *begun >= landed_by {
        return finish(w, d, entry);
    }
    Break(Back::Wait(Held::waits(
        reason::OUTCOME_UNKNOWN,
        "an earlier request may still land; it is looked for until it no longer can",
        landed_by.max(w.now + SignedDuration::from_millis(200)),
    )))
}

/// Whether it is looked for at what it belongs to, and nowhere else.
fn row_needs_parent(entry: &LedgerEntry) -> bool {
    let row = entry.row();
    let main = |need: &slot::SlotKind| matches!(need, slot::SlotKind::Tool(Part::Main));
    row.found_by.shown_once() && row.needs.iter().any(main)
}

/// What a tool's part belongs to may be there without being on record: its outcome may be as unknown as that of what was
/// made in it. It is looked for until it can no longer land; once found, it is on record.
fn find_parent(w: &World, d: &mut Draft, child: Slot) -> std::ops::ControlFlow<Back> {
    let parent = child
        .as_tool()
        .and_then(|own| Slot::tool(own.tool.as_str(), Part::Main))
        .and_then(|slot| ledger::entry(&d.status, slot).cloned())
        .filter(|parent| !parent.is_blank());
    let Some(parent) = parent else {
        return Continue(());
    };
    let Some((begun, found)) = w.tools.found.get(&parent.slot) else {
        if let Some(held) = fault_of(w, parent.slot) {
            return Break(Back::Wait(held));
        }
        return Break(Back::Step(find(&d.status, &parent)));
    };
    let lives = |one: &&Resource| !matches!(one.stage, Stage::Failed { .. });
    if let Some(there) = found.iter().find(lives) {
        ledger::exists(&mut d.status, parent.slot, Some(there.id.clone()));
        return Continue(());
    }
    let landed_by = w.limits.landed_by(parent.started_at.0);
    if *begun >= landed_by {
        return Continue(());
    }
    Break(Back::Wait(Held::waits(
        reason::OUTCOME_UNKNOWN,
        "what it belongs to may still land; it is looked for until it no longer can",
        landed_by.max(w.now + SignedDuration::from_millis(200)),
    )))
}
