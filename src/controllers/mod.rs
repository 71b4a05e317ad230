//! Does: gathers what a decision needs, asks the engine, enacts one step at a time, and reports.
//!
//! Follow one AgentInstance: a watch event goes into [`stores`], [`wake`] says for whom it is news, who is woken comes into
//! the line of its kind ([`queue`]) and through its door ([`kind`]) to [`instance`]: [`gather`] makes a `World`, which goes through
//! `passes::pass`; that asks `engine::plan` and lets [`enact`] carry out one step after the other, writing the ledger
//! before each and the status at the end. [`failures`] says when to come again after an error of the API server's.
//!
//! [`account`] and [`template`] are two other kinds. [`pool`] keeps agents idle, and [`claim`] takes one of them: [`lines`] knows
//! who waits and who is free, [`serving`] carries out the steps, [`telling`] calls the agent, [`announcing`] tells people of it. [`accounts`] keeps the way to each provider and what was read
//! there, [`rollouts`] where each rollout stands, [`memories`] what a process may forget. [`inquiries`] asks image
//! registries, [`sources`] notices changed Secrets and ConfigMaps, [`sweep`] finds what nobody claims (and [`survey`]
//! shows it; what is left behind on purpose is in [`records`]), [`audit`] logs what was changed outside, [`unreadable`] tells of objects that this version cannot read.
//!
//! What holds: nothing is decided here; an outside change is sent only by the leader; no pass waits for time.

mod access;
pub mod account;
pub mod accounts;
mod announcing;
pub mod around;
pub mod audit;
pub mod claim;
pub mod context;
pub mod enact;
pub mod ended;
mod equipment;
pub mod failures;
pub mod gather;
pub mod inquiries;
pub mod instance;
mod keeping;
pub mod kind;
pub mod lines;
pub mod memories;
pub mod outside;
mod paused;
mod places;
pub mod pool;
pub mod queue;
pub mod records;
mod restored;
mod retelling;
mod rollouts;
mod serving;
pub mod sources;
pub mod store;
pub mod stores;
pub mod survey;
pub mod sweep;
mod telling;
pub mod template;
mod turned;
pub mod uid;
pub mod unreadable;
pub mod wake;

pub use around::{Around, Gauge, Settings};
pub use context::Context;

use crate::api::{AgentClaim, AgentInstance, AgentPool, AgentTemplate, ProviderAccount};
use crate::wire::held;
use std::future::Future;
use std::sync::Arc;

/// Runs every kind until `stop`; passes that are under way come to their end.
pub async fn run<S>(ctx: Arc<Context>, stop: S)
where
    S: Future<Output = ()> + Send + Sync + Clone + 'static,
{
    tokio::select! {
        () = stop.clone() => return,
        () = ctx.stores.filled() => {}
    }
    let all = async {
        futures::join!(
            kind::run::<AgentInstance, S>(&ctx, &stop),
            kind::run::<AgentTemplate, S>(&ctx, &stop),
            kind::run::<ProviderAccount, S>(&ctx, &stop),
            kind::run::<AgentPool, S>(&ctx, &stop),
            kind::run::<AgentClaim, S>(&ctx, &stop),
        )
    };
    tokio::select! {
        _ = all => {}
        () = sources::watch(Arc::clone(&ctx)) => {}
        () = sweep::watch(Arc::clone(&ctx)) => {}
        () = announcing::run(Arc::clone(&ctx)) => {}
    }
}
