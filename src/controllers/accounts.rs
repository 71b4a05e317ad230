//! The Railway accounts in use: for each a gateway, and what the last complete reading of it said.
//!
//! What holds: one listing in an interval serves every instance of the account (design 3.5); a listing in which
//! something is missing that ledgers know is believed only when the provider's own count agrees with it; instances are
//! woken when what was seen of them has changed, and by nothing else; nothing here writes to Kubernetes.

use super::context::Context;
use super::credential::Checked;
use super::held;
use super::observer::{Directory, Observed, unanswered};
use crate::api::{AgentInstance, IDENTITY_ANNOTATION, Slot, SlotState};
use crate::engine::belief::Newly;
use crate::engine::identity::Evidence;
use crate::engine::restored;
use crate::model::identity::Whose;
use crate::model::{Done, Fault, Gate, Home, InstallationId, Listing, Standing};
use crate::railway::Gateway;
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// One account in use.
pub struct Account {
    /// Its name.
    pub name: String,
    /// The UID of its object: another one of its name is another account.
    pub uid: String,
    /// The way to its provider.
    pub gateway: Gateway,
    max_projects: AtomicUsize,
    /// What is known of its tokens.
    pub credential: Checked,
    seen: Mutex<Seen>,
    /// Who has a turn in this moment: it takes a place that no ledger knows of yet.
    about_to: Mutex<HashSet<String>>,
}

#[derive(Default)]
struct Seen {
    begun: Option<Timestamp>,
    homes: HashMap<String, Home>,
    /// Of those, what was seen to be gone since: the next object of that name has nothing to do with it.
    gone: HashSet<String>,
    suspect: Option<String>,
    /// Projects that ledgers know, and that readings lack.
    missed: Newly,
    /// Projects of ours that no ledger knows.
    strays: Newly,
    /// Whether the newest reading failed.
    failed: bool,
}

/// Every Railway account in use.
pub type Accounts = Directory<Account>;

/// An instance's namespace and name.
type Who = (String, String);

impl Account {
    /// An account of which nothing was read yet.
    pub fn new((name, uid): (&str, &str), gateway: Gateway, max_projects: usize) -> Account {
        Account {
            name: name.to_owned(),
            uid: uid.to_owned(),
            gateway,
            max_projects: AtomicUsize::new(max_projects),
            credential: Checked::default(),
            seen: Mutex::default(),
            about_to: Mutex::default(),
        }
    }

    /// Most projects of ours.
    pub fn max_projects(&self) -> usize {
        self.max_projects.load(Ordering::SeqCst)
    }

    /// Another number of projects, after the account was edited: what is known of the account stays. Answers whether there
    /// may be more than before.
    pub fn allow(&self, max_projects: usize) -> bool {
        self.max_projects.swap(max_projects, Ordering::SeqCst) < max_projects
    }

    /// Whether the account can be used, and if not, why.
    pub fn usable(&self) -> Result<(), String> {
        self.credential.usable()
    }

    /// Whose the tokens are, by the provider.
    pub async fn identity(&self) -> Done<Whose> {
        let identity = self.gateway.identity().await?;
        Ok(Whose {
            id: Some(identity.workspace),
            name: identity.name,
            plan: identity.plan,
        })
    }

    /// Whether the workspace shows a project that a ledger knows in the account, by one listing.
    pub async fn proof(&self, ctx: &Context) -> Done<Evidence> {
        let all = ctx.instances.state();
        let entries = all
            .iter()
            .flat_map(|one| &one.status)
            .flat_map(|status| &status.external);
        let known: HashSet<&String> = entries
            .filter(|entry| entry.slot == Slot::Project && entry.account == self.name)
            .filter_map(|entry| entry.id.as_ref())
            .collect();
        if known.is_empty() {
            return Ok(Evidence::Nothing);
        }
        let listing = self.gateway.list().await?;
        Ok(
            match listing.homes.iter().any(|home| known.contains(&home.id)) {
                true => Evidence::Shown,
                false => Evidence::Hidden,
            },
        )
    }

    /// Why the provider counts as unreachable, if it does.
    pub fn outage(&self) -> Option<String> {
        if let Standing::Trouble { since, message } = self.gateway.standing() {
            return Some(unanswered(since, &message));
        }
        held(&self.seen).suspect.clone()
    }

