//! One instance in a world of its own: an API server with one object, a provider, an agent, an observer, and a clock
//! that is moved by hand. It drives the real pass over the real engine.
//!
//! What holds here, whatever a test does: every change outside has its intent on record at that moment, every deletion
//! is of something that is the instance's, nothing is asked of an account that cannot be used (`lawful`), and nothing is
//! changed where it is paused (`unpaused`).

mod effects;

use super::provider::Provider;
use super::shops::Shops;
use crate::api::account::{Adoption, AdoptionPolicy, Retention};
use crate::api::limits::{MostMoney, RailwayPerAgent, Sizes};
use crate::api::money::Money;
use crate::api::template::{ResolvedImage, ToolSpec};
use crate::api::{
    ABANDON_ANNOTATION, AgentInstance, AgentInstanceStatus, ProviderAccount, Slot, SlotState,
};
use crate::engine::belief::{self, Newly};
use crate::engine::compose::Composed;
use crate::engine::ledger::entry;
use crate::engine::places::{Most, TakenPlaces};
use crate::engine::restored::{Facts, Word, as_it_stands, standing};
use crate::engine::rights;
use crate::engine::tools::{GivenByTools, given, wanted};
use crate::engine::view;
use crate::engine::world::{
    AccountRoom, AccountView, Desired, Limits, Outside, RolloutTurn, TemplateReady, TemplateView,
    ToolAccountView, Tools, World, marker,
};
use crate::model::tool::{Kept, Resource, Stock};
use crate::model::values::Seal;
use crate::model::{
    Announcement, Configuration, Expects, Fault, Gate, Health, Home, InstallationId, Pauses,
    ReadinessProbe, Restart, Turn, Variable,
};
use crate::passes::end::{Troubles, Went, finished};
use crate::passes::pass::{End, pass};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What goes wrong at an effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// The process ends before the effect.
    CrashBefore,
    /// The process ends after the effect, before it knows.
    CrashAfter,
    /// Applied, and the answer lost.
    Lost,
    /// Not applied, and nobody knows.
    Vanished,
    /// Applied so long after it was given up.
    Late(SignedDuration),
    /// Applied twice; the answer is the second's.
    Twice,
    /// Refused in this way, and certainly not applied.
    Refused(Fault),
    /// Somebody else wrote the object first.
    Stale,
}

/// What ends a pass early.
#[derive(Debug, PartialEq, Eq)]
pub enum Interrupt {
    Crash,
    Stale,
    Gone,
}

/// An edit by a user, or anything else that happens by itself.
pub type Event = fn(&mut Scene);

