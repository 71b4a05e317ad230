//! The story: what is done to the agents, what has to follow, and what did not.
//!
//! Holds: an act that did not hold is told, remembered and does not keep the last act from taking everything back.
//! Absent: anything that a person could not do with kubectl and Railway's web page.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use kube::ResourceExt as _;
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};
use world::{Inventory, Object, Resource, World, condition, eventually};

use crate::hand::Hand;
use crate::manifests::{Manifests, Name, name};
use crate::narrator::{Narrator, plural};

/// Everything here takes seconds; what takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(90);

/// Kinds that are applied when their chapter comes.
const POOLED: [&str; 2] = ["AgentPool", "AgentClaim"];

pub(crate) struct Story<'w> {
    world: &'w World,
    narrator: &'w Narrator,
    manifests: Manifests,
    instances: Vec<Object<'w>>,
    broken: Vec<String>,
}

impl<'w> Story<'w> {
    pub(crate) fn new(world: &'w World, narrator: &'w Narrator, manifests: Manifests) -> Self {
        Self {
            world,
            narrator,
            manifests,
            instances: Vec::new(),
            broken: Vec::new(),
        }
    }

    /// What did not hold.
    pub(crate) fn broken(&self) -> Vec<String> {
        self.broken.clone()
    }

    /// The whole story, of the project's own examples.
    pub(crate) async fn tell_examples(&mut self, once: bool) {
        let came_up = self.come_up().await;
        if self.held("the agents come up", came_up) {
            let rolled_out = self.roll_out().await;
            self.held("a change of the template reaches its agents", rolled_out);
            let slept = self.suspend_and_resume().await;
            self.held("an agent is suspended and resumed", slept);
            let mended = self.drift().await;
            self.held("a change made by hand at Railway is mended", mended);
            let claimed = self.pools().await;
            self.held("a pool fills, and each claim gets an agent of it", claimed);
            let met = self.meet_a_limit().await;
            self.held(
                "an agent meets its account's limit, and comes up when that is raised",
                met,
            );
            let gone = self.delete_one().await;
            self.held("an agent's deletion takes back what it had", gone);
        }
        if once {
            let gone = self.delete_all().await;
            self.held("nothing is left outside", gone);
        }
    }

    /// The user's own manifests: applied, shown, and with `once` taken back.
    pub(crate) async fn tell_manifests(&mut self, once: bool) {
        let came_up = self.come_up().await;
        self.held("the agents come up", came_up);
        if !self.manifests.of_kind("AgentPool").is_empty() {
            let claimed = self.pools().await;
            self.held("a pool fills, and each claim gets an agent of it", claimed);
        }
        if once {
            let gone = self.delete_all().await;
            self.held("nothing is left outside", gone);
        }
    }

    fn held(&mut self, what: &str, result: Result<()>) -> bool {
        let Err(error) = result else {
            return true;
        };
        self.narrator
            .say(&format!("DID NOT HOLD: {what}: {error:#}"));
        let first = format!("{error:#}")
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        self.broken.push(format!("{what}: {first}"));
        false
    }

    async fn come_up(&mut self) -> Result<()> {
        self.narrator
            .chapter("the account, the template and the agents are applied");
        self.prepare().await?;
        for object in self.manifests.in_order() {
            // They have a chapter of their own.
            if !POOLED.contains(&object["kind"].as_str().unwrap_or_default()) {
                self.apply(object).await?;
            }
        }
        let (world, instances) = (self.world, self.manifests.of_kind("AgentInstance"));
        self.instances = instances.iter().map(|name| object(world, name)).collect();

        for name in self.manifests.of_kind("ProviderAccount") {
            let account = self.world.object("ProviderAccount", None, &name.name);
            account.wait_condition("Ready", "True", PATIENCE).await?;
            self.narrator
                .say(&format!("account {} is ready", name.name));
        }
        for instance in &self.instances {
            let ready = instance.wait_condition("Ready", "True", PATIENCE).await?;
            let url = ready.data["status"]["url"]
                .as_str()
                .unwrap_or("an address of its own");
            self.narrator
                .say(&format!("{} is ready at {url}", instance.name()));
        }
        let inventory = self.show_inventory().await?;
        let (projects, agents) = (inventory.kind("project").count(), self.instances.len());
        if projects != agents {
            bail!(
                "{} for {}",
                plural(projects, "project"),
                plural(agents, "agent")
            );
        }
        Ok(())
    }

