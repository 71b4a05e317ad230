//! The accounts of tool providers in use: for each the way to its provider and the last listing of it that was believed.
//!
//! What holds: one listing in an interval serves every instance of the account; a listing in which something is missing
//! that ledgers know is judged first (`engine::belief`), and one that is not believed counts as an outage until a later
//! one is, or what it lacks is confirmed gone piece by piece; instances are woken when what was seen of them has changed.
//! Nothing here writes to Kubernetes. Deliberately absent: what is done about a resource (the instance's), and about one
//! that stands in no ledger (the sweep's).

use super::context::Context;
use super::credential::Checked;
use super::held;
use super::observer::{Directory, Observed, unanswered};
use crate::engine::belief::{self, Extent, Newly, Recorded};
use crate::engine::identity::Evidence;
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
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Most resources that are asked for by themselves in one reading.
const LOOKS: usize = 5;
/// A provider without a listing is asked only whether it answers, once in so many intervals.
const SLOW: u32 = 10;
/// While a provider does not answer it is asked at least so often.
const EAGER: Duration = Duration::from_secs(5);

/// Every account of a tool provider in use.
pub type ToolAccounts = Directory<ToolAccount>;

/// One account of a tool provider in use.
pub struct ToolAccount {
    /// Its name.
    pub name: String,
    /// The provider's name in the ledger.
    pub provider_name: &'static str,
    /// The way to it.
    pub provider: Arc<dyn Provider>,
    /// The UID of its object: another one of its name is another account.
    uid: String,
    settings: ProviderSettings,
    line: Line,
    credential: Arc<Checked>,
    /// Outlives the settings with which the account was opened.
    memory: Arc<Memory>,
}

#[derive(Default)]
struct Memory {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    stock: Option<Arc<Stock>>,
    /// Why the newest listing is not believed.
    suspect: Option<String>,
    /// Recorded ids that the provider itself says are gone, while listings lack them.
    gone: HashSet<String>,
    /// Recorded ids that must be listed, and are not.
    missed: Newly,
    /// When instances were last woken for what they have spent.
    told: HashMap<Who, Timestamp>,
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

    /// Whether the account can be used, and if not, why.
    pub fn usable(&self) -> Result<(), String> {
        self.credential.usable()
    }

    /// Asks that the credential be checked again: it has changed.
    pub fn check_again(&self) {
        self.credential.check_again();
    }

    /// Why the provider counts as unreachable, if it does.
    pub fn outage(&self) -> Option<String> {
        match self.line.standing() {
            Standing::Trouble { since, message } => Some(unanswered(since, &message)),
            Standing::Fine => held(&self.memory.seen).suspect.clone(),
        }
    }

    /// The last believed listing. `None` before the first, and where the provider has no listing.
    pub fn stock(&self) -> Option<Arc<Stock>> {
        held(&self.memory.seen).stock.clone()
    }

    /// The last listing, where it is believed and nothing since has cast doubt on it.
    pub fn inventory(&self) -> Option<Arc<Stock>> {
        self.usable().ok()?;
        if self.outage().is_some() {
            return None;
        }
        let seen = held(&self.memory.seen);
        if seen.failing {
            return None;
        }
        seen.stock.clone()
    }

    /// When the last believed listing began, and what in it bears that id or that name. A listing shows no `Part::Key`: that
    /// hangs at the thing that it opens, and is asked for there.
    pub fn seen(&self, id: &str, key: &str) -> (Option<Timestamp>, Vec<Resource>) {
        let Some(stock) = self.stock() else {
            return (None, Vec::new());
        };
        let bears = |one: &&Resource| one.id == id || (!key.is_empty() && one.name == key);
        (
            Some(stock.begun),
            stock.resources.iter().filter(bears).cloned().collect(),
        )
    }

    /// What the last believed listing shows under a name that was given to this slot. `None` where there is a listing, and
    /// none was believed yet.
    pub fn bearing(&self, marker: &Marker, seal: &Seal) -> Option<Vec<Resource>> {
        let Some(stock) = self.stock() else {
            return held(&self.memory.seen).listless.then(Vec::new);
        };
        Some(belief::bearing(&stock, marker, seal))
    }

    /// Resources of this installation in the last believed listing, by their names.
    pub fn ours(&self, ctx: &Context) -> Option<usize> {
        Some(ours(ctx, &*self.stock()?))
    }

    async fn read_once(&self, ctx: &Context) -> Done<()> {
        let Some(stock) = self.provider.list().await? else {
            held(&self.memory.seen).listless = true;
            return self.provider.identity().await.map(drop);
        };
        let recorded = recorded(ctx, &self.name, stock.begun);
        match self.confirm(&stock, &recorded).await {
            Ok(()) => {
                let news = self.keep(stock, &recorded, ctx.now(), |stock| ours(ctx, stock));
                if news.count {
                    ctx.wake.account(&self.name);
                }
                for (namespace, name) in &news.wake {
                    ctx.wake.instance(namespace, name);
                }
                Ok(())
            }
            Err(Doubt::Suspect(why)) => {
                held(&self.memory.seen).suspect = Some(why);
                Ok(())
            }
            Err(Doubt::Fault(why, fault)) => {
                held(&self.memory.seen).suspect = Some(why);
                Err(fault)
            }
        }
    }

