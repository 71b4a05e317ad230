//! The orphan sweep of every account: what the observers saw is compared with what ledgers claim, once an interval, and
//! what may be taken back is, one thing at a time.
//!
//! What holds: nothing is decided here (`engine::sweep`); before each deletion the thing is looked at by itself, and only
//! then are all ledgers and records read afresh from the API server, and the decision is taken again from both: whoever
//! made the thing had its intent on record before. At rest nothing is asked of anybody: the comparison is with what is in
//! memory anyway. Nothing here writes an account's status; its own writer is woken when there is something to tell.
//! Deliberately absent: a memory beyond this process; whoever leads next waits for every grace period anew.

use super::access::allowed;
use super::accounts::{Account, Inventory};
use super::audit::AuditEvent;
use super::context::Context;
use super::memories::sweeps::SweptAccount;
use super::paused::{of_account, recovers};
use super::wake::{self, template_of};
use crate::api::condition::reason;
use crate::api::money::Money;
use crate::api::{AgentInstance, Part, ProviderAccount, Seen};
use crate::cluster::{ClusterError, left_behind};
use crate::engine::breaker;
use crate::engine::restored;
use crate::engine::sweep::{Claims, HeldBack, Item, Swept, Verdict, View, sweep};
use crate::model::{Announcement, Done, Fault};
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use std::sync::Arc;
use std::time::Instant;

/// Runs until the process ends.
pub async fn watch(ctx: Arc<Context>) {
    loop {
        tokio::time::sleep(ctx.around.settings.observe_interval).await;
        if ctx.around.leave.take().is_ok() {
            round(&ctx).await;
        }
    }
}

/// Every account once.
async fn round(ctx: &Context) {
    let accounts = ctx.accounts.all().into_iter();
    let places: Vec<(Arc<dyn Account>, Inventory)> = accounts
        .filter_map(|account| {
            let inventory = account.inventory(ctx.around.reader())?;
            Some((account, inventory))
        })
        .collect();
    let mut claims = claims(ctx, ctx.stores.instances.all());
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
        match left_behind::read(&ctx.around.client, &ctx.around.settings.namespace).await {
            Ok(left) => {
                ctx.memories.left.read(left.things, ctx.around.now());
                claims.left_behind = left.words;
            }
            Err(error) => {
                tracing::debug!(%error, "sweep");
                complete = false;
            }
        }
    }
    for (place, inventory) in &places {
        let place = place.as_ref();
        let named = ObjectRef::new(place.name());
        let Some(Seen::Read(object)) = ctx.stores.accounts.get(&named) else {
            continue;
        };
        let known = complete.then_some(&claims);
        let cached = ctx.stores.instances.state();
        let restored = waited_for(ctx, &object, cached.iter().map(AsRef::as_ref)).await;
        let swept = decide(ctx, place, &object, inventory, known, restored);
        tell(ctx, place, &swept);
        // Whether that is nobody's is not said before it is clear what is remembered.
        if let Some(due) = swept.due.filter(|_| place.recollection().is_clear()) {
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
    place: &dyn Account,
    object: &ProviderAccount,
    inventory: &Inventory,
    claims: Option<&Claims>,
    restored: bool,
) -> Swept {
    let view = View {
        account: place.name(),
        provider: place.provider(),
        reading: Some((inventory.begun, &inventory.items)),
        claims,
        restored,
        acknowledged: breaker::may_take_back(object),
        paused: of_account(ctx, place.name()).is_some(),
        recovering: recovers(ctx, place.name()),
        sweep: &object.spec.sweep,
        settle: ctx.around.settings.limits.settle,
        now: ctx.around.now(),
    };
    let sweeps = &ctx.memories.sweeps;
    sweeps.of(place.name(), |known| sweep(&view, &mut known.memory))
}

/// Whether an instance that may have something in the account was restored, and waits for a word. What its tools are a
/// template says, which may not be restored yet: then it may have something wherever its namespace may.
async fn waited_for<'a>(
    ctx: &Context,
    account: &ProviderAccount,
    instances: impl Iterator<Item = &'a AgentInstance>,
) -> bool {
    let (name, may_use) = (account.name_any(), account.spec.allowed_namespaces.as_ref());
    for one in instances.filter(|one| restored::waits(one)) {
        let template = ctx.stores.templates.get(&template_of(one));
        let uses = ctx.stores.uses(one, &name);
        let may = template.is_none() && account.spec.railway.is_none();
        let namespace = one.namespace().unwrap_or_default();
        // Where nobody can say it is so. Nobody holds back what his namespace may not use.
        if (uses || may) && allowed(ctx, may_use, &namespace).await.unwrap_or(true) {
            return true;
        }
    }
    false
}

