//! What is paused, by whom, and the one gate in front of every change outside: a plan whose step would change something that
//! is paused ends with waiting, and with nothing begun for it.
//!
//! Holds: while something is paused nothing is made, changed, deployed or deleted there, nor is a finalizer, a turn or an intent
//! taken for that; what is there is still looked at and told. While less is remembered of an account than was, or nobody
//! knows that yet, a lost ledger stays as it is as well. Deliberately absent: reading who paused (`controllers::paused`).

use super::access::ARRIVAL;
use super::deployment::deployment;
use super::draft::{Draft, Phase, PhaseEnd, wait};
use super::ledger;
use super::meaning;
use super::step::Step;
use super::world::{AccountView, TemplateView, ToolAccountView, World};
use crate::api::condition::{Statement, find, kind, reason};
use crate::api::{AgentInstanceStatus, Slot, SlotState};
use crate::model::PausedBy;
use crate::model::slot::{FoundBy, RAILWAY, row};
use jiff::SignedDuration;
use std::ops::ControlFlow::{Break, Continue};

impl World {
    /// What pauses changes in an account; empty for what is made here. Of an account that the instance may not use nothing is
    /// told, and nothing is done in it either.
    pub(super) fn paused_in(&self, account: &str) -> Option<PausedBy> {
        self.pauses.of(account).filter(|by| match by {
            PausedBy::Account(name) | PausedBy::Recovery(name) => self.may_use(name),
            _ => true,
        })
    }

    fn may_use(&self, name: &str) -> bool {
        let lives = !matches!(
            self.account,
            AccountView::NotAvailable | AccountView::Elsewhere { .. }
        );
        let open = |view: &ToolAccountView| {
            !matches!(
                view,
                ToolAccountView::NotAvailable | ToolAccountView::Elsewhere { .. }
            )
        };
        let mut tools = self.tools.accounts.iter();
        name == self.instance.spec.account_ref.name.as_str() && lives
            || tools.any(|((account, _), view)| account == name && open(view))
    }

    /// All that pauses something of the instance.
    fn paused(&self) -> Vec<PausedBy> {
        if let Some(by) = &self.pauses.whole {
            return vec![by.clone()];
        }
        let paused = self.pauses.accounts.union(&self.pauses.recovering);
        paused.filter_map(|name| self.paused_in(name)).collect()
    }
}

impl Step {
    /// The account in which the step changes something outside, or begins what then is. `status`: the plan's own.
    fn changes_in<'a>(&'a self, w: &'a World, status: &'a AgentInstanceStatus) -> Option<&'a str> {
        let home = w.instance.spec.account_ref.name.as_str();
        match self {
            Step::Hold { .. } => (!w.held()).then_some(home),
            // What is left behind then is on no ledger any more.
            Step::LetGo => {
                let leaves = status.external.iter().any(|entry| !entry.is_blank());
                leaves.then_some(home)
            }
            Step::MintToken
            | Step::TakeTurn { .. }
            | Step::CreateProject { .. }
            | Step::CreateService { .. }
            | Step::CreateVolume { .. }
            | Step::Mount { .. }
            | Step::CreateDomain { .. }
            | Step::Configure { .. }
            | Step::Deploy { .. }
            | Step::Stop { .. }
            | Step::Delete { .. }
            | Step::Expire => Some(home),
            Step::MakeTool { account, .. }
            | Step::RecordOrder { account, .. }
            | Step::AdjustTool { account, .. }
            | Step::DeleteTool { account, .. } => Some(account),
            Step::FindTool { slot, account, .. } => {
                finding_changes(w, status, *slot).then_some(account.as_str())
            }
            Step::LookTool { slot, account, .. } => {
                looking_changes(w, status, *slot).then_some(account.as_str())
            }
            Step::DropSecret { slot } => {
                let entry = ledger::entry(status, *slot).or_else(|| w.entry(*slot));
                Some(entry.map_or("", |entry| entry.account.as_str()))
            }
            // What was made in this pass is kept, or it would be lost.
            Step::KeepSecret { .. }
            | Step::TakePlace { .. }
            | Step::Search
            | Step::Look { .. }
            | Step::Compare { .. }
            | Step::AskAgent { .. } => None,
        }
    }

    /// What pauses the step, if something does.
    pub(super) fn paused(&self, w: &World, status: &AgentInstanceStatus) -> Option<PausedBy> {
        w.paused_in(self.changes_in(w, status)?)
    }
}

/// The provider at which a tool's slot is, as the ledger or the wish says.
fn provider<'a>(w: &'a World, status: &'a AgentInstanceStatus, slot: Slot) -> &'a str {
    let recorded = ledger::entry(status, slot).map(|entry| entry.provider.as_str());
    let wanted = || {
        let own = slot.as_tool()?;
        let mut wanted = w.tools.wanted.iter().flatten();
        let tool = wanted.find(|tool| tool.name == own.tool.as_str())?;
        Some(tool.kind.provider())
    };
    recorded.or_else(wanted).unwrap_or(RAILWAY)
}

/// Whether to look for what an attempt left may make or revoke something.
fn finding_changes(w: &World, status: &AgentInstanceStatus, slot: Slot) -> bool {
    matches!(
        row(provider(w, status, slot), slot).found_by,
        FoundBy::RemakeToLook | FoundBy::RevokeToLook
    )
}

/// Whether to look at it may set it up.
fn looking_changes(w: &World, status: &AgentInstanceStatus, slot: Slot) -> bool {
    row(provider(w, status, slot), slot).set_up_by_looking
}

/// After so long an account that is being read for the first time is asked about again.
const SOON: SignedDuration = SignedDuration::from_millis(500);

