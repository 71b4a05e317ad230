//! A tenant of a world in which one program is checked: its manifests, its agent, what its models were asked and what its key has cost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::api::DynamicObject;
use reqwest::Method;
use serde_json::{Value, json};
use yardmaster::api::template as api;
use yardmaster::model::TokenForm;
use yardmaster::model::runner::{self, RunnerRow};

use super::door::Door;
use super::subject::Subject;
use crate::object::{Object, condition, eventually};
use crate::records::{Mark, Record};
use crate::tenant::Tenant;
use crate::world::World;

/// How long anything may take. A large program on a busy machine takes its time to start.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// How long a record may take that is written when a connection has ended.
const RECORDED: Duration = Duration::from_secs(10);

/// What an agent's key may cost.
pub(crate) const LIMIT: f64 = 5.0;

/// The part of a world in which a program is checked.
pub(crate) struct Lab<'w> {
    pub world: &'w World,
    pub tenant: Tenant<'w>,
    pub subject: Subject,
}

/// A call of a model that an agent of the lab made.
#[derive(Debug)]
pub(crate) struct ModelCall {
    pub model: String,
    /// All that the model was sent.
    pub sent: String,
    pub status: u64,
}

impl<'w> Lab<'w> {
    pub(crate) async fn new(world: &'w World, subject: &Subject, half: &str) -> Result<Self> {
        let tenant = world.tenant(&format!("{}-{half}", subject.name())).await?;
        tenant.tool_accounts().await?;
        Ok(Self {
            world,
            tenant,
            subject: subject.clone(),
        })
    }

    pub(crate) async fn apply(&self, kind: &str, name: &str, spec: Value) -> Result<Object<'w>> {
        let object = json!({"apiVersion": "yardmaster.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        let cluster = self.world.cluster();
        cluster
            .apply_one(object, Some(self.tenant.namespace()))
            .await?;
        Ok(self.tenant.object(kind, name))
    }

    /// What a template of this lab says, without files.
    pub(crate) fn template(&self, image: &str) -> Value {
        let image = format!("{image}:{}", self.subject.tag());
        let mut spec = json!({"runtime": {"harness": self.subject.name(), "image": image,
            "volume": {"mountPath": super::dialect::DISK, "size": "1Gi"}}});
        match &self.subject {
            Subject::Own(_) => spec["runtime"]["port"] = json!(8080),
            Subject::Known(harness) => {
                let account = format!("{}-openrouter", self.tenant.name());
                spec["tools"] = json!([{"name": "llm", "type": "openrouter", "accountRef": {"name": account}, "limitUSD": LIMIT}]);
                spec["env"] = harness.variables();
            }
        }
        spec
    }

    /// The way to an agent that is ready.
    pub(crate) async fn door(&self, agent: &DynamicObject, form: TokenForm) -> Result<Door> {
        let name = agent.metadata.name.as_deref().unwrap_or_default();
        let url = agent.data["status"]["url"].as_str();
        let url = url.context("the agent has no address")?;
        let secret = format!("{name}-agent");
        let secret = self.world.secret(self.tenant.namespace(), &secret).await?;
        let token = secret.get("GATEWAY_TOKEN").context("it has no token")?;
        let http = self
            .world
            .http_builder()?
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Door::new(http, url, form, token.clone()))
    }

    /// What the simulator shows of this lab's agents.
    async fn agents(&self) -> Result<Vec<Value>> {
        let all = self.world.outside().agents().await?;
        let all = all.as_array().or_else(|| all["agents"].as_array());
        let all = all.context("the simulator shows no agents")?.iter();
        let own = all.filter(|one| one["workspace"] == self.tenant.workspace());
        Ok(own.cloned().collect())
    }

    /// What the simulator shows of the agent at this address, or of the only one there is.
    pub(crate) async fn agent(&self, url: Option<&str>) -> Result<Value> {
        let host = url.map(|url| url.trim_start_matches("https://"));
        let mut all = self.agents().await?;
        all.retain(|one| host.is_none_or(|host| one["domain"] == host));
        all.pop().context("the agent is not deployed")
    }

    /// The process that was started for an agent, once it is another than that one and takes connections.
    pub(crate) async fn next_program(&self, url: &str, old: &Value) -> Result<Value> {
        eventually(
            "another deployment takes connections",
            PATIENCE,
            async || {
                let now = self.agent(Some(url)).await?["program"].clone();
                let new = now["pid"] != *old && now["pid"].is_number();
                Ok((new && now["serves"] == true).then_some(now))
            },
        )
        .await
    }

