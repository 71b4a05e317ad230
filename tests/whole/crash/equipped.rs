//! The life of an agent with all six tools, and what is true at the end of each phase: what the ledger implies is what
//! lives outside, and what the Secrets keep opens it.
//!
//! Holds: a phase ends when everything that it should leave is there and nothing else; no number is ever ordered twice,
//! and nothing is made more often than something went wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kube::api::DynamicObject;
use reqwest::Method;
use serde_json::{Value, json};
use world::{Exchange, Mark, Tenant, World, condition, eventually};
use yardmaster::model::slot::Part;
use yardmaster::model::tool::{Order, Wish};
use yardmaster::tools::Provider as _;
use yardmaster::tools::Wallet;

use super::life::{Fault, Phase, Point, at_rest, landed, lines};
use crate::support::{hash, is_mutation, list};

/// The phases of such a life: what an update does to an agent is the same with tools and without.
pub const PHASES: [Phase; 2] = [Phase::Create, Phase::Delete];

/// The same, and the key's limit is raised meanwhile to all that its account has left.
pub const WITH_A_RAISE: [Phase; 3] = [Phase::Create, Phase::Update, Phase::Delete];

/// What each account lets its one agent cost a month, at most: no cent more than it costs.
const MONTHLY_USD: [(&str, u32); 4] = [
    ("openrouter", RAISED),
    ("exa", 5),
    ("agentmail", 2),
    ("telnyx", 2),
];

/// The limit of a key that was raised.
const RAISED: u32 = 30;

/// A refusal is tried again after half a minute.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// What makes something, once for each agent.
const MAKES: [(&str, &str); 11] = [
    ("openrouter", "POST /api/v1/keys"),
    ("exa", "POST /team-management/api-keys"),
    ("agentmail", "POST /v0/inboxes"),
    ("agentmail", "POST /v0/inboxes/{x}/api-keys"),
    ("telnyx", "POST /v2/messaging_profiles"),
    ("telnyx", "POST /v2/number_orders"),
    ("bankr", "POST /partner/wallets"),
    ("bankr", "POST /partner/wallets/{x}/api-keys"),
    ("railway", "projectCreate"),
    ("railway", "serviceCreate"),
    ("railway", "serviceDomainCreate"),
];

/// What an account is asked about itself, whoever uses it; and by these tests, a key.
const ABOUT_ACCOUNTS: [&str; 8] = [
    "projectServiceUsage",
    "GET /api/v1/key",
    "apiToken",
    "workspace",
    "GET /api/v1/credits",
    "GET /api/v1/workspaces",
    "GET /v0/auth/me",
    "GET /partner/wallets/wlt_yardmaster-asks-who-it-is",
];

/// Read for the whole account once an interval: it comes for certain, but perhaps after the phase.
const LISTINGS: [&str; 6] = [
    "projects",
    "GET /api/v1/keys",
    "GET /team-management/api-keys",
    "GET /v0/inboxes",
    "GET /v2/phone_numbers",
    "GET /v2/messaging_profiles",
];

/// An operation without the ids in its path.
pub fn template(operation: &str) -> String {
    let Some((method, path)) = operation.split_once(' ') else {
        return operation.to_owned();
    };
    let is_id = |piece: &str| piece.len() > 3 && piece.bytes().any(|byte| byte.is_ascii_digit());
    let pieces = path
        .split('/')
        .map(|piece| if is_id(piece) { "{x}" } else { piece });
    format!("{method} {}", pieces.collect::<Vec<_>>().join("/"))
}

/// An exchange of a life.
#[derive(Debug, Clone)]
pub struct Place {
    pub point: Point,
    /// Whether it changes something.
    pub changes: bool,
    /// Whether it comes once an interval, whatever the life does.
    pub listing: bool,
}

/// The exchanges of an undisturbed phase, in their order: each that changes something, and of the reads the first.
pub fn places(exchanges: &[Exchange]) -> Vec<Place> {
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut places = Vec::new();
    for exchange in exchanges {
        let operation = template(&exchange.operation);
        if ABOUT_ACCOUNTS.contains(&operation.as_str()) {
            continue;
        }
        let changes = match exchange.provider.as_str() {
            "railway" => is_mutation(exchange),
            _ => exchange.method != "GET",
        };
        let key = (exchange.provider.clone(), operation.clone());
        let nth = seen.entry(key).or_default();
        *nth += 1;
        if changes || *nth == 1 {
            places.push(Place {
                listing: LISTINGS.contains(&operation.as_str()),
                point: Point {
                    provider: exchange.provider.clone(),
                    operation,
                    nth: *nth,
                },
                changes,
            });
        }
    }
    places
}

