//! The writes of a claim and of a pool on an instance: taken, given back, handed over, updated; and the look for what a claim has.
//!
//! What holds: each bears the resourceVersion of the object from which it was decided; what is taken bears the claim's UID as a
//! label, by which it is found again; answers are read as metadata alone, because people wait for them. Deliberately absent:
//! when each may be done (`engine::claims`).

use super::call::{ClusterError, Written, call, find};
use crate::api::claim::{FromClaim, ReleasePolicy};
use crate::api::instance::UpdatePolicy;
use crate::api::template::ToolSpec;
use crate::api::updates::UpdateTo;
use crate::api::{AgentClaim, AgentInstance, CLAIM_LABEL, InstanceRef, POOL_LABEL, Seen};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};
use std::future::Future;
use std::time::Duration;

/// Longer nobody waits for an answer while a claim is served: it is looked at what became of it.
const QUICK: Duration = Duration::from_secs(2);

/// A call for which somebody waits.
pub async fn quickly<T>(
    what: &'static str,
    written: impl Future<Output = Written<T>>,
) -> Written<T> {
    let answer = tokio::time::timeout(QUICK, written).await;
    answer.unwrap_or(Err(ClusterError::Slow { what }))
}

fn instances(client: &Client, namespace: &str) -> Api<AgentInstance> {
    Api::namespaced(client.clone(), namespace)
}

async fn write(
    client: &Client,
    (namespace, name): (&str, &str),
    what: &'static str,
    patch: Value,
) -> Written<ObjectMeta> {
    let (api, params) = (instances(client, namespace), PatchParams::default());
    let patch = Patch::Merge(patch);
    let written = call(what, api.patch_metadata(name, &params, &patch));
    Ok(quickly(what, written).await?.metadata)
}

/// Writes a claim into an instance that nobody has. `version`: of the instance as it was seen.
pub async fn take(
    client: &Client,
    name: &str,
    version: Option<&str>,
    claim: &AgentClaim,
) -> Written<ObjectMeta> {
    let patch = json!({
        "metadata": {"resourceVersion": version, "labels": {CLAIM_LABEL: claim.uid()}},
        "spec": {"claimRef": {"name": claim.name_any(), "uid": claim.uid()}},
    });
    let namespace = claim.namespace().unwrap_or_default();
    write(
        client,
        (&namespace, name),
        "taking an agent for a claim",
        patch,
    )
    .await
}

/// Takes the claim out of an instance that was not handed over.
pub async fn give_back(client: &Client, seen: &ObjectMeta) -> Written<ObjectMeta> {
    let patch = json!({
        "metadata": {"resourceVersion": seen.resource_version, "labels": {CLAIM_LABEL: null}},
        "spec": {"claimRef": null},
    });
    let namespace = seen.namespace.clone().unwrap_or_default();
    let name = seen.name.clone().unwrap_or_default();
    write(client, (&namespace, &name), "giving an agent back", patch).await
}

/// Writes into an instance that it is its claim's for good; with the claim it goes, unless the claim says otherwise. `seen`: the
/// instance's name, version and owners as it was seen; `tools`: those of the persona that the claim names.
pub async fn hand_over(
    client: &Client,
    seen: &ObjectMeta,
    claim: &AgentClaim,
    tools: Vec<ToolSpec>,
    (updates, at): (UpdatePolicy, MicroTime),
) -> Written<ObjectMeta> {
    let owners = owners(seen, claim);
    let mut patch = json!({
        "metadata": {
            "resourceVersion": seen.resource_version,
            "labels": {CLAIM_LABEL: claim.uid()},
            "ownerReferences": owners,
        },
        "spec": {
            "claimRef": {"name": claim.name_any(), "uid": claim.uid(), "handedOverAt": at},
            // From here on its claim says whether it is deployed anew, and its pool nothing any more.
            "updatePolicy": updates,
            "updateTo": null,
        },
    });
    // Not what is only told: nobody would read it there.
    let env = claim.spec.env.clone();
    let brought = FromClaim { env, tools };
    if brought != FromClaim::default() {
        patch["spec"]["fromClaim"] = json!(brought);
    }
    let namespace = claim.namespace().unwrap_or_default();
    let name = seen.name.clone().unwrap_or_default();
    write(client, (&namespace, &name), "handing an agent over", patch).await
}

/// Asks an idle instance to take a revision, or takes that back. `version`: of the instance as it was seen.
pub async fn update_to(
    client: &Client,
    named: (&str, &str),
    version: Option<&str>,
    to: Option<&UpdateTo>,
) -> Written<ObjectMeta> {
    let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"updateTo": to}});
    write(client, named, "updating an agent of a pool", patch).await
}

/// Who owns an agent that was handed over: its claim, unless that says otherwise, and who owned it before.
fn owners(seen: &ObjectMeta, claim: &AgentClaim) -> Vec<OwnerReference> {
    let mut owners = seen.owner_references.clone().unwrap_or_default();
    owners.retain(|owner| Some(&owner.uid) != claim.uid().as_ref());
    if claim.spec.release_policy == ReleasePolicy::Delete {
        let owner = claim.controller_owner_ref(&());
        owners.extend(owner.map(|owner| OwnerReference {
            block_owner_deletion: Some(true),
            ..owner
        }));
    }
    owners
}