    /// Judges a listing; where it is doubtful, asks for some of what it lacks, and judges again.
    async fn confirm(&self, stock: &Stock, recorded: &[Recorded]) -> Result<(), Doubt> {
        let missing = belief::missing(stock, recorded);
        let (mut gone, before) = {
            let mut seen = held(&self.memory.seen);
            seen.gone
                .retain(|id| missing.iter().any(|one| &one.id == id));
            (
                seen.gone.clone(),
                seen.stock.as_ref().map(|stock| stock.resources.len()),
            )
        };
        let judge = |gone: &HashSet<String>| {
            belief::judge(Extent {
                listed: stock.resources.len(),
                before,
                expected: recorded.iter().filter(|one| one.expected).count(),
                missing: missing.iter().filter(|one| !gone.contains(&one.id)).count(),
            })
        };
        let Err(why) = judge(&gone) else {
            return Ok(());
        };
        let asked: Vec<&&Named> = missing
            .iter()
            .filter(|one| !gone.contains(&one.id))
            .take(LOOKS)
            .collect();
        for one in asked {
            match self.provider.look(one).await {
                // One that exists convicts the listing; the others need not be asked for.
                Ok(Some(_)) => break,
                Ok(None) => {
                    gone.insert(one.id.clone());
                }
                Err(fault) => {
                    held(&self.memory.seen).gone = gone;
                    return Err(Doubt::Fault(why, fault));
                }
            }
        }
        held(&self.memory.seen).gone.clone_from(&gone);
        judge(&gone).map_err(Doubt::Suspect)
    }

    /// Keeps a believed listing. Answers whom it concerns.
    fn keep(
        &self,
        stock: Stock,
        recorded: &[Recorded],
        now: Timestamp,
        ours: impl Fn(&Stock) -> usize,
    ) -> News {
        let stock = Arc::new(stock);
        let mut seen = held(&self.memory.seen);
        seen.suspect = None;
        let before = seen.stock.replace(Arc::clone(&stock));
        let changed = belief::changed(before.as_deref(), &stock, recorded);
        let mut wake: BTreeSet<Who> = changed.into_iter().map(who).collect();
        let lacks = belief::missing(&stock, recorded).into_iter();
        let newly = seen.missed.news(lacks.map(|named| named.id.clone()));
        wake.extend(
            recorded
                .iter()
                .filter(|one| newly.contains(&one.named.id))
                .map(who),
        );
        // One whose pass does not come so far as to tell it is not woken in each interval for that.
        seen.told
            .retain(|_, at| now.duration_since(*at) < belief::USAGE_AGE);
        let due: BTreeSet<Who> = belief::spent(&stock, recorded, now)
            .into_iter()
            .map(who)
            .filter(|one| !seen.told.contains_key(one))
            .collect();
        seen.told.extend(due.iter().map(|one| (one.clone(), now)));
        wake.extend(due);
        News {
            wake,
            count: before.map(|before| ours(&before)) != Some(ours(&stock)),
        }
    }
}

/// Whom a listing concerns.
#[derive(Debug, Default, PartialEq, Eq)]
struct News {
    wake: BTreeSet<Who>,
    /// Whether the account has more or fewer resources of ours than before.
    count: bool,
}

/// Why a listing was not taken.
enum Doubt {
    /// It contradicts what is known.
    Suspect(String),
    /// And what it lacks could not be asked for.
    Fault(String, Fault),
}

/// Namespace and name of an instance.
type Who = (String, String);

fn who(one: &Recorded) -> Who {
    (one.namespace.clone(), one.name.clone())
}

fn ours(ctx: &Context, stock: &Stock) -> usize {
    let (seal, installation) = (&ctx.installation.seal, &ctx.installation.id);
    stock
        .resources
        .iter()
        .filter(|one| is_tool_name(seal, installation, &one.name))
        .count()
}

/// Whether a provider shows with a credential what ledgers know in the account: by one listing, or where it has none by a
/// few looks.
pub(super) async fn proof(ctx: &Context, account: &str, provider: &dyn Provider) -> Done<Evidence> {
    let mut known = recorded(ctx, account, ctx.now());
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
fn recorded(ctx: &Context, account: &str, begun: Timestamp) -> Vec<Recorded> {
    ctx.instances
        .state()
        .iter()
        .flat_map(|one| belief::recorded(one, account, begun, ctx.settings.limits))
        .collect()
}

impl Observed for ToolAccount {
    fn name(&self) -> &str {
        &self.name
    }

    fn credential(&self) -> &Checked {
        &self.credential
    }

    fn outage(&self) -> Option<String> {
        ToolAccount::outage(self)
    }

    fn left(&self) -> Option<u64> {
        None
    }

    fn pause(&self, ctx: &Context) -> Duration {
        let interval = ctx.settings.observe_interval;
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

    fn read<'a>(&'a self, ctx: &'a Context) -> BoxFuture<'a, Done<()>> {
        async move {
            let read = self.read_once(ctx).await;
            // A refusal is an answer.
            held(&self.memory.seen).failing = !matches!(
                read,
                Ok(()) | Err(Fault::Throttled { .. } | Fault::Denied { .. })
            );
            read
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
