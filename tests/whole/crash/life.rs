//! One instance's life in three phases, what is true at the end of each, and how a fault is played into one.
//!
//! Holds: nothing sleeps; a phase ends when everything that it should leave is there and nothing else, within a
//! deadline; a fault that did not fire is an error; what fails says which exchange, when, and where the journal is.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use world::{Exchange, Inventory, Mark, Tenant, condition, eventually};

/// Far more than any case needs; where a wait is long by design the settings are lowered, not this raised.
pub const DEADLINE: Duration = Duration::from_secs(40);

/// What makes something at Railway, and the kind that is made.
pub const CREATES: [(&str, &str); 4] = [
    ("projectCreate", "project"),
    ("serviceCreate", "service"),
    ("volumeCreate", "volume"),
    ("serviceDomainCreate", "domain"),
];

pub const COMMIT: &str = "environmentPatchCommit";

/// A phase of a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Create,
    Update,
    Delete,
}

pub const PHASES: [Phase; 3] = [Phase::Create, Phase::Update, Phase::Delete];

/// One exchange of a phase: the `nth` of its operation since the phase began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub provider: String,
    pub operation: String,
    pub nth: usize,
}

/// What goes wrong, and where.
#[derive(Debug, Clone)]
pub struct Fault {
    pub point: Point,
    pub effect: Value,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Point {
            provider,
            operation,
            nth,
        } = &self.point;
        write!(f, "{} at {provider} {operation} #{nth}", self.effect)
    }
}

/// What a phase showed.
#[derive(Debug, Default)]
pub struct Told {
    pub exchanges: Vec<Exchange>,
    /// Whether the fault happened at all. If not, nothing is shown.
    pub fired: bool,
    pub took: Duration,
}

/// An instance with a template and a volume of its own.
pub struct Life<'a, 'w> {
    tenant: &'a Tenant<'w>,
    name: String,
    born: Mark,
}

impl<'a, 'w> Life<'a, 'w> {
    pub fn new(tenant: &'a Tenant<'w>, name: &str) -> Result<Self> {
        Ok(Self {
            tenant,
            name: name.to_owned(),
            born: tenant.world().journal().mark()?,
        })
    }

    fn image(&self, phase: Phase) -> String {
        let tag = if phase == Phase::Create { 1 } else { 2 };
        // Of one tenant alone, so that its exchanges with the registry can be told from others'.
        format!("ghcr.io/{}/{}:{tag}", self.tenant.name(), self.name)
    }

    fn manifests(&self) -> String {
        format!(
            "apiVersion: yardmaster.dev/v1alpha1
kind: AgentTemplate
metadata: {{name: {name}}}
spec:
  runtime:
    image: {image}
    port: 8080
    volume: {{mountPath: /data, size: 1Gi}}
  env: [{{name: ROUND, value: first}}]
---
apiVersion: yardmaster.dev/v1alpha1
kind: AgentInstance
metadata: {{name: {name}}}
spec:
  templateRef: {{name: {name}}}
  accountRef: {{name: {account}}}
",
            name = self.name,
            image = self.image(Phase::Create),
            account = self.tenant.account(),
        )
    }

    async fn begin(&self, phase: Phase) -> Result<()> {
        match phase {
            Phase::Create => {
                self.tenant.apply(&self.manifests()).await?;
            }
            Phase::Update => {
                let runtime = json!({"image": self.image(phase)});
                let env =
                    json!([{"name": "ROUND", "value": "second"}, {"name": "MORE", "value": "yes"}]);
                let change = json!({"spec": {"runtime": runtime, "env": env}});
                self.tenant.template(&self.name).patch(change).await?;
            }
            Phase::Delete => self.tenant.instance(&self.name).delete().await?,
        }
        Ok(())
    }

    /// Waits until the phase has left what it should, and checks it.
    async fn ended(&self, phase: Phase) -> Result<()> {
        let instance = self.tenant.instance(&self.name);
        if phase == Phase::Delete {
            instance.wait_gone(DEADLINE).await?;
            // The finalizer goes last: what is gone from Kubernetes is gone outside.
            let left = self.tenant.inventory().await?;
            ensure!(left.is_empty(), "the object is gone, but not {left:#?}");
            return self.tenant.template(&self.name).delete().await;
        }
        let image = self.image(phase);
        let wanted = image.clone();
        instance
            .wait_until(
                "it is at rest and runs the image",
                DEADLINE,
                move |object| {
                    let status = &object.data["status"];
                    at_rest(object)
                        && status["image"]["requested"] == wanted.as_str()
                        && status["deployment"]["ready"] == true
                },
            )
            .await?;
        self.outside_is(&image, phase).await?;
        let object = instance.get().await?;
        let inventory = self.tenant.inventory().await?;
        for (_, kind) in CREATES {
            let slot = &object.data["status"]["external"];
            let recorded = slot.as_array().into_iter().flatten();
            let recorded = recorded.clone().find(|entry| {
                entry["slot"]
                    .as_str()
                    .is_some_and(|slot| slot.eq_ignore_ascii_case(kind))
            });
            let recorded = recorded.with_context(|| format!("the ledger has no {kind}: {slot}"))?;
            let id = &inventory.kind(kind).next().context("gone meanwhile")?.id;
            ensure!(
                recorded["id"] == id.as_str() && recorded["state"] == "Exists",
                "outside is {kind} {id}, the ledger says {recorded}"
            );
        }
        Ok(())
    }