/// Starts a tenant with an account at every provider and a template `equipped` with every tool.
pub async fn equip<'w>(world: &'w World, name: &str) -> Result<Tenant<'w>> {
    let tenant = world.tenant(name).await?;
    tenant.tool_accounts().await?;
    let template = json!({
        "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentTemplate", "metadata": {"name": "equipped"},
        "spec": {"runtime": {"image": "ghcr.io/acme/agent:1.4", "port": 8080}, "tools": tenant.six_tools()},
    });
    let cluster = world.cluster();
    cluster
        .apply_one(template, Some(tenant.namespace()))
        .await?;
    for (provider, most) in MONTHLY_USD {
        let name = format!("{}-{provider}", tenant.name());
        let account = world.object("ProviderAccount", None, &name);
        let most = json!({"spec": {"limits": {"monthlyUSD": most}}});
        account.patch(most).await?;
    }
    let providers = ["openrouter", "exa", "agentmail", "telnyx", "bankr"];
    let names = providers.map(|provider| format!("{}-{provider}", tenant.name()));
    for name in names.iter().map(String::as_str).chain([tenant.name()]) {
        let account = world.object("ProviderAccount", None, name);
        account.wait_condition("Ready", "True", DEADLINE).await?;
    }
    Ok(tenant)
}

/// What a life left on purpose.
#[derive(Clone)]
struct Purse {
    secret: String,
    private_key: String,
    wallet: String,
}

/// What a phase showed.
#[derive(Debug, Default)]
pub struct Told {
    pub exchanges: Vec<Exchange>,
    pub took: Duration,
    /// Things outside that were held against the ledger, one by one.
    pub compared: usize,
}

/// An instance with every tool.
pub struct Equipped<'a, 'w> {
    tenant: &'a Tenant<'w>,
    name: String,
    born: Mark,
    /// Wallets that earlier lives left.
    rested: BTreeSet<String>,
    /// Numbers that earlier lives had.
    had: usize,
    purse: Option<Purse>,
}

impl<'a, 'w> Equipped<'a, 'w> {
    pub async fn new(tenant: &'a Tenant<'w>, name: &str) -> Result<Self> {
        let left = tenant.inventory().await?;
        let strange = left.resources.iter().find(|left| left.kind != "wallet");
        ensure!(strange.is_none(), "an earlier life left {strange:#?}");
        let mut life = Self {
            tenant,
            name: name.to_owned(),
            born: tenant.world().journal().mark()?,
            rested: left
                .kind("wallet")
                .map(|wallet| wallet.id.clone())
                .collect(),
            had: 0,
            purse: None,
        };
        life.had = life.numbers().await?;
        Ok(life)
    }

    pub fn tenant(&self) -> &'a Tenant<'w> {
        self.tenant
    }

