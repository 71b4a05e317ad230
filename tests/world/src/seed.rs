//! Many agents at once, as the controller would have left them: it brings up one, and the others are derived from that.
//!
//! Holds: what a controller decides is computed by its own functions (names, markers, configuration, counts), and what it
//! writes is written by its own; the rest of a status is that of the first agent, with other names in it. So nothing here
//! knows what a status says, and a template whose agents would differ in more than names is refused. While agents are
//! written no controller may run: it would take over what is half there. Absent: agents with tools, which would have to be
//! made at their providers too.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::{Client, ResourceExt as _};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use yardmaster::api::{
    AgentInstance, AgentInstanceStatus, AgentTemplate, FINALIZER, LedgerEntry, ProviderAccount,
    Slot,
};
use yardmaster::cluster::installation::{self, Installation};
use yardmaster::cluster::{finalizer, secret, status, values};
use yardmaster::engine::compose::{Composed, compose, references, template_references};
use yardmaster::engine::world::marker;
use yardmaster::engine::{rollout, template};
use yardmaster::model::values::Values;

use crate::install::SYSTEM_NAMESPACE;
use crate::tenant::{Tenant, random};
use crate::world::World;

/// How long the first agent may take to come to rest.
const FIRST: Duration = Duration::from_secs(120);

/// Agents that are written together, and how many such groups at once: more in flight only wait for each other.
const GROUP: usize = 8;
const GROUPS: usize = 2;

impl World {
    /// Makes `agents` agents of a tenant's template, named `TEMPLATE-NUMBER` from 0 on. The controller must run, and does not
    /// when this is done: whoever starts it finds all of them ready, and nothing to do.
    ///
    /// # Errors
    /// The first agent does not come to rest, the template's agents have tools, or something refuses a write.
    pub async fn seed(&self, tenant: &Tenant<'_>, template: &str, agents: usize) -> Result<()> {
        let name = |number: usize| format!("{template}-{number}");
        let first = name(0);
        let agent = json!({
            "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentInstance", "metadata": {"name": first},
            "spec": {"templateRef": {"name": template}, "accountRef": {"name": tenant.account()}},
        });
        let namespace = Some(tenant.namespace());
        self.cluster().apply_one(agent, namespace).await?;
        let others = (1..agents).map(name).collect();
        self.others(tenant, template, &first, others).await
    }

    /// Makes a pool of `agents` idle agents, which makes no others in their place.
    ///
    /// # Errors
    /// See [`World::seed`].
    pub async fn seed_pool(
        &self,
        tenant: &Tenant<'_>,
        template: &str,
        pool: &str,
        agents: usize,
    ) -> Result<()> {
        let object = json!({
            "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentPool", "metadata": {"name": pool},
            "spec": {"replicas": 1, "maxInstances": agents, "templateRef": {"name": template},
                "accountRefs": [{"name": tenant.account()}]},
        });
        let namespace = Some(tenant.namespace());
        self.cluster().apply_one(object, namespace).await?;
        let pool = tenant.object("AgentPool", pool);
        let filled = pool.wait_condition("Ready", "True", FIRST).await?;
        ensure!(filled.data["status"]["idle"] == 1, "the pool is not of one");
        let instances = tenant.instance("any").api().await?;
        let members = instances.list(&ListParams::default()).await?.items;
        let own = |one: &&DynamicObject| one.data["spec"]["poolRef"]["name"] == pool.name();
        let first = members.iter().find(own).context("the pool has no agent")?;
        let name = |number: usize| format!("{}-seeded-{number}", pool.name());
        let others = (1..agents).map(name).collect();
        self.others(tenant, template, &first.name_any(), others)
            .await?;
        pool.patch(json!({"spec": {"replicas": agents}})).await?;
        Ok(())
    }

    /// Makes agents with these names as the first one is, once that has come to rest.
    async fn others(
        &self,
        tenant: &Tenant<'_>,
        template: &str,
        first: &str,
        others: Vec<String>,
    ) -> Result<()> {
        self.comes_to_rest(tenant, template, first).await?;
        self.controller()?.stop().await?;
        let seed = Seed::read(self, tenant, template, first).await?;
        let groups = stream::iter(others.chunks(GROUP).map(|names| seed.group(names)));
        let written: Vec<Vec<AgentInstance>> =
            groups.buffer_unordered(GROUPS).try_collect().await?;
        seed.count(tenant.account(), &written.concat()).await
    }

