//! The status writer: one place, the resourceVersion that was read, and only when something is different.

use super::call::{Written, call};
use crate::api::{
    AgentInstance, AgentInstanceStatus, AgentTemplate, AgentTemplateStatus, ProviderAccount,
    ProviderAccountStatus,
};
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};

/// Writes an instance's status. The answer is the object as it now is.
pub async fn write_instance(
    client: &Client,
    seen: &AgentInstance,
    status: &AgentInstanceStatus,
) -> Written<AgentInstance> {
    let api: Api<AgentInstance> =
        Api::namespaced(client.clone(), &seen.namespace().unwrap_or_default());
    let mut object = seen.clone();
    object.status = Some(status.clone());
    object.metadata.managed_fields = None;
    call(
        "writing the status",
        api.replace_status(&seen.name_any(), &PostParams::default(), &object),
    )
    .await
}

/// Writes a template's status.
pub async fn write_template(
    client: &Client,
    seen: &AgentTemplate,
    status: &AgentTemplateStatus,
) -> Written<AgentTemplate> {
    let api: Api<AgentTemplate> =
        Api::namespaced(client.clone(), &seen.namespace().unwrap_or_default());
    let mut object = seen.clone();
    object.status = Some(status.clone());
    object.metadata.managed_fields = None;
    call(
        "writing the template's status",
        api.replace_status(&seen.name_any(), &PostParams::default(), &object),
    )
    .await
}

/// Writes an account's status.
pub async fn write_account(
    client: &Client,
    seen: &ProviderAccount,
    status: &ProviderAccountStatus,
) -> Written<ProviderAccount> {
    let api: Api<ProviderAccount> = Api::all(client.clone());
    let mut object = seen.clone();
    object.status = Some(status.clone());
    object.metadata.managed_fields = None;
    call(
        "writing the account's status",
        api.replace_status(&seen.name_any(), &PostParams::default(), &object),
    )
    .await
}