#[derive(Clone, Debug)]
pub struct Scene {
    pub now: Timestamp,
    pub limits: Limits,
    /// How long one exchange with the outside takes.
    pub latency: SignedDuration,
    pub object: Option<AgentInstance>,
    version: u32,
    pub token: bool,
    /// What the template has.
    pub tools: Vec<ToolSpec>,
    pub shops: Shops,
    /// How large its template makes it.
    pub sizes: Sizes,
    /// The most money that accounts of tools let one agent have.
    pub most: BTreeMap<String, MostMoney>,
    /// The accounts at them, by the provider's name.
    pub accounts: BTreeMap<String, ToolAccountView>,
    /// Accounts whose deletion no cache shows yet.
    pub going: BTreeSet<String>,
    /// Credentials in the instance's Secret, and in those of its wallets.
    pub drawer: BTreeMap<Slot, (Kept, String)>,
    stock: BTreeMap<String, Stock>,
    /// Whether the status was set back behind the back of the pass that runs.
    memory_lost: bool,
    /// Passes in a row that did nothing and came again at once.
    hot: u32,
    /// Every effect on a tool, and which tool.
    pub trail: Vec<String>,
    /// Who else has what is to be adopted.
    pub adopted_by: Option<String>,
    /// Ids that an account does not list although the object names them to adopt; those that it names otherwise are listed.
    pub unlisted: BTreeSet<String>,
    /// Accounts that let nothing be retained.
    pub denying: BTreeSet<String>,
    /// Whether the claim that has it is gone.
    pub claim_gone: bool,
    /// Tools of which somebody else has what is to be adopted.
    pub rivals: BTreeSet<String>,
    /// What the account's owner has said of restored objects.
    pub word: Word,
    /// UIDs of what was left behind under the object's name.
    pub left_behind: BTreeSet<String>,
    /// Whether another living object has its identity.
    pub taken: bool,
    pub provider: Provider,
    /// What is paused.
    pub pauses: Pauses,
    pub account: AccountView,
    /// What is said to who asks for a turn; where nothing stands here, that it may.
    pub turns: BTreeMap<Gate, Turn>,
    /// How often that was.
    pub asked: usize,
    /// The places that others take in the accounts of tools.
    pub others: TakenPlaces,
    /// Most US dollars a month that those accounts let be committed.
    pub committable: Option<Money>,
    /// Until when the hour's orders are sent.
    pub ordered: Option<Timestamp>,
    /// The turn that it holds.
    pub holds: Option<Gate>,
    /// The line that the last pass has left it in.
    pub line: Option<Gate>,
    pub template: TemplateView,
    pub env: String,
    pub broken: Option<(&'static str, String)>,
    /// What the agent says once its deployment is up.
    pub agent: Health,
    listing: Option<(Timestamp, Vec<Home>)>,
    missed: Newly,
    missed_tools: BTreeMap<String, Newly>,
    next_tick: Timestamp,
    troubles: Troubles,
    /// What this process made, and when: the gateway knows for a while that it may not be shown yet.
    fresh: BTreeMap<String, Timestamp>,
    /// When to come again.
    pub wake: Option<Timestamp>,
    /// Every effect, in order.
    pub log: Vec<&'static str>,
    pub trouble: BTreeMap<usize, Trouble>,
    /// Steps that the API server refuses.
    pub refused: BTreeSet<&'static str>,
    pub events: BTreeMap<usize, Event>,
    /// Troubles and events that have come.
    pub fired: usize,
    pub told: Vec<Announcement>,
    last_event: Timestamp,
}

const TICK: SignedDuration = SignedDuration::from_secs(60);

/// Where tools come from; the accounts are named so as well.
pub const SHOPS: [&str; 5] = ["openrouter", "exa", "agentmail", "telnyx", "bankr"];

/// What of an instance wakes it when it changes (`controllers::wake`).
fn as_people_left_it(object: &AgentInstance) -> impl PartialEq + use<> {
    let meta = &object.metadata;
    let deleted = meta.deletion_timestamp.is_some();
    (meta.generation, deleted, meta.annotations.clone())
}

fn seal() -> Seal {
    Seal(SecretString::from("seal"))
}

pub fn second(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n)
}

pub fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