    async fn apply(&self, object: Value) -> Result<()> {
        let name = name(&object);
        let namespace = Some(name.namespace.as_str());
        self.world.cluster().apply_one(object, namespace).await?;
        self.narrator.say(&format!("  {} {}", name.kind, name.name));
        Ok(())
    }

    /// Pools fill, claims take their agents, and all of it goes again.
    async fn pools(&self) -> Result<()> {
        self.narrator
            .chapter("a pool keeps agents idle, and claims take them");
        let objects = self.manifests.in_order();
        let of = |kind: &'static str| objects.iter().filter(move |one| one["kind"] == kind);
        let mut pools = Vec::new();
        for pool in of("AgentPool") {
            self.apply(pool.clone()).await?;
            pools.push(object(self.world, &name(pool)));
        }
        for pool in &pools {
            let filled = pool.wait_condition("Ready", "True", PATIENCE).await?;
            let idle = &filled.data["status"]["idle"];
            self.narrator.say(&format!(
                "pool {} is filled: {idle} agents are idle",
                pool.name()
            ));
        }
        let mut claims = Vec::new();
        for claim in of("AgentClaim") {
            let begun = Instant::now();
            self.apply(claim.clone()).await?;
            let claim = object(self.world, &name(claim));
            let ready = claim.wait_condition("Ready", "True", PATIENCE).await?;
            let took = begun.elapsed().as_millis();
            let agent = ready.data["status"]["instanceRef"]["name"].as_str();
            let agent = agent.context("the claim names no agent")?;
            self.narrator.say(&format!(
                "claim {} has {agent}, which knows who it is, after {took} ms",
                claim.name()
            ));
            claims.push(claim);
        }
        let (wanted, taken) = (pools.len() as u64, claims.len() as u64);
        for pool in &pools {
            // What it said before the claims came is true no longer.
            let counts = |pool: &DynamicObject| {
                let status = &pool.data["status"];
                let full = status["idle"] == pool.data["spec"]["replicas"];
                full && (wanted > 1 || status["claimed"].as_u64() == Some(taken))
            };
            pool.wait_until("it has made others", PATIENCE, counts)
                .await?;
            self.narrator.say(&format!(
                "pool {} has made others in their place",
                pool.name()
            ));
        }
        if let (Some(pool), Some(like)) = (pools.first(), of("AgentClaim").next()) {
            claims.push(self.unreached(pool, like).await?);
        }
        self.show_inventory().await?;
        for gone in claims.iter().chain(&pools) {
            gone.delete().await?;
        }
        for gone in claims.iter().chain(&pools) {
            gone.wait_gone(PATIENCE).await?;
        }
        let (world, agents) = (self.world, self.instances.len());
        eventually("their agents are gone", PATIENCE, async || {
            let inventory = world.inventory().await?;
            Ok((inventory.kind("project").count() == agents).then_some(()))
        })
        .await?;
        self.narrator
            .say("the claims' agents went with them, the idle ones with the pool");
        Ok(())
    }

