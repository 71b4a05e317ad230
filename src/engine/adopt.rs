//! Taking over what runs already (`spec.adopt`): a project that a person or another manager made, with the agent in it.
//!
//! What holds: adopting looks, writes the ledger and changes nothing outside, so that it may be interrupted and repeated
//! anywhere; what runs is left as it was found until the instance takes its template's revision; of a project that
//! others live in nothing is ever deleted but the agent's own service and volume; nothing adopted is made again by
//! itself, because the variables that it ran with are known to nobody here. Two objects never hold the same thing: the
//! ledger decides, and where it does not yet, the older object.
//!
//! Deliberately absent: the tools of an adopted agent (`tools`), and finding projects (`import`).

use super::draft::{Draft, Phase, act, wait};
use super::ledger;
use super::step::Step;
use super::world::{AccountView, World};
use crate::api::condition::{kind, reason};
use crate::api::instance::{Adopt, DeletionPolicy, OperatingMode, Ownership, UpdatePolicy};
use crate::api::template::ResolvedImage;
use crate::api::{
    AgentInstance, AgentInstanceStatus, DeploymentState, DeploymentStatus, LedgerEntry, Origin,
    Slot, SlotState,
};
use crate::engine::world::{RolloutTurn, TemplateReady};
use crate::model::slot::{Kind, RAILWAY, SlotRow, Undo};
use crate::model::tool::Wanted;
use crate::model::{Announcement, Deployment, Home, Sight};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::ops::ControlFlow::Continue;

/// Two objects of the same second may come to us in either order: until so long after its creation nothing is adopted,
/// and by then both are known and the same one wins for everyone.
pub(super) const TOGETHER: SignedDuration = SignedDuration::from_secs(2);

/// A project that could not be adopted is looked at again after so long: each look is a request.
const AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// Whether an adopted agent stays as it was found for now, so that nothing is made for a revision that it does not take.
pub(super) fn stays(w: &World, d: &Draft, template: &TemplateReady) -> bool {
    let takes = w.instance.spec.update_policy == UpdatePolicy::Automatic
        && w.instance.spec.operating_mode == OperatingMode::Running
        && template.turn == RolloutTurn::Yes;
    ledger::as_found(&d.status) && !takes
}

/// Whether a project is shared with others.
pub(super) fn shared(instance: &AgentInstance) -> bool {
    let adopt = instance.spec.adopt.as_ref();
    adopt.is_some_and(|adopt| adopt.ownership == Ownership::Shared)
}

/// Takes the project over, or says why not.
pub(super) fn project(w: &World, d: &mut Draft, wanted: &Adopt) -> Phase {
    if let Some(other) = &w.adopted_by {
        let message = format!(
            "project {} is already adopted by {other}; delete one of the two instances",
            wanted.project_id.0
        );
        return failed(d, message, w.recheck());
    }
    let created = w.instance.metadata.creation_timestamp.as_ref();
    if let Some(until) = created.map(|created| created.0 + TOGETHER)
        && until > w.now
    {
        looking(d);
        return wait(Some(until));
    }
    let home = match &w.outside.looked {
        None => {
            looking(d);
            let project = wanted.project_id.0.clone();
            return act(Step::Look { project });
        }
        Some(Sight::Unknown) => {
            looking(d);
            return wait(Some(w.now + SignedDuration::from_secs(1)));
        }
        Some(Sight::Seen(home)) if !home.deleted && home.id == wanted.project_id.0 => home,
        Some(_) => {
            let message = format!(
                "project {} is not in the workspace of ProviderAccount {}; delete this instance, and make one with the right adopt.projectId and accountRef",
                wanted.project_id.0, w.instance.spec.account_ref.name
            );
            return failed(d, message, w.now + AGAIN);
        }
    };
    if let Some(why) = unfit(w, wanted, home) {
        return failed(d, why, w.now + AGAIN);
    }
    record(w, d, wanted, home);
    d.announcements.push(Announcement {
        warning: false,
        reason: reason::ADOPTED,
        action: "Adopt",
        note: format!(
            "adopted project {} ({}) as it is; nothing was changed there",
            home.id, home.name
        ),
    });
    Continue(())
}

fn looking(d: &mut Draft) {
    let message = "looking at the project to adopt";
    d.working_on(kind::PROJECT_READY, reason::CREATING, message);
}

