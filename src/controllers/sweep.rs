//! The orphan sweep of every account: what the observers saw is compared with what ledgers claim, once an interval, and
//! what may be taken back is, one thing at a time.
//!
//! What holds: nothing is decided here (`engine::sweep`); before each deletion the thing is looked at by itself, and only
//! then are all ledgers and records read afresh from the API server, and the decision is taken again from both: whoever
//! made the thing had its intent on record before. At rest nothing is asked of anybody: the comparison is with what is in
//! memory anyway. Nothing here writes an account's status; its own writer is woken when there is something to tell.
//! Deliberately absent: a memory beyond this process; whoever leads next waits for every grace period anew.

use super::accounts::Account;
use super::context::Context;
use super::held;
use super::tool_accounts::ToolAccount;
use crate::api::condition::reason;
use crate::api::{AgentInstance, Part, ProviderAccount};
use crate::cluster::{ClusterError, left_behind};
use crate::engine::sweep::{
    Claims, Findings, HeldBack, Item, Memory, Reader, Swept, Verdict, View, sweep,
};
use crate::model::slot::RAILWAY;
use crate::model::tool::Named;
use crate::model::{Announcement, Done, Fault, Sight};
use crate::railway::Class;
use jiff::Timestamp;
use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// What sweeps have seen, by account.
#[derive(Default)]
pub struct Sweeps {
    known: Mutex<BTreeMap<String, Known>>,
    recorded: Mutex<BTreeSet<String>>,
}

#[derive(Default)]
struct Known {
    memory: Memory,
    findings: Findings,
}

impl Sweeps {
    /// What was found in an account.
    pub fn findings(&self, account: &str) -> Findings {
        let known = held(&self.known);
        known
            .get(account)
            .map(|known| known.findings.clone())
            .unwrap_or_default()
    }

    /// The account is gone.
    pub fn forget(&self, account: &str) {
        held(&self.known).remove(account);
    }
}

/// An account of either kind.
enum Place {
    Railway(Arc<Account>),
    Tool(Arc<ToolAccount>),
}

/// What the provider showed, with what is needed to find each thing again.
struct Inventory {
    begun: Timestamp,
    items: Vec<Item>,
    parts: Vec<Part>,
}

impl Place {
    fn name(&self) -> &str {
        match self {
            Place::Railway(account) => &account.name,
            Place::Tool(account) => &account.name,
        }
    }

    fn provider(&self) -> &'static str {
        match self {
            Place::Railway(_) => RAILWAY,
            Place::Tool(account) => account.provider_name,
        }
    }

    fn inventory(&self, ctx: &Context) -> Option<Inventory> {
        let reader = reader(ctx);
        Some(match self {
            Place::Railway(account) => {
                let (begun, homes) = account.inventory()?;
                Inventory {
                    begun,
                    items: homes
                        .iter()
                        .map(|home| Item::of_home(home, reader))
                        .collect(),
                    parts: vec![Part::Main; homes.len()],
                }
            }
            Place::Tool(account) => {
                let stock = account.inventory()?;
                let provider = account.provider_name;
                Inventory {
                    begun: stock.begun,
                    items: stock
                        .resources
                        .iter()
                        .map(|one| Item::of_resource(provider, one, reader))
                        .collect(),
                    parts: stock.resources.iter().map(|one| one.part).collect(),
                }
            }
        })
    }

    /// The thing as it is now, by itself. `None`: it is gone, or cannot be told from one that is.
    async fn look(&self, ctx: &Context, item: &Item, part: Part) -> Done<Option<Item>> {
        match self {
            Place::Railway(account) => match account.gateway.look(&item.id, Class::Poll).await? {
                Sight::Seen(home) if !home.deleted => Ok(Some(Item::of_home(&home, reader(ctx)))),
                _ => Ok(None),
            },
            Place::Tool(account) => {
                let found = account.provider.look(&named(item, part)).await?;
                let provider = account.provider_name;
                Ok(found.map(|one| Item::of_resource(provider, &one, reader(ctx))))
            }
        }
    }

    async fn delete(&self, item: &Item, part: Part) -> Done<()> {
        match self {
            Place::Railway(account) => account.gateway.delete_project(&item.id).await,
            Place::Tool(account) => account.provider.delete(&named(item, part), false).await,
        }
    }
}

