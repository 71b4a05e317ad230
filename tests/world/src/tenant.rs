//! A tenant of a world: a namespace, and a Railway workspace of its own with the account that leads there.
//!
//! Holds: tenants do not see each other, in the cluster or outside, so that one world serves many tests at once: all
//! that a test counts, it counts in its own workspace and namespace.

use std::time::Duration;

use anyhow::{Result, bail};
use kube::api::DynamicObject;
use rand::RngExt as _;
use serde_json::{Value, json};

use crate::install::SYSTEM_NAMESPACE;
use crate::object::{Object, eventually};
use crate::outside::Inventory;
use crate::records::{Audited, Exchange, Mark};
use crate::tellings::Telling;
use crate::world::World;

/// The key of the token in an account's Secret.
const TOKEN_KEY: &str = "token";

/// What an account of a test lets there be, unless the test says less: more than any test makes.
fn unbounded() -> Value {
    json!({"resources": 100_000, "resourcesPerNamespace": 100_000, "ordersPerHour": 64})
}

/// A tenant. Its namespace, ProviderAccount, Secret and workspace all bear one name.
#[derive(Clone)]
pub struct Tenant<'w> {
    world: &'w World,
    name: String,
    token: String,
}

impl<'w> Tenant<'w> {
    /// Makes namespace, Secret and ProviderAccount. `account` is merged into the account's `spec.railway`.
    pub(crate) async fn create(world: &'w World, name: &str, account: Value) -> Result<Self> {
        let name = format!("{name}-{}", random(5));
        let token = railway_token(&name);
        let tenant = Self { world, name, token };
        tenant.create_objects(account).await?;
        Ok(tenant)
    }

    async fn create_objects(&self, account: Value) -> Result<()> {
        let name = &self.name;
        let mut railway = json!({
            "workspaceId": name,
            "tokenSecretRefs": [{"name": name, "key": TOKEN_KEY}],
            // The simulator's throttle is off as well (`world::PACE`).
            "projectInterval": "1ms",
        });
        if let (Some(fields), Value::Object(changes)) = (railway.as_object_mut(), account) {
            fields.extend(changes);
        }
        let cluster = self.world.cluster();
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let account = json!({
            "apiVersion": "yardmaster.dev/v1alpha1",
            "kind": "ProviderAccount",
            "metadata": {"name": name},
            "spec": {"allowedNamespaces": {"matchNames": [name]}, "limits": unbounded(), "railway": railway},
        });
        cluster.apply_one(namespace, None).await?;
        self.put_token(&self.token).await?;
        cluster.apply_one(account, None).await?;
        Ok(())
    }

