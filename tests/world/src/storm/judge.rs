//! What must be true when a storm is over: every agent is as its object says, pools and claims are as they should be (`claims`), ledgers imply what lives outside and nothing
//! else does, rest is rest, and everything goes.
//!
//! Holds: what is wrong is told of all agents at once, not of the first. Absent: mercy, but for what a hand took away and the
//! object reports as such.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;
use tokio::time;

use super::claims;
use super::fleet::Fleet;
use super::script::{Agent, Claimant, TENANTS};
use crate::books;
use crate::object::{condition, condition_line, conditions};
use crate::outside::Resource;
use crate::tenant::Tenant;

/// How long is waited for rest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience(Duration);

impl Patience {
    pub(super) const COMING_UP: Patience = Patience(Duration::from_secs(180));
    pub(super) const AFTER_A_STORM: Patience = Patience(Duration::from_secs(150));
}

const GOING: Duration = Duration::from_secs(150);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// So long nothing may happen at rest: several intervals of every observer.
const STILL: Duration = Duration::from_secs(6);

/// A thing outside: its provider and kind, and its id as ledgers write it.
type Thing = (String, String);

/// Waits until everything is as it should be; how many things were held against ledgers.
pub(super) async fn at_rest(fleet: &Fleet<'_>, patience: Patience) -> Result<usize> {
    let begun = Instant::now();
    loop {
        let mut wrong = Vec::new();
        let mut compared = 0;
        for tenant in 0..TENANTS {
            let (of_tenant, count) = judge(fleet, tenant).await?;
            wrong.extend(of_tenant);
            compared += count;
        }
        if wrong.is_empty() {
            return Ok(compared);
        }
        if begun.elapsed() > patience.0 {
            bail!("not at rest after {:?}:\n{}", patience.0, wrong.join("\n"));
        }
        time::sleep(LOOK_EVERY).await;
    }
}

/// What is wrong with a tenant's agents, and how much was compared.
async fn judge(fleet: &Fleet<'_>, number: usize) -> Result<(Vec<String>, usize)> {
    let tenant = &fleet.tenants[number];
    let mut wrong = Vec::new();
    let mut implied: BTreeMap<Thing, (String, bool)> = BTreeMap::new();
    // Of each template: its instances, and those that are at its revision: all that are ready, but for those that a loss keeps from it.
    let mut followers: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut objects = Vec::new();
    for agent in fleet.agents.iter().filter(|agent| agent.tenant == number) {
        let title = format!("{}/{}", tenant.namespace(), agent.name());
        let Some(object) = fleet.instance(*agent).find().await? else {
            wrong.push(format!("{title} is not there"));
            continue;
        };
        if let Some(why) = restless(least(*agent), true, &object) {
            wrong.push(format!("{title} {why}"));
        }
        let (all, updated) = followers.entry(agent.kind().template()).or_default();
        *all += 1;
        let says = |kind: &str| condition(&object, kind).is_some_and(|it| it["status"] == "True");
        let lost = condition(&object, "Stalled")
            .is_some_and(|it| it["status"] == "True" && it["reason"] == "DeletedExternally");
        *updated += usize::from(says("Ready") && (says("TemplateSynced") || !lost));
        wrong.extend(implies(&mut implied, &title, &object));
        objects.push(object);
    }
    let members = claims::members(fleet, number).await?;
    for object in &members {
        let title = format!("{}/{}", tenant.namespace(), object.name_any());
        // A claim's agent stays at the revision at which it was taken.
        let follows = object.data["spec"]["claimRef"].is_null();
        if let Some(why) = restless(SLOTS, follows, object) {
            wrong.push(format!("{title} {why}"));
        }
        wrong.extend(implies(&mut implied, &title, object));
    }
    for (name, counts) in followers {
        let template = tenant.template(name).get().await?;
        let status = &template.data["status"];
        let told = ["instances", "updatedInstances"].map(|field| status[field].as_u64());
        if told != [counts.0, counts.1].map(|count| u64::try_from(count).ok()) {
            wrong.push(format!(
                "template {name} tells {told:?} instances and updated ones, and not {counts:?}"
            ));
        }
    }
    let living = tenant.inventory().await?.resources;
    let there: BTreeSet<Thing> = living.iter().filter_map(lives).collect();
    for thing in &there {
        if !implied.contains_key(thing) {
            wrong.push(format!("{thing:?} lives and is in no ledger"));
        }
    }
    for (thing, (title, told)) in &implied {
        if !told && !there.contains(thing) {
            wrong.push(format!(
                "{title} has {thing:?} in its ledger, which is not there"
            ));
        }
    }
    wrong.extend(doubled_keys(&living));
    wrong.extend(claims::wrong(fleet, number, &members, &living).await?);
    objects.extend(members);
    wrong.extend(books::differences(tenant, &objects, &living).await?);
    Ok((wrong, there.len()))
}

