//! Installing the product into a fresh cluster, from its own chart, as a user would.
//!
//! Holds: what the chart renders is applied as it is, and the controller gets a kubeconfig with a token of the chart's
//! ServiceAccount: a missing permission fails in tests. Left out of the chart are Deployments alone: there is no kubelet,
//! the controller runs as a process of this machine. Absent: knowledge of what the chart holds.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, ListParams, PostParams};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::directory::Directory;
use crate::object::eventually;
use crate::objects::{self, Cluster};
use crate::{binaries, checkout};

/// Where the operator, its Lease and the accounts' Secrets are.
pub const SYSTEM_NAMESPACE: &str = "yardmaster-system";
/// The one value that the chart requires: no image is ever run here.
pub const IMAGE: &str = "image.repository=registry.example/yardmaster";
/// The release's name, and the chart's ServiceAccount.
pub const SERVICE_ACCOUNT: &str = "yardmaster";

/// The user that the controller is to the API server.
pub const CONTROLLER_USER: &str = "system:serviceaccount:yardmaster-system:yardmaster";

const SERVED: Duration = Duration::from_secs(30);
/// A world may stay up for days.
const TOKEN_SECONDS: i64 = 30 * 24 * 3600;

/// Renders the chart. It needs no server.
pub(crate) async fn render(helm: &Path, environment: &[(String, String)]) -> Result<Vec<Value>> {
    let chart = checkout::root().join("charts/yardmaster");
    if !chart.is_dir() {
        bail!("there is no chart in {}", chart.display());
    }
    let output = Command::new(helm)
        .args(["template", SERVICE_ACCOUNT])
        .arg(&chart)
        .args([
            "--namespace",
            SYSTEM_NAMESPACE,
            "--include-crds",
            "--set",
            "crds.enabled=true",
            "--set",
            IMAGE,
        ])
        .args(["--kube-version", binaries::KUBERNETES_VERSION])
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot run helm")?;
    if !output.status.success() {
        bail!(
            "helm template failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    objects::documents(&String::from_utf8(output.stdout)?).context("what helm rendered")
}

/// Applies what the chart rendered, and waits until its kinds are served.
pub(crate) async fn install(cluster: &Cluster, rendered: Vec<Value>) -> Result<()> {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE},
    });
    cluster.apply_one(namespace, None).await?;

    let (definitions, others): (Vec<Value>, Vec<Value>) = rendered
        .into_iter()
        .partition(|object| object["kind"] == "CustomResourceDefinition");
    if definitions.is_empty() {
        bail!("the chart renders no CustomResourceDefinition");
    }
    let mut kinds = Vec::new();
    for definition in definitions {
        kinds.extend(
            definition["spec"]["names"]["kind"]
                .as_str()
                .map(str::to_owned),
        );
        cluster.apply_one(definition, None).await?;
    }
    for kind in &kinds {
        // More than `Established`: just after it, discovery may not know the kind yet, and a list may be refused
        // because the storage is being initialized.
        eventually(&format!("{kind} can be listed"), SERVED, || async {
            let api = cluster.api(kind, None).await?;
            api.list(&ListParams::default().limit(1)).await?;
            Ok(Some(()))
        })
        .await?;
    }
    for object in others {
        if object["kind"] != "Deployment" {
            cluster.apply_one(object, Some(SYSTEM_NAMESPACE)).await?;
        }
    }
    Ok(())
}

/// Writes the controller's kubeconfig: the administrator's with another token.
pub(crate) async fn write_controller_kubeconfig(
    cluster: &Cluster,
    directory: &Directory,
) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client()?, SYSTEM_NAMESPACE);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let answer = accounts
        .create_token_request(SERVICE_ACCOUNT, &PostParams::default(), &request)
        .await
        .with_context(|| {
            format!("no token for ServiceAccount {SYSTEM_NAMESPACE}/{SERVICE_ACCOUNT}")
        })?;
    let token = answer.status.context("the API server gave no token")?.token;

    let text = tokio::fs::read_to_string(directory.kubeconfig()).await?;
    let mut kubeconfig: Value = serde_yaml_ng::from_str(&text)?;
    let users = kubeconfig["users"]
        .as_array_mut()
        .context("the kubeconfig has no users")?;
    for user in users {
        user["user"] = json!({"token": token});
    }
    directory.write_controller_kubeconfig(&serde_yaml_ng::to_string(&kubeconfig)?)
}
