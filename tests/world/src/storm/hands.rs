//! Disturbances carried out, and taken away again when the storm is over.
//!
//! Holds: after `calm` nothing disturbs any more: no fault, nobody asleep, every credential and template in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kube::api::DynamicObject;
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time;

use super::fleet::{Fleet, POOLED};
use super::script::{Agent, Disturbance, Hand, Kind, PROVIDERS, Process, TENANTS};
use crate::controller::Controller;
use crate::install::SYSTEM_NAMESPACE;
use crate::object::eventually;

const SOON: Duration = Duration::from_secs(60);

pub(super) struct Hands<'a, 'w> {
    fleet: &'a Fleet<'w>,
    rival: &'a Controller,
    /// Each account's Secret as it was: by its name.
    secrets: BTreeMap<String, BTreeMap<String, String>>,
    gone: BTreeSet<usize>,
}

impl<'a, 'w> Hands<'a, 'w> {
    pub(super) async fn new(fleet: &'a Fleet<'w>, rival: &'a Controller) -> Result<Hands<'a, 'w>> {
        let mut secrets = BTreeMap::new();
        for tenant in 0..TENANTS {
            for provider in PROVIDERS {
                let name = secret_of(fleet, tenant, provider);
                let data = fleet.world.secret(SYSTEM_NAMESPACE, &name).await?;
                secrets.insert(name, data);
            }
        }
        Ok(Hands {
            fleet,
            rival,
            secrets,
            gone: BTreeSet::new(),
        })
    }

    pub(super) async fn disturb(&mut self, what: &Disturbance) -> Result<()> {
        let fleet = self.fleet;
        match what {
            Disturbance::Delete { agent } => fleet.instance(*agent).delete().await,
            Disturbance::Create { agent } => fleet.put_agent(*agent).await,
            Disturbance::Suspend { agent } => self.mode(*agent, "Suspended").await,
            Disturbance::Resume { agent } => self.mode(*agent, "Running").await,
            Disturbance::Env { agent, value } => {
                let env = json!([{"name": "STORM", "value": value.to_string()}]);
                self.spec(*agent, json!({"env": env})).await
            }
            Disturbance::Limit { agent, usd } => {
                let limits = match agent.kind() {
                    Kind::Six | Kind::Demand => json!([{"name": "llm", "limitUSD": usd}]),
                    Kind::Plain | Kind::Disk => bail!("it has no tools"),
                };
                self.spec(*agent, json!({"toolLimits": limits})).await
            }
            Disturbance::Spend { agent, tenths } => self.spend(*agent, *tenths).await,
            Disturbance::Request { agent, phone } => {
                if agent.kind() != Kind::Demand {
                    bail!("nothing of its template comes on demand");
                }
                let tools = if *phone { json!(["phone"]) } else { json!([]) };
                self.spec(*agent, json!({"requestedTools": tools})).await
            }
            Disturbance::Image { tenant, kind, tag } => {
                let image = format!("ghcr.io/acme/agent:{tag}");
                self.template(*tenant, *kind, json!({"runtime": {"image": image}}))
                    .await
            }
            Disturbance::TemplateEnv {
                tenant,
                kind,
                value,
            } => {
                let env = json!([{"name": "WEATHER", "value": value.to_string()}]);
                self.template(*tenant, *kind, json!({"env": env})).await
            }
            Disturbance::TemplateGone { tenant, kind } => {
                self.remembered(*tenant).await?;
                let template = fleet.tenants[*tenant].template(kind.template());
                template.delete().await
            }
            Disturbance::TemplateBack { tenant, kind } => fleet.put_template(*tenant, *kind).await,
            Disturbance::NamespaceGone { tenant } => {
                self.remembered(*tenant).await?;
                self.gone.insert(*tenant);
                let name = fleet.tenants[*tenant].namespace();
                fleet.world.object("Namespace", None, name).delete().await
            }
            // It goes for longer than the storm waits for anything: it comes back in the calm.
            Disturbance::NamespaceBack { .. } => Ok(()),
            Disturbance::GarbleAccount { tenant, provider } => {
                let name = secret_of(fleet, *tenant, provider);
                let mut data = self.secrets.get(&name).cloned().unwrap_or_default();
                for value in data.values_mut() {
                    value.push_str("-garbled");
                }
                self.put_secret(&name, &data).await
            }
            Disturbance::MendAccount { tenant, provider } => self.mend(*tenant, provider).await,
            Disturbance::LoseAgentSecret { agent } => {
                let name = format!("{}-agent", agent.name());
                fleet.tenant(*agent).object("Secret", &name).delete().await
            }
            Disturbance::LoseLedger { agent } => {
                self.forget(*agent, json!({"status": {"external": null}}))
                    .await
            }
            Disturbance::LoseStatus { agent } => self.forget(*agent, json!({"status": null})).await,
            Disturbance::ByHand { agent, what } => self.by_hand(*agent, *what).await,
            Disturbance::Kill { process } => match process {
                Process::Controller => Ok(fleet.world.controller()?.signal(Signal::SIGKILL)?),
                Process::Rival => Ok(self.rival.signal(Signal::SIGKILL)?),
                Process::ApiServer => bail!("the API server is not killed"),
            },
            Disturbance::Sleep {
                process,
                milliseconds,
            } => {
                self.sleep(*process, Duration::from_millis(*milliseconds))
                    .await
            }
            Disturbance::OutsideFault { fault } => {
                fleet.world.outside().post_fault(fault.clone()).await?;
                Ok(())
            }
            Disturbance::ClusterFault { fault } => {
                let control = fleet.world.cluster_control().await?;
                control.post_fault(fault.clone()).await?;
                Ok(())
            }
            of_claims => self.claims(of_claims).await,
        }
    }