/// Takes in what an agent's ledger implies to live; what another one has as well.
fn implies(
    implied: &mut BTreeMap<Thing, (String, bool)>,
    title: &str,
    object: &DynamicObject,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for entry in entries(object) {
        let Some(thing) = thing(entry) else { continue };
        let told = reports_loss(object, entry["slot"].as_str().unwrap_or_default());
        if let Some((other, _)) = implied.insert(thing.clone(), (title.to_owned(), told)) {
            wrong.push(format!("{title} and {other} both have {thing:?}"));
        }
    }
    wrong
}

/// Why an agent is not at rest. `least`: slots that it has at least; `follows`: whether it is to be at its template's revision.
fn restless(least: usize, follows: bool, object: &DynamicObject) -> Option<String> {
    let told = || {
        let lines: Vec<String> = conditions(object).map(condition_line).collect();
        lines.join("; ")
    };
    if object.metadata.deletion_timestamp.is_some() {
        return Some(format!("is still being deleted: {}", told()));
    }
    let moving = entries(object).find(|entry| entry["state"] != "Exists");
    if let Some(entry) = moving {
        return Some(format!("has {entry} in its ledger: {}", told()));
    }
    let current = |found: &&Value| {
        found["observedGeneration"].as_i64() == object.metadata.generation
            && found["status"] == "True"
    };
    let ready = condition(object, "Ready").filter(current).is_some();
    let lost = condition(object, "Stalled")
        .filter(current)
        .is_some_and(|stalled| stalled["reason"] == "DeletedExternally");
    if !ready && !lost {
        return Some(format!("is neither ready nor reports a loss: {}", told()));
    }
    let synced = condition(object, "TemplateSynced")
        .filter(current)
        .is_some();
    // Whoever reports a loss is passed over by a rollout until a person has said what becomes of that.
    if ready && follows && !synced && !lost {
        return Some(format!("is behind its template: {}", told()));
    }
    let slots = entries(object).count();
    (ready && slots < least).then(|| format!("is ready with {slots} slots alone"))
}

/// Project, environment, service, domain, configuration: every agent has these.
const SLOTS: usize = 5;

/// Slots that an agent of a kind has at least: those, and its own.
fn least(agent: Agent) -> usize {
    use super::script::Kind;
    match agent.kind() {
        Kind::Plain => SLOTS,
        Kind::Disk => SLOTS + 1,
        // All six tools have nine parts; the phone and its profile may not be there.
        Kind::Six => 14,
        Kind::Demand => 12,
    }
}

fn entries(object: &DynamicObject) -> impl Iterator<Item = &Value> {
    object.data["status"]["external"]
        .as_array()
        .into_iter()
        .flatten()
}

/// Whether the object says that somebody took this away.
fn reports_loss(object: &DynamicObject, slot: &str) -> bool {
    let stalled = condition(object, "Stalled")
        .is_some_and(|stalled| stalled["reason"] == "DeletedExternally");
    let tools = object.data["status"]["tools"].as_array();
    let tool = tools.into_iter().flatten().any(|tool| {
        let name = tool["name"].as_str().unwrap_or_default();
        let own = format!("tool/{name}");
        tool["reason"] == "DeletedExternally"
            && (slot == own || slot.starts_with(&format!("{own}/")))
    });
    stalled && !slot.starts_with("tool/") || tool
}

/// What a ledger's entry implies to live.
fn thing(entry: &Value) -> Option<Thing> {
    let slot = entry["slot"].as_str()?;
    let id = entry["id"].as_str()?.to_owned();
    let provider = entry["provider"].as_str()?;
    let part = slot
        .strip_prefix("tool/")
        .map(|tool| tool.split_once('/').map_or("main", |(_, part)| part));
    let kind = match (provider, part) {
        ("railway", None) => match slot {
            "project" | "service" | "volume" | "domain" => slot,
            _ => return None,
        },
        ("openrouter" | "exa", Some("main")) => "key",
        ("agentmail", Some("main")) => "inbox",
        ("agentmail", Some("key")) => "key",
        ("telnyx", Some("main")) => "number",
        ("telnyx", Some("profile")) => "messagingProfile",
        ("bankr", Some("main")) => "wallet",
        // A wallet's key is known by its fingerprint alone, and a wallet made here is nowhere else.
        _ => return None,
    };
    Some((format!("{provider}/{kind}"), id))
}

/// What lives, as ledgers name it; what rests, or is a part of something else, is nobody's business.
fn lives(resource: &Resource) -> Option<Thing> {
    let rests = resource.description.as_deref() == Some("suspended");
    let id = match (resource.provider.as_str(), resource.kind.as_str()) {
        ("railway", "project" | "service" | "volume" | "domain") => resource.id.clone(),
        ("exa", "key") => format!("sha256-{}", resource.id.get(..16).unwrap_or_default()),
        ("telnyx", "number") => resource.name.clone(),
        ("bankr", "wallet") if rests => return None,
        ("openrouter", "key")
        | ("agentmail", "inbox" | "key")
        | ("telnyx", "messagingProfile")
        | ("bankr", "wallet") => resource.id.clone(),
        _ => return None,
    };
    Some((format!("{}/{}", resource.provider, resource.kind), id))
}