/// Holds back a step through an account of which this process does not know yet whether it is remembered, and all that was
/// begun for it. What is on record is changed as its object says, whatever else was forgotten: whoever takes over begins
/// with what somebody changed, and reads the account meanwhile.
pub(super) fn unread(w: &World, d: &mut Draft, end: PhaseEnd) -> PhaseEnd {
    let PhaseEnd::Do(step) = &end else {
        return end;
    };
    if matches!(
        **step,
        Step::Configure { .. } | Step::Deploy { .. } | Step::Stop { .. } | Step::AdjustTool { .. }
    ) {
        return end;
    }
    let account = step.changes_in(w, &d.status).map(str::to_owned);
    let read = account.and_then(|account| being_read(w, d, &account));
    read.unwrap_or(end)
}

fn being_read(w: &World, d: &mut Draft, account: &str) -> Option<PhaseEnd> {
    let known_at = *w.pauses.unread.get(account)?;
    *d = Draft::new(w);
    never_tried(d);
    let created = w.instance.metadata.creation_timestamp.as_ref();
    let before = w.status().conditions;
    let told = find(&before, kind::READY).map(|said| said.reason.as_str());
    // Over in a moment, mostly: that is no news.
    let recent = created.is_some_and(|created| created.0 + ARRIVAL > w.now);
    let message = "its account is being read for the first time";
    if w.deleting() && told != Some(reason::DELETING) {
        // What was said before is the contrary of a deletion.
        d.say(meaning::being_taken_back());
        d.working_on(kind::SYNCED, reason::DELETING, message);
    } else if recent || w.at_rest() || w.deleting() {
        d.unchanged = true;
    } else {
        d.working(reason::PENDING, message);
    }
    let soon = w.now + SOON;
    Some(PhaseEnd::Wait(Some(
        known_at.map_or(soon, |at| soon.max(at)),
    )))
}

/// What a lost ledger is written anew from is what an account shows. Where less is remembered of that account than was, a
/// person comes first: what is written down then is what counts from there on.
pub(super) fn remembered(w: &World, d: &mut Draft) -> Phase {
    let home = w.instance.spec.account_ref.name.as_str();
    if let Some(end) = being_read(w, d, home) {
        return Break(end);
    }
    match w.paused_in(home) {
        Some(by @ PausedBy::Recovery(_)) => {
            d.hold(by);
            wait(None)
        }
        _ => Continue(()),
    }
}

/// Lets a plan end as it does, unless its step changes what is paused: then nothing is begun for it, and what runs is still
/// looked at.
pub(super) fn gate(w: &World, d: &mut Draft, end: PhaseEnd) -> PhaseEnd {
    let PhaseEnd::Do(step) = &end else {
        return end;
    };
    let Some(by) = step.paused(w, &d.status) else {
        return end;
    };
    let deploys = matches!(**step, Step::Deploy { .. } | Step::Stop { .. });
    d.hold(by);
    never_tried(d);
    let applied = ledger::entry(&d.status, Slot::Configuration)
        .is_some_and(|entry| entry.state == SlotState::Exists);
    let TemplateView::Ready(template) = &w.template else {
        return PhaseEnd::Wait(None);
    };
    if deploys || !applied || w.deleting() {
        return PhaseEnd::Wait(None);
    }
    d.stands(w);
    match deployment(w, d, template) {
        Break(PhaseEnd::Do(step)) => match step.paused(w, &d.status) {
            None => PhaseEnd::Do(step),
            Some(by) => {
                d.hold(by);
                PhaseEnd::Wait(None)
            }
        },
        Break(end) => end,
        Continue(()) => PhaseEnd::Wait(None),
    }
}

/// What this pass has intended and not tried certainly left nothing.
fn never_tried(d: &mut Draft) {
    let untried = d.untried.clone().into_iter();
    for slot in untried.filter(|slot| *slot != Slot::Configuration && slot.as_tool().is_none()) {
        ledger::planned(&mut d.status, slot);
        d.untried.remove(&slot);
    }
}

/// Says that something would be done and is held back, where nothing else keeps the outside from being as it should.
pub(super) fn told(w: &World, d: &mut Draft) {
    let Some(by) = d.held.clone() else {
        return;
    };
    let said = |kind: &str| d.said.iter().any(|said| said.kind == kind);
    if said(kind::RECONCILING) || said(kind::STALLED) {
        return;
    }
    let message = match w.deleting() {
        true => format!(
            "deletion waits: nothing is taken back, because that is paused by {by}; {}",
            by.ends()
        ),
        false => format!(
            "something is to be made, changed or deleted, and is paused by {by}; {}",
            by.ends()
        ),
    };
    d.say(Statement::no(kind::SYNCED, by.reason(), message));
}

/// The condition of an instance of which something is paused.
pub(super) fn condition(w: &World) -> Option<Statement> {
    let all = w.paused();
    let first = all.first()?;
    let whole = w.pauses.whole.is_some() || all.len() == 1 && is_home(w, first);
    let what = match whole {
        true => "nothing is made, changed or deleted for it",
        false => "nothing is made, changed or deleted there",
    };
    let by: Vec<String> = all.iter().map(PausedBy::to_string).collect();
    Some(Statement::yes(
        kind::PAUSED,
        first.reason(),
        format!("by {}: {what}, and it is still observed", by.join(", ")),
    ))
}

fn is_home(w: &World, by: &PausedBy) -> bool {
    let home = &w.instance.spec.account_ref.name;
    let tools = w.tools.accounts.keys();
    let elsewhere = tools
        .filter(|(account, _)| account != home.as_str())
        .count();
    let all = [
        PausedBy::Account(home.0.clone()),
        PausedBy::Recovery(home.0.clone()),
    ];
    all.contains(by) && elsewhere == 0
}
