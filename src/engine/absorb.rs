//! What a step's outcome changes in the world: ids into the ledger, sightings into what is known outside.
//!
//! What holds: nothing here decides; the plan that follows does.

use super::ledger;
use super::step::{Outcome, Step};
use super::world::{AccountView, ToolAccountView, World};
use crate::api::money::Money;
use crate::api::{
    AgentInstanceStatus, DeploymentState, DeploymentStatus, LedgerEntry, Slot, SlotState,
};
use crate::model::left::counts;
use crate::model::monthly;
use crate::model::tool::Resource;
use crate::model::{Fault, Sight};
use jiff::Timestamp;

/// The world after a step.
pub fn absorb(mut w: World, step: &Step, outcome: Outcome, now: Timestamp) -> World {
    w.now = now;
    let mut status = w.status();
    if let Some(slot) = step.intends() {
        w.pass.untried.remove(&slot);
    }
    if matches!(outcome, Outcome::AccountGoes) {
        return account_goes(w, step);
    }
    if let Some(slot) = step.tool() {
        return tool(w, slot, step, outcome);
    }
    match (step, outcome) {
        (_, Outcome::Faulted(fault)) => return faulted(w, step, fault),
        (
            Step::CreateProject { .. },
            Outcome::ProjectMade {
                project,
                environment,
            },
        ) => {
            ledger::exists(&mut status, Slot::Project, Some(project));
            // What was read in this pass was its predecessor.
            w.outside.looked = None;
            if let Some(environment) = environment {
                ledger::environment(&mut status, environment, now);
            }
        }
        (Step::CreateService { .. }, Outcome::Made { id }) => {
            ledger::exists(&mut status, Slot::Service, Some(id));
        }
        (Step::CreateVolume { .. }, Outcome::Made { id }) => {
            ledger::exists(&mut status, Slot::Volume, Some(id));
        }
        (Step::CreateDomain { .. }, Outcome::DomainMade(domain)) => {
            status.url = Some(format!("https://{}", domain.host));
            ledger::exists(&mut status, Slot::Domain, Some(domain.id));
        }
        (Step::Mount { .. }, Outcome::Done) => {
            // What was read before shows it as it was.
            if let Some(entry) = ledger::entry_mut(&mut status, Slot::Volume) {
                entry.started_at = ledger::moment(now);
            }
            w.outside.looked = None;
        }
        (Step::Configure { composed, .. }, Outcome::Done) => {
            ledger::exists(&mut status, Slot::Configuration, None);
            // The first one's intent may be much older than the request (`configuration::intend`).
            let first = status.deployment.is_none();
            let asked_at = ledger::entry_mut(&mut status, Slot::Configuration).map(|entry| {
                if first {
                    entry.started_at = ledger::moment(now);
                }
                entry.settings.clone_from(&composed.own);
                entry.started_at.0
            });
            status.variables = composed.names();
            status.variables.sort();
            if status.deployment.is_some() {
                // Of an intent that a pause or an outage has kept waiting the request is much younger.
                let asked_at = asked_at.filter(|at| now.duration_since(*at) <= w.limits.request);
                supersede(&mut status.deployment, asked_at.unwrap_or(now));
            }
            w.outside.looked = None;
            w.pass.agent = None;
            w.pass.drift = None;
        }
        (Step::Deploy { .. }, Outcome::Done) => {
            supersede(&mut status.deployment, now);
            w.outside.looked = None;
            w.pass.agent = None;
        }
        (Step::Stop { .. }, Outcome::Done) => {
            w.pass.stopped = true;
            w.outside.looked = None;
        }
        (Step::Delete { surplus: false, .. }, Outcome::Done) => {
            w.pass.stopped = true;
            w.outside.taken = true;
            w.outside.looked = None;
        }
        (Step::Delete { id, .. }, Outcome::Done) => forget(&mut w, id),
        (Step::Look { project }, Outcome::Looked(sight)) => {
            let recorded = w.entry(Slot::Project).and_then(|entry| entry.id.as_ref());
            if recorded.is_none_or(|id| id == project) {
                w.outside.looked = Some(sight);
            } else {
                w.outside.beside.insert(project.clone(), sight);
            }
        }
        (Step::Search, Outcome::Searched(listing)) => {
            w.outside.listing = Some(listing.begun);
            w.outside.homes = listing.homes;
            w.outside.searched = true;
        }
        (Step::TakeTurn { gate }, Outcome::Turned { turn, projects }) => {
            if let AccountView::Ready(room) = &mut w.account {
                room.turns.insert(*gate, turn);
                room.projects = projects;
            }
        }
        (Step::TakePlace { slot, .. }, Outcome::Placed(taken)) => {
            w.tools.asked.insert(*slot);
            w.tools.others.remove(slot);
            w.tools.others.extend(taken.map(|taken| (*slot, taken)));
        }
        (Step::RecordOrder { slot, .. }, Outcome::Ordered(until)) => {
            w.tools.orders.insert(*slot, until);
        }
        (Step::Compare { .. }, Outcome::Compared(differences)) => w.pass.drift = Some(differences),
        (Step::AskAgent { .. }, Outcome::AgentSaid(health)) => w.pass.agent = Some(health),
        (Step::MintToken, Outcome::Done) => w.token = true,
        (Step::Hold { .. }, Outcome::Held(metadata)) => {
            // One that goes on with what a restored object had has something outside, whatever was put on it now.
            w.pass.new = !w.held() && w.instance.is_its_own();
            w.instance.metadata = *metadata;
        }
        // After LetGo and Expire there is nothing more to decide.
        (Step::LetGo | Step::Expire, Outcome::Done) => {}
        (step, outcome) => w.pass.fault = Some(mismatched(step, &outcome)),
    }
    w.instance.status = Some(status);
    w
}