    /// Waits until the controller has nothing more to do for an agent.
    async fn comes_to_rest(&self, tenant: &Tenant<'_>, template: &str, name: &str) -> Result<()> {
        let instance = tenant.instance(name);
        instance.wait_condition("Ready", "True", FIRST).await?;
        tenant.wait_listings(2, FIRST).await?;
        // Template and account tell of all agents together, which may be later.
        let projects = tenant.inventory().await?.kind("project").count();
        let number = |object: &DynamicObject, field: &str| object.data["status"][field].as_u64();
        let (template, account) = (tenant.template(template), tenant.provider_account());
        template
            .wait_until("it counts every agent", FIRST, |object| {
                let updated = number(object, "updatedInstances");
                updated.is_some() && updated == number(object, "instances")
            })
            .await?;
        account
            .wait_until("it counts every project", FIRST, |object| {
                number(object, "resources") == u64::try_from(projects).ok()
            })
            .await?;
        Ok(())
    }
}

/// All that others are derived from.
struct Seed<'w> {
    world: &'w World,
    client: Client,
    installation: Installation,
    template: AgentTemplate,
    values: Values,
    /// The agent that the controller made, as it left it.
    first: AgentInstance,
    /// Its own status, as a text.
    status: String,
    /// Its project.
    project: String,
    /// Number of the attempt by which its configuration was applied.
    attempt: i32,
    /// Key of its configuration.
    key: String,
}

impl<'w> Seed<'w> {
    async fn read(
        world: &'w World,
        tenant: &Tenant<'_>,
        template: &str,
        first: &str,
    ) -> Result<Self> {
        let (client, namespace) = (world.client()?, tenant.namespace());
        let installation = installation::look(&client, SYSTEM_NAMESPACE).await?;
        let templates: Api<AgentTemplate> = Api::namespaced(client.clone(), namespace);
        let template = templates.get(template).await?;
        let instances: Api<AgentInstance> = Api::namespaced(client.clone(), namespace);
        let first = instances.get(first).await?;
        let status = first.status.clone().context("it has no status")?;
        let tool = status
            .external
            .iter()
            .find(|one| one.slot.as_tool().is_some());
        if let Some(tool) = tool {
            bail!(
                "agents with tools are not seeded, and this one has {}",
                tool.slot
            );
        }
        let [own, files] = template_references(&template.spec);
        let referred = [own, files, references(None, &first.spec.env)];
        let configuration = entry(&status, Slot::Configuration)?;
        let project = entry(&status, Slot::Project)?.id.clone();
        let seed = Self {
            values: values::values(values::read(&client, namespace, &referred).await?),
            world,
            client,
            installation,
            template,
            status: serde_json::to_string(&status)?,
            project: project.context("the first agent's project has no id")?,
            attempt: configuration.attempt,
            key: configuration.key.clone(),
            first,
        };
        let held = secret::read(&seed.client, &seed.first, &[]).await?;
        let token = held.token.context("the first agent has no token")?;
        let composed = seed.compose(&token)?;
        ensure!(
            composed.key == seed.key,
            "the first agent's configuration is made from more than is known here"
        );
        Ok(seed)
    }

    fn instances(&self) -> Api<AgentInstance> {
        let namespace = self.first.namespace().unwrap_or_default();
        Api::namespaced(self.client.clone(), &namespace)
    }

    /// The configuration of an agent with this token.
    fn compose(&self, token: &SecretString) -> Result<Composed> {
        let known = self.template.status.as_ref();
        let image = known.and_then(|status| status.image.as_ref());
        let digest = &image.context("the template's image is not known")?.digest;
        let (seal, template) = (&self.installation.seal, &self.template.spec);
        let (env, given) = (&self.first.spec.env, BTreeMap::new());
        compose(
            seal,
            template,
            digest,
            (env, &[]),
            &self.values,
            token,
            &given,
        )
        .map_err(|broken| anyhow::anyhow!(broken.message))
    }

    /// Writes some agents: objects, what they have outside, and then what their objects say of that.
    async fn group(&self, names: &[String]) -> Result<Vec<AgentInstance>> {
        let made = names.iter().map(|name| Seedling::plant(self, name));
        let made = try_join_all(made).await?;
        let differences = made.iter().map(|one| one.outside.clone()).collect();
        let path = format!("/railway/projects/{}/copies", self.project);
        let copies = self.world.outside();
        let copies = copies.call(Method::POST, &path, Some(differences)).await?;
        let copies: Vec<BTreeMap<String, String>> = serde_json::from_value(copies)?;
        ensure!(copies.len() == made.len(), "not every project was copied");
        let written = made.into_iter().zip(copies);
        try_join_all(written.map(|(one, called)| one.write(self, called))).await
    }

