//! Values that specs refer to: read by name, in the namespace of the one who refers.

use super::call::{Written, find};
use crate::model::values::{HELD, References, Source, Values};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use kube::{Client, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, BTreeSet};

/// So many objects are read at once.
const AT_ONCE: usize = 8;

/// A referenced object as it was read.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Its resourceVersion.
    pub version: String,
    /// Its values, by key.
    pub data: BTreeMap<String, SecretString>,
}

/// Reads what specs refer to, of every object that exists, some at once. What is beyond all that a spec can use is left out; what
/// one of them refers to takes no room from another.
pub async fn read(
    client: &Client,
    namespace: &str,
    specs: &[References],
) -> Written<BTreeMap<Source, Found>> {
    let mut found = BTreeMap::new();
    let mut rooms = vec![HELD; specs.len()];
    let sources: BTreeSet<&Source> = specs.iter().flat_map(BTreeMap::keys).collect();
    let reads = sources.iter();
    let reads: Vec<_> = reads
        .map(|source| read_one(client, namespace, source))
        .collect();
    let mut reads = stream::iter(reads).buffered(AT_ONCE);
    for source in sources {
        let Some(Some(mut read)) = reads.try_next().await? else {
            continue;
        };
        read.data.retain(|key, value| {
            let (size, mut fits) = (value.expose_secret().len(), false);
            for (references, room) in specs.iter().zip(&mut rooms) {
                let refers = references
                    .get(source)
                    .is_some_and(|keys| keys.contains(key));
                if refers && size <= *room {
                    *room -= size;
                    fits = true;
                }
            }
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