fn failed(d: &mut Draft, message: String, again: Timestamp) -> Phase {
    d.stalled_on(kind::PROJECT_READY, reason::ADOPTION_FAILED, message);
    wait(Some(again))
}

/// Why the project that was found cannot be this instance's.
fn unfit(w: &World, wanted: &Adopt, home: &Home) -> Option<String> {
    let (project, remedy) = (
        &home.id,
        "delete this instance, and make one with the right ids",
    );
    if let Some(marker) = &home.marker
        && *marker != w.marker(Slot::Project)
    {
        return Some(format!(
            "project {project} is that of {}/{} (installation {}), as its description says; if that one is gone for good, empty the description at Railway",
            marker.namespace, marker.name, marker.installation
        ));
    }
    if home.environment.as_ref() != Some(&wanted.environment_id.0) {
        return Some(format!(
            "environment {} is not the one that project {project} runs in ({}); {remedy}",
            wanted.environment_id.0,
            home.environment.as_deref().unwrap_or("it has none"),
        ));
    }
    let (own, others): (Vec<_>, Vec<_>) = home
        .services
        .iter()
        .partition(|service| service.id == wanted.service_id.0);
    if own.is_empty() {
        return Some(format!(
            "service {} is not in project {project}; {remedy}",
            wanted.service_id.0
        ));
    }
    if wanted.ownership == Ownership::Dedicated && !others.is_empty() {
        // The project would go with this instance, and everything in it.
        let names: Vec<&str> = others
            .iter()
            .take(5)
            .map(|other| other.name.as_str())
            .collect();
        return Some(format!(
            "project {project} holds {} other services ({}), which would be deleted with this instance; delete it, and make one with adopt.ownership: Shared",
            others.len(),
            names.join(", ")
        ));
    }
    None
}

/// The ledger of what was found. Everything counts from the reading that showed it.
fn record(w: &World, d: &mut Draft, wanted: &Adopt, home: &Home) {
    let seen = ledger::moment(home.begun);
    let mut found = |slot, key: &str, id: Option<String>| {
        let account = w.instance.spec.account_ref.name.0.clone();
        let entry = LedgerEntry {
            origin: Origin::Adopted,
            state: SlotState::Exists,
            key: key.chars().take(128).collect(),
            id,
            ..LedgerEntry::new(slot, RAILWAY, account, seen.clone())
        };
        ledger::put(&mut d.status, entry);
    };
    let service = &wanted.service_id.0;
    found(Slot::Project, &home.name, Some(home.id.clone()));
    found(Slot::Environment, "", home.environment.clone());
    let name = home.services.iter().find(|one| one.id == *service);
    let name = name.map_or("", |one| one.name.as_str());
    found(Slot::Service, name, Some(service.clone()));
    let volume = |volume: &&crate::model::Volume| volume.service.as_ref() == Some(service);
    if let Some(volume) = home.volumes.iter().find(volume) {
        let mount = volume.mount_path.as_deref().unwrap_or_default();
        found(Slot::Volume, mount, Some(volume.id.clone()));
    }
    let domain = home.domains.iter().find(|one| one.service == *service);
    if let Some(domain) = domain {
        found(Slot::Domain, &domain.host, Some(domain.id.clone()));
    }
    found(Slot::Configuration, "", home.configuration_tag.clone());
    d.status.url = domain.map(|domain| format!("https://{}", domain.host));
    let newest = home.newest(service);
    d.status.deployment = newest.map(|newest| DeploymentStatus {
        id: Some(newest.id.clone()),
        state: newest.state.clone(),
        ready: false,
        since: seen,
        answer: None,
    });
    if let Some(newest) = newest {
        follow(&mut d.status, newest);
    }
}

/// What runs as it was found may be changed by those who made it: it is told, never set back.
pub(super) fn follow(status: &mut AgentInstanceStatus, newest: &Deployment) {
    let Some(runs) = newest.image.as_deref().filter(|_| ledger::as_found(status)) else {
        return;
    };
    let digest = runs.split_once('@').map_or("", |(_, digest)| digest);
    status.image = Some(ResolvedImage {
        requested: runs.chars().take(512).collect(),
        digest: digest.chars().take(128).collect(),
    });
}

