//! What instances left behind on purpose, recorded before it is let go: ConfigMaps in the operator's namespace.
//!
//! What holds: a record is made once and never changed; whoever wants the sweep to take back what it speaks of deletes it.
//! It is kept in Kubernetes and not at the provider, because what is abandoned is abandoned as a rule for want of an answer
//! from there, and because not every provider lets a resource be renamed. Deliberately absent: its use (`engine::sweep`).

use super::call::{ClusterError, Written, call};
use crate::api::money::Money;
use crate::api::{ABANDON_ANNOTATION, AgentInstance, Seen, Slot};
use crate::model::left::{LeftThing, counts};
use crate::model::marker::{named, stem_of};
use crate::model::monthly;
use crate::model::values::hex;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Label of the records.
const LABEL: &str = "yardmaster.dev/left-behind";

/// Of a record, how the names of tools' resources begin.
const STEMS: &str = "names";

/// Of a record, before a slot: what it may cost a month.
const USD: &str = "usd.";

/// Objects of one page of a list.
const PAGE: u32 = 100;

/// A record before it is made.
pub struct LeftBehindRecord {
    /// The ConfigMap's name.
    pub name: String,
    data: BTreeMap<String, String>,
}

/// What an instance leaves behind.
pub enum Left<'a> {
    /// The slot that its abandon annotation names.
    GivenUp,
    /// All that its ledger names.
    All,
    /// All that it had as these identities, which it never goes on as.
    Former {
        /// As whom.
        identities: &'a BTreeSet<String>,
        /// How the names of its tools' resources may begin: its ledger may have been lost.
        stems: BTreeSet<String>,
        /// Whether it lives on, as another.
        lives: bool,
    },
}

