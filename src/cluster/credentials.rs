//! Credentials of accounts: Secrets in the operator's namespace.
//!
//! What holds: while an account has them in use they carry a finalizer, so that deleting the Secret before the account
//! neither wedges nor leaks what the account still has to take back.

use super::call::{ClusterError, Written, find};
use super::finalizer;
use crate::api::IN_USE_FINALIZER;
use crate::api::account::KeyRef;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::{Client, ResourceExt};
use secrecy::SecretString;

/// The credentials found, and a sentence for each that is missing.
pub struct Credentials {
    /// Those that exist, in the order of the references.
    pub tokens: Vec<SecretString>,
    /// Where each of them is kept.
    pub kept_in: Vec<KeyRef>,
    /// What is missing, and what to do.
    pub missing: Vec<String>,
    /// Secrets that were deleted and are there still, `namespace/name`.
    pub going: Vec<String>,
}

impl Credentials {
    /// What is missing, where nothing is there at all.
    pub fn none(&self) -> Option<String> {
        self.tokens.is_empty().then(|| self.missing.join("; "))
    }
}

/// Reads every reference, and changes nothing.
pub async fn look(client: &Client, namespace: &str, references: &[KeyRef]) -> Written<Credentials> {
    gather(client, namespace, references, false).await
}

/// Reads every reference, and makes sure of the finalizer on each Secret.
pub async fn read(client: &Client, namespace: &str, references: &[KeyRef]) -> Written<Credentials> {
    gather(client, namespace, references, true).await
}

async fn gather(
    client: &Client,
    namespace: &str,
    references: &[KeyRef],
    hold: bool,
) -> Written<Credentials> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut found = Credentials {
        tokens: Vec::new(),
        kept_in: Vec::new(),
        missing: Vec::new(),
        going: Vec::new(),
    };
    for reference in references {
        let Some(secret) =
            find("reading a credential", api.get_opt(reference.name.as_str())).await?
        else {
            found.missing.push(format!(
                "Secret {namespace}/{} does not exist; create it",
                reference.name
            ));
            continue;
        };
        let going = format!("{namespace}/{}", reference.name);
        if secret.metadata.deletion_timestamp.is_some() && !found.going.contains(&going) {
            found.going.push(going);
        }
        let held = secret
            .finalizers()
            .iter()
            .any(|name| name == IN_USE_FINALIZER);
        // One that is being deleted takes no new finalizer; it is used while it lasts.
        if hold && !held && secret.metadata.deletion_timestamp.is_none() {
            match finalizer::hold(&api, &secret, IN_USE_FINALIZER).await {
                Ok(_) | Err(ClusterError::Stale { .. } | ClusterError::Gone { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let value = secret
            .data
            .and_then(|mut data| data.remove(reference.key.as_str()));
        match value
            .and_then(|bytes| String::from_utf8(bytes.0).ok())
            .filter(|text| !text.trim().is_empty())
        {
            Some(text) => {
                found.tokens.push(SecretString::from(text));
                found.kept_in.push(reference.clone());
            }
            None => found.missing.push(format!(
                "Secret {namespace}/{} has no usable key {}; add it",
                reference.name, reference.key
            )),
        }
    }
    Ok(found)
}

/// Takes the finalizer off Secrets that no account needs any more.
pub async fn let_go(client: &Client, namespace: &str, names: &[String]) -> Written<()> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    for name in names {
        if let Some(secret) = find("reading a credential", api.get_opt(name)).await? {
            match finalizer::let_go(&api, &secret, IN_USE_FINALIZER).await {
                Ok(()) | Err(ClusterError::Gone { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
