//! Whether the instance's account can be used, and what is waited for where it cannot.
//!
//! Holds: an account that does not exist and one that is not open to the namespace are told alike.

use super::draft::{Draft, Phase, wait};
use super::world::{AccountView, World};
use super::{ledger, meaning, rollout};
use crate::api::condition::{Statement, kind, reason};
use crate::api::{Slot, SlotState};
use jiff::SignedDuration;
use kube::ResourceExt;
use std::ops::ControlFlow;

pub(super) fn account(w: &World, d: &mut Draft) -> Phase {
    let name = &w.instance.spec.account_ref.name;
    match &w.account {
        AccountView::Ready(_) => {
            rollout::resumed(&mut d.status, w.now);
            ControlFlow::Continue(())
        }
        AccountView::NotAvailable => {
            let message =
                meaning::not_available(name.as_str(), &w.instance.namespace().unwrap_or_default());
            d.say(Statement::no(
                kind::SYNCED,
                reason::ACCOUNT_NOT_AVAILABLE,
                message.clone(),
            ));
            missing(w, d, reason::ACCOUNT_NOT_AVAILABLE, message)
        }
        AccountView::Elsewhere { provider } => {
            let message = format!(
                "{}; make another AgentInstance whose accountRef names one: this one's is immutable",
                meaning::elsewhere(name.as_str(), provider, "railway")
            );
            d.say(Statement::no(
                kind::SYNCED,
                reason::ACCOUNT_NOT_AVAILABLE,
                message.clone(),
            ));
            missing(w, d, reason::ACCOUNT_NOT_AVAILABLE, message)
        }
        // Trouble with an account is the account's own condition. It says nothing about an agent at rest, and writes
        // nothing to it. The end of an outage is told by who reads the account: one that began and ended between two
        // readings nobody tells.
        AccountView::NotReady { .. } | AccountView::Unreachable if w.at_rest() => {
            d.unchanged = true;
            let out = matches!(w.account, AccountView::Unreachable);
            wait(out.then(|| w.recheck()))
        }
        AccountView::NotReady { message } => {
            let message = format!("ProviderAccount {name} is not ready: {message}");
            d.working_on(kind::SYNCED, reason::ACCOUNT_NOT_READY, message);
            wait(Some(w.recheck()))
        }
        AccountView::Unreachable => {
            let message = format!(
                "the provider of ProviderAccount {name} cannot be reached; nothing is made, changed or deleted until it answers again"
            );
            d.working_on(kind::SYNCED, reason::ACCOUNT_UNREACHABLE, message);
            wait(Some(w.recheck()))
        }
    }
}

/// In an account that is being deleted nothing is begun. What is there goes on, and is taken back when its time comes.
pub(super) fn account_goes(w: &World, d: &mut Draft) -> Phase {
    let begun = ledger::entry(&d.status, Slot::Project)
        .is_some_and(|entry| entry.state != SlotState::Planned);
    match &w.account {
        // One whose ledger was lost has something there all the same.
        AccountView::Ready(room) if room.deleting && !begun && w.ours().is_empty() => {
            let message = format!(
                "{}; delete this AgentInstance, or make another whose accountRef names an account that stays",
                meaning::account_goes(w.instance.spec.account_ref.name.as_str())
            );
            d.stalled_on(kind::SYNCED, reason::ACCOUNT_DELETING, message);
            wait(Some(w.recheck()))
        }
        _ => ControlFlow::Continue(()),
    }
}

/// How long something that an instance refers to may come after it: whoever applies several objects at once chooses no
/// order, and tools that give up on `Stalled` should not.
pub(super) const ARRIVAL: SignedDuration = SignedDuration::from_secs(5);

/// Something referred to is not there: it may be on its way, or a person has to do something.
pub(super) fn missing(w: &World, d: &mut Draft, reason: &'static str, message: String) -> Phase {
    let created = w
        .instance
        .metadata
        .creation_timestamp
        .as_ref()
        .map(|time| time.0);
    match created
        .map(|created| created + ARRIVAL)
        .filter(|until| *until > w.now)
    {
        Some(until) => {
            d.working(reason, message);
            wait(Some(until))
        }
        None => {
            d.stalled(reason, message);
            // Nobody is told when a namespace gets the label that an account asks for.
            wait(Some(w.recheck()))
        }
    }
}
