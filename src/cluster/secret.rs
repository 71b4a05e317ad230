//! The Secrets of an instance: its gateway token and the credentials of its tools in one that the instance owns and that
//! goes with it; the private key of a wallet in one of its own, which nobody owns and which stays.
//!
//! What holds: a Secret that is not the instance's is never read, changed or deleted; each credential stands beside the id
//! of the resource that it opens, so that one whose record was lost in a crash is known again; a wallet's Secret is made
//! once and never changed.

mod naming;
mod reading;

pub use naming::name;
use naming::{KEY, OPENS, TOOL_LABEL, UID, owned, secrets, wallet_name};

use super::call::{ClusterError, Refusal, RefusalClass, Written, call, find};
use crate::api::{AgentInstance, INSTANCE_LABEL, LedgerEntry, Slot};
use crate::model::slot::{self, FoundBy};
use crate::model::tool::{Kept, Made};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, Resource, ResourceExt};
pub use reading::{SecretContents, read};
use reading::{main_of, named, spell, take_in_wallet, unspell, value};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Name of the Secret that keeps a slot's credential.
pub fn name_for(instance: &AgentInstance, entry: &LedgerEntry) -> String {
    match entry.row().found_by {
        FoundBy::Kept => wallet_name(instance, entry.slot),
        _ => name(instance),
    }
}

/// Makes the instance's Secret with this token. A Secret of its name that is not the instance's, a predecessor's on its way out or
/// somebody else's, is never touched.
pub async fn mint(client: &Client, instance: &AgentInstance, token: &SecretString) -> Written<()> {
    let what = "making the agent's Secret";
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name(instance)),
            labels: Some(BTreeMap::from([(
                INSTANCE_LABEL.to_owned(),
                instance.name_any(),
            )])),
            annotations: Some(BTreeMap::from([(UID.to_owned(), instance.identity())])),
            owner_references: instance.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".into()),
        data: Some(BTreeMap::from([(KEY.to_owned(), bytes(token))])),
        ..Secret::default()
    };
    let api = secrets(client, instance);
    match call(what, api.create(&PostParams::default(), &secret)).await {
        // There already: ours from a pass that could not go on, or not ours. Read and see.
        Err(ClusterError::Stale { .. }) => {
            let found = find("reading the agent's Secret", api.get_opt(&name(instance))).await?;
            match found {
                Some(secret) if owned(&secret, instance) && value(&secret, KEY).is_none() => {
                    // The token was taken out of it by hand.
                    let patch = json!({"data": {KEY: bytes(token)}});
                    change(&api, instance, &secret, patch).await?;
                    Ok(())
                }
                Some(secret) if owned(&secret, instance) => Err(ClusterError::Stale { what }),
                Some(secret) if adrift(&secret, instance) => {
                    let owner = instance.controller_owner_ref(&());
                    let patch = json!({"metadata": {
                        "annotations": {UID: instance.identity()},
                        "ownerReferences": owner.map(|owner| vec![owner]),
                    }});
                    change(&api, instance, &secret, patch).await?;
                    // What it holds is read with the next pass.
                    Err(ClusterError::Stale { what })
                }
                Some(secret) if predecessors(&secret, instance) => Err(ClusterError::Refused {
                    what,
                    refusal: Refusal {
                        class: RefusalClass::Passing,
                        answer: format!(
                            "Secret {} is that of an earlier instance of this name until the cluster's garbage collector has deleted it",
                            name(instance)
                        ),
                    },
                }),
                Some(_) => Err(not_ours(what, &name(instance), "instance's")),
                // Gone by now.
                None => Err(ClusterError::Stale { what }),
            }
        }
        other => other.map(|_| ()),
    }
}

fn bytes(secret: &SecretString) -> ByteString {
    ByteString(secret.expose_secret().as_bytes().to_vec())
}