    /// The agent that a claim gets first cannot be told who it is: it is deleted, seen to be gone, and the claim gets the next one.
    async fn unreached(&self, pool: &Object<'w>, like: &Value) -> Result<Object<'w>> {
        let namespace = like["metadata"]["namespace"].as_str();
        let instances = self.world.object("AgentInstance", namespace, "any");
        let instances = instances.api().await?;
        let mut idle = instances.list(&ListParams::default()).await?.items;
        idle.retain(|one| {
            let spec = &one.data["spec"];
            spec["poolRef"]["name"] == pool.name() && spec["claimRef"].is_null()
        });
        // Claims take the newest first.
        let made = |one: &DynamicObject| one.metadata.creation_timestamp.clone().map(|at| at.0);
        let first = idle
            .iter()
            .max_by_key(|one| (made(one), Reverse(one.name_any())));
        let first = first.context("no agent is idle")?;
        let url = first.data["status"]["url"].as_str().unwrap_or_default();
        let host = url.trim_start_matches("https://");
        let mute = json!({"provider": "agent", "operation": "POST /pool/provision", "contains": host,
            "times": 0, "effect": "reset_before"});
        let mute = self.world.outside().post_fault(mute).await?;
        let mut claim = like.clone();
        claim["metadata"]["name"] = json!("unlucky");
        claim["spec"]["provisionDeadline"] = json!("5s");
        self.apply(claim.clone()).await?;
        let claim = object(self.world, &name(&claim));
        let ready = claim.wait_condition("Ready", "True", PATIENCE).await?;
        self.world.outside().remove_fault(&mute).await?;
        let (had, has) = (
            ready.data["status"]["rejected"][0]["name"].as_str(),
            ready.data["status"]["instanceRef"]["name"].as_str(),
        );
        let (had, has) = had
            .zip(has)
            .context("its first agent served it all the same")?;
        self.narrator.say(&format!(
            "claim unlucky had {had}, which could not be told who it is and was deleted; now it has {has}. Its events:"
        ));
        // They come a moment later.
        let events = eventually("its events tell of it", PATIENCE, async || {
            let events = claim.events().await?;
            let told = events.iter().any(|one| one.contains("AgentRejected"));
            Ok(told.then_some(events))
        });
        for event in events.await? {
            self.narrator.say(&format!("  {event}"));
        }
        Ok(claim)
    }

    /// What the manifests need and leave to whoever applies them.
    async fn prepare(&mut self) -> Result<()> {
        for account in self.manifests.missing_accounts() {
            self.narrator.say(&format!(
                "  (nobody defines the account {account}: made for this world)"
            ));
            self.manifests.add_account(&account);
        }
        self.manifests.hurry();
        for namespace in self.manifests.missing_namespaces() {
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            self.world.cluster().apply_one(namespace, None).await?;
        }
        for secret in self.manifests.missing_secrets() {
            self.world.cluster().apply_one(secret, None).await?;
        }
        Ok(())
    }

    async fn roll_out(&self) -> Result<()> {
        let template = self
            .manifests
            .main_template()
            .context("there is no template")?;
        let template = object(self.world, &template);
        let before = template.get().await?;
        let image = before.data["spec"]["runtime"]["image"]
            .as_str()
            .unwrap_or_default();
        let newer = newer(image);
        self.narrator
            .chapter(&format!("the template's image changes to {newer}"));
        template
            .patch(json!({"spec": {"runtime": {"image": newer}}}))
            .await?;
        for instance in &self.instances {
            let now = instance.get().await?;
            if now.data["spec"]["templateRef"]["name"] != template.name() {
                continue;
            }
            let runs_it = |object: &DynamicObject| {
                object.data["status"]["image"]["requested"] == newer.as_str()
                    && is(object, "TemplateSynced", "True")
                    && is(object, "Ready", "True")
            };
            instance
                .wait_until(&format!("it runs {newer}"), PATIENCE, runs_it)
                .await?;
            self.narrator
                .say(&format!("{} runs the new image", instance.name()));
        }
        self.show_inventory().await?;
        Ok(())
    }

    async fn suspend_and_resume(&self) -> Result<()> {
        let instance = self.instances.first().context("there is no agent")?;
        self.narrator
            .chapter(&format!("{} is suspended", instance.name()));
        instance
            .patch(json!({"spec": {"operatingMode": "Suspended"}}))
            .await?;
        instance
            .wait_condition("Suspended", "True", PATIENCE)
            .await?;
        self.show_inventory().await?;

        self.narrator
            .say(&format!("{} is resumed", instance.name()));
        instance
            .patch(json!({"spec": {"operatingMode": "Running"}}))
            .await?;
        instance.wait_condition("Ready", "True", PATIENCE).await?;
        self.show_inventory().await?;
        Ok(())
    }

    async fn drift(&self) -> Result<()> {
        let instance = self.instances.first().context("there is no agent")?;
        let now = instance.get().await?;
        let hand = Hand::on(self.world, &self.token_of(&now).await?, &now)?;
        let variable = self.some_variable(&now).await?;
        let good = hand
            .variable(&variable)
            .await?
            .context("the variable is not set at Railway")?;

        self.narrator.chapter(&format!(
            "somebody changes {variable} of {} at Railway by hand",
            instance.name()
        ));
        let wrong = "changed by hand";
        hand.set_variable(&variable, wrong).await?;
        if hand.variable(&variable).await?.as_deref() != Some(wrong) {
            bail!("the change by hand did not arrive");
        }
        let hand = &hand;
        let variable = variable.as_str();
        eventually(
            &format!("{variable} has its value again"),
            PATIENCE,
            || async {
                Ok(hand
                    .variable(variable)
                    .await?
                    .filter(|value| *value == good))
            },
        )
        .await
        .with_context(|| format!("{variable} keeps the value that was set by hand"))?;
        self.narrator
            .say(&format!("{variable} has its value again"));
        instance.wait_condition("Ready", "True", PATIENCE).await?;
        self.show_inventory().await?;
        Ok(())
    }

    /// The account's owner allows no project more than there are; one agent more is told so, until the owner allows it.
    async fn meet_a_limit(&mut self) -> Result<()> {
        let first = self.instances.first().context("there is no agent")?;
        let like = first.get().await?;
        let namespace = like.metadata.namespace.clone().unwrap_or_default();
        let (template, account) = (
            &like.data["spec"]["templateRef"],
            &like.data["spec"]["accountRef"],
        );
        let owners = account["name"].as_str().unwrap_or_default();
        let owners = self.world.object("ProviderAccount", None, owners);
        let there = self.world.inventory().await?.kind("project").count();
        let allow = |resources: usize| json!({"spec": {"limits": {"resources": resources}}});
        self.narrator.chapter(&format!(
            "the owner of account {} allows {} and no more; an agent more is applied",
            owners.name(),
            plural(there, "resource")
        ));
        owners.patch(allow(there)).await?;
        let observed = |object: &DynamicObject| {
            object.data["status"]["observedGeneration"].as_i64() == object.metadata.generation
        };
        owners
            .wait_until("its limit is observed", PATIENCE, observed)
            .await?;
        let more = json!({
            "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentInstance", "metadata": {"name": "one-more"},
            "spec": {"templateRef": template, "accountRef": account},
        });
        let cluster = self.world.cluster();
        cluster.apply_one(more, Some(&namespace)).await?;
        let instance = self
            .world
            .object("AgentInstance", Some(&namespace), "one-more");
        self.instances.push(instance.clone());
        let stalled = instance
            .wait_until("it meets the limit", PATIENCE, |object| {
                condition(object, "Stalled").is_some_and(|found| found["reason"] == "QuotaExceeded")
            })
            .await?;
        let told = condition(&stalled, "Stalled").map(|found| found["message"].clone());
        let told = told.unwrap_or_default();
        self.narrator
            .say(&format!("one-more: {}", told.as_str().unwrap_or_default()));
        if self.show_inventory().await?.kind("project").count() != there {
            bail!("a project was made above the limit");
        }
        self.narrator.say("the owner allows one more");
        owners.patch(allow(there + 1)).await?;
        instance.wait_condition("Ready", "True", PATIENCE).await?;
        self.narrator.say("one-more is ready");
        self.show_inventory().await?;
        Ok(())
    }

    async fn delete_one(&mut self) -> Result<()> {
        let before = self.world.inventory().await?.kind("project").count();
        let instance = self.instances.pop().context("there is no agent")?;
        self.narrator
            .chapter(&format!("{} is deleted", instance.name()));
        // Back in the list until it is gone: the last act tries again.
        self.instances.push(instance.clone());
        instance.delete().await?;
        instance.wait_gone(PATIENCE).await?;
        self.instances.pop();
        let after = self.show_inventory().await?.kind("project").count();
        if after + 1 != before {
            bail!(
                "{} before, {} after",
                plural(before, "project"),
                plural(after, "project")
            );
        }
        Ok(())
    }

    async fn delete_all(&mut self) -> Result<()> {
        self.narrator.chapter("all agents are deleted");
        for instance in &self.instances {
            instance.delete().await?;
        }
        for instance in &self.instances {
            instance.wait_gone(PATIENCE).await?;
        }
        let mut left = self.show_inventory().await?.resources;
        // A wallet with `reclaimPolicy: Retain` may hold money: it is put to rest, and stays.
        let rests = |one: &Resource| {
            one.kind == "wallet" && one.description.as_deref() == Some("suspended")
        };
        for wallet in left.extract_if(.., |one| rests(one)) {
            self.narrator.say(&format!(
                "the wallet {} is suspended and stays, as its reclaimPolicy says",
                wallet.id
            ));
        }
        if !left.is_empty() {
            bail!("left outside: {left:#?}");
        }
        Ok(())
    }

    async fn show_inventory(&self) -> Result<Inventory> {
        let inventory = self.world.inventory().await?;
        self.narrator.inventory(&inventory);
        Ok(inventory)
    }

    /// The Railway token of an instance's account.
    async fn token_of(&self, instance: &DynamicObject) -> Result<String> {
        let account = instance.data["spec"]["accountRef"]["name"]
            .as_str()
            .unwrap_or_default();
        let account = self
            .world
            .object("ProviderAccount", None, account)
            .get()
            .await?;
        let reference = &account.data["spec"]["railway"]["tokenSecretRefs"][0];
        let (secret, key) = (reference["name"].as_str(), reference["key"].as_str());
        let secret = self
            .world
            .secret(world::SYSTEM_NAMESPACE, secret.unwrap_or_default())
            .await?;
        let token = secret.get(key.unwrap_or_default());
        token.cloned().context("the account's Secret has no token")
    }

    /// A variable that a person could have written: one with a plain value, of the instance or its template.
    async fn some_variable(&self, instance: &DynamicObject) -> Result<String> {
        let namespace = instance.metadata.namespace.as_deref();
        let template = instance.data["spec"]["templateRef"]["name"]
            .as_str()
            .unwrap_or_default();
        let template = self
            .world
            .object("AgentTemplate", namespace, template)
            .get()
            .await?;
        let lists = [&instance.data["spec"]["env"], &template.data["spec"]["env"]];
        let entries = lists.into_iter().filter_map(Value::as_array).flatten();
        let mut plain = entries.filter(|entry| entry["value"].is_string());
        let name = plain.find_map(|entry| entry["name"].as_str());
        name.map(str::to_owned)
            .context("no variable with a plain value to change")
    }
}

fn object<'w>(world: &'w World, name: &Name) -> Object<'w> {
    world.object(&name.kind, Some(&name.namespace), &name.name)
}