/// A wallet at Bankr has one living key at most.
fn doubled_keys(living: &[Resource]) -> Vec<String> {
    let mut keys: BTreeMap<&str, usize> = BTreeMap::new();
    for key in living {
        if (key.provider.as_str(), key.kind.as_str()) == ("bankr", "key") {
            *keys
                .entry(key.parent.as_deref().unwrap_or_default())
                .or_default() += 1;
        }
    }
    keys.into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(wallet, count)| format!("wallet {wallet} has {count} keys"))
        .collect()
}

/// At rest nothing is written to Kubernetes and nothing is changed outside.
pub(super) async fn rests(fleet: &Fleet<'_>) -> Result<()> {
    let world = fleet.world;
    let (audit, journal) = (world.audit().mark()?, world.journal().mark()?);
    time::sleep(STILL).await;
    let writes: Vec<String> = world
        .audit()
        .since(audit)?
        .iter()
        .filter(|one| one.is_write() && one.is_controller())
        // The lease is life itself; an account tells its budget in steps.
        .filter(|one| one.resource != "leases" && one.resource != "provideraccounts")
        .map(|one| format!("{} {} {}/{}", one.verb, one.uri, one.namespace, one.name))
        .collect();
    ensure!(writes.is_empty(), "written at rest: {writes:#?}");
    let changes: Vec<String> = world
        .journal()
        .since(journal)?
        .iter()
        .filter(|one| match one.provider.as_str() {
            "railway" => one.request["query"]
                .as_str()
                .is_some_and(|query| query.trim_start().starts_with("mutation")),
            _ => one.method != "GET" && one.method != "HEAD",
        })
        .map(|one| format!("{} {}", one.provider, one.operation))
        .collect();
    ensure!(changes.is_empty(), "changed outside at rest: {changes:#?}");
    Ok(())
}

/// Everything goes: agents, then what they stood on. How many wallets stay, suspended.
pub(super) async fn goes(fleet: &Fleet<'_>) -> Result<usize> {
    let mut going = Vec::new();
    for tenant in 0..TENANTS {
        let object = |number| Claimant { tenant, number };
        let claims = (0..Claimant::EACH).map(object);
        for claim in claims.map(|claim| fleet.claim(claim)) {
            claim.delete().await?;
        }
        // First the pool, which makes others for those that go.
        fleet.pool(tenant).delete().await?;
        going.push(fleet.pool(tenant));
        for member in claims::members(fleet, tenant).await? {
            going.push(fleet.tenants[tenant].instance(&member.name_any()));
        }
    }
    going.extend(fleet.agents.iter().map(|agent| fleet.instance(*agent)));
    for object in &going {
        object.delete().await?;
    }
    let mut stuck = Vec::new();
    let begun = Instant::now();
    for object in &going {
        let left = GOING.saturating_sub(begun.elapsed()).max(LOOK_EVERY);
        if let Err(error) = object.wait_gone(left).await {
            stuck.push(format!("{error:#}"));
        }
    }
    ensure!(stuck.is_empty(), "not gone: {}", stuck.join("\n"));
    let mut wallets = 0;
    for tenant in &fleet.tenants {
        let left = tenant.inventory().await?.resources;
        let living: Vec<&Resource> = left.iter().filter(|one| !stays(one)).collect();
        ensure!(
            living.is_empty(),
            "all agents are gone, but not {living:#?}"
        );
        wallets += left.len();
    }
    for tenant in &fleet.tenants {
        clear(fleet, tenant).await?;
    }
    Ok(wallets)
}

/// What may stay: a wallet that is suspended, because it may hold money.
fn stays(resource: &Resource) -> bool {
    resource.kind == "wallet" && resource.description.as_deref() == Some("suspended")
}

async fn clear(fleet: &Fleet<'_>, tenant: &Tenant<'_>) -> Result<()> {
    let world = fleet.world;
    let providers = ["openrouter", "exa", "agentmail", "telnyx", "bankr"];
    let mut names: Vec<String> = providers
        .iter()
        .map(|provider| format!("{}-{provider}", tenant.name()))
        .collect();
    names.push(tenant.name().to_owned());
    for name in &names {
        world.object("ProviderAccount", None, name).delete().await?;
    }
    let namespace = world.object("Namespace", None, tenant.namespace());
    namespace.delete().await?;
    for name in &names {
        let account = world.object("ProviderAccount", None, name);
        account.wait_gone(GOING).await?;
    }
    namespace.wait_gone(GOING).await
}
