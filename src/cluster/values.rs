//! Values that specs refer to: read by name, in the namespace of the one who refers.

use super::call::{Written, find};
use crate::model::values::{MOST, References, Source, Values};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use kube::{Client, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, BTreeSet};

/// Most bytes that are held for one spec: more than all that it can use.
const HELD: usize = 2 * MOST;

/// Reads what specs refer to, of every object that exists. What is beyond all that a spec can use is left out; what one of
/// them refers to takes no room from another.
pub async fn read(client: &Client, namespace: &str, specs: &[References]) -> Written<Values> {
    let mut values = Values::new();
    let mut rooms = vec![HELD; specs.len()];
    let sources: BTreeSet<&Source> = specs.iter().flat_map(BTreeMap::keys).collect();
    for source in sources {
        if let Some((_, mut data)) = read_one(client, namespace, source).await? {
            data.retain(|key, value| {
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
            values.insert(source.clone(), data);
        }
    }
    Ok(values)
}

/// The version and the data of one source. `None` where it does not exist.
pub async fn read_one(
    client: &Client,
    namespace: &str,
    source: &Source,
) -> Written<Option<(String, BTreeMap<String, SecretString>)>> {
    match source {
        Source::Secret(name) => {
            let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
            let Some(secret) = find("reading a referenced Secret", api.get_opt(name)).await? else {
                return Ok(None);
            };
            let version = secret.resource_version().unwrap_or_default();
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok().map(SecretString::from);
            let data = secret.data.unwrap_or_default();
            Ok(Some((
                version,
                data.into_iter()
                    .filter_map(|(key, value)| Some((key, text(value.0)?)))
                    .collect(),
            )))
        }
        Source::ConfigMap(name) => {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
            let Some(map) = find("reading a referenced ConfigMap", api.get_opt(name)).await? else {
                return Ok(None);
            };
            let version = map.resource_version().unwrap_or_default();
            let data = map.data.unwrap_or_default();
            Ok(Some((
                version,
                data.into_iter()
                    .map(|(key, value)| (key, SecretString::from(value)))
                    .collect(),
            )))
        }
    }
}
