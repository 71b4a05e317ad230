//! Values that specs refer to: read by name, in the namespace of the one who refers.

use super::call::{Written, find};
use crate::model::values::{MOST, References, Source, Values};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use kube::{Client, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;

/// Most bytes that are held at once: more than all that can be used (`MOST` for a template and its instance each).
const HELD: usize = 4 * MOST;

/// Reads what is referred to, of every object that exists. What is beyond all that can be used is left out.
pub async fn read(client: &Client, namespace: &str, references: &References) -> Written<Values> {
    let mut values = Values::new();
    let mut room = HELD;
    for (source, keys) in references {
        if let Some((_, mut data)) = read_one(client, namespace, source).await? {
            data.retain(|key, value| {
                let size = value.expose_secret().len();
                let fits = keys.contains(key) && size <= room;
                room -= if fits { size } else { 0 };
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