    /// What happens to pools and claims.
    async fn claims(&self, what: &Disturbance) -> Result<()> {
        let fleet = self.fleet;
        match what {
            Disturbance::Scale { tenant, replicas } => {
                let scale = json!({"spec": {"replicas": replicas}});
                fleet.pool(*tenant).patch(scale).await?;
            }
            Disturbance::PoolGone { tenant } => fleet.pool(*tenant).delete().await?,
            Disturbance::PoolBack { tenant } => fleet.put_pool(*tenant).await?,
            Disturbance::PoolTemplate { tenant, value } => {
                let env = json!([{"name": "WEATHER", "value": value.to_string()}]);
                let template = fleet.tenants[*tenant].template(POOLED);
                template.patch(json!({"spec": {"env": env}})).await?;
            }
            Disturbance::Claim { claim, expires } => fleet.put_claim(*claim, *expires).await?,
            Disturbance::Release { claim } => fleet.claim(*claim).delete().await?,
            Disturbance::EditClaim { claim, value } => {
                let agent = json!({"instructions": format!("weather storm {value}")});
                let edit = json!({"spec": {"agent": agent}});
                fleet.claim(*claim).patch(edit).await?;
            }
            Disturbance::TakeAgent { claim } => {
                let claimed = fleet.claim(*claim).get().await?;
                let named = claimed.data["status"]["instanceRef"]["name"].as_str();
                let named = named.context("it has no agent")?;
                fleet.tenants[claim.tenant].instance(named).delete().await?;
            }
            other => bail!("{other:?} is nothing of a pool's or a claim's"),
        }
        Ok(())
    }

    /// Ends the storm: how many faults fired outside, and at the API server.
    pub(super) async fn calm(&mut self) -> Result<(u64, u64)> {
        let world = self.fleet.world;
        let control = world.cluster_control().await?;
        let fired = |faults: Vec<crate::control::Fault>| faults.iter().map(|one| one.fired).sum();
        let counted = (
            fired(world.outside().faults().await?),
            fired(control.faults().await?),
        );
        world.outside().clear_faults().await?;
        control.clear_faults().await?;
        for tenant in 0..TENANTS {
            for provider in PROVIDERS {
                self.mend(tenant, provider).await?;
            }
        }
        for tenant in std::mem::take(&mut self.gone) {
            let name = self.fleet.tenants[tenant].namespace();
            world
                .object("Namespace", None, name)
                .wait_gone(SOON)
                .await?;
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            world.cluster().apply_one(namespace, None).await?;
        }
        for tenant in 0..TENANTS {
            for kind in Kind::ALL {
                self.fleet.put_template(tenant, kind).await?;
            }
        }
        for agent in &self.fleet.agents {
            // One that is still on its way back comes anew when that has ended.
            let instance = self.fleet.instance(*agent);
            eventually("an agent can be made", SOON, || async {
                let found = instance.find().await?;
                let leaves = found.is_some_and(|one| one.metadata.deletion_timestamp.is_some());
                Ok((!leaves).then_some(()))
            })
            .await
            .with_context(|| instance.title())?;
            self.fleet.put_agent(*agent).await?;
            self.mode(*agent, "Running").await?;
        }
        for tenant in 0..TENANTS {
            let pool = self.fleet.pool(tenant);
            eventually("a pool can be made", SOON, || async {
                let found = pool.find().await?;
                let leaves = found.is_some_and(|one| one.metadata.deletion_timestamp.is_some());
                Ok((!leaves).then_some(()))
            })
            .await
            .with_context(|| pool.title())?;
            self.fleet.put_pool(tenant).await?;
        }
        Ok(counted)
    }

