//! An account of a tool provider in use: the way to its provider and the last listing of it that was believed.
//!
//! Holds: one listing in an interval serves every instance of the account; a listing in which something is missing
//! that ledgers know is judged first (`engine::belief`), and one that is not believed counts as an outage until a later
//! one is, or what it lacks is confirmed gone piece by piece; instances are woken when what was seen of them has changed.
//! Nothing here writes to Kubernetes. Deliberately absent: what is done about a resource (the instance's), and about one
//! that stands in no ledger (the sweep's).

use super::account::{Account, EAGER, Inventory};
use super::credential::Checked;
use super::observe::{acknowledged, unanswered};
use super::recollection::Recollection;
use crate::controllers::around::Around;
use crate::controllers::held;
use crate::controllers::stores::Stores;
use crate::controllers::wake::Change;
use crate::engine::account::Outage;
use crate::engine::belief::stocks::{BelievedStock, StockNews};
use crate::engine::belief::{self, ListingTrial, Recorded};
use crate::engine::breaker::Vanished;
use crate::engine::identity::Evidence;
use crate::engine::sweep::{Item, Reader};
use crate::model::Marker;
use crate::model::marker::is_tool_name;
use crate::model::slot::Part;
use crate::model::tool::{Named, Resource, Stock};
use crate::model::values::Seal;
use crate::model::{Done, Fault, Standing};
use crate::tools::{Line, Opened, Provider, ProviderSettings};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use secrecy::SecretString;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Most resources that are asked for by themselves in one reading.
const LOOKS: usize = 5;
/// A provider without a listing is asked only whether it answers, once in so many intervals.
const SLOW: u32 = 10;

/// One account of a tool provider in use.
pub struct ToolAccount {
    /// Its name.
    pub name: String,
    provider_name: &'static str,
    /// The way to it.
    pub provider: Arc<dyn Provider>,
    /// The UID of its object: another one of its name is another account.
    uid: String,
    settings: ProviderSettings,
    line: Line,
    credential: Arc<Checked>,
    /// Outlives the settings with which the account was opened.
    memory: Arc<AccountMemory>,
}

#[derive(Default)]
struct AccountMemory {
    recollection: Recollection,
    seen: Mutex<ObservedTools>,
}

#[derive(Default)]
struct ObservedTools {
    shown: BelievedStock,
    /// Why the newest listing is not believed.
    suspect: Option<Outage>,
    /// Recorded ids that the provider itself says are gone, while listings lack them.
    gone: HashSet<String>,
    /// Whether the provider has no listing.
    listless: bool,
    /// Whether the newest reading got no answer.
    failing: bool,
}

impl ToolAccount {
    /// An account; with what is known of `former`, the same account as it was opened before.
    pub fn new(
        (name, uid): (&str, &str),
        provider_name: &'static str,
        settings: ProviderSettings,
        opened: Opened,
        former: Option<&ToolAccount>,
    ) -> ToolAccount {
        ToolAccount {
            name: name.to_owned(),
            uid: uid.to_owned(),
            provider_name,
            provider: opened.provider,
            settings,
            line: opened.line,
            credential: former.map_or_else(Arc::default, |former| Arc::clone(&former.credential)),
            memory: former.map_or_else(Arc::default, |former| Arc::clone(&former.memory)),
        }
    }

    /// The same account at another organisation: what was seen at the one before says nothing there.
    pub fn moved(&self, opened: Opened) -> ToolAccount {
        let names = (self.name.as_str(), self.uid.as_str());
        let settings = self.settings.clone();
        ToolAccount {
            memory: Arc::default(),
            ..ToolAccount::new(names, self.provider_name, settings, opened, Some(self))
        }
    }

    /// Whether it is the account of this object.
    pub fn is_of(&self, uid: &str) -> bool {
        self.uid == uid
    }

    /// Whether requests are sent with this credential.
    pub fn serves(&self, credential: &SecretString) -> bool {
        self.line.serves(credential)
    }

    /// The credential that requests are sent with.
    pub fn in_service(&self) -> SecretString {
        self.line.in_service()
    }

    /// Whether the account was opened with these settings.
    pub fn opened_with(&self, settings: &ProviderSettings) -> bool {
        &self.settings == settings
    }

    /// Another credential of the same organisation, once it was judged.
    pub fn replace(&self, credential: &SecretString) {
        self.line.replace(credential);
    }