/// Keeps the credential of what was made for a slot.
pub async fn keep(
    client: &Client,
    instance: &AgentInstance,
    entry: &LedgerEntry,
    made: &Made,
) -> Written<Kept> {
    let row = entry.row();
    let (Some(key), Some(secret)) = (row.gives.secret, &made.secret) else {
        return Err(ClusterError::Stale {
            what: "keeping a credential that there is none of",
        });
    };
    let opens = format!("{} {} {}", entry.provider, entry.key, made.resource.id);
    let api = secrets(client, instance);
    if row.found_by == FoundBy::Kept {
        return keep_wallet(&api, instance, entry, made, (key, secret), opens).await;
    }
    let found = find("reading the agent's Secret", api.get_opt(&name(instance))).await?;
    let Some(own) = found.filter(|found| owned(found, instance)) else {
        // It was there when the pass began: read everything again.
        return Err(ClusterError::Stale {
            what: "keeping a credential",
        });
    };
    let mut annotations = BTreeMap::from([(format!("{OPENS}{}", spell(entry.slot)), opens)]);
    let mut entries = instance.status.iter().flat_map(|status| &status.external);
    let main = main_of(entry.slot)
        .and_then(|main| entries.find(|entry| entry.slot == main))
        .filter(|main| !main.key.is_empty());
    annotations.extend(main.map(|main| (named(main.slot), main.key.clone())));
    let patch = json!({
        "metadata": {"annotations": annotations},
        "data": {key: bytes(secret)},
    });
    change(&api, instance, &own, patch).await?;
    Ok(Kept {
        key: entry.key.clone(),
        id: made.resource.id.clone(),
        main: main.map(|main| main.key.clone()),
        address: None,
        secret: Some(name(instance)),
    })
}

async fn keep_wallet(
    api: &Api<Secret>,
    instance: &AgentInstance,
    entry: &LedgerEntry,
    made: &Made,
    (key, secret): (&str, &SecretString),
    opens: String,
) -> Written<Kept> {
    let address = made.resource.address.clone().unwrap_or_default();
    let mut data = BTreeMap::from([(key.to_owned(), bytes(secret))]);
    if let Some(key) = entry.row().gives.address {
        data.insert(key.to_owned(), ByteString(address.clone().into_bytes()));
    }
    let tool = entry
        .slot
        .as_tool()
        .map_or_else(String::new, |own| own.tool.to_string());
    let wallet = Secret {
        metadata: ObjectMeta {
            name: Some(wallet_name(instance, entry.slot)),
            labels: Some(BTreeMap::from([
                (INSTANCE_LABEL.to_owned(), instance.name_any()),
                (TOOL_LABEL.to_owned(), tool),
            ])),
            annotations: Some(BTreeMap::from([
                (format!("{OPENS}{}", spell(entry.slot)), opens),
                (UID.to_owned(), instance.identity()),
            ])),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".into()),
        immutable: Some(true),
        data: Some(data),
        ..Secret::default()
    };
    let what = "making a wallet's Secret";
    let made_secret = match call(what, api.create(&PostParams::default(), &wallet)).await {
        Err(ClusterError::Stale { what }) => {
            let name = wallet_name(instance, entry.slot);
            let found = find("reading a wallet's Secret", api.get_opt(&name)).await?;
            return Err(taken(what, found.as_ref(), instance, entry.slot));
        }
        other => other?,
    };
    Ok(Kept {
        key: entry.key.clone(),
        id: made.resource.id.clone(),
        main: None,
        address: Some(address),
        secret: made_secret.metadata.name,
    })
}

/// What it means that a wallet's Secret cannot be made because there is one of its name.
fn taken(
    what: &'static str,
    found: Option<&Secret>,
    instance: &AgentInstance,
    slot: Slot,
) -> ClusterError {
    let mut held = SecretContents::default();
    if let Some(secret) = found {
        take_in_wallet(&mut held, secret, instance);
    }
    // Ours from a pass that could not go on, or gone by now: read everything again.
    if found.is_none() || held.kept.contains_key(&slot) {
        return ClusterError::Stale { what };
    }
    not_ours(what, &wallet_name(instance, slot), "instance's wallet")
}

/// Whether a Secret's owner is one of this instance's name that is no more.
fn predecessors(secret: &Secret, instance: &AgentInstance) -> bool {
    let own = instance.controller_owner_ref(&());
    own.is_some_and(|own| {
        let mut owners = secret.owner_references().iter();
        owners.any(|one| one.kind == own.kind && one.name == own.name && one.uid != own.uid)
    })
}

fn not_ours(what: &'static str, name: &str, kept: &str) -> ClusterError {
    ClusterError::Refused {
        what,
        refusal: Refusal {
            class: RefusalClass::Taken,
            answer: format!("Secret {name} exists and is not this {kept}"),
        },
    }
}

/// Takes a credential out of the instance's Secret, or a wallet's Secret away.
pub async fn drop(client: &Client, instance: &AgentInstance, entry: &LedgerEntry) -> Written<()> {
    let api = secrets(client, instance);
    if entry.row().found_by == FoundBy::Kept {
        let name = wallet_name(instance, entry.slot);
        let found = find("reading a wallet's Secret", api.get_opt(&name)).await?;
        let Some(wallet) =
            found.filter(|wallet| wallet.annotations().get(UID) == Some(&instance.identity()))
        else {
            return Ok(());
        };
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: wallet.uid(),
                resource_version: wallet.resource_version(),
            }),
            ..DeleteParams::default()
        };
        return match call("deleting a wallet's Secret", api.delete(&name, &params)).await {
            Ok(_) | Err(ClusterError::Gone { .. }) => Ok(()),
            Err(error) => Err(error),
        };
    }
    let found = find("reading the agent's Secret", api.get_opt(&name(instance))).await?;
    let (Some(own), Some(key)) = (
        found.filter(|found| owned(found, instance)),
        entry.row().gives.secret,
    ) else {
        return Ok(());
    };
    let mut patch = json!({
        "metadata": {"annotations": {format!("{OPENS}{}", spell(entry.slot)): Value::Null}},
    });
    if !another_opens(&own, entry.slot, key) {
        patch["data"] = json!({key: Value::Null});
    }
    change(&api, instance, &own, patch).await
}

