//! The accounts in use: for each a gateway, what the last complete reading of it said, and the observer that reads it.
//!
//! What holds: one listing in an interval serves every instance of the account (design 3.5); a listing in which
//! something is missing that ledgers know is believed only when the provider's own count agrees with it; instances are
//! woken when what was seen of them has changed, and by nothing else; nothing here writes to Kubernetes.

use super::context::Context;
use crate::api::account::AccountIdentity;
use crate::api::{Slot, SlotState};
use crate::model::{Done, Fault, Home, InstallationId, Listing};
use crate::railway::{Gateway, Standing};
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// A credential that was found good is good for so long, as far as we ask.
const CHECKED_FOR: jiff::SignedDuration = jiff::SignedDuration::from_mins(30);

/// One account in use.
pub struct Account {
    /// Its name.
    pub name: String,
    /// The way to its provider.
    pub gateway: Gateway,
    /// Most projects of ours.
    pub max_projects: usize,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    check: Option<(Option<i64>, Timestamp)>,
    identity: Option<AccountIdentity>,
    refused: Option<String>,
    begun: Option<Timestamp>,
    homes: HashMap<String, Home>,
    suspect: Option<String>,
}

/// An account, and the task that reads it.
type Observed = (Arc<Account>, JoinHandle<()>);

/// Every account in use.
#[derive(Default)]
pub struct Accounts {
    known: Mutex<BTreeMap<String, Observed>>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Accounts {
    /// The account of that name, once it was set up.
    pub fn get(&self, name: &str) -> Option<Arc<Account>> {
        held(&self.known)
            .get(name)
            .map(|(account, _)| Arc::clone(account))
    }

    /// Sets an account up, and begins to observe it.
    pub fn add(
        &self,
        ctx: &Arc<Context>,
        name: &str,
        gateway: Gateway,
        max_projects: usize,
    ) -> Arc<Account> {
        let account = Arc::new(Account {
            name: name.to_owned(),
            gateway,
            max_projects,
            seen: Mutex::default(),
        });
        let observer = tokio::spawn(observe(Arc::clone(ctx), Arc::clone(&account)));
        if let Some((_, old)) =
            held(&self.known).insert(name.to_owned(), (Arc::clone(&account), observer))
        {
            old.abort();
        }
        account
    }

    /// Ends the observation of an account.
    pub fn remove(&self, name: &str) {
        if let Some((_, observer)) = held(&self.known).remove(name) {
            observer.abort();
        }
    }
}

impl Account {
    /// Whether the account can be used, and if not, why.
    pub fn usable(&self) -> Result<(), String> {
        let seen = held(&self.seen);
        match (&seen.refused, &seen.identity) {
            (Some(why), _) => Err(why.clone()),
            (None, None) => Err("its credential has not been checked yet".to_owned()),
            (None, Some(_)) => Ok(()),
        }
    }

    /// Who the credential says we are, once asked.
    pub fn identity(&self) -> Option<AccountIdentity> {
        held(&self.seen).identity.clone()
    }

    /// Whether the credential should be checked again: never checked for this generation, not good, or long ago.
    pub fn check_due(&self, generation: Option<i64>, now: Timestamp) -> bool {
        let seen = held(&self.seen);
        let recent = seen.check.is_some_and(|(checked, at)| {
            checked == generation && now.duration_since(at) < CHECKED_FOR
        });
        !recent || seen.identity.is_none() || seen.refused.is_some()
    }

    /// Asks that the credential be checked again: it has changed.
    pub fn check_again(&self) {
        held(&self.seen).check = None;
    }

    /// Records what the credential is good for, or why not. Answers whether that is news.
    pub fn checked(
        &self,
        generation: Option<i64>,
        now: Timestamp,
        identity: Option<AccountIdentity>,
        refused: Option<String>,
    ) -> bool {
        let mut seen = held(&self.seen);
        seen.check = Some((generation, now));
        let news = (identity.is_some() && seen.identity != identity) || seen.refused != refused;
        if identity.is_some() {
            seen.identity = identity;
        }
        seen.refused = refused;
        news
    }

    /// Why the provider counts as unreachable, if it does.
    pub fn outage(&self) -> Option<String> {
        if let Standing::Trouble { since, message, .. } = self.gateway.standing() {
            return Some(format!(
                "the provider has not answered since {since}: {message}"
            ));
        }
        held(&self.seen).suspect.clone()
    }

    /// When the last believed reading began, and what it showed of one instance.
    pub fn seen(&self, uid: &str, project: Option<&str>) -> (Option<Timestamp>, Vec<Home>) {
        let seen = held(&self.seen);
        let mine = |home: &&Home| {
            Some(home.id.as_str()) == project
                || home.marker.as_ref().is_some_and(|marker| marker.uid == uid)
        };
        (
            seen.begun,
            seen.homes.values().filter(mine).cloned().collect(),
        )
    }

    /// Projects of ours in the last believed reading.
    pub fn ours(&self, installation: &InstallationId) -> Option<usize> {
        let seen = held(&self.seen);
        seen.begun?;
        Some(
            seen.homes
                .values()
                .filter(|home| owner(home, installation))
                .count(),
        )
    }

