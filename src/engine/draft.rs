//! The alphabet in which the phases of a life are written: how a phase ends the plan, and the plan as it grows.
//!
//! Holds: the first statement of a kind stands, because the earlier phase names the cause. Deliberately absent: any phase.

use super::step::Step;
use super::world::World;
use crate::api::condition::{Statement, find, kind};
use crate::api::{AgentInstanceStatus, Slot};
use crate::model::{Announcement, Gate, PausedBy};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// How a phase ends the plan.
#[derive(Debug)]
pub(super) enum PhaseEnd {
    /// With an effect.
    Do(Box<Step>),
    /// With waiting: until then, or until something changes.
    Wait(Option<Timestamp>),
    /// With beginning anew: the ledger has just become that of an instance of which nothing is there.
    Anew,
}

/// What a phase says: nothing (go on), or the end.
pub(super) type Phase = ControlFlow<PhaseEnd>;

/// Ends the plan with a step.
pub(super) fn act(step: Step) -> Phase {
    ControlFlow::Break(PhaseEnd::Do(Box::new(step)))
}

/// Ends the plan with waiting.
pub(super) fn wait(until: Option<Timestamp>) -> Phase {
    ControlFlow::Break(PhaseEnd::Wait(until))
}

/// The plan as it grows.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) status: AgentInstanceStatus,
    pub(super) said: Vec<Statement>,
    pub(super) untried: BTreeSet<Slot>,
    pub(super) announcements: Vec<Announcement>,
    /// Nothing new is known: what was said before stands.
    pub(super) unchanged: bool,
    /// The line that it waits in.
    pub(super) line: Option<Gate>,
    pub(super) again: Option<Timestamp>,
    /// What holds something back that would be done now.
    pub(super) held: Option<PausedBy>,
    /// The draft without what a step begins that may be held back; kept while something is paused.
    firm: Option<Box<Draft>>,
}

impl Draft {
    pub(super) fn new(w: &World) -> Draft {
        Draft {
            status: w.status(),
            said: Vec::new(),
            untried: w.pass.untried.clone(),
            announcements: Vec::new(),
            unchanged: false,
            line: None,
            again: None,
            held: None,
            firm: None,
        }
    }

    /// What is drafted up to here was seen, and stands; what follows belongs to a step that may be held back.
    pub(super) fn stands(&mut self, w: &World) {
        if w.pauses.any() {
            self.firm = None;
            self.firm = Some(Box::new(self.clone()));
        }
    }

    /// A step is held back: nothing that was begun for it stands.
    pub(super) fn hold(&mut self, by: PausedBy) {
        let held = self.held.take();
        if let Some(firm) = self.firm.take() {
            *self = *firm;
        }
        self.held = held.or_else(|| self.held.take()).or(Some(by));
        self.firm = Some(Box::new(self.clone()));
    }

    /// Asks to be looked at again by then, whatever else comes of this plan.
    pub(super) fn again(&mut self, at: Timestamp) {
        self.again = earliest(self.again, Some(at));
    }

    /// States something; the first statement of a kind stands, because the earlier phase names the cause.
    pub(super) fn say(&mut self, statement: Statement) {
        if !self.said.iter().any(|said| said.kind == statement.kind) {
            self.said.push(statement);
        }
    }

    /// Says that the outside is not as the spec wants it, which nobody but a person can mend; and tells it once, when it
    /// is not said already.
    pub(super) fn once(
        &mut self,
        w: &World,
        reason: &'static str,
        action: &'static str,
        message: String,
    ) {
        let message: String = message.chars().take(1024).collect();
        let said = find(&w.status().conditions, kind::SYNCED)
            .is_some_and(|said| said.reason == reason && said.message == message);
        if !said {
            self.announcements.push(Announcement {
                warning: true,
                reason,
                action,
                note: message.clone(),
            });
        }
        self.say(Statement::no(kind::SYNCED, reason, message));
    }

    /// Work goes on by itself.
    pub(super) fn working(&mut self, reason: &'static str, message: impl Into<String>) {
        self.say(Statement::yes(kind::RECONCILING, reason, message));
    }

    /// Something is not so, and a person has to do something.
    pub(super) fn stalled_on(
        &mut self,
        kind: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let message = message.into();
        self.say(Statement::no(kind, reason, message.clone()));
        self.stalled(reason, message);
    }

    /// Something is not so yet, and work goes on by itself.
    pub(super) fn working_on(
        &mut self,
        kind: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let message = message.into();
        self.say(Statement::no(kind, reason, message.clone()));
        self.working(reason, message);
    }

    /// A person has to do something.
    pub(super) fn stalled(&mut self, reason: &'static str, message: impl Into<String>) {
        self.say(Statement::yes(kind::STALLED, reason, message));
    }
}

pub(super) fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