impl Scene {
    /// An instance that was just applied, of a template without a volume.
    pub fn new() -> Scene {
        let now = start();
        let mut object = AgentInstance::new(
            "ada",
            serde_json::from_value(serde_json::json!({
                "templateRef": {"name": "plain"}, "accountRef": {"name": "main"}
            }))
            .unwrap(),
        );
        object.metadata.namespace = Some("team-a".into());
        object.metadata.uid = Some("5f2c".into());
        object.metadata.generation = Some(1);
        object.metadata.resource_version = Some("1".into());
        object.metadata.creation_timestamp = Some(Time(now));
        Scene {
            now,
            limits: Limits {
                request: second(10),
                settle: second(20),
            },
            latency: SignedDuration::from_millis(400),
            object: Some(object),
            version: 1,
            token: false,
            tools: Vec::new(),
            shops: Shops::new(now),
            accounts: SHOPS
                .iter()
                .map(|name| ((*name).to_owned(), ToolAccountView::Ready))
                .collect(),
            going: BTreeSet::new(),
            drawer: BTreeMap::new(),
            sizes: Sizes::default(),
            most: BTreeMap::new(),
            stock: BTreeMap::new(),
            memory_lost: false,
            hot: 0,
            trail: Vec::new(),
            adopted_by: None,
            claim_gone: false,
            rivals: BTreeSet::new(),
            unlisted: BTreeSet::new(),
            denying: BTreeSet::new(),
            word: Word::default(),
            left_behind: BTreeSet::new(),
            taken: false,
            provider: Provider::new(now),
            pauses: Pauses::default(),
            account: AccountView::Ready(room()),
            turns: BTreeMap::new(),
            asked: 0,
            others: TakenPlaces::default(),
            committable: None,
            ordered: None,
            holds: None,
            line: None,
            template: TemplateView::Ready(TemplateReady {
                revision: "r1".into(),
                image: ResolvedImage {
                    requested: "ghcr.io/acme/agent:1".into(),
                    digest: "sha256:1".into(),
                },
                harness: "convos",
                runner: false,
                readiness: ReadinessProbe::asking("/pool/health", Expects::default()),
                startup_deadline: SignedDuration::from_mins(15),
                port: Some(8080),
                volume_mount: None,
                turn: RolloutTurn::Yes,
            }),
            env: "a".into(),
            broken: None,
            agent: Health::Ready { version: None },
            // The account was there before the object.
            listing: Some((now, Vec::new())),
            missed: Newly::default(),
            missed_tools: BTreeMap::new(),
            next_tick: now + second(1),
            troubles: Troubles::default(),
            fresh: BTreeMap::new(),
            wake: Some(now),
            log: Vec::new(),
            trouble: BTreeMap::new(),
            refused: BTreeSet::new(),
            events: BTreeMap::new(),
            fired: 0,
            told: Vec::new(),
            last_event: now,
        }
    }

    pub fn with_volume(mut self) -> Scene {
        self.ready_template().volume_mount = Some("/data".into());
        self
    }

    /// Reads that lag, and a deployment and an agent that take their time.
    pub fn slow(mut self) -> Scene {
        self.provider.lag = second(3);
        self.provider.boot = second(25);
        self.shops.lag = second(3);
        self.shops.setup = second(45);
        self
    }

    /// A provider that is so quick that one write of the status stands for many effects.
    pub fn quick(mut self) -> Scene {
        self.latency = SignedDuration::from_millis(20);
        self
    }

    /// With one tool of each kind, all of which the agent needs.
    pub fn with_tools(mut self) -> Scene {
        self.tools = serde_json::from_value(serde_json::json!([
            {"name": "llm", "type": "openrouter", "accountRef": {"name": "openrouter"}, "limitUSD": 20, "maxLimitUSD": 50},
            {"name": "search", "type": "exa", "accountRef": {"name": "exa"}},
            {"name": "mail", "type": "agentmail", "accountRef": {"name": "agentmail"}},
            {"name": "phone", "type": "telnyx", "accountRef": {"name": "telnyx"}},
            {"name": "purse", "type": "wallet"},
            {"name": "bank", "type": "bankr", "accountRef": {"name": "bankr"}},
        ]))
        .unwrap();
        self
    }

    /// Come to rest, with a clean log.
    pub fn rested(mut self) -> Scene {
        self.settle();
        self.log.clear();
        self.trail.clear();
        self.told.clear();
        self.provider.counts.clear();
        self.shops.counts.clear();
        self
    }

    pub fn ready_template(&mut self) -> &mut TemplateReady {
        match &mut self.template {
            TemplateView::Ready(ready) => ready,
            _ => panic!("the template is not ready"),
        }
    }

    // --- what users do ---------------------------------------------------------------------------------------------