    fn record(&self) -> Record<Value> {
        Record::at(self.world.dir().join("harness.jsonl"))
    }

    pub(crate) fn mark(&self) -> Result<Mark> {
        self.record().mark()
    }

    /// What models were asked since.
    pub(crate) fn model_calls(&self, since: Mark) -> Result<Vec<ModelCall>> {
        let lines = self.record().since(since)?.into_iter();
        let calls = lines.filter(|line| {
            let path = line["path"].as_str().unwrap_or_default();
            path.ends_with("/chat/completions") && line["provider"] == "openrouter"
        });
        let own = calls.filter(|line| line["workspace"] == self.tenant.name());
        let of = |line: Value| ModelCall {
            model: line["request"]["model"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            sent: line["request"]["messages"].to_string(),
            status: line["status"].as_u64().unwrap_or_default(),
        };
        Ok(own.map(of).collect())
    }

    /// The first call of a model since then that is as it should be.
    pub(crate) async fn model_call(
        &self,
        what: &str,
        since: Mark,
        is: impl Fn(&ModelCall) -> bool,
    ) -> Result<ModelCall> {
        let found = eventually(what, RECORDED, async || {
            Ok(self.model_calls(since)?.into_iter().find(|call| is(call)))
        });
        found.await.with_context(|| {
            let calls = self.model_calls(since).unwrap_or_default();
            let calls = calls
                .iter()
                .map(|call| format!("{} {}", call.model, call.status));
            format!("models were asked: {:?}", calls.collect::<Vec<_>>())
        })
    }

    /// The hash of the one key that Yardmaster made for this lab's agents.
    pub(crate) async fn key(&self) -> Result<String> {
        let inventory = self.tenant.inventory().await?;
        let keys: Vec<&str> = inventory.kind("key").map(|key| key.id.as_str()).collect();
        ensure!(keys.len() == 1, "there are {} keys", keys.len());
        Ok(keys.concat())
    }

    /// What a key has cost.
    pub(crate) async fn spent(&self, key: &str) -> Result<f64> {
        let path = format!("/openrouter/keys/{key}");
        let key = self.world.outside().call(Method::GET, &path, None).await?;
        key["usage"]
            .as_f64()
            .context("the key does not say what it has cost")
    }

    pub(crate) async fn spend(&self, key: &str, usd: f64) -> Result<()> {
        let path = format!("/openrouter/keys/{key}");
        let body = Some(json!({"usage": usd}));
        self.world.outside().call(Method::PUT, &path, body).await?;
        Ok(())
    }

    /// What the runner is to know of the program.
    pub(crate) fn runner_row(&self) -> Result<RunnerRow> {
        let all = api::Harness::ALL.into_iter();
        let mut named =
            all.filter(|one| yardmaster::model::harness::row(*one).name == self.subject.name());
        let row = named.next().and_then(runner::behind);
        row.context("it has no row for the runner")
    }

    /// Waits until nothing of this lab is left outside.
    pub(crate) async fn nothing_left(&self) -> Result<()> {
        eventually("nothing is left outside", PATIENCE, async || {
            let left = self.tenant.inventory().await?;
            ensure!(left.is_empty(), "left: {left:?}");
            Ok(Some(()))
        })
        .await
    }
}

/// Whether a condition of an object has a status.
pub(crate) fn is(object: &DynamicObject, kind: &str, status: &str) -> bool {
    condition(object, kind).is_some_and(|found| found["status"] == status)
}

/// Most memory that a process and all below it have had, each at its own time, in MiB.
pub(crate) fn memory(pid: u64) -> Option<u64> {
    let mut children: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Ok(one) = entry.file_name().to_string_lossy().parse::<u64>() else {
            continue;
        };
        if let Some(parent) = field(one, "PPid:") {
            children.entry(parent).or_default().push(one);
        }
    }
    let (mut sum, mut seen, mut next) = (0, BTreeSet::new(), vec![pid]);
    while let Some(one) = next.pop() {
        if seen.insert(one) {
            sum += field(one, "VmHWM:").unwrap_or_default();
            next.extend(children.get(&one).into_iter().flatten());
        }
    }
    (sum > 0).then_some(sum / 1024)
}

fn field(pid: u64, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