    /// The last believed listing. `None` before the first, and where the provider has no listing.
    pub fn stock(&self) -> Option<Arc<Stock>> {
        held(&self.memory.seen).shown.stock().cloned()
    }

    /// When the last believed listing began, and what in it bears that id or that name.
    pub fn seen(&self, id: &str, key: &str) -> (Option<Timestamp>, Vec<Resource>) {
        held(&self.memory.seen).shown.of(id, key)
    }

    /// What the last believed listing shows under a name that was given to this slot. `None` where there is a listing, and
    /// none was believed yet.
    pub fn bearing(&self, marker: &Marker, seal: &Seal) -> Option<Vec<Resource>> {
        let Some(stock) = self.stock() else {
            return held(&self.memory.seen).listless.then(Vec::new);
        };
        Some(belief::bearing(&stock, marker, seal))
    }

    async fn read_once(&self, around: &Around, stores: &Stores) -> Done<()> {
        let Some(stock) = self.provider.list().await? else {
            held(&self.memory.seen).listless = true;
            return self.provider.identity().await.map(drop);
        };
        let recorded = recorded(around, stores, &self.name, stock.begun);
        let vanished = held(&self.memory.seen).shown.vanished(&stock, &recorded);
        let confirmed = match vanished {
            Some(_) if acknowledged(stores, &self.name) => Ok(()),
            Some(vanished) => Err(ListingError::Vanished(vanished)),
            None => self.confirm(&stock, &recorded).await,
        };
        match confirmed {
            Ok(()) => {
                let reader = around.reader();
                let news = self.keep(stock, &recorded, around.now(), |stock| ours(reader, stock));
                if news.count {
                    stores.tell(&Change::Counted(self.name.clone()));
                }
                stores.tell(&Change::Shown(news.wake.into_iter().collect()));
                Ok(())
            }
            Err(ListingError::Vanished(vanished)) => {
                held(&self.memory.seen).suspect = Some(Outage::Vanished(vanished));
                Ok(())
            }
            Err(ListingError::Suspect(why)) => {
                held(&self.memory.seen).suspect = Some(Outage::Unanswered(why));
                Ok(())
            }
            Err(ListingError::Fault(why, fault)) => {
                held(&self.memory.seen).suspect = Some(Outage::Unanswered(why));
                Err(fault)
            }
        }
    }

    /// Judges a listing; where it is doubtful, asks for some of what it lacks, and judges again.
    async fn confirm(&self, stock: &Stock, recorded: &[Recorded]) -> Result<(), ListingError> {
        let (trial, mut gone) = {
            let mut seen = held(&self.memory.seen);
            let trial = ListingTrial::new(stock, recorded, seen.shown.stock().map(AsRef::as_ref));
            seen.gone = trial.still_gone(std::mem::take(&mut seen.gone));
            (trial, seen.gone.clone())
        };
        let Err(why) = trial.judge(&gone) else {
            return Ok(());
        };
        for one in trial.asks(&gone, LOOKS) {
            match self.provider.look(one).await {
                // One that exists convicts the listing; the others need not be asked for.
                Ok(Some(_)) => break,
                Ok(None) => {
                    gone.insert(one.id.clone());
                }
                Err(fault) => {
                    held(&self.memory.seen).gone = gone;
                    return Err(ListingError::Fault(why, fault));
                }
            }
        }
        held(&self.memory.seen).gone.clone_from(&gone);
        trial.judge(&gone).map_err(ListingError::Suspect)
    }

    /// Keeps a believed listing. Answers whom it concerns.
    fn keep(
        &self,
        stock: Stock,
        recorded: &[Recorded],
        now: Timestamp,
        ours: impl Fn(&Stock) -> usize,
    ) -> StockNews {
        let mut seen = held(&self.memory.seen);
        seen.suspect = None;
        seen.shown.take(stock, recorded, now, ours)
    }
}

/// Why a listing was not taken.
enum ListingError {
    /// Too much of what ledgers know is gone at once.
    Vanished(Vanished),
    /// It contradicts what is known.
    Suspect(String),
    /// And what it lacks could not be asked for.
    Fault(String, Fault),
}

fn ours(reader: Reader<'_>, stock: &Stock) -> usize {
    stock
        .resources
        .iter()
        .filter(|one| is_tool_name(reader.seal, reader.installation, &one.name))
        .count()
}

