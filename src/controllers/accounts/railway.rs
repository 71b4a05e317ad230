//! A Railway account in use: its gateway, what the last believed reading showed, and who takes places in it.
//!
//! Holds: one listing in an interval serves every instance of the account; a listing in which something is missing that
//! ledgers know is believed only when the provider's own count agrees with it; a place is counted when a turn is given.
//! Nothing here writes to Kubernetes.

use super::account::{Account, EAGER, Inventory};
use super::costs::Costs;
use super::credential::Checked;
use super::observe::{acknowledged, unanswered};
use super::recollection::Recollection;
use crate::api::{AgentInstance, NamespacedName, Part, Slot};
use crate::controllers::around::{Around, Gauge};
use crate::controllers::held;
use crate::controllers::memories::places::KnownPlaces;
use crate::controllers::stores::Stores;
use crate::controllers::wake::Change;
use crate::engine::account::Outage;
use crate::engine::belief::homes::{self, BelievedHomes};
use crate::engine::identity::Evidence;
use crate::engine::places::{Taker, Things};
use crate::engine::restored;
use crate::engine::sweep::{Item, Reader};
use crate::model::identity::Whose;
use crate::model::slot::RAILWAY;
use crate::model::{Done, Fault, Gate, Home, InstallationId, Sight, Standing};
use crate::railway::{Class, Gateway};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// One Railway account in use.
pub struct Workspace {
    /// Its name.
    pub name: String,
    /// The UID of its object: another one of its name is another account.
    pub uid: String,
    /// The way to its provider.
    pub gateway: Gateway,
    credential: Checked,
    recollection: Recollection,
    /// What its projects have cost.
    pub costs: Costs,
    seen: Mutex<ObservedProjects>,
    /// Most projects of ours.
    most: AtomicUsize,
}

#[derive(Default)]
struct ObservedProjects {
    shown: BelievedHomes,
    /// Why the newest listing is not believed.
    suspect: Option<Outage>,
    /// Whether the newest reading failed.
    failed: bool,
}

impl Workspace {
    /// An account of which nothing was read yet.
    pub fn new((name, uid): (&str, &str), gateway: Gateway, most: usize) -> Workspace {
        Workspace {
            name: name.to_owned(),
            uid: uid.to_owned(),
            gateway,
            credential: Checked::default(),
            recollection: Recollection::default(),
            costs: Costs::default(),
            seen: Mutex::default(),
            most: AtomicUsize::new(most),
        }
    }

