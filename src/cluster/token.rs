//! The gateway token of an instance: generated here, kept in a Secret that the instance owns, and so gone with it.

use super::call::{ClusterError, Written, call, find};
use crate::api::{AgentInstance, INSTANCE_LABEL};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};
use kube::{Client, Resource, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;

/// Key of the token in its Secret.
const KEY: &str = "GATEWAY_TOKEN";

/// Name of the instance's Secret.
pub fn name(instance: &AgentInstance) -> String {
    format!("{}-agent", instance.name_any())
}

/// Reads the token. `None` where there is none yet, or the Secret belongs to somebody else.
pub async fn read(client: &Client, instance: &AgentInstance) -> Written<Option<SecretString>> {
    let api: Api<Secret> =
        Api::namespaced(client.clone(), &instance.namespace().unwrap_or_default());
    let Some(secret) = find("reading the agent's Secret", api.get_opt(&name(instance))).await?
    else {
        return Ok(None);
    };
    if !owned(&secret, instance) {
        return Ok(None);
    }
    let value = secret.data.and_then(|mut data| data.remove(KEY));
    Ok(value
        .and_then(|ByteString(bytes)| String::from_utf8(bytes).ok())
        .map(SecretString::from))
}

/// Makes the Secret with this token. Answers `false` where the name is taken by a Secret that is not the instance's:
/// a predecessor's on its way out, or somebody else's, which is never touched.
pub async fn mint(
    client: &Client,
    instance: &AgentInstance,
    token: &SecretString,
) -> Written<bool> {
    let namespace = instance.namespace().unwrap_or_default();
    let api: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name(instance)),
            namespace: Some(namespace),
            labels: Some(BTreeMap::from([(
                INSTANCE_LABEL.to_owned(),
                instance.name_any(),
            )])),
            owner_references: instance.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".into()),
        data: Some(BTreeMap::from([(
            KEY.to_owned(),
            ByteString(token.expose_secret().as_bytes().to_vec()),
        )])),
        ..Secret::default()
    };
    match call(
        "making the agent's Secret",
        api.create(&PostParams::default(), &secret),
    )
    .await
    {
        // There already: ours from a pass that could not go on, or not ours. Read and see.
        Err(ClusterError::Stale { .. }) => match read(client, instance).await? {
            Some(_) => Err(ClusterError::Stale {
                what: "making the agent's Secret",
            }),
            None => Ok(false),
        },
        other => other.map(|_| true),
    }
}

fn owned(secret: &Secret, instance: &AgentInstance) -> bool {
    let uid = instance.uid();
    secret
        .owner_references()
        .iter()
        .any(|owner| Some(&owner.uid) == uid.as_ref())
}