    /// When the last believed reading began, and what it showed of one instance: of its identity, and under its name.
    pub fn seen(
        &self,
        instance: &AgentInstance,
        project: Option<&str>,
    ) -> (Option<Timestamp>, Vec<Home>) {
        let seen = held(&self.seen);
        let (identity, namespace, name) = (
            instance.identity(),
            instance.namespace().unwrap_or_default(),
            instance.name_any(),
        );
        let mine = |home: &&Home| {
            Some(home.id.as_str()) == project
                || home.marker.as_ref().is_some_and(|marker| {
                    marker.uid == identity || marker.namespace == namespace && marker.name == name
                })
        };
        (
            seen.begun,
            seen.homes
                .values()
                .filter(|home| !seen.gone.contains(&home.id))
                .filter(mine)
                .cloned()
                .collect(),
        )
    }

    /// Of which object a project says that it has this identity.
    pub fn bearer(
        &self,
        identity: &str,
        installation: &InstallationId,
    ) -> Option<(String, String)> {
        let seen = held(&self.seen);
        restored::bearer(identity, seen.homes.values(), installation)
    }

    /// A project that its instance, on its way back, has seen to be gone: the last reading may show it still.
    pub fn gone(&self, project: &str) {
        held(&self.seen).gone.insert(project.to_owned());
    }

    /// The last reading and when it began, where it is believed and nothing since has cast doubt on it.
    pub fn inventory(&self) -> Option<(Timestamp, Vec<Home>)> {
        self.usable().ok()?;
        if self.outage().is_some() {
            return None;
        }
        let seen = held(&self.seen);
        let begun = seen.begun?;
        (!seen.failed).then(|| (begun, seen.homes.values().cloned().collect()))
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

    /// Places that others than this instance take: what the last believed reading shows of ours, what ledgers say that it
    /// could not show yet, and who has a turn. `None` before the first reading. With `takes`, it has a turn from now on.
    pub fn taken(&self, ctx: &Context, instance: &AgentInstance, takes: bool) -> Option<usize> {
        let (uid, identity) = (instance.uid().unwrap_or_default(), instance.identity());
        // One after another: of two who take the last place at the same moment the second must see the first.
        let mut about_to = held(&self.about_to);
        let seen = held(&self.seen);
        let begun = seen.begun?;
        let mut listed = 0;
        // Markers tell identities: one that goes on with what a restored object had has its place already.
        let mut known: HashSet<String> = HashSet::from([uid.clone(), identity.clone()]);
        for marker in seen.homes.values().filter_map(|home| home.marker.as_ref()) {
            if marker.installation == ctx.installation.id && marker.uid != identity {
                listed += 1;
                known.insert(marker.uid.clone());
            }
        }
        let limits = ctx.settings.limits;
        let instances = ctx.instances.state();
        let recorded = instances.iter().filter(|one| {
            let entry = one.status.iter().flat_map(|status| &status.external);
            entry
                .filter(|entry| entry.slot == Slot::Project && entry.account == self.name)
                .any(|entry| {
                    entry.state != SlotState::Planned
                        && limits.landed_by(entry.started_at.0) > begun
                })
        });
        let others: HashSet<String> = recorded
            .map(|one| one.identity())
            .chain(about_to.iter().cloned())
            .filter(|other| !known.contains(other))
            .collect();
        let taken = listed + others.len();
        if takes {
            about_to.insert(uid);
        }
        Some(taken)
    }

    /// Takes an instance out of every line but this one, and gives back the turn and the place that it did not use.
    pub fn give_back(&self, ctx: &Context, uid: &str, line: Option<Gate>) {
        held(&self.about_to).remove(uid);
        for gate in Gate::ALL.into_iter().filter(|gate| Some(*gate) != line) {
            if self.gateway.leave(gate, uid) {
                self.tell_line(ctx, gate);
            }
        }
    }

    /// Counts a line for the metrics.
    pub fn tell_line(&self, ctx: &Context, gate: Gate) {
        let waiting = self.gateway.waiting(gate);
        ctx.gauge.waiting(&self.name, gate.word(), waiting);
    }
}

fn owner(home: &Home, installation: &InstallationId) -> bool {
    home.marker
        .as_ref()
        .is_some_and(|marker| &marker.installation == installation)
}

impl Observed for Account {
    fn name(&self) -> &str {
        &self.name
    }

    fn credential(&self) -> &Checked {
        &self.credential
    }

    fn outage(&self) -> Option<String> {
        Account::outage(self)
    }

    fn left(&self) -> Option<u64> {
        Some(u64::from(self.gateway.budget().remaining))
    }

    /// More often while it is in trouble.
    fn pause(&self, ctx: &Context) -> Duration {
        let interval = ctx.settings.observe_interval;
        if self.outage().is_some() {
            interval.min(Duration::from_secs(5))
        } else {
            interval
        }
    }