fn reader(ctx: &Context) -> Reader<'_> {
    Reader {
        installation: &ctx.installation.id,
        seal: &ctx.installation.seal,
    }
}

fn named(item: &Item, part: Part) -> Named {
    Named {
        part,
        id: item.id.clone(),
        key: item.name.clone(),
        seen: true,
        parts: BTreeMap::new(),
    }
}

/// Runs until the process ends.
pub async fn watch(ctx: Arc<Context>) {
    ctx.caches_read().await;
    loop {
        tokio::time::sleep(ctx.settings.observe_interval).await;
        if ctx.gauge.may_act() {
            round(&ctx).await;
        }
    }
}

/// Every account once.
async fn round(ctx: &Context) {
    let mut places: Vec<(Place, Inventory)> = Vec::new();
    let railway = ctx.accounts.all().into_iter().map(Place::Railway);
    let tools = ctx.tool_accounts.all().into_iter().map(Place::Tool);
    for place in railway.chain(tools) {
        if let Some(inventory) = place.inventory(ctx) {
            places.push((place, inventory));
        }
    }
    let cached = ctx.instances.state();
    let mut claims = Claims::of(cached.iter().map(AsRef::as_ref));
    // What was left behind is asked for only where something is nobody's: at rest that is never.
    let loose = |claims: &Claims| {
        places.iter().any(|(_, inventory)| {
            inventory
                .items
                .iter()
                .any(|item| orphaned(item, claims, inventory.begun))
        })
    };
    let mut complete = true;
    if loose(&claims) {
        match left_behind::read(&ctx.client, &ctx.settings.namespace).await {
            Ok(left) => claims.left_behind = left,
            Err(error) => {
                tracing::debug!(%error, "sweep");
                complete = false;
            }
        }
    }
    let restored = places
        .iter()
        .flat_map(|(_, inventory)| &inventory.items)
        .any(|item| claims.restored(item));
    for (place, inventory) in &places {
        let Some(object) = ctx.provider_accounts.get(&ObjectRef::new(place.name())) else {
            continue;
        };
        let known = complete.then_some(&claims);
        let swept = decide(ctx, place, &object, inventory, known, restored);
        tell(ctx, place, &swept);
        if let Some(due) = swept.due {
            take_back(ctx, place, &object, inventory, due).await;
        }
    }
}

fn orphaned(item: &Item, claims: &Claims, begun: Timestamp) -> bool {
    matches!(
        crate::engine::sweep::verdict(item, claims, begun),
        Verdict::Orphan { .. }
    )
}

fn decide(
    ctx: &Context,
    place: &Place,
    object: &ProviderAccount,
    inventory: &Inventory,
    claims: Option<&Claims>,
    restored: bool,
) -> Swept {
    let mut known = held(&ctx.sweeps.known);
    let view = View {
        account: place.name(),
        provider: place.provider(),
        reading: Some((inventory.begun, &inventory.items)),
        claims,
        restored,
        sweep: &object.spec.sweep,
        settle: ctx.settings.limits.settle,
        now: ctx.now(),
    };
    let entry = known.entry(place.name().to_owned()).or_default();
    sweep(&view, &mut entry.memory)
}

/// Keeps what people are told, and wakes the account's own writer where it is news.
fn tell(ctx: &Context, place: &Place, swept: &Swept) {
    let news = {
        let mut known = held(&ctx.sweeps.known);
        let entry = known.entry(place.name().to_owned()).or_default();
        let before = entry.findings.clone();
        entry.findings.held_back = swept.held_back;
        if let Some(report) = &swept.report {
            entry.findings.report = Some(report.clone());
            entry.findings.kinds.clone_from(&swept.kinds);
        }
        before != entry.findings
    };
    if let Some(report) = &swept.report {
        ctx.gauge
            .orphans(place.name(), &swept.kinds, report.monthly_cost_usd);
    }
    ctx.gauge
        .sweep_held_back(place.name(), swept.held_back.map(HeldBack::reason));
    if news {
        ctx.wake.account(place.name());
    }
}

