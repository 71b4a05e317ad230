//! The agents of a storm, and all that they stand on: tenants with accounts, and templates of four kinds.

use anyhow::Result;
use serde_json::{Value, json};

use super::script::{Agent, Kind, TENANTS};
use crate::tenant::Tenant;
use crate::world::World;

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

    async fn apply(&self, tenant: &Tenant<'_>, object: Value) -> Result<()> {
        let namespace = Some(tenant.namespace());
        self.world.cluster().apply_one(object, namespace).await?;
        Ok(())
    }
}
