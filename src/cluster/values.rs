//! Values that specs refer to: read by name, in the namespace of the one who refers.

use super::call::{Written, find};
use crate::model::values::{MOST, References, Source, Values};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use kube::{Client, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;

/// So many objects are read at once.
const AT_ONCE: usize = 8;

/// Most bytes that are held at once: more than all that can be used (`MOST` for a template and its instance each).
const HELD: usize = 4 * MOST;

/// A referenced object as it was read.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Its resourceVersion.
    pub version: String,
    /// Its values, by key.
    pub data: BTreeMap<String, SecretString>,
}

/// Reads what is referred to, of every object that exists, some at once. What is beyond all that can be used is left out.
pub async fn read(
    client: &Client,
    namespace: &str,
    references: &References,
) -> Written<BTreeMap<Source, Found>> {
    let (mut found, mut room) = (BTreeMap::new(), HELD);
    let sources = references.keys();
    let reads: Vec<_> = sources
        .map(|source| read_one(client, namespace, source))
        .collect();
    let mut reads = stream::iter(reads).buffered(AT_ONCE);
    for (source, keys) in references {
        let Some(Some(mut read)) = reads.try_next().await? else {
            continue;
        };
        read.data.retain(|key, value| {
            let size = value.expose_secret().len();
            let fits = keys.contains(key) && size <= room;
            room -= if fits { size } else { 0 };
            fits
        });
        found.insert(source.clone(), read);
    }
    Ok(found)
}

/// One source. `None` where it does not exist.
pub async fn read_one(client: &Client, namespace: &str, source: &Source) -> Written<Option<Found>> {
    match source {
        Source::Secret(name) => {
            let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
            let found = find("reading a referenced Secret", api.get_opt(name)).await?;
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok().map(SecretString::from);
            Ok(found.map(|secret| {
                let version = secret.resource_version().unwrap_or_default();
                let data = secret.data.unwrap_or_default().into_iter();
                let data = data.filter_map(|(key, value)| Some((key, text(value.0)?)));
                let data = data.collect();
                Found { version, data }
            }))
        }
        Source::ConfigMap(name) => {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
            let found = find("reading a referenced ConfigMap", api.get_opt(name)).await?;
            Ok(found.map(|map| {
                let version = map.resource_version().unwrap_or_default();
                let data = map.data.unwrap_or_default().into_iter();
                let data = data.map(|(key, value)| (key, SecretString::from(value)));
                let data = data.collect();
                Found { version, data }
            }))
        }
    }
}

/// The values alone.
pub fn values(found: BTreeMap<Source, Found>) -> Values {
    let found = found.into_iter();
    found.map(|(source, one)| (source, one.data)).collect()
}