    pub fn instance(&self) -> world::Object<'w> {
        self.tenant.instance(&self.name)
    }

    /// Orders a fault in this life; gives its id.
    pub async fn post(&self, fault: &Fault, times: u64) -> Result<String> {
        let Point {
            provider,
            operation,
            nth,
        } = &fault.point;
        let order = json!({
            "provider": provider, "operation": operation, "nth": nth, "times": times, "effect": fault.effect,
        });
        self.tenant.post_fault(order).await
    }

    pub async fn begin(&self, phase: Phase) -> Result<()> {
        match phase {
            Phase::Create => {}
            Phase::Update => {
                let raised = json!({"spec": {"toolLimits": [{"name": "llm", "limitUSD": RAISED}]}});
                self.instance().patch(raised).await?;
                return Ok(());
            }
            Phase::Delete => return self.instance().delete().await,
        }
        let instance = json!({
            "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentInstance", "metadata": {"name": self.name},
            "spec": {"templateRef": {"name": "equipped"}, "accountRef": {"name": self.tenant.account()}},
        });
        let cluster = self.tenant.world().cluster();
        let namespace = Some(self.tenant.namespace());
        cluster.apply_one(instance, namespace).await?;
        Ok(())
    }

    /// Whether the object says that the phase has ended.
    pub async fn is_over(&self, phase: Phase) -> Result<bool> {
        let object = self.instance().find().await?;
        Ok(match phase {
            Phase::Delete => object.is_none(),
            _ => object.is_some_and(|object| is_equipped(&object, phase)),
        })
    }

    /// Waits until the phase has left what it should, and compares; how much was compared.
    pub async fn ended(&mut self, phase: Phase) -> Result<usize> {
        if phase == Phase::Delete {
            let compared = self.is_taken_back().await?;
            self.books_agree(&[]).await?;
            return Ok(compared);
        }
        let instance = self.instance();
        let what = "it is at rest with all of its tools";
        let is_over = |object: &DynamicObject| is_equipped(object, phase);
        let object = instance.wait_until(what, DEADLINE, is_over).await?;
        let compared = self.is_as_the_ledger_says(&object).await?;
        self.opens(&object).await?;
        self.books_agree(&[object]).await?;
        Ok(compared)
    }

    /// What accounts and agents tell of their money is what the providers' books say. An account tells it a moment later.
    async fn books_agree(&self, agents: &[DynamicObject]) -> Result<()> {
        let agree = async || {
            let living = self.tenant.inventory().await?.resources;
            let different = world::books::differences(self.tenant, agents, &living).await?;
            ensure!(different.is_empty(), "{different:#?}");
            Ok(Some(()))
        };
        eventually("the books agree", DEADLINE, agree).await
    }

    async fn is_taken_back(&self) -> Result<usize> {
        self.instance().wait_gone(DEADLINE).await?;
        let purse = self.purse.clone().context("it was never there")?;
        let left = self.tenant.inventory().await?.resources;
        let mut allowed = self.rested.clone();
        allowed.insert(purse.wallet);
        let surplus: Vec<_> = left
            .iter()
            .filter(|left| {
                let rests = left.description.as_deref() == Some("suspended");
                left.kind != "wallet" || !rests || !allowed.contains(&left.id)
            })
            .collect();
        ensure!(
            surplus.is_empty(),
            "the object is gone, but not {surplus:#?}"
        );
        ensure!(left.len() == allowed.len(), "a wallet is gone: {left:#?}");
        let kept = self.secret(&purse.secret).await?;
        ensure!(
            kept.get("WALLET_PRIVATE_KEY") == Some(&purse.private_key),
            "the wallet's Secret is not what it was"
        );
        self.one_number().await?;
        Ok(left.len())
    }

    /// What the ledger implies lives, and nothing else does.
    async fn is_as_the_ledger_says(&mut self, object: &DynamicObject) -> Result<usize> {
        let own = self.secret(&format!("{}-agent", self.name)).await?;
        let mut implied = BTreeSet::new();
        for entry in list(&object.data["status"]["external"]) {
            let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
            let (slot, id) = (text("slot"), text("id"));
            ensure!(text("state") == "Exists", "at rest the ledger says {entry}");
            let known = match slot.as_str() {
                "project" | "service" | "domain" => (format!("railway/{slot}"), id),
                "environment" | "configuration" | "tool/purse" => continue,
                "tool/llm" => ("openrouter/key".to_owned(), id),
                "tool/search" => ("exa/key".to_owned(), id),
                "tool/inbox" => ("agentmail/inbox".to_owned(), id),
                "tool/inbox/key" => ("agentmail/key".to_owned(), id),
                "tool/phone" => ("telnyx/number".to_owned(), id),
                "tool/phone/profile" => ("telnyx/messagingProfile".to_owned(), id),
                "tool/bank" => ("bankr/wallet".to_owned(), id),
                "tool/bank/key" => {
                    // Bankr shows nothing of a key; the simulator's are called as their text is.
                    let key = own.get("BANKR_API_KEY").context("no BANKR_API_KEY")?;
                    ensure!(
                        id == format!("sha256-{}", hash(key)),
                        "another key: {entry}"
                    );
                    let name = key.split('_').nth(2).unwrap_or_default();
                    ("bankr/key".to_owned(), name.to_owned())
                }
                other => anyhow::bail!("a slot that nobody asked for: {other}"),
            };
            ensure!(implied.insert(known), "twice in the ledger: {entry}");
        }
        let deployment = &object.data["status"]["deployment"]["id"];
        let deployment = deployment.as_str().unwrap_or_default().to_owned();
        implied.insert(("railway/deployment".to_owned(), deployment));
        ensure!(
            implied.len() == 12,
            "the ledger lacks something: {implied:#?}"
        );
        let here = || async {
            let inventory = self.tenant.inventory().await?;
            let living = inventory.resources.into_iter();
            let living = living.filter(|living| !self.rested.contains(&living.id));
            let all: Vec<(String, String)> = living
                .map(|living| {
                    let id = match living.provider.as_str() {
                        "exa" => format!("sha256-{}", living.id.get(..16).unwrap_or_default()),
                        // An order tells the number, and not yet its id.
                        "telnyx" if living.kind == "number" => living.name,
                        _ => living.id,
                    };
                    (format!("{}/{}", living.provider, living.kind), id)
                })
                .collect();
            anyhow::Ok(all)
        };
        let living = here().await?;
        let outside: BTreeSet<_> = living.iter().cloned().collect();
        let difference: Vec<_> = outside.symmetric_difference(&implied).collect();
        ensure!(
            difference.is_empty() && living.len() == implied.len(),
            "ledger and inventory differ by {difference:#?}\noutside: {living:#?}\nledger: {implied:#?}"
        );
        Ok(living.len())
    }

    /// What the Secrets keep opens what lives, and is what the agent has.
    async fn opens(&mut self, object: &DynamicObject) -> Result<()> {
        let world = self.tenant.world();
        let tool = |name: &str| {
            let tools = list(&object.data["status"]["tools"]);
            let found = tools.into_iter().find(|tool| tool["name"] == name);
            found.with_context(|| format!("status.tools has no {name}"))
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let own = self.secret(&format!("{}-agent", self.name)).await?;
        let get = |name: &str| own.get(name).cloned().with_context(|| format!("no {name}"));
        let inbox = text(&tool("inbox")?["address"]);
        let http = world.http(Duration::from_secs(10))?;
        for (url, key) in [
            (
                "https://openrouter.ai/api/v1/key".to_owned(),
                get("OPENROUTER_API_KEY")?,
            ),
            (
                format!(
                    "https://api.agentmail.to/v0/inboxes/{}",
                    inbox.replace('@', "%40")
                ),
                get("AGENTMAIL_API_KEY")?,
            ),
        ] {
            let answer = http.get(&url).bearer_auth(&key).send().await?;
            ensure!(answer.status() == 200, "{url} answers {}", answer.status());
        }
        let inventory = self.tenant.inventory().await?;
        let exa = hash(&get("EXA_API_KEY")?);
        let opens = |key: &&world::Resource| key.provider == "exa" && key.id.starts_with(&exa);
        ensure!(
            inventory.kind("key").filter(opens).count() == 1,
            "EXA_API_KEY opens nothing"
        );

        let (purse, bank) = (tool("purse")?, tool("bank")?);
        let secret = text(&purse["secretRef"]["name"]);
        let wallet = self.secret(&secret).await?;
        let private_key = wallet.get("WALLET_PRIVATE_KEY").context("no private key")?;
        let address = address_of(private_key).await?;
        ensure!(
            purse["address"] == address.as_str() && ledger(object, "tool/purse") == address,
            "the wallet of {address} is said to be {purse}"
        );
        let project = ledger(object, "project");
        let agents = list(&world.outside().agents().await?);
        let agent = agents.iter().find(|agent| agent["projectId"] == *project);
        let agent = agent.context("there is no agent")?;
        let given = &agent["variableHashes"];
        for (name, value) in own.iter().chain(&wallet) {
            ensure!(
                given[name] == hash(value) || !name.ends_with("_KEY"),
                "the agent has another {name}"
            );
        }
        for (name, tool) in [("WALLET_ADDRESS", &purse), ("BANKR_WALLET_ADDRESS", &bank)] {
            ensure!(
                given[name] == hash(&text(&tool["address"])),
                "another {name}"
            );
        }
        ensure!(
            agent["deployments"] == 1,
            "deployed more than once: {agent:#}"
        );
        self.purse = Some(Purse {
            secret,
            private_key: private_key.clone(),
            wallet: ledger(object, "tool/bank"),
        });
        self.one_number().await
    }

    /// Numbers of the tenant, released ones too.
    async fn numbers(&self) -> Result<usize> {
        let outside = self.tenant.world().outside();
        let numbers = outside.call(Method::GET, "/telnyx/numbers", None).await?;
        let numbers = list(&numbers);
        let mine = |number: &&Value| number["account"] == self.tenant.name();
        Ok(numbers.iter().filter(mine).count())
    }

    /// Nothing that was released is ordered again here, so two would be two at a time.
    async fn one_number(&self) -> Result<()> {
        let now = self.numbers().await?;
        ensure!(
            now == self.had + 1,
            "{} numbers were bought for one agent",
            now - self.had
        );
        Ok(())
    }

    async fn secret(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let secret = self.tenant.world().secret(self.tenant.namespace(), name);
        secret.await.with_context(|| format!("Secret {name}"))
    }

    /// Plays a phase to its end, with these faults in it, each of which must fire.
    pub async fn play(&mut self, phase: Phase, faults: &[Fault]) -> Result<Told> {
        let started = Instant::now();
        let mark = self.tenant.world().journal().mark()?;
        let played = self.play_on(phase, faults).await;
        self.judge(phase, mark, started, played, || {
            let faults = faults.iter().map(ToString::to_string);
            faults.collect::<Vec<_>>().join("\n  ")
        })
    }

    async fn play_on(&mut self, phase: Phase, faults: &[Fault]) -> Result<usize> {
        let mut posted = Vec::new();
        for fault in faults {
            posted.push(self.post(fault, 1).await?);
        }
        self.begin(phase).await?;
        let compared = self.ended(phase).await?;
        self.withdraw(&posted, faults).await?;
        Ok(compared)
    }

    /// Takes faults away, each of which must have fired.
    pub async fn withdraw(&self, posted: &[String], faults: &[Fault]) -> Result<()> {
        let outside = self.tenant.world().outside();
        for (id, fault) in posted.iter().zip(faults) {
            let fired = outside.fired(id).await?;
            ensure!(fired > 0, "never happened: {fault}");
            outside.remove_fault(id).await?;
        }
        Ok(())
    }

    /// What came of a phase, or why not, with all that was exchanged.
    pub fn judge(
        &self,
        phase: Phase,
        mark: Mark,
        started: Instant,
        played: Result<usize>,
        what: impl Fn() -> String,
    ) -> Result<Told> {
        let exchanges = self.tenant.exchanges(mark)?;
        let checked = played.and_then(|compared| {
            self.check_counts()?;
            Ok(compared)
        });
        let compared = checked.with_context(|| {
            let quiet = |exchange: &&Exchange| {
                exchange.fault || !LISTINGS.contains(&template(&exchange.operation).as_str())
            };
            let told: Vec<Exchange> = exchanges.iter().filter(quiet).cloned().collect();
            format!(
                "{phase:?} of {}/{} with\n  {}\nexchanges since the phase began, but for undisturbed \
                 listings:\n{}journal: {}",
                self.tenant.name(),
                self.name,
                what(),
                lines(&told),
                self.tenant.world().journal().path().display(),
            )
        })?;
        Ok(Told {
            exchanges,
            took: started.elapsed(),
            compared,
        })
    }

    /// Nothing is made twice unless something went wrong, and not more often than that.
    fn check_counts(&self) -> Result<()> {
        let all = self.tenant.exchanges(self.born)?;
        let struck = all.iter().filter(|exchange| exchange.fault).count();
        for (provider, operation) in MAKES {
            let made = all
                .iter()
                .filter(|one| one.provider == provider && template(&one.operation) == operation)
                .filter(|one| landed(one))
                .count();
            let wrong = match operation {
                // What bears our name is found again, so it is never made twice.
                "POST /v2/number_orders" | "POST /v2/messaging_profiles" => 0,
                _ if provider == "railway" => 0,
                _ => struck,
            };
            ensure!(
                made <= 1 + wrong,
                "{provider} {operation} took place {made} times, {struck} exchanges were disturbed"
            );
        }
        Ok(())
    }
}