    /// Exactly one of each kind, and the agent that was asked for.
    async fn outside_is(&self, image: &str, phase: Phase) -> Result<()> {
        self.tenant
            .wait_inventory("there is one of each outside", DEADLINE, one_of_each)
            .await?;
        let agents = self.tenant.world().outside().agents().await?;
        let mine: Vec<&Value> = listed(&agents)
            .filter(|agent| agent["workspace"] == self.tenant.name())
            .collect();
        let [agent] = mine.as_slice() else {
            bail!("one agent should be there: {mine:#?}");
        };
        let deployments = if phase == Phase::Create { 1 } else { 2 };
        let runs = agent["image"].as_str().unwrap_or_default();
        let tag = image.rsplit_once(':').map_or(image, |(name, _)| name);
        let variables = agent["variables"].as_array().map(Vec::as_slice);
        let more = variables.is_some_and(|names| names.contains(&json!("MORE")));
        ensure!(
            runs.starts_with(tag)
                && agent["ready"] == true
                && agent["volume"] == true
                && more == (phase == Phase::Update),
            "not the agent that was asked for: {agent:#}"
        );
        // A second disk that lands after the configuration lets a deployment fail; it goes, and another one follows.
        let all = self.exchanges(self.born)?;
        let disks = named(&all, "volumeCreate").filter(|one| effect(one) == "late");
        let most = deployments + u64::try_from(disks.count())?;
        let made = agent["deployments"].as_u64().unwrap_or_default();
        ensure!(
            (deployments..=most).contains(&made),
            "{deployments} to {most} deployment(s) should have been made: {agent:#}"
        );
        Ok(())
    }

    /// Plays a phase to its end, with a fault in it if one is given.
    pub async fn play(&self, phase: Phase, fault: Option<&Fault>) -> Result<Told> {
        let started = Instant::now();
        let mark = self.tenant.world().journal().mark()?;
        let told = self.play_on(phase, fault).await;
        let exchanges = self.exchanges(mark)?;
        let checked = told.and_then(|fired| {
            self.check_counts(phase, &exchanges)?;
            Ok(fired)
        });
        let fired = checked.with_context(|| {
            let fault = fault.map_or_else(|| "nothing wrong".to_owned(), ToString::to_string);
            format!(
                "{} of {}/{} with {fault}\nexchanges since the phase began:\n{}journal: {}\nto replay: \
                 cargo test -p yardmaster --test whole crash",
                format!("{phase:?}").to_lowercase(),
                self.tenant.name(),
                self.name,
                lines(&exchanges),
                self.tenant.world().journal().path().display(),
            )
        })?;
        let took = started.elapsed();
        self.landed(fault, &exchanges).await?;
        Ok(Told {
            exchanges,
            fired,
            took,
        })
    }

    /// Waits until a late request has landed: what it finds then belongs to this phase, and not to the next one's count.
    async fn landed(&self, fault: Option<&Fault>, exchanges: &[Exchange]) -> Result<()> {
        let late = fault.and_then(|fault| fault.effect["late"].as_f64());
        let sent = exchanges
            .iter()
            .rfind(|one| one.effect.as_deref() == Some("late"));
        let (Some(late), Some(sent)) = (late, sent.and_then(|one| one.at)) else {
            return Ok(());
        };
        let landed = sent + jiff::SignedDuration::from_secs_f64(late + 0.3);
        let passed = async || Ok((jiff::Timestamp::now() >= landed).then_some(()));
        eventually("the late request has landed", DEADLINE, passed).await
    }

    /// Whether the fault fired.
    async fn play_on(&self, phase: Phase, fault: Option<&Fault>) -> Result<bool> {
        let Some(fault) = fault else {
            self.begin(phase).await?;
            self.ended(phase).await?;
            return Ok(false);
        };
        let outside = self.tenant.world().outside();
        let order = json!({
            "provider": fault.point.provider, "operation": fault.point.operation,
            "nth": fault.point.nth, "effect": fault.effect,
        });
        let id = match fault.point.provider.as_str() {
            // The registry does not know whose a request is.
            "ghcr" => outside.post_fault(order).await?,
            _ => self.tenant.post_fault(order).await?,
        };
        self.begin(phase).await?;
        self.ended(phase).await?;
        if fault.point.operation == "projects" {
            // What an account's observer reads comes once an interval, if not in the phase then right after it.
            let fired = async || Ok((outside.fired(&id).await? > 0).then_some(()));
            eventually("the account was read", DEADLINE, fired).await?;
            if phase != Phase::Delete {
                self.ended(phase).await?;
            }
        }
        let fired = outside.fired(&id).await? > 0;
        outside.remove_fault(&id).await?;
        Ok(fired)
    }

