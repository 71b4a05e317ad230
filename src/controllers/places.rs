//! Places in accounts: what others take, and one for whoever is told that there is room; and orders of what costs money by the
//! piece.
//!
//! Holds: what is counted is what the stores, the last believed listing and the records of what was left behind show, looked at
//! while nobody else takes a place in the account. Deliberately absent: how it is counted (`engine::places`).

use super::accounts::{ToolAccount, Workspace};
use super::context::Context;
use super::memories::places::KnownPlaces;
use super::turned::Ref;
use crate::api::condition::{kind, reason};
use crate::api::instance::OperatingMode;
use crate::api::limits::MonthlyUsd;
use crate::api::{AgentInstance, LedgerEntry, ProviderAccount, ProviderAccountStatus, Seen, Slot};
use crate::cluster::call::call;
use crate::cluster::{ClusterError, left_behind, status};
use crate::engine::orders::{order, strike};
use crate::engine::places::{Most, PlaceAsked, TakenPlaces, Taker, Things, room};
use crate::model::monthly;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::api::Api;
use std::collections::BTreeMap;

/// Places that others take in a workspace. With `takes`, the instance takes one where there is room. `None` before the first
/// reading of it.
pub fn of_project(
    ctx: &Context,
    account: &Workspace,
    instance: &AgentInstance,
    takes: bool,
) -> Option<TakenPlaces> {
    let (asks, now) = (Taker::of(instance, Slot::Project), ctx.around.now());
    let most = most(ctx, &account.name);
    // What nobody knows the cost of may be above every limit.
    if most.is_some_and(Most::has_price) && !account.costs.known(now) {
        return None;
    }
    let most = most.filter(|_| takes);
    let takes = most.map(|most| (most, PlaceAsked::PROJECT));
    let known = || account.known(&ctx.around, &ctx.stores, &asks);
    let places = &ctx.memories.places;
    places.count(&account.name, &asks, now, takes, known)
}

/// How many more projects of a namespace there may be in an account, and why no more where that is none. `made`: agents that were
/// made there a moment ago and that no store shows.
pub fn of_pool(
    ctx: &Context,
    account: &str,
    namespace: &str,
    made: usize,
) -> (usize, Option<String>) {
    let Some(most) = most(ctx, account) else {
        return (0, None);
    };
    let asks = Taker {
        identity: String::new(),
        slot: Slot::Project,
        namespace: namespace.to_owned(),
    };
    let now = ctx.around.now();
    let workspace = ctx.accounts.workspace(account);
    let taken = workspace.and_then(|workspace| {
        let known = || workspace.known(&ctx.around, &ctx.stores, &asks);
        ctx.memories.places.glance(account, &asks, now, known)
    });
    // Before its first reading, what its status says.
    let taken = taken.unwrap_or_else(|| {
        let object = ctx.stores.accounts.get(&Ref::new(account));
        let object = object.as_ref().and_then(Seen::read);
        let told = object.and_then(|object| object.status.as_ref()?.resources);
        TakenPlaces {
            all: told.map_or(0, |told| usize::try_from(told).unwrap_or(0)),
            ..TakenPlaces::default()
        }
    });
    let mut coming = TakenPlaces {
        all: made,
        namespace: made,
        ..TakenPlaces::default()
    };
    let there = ctx.stores.recorded_in(account);
    for one in there.iter().filter(|one| asks_for_home(one, account)) {
        coming.all += 1;
        coming.namespace += usize::from(one.namespace().as_deref() == Some(namespace));
    }
    room(most, taken, coming, (account, namespace))
}

/// Whether an instance has no project yet, and will ask for one in an account.
fn asks_for_home(instance: &AgentInstance, account: &str) -> bool {
    let conditions = instance.status.iter().flat_map(|status| &status.conditions);
    let mut stalled = conditions.filter(|one| one.type_ == kind::STALLED && one.status == "True");
    instance.spec.account_ref.name.as_str() == account
        && instance.spec.operating_mode == OperatingMode::Running
        && instance.metadata.deletion_timestamp.is_none()
        && instance.is_its_own()
        && !Taker::of(instance, Slot::Project).begun(instance)
        && stalled.all(|one| one.reason == reason::QUOTA_EXCEEDED)
}

/// The same of a tool's account. `None` before the records of what was left behind were read.
pub fn of_tool(
    ctx: &Context,
    account: &ToolAccount,
    instance: &AgentInstance,
    slot: Slot,
    takes: Option<PlaceAsked>,
) -> Option<TakenPlaces> {
    of_taker(ctx, account, &Taker::of(instance, slot), takes)
}