/// Whether an agent goes with a claim. `seen`: as a read or a write has answered it.
pub fn is_owned(seen: &ObjectMeta, claim: &AgentClaim) -> bool {
    let mut now = seen.owner_references.iter().flatten();
    now.any(|owner| Some(&owner.uid) == claim.uid().as_ref())
}

/// Whether a claim's agent goes with it as the claim says. `seen`: as a read or a write has answered it.
pub fn is_owned_as_said(seen: &ObjectMeta, claim: &AgentClaim) -> bool {
    is_owned(seen, claim) == (claim.spec.release_policy == ReleasePolicy::Delete)
}

/// Lets a claim's agent go with it, or stay, as the claim says by now.
pub async fn own(client: &Client, seen: &ObjectMeta, claim: &AgentClaim) -> Written<ObjectMeta> {
    set_owners(client, seen, claim, owners(seen, claim)).await
}

/// Lets an agent stay when a claim goes, whatever the claim says.
pub async fn disown(client: &Client, seen: &ObjectMeta, claim: &AgentClaim) -> Written<ObjectMeta> {
    let mut others = seen.owner_references.clone().unwrap_or_default();
    others.retain(|owner| Some(&owner.uid) != claim.uid().as_ref());
    set_owners(client, seen, claim, others).await
}

async fn set_owners(
    client: &Client,
    seen: &ObjectMeta,
    claim: &AgentClaim,
    owners: Vec<OwnerReference>,
) -> Written<ObjectMeta> {
    let patch = json!({"metadata": {
        "resourceVersion": seen.resource_version,
        "ownerReferences": owners,
    }});
    let namespace = claim.namespace().unwrap_or_default();
    let name = seen.name.clone().unwrap_or_default();
    let what = "changing what an agent goes with";
    write(client, (&namespace, &name), what, patch).await
}

/// The instances that bear a claim's UID, live.
pub async fn look(client: &Client, namespace: &str, uid: &str) -> Written<Vec<AgentInstance>> {
    let labelled = ListParams::default().labels(&format!("{CLAIM_LABEL}={uid}"));
    let (what, api) = ("looking for a claim's agent", instances(client, namespace));
    let found = quickly(what, call(what, api.list(&labelled))).await?;
    let bears = |one: &AgentInstance| {
        let hold = one.spec.claim_ref.as_ref();
        hold.is_some_and(|hold| hold.uid == uid)
    };
    Ok(found.items.into_iter().filter(bears).collect())
}

/// An instance, and no other one of its name.
pub async fn get(
    client: &Client,
    namespace: &str,
    named: &InstanceRef,
) -> Written<Option<AgentInstance>> {
    let api = instances(client, namespace);
    let found = find("reading a claim's agent", api.get_opt(&named.name)).await?;
    Ok(found.filter(|found| found.uid().as_ref() == Some(&named.uid)))
}

/// Deletes an instance exactly as it was decided upon.
pub async fn delete(
    client: &Client,
    namespace: &str,
    name: &str,
    uid: &str,
    version: Option<String>,
) -> Written<()> {
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: version,
        }),
        ..DeleteParams::default()
    };
    let api = instances(client, namespace);
    call("deleting an agent of a pool", api.delete(name, &params)).await?;
    Ok(())
}

/// Deletes a claim exactly as it was decided upon.
pub async fn delete_claim(client: &Client, claim: &AgentClaim) -> Written<()> {
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: claim.uid(),
            resource_version: claim.resource_version(),
        }),
        ..DeleteParams::default()
    };
    let namespace = claim.namespace().unwrap_or_default();
    let api: Api<AgentClaim> = Api::namespaced(client.clone(), &namespace);
    let what = "deleting a claim that has finished";
    call(what, api.delete(&claim.name_any(), &params)).await?;
    Ok(())
}

/// Makes an agent for a pool.
pub async fn create(client: &Client, instance: &AgentInstance) -> Written<()> {
    let namespace = instance.namespace().unwrap_or_default();
    let api = instances(client, &namespace);
    call(
        "making an agent for a pool",
        api.create(&PostParams::default(), instance),
    )
    .await?;
    Ok(())
}

/// The instances of a pool, live. One that this version cannot read is the pool's by its label alone.
pub async fn of_pool(
    client: &Client,
    namespace: &str,
    pool: &str,
) -> Written<Vec<Seen<AgentInstance>>> {
    let labelled = ListParams::default().labels(&format!("{POOL_LABEL}={pool}"));
    let api: Api<Seen<AgentInstance>> = Api::namespaced(client.clone(), namespace);
    let found = call("looking for a pool's agents", api.list(&labelled)).await?;
    let own = |one: &Seen<AgentInstance>| {
        one.read().is_none_or(|one| {
            let named = one.spec.pool_ref.as_ref();
            named.is_some_and(|named| named.name.as_str() == pool)
        })
    };
    Ok(found.items.into_iter().filter(own).collect())
}
