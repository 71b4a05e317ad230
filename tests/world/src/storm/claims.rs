//! What must be true of pools and claims when a storm is over: no agent took what was told it for two claims, no claim has two
//! agents, nobody idle was told anything, and every claim has its agent or says why it has none.
//!
//! Holds: it is read off objects and off what the simulator's agents were told. Absent: ledgers and what lives outside (`judge`).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};

use super::fleet::{Fleet, IDLE};
use crate::object::{condition, condition_line, conditions};
use crate::outside::Resource;
use crate::tellings::{Telling, agents_of_two_claims};

/// What ends a claim, as its Stalled says.
const ENDS: [&str; 4] = [
    "AgentLost",
    "ProvisionFailed",
    "DeadlineExceeded",
    "Refused",
];

/// The instances of a tenant that are not of the fleet: its pool's, and those that claims have or had.
pub(super) async fn members(fleet: &Fleet<'_>, tenant: usize) -> Result<Vec<DynamicObject>> {
    let all = list(fleet, tenant, "AgentInstance").await?.into_iter();
    let pooled = |one: &DynamicObject| !one.data["spec"]["poolRef"].is_null();
    Ok(all.filter(pooled).collect())
}

async fn list(fleet: &Fleet<'_>, tenant: usize, kind: &str) -> Result<Vec<DynamicObject>> {
    let namespace = Some(fleet.tenants[tenant].namespace());
    let api = fleet.world.cluster().api(kind, namespace).await?;
    Ok(api.list(&ListParams::default()).await?.items)
}

/// What is wrong with a tenant's pool and claims. `members`: its instances, `living`: what lives outside.
pub(super) async fn wrong(
    fleet: &Fleet<'_>,
    tenant: usize,
    members: &[DynamicObject],
    living: &[Resource],
) -> Result<Vec<String>> {
    let tellings = fleet.tenants[tenant].tellings().await?;
    let mut wrong = agents_of_two_claims(&tellings);
    let project = |one: &DynamicObject| {
        let entries = one.data["status"]["external"].as_array();
        let mut entries = entries.into_iter().flatten();
        let project = entries.find(|entry| entry["slot"] == "project");
        project.and_then(|entry| entry["id"].as_str().map(str::to_owned))
    };
    let took: BTreeMap<&str, &Telling> = tellings
        .iter()
        .filter(|one| one.is_taken())
        .map(|one| (one.project_id.as_str(), one))
        .collect();
    let mut held: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in members {
        let hold = &one.data["spec"]["claimRef"];
        let told = project(one).and_then(|project| took.get(project.as_str()).copied());
        match hold["uid"].as_str() {
            Some(uid) if hold["handedOverAt"].is_string() => {
                held.entry(uid.to_owned()).or_default().push(one.name_any());
                if let Some(other) = told.and_then(|told| told.claim.as_deref())
                    && other != uid
                {
                    wrong.push(format!(
                        "{} is of {uid} and took what is {other}'s",
                        one.name_any()
                    ));
                }
            }
            Some(uid) => wrong.push(format!(
                "{} was taken for {uid}, and no more",
                one.name_any()
            )),
            None if told.is_some() => {
                wrong.push(format!(
                    "{} is nobody's, and was told {told:?}",
                    one.name_any()
                ));
            }
            None => {}
        }
    }
    for (uid, agents) in held.iter().filter(|(_, agents)| agents.len() > 1) {
        wrong.push(format!("claim {uid} has {agents:?}"));
    }
    wrong.extend(told_twice(&tellings, living));
    for claim in list(fleet, tenant, "AgentClaim").await? {
        let has = held.get(&claim.uid().unwrap_or_default());
        let has = has.and_then(|agents| agents.first());
        wrong.extend(restless(&claim, has, &took, members, project));
    }
    wrong.extend(unfilled(fleet, tenant, members).await?);
    Ok(wrong)
}

/// Claims of which two agents know that live.
fn told_twice(tellings: &[Telling], living: &[Resource]) -> Vec<String> {
    let mut agents: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for telling in tellings.iter().filter(|one| one.is_taken()) {
        let lives = living.iter().any(|one| one.id == telling.project_id);
        if let Some(claim) = telling.claim.as_deref().filter(|_| lives) {
            agents.entry(claim).or_default().insert(&telling.project_id);
        }
    }
    agents.retain(|_, agents| agents.len() > 1);
    let words = |(claim, agents)| format!("claim {claim} was told to {agents:?}");
    agents.into_iter().map(words).collect()
}

/// Why a claim is not at rest: it neither has its agent, which knows who it is, nor says why it has none.
fn restless(
    claim: &DynamicObject,
    has: Option<&String>,
    took: &BTreeMap<&str, &Telling>,
    members: &[DynamicObject],
    project: impl Fn(&DynamicObject) -> Option<String>,
) -> Option<String> {
    let said: Vec<String> = conditions(claim).map(condition_line).collect();
    let why = |what: &str| {
        Some(format!(
            "claim {} {what}: {}",
            claim.name_any(),
            said.join("; ")
        ))
    };
    if claim.metadata.deletion_timestamp.is_some() {
        return why("is still being deleted");
    }
    let is = |kind: &str| condition(claim, kind).filter(|found| found["status"] == "True");
    let named = claim.data["status"]["instanceRef"]["name"].as_str();
    if is("Ready").is_some() {
        let own = members
            .iter()
            .find(|one| Some(one.name_any().as_str()) == named);
        let told = own
            .and_then(project)
            .and_then(|id| took.get(id.as_str()).copied());
        let knows = told.is_some_and(|told| told.claim == claim.uid());
        let followed =
            claim.data["status"]["observedGeneration"].as_i64() == claim.metadata.generation;
        return match (has.map(String::as_str) == named, knows, followed) {
            (true, true, true) => None,
            (false, ..) => why("is ready without an agent of its own"),
            (_, false, _) => why("is ready, and its agent was told nothing"),
            (.., false) => why("was changed, and that is not done"),
        };
    }
    if is("Expired").is_some() {
        return has.and_then(|agent| why(&format!("has expired, and {agent} is there")));
    }
    let reason = is("Stalled").and_then(|stalled| stalled["reason"].as_str());
    match reason.is_some_and(|reason| ENDS.contains(&reason)) {
        true => None,
        false => why("has no agent, and does not say why for good"),
    }
}

/// How a pool differs from what it wants and tells.
async fn unfilled(
    fleet: &Fleet<'_>,
    tenant: usize,
    members: &[DynamicObject],
) -> Result<Option<String>> {
    let pool = fleet.pool(tenant);
    let Some(object) = pool.find().await? else {
        return Ok(Some(format!("{} is not there", pool.title())));
    };
    let free = members
        .iter()
        .filter(|one| one.data["spec"]["claimRef"].is_null());
    let free = u64::try_from(free.count()).ok();
    let told = ["idle", "replicas"].map(|field| object.data["status"][field].as_u64());
    let full = told == [Some(IDLE); 2] && free == Some(IDLE);
    Ok((!full).then(|| {
        let said: Vec<String> = conditions(&object).map(condition_line).collect();
        format!(
            "{} wants {IDLE}, has {free:?} and tells {told:?}: {}",
            pool.title(),
            said.join("; ")
        )
    }))
}
