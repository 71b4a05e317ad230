//! The Secret of a claim: what its agent answered that may let somebody in somewhere, such as an invite.
//!
//! What holds: it is the claim's and goes with it; a Secret of its name that is not the claim's is never touched.

use super::call::{ClusterError, Refusal, RefusalClass, Written, call, find};
use crate::api::{AgentClaim, INSTANCE_LABEL};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Resource, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::collections::BTreeMap;

/// The name of a claim's Secret.
pub fn name(claim: &AgentClaim) -> String {
    format!("{}-claim", claim.name_any())
}

/// Keeps what an agent answered. `instance`: the agent's name.
pub async fn keep(
    client: &Client,
    claim: &AgentClaim,
    instance: &str,
    answers: &BTreeMap<String, SecretString>,
) -> Written<()> {
    let (what, name) = ("keeping what an agent answered", name(claim));
    let namespace = claim.namespace().unwrap_or_default();
    let api: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let bytes = |text: &SecretString| ByteString(text.expose_secret().as_bytes().to_vec());
    let data = answers.iter().map(|(key, text)| (key.clone(), bytes(text)));
    let data: BTreeMap<String, ByteString> = data.collect();
    let owner = claim.controller_owner_ref(&());
    let label = (INSTANCE_LABEL.to_owned(), instance.to_owned());
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some(BTreeMap::from([label])),
            owner_references: owner.map(|owner| {
                vec![OwnerReference {
                    block_owner_deletion: Some(true),
                    ..owner
                }]
            }),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".into()),
        data: Some(data.clone()),
        ..Secret::default()
    };
    match call(what, api.create(&PostParams::default(), &secret)).await {
        Err(ClusterError::Stale { .. }) => {}
        other => return other.map(drop),
    }
    let found = find("reading a claim's Secret", api.get_opt(&name)).await?;
    let found = found.ok_or(ClusterError::Stale { what })?;
    let mut owners = found.owner_references().iter();
    if !owners.any(|owner| Some(&owner.uid) == claim.uid().as_ref()) {
        return Err(ClusterError::Refused {
            what,
            refusal: Refusal {
                class: RefusalClass::Taken,
                answer: format!("Secret {name} exists and is not this claim's"),
            },
        });
    }
    if found.data.as_ref() == Some(&data) {
        return Ok(());
    }
    // Another agent than before: what the old one answered opens nothing any more.
    let old = found.data.iter().flatten().map(|(key, _)| key);
    let gone = old.filter(|key| !data.contains_key(*key));
    let mut patched = json!(data);
    for key in gone {
        patched[key] = json!(null);
    }
    let patch = json!({
        "metadata": {"resourceVersion": found.resource_version(), "labels": {INSTANCE_LABEL: instance}},
        "data": patched,
    });
    let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
    call(what, api.patch(&name, &params, &patch))
        .await
        .map(drop)
}