    /// Another number of projects, after the account was edited: what is known of the account stays. Answers whether there
    /// may be more than before.
    pub fn allow(&self, most: usize) -> bool {
        self.most.swap(most, Ordering::SeqCst) < most
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
    pub async fn proof(&self, stores: &Stores) -> Done<Evidence> {
        let all = stores.recorded_in(&self.name);
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

    /// When the last believed reading began, and what it showed of one instance: of its identity, and under its name.
    pub fn seen(
        &self,
        instance: &AgentInstance,
        project: Option<&str>,
    ) -> (Option<Timestamp>, Vec<Home>) {
        let seen = held(&self.seen);
        (seen.shown.begun(), seen.shown.of(instance, project))
    }

    /// Of which object a project says that it has this identity.
    pub fn bearer(&self, identity: &str, installation: &InstallationId) -> Option<NamespacedName> {
        restored::bearer(identity, held(&self.seen).shown.homes(), installation)
    }

    /// A project that its instance, on its way back, has seen to be gone: the last reading may show it still.
    pub fn gone(&self, project: &str) {
        held(&self.seen).shown.gone(project);
    }

    /// What takes a place for whoever asks: what the last believed reading shows of ours, and what ledgers say that it could not
    /// show yet. `None` before the first reading.
    pub fn known(&self, around: &Around, stores: &Stores, asks: &Taker) -> Option<KnownPlaces> {
        let seen = held(&self.seen);
        let begun = seen.shown.begun()?;
        let mut things = Things::default();
        // Markers tell identities: one that goes on with what a restored object had has its place already.
        let mut listed: HashSet<&str> = HashSet::from([asks.identity.as_str()]);
        for home in seen.shown.homes() {
            let marker = home.marker.as_ref();
            let ours = marker.filter(|marker| marker.installation == around.installation.id);
            if let Some(marker) = ours.filter(|marker| marker.uid != asks.identity) {
                let cost = self.costs.of(&home.id, around.now()).unwrap_or_default();
                things.listed(&home.id, &marker.namespace, cost);
                listed.insert(&marker.uid);
            }
        }
        let (instances, limits) = (stores.recorded_in(&self.name), around.settings.limits);
        for one in &instances {
            let entries = one.status.iter().flat_map(|status| &status.external);
            let late = entries
                .filter(|entry| entry.slot == Slot::Project && entry.account == self.name)
                .any(|entry| limits.landed_by(entry.started_at.0) > begun);
            if late && !listed.contains(one.identity().as_str()) {
                things.record(&self.name, Some(asks), one);
            }
        }
        Some(KnownPlaces { instances, things })
    }

    /// Takes an instance out of every line but this one, and gives back the turn that it did not use.
    pub fn give_back(&self, gauge: &dyn Gauge, uid: &str, line: Option<Gate>) {
        for gate in Gate::ALL.into_iter().filter(|gate| Some(*gate) != line) {
            if self.gateway.leave(gate, uid) {
                self.tell_line(gauge, gate);
            }
        }
    }

    /// The projects that bear an installation's marker in the last believed reading, each with its namespace. `None`: there was
    /// none yet.
    pub fn ours_by_namespace(
        &self,
        installation: &InstallationId,
    ) -> Option<Vec<(String, String)>> {
        let seen = held(&self.seen);
        seen.shown.begun()?;
        let ours = seen.shown.homes().filter_map(|home| {
            let marker = home.marker.as_ref();
            let own = marker.filter(|marker| &marker.installation == installation)?;
            Some((home.id.clone(), own.namespace.clone()))
        });
        Some(ours.collect())
    }

    /// Counts a line for the metrics.
    pub fn tell_line(&self, gauge: &dyn Gauge, gate: Gate) {
        let waiting = self.gateway.waiting(gate);
        gauge.waiting(&self.name, gate.word(), waiting);
    }

    /// One reading: believed, kept, and told to those whom it concerns.
    async fn read_once(&self, around: &Around, stores: &Stores) -> Done<()> {
        let listing = self.gateway.list().await?;
        let recorded = |begun| {
            let (all, limits) = (stores.recorded_in(&self.name), around.settings.limits);
            homes::recorded(all.iter().map(AsRef::as_ref), &self.name, begun, limits)
        };
        let listing = match homes::missing(&recorded(listing.begun), &listing).is_empty() {
            true => Ok(listing),
            false => self.gateway.counted(listing).await?,
        };
        let mut seen = held(&self.seen);
        seen.suspect = listing.as_ref().err().cloned().map(Outage::Unanswered);
        let listing = listing.map_err(|message| Fault::Transient { message })?;
        // A second listing may have begun later.
        let recorded = recorded(listing.begun);
        let told = homes::told_gone(stores.recorded_in(&self.name).iter().map(AsRef::as_ref));
        if let Some(vanished) = seen.shown.vanished(&listing, &recorded, &told)
            && !acknowledged(stores, &self.name)
        {
            let message = vanished.to_string();
            seen.suspect = Some(Outage::Vanished(vanished));
            return Err(Fault::Transient { message });
        }
        let (installation, most) = (&around.installation.id, self.most.load(Ordering::SeqCst));
        let news = seen.shown.take(listing, &recorded, installation, most);
        drop(seen);
        self.tell(stores, news);
        Ok(())
    }

    fn tell(&self, stores: &Stores, news: homes::HomeNews) {
        let told = [
            (news.count, Change::Counted(self.name.clone())),
            // One that states no identity waits for it.
            (news.first, Change::FirstRead(self.name.clone())),
            // Somebody may have been waiting for it.
            (news.room, Change::Room(self.name.clone())),
        ];
        for (_, change) in told.iter().filter(|(is_so, _)| *is_so) {
            stores.tell(change);
        }
        stores.tell(&Change::Shown(news.wake.into_iter().collect()));
    }
}

impl Account for Workspace {
    fn name(&self) -> &str {
        &self.name
    }

    fn provider(&self) -> &'static str {
        RAILWAY
    }

    fn credential(&self) -> &Checked {
        &self.credential
    }

    fn recollection(&self) -> &Recollection {
        &self.recollection
    }

    fn outage(&self) -> Option<Outage> {
        match self.gateway.standing() {
            Standing::Trouble { since, message } => Some(unanswered(since, &message)),
            Standing::Fine => held(&self.seen).suspect.clone(),
        }
    }

    fn left(&self) -> Option<u64> {
        Some(u64::from(self.gateway.budget().remaining))
    }

    fn ours(&self, reader: Reader<'_>) -> Option<usize> {
        let seen = held(&self.seen);
        seen.shown.begun()?;
        Some(seen.shown.ours(reader.installation))
    }

    /// More often while it is in trouble.
    fn pause(&self, interval: Duration) -> Duration {
        match self.outage() {
            Some(_) => interval.min(EAGER),
            None => interval,
        }
    }

    fn read<'a>(&'a self, around: &'a Around, stores: &'a Stores) -> BoxFuture<'a, Done<()>> {
        async move {
            let read = self.read_once(around, stores).await;
            held(&self.seen).failed = read.is_err();
            // Who did not come back has left the line without a word.
            for gate in Gate::ALL {
                self.tell_line(around.gauge.as_ref(), gate);
            }
            read
        }
        .boxed()
    }

    fn inventory(&self, reader: Reader<'_>) -> Option<Inventory> {
        self.usable().ok()?;
        if self.outage().is_some() {
            return None;
        }
        let seen = held(&self.seen);
        let begun = seen.shown.begun().filter(|_| !seen.failed)?;
        let homes = seen.shown.homes();
        let items: Vec<Item> = homes.map(|home| Item::of_home(home, reader)).collect();
        let parts = vec![Part::Main; items.len()];
        Some(Inventory {
            begun,
            items,
            parts,
        })
    }

    fn survey<'a>(&'a self, reader: Reader<'a>) -> BoxFuture<'a, Done<Option<Vec<Item>>>> {
        async move {
            let listing = self.gateway.search().await?;
            let living = listing.homes.iter().filter(|home| !home.deleted);
            let items = living.map(|home| Item::of_home(home, reader));
            Ok(Some(items.collect()))
        }
        .boxed()
    }

    fn look<'a>(
        &'a self,
        item: &'a Item,
        _: Part,
        reader: Reader<'a>,
    ) -> BoxFuture<'a, Done<Option<Item>>> {
        async move {
            match self.gateway.look(&item.id, Class::Poll).await? {
                Sight::Seen(home) if !home.deleted => Ok(Some(Item::of_home(&home, reader))),
                _ => Ok(None),
            }
        }
        .boxed()
    }

    fn delete<'a>(&'a self, item: &'a Item, _: Part) -> BoxFuture<'a, Done<()>> {
        self.gateway.delete_project(&item.id).boxed()
    }
}