/// Nothing of the adopted service is deployed, and not because we ended it: to begin it is for those who ended it, or
/// for the template's revision.
pub(super) fn not_deployed(d: &mut Draft) -> Phase {
    let message = "nothing of the adopted service is deployed; deploy it at Railway, or set updatePolicy to Automatic to deploy the template's revision";
    d.stalled_on(kind::DEPLOYED, reason::NOT_DEPLOYED, message);
    wait(None)
}

/// Something adopted was deleted at the provider: it is told, and nothing is made in its place.
pub(super) fn lost(d: &mut Draft, what: &str) -> Phase {
    let message = format!(
        "the adopted {what} was deleted at the provider; what was adopted is not made again: delete this instance"
    );
    d.stalled_on(kind::PROJECT_READY, reason::DELETED_EXTERNALLY, message);
    if let Some(known) = &mut d.status.deployment {
        known.ready = false;
        known.state = DeploymentState::Removed;
    }
    wait(None)
}

/// How a slot of this instance is taken back: in a project that others live in, by itself.
pub(super) fn undo(instance: &AgentInstance, row: &SlotRow) -> Undo {
    match row.slot {
        Kind::One(Slot::Project) if shared(instance) => Undo::WithProject,
        Kind::One(Slot::Service | Slot::Volume) if shared(instance) => Undo::Delete,
        _ => row.undo,
    }
}

/// The service goes before its volume: Railway refuses to delete one that is attached (`facts/predecessors.md` A9), and
/// the volume is on record, so that it cannot be forgotten.
pub(super) fn in_order(left: &mut [LedgerEntry]) {
    left.sort_by_key(|entry| entry.slot == Slot::Volume);
}

/// A volume whose making was never answered is looked for while its service still shows whose it is.
pub(super) fn find_volume(w: &World, d: &mut Draft) -> Phase {
    let lost = ledger::entry(&d.status, Slot::Volume)
        .filter(|entry| entry.id.is_none() && entry.state == SlotState::Creating)
        .map(|entry| entry.started_at.0);
    let ids = ledger::id(&d.status, Slot::Project).zip(ledger::id(&d.status, Slot::Service));
    let (Some(since), Some((project, service))) = (lost, ids) else {
        return Continue(());
    };
    let kept = w.instance.spec.deletion_policy == DeletionPolicy::Retain;
    let usable = matches!(w.account, AccountView::Ready(_)) && w.pass.fault.is_none();
    if !shared(&w.instance) || kept || !usable {
        return Continue(());
    }
    let home = match &w.outside.looked {
        None => return act(Step::Look { project }),
        Some(Sight::Seen(home)) => home,
        // With the project went everything in it.
        Some(Sight::Absent { .. }) => return Continue(()),
        Some(Sight::Unknown) => return wait(Some(w.now + SignedDuration::from_secs(1))),
    };
    let own = |one: &&crate::model::Volume| one.service.as_ref() == Some(&service);
    let found = home.volumes.iter().find(own).map(|one| one.id.clone());
    let landed_by = w.limits.landed_by(since);
    match found {
        Some(id) => ledger::exists(&mut d.status, Slot::Volume, Some(id)),
        None if home.begun >= landed_by => ledger::planned(&mut d.status, Slot::Volume),
        None => {
            let next = landed_by.max(w.now + SignedDuration::from_secs(1));
            return wait(Some(next));
        }
    }
    Continue(())
}

/// Whether a reading of the project shows that a slot is no longer there.
pub(super) fn is_gone(home: &Home, slot: Slot, id: &str) -> bool {
    home.deleted
        || match slot {
            Slot::Service => home.services.iter().all(|one| one.id != id),
            Slot::Volume => home.volumes.iter().all(|one| one.id != id),
            _ => false,
        }
}

/// What people hear when an instance goes whose project stays.
pub(super) fn stays_behind(w: &World, d: &mut Draft) {
    let Some(adopt) = w
        .instance
        .spec
        .adopt
        .as_ref()
        .filter(|_| shared(&w.instance) && ledger::entry(&d.status, Slot::Project).is_some())
    else {
        return;
    };
    d.announcements.push(Announcement {
        warning: false,
        reason: reason::RETAINED,
        action: "LeaveBehind",
        note: format!(
            "project {} stays with all that is not this agent's, because adopt.ownership is Shared",
            adopt.project_id.0
        ),
    });
}

/// What an instance holds, or wants to hold: a project, all of it or one service in it.
struct Hold<'a> {
    project: &'a str,
    service: Option<&'a str>,
    recorded: bool,
}