/// An outcome that no such step has.
fn mismatched(step: &Step, outcome: &Outcome) -> Fault {
    let (step, outcome) = (step.word(), outcome.word());
    Fault::Bug {
        message: format!(
            "step {step} came back with the outcome {outcome}, which is another step's"
        ),
    }
}

/// Nothing was asked, and nothing new is asked of that account.
fn account_goes(mut w: World, step: &Step) -> World {
    let mut status = w.status();
    if let Some(slot) = step.intends() {
        ledger::planned(&mut status, slot);
    }
    match step {
        Step::MakeTool { account, .. } | Step::LookTool { account, .. } => {
            let own = w.tools.accounts.iter_mut();
            for (_, view) in own.filter(|((name, _), _)| name == account) {
                *view = ToolAccountView::Deleting;
            }
        }
        _ => {
            if let AccountView::Ready(room) = &mut w.account {
                room.deleting = true;
            }
        }
    }
    w.instance.status = Some(status);
    w
}

/// A change was applied: whatever was deployed before is no longer what counts.
fn supersede(deployment: &mut Option<DeploymentStatus>, asked_at: Timestamp) {
    let id = deployment.take().and_then(|known| known.id);
    *deployment = Some(DeploymentStatus {
        id,
        state: DeploymentState::Superseded,
        ready: false,
        since: ledger::moment(asked_at),
        answer: None,
    });
}

/// What was one too many is gone, whatever a reading that lags still shows.
fn forget(w: &mut World, id: &str) {
    w.outside.homes.retain(|home| home.id != id);
    if let Some(Sight::Seen(home)) = &mut w.outside.looked {
        home.volumes.retain(|volume| volume.id != id);
        home.domains.retain(|domain| domain.id != id);
    }
}

/// What a step about a tool changes.
fn tool(mut w: World, slot: Slot, step: &Step, outcome: Outcome) -> World {
    let mut status = w.status();
    let tools = &mut w.tools;
    // What the API server refused is not let through because a provider answers: else a key would be made and taken back
    // again and again.
    let refused = tools
        .patience
        .get(&slot)
        .is_some_and(|known| matches!(known.fault, Fault::Refused { .. }));
    let on_secret = matches!(step, Step::KeepSecret { .. } | Step::DropSecret { .. });
    if !matches!(outcome, Outcome::Faulted(_)) && (!refused || on_secret) {
        tools.answered.insert(slot);
    }
    match (step, outcome) {
        (_, Outcome::Faulted(fault)) => return tool_faulted(w, slot, step, fault),
        (Step::MakeTool { order, .. }, Outcome::ToolMade(made)) => {
            if let Some(entry) = ledger::entry_mut(&mut status, slot) {
                entry.settings = order.wish.settings();
                priced(entry, &made.resource);
                let secret = entry.row().gives.secret.is_some();
                if !secret {
                    tools.regather = true;
                    tools
                        .looked
                        .insert(slot, (w.now, Some(made.resource.clone())));
                    ledger::exists(&mut status, slot, Some(made.resource.id));
                } else if made.secret.is_some() {
                    tools.fresh.insert(slot, *made);
                }
                // Otherwise it was there already, and its secret is not to be had: it is looked for, taken back, and
                // made anew.
            }
        }
        (Step::KeepSecret { .. }, Outcome::SecretKept(kept)) => {
            if let Some(made) = tools.fresh.remove(&slot) {
                ledger::exists(&mut status, slot, Some(made.resource.id.clone()));
                tools.looked.insert(slot, (w.now, Some(made.resource)));
            }
            tools.kept.insert(slot, kept);
            tools.regather = true;
        }
        (Step::DropSecret { .. }, Outcome::Done) => {
            tools.kept.remove(&slot);
        }
        (Step::FindTool { .. }, Outcome::ToolsFound(begun, found)) => {
            tools.found.insert(slot, (begun, found));
        }
        (Step::LookTool { .. }, Outcome::ToolLooked(begun, seen)) => {
            tools.looked.insert(slot, (begun, seen.map(|seen| *seen)));
        }
        (Step::AdjustTool { wish, .. }, Outcome::Done) => {
            if let Some(entry) = ledger::entry_mut(&mut status, slot) {
                entry.settings = wish.settings();
                entry.monthly_usd = Some(monthly::of_wish(wish, None));
                entry.started_at = ledger::moment(w.now);
            }
            tools.looked.remove(&slot);
            tools.seen.remove(&slot);
        }
        (Step::DeleteTool { surplus: false, .. }, Outcome::Done) => {
            tools.stopped.insert(slot);
            tools.taken.insert(slot);
            tools.looked.remove(&slot);
        }
        (Step::DeleteTool { named, .. }, Outcome::Done) => {
            forget_found(&mut w, &mut status, slot, &named.id);
        }
        (step, outcome) => {
            let mismatched = mismatched(step, &outcome);
            tools.faults.insert(slot, mismatched);
        }
    }
    w.instance.status = Some(status);
    w
}