    /// Brings up to date what template and account say of all agents together.
    async fn count(&self, account: &str, others: &[AgentInstance]) -> Result<()> {
        let all = others.iter().chain([&self.first]);
        let members = rollout::members(&self.template, all);
        let old = self.template.status.clone().unwrap_or_default();
        let (Some(image), Some(revision)) = (old.image, old.revision) else {
            bail!("the template is not ready");
        };
        let now = jiff::Timestamp::now();
        let settings = &self.template.spec.rollout;
        let standing = rollout::standing(settings, &revision, &members, &|_| true, now);
        let known = template::Resolution::Known { image, revision };
        let told = template::status(&self.template, &known, &standing, None, now);
        status::write(&self.client, &self.template, &told).await?;

        let accounts: Api<ProviderAccount> = Api::all(self.client.clone());
        let account = accounts.get(account).await?;
        let mut told = account.status.clone().unwrap_or_default();
        let seeded = i32::try_from(others.len())?;
        told.resources = told.resources.map(|before| before.saturating_add(seeded));
        status::write(&self.client, &account, &told).await?;
        Ok(())
    }
}

fn entry(status: &AgentInstanceStatus, slot: Slot) -> Result<&LedgerEntry> {
    let mut entries = status.external.iter();
    let found = entries.find(|entry| entry.slot == slot);
    found.with_context(|| format!("the ledger says nothing of {slot}"))
}

/// An agent of which only the object is there.
struct Seedling {
    instance: AgentInstance,
    token: SecretString,
    /// What the first agent calls things, and what this one does.
    called: BTreeMap<String, String>,
    /// How its project differs from the first agent's.
    outside: Value,
}

impl Seedling {
    async fn plant(seed: &Seed<'_>, name: &str) -> Result<Self> {
        let mut instance = AgentInstance::new(name, seed.first.spec.clone());
        instance.metadata.labels = seed.first.metadata.labels.clone();
        let (api, parameters) = (seed.instances(), PostParams::default());
        let instance = api.create(&parameters, &instance).await?;
        let token = SecretString::from(random(64));
        let composed = seed.compose(&token)?;
        let marker = |of: &AgentInstance, slot| marker(&seed.installation.id, of, slot);
        let named = |of: &AgentInstance, slot| marker(of, slot).outside_name();
        let slots = [Slot::Project, Slot::Service, Slot::Volume, Slot::Domain];
        let mut called: BTreeMap<String, String> = slots
            .into_iter()
            .map(|slot| (named(&seed.first, slot), named(&instance, slot)))
            .collect();
        called.insert(seed.key.clone(), composed.key.clone());
        let configuration = composed.for_attempt(seed.attempt);
        let variables: BTreeMap<&str, &str> = configuration
            .variables
            .iter()
            .map(|one| (one.name.as_str(), one.value.expose_secret()))
            .collect();
        let outside = json!({
            "name": named(&instance, Slot::Project),
            "description": marker(&instance, Slot::Project).to_string(),
            "services": {named(&seed.first, Slot::Service): named(&instance, Slot::Service)},
            "variables": variables,
        });
        Ok(Self {
            instance,
            token,
            called,
            outside,
        })
    }

    /// `outside`: what the first agent's project calls things, and what this one's does.
    async fn write(
        mut self,
        seed: &Seed<'_>,
        outside: BTreeMap<String, String>,
    ) -> Result<AgentInstance> {
        self.called.extend(outside);
        let told: AgentInstanceStatus = serde_json::from_str(&renamed(&seed.status, &self.called))?;
        let (client, api) = (&seed.client, seed.instances());
        let identity = self.instance.uid();
        let held = finalizer::hold(&api, &self.instance, FINALIZER, identity.as_deref()).await?;
        secret::mint(client, &held, &self.token).await?;
        Ok(status::write(client, &held, &told).await?)
    }
}

/// A text with other names in it. Long ones first: an id may begin as another name does.
fn renamed(text: &str, called: &BTreeMap<String, String>) -> String {
    let mut called: Vec<(&String, &String)> = called.iter().collect();
    called.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    let text = text.to_owned();
    called
        .into_iter()
        .fold(text, |text, (name, other)| text.replace(name, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_begins_another_one_does_not_cut_it() {
        let called = [("1a2b3c4d-2", "ffffffff-2"), ("1a2b3c4d-2abc", "new-id")];
        let called = called.map(|(name, other)| (name.to_owned(), other.to_owned()));
        let text = r#"{"id":"1a2b3c4d-2abc","tag":"1a2b3c4d-2"}"#;
        let expected = r#"{"id":"new-id","tag":"ffffffff-2"}"#;
        assert_eq!(renamed(text, &called.into()), expected);
    }
}