    fn read<'a>(&'a self, ctx: &'a Context) -> BoxFuture<'a, Done<()>> {
        async move {
            let read = read(ctx, self).await;
            held(&self.seen).failed = read.is_err();
            // Who did not come back has left the line without a word.
            for gate in Gate::ALL {
                self.tell_line(ctx, gate);
            }
            read
        }
        .boxed()
    }
}

/// One reading: believed, kept, and told to those whom it concerns.
async fn read(ctx: &Context, account: &Account) -> Done<()> {
    let listing = account.gateway.list().await?;
    let known = recorded(ctx, &account.name, listing.begun);
    let listing = match missing(&known, &listing).is_empty() {
        true => Ok(listing),
        false => account.gateway.counted(listing).await?,
    };
    held(&account.seen).suspect = listing.as_ref().err().cloned();
    let listing = listing.map_err(|message| Fault::Transient { message })?;
    // A second listing may have begun later.
    let recorded = recorded(ctx, &account.name, listing.begun);
    let missing = missing(&recorded, &listing);
    let listed: HashMap<String, Home> = listing
        .homes
        .into_iter()
        .map(|home| (home.id.clone(), home))
        .collect();
    let mut wake: Vec<(String, String)> = Vec::new();
    let (first, resources, room) = {
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
                (_, Some(who)) => wake.extend(who.iter().cloned()),
                (Some(marker), None) if marker.installation == ctx.installation.id => {
                    wake.push((marker.namespace.clone(), marker.name.clone()));
                }
                _ => {}
            }
        }
        // What is gone may have held one of its name.
        let gone = seen
            .homes
            .values()
            .filter(|home| !listed.contains_key(&home.id));
        let gone = gone.filter_map(|home| home.marker.as_ref());
        let gone = gone.filter(|marker| marker.installation == ctx.installation.id);
        wake.extend(gone.map(|marker| (marker.namespace.clone(), marker.name.clone())));
        // One that was missing before has been told; it waits for a person.
        let newly = seen.missed.news(missing);
        wake.extend(
            newly
                .iter()
                .filter_map(|id| recorded.get(id).cloned())
                .flatten(),
        );
        // A ledger that was lost wakes nobody by itself: nothing that people write has changed.
        let strays = listed
            .values()
            .filter(|home| owner(home, &ctx.installation.id) && !recorded.contains_key(&home.id));
        let strays = seen.strays.news(strays.map(|home| home.id.clone()));
        let whose = strays
            .iter()
            .filter_map(|id| listed.get(id)?.marker.as_ref());
        wake.extend(whose.map(|marker| (marker.namespace.clone(), marker.name.clone())));
        let before = seen
            .homes
            .values()
            .filter(|home| owner(home, &ctx.installation.id))
            .count();
        seen.begun = Some(listing.begun);
        seen.gone.retain(|id| listed.contains_key(id));
        seen.homes = listed;
        let after = seen
            .homes
            .values()
            .filter(|home| owner(home, &ctx.installation.id))
            .count();
        let full = before >= account.max_projects();
        (first, first || before != after, full && after < before)
    };
    if resources {
        ctx.wake.account(&account.name);
    }
    if first {
        // One that states no identity waits for it.
        for one in ctx.users(&account.name) {
            if !one.annotations().contains_key(IDENTITY_ANNOTATION) {
                wake.push((one.namespace().unwrap_or_default(), one.name_any()));
            }
        }
    }
    if room {
        // Somebody may have been waiting for it.
        ctx.wake_users(&account.name);
    }
    for (namespace, name) in wake {
        ctx.wake.instance(&namespace, &name);
    }
    Ok(())
}

/// What is recorded and not listed.
fn missing(recorded: &HashMap<String, Vec<Who>>, listing: &Listing) -> Vec<String> {
    let listed: HashSet<&String> = listing.homes.iter().map(|home| &home.id).collect();
    let missing = recorded.keys().filter(|id| !listed.contains(id));
    missing.cloned().collect()
}

/// Projects that ledgers say exist, old enough that a reading begun at `begun` must show them; with their instances, of
/// which an adopted project that is shared has several.
fn recorded(ctx: &Context, account: &str, begun: Timestamp) -> HashMap<String, Vec<Who>> {
    let mut recorded: HashMap<String, Vec<Who>> = HashMap::new();
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
                recorded.entry(id.clone()).or_default().push((
                    instance.namespace().unwrap_or_default(),
                    instance.name_any(),
                ));
            }
        }
    }
    recorded
}