fn is(object: &DynamicObject, kind: &str, status: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == status)
}

/// The next version of an image: its last number raised, or a word added to its tag.
fn newer(image: &str) -> String {
    let image = image.split('@').next().unwrap_or(image);
    // A colon before the last slash belongs to the registry's port.
    let tag_at = image
        .rfind(':')
        .filter(|at| image.rfind('/').is_none_or(|slash| slash < *at));
    let (repository, tag) = match tag_at {
        Some(at) => (&image[..at], &image[at + 1..]),
        None => (image, "1"),
    };
    let digits = tag.len()
        - tag
            .trim_end_matches(|letter: char| letter.is_ascii_digit())
            .len();
    let (start, number) = tag.split_at(tag.len() - digits);
    match number.parse::<u32>() {
        Ok(number) => format!("{repository}:{start}{}", number.saturating_add(1)),
        Err(_) => format!("{repository}:{tag}-next"),
    }
}

#[cfg(test)]
mod tests {
    use super::newer;

    #[test]
    fn the_last_number_of_a_tag_is_raised() {
        assert_eq!(newer("ghcr.io/acme/agent:1.4"), "ghcr.io/acme/agent:1.5");
        assert_eq!(newer("ghcr.io/acme/agent"), "ghcr.io/acme/agent:2");
        assert_eq!(
            newer("localhost:5000/agent:main"),
            "localhost:5000/agent:main-next"
        );
        assert_eq!(
            newer("localhost:5000/agent@sha256:00"),
            "localhost:5000/agent:2"
        );
    }
}