/// The same for whoever asks.
pub fn of_taker(
    ctx: &Context,
    account: &ToolAccount,
    asks: &Taker,
    takes: Option<PlaceAsked>,
) -> Option<TakenPlaces> {
    let now = ctx.around.now();
    let known = || known(ctx, account, Some(asks));
    let places = &ctx.memories.places;
    match takes {
        Some(asked) => {
            let most = most(ctx, &account.name);
            let takes = most.map(|most| (most, asked));
            places.count(&account.name, asks, now, takes, known)
        }
        None => places.glance(&account.name, asks, now, known),
    }
}

/// What is known to take a place in an account of tools. `asks`: whose own thing does not count.
fn known(ctx: &Context, account: &ToolAccount, asks: Option<&Taker>) -> Option<KnownPlaces> {
    let left = ctx.memories.left.of(&account.name)?;
    let (instances, mut things) = (ctx.stores.recorded_in(&account.name), Things::default());
    for one in &instances {
        things.record(&account.name, asks, one);
    }
    let limits = ctx.around.settings.limits;
    for (one, since) in &left {
        // A believed listing that could show it shows that it is gone.
        let (begun, shown) = account.seen(one.id.as_deref().unwrap_or_default(), &one.key);
        let could = match one.id {
            Some(_) => *since + limits.settle,
            None => limits.landed_by(*since),
        };
        let gone = begun.is_some_and(|begun| begun > could);
        if !(gone && shown.is_empty()) {
            things.left(one);
        }
    }
    Some(KnownPlaces { instances, things })
}

/// What is in an account of tools costs a month, by namespace. `None` before the records of what was left behind were read.
pub fn monthly(ctx: &Context, account: &ToolAccount) -> Option<BTreeMap<String, MonthlyUsd>> {
    let KnownPlaces { instances, things } = known(ctx, account, None)?;
    let mut all: BTreeMap<String, MonthlyUsd> = BTreeMap::new();
    for (namespace, committed) in things.committed() {
        all.entry(namespace).or_default().committed = committed;
    }
    for one in instances {
        let here = |entry: &LedgerEntry| entry.account == account.name;
        let costs = one
            .status
            .as_ref()
            .and_then(|status| monthly::of(status, here));
        if let Some(costs) = costs {
            let sum = all.entry(one.namespace().unwrap_or_default()).or_default();
            sum.spent = sum.spent + costs.spent;
        }
    }
    Some(all)
}

/// What an account's owner allows. `None`: it is not there, or cannot be read.
pub fn most(ctx: &Context, account: &str) -> Option<Most> {
    let object = ctx.stores.accounts.get(&Ref::new(account))?;
    object.read().map(|object| Most::of(&object.spec))
}

/// Reads what was left behind, unless this process knows it.
pub async fn recollect(ctx: &Context) -> Result<(), ClusterError> {
    if ctx.memories.left.of("").is_none() {
        let client = &ctx.around.client;
        let now = ctx.around.now();
        let left = left_behind::read(client, &ctx.around.settings.namespace).await?;
        ctx.memories.left.read(left.things, now);
    }
    Ok(())
}

/// Puts an order on record in its account's status. The answer: when one may be, where an hour's are.
pub async fn record_order(ctx: &Context, account: &str) -> Result<Option<Timestamp>, ClusterError> {
    let now = ctx.around.now();
    let refused = rewrite(ctx, account, |object| {
        let known = object
            .status
            .as_ref()
            .map_or(&[][..], |status| &status.orders);
        order(known, object.spec.limits.orders_per_hour, now)
    });
    Ok(refused.await?.err())
}

/// Takes an order off the record that certainly came to nothing.
pub async fn strike_order(ctx: &Context, account: &str) -> Result<(), ClusterError> {
    let struck = rewrite(ctx, account, |object| {
        let known = object
            .status
            .as_ref()
            .map_or(&[][..], |status| &status.orders);
        Ok::<_, ()>(strike(known))
    });
    struck.await.map(drop)
}

/// Writes an account's orders. Of two who write at once one is refused by the API server, and reads them again.
async fn rewrite<E>(
    ctx: &Context,
    account: &str,
    orders: impl Fn(&ProviderAccount) -> Result<Vec<Time>, E>,
) -> Result<Result<(), E>, ClusterError> {
    let api: Api<ProviderAccount> = Api::all(ctx.around.client.clone());
    loop {
        let object = call("reading the account of an order", api.get(account)).await?;
        let orders = match orders(&object) {
            Ok(orders) => orders,
            Err(refused) => return Ok(Err(refused)),
        };
        let status = ProviderAccountStatus {
            orders,
            ..object.status.clone().unwrap_or_default()
        };
        match status::write(&ctx.around.client, &object, &status).await {
            Ok(_) => return Ok(Ok(())),
            Err(ClusterError::Stale { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}