    pub fn edit(&mut self, with: impl FnOnce(&mut AgentInstance)) {
        let Some(object) = &mut self.object else {
            return;
        };
        with(object);
        *object.metadata.generation.get_or_insert(1) += 1;
        self.touched();
    }

    pub fn annotate(&mut self, slot: &str) {
        let Some(object) = &mut self.object else {
            return;
        };
        object
            .annotations_mut()
            .insert(ABANDON_ANNOTATION.into(), slot.into());
        self.touched();
    }

    pub fn delete(&mut self) {
        let now = self.now;
        let Some(object) = &mut self.object else {
            return;
        };
        if object.finalizers().is_empty() {
            self.object = None;
        } else if object.metadata.deletion_timestamp.is_none() {
            object.metadata.deletion_timestamp = Some(Time(now));
        }
        self.touched();
    }

    /// A new revision of the template.
    pub fn revise(&mut self, revision: &str) {
        let template = self.ready_template();
        template.revision = format!("r{revision}");
        template.image.digest = format!("sha256:{revision}");
        self.happened();
    }

    /// The instance's Secret goes, and with it the credentials of everything but wallets.
    pub fn drop_own_secret(&mut self) {
        self.token = false;
        self.drawer
            .retain(|_, (kept, _)| kept.secret.as_deref() != Some("ada-agent"));
        self.happened();
    }

    /// Part of what the status has on record is lost, or all of it: by a person's hand, or by a restore of the cluster.
    pub fn lose(&mut self, with: impl FnOnce(&mut Option<AgentInstanceStatus>)) {
        if let Some(object) = &mut self.object {
            with(&mut object.status);
        }
        self.memory_lost = true;
        self.touched();
    }

    pub fn set_env(&mut self, value: &str) {
        value.clone_into(&mut self.env);
        self.edit(|_| {});
    }

    fn touched(&mut self) {
        self.version += 1;
        let version = self.version.to_string();
        if let Some(object) = &mut self.object {
            object.metadata.resource_version = Some(version);
        }
        self.happened();
    }

    /// Something changed that a watch tells.
    pub fn happened(&mut self) {
        self.wake = Some(self.now);
        self.last_event = self.now;
    }

    // --- time ------------------------------------------------------------------------------------------------------

    pub fn advance(&mut self, to: Timestamp) {
        self.now = self.now.max(to);
        self.provider.land(self.now);
        self.shops.land(self.now);
    }

    /// Runs until nothing has happened for long, and nothing is due to.
    pub fn settle(&mut self) {
        for _ in 0..600 {
            if self.at_rest() {
                return;
            }
            self.go_on();
        }
        panic!("does not come to rest: {:?}\n{}", self.log, self.portrait());
    }

    /// Runs for so long, whether something happens or not.
    pub fn run_for(&mut self, long: SignedDuration) {
        let end = self.now + long;
        while self
            .wake
            .map_or(self.next_tick, |wake| wake.min(self.next_tick))
            < end
        {
            self.go_on();
        }
        self.advance(end);
    }

    fn go_on(&mut self) {
        match self.wake {
            Some(at) if at <= self.next_tick => {
                self.advance(at);
                self.visit();
            }
            _ => {
                self.advance(self.next_tick);
                self.next_tick = self.now + TICK;
                let (home, tools) = (self.observe(), self.observe_shops());
                if home || tools {
                    self.visit();
                }
            }
        }
    }

    fn at_rest(&self) -> bool {
        let last = self
            .last_event
            .max(self.provider.last_change)
            .max(self.shops.last_change);
        let long = (self.limits.request + self.limits.settle) * 2 + TICK * 2;
        let unsettled = self.provider.unsettled(self.now) || self.shops.unsettled(self.now);
        !unsettled && self.now > last + long
    }