fn hold(instance: &AgentInstance) -> Option<Hold<'_>> {
    let recorded = instance.status.as_ref().and_then(|status| {
        let entry = ledger::entry(status, Slot::Project)?;
        entry.id.as_deref()
    });
    let adopt = instance.spec.adopt.as_ref();
    let wanted = adopt
        .filter(|_| instance.metadata.deletion_timestamp.is_none())
        .map(|adopt| adopt.project_id.0.as_str());
    Some(Hold {
        project: recorded.or(wanted)?,
        service: adopt
            .filter(|adopt| adopt.ownership == Ownership::Shared)
            .map(|adopt| adopt.service_id.0.as_str()),
        recorded: recorded.is_some(),
    })
}

/// Of two that want the same thing the older one gets it, and of the same second the first by its name.
fn age(one: &AgentInstance) -> (Option<Timestamp>, Option<String>, String) {
    let created = one.creation_timestamp().map(|time| time.0);
    (created, one.namespace(), one.name_any())
}

/// Tools of which the instance would adopt what another one has on record, or wants too and is older.
pub fn rivals<'a>(
    instance: &AgentInstance,
    wanted: &[Wanted],
    all: impl Iterator<Item = &'a AgentInstance>,
) -> BTreeSet<String> {
    let adopted: Vec<(&Wanted, &String)> = wanted
        .iter()
        .filter_map(|tool| Some((tool, tool.adopt.as_ref()?)))
        .collect();
    let mut rivals = BTreeSet::new();
    if adopted.is_empty() {
        return rivals;
    }
    for other in all.filter(|other| other.uid() != instance.uid()) {
        let entries = other.status.iter().flat_map(|status| &status.external);
        let recorded: Vec<&LedgerEntry> = entries.collect();
        let asks = other.spec.adopt.iter().flat_map(|adopt| &adopt.tools);
        let asks: Vec<&str> = asks
            .filter(|_| other.metadata.deletion_timestamp.is_none() && age(other) < age(instance))
            .map(|asked| asked.id.0.as_str())
            .collect();
        for (tool, id) in &adopted {
            let has = recorded.iter().any(|entry| {
                entry.provider == tool.kind.provider() && entry.id.as_ref() == Some(*id)
            });
            if has || asks.contains(&id.as_str()) {
                rivals.insert(tool.name.clone());
            }
        }
    }
    rivals
}

