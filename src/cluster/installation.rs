//! The installation: a random id and a hash key, made once and kept in a Secret of the operator's namespace; and beside them
//! what each account is held to (its pin), because a status can be lost by the very restore that mixes credentials up.
//!
//! What holds: the id is part of every marker outside, so it is never made anew while anything bears the old one: where
//! the Secret is missing and instances have ledgers, the process refuses to start and says what to restore.

use super::call::{ClusterError, Written, call, find};
use crate::api::{AgentInstance, Seen};
use crate::model::InstallationId;
use crate::model::identity::Pin;
use crate::model::values::{Seal, hex};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::ResourceExt;
use kube::api::{Api, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use secrecy::SecretString;
use serde_json::json;
use std::collections::BTreeMap;

/// Name of the Secret.
pub const SECRET: &str = "yardmaster-installation";

/// So often a pin is written again after other accounts' pins came between.
const PIN_TRIES: usize = 10;

/// Who we are.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Part of every marker.
    pub id: InstallationId,
    /// Key of every keyed hash.
    pub seal: Seal,
}

/// Why the installation is not known.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// The API server.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The Secret is lost.
    #[error(
        "Secret {namespace}/{SECRET} is missing, and {example} has outside resources that bear its id: restore the Secret from a backup; without it Yardmaster would take its own resources for somebody else's"
    )]
    Lost {
        /// The operator's namespace.
        namespace: String,
        /// An instance with a ledger.
        example: String,
    },
    /// There is none.
    #[error(
        "there is no Secret {namespace}/{SECRET}: give the namespace that Yardmaster is installed in"
    )]
    Absent {
        /// Where it was looked for.
        namespace: String,
    },
    /// The Secret is not one of ours.
    #[error("Secret {namespace}/{SECRET} has no keys id and seal: restore it from a backup")]
    Unreadable {
        /// The operator's namespace.
        namespace: String,
    },
}

/// Reads the installation, and makes nothing.
pub async fn look(client: &Client, namespace: &str) -> Result<Installation, InstallationError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = find("reading the installation", api.get_opt(SECRET)).await?;
    let secret = secret.ok_or_else(|| InstallationError::Absent {
        namespace: namespace.to_owned(),
    })?;
    read(&secret).ok_or_else(|| InstallationError::Unreadable {
        namespace: namespace.to_owned(),
    })
}

/// Reads the installation, or makes it where nothing bears an older one's id. `random` is used only for making.
pub async fn establish(
    client: &Client,
    namespace: &str,
    random: [u8; 48],
) -> Result<Installation, InstallationError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    for _ in 0..2 {
        if let Some(secret) = find("reading the installation", api.get_opt(SECRET)).await? {
            return read(&secret).ok_or_else(|| InstallationError::Unreadable {
                namespace: namespace.to_owned(),
            });
        }
        if let Some(example) = someone_with_a_ledger(client).await? {
            return Err(InstallationError::Lost {
                namespace: namespace.to_owned(),
                example,
            });
        }
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([
                ("id".to_owned(), ByteString(hex(&random[..6]).into_bytes())),
                (
                    "seal".to_owned(),
                    ByteString(hex(&random[6..]).into_bytes()),
                ),
            ])),
            ..Secret::default()
        };
        match call(
            "making the installation",
            api.create(&PostParams::default(), &secret),
        )
        .await
        {
            // Another process was faster: its installation is ours too.
            Ok(_) | Err(ClusterError::Stale { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(InstallationError::Unreadable {
        namespace: namespace.to_owned(),
    })
}

fn read(secret: &Secret) -> Option<Installation> {
    let data = secret.data.as_ref()?;
    let text = |key: &str| {
        String::from_utf8(data.get(key)?.0.clone())
            .ok()
            .filter(|text| !text.is_empty())
    };
    Some(Installation {
        id: InstallationId(text("id")?),
        seal: Seal(SecretString::from(text("seal")?)),
    })
}

/// The key under which an account's pin is kept.
fn pin_key(account: &str) -> String {
    format!("pin.{account}")
}

fn pinned(secret: &Secret, account: &str) -> Option<Pin> {
    // One that cannot be read is none: then a credential has to prove itself.
    serde_json::from_slice(&secret.data.as_ref()?.get(&pin_key(account))?.0).ok()
}

async fn own(api: &Api<Secret>) -> Written<Secret> {
    let what = "reading the Secret yardmaster-installation";
    find(what, api.get_opt(SECRET))
        .await?
        .ok_or(ClusterError::Absent { what })
}

/// What the account of that UID is held to, where it was ever found good.
pub async fn pin(client: &Client, namespace: &str, account: &str) -> Written<Option<Pin>> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    Ok(pinned(&own(&api).await?, account))
}

/// Holds the account to something else, or with `None` to nothing. Fails where it is no longer held to what `before` says.
pub async fn repin(
    client: &Client,
    namespace: &str,
    account: &str,
    before: Option<&Pin>,
    pin: Option<&Pin>,
) -> Written<()> {
    let what = "pinning an account's identity";
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    // Accounts share the Secret: another one's pin is no reason to decide anew.
    for _ in 0..PIN_TRIES {
        let secret = own(&api).await?;
        if pinned(&secret, account).as_ref() != before {
            break;
        }
        let value = pin.and_then(|pin| serde_json::to_vec(pin).ok().map(ByteString));
        let patch = json!({
            "metadata": {"resourceVersion": secret.resource_version()},
            "data": {pin_key(account): value},
        });
        let params = PatchParams::default();
        match call(what, api.patch(SECRET, &params, &Patch::Merge(patch))).await {
            Err(ClusterError::Stale { .. }) => {}
            done => return done.map(drop),
        }
    }
    Err(ClusterError::Stale { what })
}

/// Holds the account to nothing any more: it is gone.
pub async fn unpin(client: &Client, namespace: &str, account: &str) -> Written<()> {
    match pin(client, namespace, account).await? {
        None => Ok(()),
        before => repin(client, namespace, account, before.as_ref(), None).await,
    }
}

async fn someone_with_a_ledger(client: &Client) -> Written<Option<String>> {
    let api: Api<Seen<AgentInstance>> = Api::all(client.clone());
    let list = call("listing instances", api.list(&ListParams::default())).await?;
    let someone = list.items.iter().find(|one| match one {
        Seen::Read(one) => one
            .status
            .as_ref()
            .is_some_and(|status| !status.external.is_empty()),
        // It may have one.
        Seen::Unreadable(_) => true,
    });
    Ok(someone.map(|one| format!("AgentInstance {}", one.title())))
}