    /// The observer reads the account; whether what it sees is news for the instance.
    fn observe(&mut self) -> bool {
        if !matches!(self.account, AccountView::Ready(_)) {
            return false;
        }
        let read = self.provider.list(self.now);
        let undated = |home: &Home| Home {
            begun: start(),
            ..home.clone()
        };
        let news = match &self.listing {
            None => true,
            Some((_, old)) => !read
                .homes
                .iter()
                .all(|home| old.iter().any(|old| undated(old) == undated(home))),
        };
        let settle = self.limits.settle;
        let missing = self
            .object
            .as_ref()
            .and_then(|object| object.status.as_ref())
            .and_then(|status| entry(status, Slot::Project))
            .filter(|entry| {
                entry.state == SlotState::Exists && entry.started_at.0 + settle <= read.begun
            })
            .is_some_and(|entry| {
                !read
                    .homes
                    .iter()
                    .any(|home| Some(&home.id) == entry.id.as_ref())
            });
        self.listing = Some((read.begun, read.homes));
        // As the controller does it: each absence wakes once.
        let newly = self.missed.news(missing.then(|| "project".to_owned()));
        news || !newly.is_empty()
    }

    /// The observers read the accounts of tools; whether what they see is news for the instance.
    fn observe_shops(&mut self) -> bool {
        let mut news = false;
        for shop in SHOPS {
            if self.tools.is_empty()
                || !self
                    .accounts
                    .get(shop)
                    .is_some_and(ToolAccountView::answers)
            {
                continue;
            }
            let Some(stock) = self.shops.list(shop, self.now) else {
                continue;
            };
            if let Some(object) = &self.object {
                let recorded = belief::recorded(object, shop, stock.begun, self.limits);
                news |= !belief::changed(self.stock.get(shop), &stock, &recorded).is_empty();
                let lacks = belief::missing(&stock, &recorded).into_iter();
                let missed = self.missed_tools.entry(shop.to_owned()).or_default();
                news |= !missed.news(lacks.map(|named| named.id.clone())).is_empty();
            }
            self.stock.insert(shop.to_owned(), stock);
        }
        news
    }

    /// One pass, and what the controller makes of its end.
    pub fn visit(&mut self) -> Option<End> {
        self.wake = None;
        self.memory_lost = false;
        let before = self.object.as_ref().map(as_people_left_it);
        let world = self.gather()?;
        let about = view::tried(&world);
        let written = self.object.clone()?;
        let ended = pass(self, world, written)
            .now_or_never()
            .expect("a pass waits for nothing");
        match ended {
            Ok(end) => {
                self.line = end.line;
                if self.pauses.any() || !self.pauses.unread.is_empty() {
                    // Given back when the pass ends.
                    self.holds = None;
                }
                assert_eq!(self.holds, None, "an unused turn: {:?}", self.log);
                let (went, wake) = finished(&mut self.troubles, &end, &about, "5f2c", self.now);
                let hot = end.wake.is_some_and(|at| at <= self.now);
                self.hot = match hot && went == Went::Unchanged {
                    true => self.hot + 1,
                    false => 0,
                };
                assert!(
                    self.hot < 3,
                    "comes again at once, for ever: {:?} {:?}",
                    self.log,
                    self.trail
                );
                // What happened during the pass wakes it after it.
                self.wake = self.wake.into_iter().chain(wake).min();
                if self.object.as_ref().map(as_people_left_it) != before {
                    // The watch brings what wakes an instance, whoever changed it; its own status does not.
                    let soon = self.now + SignedDuration::from_millis(5);
                    self.wake = Some(self.wake.map_or(soon, |wake| wake.min(soon)));
                }
                Some(end)
            }
            Err(Interrupt::Crash) => {
                self.restart();
                None
            }
            Err(Interrupt::Stale) => {
                self.holds = None;
                self.wake = Some(self.now + SignedDuration::from_millis(50));
                None
            }
            Err(Interrupt::Gone) => {
                self.holds = None;
                None
            }
        }
    }