    /// Its exchanges: those of its workspace, and those with the registry about its images.
    fn exchanges(&self, since: Mark) -> Result<Vec<Exchange>> {
        let mut all = self.tenant.world().journal().since(since)?;
        let repository = format!("{}/{}", self.tenant.name(), self.name);
        all.retain(|exchange| {
            exchange.workspace.as_deref() == Some(self.tenant.name())
                || (exchange.provider == "ghcr" && exchange.path.contains(&repository))
        });
        Ok(all)
    }

    /// Nothing is made twice unless it was certainly or probably not made: a lost answer is looked up.
    fn check_counts(&self, phase: Phase, exchanges: &[Exchange]) -> Result<()> {
        let all = self.exchanges(self.born)?;
        for (operation, _) in CREATES {
            let tried: Vec<&Exchange> = named(&all, operation).collect();
            let failed = tried.iter().filter(|exchange| !landed(exchange)).count();
            let late = tried
                .iter()
                .filter(|exchange| effect(exchange) == "late")
                .count();
            let applied = tried.len() - failed;
            ensure!(
                applied <= 1 + late,
                "{operation} was applied {applied} times, {late} of them late"
            );
            let struck = tried
                .iter()
                .filter(|exchange| exchange.fault || !effect(exchange).is_empty())
                .count();
            ensure!(
                tried.len() <= 1 + struck + late,
                "{operation} was tried {} times, {struck} of them with a fault",
                tried.len()
            );
        }
        let commits = named(exchanges, COMMIT).count();
        ensure!(
            commits <= 2 && (commits == 0 || phase != Phase::Delete),
            "the configuration was sent {commits} times"
        );
        Ok(())
    }
}

pub fn at_rest(object: &kube::api::DynamicObject) -> bool {
    let is = |kind: &str, wanted: &str| {
        condition(object, kind).is_some_and(|found| {
            found["status"] == wanted
                && found["observedGeneration"].as_i64() == object.metadata.generation
        })
    };
    let not = |kind: &str| !condition(object, kind).is_some_and(|found| found["status"] == "True");
    let good = [
        "Ready",
        "Synced",
        "ProjectReady",
        "Deployed",
        "Healthy",
        "TemplateSynced",
    ];
    good.iter().all(|kind| is(kind, "True")) && not("Reconciling") && not("Stalled")
}

fn one_of_each(inventory: &Inventory) -> bool {
    let kinds = CREATES.iter().map(|(_, kind)| *kind).chain(["deployment"]);
    kinds.clone().all(|kind| inventory.kind(kind).count() == 1)
        && inventory.resources.len() == kinds.count()
}

fn listed(answer: &Value) -> impl Iterator<Item = &Value> {
    let list = answer.as_array().or_else(|| answer["agents"].as_array());
    list.into_iter().flatten()
}

fn named<'e>(exchanges: &'e [Exchange], operation: &'e str) -> impl Iterator<Item = &'e Exchange> {
    let of =
        move |exchange: &&Exchange| exchange.operation.split(',').any(|name| name == operation);
    exchanges.iter().filter(of)
}

pub fn effect(exchange: &Exchange) -> &str {
    exchange.effect.as_deref().unwrap_or_default()
}

/// Whether a change took place, whatever was heard of it.
pub fn landed(exchange: &Exchange) -> bool {
    match effect(exchange) {
        "reset_after" | "kill after" | "status, applied" | "truncated" | "late" | "delay" => true,
        "" if exchange.provider == "railway" => exchange.response["data"]
            .as_object()
            .is_some_and(|data| data.values().any(|value| !value.is_null())),
        "" => (200..300).contains(&exchange.status),
        _ => false,
    }
}

/// The exchanges as points, in their order. Of a read that is repeated until something shows, the first two: the later
/// ones find the process in the same state, and how many there are is a matter of luck.
pub fn points(exchanges: &[Exchange]) -> Vec<Point> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut points = Vec::new();
    for exchange in exchanges {
        let operation = exchange.operation.as_str();
        // Asked beside all else, once an hour: perhaps in no life.
        if operation == "projectServiceUsage" {
            continue;
        }
        let nth = seen.entry(operation).or_default();
        *nth += 1;
        let most = match operation {
            // Read for the whole account, once an interval.
            "projects" => 1,
            _ => 2,
        };
        if *nth <= most {
            points.push(Point {
                provider: exchange.provider.clone(),
                operation: any_image(operation),
                nth: *nth,
            });
        }
    }
    points
}

/// A path that names the reference's image, for the images of other lives as well.
fn any_image(operation: &str) -> String {
    match operation.split_once(" /v2/") {
        Some((method, _)) => format!("{method} /v2/**"),
        None => operation.to_owned(),
    }
}

pub fn lines(exchanges: &[Exchange]) -> String {
    let line = |exchange: &Exchange| {
        let at = exchange.at.map(|at| at.to_string()).unwrap_or_default();
        let (n, operation, status) = (exchange.n, &exchange.operation, exchange.status);
        let errors = match &exchange.response["errors"] {
            Value::Null => String::new(),
            errors => errors.to_string(),
        };
        format!(
            "  {n} {at} {operation} {status} {} {errors}\n",
            effect(exchange)
        )
    };
    exchanges.iter().map(line).collect()
}
