//! What the tests of an agent's life share: a tenant with its manifests, and what was done outside for it.
//!
//! Holds: a scene counts only what came after its mark, and only in its own workspace; every wait has a deadline.
//! Absent: any opinion of what is right, which is each test's own.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::api::DynamicObject;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use world::{Audited, Exchange, Mark, Object, Tenant, World, condition};

/// Nothing here takes so long, unless it does not come at all.
pub const SOON: Duration = Duration::from_secs(60);

/// An image whose agents are good.
pub const IMAGE: &str = "ghcr.io/acme/agent:1.4";

/// The world that all tests share that break nothing but their own.
pub async fn shared() -> &'static World {
    World::shared(env!("CARGO_BIN_EXE_yardmaster"))
        .await
        .unwrap()
}

/// A tenant in which a story takes place.
pub struct Scene<'w> {
    pub world: &'w World,
    pub tenant: Tenant<'w>,
    journal: Mark,
    audit: Mark,
}

/// A place in both records.
#[derive(Clone, Copy)]
pub struct Marks {
    journal: Mark,
    audit: Mark,
}

impl Marks {
    /// The place in the journal.
    pub fn journal(&self) -> Mark {
        self.journal
    }

    /// The place in the API server's audit log.
    pub fn audit(&self) -> Mark {
        self.audit
    }
}

impl Scene<'static> {
    /// In the shared world.
    pub async fn new(name: &str) -> Scene<'static> {
        Scene::within(shared().await, name, Value::Null).await
    }

    /// In the shared world, with these fields in the account's `spec.railway`.
    pub async fn with(name: &str, account: Value) -> Scene<'static> {
        Scene::within(shared().await, name, account).await
    }
}

impl<'w> Scene<'w> {
    pub async fn within(world: &'w World, name: &str, account: Value) -> Scene<'w> {
        let tenant = world.tenant_with(name, account).await.unwrap();
        let account = tenant.provider_account();
        account.wait_condition("Ready", "True", SOON).await.unwrap();
        let (journal, audit) = (
            world.journal().mark().unwrap(),
            world.audit().mark().unwrap(),
        );
        Scene {
            world,
            tenant,
            journal,
            audit,
        }
    }

    pub async fn apply(&self, manifest: Value) -> DynamicObject {
        let namespace = Some(self.tenant.namespace());
        let applied = self.world.cluster().apply_one(manifest, namespace).await;
        applied.unwrap()
    }

    /// A template; `runtime` is merged over an image that is good, `rest` into the spec.
    pub async fn template(&self, name: &str, runtime: Value, rest: Value) -> Object<'w> {
        let runtime = merged(json!({"image": IMAGE, "port": 8080}), runtime);
        let spec = merged(json!({"runtime": runtime}), rest);
        self.apply(manifest("AgentTemplate", name, spec)).await;
        self.tenant.template(name)
    }

    /// An instance of a template; `rest` is merged into the spec.
    pub async fn instance(&self, name: &str, template: &str, rest: Value) -> Object<'w> {
        let account = self.tenant.account();
        let spec = json!({"templateRef": {"name": template}, "accountRef": {"name": account}});
        let spec = merged(spec, rest);
        self.apply(manifest("AgentInstance", name, spec)).await;
        self.tenant.instance(name)
    }

    /// An instance of template `t`, without asking for it again.
    pub async fn instance_unseen(&self, name: String) {
        self.instance(&name, "t", json!({})).await;
    }

    /// A template `t` and ready instances of it.
    pub async fn ready(&self, runtime: Value, names: &[&str]) -> Vec<Object<'w>> {
        self.template("t", runtime, json!({})).await;
        let mut instances = Vec::new();
        for name in names {
            instances.push(self.instance(name, "t", json!({})).await);
        }
        for instance in &instances {
            is_ready(instance).await;
        }
        instances
    }

    pub async fn secret(&self, name: &str, data: Value) {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        self.apply(secret).await;
    }

    pub async fn config_map(&self, name: &str, data: Value) {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
        self.apply(map).await;
    }

    pub fn mark(&self) -> Marks {
        Marks {
            journal: self.world.journal().mark().unwrap(),
            audit: self.world.audit().mark().unwrap(),
        }
    }

    pub fn start(&self) -> Marks {
        Marks {
            journal: self.journal,
            audit: self.audit,
        }
    }

    /// Railway's exchanges since a mark.
    pub fn exchanges(&self, since: Marks) -> Vec<Exchange> {
        let mut exchanges = self.tenant.exchanges(since.journal).unwrap();
        exchanges.retain(|exchange| exchange.provider == "railway");
        exchanges
    }

    /// What was asked to be changed at Railway since a mark, in its order.
    pub fn mutations(&self, since: Marks) -> Vec<String> {
        let exchanges = self.exchanges(since).into_iter();
        let changes = exchanges.filter(is_mutation);
        changes.map(|exchange| exchange.operation).collect()
    }

    /// What the controller wrote about the tenant since a mark, events left out.
    pub fn writes(&self, since: Marks) -> Vec<Audited> {
        let mut writes = self.tenant.controller_writes(since.audit).unwrap();
        writes.retain(|write| write.resource != "events");
        writes
    }

    /// The agent that an instance runs, as the simulator tells it.
    pub async fn agent(&self, instance: &Object<'_>) -> Value {
        let project = id(&instance.get().await.unwrap(), "project");
        let agents = self.world.outside().agents().await.unwrap();
        let agents = list(&agents);
        let mine = agents
            .into_iter()
            .find(|agent| agent["projectId"] == project.as_str());
        mine.unwrap_or_else(|| panic!("{} runs no agent", instance.title()))
    }

    /// How many deployments an instance has had.
    pub async fn deployments(&self, instance: &Object<'_>) -> u64 {
        self.agent(instance).await["deployments"].as_u64().unwrap()
    }

    /// Does something at Railway by hand.
    pub async fn by_hand(&self, method: Method, path: &str, body: Value) -> Value {
        let body = (!body.is_null()).then_some(body);
        let done = self.world.outside().call(method, path, body).await;
        done.unwrap()
    }

    pub async fn projects(&self) -> usize {
        let inventory = self.tenant.inventory().await.unwrap();
        inventory.kind("project").count()
    }

    /// Waits until the observer has begun and ended `n` more listings of the account, at least.
    pub async fn listings(&self, n: usize) {
        self.tenant.wait_listings(n, SOON).await.unwrap();
    }

    /// Removes a fault that must have fired.
    pub async fn end_fault(&self, id: &str) {
        let fired = self.world.outside().fired(id).await.unwrap();
        assert!(fired > 0, "the fault did not fire");
        self.world.outside().remove_fault(id).await.unwrap();
    }
}

