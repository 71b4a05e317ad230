//! Kubernetes objects without their types: finding kinds, reading, applying manifests.
//!
//! Holds: kinds are looked up at the API server, so that manifests of any kind can be applied, also of one that was
//! installed a moment ago. Connections belong to the runtime that opened them; each runtime gets its own client, so one
//! cluster serves many `#[tokio::test]`s. Absent: the product's types. The product's tests use this crate, so this
//! crate knows nothing of the product.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, Result, anyhow, bail};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::discovery::{ApiCapabilities, ApiResource, Discovery, Scope};
use kube::{Client, ResourceExt as _};
use serde::Deserialize as _;
use serde_json::Value;
use tokio::runtime::{self, Handle};

/// The field manager of everything that is applied here.
const FIELD_MANAGER: &str = "world";

/// The product's API group: its kinds come first where a name is asked for.
pub const GROUP: &str = "yardmaster.dev";

/// One API server, with an administrator's rights.
pub struct Cluster {
    config: Config,
    clients: RwLock<HashMap<runtime::Id, Client>>,
    kinds: RwLock<Option<Arc<Discovery>>>,
}

impl Cluster {
    pub(crate) async fn connect(kubeconfig: &Path) -> Result<Self> {
        // Refused where one is installed already: then that one serves.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        // The server is on loopback, whatever proxy the user has set.
        config.proxy_url = None;
        let cluster = Self {
            config,
            clients: RwLock::default(),
            kinds: RwLock::default(),
        };
        cluster.client()?;
        Ok(cluster)
    }

    /// A client for the runtime that asks.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn client(&self) -> Result<Client> {
        let runtime = Handle::try_current()
            .context("a client lives in a tokio runtime")?
            .id();
        let known = self
            .clients
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&runtime)
            .cloned();
        if let Some(client) = known {
            return Ok(client);
        }
        let client = Client::try_from(self.config.clone())?;
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        Ok(clients.entry(runtime).or_insert(client).clone())
    }

    /// The API of a kind, by its kind (`AgentInstance`) or plural (`agentinstances`); the product's kinds come first,
    /// then Kubernetes' core. No namespace: the kind is cluster-scoped, or all namespaces are meant.
    ///
    /// # Errors
    /// The API server knows no such kind.
    pub async fn api(&self, kind: &str, namespace: Option<&str>) -> Result<Api<DynamicObject>> {
        let found = self.resolve(|kinds| find_by_name(kinds, kind)).await?;
        let (resource, capabilities) =
            found.with_context(|| format!("the API server knows no kind {kind}"))?;
        self.api_of(&resource, &capabilities, namespace)
    }

    fn api_of(
        &self,
        resource: &ApiResource,
        capabilities: &ApiCapabilities,
        namespace: Option<&str>,
    ) -> Result<Api<DynamicObject>> {
        let client = self.client()?;
        Ok(match (capabilities.scope == Scope::Namespaced, namespace) {
            (true, Some(namespace)) => Api::namespaced_with(client, namespace, resource),
            _ => Api::all_with(client, resource),
        })
    }

    /// Looks a kind up, and asks the API server again where it is not known yet.
    async fn resolve<T>(&self, find: impl Fn(&Discovery) -> Option<T>) -> Result<Option<T>> {
        let known = self
            .kinds
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(found) = known.as_deref().and_then(&find) {
            return Ok(Some(found));
        }
        let fresh = Arc::new(Discovery::new(self.client()?).run_aggregated().await?);
        let found = find(&fresh);
        *self.kinds.write().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
        Ok(found)
    }

    /// Applies manifests (YAML, any number of documents) from the server's side, in their order. An object of a
    /// namespaced kind that names no namespace goes into the given one, or into `default`.
    ///
    /// # Errors
    /// A document is no object, its kind is unknown, or the API server refuses it.
    pub async fn apply(&self, yaml: &str, namespace: Option<&str>) -> Result<Vec<DynamicObject>> {
        let mut applied = Vec::new();
        for manifest in documents(yaml)? {
            applied.push(self.apply_one(manifest, namespace).await?);
        }
        Ok(applied)
    }

    /// Applies one object from the server's side.
    ///
    /// # Errors
    /// Its kind is unknown, or the API server refuses it.
    pub async fn apply_one(
        &self,
        manifest: Value,
        namespace: Option<&str>,
    ) -> Result<DynamicObject> {
        let object: DynamicObject =
            serde_json::from_value(manifest).context("a manifest is no Kubernetes object")?;
        let described = describe(&object);
        let (resource, capabilities) =
            self.resolve(|kinds| kinds.resolve_object(&object))
                .await?
                .with_context(|| format!("the API server does not know the kind of {described}"))?;
        let namespace = object.namespace().or_else(|| namespace.map(str::to_owned));
        let namespace = namespace.as_deref().or(Some("default"));
        let api = self.api_of(&resource, &capabilities, namespace)?;
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(&object.name_any(), &parameters, &Patch::Apply(&object))
            .await
            .with_context(|| format!("cannot apply {described}"))
    }
}

/// `Kind name` or `Kind namespace/name`, for people.
pub(crate) fn describe(object: &DynamicObject) -> String {
    let kind = object
        .types
        .as_ref()
        .map_or("object", |types| types.kind.as_str());
    match object.namespace() {
        Some(namespace) => format!("{kind} {namespace}/{}", object.name_any()),
        None => format!("{kind} {}", object.name_any()),
    }
}

fn find_by_name(kinds: &Discovery, name: &str) -> Option<(ApiResource, ApiCapabilities)> {
    let mut groups = kinds.groups_alphabetical();
    groups.sort_by_key(|group| match group.name() {
        GROUP => 0,
        "" => 1,
        _ => 2,
    });
    let mut resources = groups
        .into_iter()
        .flat_map(|group| group.recommended_resources());
    resources.find(|(resource, _)| resource.kind == name || resource.plural == name)
}

/// The objects in a YAML text: empty documents are left out, lists taken apart.
///
/// # Errors
/// It is no YAML.
pub(crate) fn documents(yaml: &str) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(yaml) {
        let value = Value::deserialize(document).context("a manifest is no YAML")?;
        match value {
            Value::Null => {}
            Value::Object(mut fields) if fields.get("kind") == Some(&Value::from("List")) => {
                match fields.remove("items") {
                    Some(Value::Array(items)) => objects.extend(items),
                    _ => bail!("a List has no items"),
                }
            }
            Value::Object(_) => objects.push(value),
            other => return Err(anyhow!("a manifest is no Kubernetes object: {other}")),
        }
    }
    Ok(objects)
}
