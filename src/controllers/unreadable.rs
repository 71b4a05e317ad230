//! What is done about an object that this version cannot read: it is told, once, on the object and in the log.
//!
//! What holds: nothing of it is changed but its conditions, nothing outside is touched for it, and an object that says so
//! already is left alone. Deliberately absent: what is said (`engine::unreadable`).

use super::context::Context;
use super::uid::Uid;
use crate::api::{Seen, Unreadable};
use crate::cluster::call::find;
use crate::cluster::{ClusterError, status};
use crate::engine::unreadable::conditions;
use kube::api::Api;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// The object as it is now, from the API server. One that cannot be read has been told of.
pub async fn get<K>(
    ctx: &Context,
    api: &Api<Seen<K>>,
    what: &'static str,
    watched: &Seen<K>,
) -> Result<Option<Seen<K>>, ClusterError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let found = find(what, api.get_opt(&watched.name_any())).await?;
    match &found {
        Some(unread @ Seen::Unreadable(object)) => tell(ctx, api, Uid::of(unread), object).await?,
        _ => ctx.memories.warned.forget(&Uid::of(watched)),
    }
    Ok(found)
}

/// Tells of one that cannot be read.
async fn tell<K>(
    ctx: &Context,
    api: &Api<Seen<K>>,
    uid: Uid,
    object: &Unreadable,
) -> Result<(), ClusterError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let kind = K::kind(&());
    if ctx.memories.warned.news(uid.clone(), object) {
        tracing::warn!(
            kind = kind.as_ref(),
            object = object.title(),
            field = object.field,
            expected = object.expected,
            "an object cannot be read; it is left alone, and all others are served"
        );
    }
    let Some(new) = conditions(object, ctx.around.now()) else {
        return Ok(());
    };
    if let Seen::Unreadable(now) = status::write_conditions(api, object, &new).await? {
        // Our own write is no news.
        ctx.memories.warned.news(uid, &now);
    }
    Ok(())
}
