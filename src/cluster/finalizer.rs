//! Finalizers: put on with the resourceVersion that was read, taken off with it too.
//!
//! kube's own helper is deliberately not used: it removes the finalizer on every success of a cleanup, also one that
//! only means "not yet".

use super::call::{Written, call};
use crate::api::IDENTITY_ANNOTATION;
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;

/// Puts a finalizer on, and an instance's identity where one is given. The write fails where the object has changed since
/// it was read.
pub async fn hold<K>(
    api: &Api<K>,
    object: &K,
    finalizer: &str,
    identity: Option<&str>,
) -> Written<K>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let mut finalizers = object.finalizers().to_vec();
    if !finalizers.iter().any(|one| one == finalizer) {
        finalizers.push(finalizer.to_owned());
    }
    let mut patch = json!({"metadata": {"resourceVersion": object.resource_version(), "finalizers": finalizers}});
    if let Some(identity) = identity {
        patch["metadata"]["annotations"] = json!({IDENTITY_ANNOTATION: identity});
    }
    call(
        "putting the finalizer on",
        api.patch(
            &object.name_any(),
            &PatchParams::default(),
            &Patch::Merge(patch),
        ),
    )
    .await
}

/// Takes a finalizer off. The write fails where the object has changed since it was read.
pub async fn let_go<K>(api: &Api<K>, object: &K, finalizer: &str) -> Written<()>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let rest: Vec<&String> = object
        .finalizers()
        .iter()
        .filter(|name| *name != finalizer)
        .collect();
    if rest.len() == object.finalizers().len() {
        return Ok(());
    }
    let patch =
        json!({"metadata": {"resourceVersion": object.resource_version(), "finalizers": rest}});
    call(
        "taking the finalizer off",
        api.patch(
            &object.name_any(),
            &PatchParams::default(),
            &Patch::Merge(patch),
        ),
    )
    .await?;
    Ok(())
}
