//! The agents of a storm, and all that they stand on: tenants with accounts, templates of four kinds, a pool for each tenant.

use anyhow::Result;
use serde_json::{Value, json};

use super::script::{Agent, Claimant, Kind, TENANTS};
use crate::tenant::Tenant;
use crate::world::World;

/// Each tenant's pool.
pub(super) const POOL: &str = "pool";

/// The template of its agents.
pub(super) const POOLED: &str = "pooled";

/// So many of them are idle when nothing disturbs.
pub(super) const IDLE: u64 = 2;

/// A fleet in a world.
pub(super) struct Fleet<'w> {
    pub(super) world: &'w World,
    pub(super) tenants: Vec<Tenant<'w>>,
    pub(super) agents: Vec<Agent>,
}

impl<'w> Fleet<'w> {
    /// Makes tenants, accounts, templates and agents.
    pub(super) async fn launch(world: &'w World, each: usize) -> Result<Fleet<'w>> {
        let mut tenants = Vec::new();
        for number in 0..TENANTS {
            let tenant = world.tenant(&format!("storm-{number}")).await?;
            tenant.tool_accounts().await?;
            tenants.push(tenant);
        }
        let fleet = Fleet {
            world,
            tenants,
            agents: Agent::all(each),
        };
        for tenant in 0..TENANTS {
            for kind in Kind::ALL {
                fleet.put_template(tenant, kind).await?;
            }
        }
        for agent in &fleet.agents {
            fleet.put_agent(*agent).await?;
        }
        for tenant in 0..TENANTS {
            fleet.put_pool(tenant).await?;
        }
        Ok(fleet)
    }

    pub(super) fn tenant(&self, agent: Agent) -> &Tenant<'w> {
        &self.tenants[agent.tenant]
    }

    pub(super) fn instance(&self, agent: Agent) -> crate::object::Object<'w> {
        self.tenant(agent).instance(&agent.name())
    }

    /// Applies a template as it was at first; what others changed in it stays.
    pub(super) async fn put_template(&self, tenant: usize, kind: Kind) -> Result<()> {
        let tenant = &self.tenants[tenant];
        let mut runtime = json!({"image": "ghcr.io/acme/agent:1.4", "port": 8080});
        if kind == Kind::Disk {
            runtime["volume"] = json!({"mountPath": "/data"});
        }
        let mut tools = match kind {
            Kind::Plain | Kind::Disk => json!([]),
            Kind::Six | Kind::Demand => tenant.six_tools(),
        };
        if kind == Kind::Demand
            && let Some(phone) = tools
                .as_array_mut()
                .and_then(|tools| tools.iter_mut().find(|tool| tool["name"] == json!("phone")))
        {
            phone["when"] = json!("OnDemand");
        }
        let template = json!({
            "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentTemplate", "metadata": {"name": kind.template()},
            "spec": {"runtime": runtime, "tools": tools, "rollout": {"maxUnavailable": 2, "progressDeadline": "20s"}},
        });
        self.apply(tenant, template).await
    }

    /// Makes an agent, where there is none.
    pub(super) async fn put_agent(&self, agent: Agent) -> Result<()> {
        let tenant = self.tenant(agent);
        let instance = json!({
            "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentInstance", "metadata": {"name": agent.name()},
            "spec": {
                "templateRef": {"name": agent.kind().template()},
                "accountRef": {"name": tenant.account()},
            },
        });
        self.apply(tenant, instance).await
    }

    pub(super) fn pool(&self, tenant: usize) -> crate::object::Object<'w> {
        self.tenants[tenant].object("AgentPool", POOL)
    }

    pub(super) fn claim(&self, claim: Claimant) -> crate::object::Object<'w> {
        self.tenants[claim.tenant].object("AgentClaim", &claim.name())
    }

    /// Makes a tenant's pool as it was at first, and the template of its agents.
    pub(super) async fn put_pool(&self, tenant: usize) -> Result<()> {
        let tenant = &self.tenants[tenant];
        let runtime = json!({"image": "ghcr.io/acme/agent:1.4", "port": 8080});
        let template = json!({
            "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentTemplate", "metadata": {"name": POOLED},
            "spec": {"runtime": runtime},
        });
        self.apply(tenant, template).await?;
        let pool = json!({
            "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentPool", "metadata": {"name": POOL},
            "spec": {
                "replicas": IDLE, "maxInstances": 40, "templateRef": {"name": POOLED},
                "accountRefs": [{"name": tenant.account()}],
                "updateStrategy": {"type": "RollingUpdate", "maxUnavailable": "50%", "progressDeadline": "20s"},
            },
        });
        self.apply(tenant, pool).await
    }

    /// Claims an agent of a pool, where that claim is not there yet.
    pub(super) async fn put_claim(&self, claim: Claimant, expires: Option<u32>) -> Result<()> {
        let mut spec = json!({
            "poolRef": {"name": POOL}, "owner": format!("owner-{}", claim.number % 2), "provisionDeadline": "10s",
            "agent": {"name": claim.name(), "instructions": "weather the storm"},
        });
        if let Some(seconds) = expires {
            spec["expiresAfter"] = json!(format!("{seconds}s"));
        }
        if claim.retains() {
            spec["releasePolicy"] = json!("Retain");
        }
        let object = json!({
            "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentClaim", "metadata": {"name": claim.name()},
            "spec": spec,
        });
        self.apply(&self.tenants[claim.tenant], object).await
    }

    async fn apply(&self, tenant: &Tenant<'_>, object: Value) -> Result<()> {
        let namespace = Some(tenant.namespace());
        self.world.cluster().apply_one(object, namespace).await?;
        Ok(())
    }
}