/// The other instance that has what this one wants to adopt, as `namespace/name`: one that has it on record, or one that
/// wants it too and is older.
pub fn rival<'a>(
    instance: &AgentInstance,
    all: impl Iterator<Item = &'a AgentInstance>,
) -> Option<String> {
    let own = hold(instance)?;
    let mut rivals: Vec<&AgentInstance> = all
        .filter(|other| other.uid() != instance.uid())
        .filter(|other| {
            hold(other).is_some_and(|other_hold| {
                let same = match (own.service, other_hold.service) {
                    (Some(own), Some(other)) => own == other,
                    // One of them wants all of it.
                    _ => true,
                };
                own.project == other_hold.project
                    && same
                    && (other_hold.recorded || age(other) < age(instance))
            })
        })
        .collect();
    rivals.sort_by_key(|one| age(one));
    let first = rivals.first()?;
    Some(format!(
        "{}/{}",
        first.namespace().unwrap_or_default(),
        first.name_any()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    fn instance(name: &str, at: i64, ownership: &str, service: &str) -> AgentInstance {
        let mut one = AgentInstance::new(
            name,
            serde_json::from_value(json!({
                "templateRef": {"name": "t"}, "accountRef": {"name": "a"},
                "adopt": {"projectId": "p", "serviceId": service, "environmentId": "e", "ownership": ownership},
            }))
            .unwrap(),
        );
        one.metadata.namespace = Some("n".into());
        one.metadata.uid = Some(name.into());
        one.metadata.creation_timestamp = Some(Time(Timestamp::from_second(at).unwrap()));
        one
    }

    fn recorded(mut one: AgentInstance) -> AgentInstance {
        one.status = Some(
            serde_json::from_value(json!({"external": [{
                "origin": "Made", "slot": "project", "provider": "railway", "state": "Exists", "id": "p", "attempt": 1,
                "startedAt": "2026-01-01T00:00:00.000000Z",
            }]}))
            .unwrap(),
        );
        one
    }

    fn with_tool(mut one: AgentInstance, id: &str) -> AgentInstance {
        if let Some(adopt) = &mut one.spec.adopt {
            adopt.tools = serde_json::from_value(json!([{"name": "llm", "id": id}])).unwrap();
        }
        one
    }

    #[test]
    fn a_tool_is_adopted_by_the_older_of_two_and_not_where_it_is_on_record() {
        let tools: Vec<crate::api::template::ToolSpec> = serde_json::from_value(json!([
            {"name": "llm", "type": "openrouter", "accountRef": {"name": "o"}, "limitUSD": 1},
        ]))
        .unwrap();
        let of = |one: &AgentInstance, others: &[AgentInstance]| {
            let wanted = crate::engine::tools::wanted(&tools, &one.spec, "x").0;
            rivals(one, &wanted, others.iter().chain([one])).len()
        };
        let old = with_tool(instance("a", 1, "Dedicated", "s"), "k");
        let young = with_tool(instance("b", 2, "Dedicated", "s"), "k");
        let other = with_tool(instance("c", 1, "Dedicated", "s"), "l");
        let all = [old.clone(), young.clone(), other.clone()];
        assert_eq!(
            [of(&old, &all), of(&young, &all), of(&other, &all)],
            [0, 1, 0]
        );
        let mut going = old.clone();
        going.metadata.deletion_timestamp = going.metadata.creation_timestamp.clone();
        assert_eq!(of(&young, std::slice::from_ref(&going)), 0);
        going.status = Some(
            serde_json::from_value(json!({"external": [{
                "origin": "Made", "slot": "tool/llm", "provider": "openrouter", "state": "Exists", "id": "k", "attempt": 1,
                "startedAt": "2026-01-01T00:00:00.000000Z",
            }]}))
            .unwrap(),
        );
        assert_eq!(of(&young, &[going]), 1, "on its way out it still has it");
    }

    fn rival_of(one: &AgentInstance, others: &[AgentInstance]) -> Option<String> {
        rival(one, others.iter().chain([one]))
    }

    #[test]
    fn of_two_that_want_the_same_project_the_older_gets_it_and_then_the_name_decides() {
        let (a, b, c) = (
            instance("a", 2, "Dedicated", "s"),
            instance("b", 1, "Dedicated", "s"),
            instance("c", 1, "Dedicated", "s"),
        );
        let all = [a.clone(), b.clone(), c.clone()];
        assert_eq!(rival_of(&b, &all), None);
        assert_eq!(rival_of(&a, &all), Some("n/b".into()));
        assert_eq!(rival_of(&c, &all), Some("n/b".into()));
    }

    #[test]
    fn what_is_on_record_wins_over_age_and_a_deletion_ends_a_wish() {
        let (old, mut young) = (
            instance("a", 1, "Dedicated", "s"),
            recorded(instance("b", 2, "Dedicated", "s")),
        );
        assert_eq!(
            rival_of(&old, std::slice::from_ref(&young)),
            Some("n/b".into())
        );
        // On its way out it still has it.
        young.metadata.deletion_timestamp = young.metadata.creation_timestamp.clone();
        assert_eq!(
            rival_of(&old, std::slice::from_ref(&young)),
            Some("n/b".into())
        );
        young.status = None;
        assert_eq!(
            rival_of(
                &instance("c", 3, "Dedicated", "s"),
                std::slice::from_ref(&young)
            ),
            None
        );
        // One that made the project itself has it, too.
        let mut maker = recorded(instance("m", 9, "Dedicated", "s"));
        maker.spec.adopt = None;
        assert_eq!(rival_of(&old, &[maker]), Some("n/m".into()));
    }

    #[test]
    fn a_shared_project_is_held_service_by_service() {
        let one = recorded(instance("a", 1, "Shared", "s1"));
        let others = |service| instance("b", 2, "Shared", service);
        assert_eq!(rival_of(&others("s2"), std::slice::from_ref(&one)), None);
        assert_eq!(
            rival_of(&others("s1"), std::slice::from_ref(&one)),
            Some("n/a".into())
        );
        let all_of_it = instance("b", 2, "Dedicated", "s2");
        assert_eq!(rival_of(&all_of_it, &[one]), Some("n/a".into()));
    }
}
