//! What a workspace's projects cost: asked for beside the readings, and told to the account and to whom it is worth telling.
//!
//! Holds: nobody waits for it, because a workspace is many pages; it is asked for only while this process may act, the credential
//! is good and the provider answers. Deliberately absent: what is remembered of it (`costs`), and what is worth telling
//! (`engine::costs`).

use super::account::Account;
use super::railway::Workspace;
use crate::api::limits::MonthlyUsd;
use crate::api::money::Money;
use crate::api::{AgentInstance, NamespacedName};
use crate::controllers::around::Around;
use crate::controllers::stores::Stores;
use crate::controllers::wake::Change;
use crate::engine::costs;
use crate::engine::view;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether what was never told can be asked for by now.
const SOON: Duration = Duration::from_secs(1);

/// Asks until the account is removed.
pub async fn follow(around: Arc<Around>, stores: Arc<Stores>, account: Arc<Workspace>) {
    loop {
        let now = around.now();
        let answers = account.usable().is_ok() && account.outage().is_none();
        if answers && account.costs.due(now) && around.leave.take().is_ok() {
            let before = account.costs.untold(now);
            let told = account.gateway.costs(costs::month(now)).await;
            if let Err(fault) = &told {
                tracing::warn!(
                    account = account.name,
                    "what projects cost is not told: {fault}"
                );
            }
            let news = told.is_ok();
            account.costs.take(now, told);
            if news || before != account.costs.untold(now) {
                tell(&account, &stores, now);
            }
        }
        let interval = around.settings.observe_interval;
        let pause = match account.costs.known(around.now()) {
            true => interval,
            false => interval.min(SOON),
        };
        tokio::time::sleep(pause).await;
    }
}

fn tell(account: &Workspace, stores: &Stores, now: Timestamp) {
    let worth = |one: &AgentInstance| {
        let status = one.status.as_ref();
        let project = status.and_then(|status| status.project.as_ref());
        let told = project.and_then(|project| project.month_usd);
        costs::told(told, cost(account, one, now)) != told
    };
    let all = stores.recorded_in(&account.name).into_iter();
    let concerned = all.filter(|one| worth(one));
    let concerned = concerned.map(|one| NamespacedName::of(one.as_ref()));
    stores.tell(&Change::Costs(concerned.collect()));
    stores.tell(&Change::Counted(account.name.clone()));
}

/// What an instance's own project has cost this month. `None`: not known, there is none, or others live in it too.
pub fn cost(account: &Workspace, instance: &AgentInstance, now: Timestamp) -> Option<Money> {
    let project = view::own_project(instance)?;
    account.costs.of(project, now)
}

/// What this installation's projects have cost this month, by namespace: those that bear its marker, and those that ledgers know
/// alone. `None`: not known yet.
pub fn monthly(
    around: &Around,
    stores: &Stores,
    account: &Workspace,
) -> Option<BTreeMap<String, MonthlyUsd>> {
    let (ours, now) = (
        account.ours_by_namespace(&around.installation.id)?,
        around.now(),
    );
    let marked: HashSet<String> = ours.iter().map(|(id, _)| id.clone()).collect();
    let recorded = stores.recorded_in(&account.name);
    let adopted = recorded.iter().filter_map(|one| {
        let id = view::own_project(one)?;
        (!marked.contains(id)).then(|| (id.to_owned(), NamespacedName::of(one.as_ref()).namespace))
    });
    let mut all: BTreeMap<String, MonthlyUsd> = BTreeMap::new();
    for (id, namespace) in ours.into_iter().chain(adopted) {
        let cost = account.costs.of(&id, now)?;
        let sum = all.entry(namespace).or_default();
        sum.spent = sum.spent + cost;
        sum.committed = sum.spent;
    }
    Some(all)
}