/// Looks once more, decides once more, and deletes.
async fn take_back(
    ctx: &Context,
    place: &Place,
    object: &ProviderAccount,
    inventory: &Inventory,
    due: usize,
) {
    let (Some(item), Some(part)) = (inventory.items.get(due), inventory.parts.get(due)) else {
        return;
    };
    let outcome = match verified(ctx, place, object, inventory, item, *part).await {
        Ok(true) => {
            // What is tried counts, whatever comes of it.
            let now = ctx.now();
            if let Some(known) = held(&ctx.sweeps.known).get_mut(place.name()) {
                known.memory.taken_back(&item.id, now);
            }
            tracing::info!(
                account = place.name(),
                kind = item.kind,
                id = item.id,
                name = item.name,
                "sweep: taking back what nobody claims"
            );
            place.delete(item, *part).await
        }
        Ok(false) => return,
        Err(Unverified::Outside(fault)) => {
            tracing::debug!(
                account = place.name(),
                class = fault.class(),
                "sweep: {fault}"
            );
            return;
        }
        Err(Unverified::Cluster(error)) => {
            tracing::debug!(account = place.name(), %error, "sweep");
            return;
        }
    };
    ctx.gauge.swept(
        place.name(),
        outcome.as_ref().map_or_else(Fault::class, |()| "done"),
    );
    let said = announcement(item, &outcome);
    ctx.events.publish(&object.object_ref(&()), &[said]).await;
}

fn announcement(item: &Item, outcome: &Done<()>) -> Announcement {
    let what = format!("{} {} ({})", item.kind, item.id, item.name);
    let (reason, note) = match outcome {
        Ok(()) => (
            reason::ORPHAN_DELETED,
            format!("{what} bore this installation's marker and stood in no ledger: taken back"),
        ),
        Err(fault) => (
            reason::ORPHAN_NOT_DELETED,
            format!(
                "{what} bears this installation's marker and stands in no ledger, and could not be taken back: {}",
                fault.message()
            ),
        ),
    };
    Announcement {
        warning: outcome.is_err(),
        reason,
        action: "Sweep",
        note,
    }
}

enum Unverified {
    Outside(Fault),
    Cluster(ClusterError),
}

impl From<Fault> for Unverified {
    fn from(fault: Fault) -> Unverified {
        Unverified::Outside(fault)
    }
}

impl From<ClusterError> for Unverified {
    fn from(error: ClusterError) -> Unverified {
        Unverified::Cluster(error)
    }
}

/// Whether the thing is still what it was taken for: by a look at itself, then by all ledgers as they are now.
async fn verified(
    ctx: &Context,
    place: &Place,
    object: &ProviderAccount,
    inventory: &Inventory,
    item: &Item,
    part: Part,
) -> Result<bool, Unverified> {
    let Some(now) = place.look(ctx, item, part).await? else {
        return Ok(false);
    };
    if (&now.id, &now.name, &now.bears, &now.kind)
        != (&item.id, &item.name, &item.bears, &item.kind)
    {
        return Ok(false);
    }
    let instances = left_behind::instances(&ctx.client).await?;
    let mut claims = Claims::of(&instances);
    claims.left_behind = left_behind::read(&ctx.client, &ctx.settings.namespace).await?;
    let restored = inventory.items.iter().any(|item| claims.restored(item));
    let swept = decide(ctx, place, object, inventory, Some(&claims), restored);
    let same = swept
        .due
        .and_then(|due| inventory.items.get(due))
        .is_some_and(|chosen| chosen.id == item.id);
    Ok(same && ctx.gauge.may_act())
}

/// Records what an instance leaves behind on purpose, before the pass that lets go of it: of the very object that the pass
/// decides upon. A pass that cannot record is put off.
pub async fn remember(instance: &AgentInstance, ctx: &Context) -> Result<(), ClusterError> {
    let Some(record) = left_behind::record(instance) else {
        return Ok(());
    };
    let name = record.name.clone();
    if !held(&ctx.sweeps.recorded).contains(&name) {
        left_behind::keep(&ctx.client, &ctx.settings.namespace, record).await?;
        held(&ctx.sweeps.recorded).insert(name);
    }
    Ok(())
}