/// Keeps what people are told, and wakes the account's own writer where it is news.
fn tell(ctx: &Context, place: &dyn Account, swept: &Swept) {
    let news = ctx.memories.sweeps.of(place.name(), |known| {
        let before = known.findings.clone();
        known.findings.held_back = swept.held_back;
        if let Some(report) = &swept.report {
            known.findings.report = Some(report.clone());
            known.findings.kinds.clone_from(&swept.kinds);
        }
        before != known.findings
    });
    if let Some(report) = &swept.report {
        ctx.around
            .gauge
            .orphans(place.name(), &swept.kinds, report.monthly_cost_usd);
    }
    ctx.around
        .gauge
        .sweep_held_back(place.name(), swept.held_back.map(HeldBack::reason));
    if news {
        ctx.stores
            .tell(&wake::Change::Swept(place.name().to_owned()));
    }
}

/// Looks once more, decides once more, and deletes.
async fn take_back(
    ctx: &Context,
    place: &dyn Account,
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
            let now = ctx.around.now();
            let taken_back = |known: &mut SweptAccount| known.memory.taken_back(&item.id, now);
            ctx.memories.sweeps.of(place.name(), taken_back);
            let begun = Instant::now();
            let done = place.delete(item, *part).await;
            change(place, object, item).ended(done.as_ref().copied(), begun.elapsed());
            done
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
    ctx.around.gauge.swept(
        place.name(),
        outcome.as_ref().map_or_else(Fault::class, |()| "done"),
    );
    let said = announcement(item, &outcome);
    ctx.events.publish(&object.object_ref(&()), &[said]).await;
}

fn change<'a>(place: &'a dyn Account, object: &ProviderAccount, item: &'a Item) -> AuditEvent<'a> {
    let price = item.monthly_usd.filter(|usd| *usd > Money::ZERO);
    AuditEvent {
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        slot: item.kind.clone(),
        operation: "Sweep",
        provider: place.provider(),
        account: place.name(),
        id: &item.id,
        price: price.map_or_else(String::new, |usd| format!("{usd} USD a month")),
        ..AuditEvent::default()
    }
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
    place: &dyn Account,
    object: &ProviderAccount,
    inventory: &Inventory,
    item: &Item,
    part: Part,
) -> Result<bool, Unverified> {
    let Some(now) = place.look(item, part, ctx.around.reader()).await? else {
        return Ok(false);
    };
    if (&now.id, &now.name, &now.bears, &now.kind)
        != (&item.id, &item.name, &item.bears, &item.kind)
    {
        return Ok(false);
    }
    let instances = left_behind::instances(&ctx.around.client).await?;
    let read = instances.iter().filter_map(|one| one.read());
    let restored = waited_for(ctx, object, read.map(AsRef::as_ref)).await;
    let mut claims = claims(ctx, instances);
    let left = left_behind::read(&ctx.around.client, &ctx.around.settings.namespace).await?;
    claims.left_behind = left.words;
    let swept = decide(ctx, place, object, inventory, Some(&claims), restored);
    let same = swept
        .due
        .and_then(|due| inventory.items.get(due))
        .is_some_and(|chosen| chosen.id == item.id);
    Ok(same && place.recollection().is_clear() && ctx.around.leave.take().is_ok())
}

/// What living instances claim.
fn claims(ctx: &Context, instances: Vec<Seen<AgentInstance>>) -> Claims {
    let mut claims = Claims::of(instances.iter().cloned());
    for one in instances.iter().filter_map(Seen::read) {
        claims.expect(&ctx.around.installation.id, one, ctx.stores.slots_of(one));
    }
    claims
}