    /// Everything that a process knows by heart is lost.
    pub fn restart(&mut self) {
        self.holds = None;
        self.troubles = Troubles::default();
        self.listing = None;
        self.missed = Newly::default();
        self.missed_tools.clear();
        self.fresh.clear();
        self.stock.clear();
        self.shops.keyless.clear();
        self.now += second(1);
        self.next_tick = self.now + second(2);
        self.happened();
    }

    /// As the controller gathers it.
    pub fn gather(&self) -> Option<World> {
        let instance = self.object.clone()?;
        let deleting = instance.metadata.deletion_timestamp.is_some();
        let (identity, namespace) = (instance.identity(), instance.namespace());
        let recorded = view::project_or_adopted(&instance).map(str::to_owned);
        let (listing, homes) = match (&self.account, &self.listing) {
            (AccountView::Ready(_), Some((begun, homes))) => {
                let mine = |home: &&Home| {
                    Some(&home.id) == recorded.as_ref()
                        || home.marker.as_ref().is_some_and(|marker| {
                            marker.uid == identity
                                || Some(&marker.namespace) == namespace.as_ref()
                                    && marker.name == instance.name_any()
                        })
                };
                (Some(*begun), homes.iter().filter(mine).cloned().collect())
            }
            _ => (None, Vec::new()),
        };
        let installation = InstallationId("i-1".into());
        let homes: Vec<Home> = homes;
        let standing = standing(
            &instance,
            &Facts {
                installation: &installation,
                homes: listing.is_some().then_some(&homes),
                left_behind: &self.left_behind,
                taken: self.taken,
                word: self.word,
            },
        );
        let instance = as_it_stands(instance, &standing);
        let desired = match (&self.template, &self.broken) {
            _ if deleting => Desired::Unknown,
            (_, Some((reason, message))) => Desired::Broken {
                reason,
                message: message.clone(),
            },
            (TemplateView::Ready(template), None) => Desired::Composed(self.composed(template)),
            _ => Desired::Unknown,
        };
        let tools = self.tools_seen(deleting);
        let wanted = tools.wanted.as_deref().unwrap_or_default();
        let mut world = World {
            rights: rights::of(&instance, wanted, |name| Some(self.owned(&instance, name))),
            tools,
            account: self.account.clone(),
            template: match deleting {
                true => TemplateView::Missing,
                false => self.template.clone(),
            },
            token: self.token,
            adopted_by: self.adopted_by.clone(),
            desired,
            standing,
            outside: Outside {
                listing,
                homes,
                ..Outside::default()
            },
            ..World::unread(self.now, self.limits, (installation, seal()), instance)
        };
        let about = view::tried(&world);
        world.patience = self.troubles.patience(&about);
        world.tools.patience = self.troubles.of_tools(&about);
        Some(world)
    }

    /// What the owner of an account says of it.
    fn owned(&self, instance: &AgentInstance, name: &str) -> Arc<ProviderAccount> {
        let adopt = instance.spec.adopt.iter();
        let tools = adopt
            .clone()
            .flat_map(|adopt| &adopt.tools)
            .map(|tool| &tool.id);
        let named = adopt.map(|adopt| &adopt.project_id).chain(tools);
        let mut account =
            ProviderAccount::new(name, serde_json::from_value(serde_json::json!({})).unwrap());
        account.spec.adoption = Adoption {
            policy: AdoptionPolicy::Listed,
            ids: named
                .filter(|id| !self.unlisted.contains(id.as_str()))
                .cloned()
                .collect(),
        };
        if self.denying.contains(name) {
            account.spec.retention = Retention::Deny;
        }
        Arc::new(account)
    }