/// Whether a provider shows with a credential what ledgers know in the account: by one listing, or where it has none by a
/// few looks.
pub(super) async fn proof(
    around: &Around,
    stores: &Stores,
    account: &str,
    provider: &dyn Provider,
) -> Done<Evidence> {
    let mut known = recorded(around, stores, account, around.now());
    known.retain(|one| !one.named.id.is_empty() && one.named.part != Part::Key);
    if known.is_empty() {
        return Ok(Evidence::Nothing);
    }
    if let Some(stock) = provider.list().await? {
        return Ok(match belief::shows(&stock, &known) {
            true => Evidence::Shown,
            false => Evidence::Hidden,
        });
    }
    for one in known.iter().take(LOOKS) {
        if provider.look(&one.named).await?.is_some() {
            return Ok(Evidence::Shown);
        }
    }
    Ok(Evidence::Hidden)
}

/// What all ledgers know in an account.
fn recorded(around: &Around, stores: &Stores, account: &str, begun: Timestamp) -> Vec<Recorded> {
    stores
        .recorded_in(account)
        .iter()
        .flat_map(|one| belief::recorded(one, account, begun, around.settings.limits))
        .collect()
}

/// A thing that a listing showed, as its provider is asked for it.
fn named(item: &Item, part: Part) -> Named {
    Named {
        part,
        id: item.id.clone(),
        key: item.name.clone(),
        seen: true,
        parts: BTreeMap::new(),
    }
}

impl Account for ToolAccount {
    fn name(&self) -> &str {
        &self.name
    }

    fn provider(&self) -> &'static str {
        self.provider_name
    }

    fn credential(&self) -> &Checked {
        &self.credential
    }

    fn recollection(&self) -> &Recollection {
        &self.memory.recollection
    }

    fn outage(&self) -> Option<Outage> {
        match self.line.standing() {
            Standing::Trouble { since, message } => Some(unanswered(since, &message)),
            Standing::Fine => held(&self.memory.seen).suspect.clone(),
        }
    }

    /// By their names.
    fn ours(&self, reader: Reader<'_>) -> Option<usize> {
        Some(ours(reader, &*self.stock()?))
    }

    fn pause(&self, interval: Duration) -> Duration {
        let seen = held(&self.memory.seen);
        if seen.failing || self.line.standing() != Standing::Fine {
            interval.min(EAGER)
        } else if seen.listless {
            interval * SLOW
        } else {
            // Also for a listing that is not believed: what it lacks is asked for a few times an interval, no more.
            interval
        }
    }

    fn read<'a>(&'a self, around: &'a Around, stores: &'a Stores) -> BoxFuture<'a, Done<()>> {
        async move {
            let read = self.read_once(around, stores).await;
            // A refusal is an answer.
            held(&self.memory.seen).failing = !matches!(
                read,
                Ok(()) | Err(Fault::Throttled { .. } | Fault::Denied { .. })
            );
            read
        }
        .boxed()
    }

    fn inventory(&self, reader: Reader<'_>) -> Option<Inventory> {
        self.usable().ok()?;
        if self.outage().is_some() || held(&self.memory.seen).failing {
            return None;
        }
        let (stock, provider) = (self.stock()?, self.provider_name);
        let resources = stock.resources.iter();
        Some(Inventory {
            begun: stock.begun,
            items: resources
                .clone()
                .map(|one| Item::of_resource(provider, one, reader))
                .collect(),
            parts: resources.map(|one| one.part).collect(),
        })
    }

    fn survey<'a>(&'a self, reader: Reader<'a>) -> BoxFuture<'a, Done<Option<Vec<Item>>>> {
        async move {
            let Some(stock) = self.provider.list().await? else {
                self.provider.identity().await?;
                return Ok(None);
            };
            let items = stock.resources.iter();
            let items = items.map(|one| Item::of_resource(self.provider_name, one, reader));
            Ok(Some(items.collect()))
        }
        .boxed()
    }

    fn look<'a>(
        &'a self,
        item: &'a Item,
        part: Part,
        reader: Reader<'a>,
    ) -> BoxFuture<'a, Done<Option<Item>>> {
        async move {
            let found = self.provider.look(&named(item, part)).await?;
            Ok(found.map(|one| Item::of_resource(self.provider_name, &one, reader)))
        }
        .boxed()
    }

    fn delete<'a>(&'a self, item: &'a Item, part: Part) -> BoxFuture<'a, Done<()>> {
        async move { self.provider.delete(&named(item, part), false).await }.boxed()
    }
}

#[cfg(test)]
mod tests;