/// Whether a value belongs to another slot by now: a tool that has got a new name overwrites what the old one gave.
fn another_opens(secret: &Secret, slot: Slot, key: &str) -> bool {
    secret.annotations().iter().any(|(annotation, text)| {
        let other = annotation.strip_prefix(OPENS).and_then(unspell);
        let provider = text.split(' ').next().unwrap_or_default();
        other.is_some_and(|other| {
            other != slot && slot::row(provider, other).gives.secret == Some(key)
        })
    })
}

/// Changes the instance's Secret exactly as it was read.
async fn change(
    api: &Api<Secret>,
    instance: &AgentInstance,
    seen: &Secret,
    mut patch: Value,
) -> Written<()> {
    patch["metadata"]["uid"] = json!(seen.uid());
    patch["metadata"]["resourceVersion"] = json!(seen.resource_version());
    call(
        "changing the agent's Secret",
        api.patch(
            &name(instance),
            &PatchParams::default(),
            &Patch::Merge(patch),
        ),
    )
    .await
    .map(|_| ())
    .map_err(|error| match error {
        // The instance itself is not gone.
        ClusterError::Gone { what } => ClusterError::Stale { what },
        other => other,
    })
}

/// Whether the Secret was made for the identity under which a restored instance goes on, and is owned by nobody who lives.
fn adrift(secret: &Secret, instance: &AgentInstance) -> bool {
    let identity = instance.identity();
    let owners = secret.owner_references();
    let others = owners.iter().any(|owner| owner.uid != identity);
    let made_for = match secret.annotations().get(UID) {
        Some(made_for) => *made_for == identity,
        // One of an old version: its owner tells, or, where a backup has lost that, its label.
        None => {
            !owners.is_empty() || secret.labels().get(INSTANCE_LABEL) == Some(&instance.name_any())
        }
    };
    instance.uid().as_ref() != Some(&identity) && made_for && !others
}