/// At rest, with every tool, as it should be after a phase.
fn is_equipped(object: &DynamicObject, phase: Phase) -> bool {
    let tools = condition(object, "ToolsReady");
    let mut all = list(&object.data["status"]["tools"]).into_iter();
    let limit = all.find_map(|tool| tool["usage"]["limitUSD"].as_str().map(str::to_owned));
    let raised = limit == Some(RAISED.to_string());
    at_rest(object)
        && raised == (phase == Phase::Update)
        && tools.is_some_and(|tools| tools["status"] == "True" && tools["reason"] == "Ready")
        && object.data["status"]["deployment"]["ready"] == true
}

fn ledger(object: &DynamicObject, slot: &str) -> String {
    crate::support::id(object, slot)
}

/// The address that belongs to a private key: that of the wallet which is made of these bytes.
async fn address_of(private_key: &str) -> Result<String> {
    let digits = private_key.trim_start_matches("0x");
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        let pair = digits.get(2 * at..2 * at + 2).context("no private key")?;
        *byte = u8::from_str_radix(pair, 16)?;
    }
    let order = Order {
        part: Part::Main,
        key: String::new(),
        note: String::new(),
        wish: Wish::Wallet,
        parts: BTreeMap::new(),
    };
    let made = Wallet::new(Arc::new(move || bytes)).make(&order).await;
    let made = made.map_err(|fault| anyhow::anyhow!("{fault:?}"))?;
    Ok(made.resource.id)
}