    /// What is known of the instance's tools.
    fn tools_seen(&self, deleting: bool) -> Tools {
        let Some(object) = self.object.as_ref().filter(|_| !self.tools.is_empty()) else {
            return Tools::default();
        };
        let known = (!deleting || view::ledger_lost(object))
            && !matches!(self.template, TemplateView::Missing);
        let (wanted, refused) = match known {
            true => wanted(&self.tools, object),
            false => Default::default(),
        };
        let views = self.accounts.iter();
        let kept = self.drawer.iter();
        let mut tools = Tools {
            wanted: known.then_some(wanted),
            refused,
            claim_gone: self.claim_gone,
            rivals: self.rivals.clone(),
            accounts: views
                .flat_map(|(name, view)| {
                    SHOPS.map(|shop| ((name.clone(), shop.to_owned()), view.clone()))
                })
                .collect(),
            most: self.most.clone(),
            rooms: SHOPS
                .map(|shop| {
                    let usd = self.committable;
                    (shop.to_owned(), Most { usd, ..most() })
                })
                .into(),
            kept: kept
                .map(|(slot, (kept, _))| (*slot, kept.clone()))
                .collect(),
            ..Tools::default()
        };
        tools.keep_to_accounts(object);
        tools.glance(object, &|account, id, key| {
            let Some(stock) = self.stock.get(account) else {
                return (None, Vec::new());
            };
            let bears = |one: &&Resource| one.id == id || !key.is_empty() && one.name == key;
            let found = stock.resources.iter().filter(bears).cloned().collect();
            (Some(stock.begun), found)
        });
        tools.claim(object, &|account, slot| {
            let marker = marker(&InstallationId("i-1".into()), object, slot);
            match self.stock.get(account) {
                Some(stock) => Some(belief::bearing(stock, &marker, &seal())),
                // There are no listings of wallets.
                None => (account == "bankr").then(Vec::new),
            }
        });
        tools
    }

    /// The variables that the agent gets from its tools.
    fn given(&self) -> GivenByTools {
        let Some(object) = self.object.as_ref().filter(|_| !self.tools.is_empty()) else {
            return GivenByTools::default();
        };
        let values = self.drawer.iter();
        let values = values
            .map(|(slot, (_, value))| (*slot, SecretString::from(value.clone())))
            .collect();
        given(object, &wanted(&self.tools, object).0, &values)
    }

    fn composed(&self, template: &TemplateReady) -> Composed {
        let GivenByTools {
            deployed: given,
            brought,
            ..
        } = self.given();
        let told: Vec<String> = given
            .iter()
            .map(|(name, value)| format!("-{name}={}", value.expose_secret()))
            .collect();
        let own = Variable {
            name: "MODE".into(),
            value: SecretString::from(self.env.clone()),
        };
        let variable = |(name, value): (String, SecretString)| Variable { name, value };
        let given = given.into_iter().map(variable);
        Composed {
            brought: brought.into_iter().map(variable).collect(),
            configuration: Configuration {
                image: format!("ghcr.io/acme/agent@{}", template.image.digest),
                start_command: None,
                region: None,
                cpu: None,
                memory_bytes: None,
                restart: Restart::Always,
                sleep_when_idle: false,
                registry: None,
                volume_mount: template.volume_mount.clone(),
                volume_megabytes: None,
                variables: std::iter::once(own).chain(given).collect(),
            },
            // As a keyed hash it tells nothing; here it may not, either.
            key: format!(
                "{}-{}{}",
                template.revision,
                self.env,
                brief(&told.concat())
            ),
            own: self.env.clone(),
            sizes: self.sizes.clone(),
        }
    }
}

fn brief(text: &str) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    if text.is_empty() {
        return String::new();
    }
    let mut hash = DefaultHasher::new();
    text.hash(&mut hash);
    format!("-{:x}", hash.finish())
}

fn most() -> Most {
    Most {
        all: 500,
        field: "limits.resources",
        namespace: 100,
        usd: None,
        namespace_usd: None,
    }
}

pub fn room() -> AccountRoom {
    AccountRoom {
        projects: Some(TakenPlaces::default()),
        most: most(),
        per_agent: RailwayPerAgent::default(),
        interval: second(30),
        turns: BTreeMap::new(),
        deleting: false,
    }
}