/// What was ordered at a price that nobody knew before counts at that price.
fn priced(entry: &mut LedgerEntry, made: &Resource) {
    let price = Some(made.monthly_usd).filter(|usd| *usd > Money::ZERO);
    if entry.provider == "telnyx" && counts(entry.slot) {
        entry.monthly_usd = price.or(entry.monthly_usd);
    }
}

/// What was one too many is gone, whatever a reading that lags still shows.
fn forget_found(w: &mut World, status: &mut AgentInstanceStatus, slot: Slot, id: &str) {
    if let Some(entry) =
        ledger::entry_mut(status, slot).filter(|entry| entry.state == SlotState::Exists)
    {
        // A listing that began before shows it still.
        entry.started_at = ledger::moment(w.now);
    }
    if let Some((_, found)) = w.tools.found.get_mut(&slot) {
        found.retain(|resource| resource.id != id);
    }
}

/// A fault of a tool ends that tool's part of the pass, and no other's.
fn tool_faulted(mut w: World, slot: Slot, step: &Step, fault: Fault) -> World {
    match (step, &fault) {
        // Deleted already, or perhaps: what is there now decides.
        (
            Step::DeleteTool { surplus: false, .. },
            Fault::Missing { .. } | Fault::Uncertain { .. },
        ) => {
            w.tools.stopped.insert(slot);
            w.tools.looked.remove(&slot);
            return w;
        }
        (Step::DeleteTool { named, .. }, Fault::Missing { .. }) => {
            let mut status = w.status();
            forget_found(&mut w, &mut status, slot, &named.id);
            w.instance.status = Some(status);
            return w;
        }
        _ => {}
    }
    if matches!(step, Step::MakeTool { .. }) {
        let mut status = w.status();
        if !fault.may_have_landed() {
            ledger::planned(&mut status, slot);
        } else if let Some(entry) = ledger::entry_mut(&mut status, slot) {
            // A make may be several requests, each of which waits for its turn: until when the last one can still land is
            // counted from here.
            entry.started_at = ledger::moment(w.now);
        }
        w.instance.status = Some(status);
    }
    w.tools.faults.insert(slot, fault);
    w
}

fn faulted(mut w: World, step: &Step, fault: Fault) -> World {
    let mut status = w.status();
    match (step, &fault) {
        // Deleted already, or perhaps: what is there now decides.
        (
            Step::Delete { surplus: false, .. },
            Fault::Missing { .. } | Fault::Uncertain { .. } | Fault::Denied { .. },
        ) => {
            w.pass.stopped = true;
            w.outside.looked = None;
            return w;
        }
        // Ended already: what is there now decides, too.
        (Step::Stop { .. }, Fault::Missing { .. }) => {
            w.pass.stopped = true;
            w.outside.looked = None;
            return w;
        }
        (Step::Delete { id, .. }, Fault::Missing { .. }) => {
            forget(&mut w, id);
            return w;
        }
        _ => {}
    }
    if let Some(slot) = step.intends()
        && !matches!(step, Step::Delete { .. })
        && !fault.may_have_landed()
    {
        ledger::planned(&mut status, slot);
    }
    w.instance.status = Some(status);
    w.pass.fault = Some(fault);
    w
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AgentInstance, Part};
    use crate::engine::world::Limits;
    use crate::model::InstallationId;
    use crate::model::values::Seal;
    use jiff::SignedDuration;

    fn world() -> World {
        let spec = serde_json::json!({"templateRef": {"name": "t"}, "accountRef": {"name": "a"}});
        let instance = AgentInstance::new("ada", serde_json::from_value(spec).unwrap());
        let limits = Limits {
            request: SignedDuration::ZERO,
            settle: SignedDuration::ZERO,
        };
        let installation = (InstallationId("i".into()), Seal("s".to_owned().into()));
        World::unread(Timestamp::UNIX_EPOCH, limits, installation, instance)
    }

    #[test]
    fn an_outcome_of_another_step_is_an_error() {
        let made = || Outcome::Made { id: "s-1".into() };
        let after = absorb(world(), &Step::MintToken, made(), Timestamp::UNIX_EPOCH);
        let fault = after.pass.fault.unwrap();
        assert_eq!(fault.class(), "Bug");
        assert!(fault.message().contains("MintToken"), "{fault}");

        let slot = Slot::tool("llm", Part::Main).unwrap();
        let step = Step::DropSecret { slot };
        let after = absorb(world(), &step, made(), Timestamp::UNIX_EPOCH);
        assert_eq!(after.tools.faults[&slot].class(), "Bug");
        assert!(after.pass.fault.is_none());
    }
}