/// The first digits of a value's hash, as ledgers and the simulator show them.
pub fn hash(value: &str) -> String {
    let digest = Sha256::digest(value.as_bytes());
    let digits = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
    digits.collect()
}

pub fn manifest(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "yardmaster.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// `over` put over `base`, objects field by field.
pub fn merged(base: Value, over: Value) -> Value {
    match (base, over) {
        (Value::Object(mut base), Value::Object(over)) => {
            for (key, value) in over {
                let old = base.remove(&key).unwrap_or(Value::Null);
                base.insert(key, merged(old, value));
            }
            Value::Object(base)
        }
        (_, over) => over,
    }
}

pub fn is_mutation(exchange: &Exchange) -> bool {
    let query = exchange.request["query"].as_str().unwrap_or_default();
    query.lines().any(|line| line.starts_with("mutation"))
}

pub async fn is_ready(instance: &Object<'_>) -> DynamicObject {
    let ready = instance.wait_condition("Ready", "True", SOON).await;
    ready.unwrap()
}

/// Waits until a condition has this status and reason; gives its message.
pub async fn says(object: &Object<'_>, kind: &str, status: &str, reason: &str) -> String {
    let what = format!("{kind} is {status} because of {reason}");
    let found = object.wait_until(&what, SOON, |object| {
        condition(object, kind)
            .is_some_and(|found| found["status"] == status && found["reason"] == reason)
    });
    let found = found.await.unwrap();
    let message = condition(&found, kind).unwrap()["message"].as_str();
    message.unwrap_or_default().to_owned()
}

/// Changes an account, and waits until the controller goes by that.
pub async fn lays_down(account: &Object<'_>, change: Value) {
    account.patch(change).await.unwrap();
    let observed = account.wait_until("the change is observed", SOON, |object| {
        object.data["status"]["observedGeneration"].as_i64() == object.metadata.generation
    });
    observed.await.unwrap();
}

/// Whether a condition is true now.
pub fn holds(object: &DynamicObject, kind: &str) -> bool {
    condition(object, kind).is_some_and(|found| found["status"] == "True")
}

/// The id of a slot in the ledger; empty where there is none.
pub fn id(object: &DynamicObject, slot: &str) -> String {
    let ledger = list(&object.data["status"]["external"]);
    let entry = ledger.iter().find(|entry| entry["slot"] == slot);
    let id = entry.and_then(|entry| entry["id"].as_str());
    id.unwrap_or_default().to_owned()
}

pub fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// A list of texts as a set.
pub fn texts(value: &Value) -> BTreeSet<String> {
    list(value)
        .iter()
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}

/// A body in which a provider of tools refuses in its own way.
pub fn refusal(provider: &str, why: &str) -> Value {
    match provider {
        "openrouter" => json!({"error": {"code": 400, "message": why}}),
        "exa" => json!({"error": why}),
        "agentmail" => {
            json!({"name": "ValidationError", "code": "validation_error", "message": why})
        }
        "telnyx" => json!({"errors": [{"code": "10015", "title": "Bad Request", "detail": why}]}),
        _ => json!({"error": "Invalid request", "message": why}),
    }
}