    async fn mode(&self, agent: Agent, mode: &str) -> Result<()> {
        self.spec(agent, json!({"operatingMode": mode})).await
    }

    async fn spec(&self, agent: Agent, change: Value) -> Result<()> {
        let instance = self.fleet.instance(agent);
        instance.patch(json!({"spec": change})).await?;
        Ok(())
    }

    /// A template that goes before a lost ledger was written again takes along what is known of tools (see `forget`).
    async fn remembered(&self, tenant: usize) -> Result<()> {
        let of_tenant = self.fleet.agents.iter().filter(|one| one.tenant == tenant);
        for agent in of_tenant.filter(|one| matches!(one.kind(), Kind::Six | Kind::Demand)) {
            let Some(object) = self.fleet.instance(*agent).find().await? else {
                continue;
            };
            let slots = object.data["status"]["external"].as_array();
            let slots = slots
                .into_iter()
                .flatten()
                .filter_map(|one| one["slot"].as_str());
            if !slots.clone().any(|slot| slot.starts_with("tool/")) {
                bail!("{} does not remember its tools yet", agent.name());
            }
        }
        Ok(())
    }

    /// Not where the template is gone as well: then nothing is left that knows of the agent's tools, which are told as
    /// orphans of the account, and no agent is to blame.
    async fn forget(&self, agent: Agent, change: Value) -> Result<()> {
        let has_tools = matches!(agent.kind(), Kind::Six | Kind::Demand);
        let template = self.fleet.tenants[agent.tenant].template(agent.kind().template());
        if has_tools && (self.gone.contains(&agent.tenant) || template.find().await?.is_none()) {
            bail!("its template is gone");
        }
        self.status(agent, change).await
    }

    async fn status(&self, agent: Agent, change: Value) -> Result<()> {
        let instance = self.fleet.instance(agent);
        let api = instance.api().await?;
        let (params, patch) = (
            kube::api::PatchParams::default(),
            kube::api::Patch::Merge(&change),
        );
        api.patch_status(instance.name(), &params, &patch).await?;
        Ok(())
    }

    async fn template(&self, tenant: usize, kind: Kind, change: Value) -> Result<()> {
        let template = self.fleet.tenants[tenant].template(kind.template());
        template.patch(json!({"spec": change})).await?;
        Ok(())
    }

    async fn mend(&self, tenant: usize, provider: &str) -> Result<()> {
        let name = secret_of(self.fleet, tenant, provider);
        let data = self.secrets.get(&name).cloned().unwrap_or_default();
        self.put_secret(&name, &data).await
    }

