//! What instances left behind on purpose, recorded before it is let go: ConfigMaps in the operator's namespace.
//!
//! What holds: a record is made once and never changed; whoever wants the sweep to take back what it speaks of deletes it.
//! It is kept in Kubernetes and not at the provider, because what is abandoned is abandoned as a rule for want of an answer
//! from there, and because not every provider lets a resource be renamed. Deliberately absent: its use (`engine::sweep`).

use super::call::{ClusterError, Written, call};
use crate::api::instance::DeletionPolicy;
use crate::api::{ABANDON_ANNOTATION, AgentInstance, Seen, Slot};
use crate::model::marker::named;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Label of the records.
const LABEL: &str = "yardmaster.dev/left-behind";

/// Objects of one page of a list.
const PAGE: u32 = 500;

/// A record before it is made.
pub struct Record {
    /// The ConfigMap's name.
    pub name: String,
    data: BTreeMap<String, String>,
}

/// What an instance as it is now may leave behind: all that its ledger names where it is being deleted and retains, or was
/// restored and never taken over (`restored`: as whom), else what its abandon annotation names.
pub fn record(instance: &AgentInstance, restored: &BTreeSet<String>) -> Option<Record> {
    // The record's own name: who may edit an object chooses its identity, and must not take another's record.
    let uid = instance.uid().unwrap_or_default();
    let deleting = instance.metadata.deletion_timestamp.is_some();
    let untouched = deleting && !restored.is_empty();
    let retains = untouched || deleting && instance.spec.deletion_policy == DeletionPolicy::Retain;
    let given_up = instance.annotations().get(ABANDON_ANNOTATION);
    let mut data = BTreeMap::new();
    if untouched {
        let all: Vec<&str> = restored.iter().map(String::as_str).collect();
        data.insert("uid".to_owned(), all.join(" "));
    }
    let entries = instance.status.iter().flat_map(|status| &status.external);
    for entry in entries.filter(|entry| !entry.is_blank()) {
        let slot = entry.slot.to_string();
        if !retains && given_up != Some(&slot) {
            continue;
        }
        // A project's marker names the UID, and so a late second one of the same instance is spoken of, too.
        if entry.slot == Slot::Project && !untouched {
            data.insert("uid".to_owned(), instance.identity());
        }
        let words = [
            entry.provider.as_str(),
            &entry.account,
            entry.id.as_deref().unwrap_or("-"),
            &entry.key,
        ];
        data.insert(slot.replace('/', "."), words.join(" "));
    }
    if data.is_empty() {
        return None;
    }
    let whose = [
        instance.namespace().unwrap_or_default(),
        instance.name_any(),
    ];
    data.insert("instance".to_owned(), whose.join("/"));
    Some(Record {
        name: match given_up.filter(|_| !retains) {
            Some(slot) => format!(
                "left-behind-{uid}-{}-{}",
                slot.replace('/', "."),
                digest(&data)
            ),
            None => format!("left-behind-{uid}"),
        },
        data,
    })
}

/// Tells records of one slot apart: what is given up, made again and given up again is another thing.
fn digest(data: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for (key, value) in data {
        hash.update(format!("{key}={value}\n"));
    }
    let digest = hash.finalize();
    digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Makes a record. Where there is one already, it stays.
pub async fn keep(client: &Client, namespace: &str, record: Record) -> Written<()> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(record.name),
            labels: Some(BTreeMap::from([(LABEL.to_owned(), "true".to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(record.data),
        ..ConfigMap::default()
    };
    match call(
        "recording what is left behind",
        api.create(&PostParams::default(), &map),
    )
    .await
    {
        Ok(_) | Err(ClusterError::Stale { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Of all records: ids and names of resources, and objects as [`named`] words them.
pub async fn read(client: &Client, namespace: &str) -> Written<BTreeSet<String>> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let mut words = BTreeSet::new();
    let mut params = ListParams::default().labels(LABEL).limit(PAGE);
    loop {
        let page = call("reading what was left behind", api.list(&params)).await?;
        for map in page.items {
            let data = map.data.unwrap_or_default();
            let whose = data.get("instance").cloned().unwrap_or_default();
            let (namespace, name) = whose.split_once('/').unwrap_or_default();
            for (key, value) in data {
                match key.as_str() {
                    "instance" => {}
                    "uid" => words.extend(value.split(' ').map(|uid| named(uid, namespace, name))),
                    // A provider's and an account's name can be no resource's.
                    _ => words.extend(
                        value
                            .split(' ')
                            .skip(2)
                            .filter(|word| !matches!(*word, "" | "-"))
                            .map(str::to_owned),
                    ),
                }
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            None => return Ok(words),
            Some(token) => params = params.continue_token(&token),
        }
    }
}

/// UIDs of what was left behind under an instance's name.
pub fn under_name(words: &BTreeSet<String>, instance: &AgentInstance) -> BTreeSet<String> {
    let whose = named(
        "",
        &instance.namespace().unwrap_or_default(),
        &instance.name_any(),
    );
    let uids = words.iter().filter_map(|word| word.strip_suffix(&whose));
    uids.map(str::to_owned).collect()
}

/// Every instance of the cluster, from the API server itself and to the last page, those that cannot be read among them.
pub async fn instances(client: &Client) -> Written<Vec<Seen<AgentInstance>>> {
    let api: Api<Seen<AgentInstance>> = Api::all(client.clone());
    let mut all = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = call("listing all instances", api.list(&params)).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            None => return Ok(all),
            Some(token) => params = params.continue_token(&token),
        }
    }
}