    /// Reads the whole account now, and believes nothing that the provider's own count contradicts: for one who has to
    /// know that something is *not* there.
    pub async fn search(&self) -> Done<Listing> {
        let listing = self.gateway.list().await?;
        let count = self.gateway.living_projects().await?;
        agrees(&listing, count)?;
        Ok(listing)
    }
}

fn owner(home: &Home, installation: &InstallationId) -> bool {
    home.marker
        .as_ref()
        .is_some_and(|marker| &marker.installation == installation)
}

fn agrees(listing: &Listing, count: u64) -> Done<()> {
    let listed = u64::try_from(listing.homes.iter().filter(|home| !home.deleted).count())
        .unwrap_or(u64::MAX);
    if listed >= count {
        return Ok(());
    }
    Err(Fault::Transient {
        message: format!(
            "the provider lists {listed} projects and counts {count}: the listing is not believed"
        ),
    })
}

/// Reads an account once an interval, more often while it is in trouble.
async fn observe(ctx: Arc<Context>, account: Arc<Account>) {
    let interval = ctx.settings.observe_interval;
    loop {
        let outage = account.outage();
        let read = if ctx.gauge.may_act() {
            read(&ctx, &account).await
        } else {
            Ok(())
        };
        if let Err(fault) = &read {
            tracing::debug!(
                account = account.name,
                class = fault.class(),
                "reading the account: {fault}"
            );
        }
        // A refusal is no outage: the credential that was good is asked for again, and a person told.
        if matches!(read, Err(Fault::Denied { .. })) && account.usable().is_ok() {
            account.check_again();
            ctx.wake.account(&account.name);
        }
        let now_out = account.outage();
        ctx.gauge.account(
            &account.name,
            now_out.is_none(),
            u64::from(account.gateway.budget().remaining),
        );
        if outage.is_some() != now_out.is_some() {
            tracing::info!(
                account = account.name,
                outage = now_out.as_deref().unwrap_or("over"),
                "account"
            );
            ctx.wake.account(&account.name);
            wake_all(&ctx, &account.name);
        }
        let pause = if now_out.is_some() {
            interval.min(Duration::from_secs(5))
        } else {
            interval
        };
        tokio::time::sleep(pause).await;
    }
}

/// Wakes every instance of an account.
pub fn wake_all(ctx: &Context, account: &str) {
    for instance in ctx.instances.state() {
        if instance.spec.account_ref.name.as_str() == account {
            ctx.wake.instance(
                &instance.namespace().unwrap_or_default(),
                &instance.name_any(),
            );
        }
    }
}

/// One reading: believed, kept, and told to those whom it concerns.
async fn read(ctx: &Context, account: &Account) -> Done<()> {
    let listing = account.gateway.list().await?;
    let recorded: HashMap<String, (String, String)> = recorded(ctx, &account.name, listing.begun);
    let listed: HashMap<String, Home> = listing
        .homes
        .iter()
        .map(|home| (home.id.clone(), home.clone()))
        .collect();
    let missing: Vec<&String> = recorded
        .keys()
        .filter(|id| !listed.contains_key(*id))
        .collect();
    if !missing.is_empty() {
        let count = account.gateway.living_projects().await?;
        let verdict = agrees(&listing, count);
        held(&account.seen).suspect = verdict
            .as_ref()
            .err()
            .map(|fault| fault.message().to_owned());
        verdict?;
    } else {
        held(&account.seen).suspect = None;
    }
    let mut wake: Vec<(String, String)> = Vec::new();
    let resources = {
        let mut seen = held(&account.seen);
        let first = seen.begun.is_none();
        for (id, home) in &listed {
            let same = seen.homes.get(id).is_some_and(|old| {
                Home {
                    begun: home.begun,
                    ..old.clone()
                } == *home
            });
            if same && !first {
                continue;
            }
            match (&home.marker, recorded.get(id)) {
                (_, Some(who)) => wake.push(who.clone()),
                (Some(marker), None) if marker.installation == ctx.installation.id => {
                    wake.push((marker.namespace.clone(), marker.name.clone()));
                }
                _ => {}
            }
        }
        // One that was missing before has been told; it waits for a person.
        let newly = missing
            .into_iter()
            .filter(|id| first || seen.homes.contains_key(*id));
        wake.extend(newly.filter_map(|id| recorded.get(id).cloned()));
        let before = seen
            .homes
            .values()
            .filter(|home| owner(home, &ctx.installation.id))
            .count();
        seen.begun = Some(listing.begun);
        seen.homes = listed;
        let after = seen
            .homes
            .values()
            .filter(|home| owner(home, &ctx.installation.id))
            .count();
        first || before != after
    };
    if resources {
        ctx.wake.account(&account.name);
    }
    for (namespace, name) in wake {
        ctx.wake.instance(&namespace, &name);
    }
    Ok(())
}

/// Projects that ledgers say exist, old enough that a reading begun at `begun` must show them; with their instance.
fn recorded(ctx: &Context, account: &str, begun: Timestamp) -> HashMap<String, (String, String)> {
    let mut recorded = HashMap::new();
    for instance in ctx.instances.state() {
        let Some(status) = &instance.status else {
            continue;
        };
        for entry in &status.external {
            let counts = entry.slot == Slot::Project
                && entry.state == SlotState::Exists
                && entry.account == account;
            if let (true, Some(id)) = (
                counts && entry.started_at.0 + ctx.settings.limits.settle <= begun,
                &entry.id,
            ) {
                recorded.insert(
                    id.clone(),
                    (
                        instance.namespace().unwrap_or_default(),
                        instance.name_any(),
                    ),
                );
            }
        }
    }
    recorded
}