/// What an instance as it is now leaves behind. `None`: nothing.
pub fn record(instance: &AgentInstance, left: &Left<'_>) -> Option<LeftBehindRecord> {
    // The record's own name: who may edit an object chooses its identity, and must not take another's record.
    let uid = instance.uid().unwrap_or_default();
    let given_up = instance
        .annotations()
        .get(ABANDON_ANNOTATION)
        .filter(|_| matches!(left, Left::GivenUp));
    let mut data = BTreeMap::new();
    if let Left::Former {
        identities, stems, ..
    } = left
    {
        let spaced = |words: &BTreeSet<String>| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            words.join(" ")
        };
        data.insert("uid".to_owned(), spaced(identities));
        data.insert(STEMS.to_owned(), spaced(stems));
    }
    let entries = instance.status.iter().flat_map(|status| &status.external);
    for entry in entries.filter(|entry| !entry.is_blank()) {
        let slot = entry.slot.to_string();
        if matches!(left, Left::GivenUp) && given_up != Some(&slot) {
            continue;
        }
        // A project's marker names the UID, and so a late second one of the same instance is spoken of, too.
        if entry.slot == Slot::Project {
            data.entry("uid".to_owned())
                .or_insert_with(|| instance.identity());
        }
        let stem = entry.slot.as_tool().and_then(|_| stem_of(&entry.key));
        let words = [
            entry.provider.as_str(),
            &entry.account,
            entry.id.as_deref().unwrap_or("-"),
            &entry.key,
            // Of a ledger that was lost the name may be of another life.
            stem.filter(|_| given_up.is_none()).unwrap_or("-"),
        ];
        let word = slot.replace('/', ".");
        let usd = instance
            .status
            .as_ref()
            .map(|status| monthly::committed(entry, status));
        let usd = usd.filter(|_| counts(entry.slot)).unwrap_or_default();
        if usd > Money::ZERO {
            data.insert(format!("{USD}{word}"), usd.to_string());
        }
        data.insert(word, words.join(" "));
    }
    if data.is_empty() {
        return None;
    }
    let whose = [
        instance.namespace().unwrap_or_default(),
        instance.name_any(),
    ];
    data.insert("instance".to_owned(), whose.join("/"));
    Some(LeftBehindRecord {
        name: match (given_up, left) {
            (Some(slot), _) => format!(
                "left-behind-{uid}-{}-{}",
                slot.replace('/', "."),
                digest(&data)
            ),
            (None, Left::Former { lives: true, .. }) => format!("left-behind-{uid}-former"),
            (None, _) => format!("left-behind-{uid}"),
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
    hex(&hash.finalize()[..4])
}

/// Makes a record. Where there is one already, it stays.
pub async fn keep(client: &Client, namespace: &str, record: LeftBehindRecord) -> Written<()> {
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

/// All records.
#[derive(Debug, Default)]
pub struct LeftBehindRecords {
    /// Ids and names of resources, how such names begin, and objects as [`named`] words them.
    pub words: BTreeSet<String>,
    /// What takes a place in its account.
    pub things: HashSet<LeftThing>,
}

impl LeftBehindRecord {
    /// What of it takes a place in its account.
    pub fn things(&self) -> impl Iterator<Item = LeftThing> {
        things(&self.data)
    }
}

fn things(data: &BTreeMap<String, String>) -> impl Iterator<Item = LeftThing> {
    let whose = data.get("instance").map_or("", String::as_str);
    let namespace = whose.split('/').next().unwrap_or_default();
    data.iter().filter_map(move |(slot, words)| {
        let usd = data.get(&format!("{USD}{slot}"));
        let usd = usd.and_then(|usd| usd.parse().ok()).unwrap_or_default();
        let slot: Slot = slot.replace('.', "/").try_into().ok()?;
        let mut words = words.split(' ').skip(1).map(str::to_owned);
        let (account, id, key) = (words.next()?, words.next()?, words.next()?);
        counts(slot).then(|| LeftThing {
            account,
            namespace: namespace.to_owned(),
            id: Some(id).filter(|id| id != "-"),
            key,
            usd,
        })
    })
}

/// Reads all records, to the last page.
pub async fn read(client: &Client, namespace: &str) -> Written<LeftBehindRecords> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let mut records = LeftBehindRecords::default();
    let mut params = ListParams::default().labels(LABEL).limit(PAGE);
    loop {
        let page = call("reading what was left behind", api.list(&params)).await?;
        for map in page.items {
            let data = map.data.unwrap_or_default();
            records.things.extend(things(&data));
            let words = &mut records.words;
            let whose = data.get("instance").cloned().unwrap_or_default();
            let (namespace, name) = whose.split_once('/').unwrap_or_default();
            for (key, value) in data {
                match key.as_str() {
                    "instance" => {}
                    "uid" => words.extend(value.split(' ').map(|uid| named(uid, namespace, name))),
                    STEMS => words.extend(value.split(' ').map(str::to_owned)),
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
            None => return Ok(records),
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn instance(status: &serde_json::Value) -> AgentInstance {
        let object = json!({
            "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentInstance",
            "metadata": {"namespace": "team-a", "name": "ada", "uid": "y",
                "annotations": {"yardmaster.dev/identity": "x", ABANDON_ANNOTATION: "tool/llm"}},
            "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": "main"}}, "status": status,
        });
        serde_json::from_value(object).unwrap()
    }

    fn entry(slot: &str, key: &str) -> serde_json::Value {
        json!({"origin": "Made", "slot": slot, "provider": "p", "account": "main", "state": "Exists", "key": key, "id": format!("id-{slot}"),
            "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"})
    }

    #[test]
    fn each_way_of_leaving_something_behind_has_a_record_of_its_own() {
        let all = instance(&json!({"external": [
            entry("project", "ym-p"), entry("tool/llm", "ym-i-aaaaaaaabbbccccc"), entry("tool/search", "ym-i-ddddddddbbbccccc"),
        ]}));
        let given_up = record(&all, &Left::GivenUp).unwrap();
        assert!(
            given_up.name.starts_with("left-behind-y-tool.llm-"),
            "{}",
            given_up.name
        );
        // It is made again under another name of the same slot.
        assert_eq!(
            given_up.data["tool.llm"],
            "p main id-tool/llm ym-i-aaaaaaaabbbccccc -"
        );
        assert!(!given_up.data.contains_key("uid"));

        let retained = record(&all, &Left::All).unwrap();
        assert_eq!(retained.name, "left-behind-y");
        assert_eq!(retained.data["uid"], "x");
        let words = "p main id-tool/search ym-i-ddddddddbbbccccc ym-i-dddddddd";
        assert_eq!(retained.data["tool.search"], words);

        // Nothing is known but as whom it was.
        let nothing = instance(&json!({}));
        assert!(record(&nothing, &Left::All).is_none());
        let identities = BTreeSet::from(["x".to_owned()]);
        let stems = || BTreeSet::from(["ym-i-aaaaaaaa".to_owned()]);
        let former = |lives| Left::Former {
            identities: &identities,
            stems: stems(),
            lives,
        };
        let deleted = record(&nothing, &former(false)).unwrap();
        assert_eq!(deleted.name, "left-behind-y");
        assert_eq!(
            (deleted.data["uid"].as_str(), deleted.data[STEMS].as_str()),
            ("x", "ym-i-aaaaaaaa")
        );
        // It may retain what it has as another when it goes.
        assert_eq!(
            record(&nothing, &former(true)).unwrap().name,
            "left-behind-y-former"
        );
    }
}