    async fn put_secret(&self, name: &str, data: &BTreeMap<String, String>) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE}, "stringData": data,
        });
        self.fleet.world.cluster().apply_one(secret, None).await?;
        Ok(())
    }

    /// Put to sleep now, awake by itself after a while; the storm goes on meanwhile.
    async fn sleep(&self, process: Process, length: Duration) -> Result<()> {
        let world = self.fleet.world;
        match process {
            Process::ApiServer => {
                world.signal_cluster(Signal::SIGSTOP).await?;
                // Nothing can be done to a cluster that sleeps.
                time::sleep(length).await;
                world.signal_cluster(Signal::SIGCONT).await
            }
            Process::Controller | Process::Rival => {
                let controller = match process {
                    Process::Rival => self.rival,
                    _ => world.controller()?,
                };
                let pid = controller.pid().context("it does not run")?;
                crate::process::send(pid, Signal::SIGSTOP)?;
                tokio::spawn(async move {
                    time::sleep(length).await;
                    // It may have been killed meanwhile.
                    let _ = crate::process::send(pid, Signal::SIGCONT);
                });
                Ok(())
            }
        }
    }

    /// To a whole tenth of the limit that the key has now: `tenths` more than are spent, and not above all of it.
    async fn spend(&self, agent: Agent, tenths: u32) -> Result<()> {
        let object = self.fleet.instance(agent).get().await?;
        let path = format!("/openrouter/keys/{}", on_record(&object, "tool/llm")?);
        let outside = self.fleet.world.outside();
        let key = outside.call(Method::GET, &path, None).await?;
        let (limit, used) = (key["limit"].as_f64(), key["usage"].as_f64());
        let (limit, used) = (limit.context("no limit")?, used.context("no usage")?);
        let tenth = limit / 10.0;
        if tenth <= 0.0 || used >= limit {
            bail!("it may spend nothing more");
        }
        let spent = ((used / tenth).floor() + f64::from(tenths)).min(10.0) * tenth;
        let body = json!({"usage": (spent * 100.0).round() / 100.0});
        outside.call(Method::PUT, &path, Some(body)).await?;
        Ok(())
    }

    async fn by_hand(&self, agent: Agent, what: Hand) -> Result<()> {
        let object = self.fleet.instance(agent).get().await?;
        let id = |slot: &str| on_record(&object, slot);
        let outside = self.fleet.world.outside();
        let delete = async |path: String| {
            outside.call(Method::POST, &path, None).await?;
            anyhow::Ok(())
        };
        match what {
            Hand::DeleteProject => {
                delete(format!("/railway/projects/{}/delete", id("project")?)).await
            }
            Hand::DeleteService => {
                delete(format!("/railway/services/{}/delete", id("service")?)).await
            }
            Hand::DeleteVolume => {
                delete(format!("/railway/volumes/{}/delete", id("volume")?)).await
            }
            Hand::DeleteDomain => {
                delete(format!("/railway/domains/{}/delete", id("domain")?)).await
            }
            Hand::EditVariable => {
                let path = format!("/railway/services/{}/variables/WEATHER", id("service")?);
                let body = json!({"value": "edited by hand"});
                outside.call(Method::PUT, &path, Some(body)).await?;
                Ok(())
            }
            Hand::DeleteLlmKey => {
                delete(format!("/openrouter/keys/{}/delete", id("tool/llm")?)).await
            }
            Hand::DeleteSearchKey => {
                let hash = id("tool/search")?;
                let hash = hash.trim_start_matches("sha256-");
                let inventory = outside.inventory().await?;
                let key = inventory
                    .kind("key")
                    .find(|key| key.provider == "exa" && key.id.starts_with(hash))
                    .context("the key is gone")?;
                delete(format!("/exa/keys/{}/delete", key.id)).await
            }
            Hand::DeleteInbox => {
                let address = id("tool/inbox")?.replace('@', "%40");
                delete(format!("/agentmail/inboxes/{address}/delete")).await
            }
            Hand::ReleaseNumber => {
                let number = id("tool/phone")?.replace('+', "%2B");
                delete(format!("/telnyx/numbers/{number}/delete")).await
            }
        }
    }
}

/// The id that an agent's ledger has for a slot.
fn on_record(agent: &DynamicObject, slot: &str) -> Result<String> {
    let entries = agent.data["status"]["external"].as_array();
    let entry = entries
        .into_iter()
        .flatten()
        .find(|entry| entry["slot"] == slot);
    entry
        .and_then(|entry| entry["id"].as_str())
        .map(str::to_owned)
        .with_context(|| format!("its ledger has no id for {slot}"))
}

/// The name of an account's Secret.
fn secret_of(fleet: &Fleet<'_>, tenant: usize, provider: &str) -> String {
    let name = fleet.tenants[tenant].name();
    match provider {
        "railway" => name.to_owned(),
        other => format!("{name}-{other}"),
    }
}
