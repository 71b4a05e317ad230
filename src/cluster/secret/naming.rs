//! How an instance's Secrets are named and marked, and whose one is.

use crate::api::{AgentInstance, Slot};
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::{Client, ResourceExt};

/// Key of the token in its Secret.
pub(super) const KEY: &str = "GATEWAY_TOKEN";

/// Prefix of the annotations that say which resource a credential opens: the slot's own name follows.
pub(super) const OPENS: &str = "yardmaster.dev/opens.";

/// Prefix of the annotations that say under which name a thing was made whose key is kept: no listing may show it.
pub(super) const NAMED: &str = "yardmaster.dev/named.";

/// Label of a wallet's Secret: the tool's name.
pub(super) const TOOL_LABEL: &str = "yardmaster.dev/tool";

/// Annotation of a Secret: the identity of the instance that it was made for.
pub(super) const UID: &str = "yardmaster.dev/instance-uid";

/// Name of the instance's Secret.
pub fn name(instance: &AgentInstance) -> String {
    format!("{}-agent", instance.name_any())
}

/// Name of the Secret of a wallet. The identity is in it, because a wallet's Secret outlives its instance, and another one of
/// that name must not meet it.
pub(super) fn wallet_name(instance: &AgentInstance, slot: Slot) -> String {
    let tool = slot
        .as_tool()
        .map_or_else(String::new, |own| own.tool.to_string());
    let uid: String = instance
        .identity()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(10)
        .collect();
    format!("{}-{tool}-{uid}", instance.name_any())
}

pub(super) fn secrets(client: &Client, instance: &AgentInstance) -> Api<Secret> {
    Api::namespaced(client.clone(), &instance.namespace().unwrap_or_default())
}

/// Whether the Secret is the instance's: it is owned by it, and was made for no other identity.
pub(super) fn owned(secret: &Secret, instance: &AgentInstance) -> bool {
    let owners = secret.owner_references();
    let made_for = secret.annotations().get(UID);
    made_for.is_none_or(|made_for| *made_for == instance.identity())
        && owners
            .iter()
            .any(|owner| Some(&owner.uid) == instance.uid().as_ref())
}
