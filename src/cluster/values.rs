//! Values that specs refer to: read by name, in the namespace of the one who refers.

use super::call::{Written, find};
use crate::model::values::{Source, Values};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use kube::{Client, ResourceExt};
use secrecy::SecretString;
use std::collections::BTreeMap;

/// Reads every source that exists.
pub async fn read(client: &Client, namespace: &str, sources: &[Source]) -> Written<Values> {
    let mut values = Values::new();
    for source in sources {
        if let Some((_, data)) = read_one(client, namespace, source).await? {
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