    /// Puts another token into the account's Secret.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn put_token(&self, token: &str) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.name, "namespace": SYSTEM_NAMESPACE},
            "stringData": {TOKEN_KEY: token},
        });
        self.world.cluster().apply_one(secret, None).await?;
        Ok(())
    }

    /// Makes a Secret and a ProviderAccount at each provider of tools, `<name>-<provider>`. At every one of them the account
    /// is called as the tenant is, so that all it has outside is one inventory.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn tool_accounts(&self) -> Result<()> {
        let (name, cluster) = (&self.name, self.world.cluster());
        for (provider, more) in [
            ("openrouter", json!({"perAgent": {"limitUSD": 100}})),
            ("exa", json!({})),
            ("agentmail", json!({})),
            ("telnyx", json!({"maxMonthlyCostUSD": 2})),
            ("bankr", json!({})),
        ] {
            let own = format!("{name}-{provider}");
            self.put_credential(provider, &tool_credential(provider, name))
                .await?;
            let mut spec = json!({"credentialSecretRef": {"name": own, "key": "key"}});
            if let (Some(fields), Value::Object(more)) = (spec.as_object_mut(), more) {
                fields.extend(more);
            }
            let account = json!({
                "apiVersion": "yardmaster.dev/v1alpha1",
                "kind": "ProviderAccount",
                "metadata": {"name": own},
                "spec": {"allowedNamespaces": {"matchNames": [name]}, "limits": unbounded(), provider: spec},
            });
            cluster.apply_one(account, None).await?;
        }
        Ok(())
    }

    /// Puts another credential into the Secret of its account at a provider of tools.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn put_credential(&self, provider: &str, credential: &str) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": format!("{}-{provider}", self.name), "namespace": SYSTEM_NAMESPACE},
            "stringData": {"key": credential},
        });
        self.world.cluster().apply_one(secret, None).await?;
        Ok(())
    }

    /// A tool of each type, as a template lists them, at the accounts that `tool_accounts` makes.
    #[must_use]
    pub fn six_tools(&self) -> Value {
        let account = |provider: &str| json!({"name": format!("{}-{provider}", self.name)});
        json!([
            {"name": "llm", "type": "openrouter", "accountRef": account("openrouter"), "limitUSD": 20, "maxLimitUSD": 100},
            {"name": "search", "type": "exa", "accountRef": account("exa"), "budgetUSD": 5},
            {"name": "inbox", "type": "agentmail", "accountRef": account("agentmail")},
            {"name": "phone", "type": "telnyx", "accountRef": account("telnyx")},
            {"name": "purse", "type": "wallet"},
            {"name": "bank", "type": "bankr", "accountRef": account("bankr")},
        ])
    }

    /// The name of its namespace, ProviderAccount, Secret (in the operator's namespace) and Railway workspace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.name
    }

    /// The name of its ProviderAccount.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.name
    }

    /// The id of its Railway workspace.
    #[must_use]
    pub fn workspace(&self) -> &str {
        &self.name
    }

    /// The Railway token that the account was made with.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    #[must_use]
    pub fn world(&self) -> &'w World {
        self.world
    }

    /// Applies manifests; those of namespaced kinds that name no namespace go into the tenant's.
    ///
    /// # Errors
    /// See [`crate::Cluster::apply`].
    pub async fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        self.world.cluster().apply(yaml, Some(&self.name)).await
    }

    /// An object in the tenant's namespace.
    #[must_use]
    pub fn object(&self, kind: &str, name: &str) -> Object<'w> {
        self.world.object(kind, Some(&self.name), name)
    }

    /// One of its AgentInstances.
    #[must_use]
    pub fn instance(&self, name: &str) -> Object<'w> {
        self.object("AgentInstance", name)
    }

    /// One of its AgentTemplates.
    #[must_use]
    pub fn template(&self, name: &str) -> Object<'w> {
        self.object("AgentTemplate", name)
    }

    /// Its ProviderAccount.
    #[must_use]
    pub fn provider_account(&self) -> Object<'w> {
        self.world.object("ProviderAccount", None, &self.name)
    }

    /// What it has outside.
    ///
    /// # Errors
    /// The simulator does not answer.
    pub async fn inventory(&self) -> Result<Inventory> {
        Ok(self
            .world
            .outside()
            .inventory()
            .await?
            .of_workspace(&self.name))
    }

    /// What its agents were told, those that are gone among them.
    ///
    /// # Errors
    /// The simulator does not answer.
    pub async fn tellings(&self) -> Result<Vec<Telling>> {
        let mut tellings = self.world.outside().tellings().await?;
        tellings.retain(|telling| telling.workspace == self.name);
        Ok(tellings)
    }

    /// Waits until its inventory is as it should be. `what` completes the sentence "waited until …".
    ///
    /// # Errors
    /// It is not by then.
    pub async fn wait_inventory(
        &self,
        what: &str,
        deadline: Duration,
        holds: impl Fn(&Inventory) -> bool,
    ) -> Result<Inventory> {
        let holds = &holds;
        let waited = eventually(what, deadline, || async move {
            Ok(Some(self.inventory().await?).filter(holds))
        });
        match waited.await {
            Ok(inventory) => Ok(inventory),
            Err(error) => Err(error.context(format!("{:#?}", self.inventory().await?))),
        }
    }

    /// Changes simulator settings for its workspace alone.
    ///
    /// # Errors
    /// The simulator refuses.
    pub async fn set(&self, settings: &[(&str, &str)]) -> Result<()> {
        let own: Vec<(String, &str)> = settings
            .iter()
            .map(|(key, value)| (format!("{key}@{}", self.name), *value))
            .collect();
        let own: Vec<(&str, &str)> = own
            .iter()
            .map(|(key, value)| (key.as_str(), *value))
            .collect();
        self.world.outside().set(&own).await
    }

    /// Orders a fault that meets exchanges of its workspace alone, and gives its id.
    ///
    /// # Errors
    /// The simulator does not understand it.
    pub async fn post_fault(&self, mut fault: Value) -> Result<String> {
        match fault.as_object_mut() {
            Some(fields) => fields.insert("workspace".to_owned(), json!(self.name)),
            None => bail!("a fault is a JSON object, this is {fault}"),
        };
        self.world.outside().post_fault(fault).await
    }

    /// Waits until the observer has begun and ended `n` more listings of its account, or pages of them, at least.
    ///
    /// # Errors
    /// It has not by then.
    pub async fn wait_listings(&self, n: usize, deadline: Duration) -> Result<()> {
        let journal = self.world.journal();
        let (mut mark, mut listed) = (journal.mark()?, 0);
        let own = Some(self.name.as_str());
        eventually("the account was listed again", deadline, || {
            let listings = journal.follow(&mut mark).map(|new| {
                let own = |one: &&Exchange| {
                    one.workspace.as_deref() == own && one.operation == "projects"
                };
                new.iter().filter(own).count()
            });
            // One more than asked for: the first may have been on its way.
            std::future::ready(listings.map(|more| {
                listed += more;
                (listed > n).then_some(())
            }))
        })
        .await
    }

    /// Its exchanges with the outside since a mark.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn exchanges(&self, since: Mark) -> Result<Vec<Exchange>> {
        let mut exchanges = self.world.journal().since(since)?;
        exchanges.retain(|exchange| exchange.workspace.as_deref() == Some(self.name.as_str()));
        Ok(exchanges)
    }

    /// What the controller wrote about it since a mark: objects in its namespace, and its account.
    ///
    /// # Errors
    /// The audit log cannot be read.
    pub fn controller_writes(&self, since: Mark) -> Result<Vec<Audited>> {
        let mut writes = self.world.audit().since(since)?;
        writes.retain(|audited| {
            let account = audited.namespace.is_empty() && audited.name == self.name;
            let about = audited.namespace == self.name || account;
            about && audited.is_write() && audited.is_controller()
        });
        Ok(writes)
    }
}

/// A token that the simulator takes for one of a workspace's.
#[must_use]
pub fn railway_token(workspace: &str) -> String {
    format!("ws_{workspace}_{}", random(16))
}

/// A credential that the simulator takes for one of an account at a provider of tools.
#[must_use]
pub fn tool_credential(provider: &str, account: &str) -> String {
    let stem = match provider {
        "openrouter" => "sk-or-mgmt-",
        "exa" => "exa-svc-",
        "agentmail" => "am_org_",
        "telnyx" => "KEY",
        _ => "bk_ptr_",
    };
    format!("{stem}{account}_{}", random(16))
}

/// Small letters and digits.
pub(crate) fn random(length: usize) -> String {
    let alphabet: Vec<char> = ('a'..='z').chain('0'..='9').collect();
    let mut random = rand::rng();
    (0..length)
        .map(|_| alphabet[random.random_range(0..alphabet.len())])
        .collect()
}
