//! What people are told in passing: events, each in its own words; and the audit log of what was changed outside.

use std::collections::BTreeMap;
use std::fs;

use reqwest::Method;
use serde_json::{Value, json};
use world::eventually;

use crate::support::{SOON, Scene, holds, id, is_ready, says};

/// Waits until an event about an object has all of these words.
async fn hears(object: &world::Object<'_>, words: &[&str]) -> String {
    eventually(&format!("an event says {words:?}"), SOON, async || {
        let mut events = object.events().await?.into_iter();
        Ok(events.find(|event| words.iter().all(|word| event.contains(word))))
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_drift_is_told_in_its_own_words() {
    let scene = Scene::new("words").await;
    let env = json!({"env": [{"name": "LEVEL", "value": "info"}, {"name": "MODE", "value": "a"}]});
    scene.template("t", json!({}), env).await;
    let instance = scene.instance("a", "t", json!({})).await;
    let first = is_ready(&instance).await;
    scene.listings(2).await;
    let service = id(&first, "service");
    let edit = async |name: &str| {
        let path = format!("/railway/services/{service}/variables/{name}");
        let value = json!({"value": "x", "deploys": false});
        scene.by_hand(Method::PUT, &path, value).await;
    };
    let mended = async || {
        is_ready(&instance).await;
        says(&instance, "Synced", "True", "Ready").await;
        scene.listings(2).await;
    };
    edit("LEVEL").await;
    hears(&instance, &["Drifted (1)", "variable LEVEL"]).await;
    mended().await;
    edit("MODE").await;
    hears(&instance, &["Drifted (1)", "variable MODE"]).await;
    mended().await;
    // The same again is no other event.
    edit("LEVEL").await;
    hears(&instance, &["Drifted (2)", "variable LEVEL"]).await;
    mended().await;
    let path = format!("/railway/domains/{}/delete", id(&first, "domain"));
    scene.by_hand(Method::POST, &path, Value::Null).await;
    hears(&instance, &["Drifted (1)", "made again", "domain"]).await;
    let url = |object: &kube::api::DynamicObject| {
        let url = object.data["status"]["url"].as_str();
        url.unwrap_or_default().to_owned()
    };
    let old = url(&first);
    let moved = instance.wait_until("it has another address", SOON, |object| {
        !url(object).is_empty() && url(object) != old && holds(object, "Ready")
    });
    let new = url(&moved.await.unwrap());
    hears(&instance, &["AddressChanged", &old, &new]).await;
}

/// The audit log's lines about an object's namespace, or about an account: each line's fields.
fn audited(scene: &Scene<'_>, about: &str) -> Vec<BTreeMap<String, String>> {
    let log = fs::read_to_string(scene.world.controller().unwrap().log()).unwrap();
    let lines = log
        .lines()
        .filter(|line| line.contains("yardmaster::audit"));
    let of = lines.filter(|line| line.contains(about));
    let mut all = Vec::new();
    for line in of {
        let mut fields = BTreeMap::new();
        for name in [
            "operation",
            "provider",
            "outcome",
            "slot",
            "price",
            "account",
        ] {
            let begin = format!(" {name}=");
            let rest = line
                .split_once(&begin)
                .unwrap_or_else(|| panic!("{name} in {line}"))
                .1;
            let value = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next(),
                // A price has words in it.
                None if name == "price" => rest.split(" outcome=").next(),
                None => rest.split(' ').next(),
            };
            fields.insert(name.to_owned(), value.unwrap_or_default().trim().to_owned());
        }
        all.push(fields);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_outside_is_one_line_of_the_audit_log() {
    let scene = Scene::new("audited").await;
    scene.tenant.tool_accounts().await.unwrap();
    let tools = scene.tenant.six_tools();
    let volume = json!({"volume": {"mountPath": "/data"}});
    scene.template("t", volume, json!({"tools": tools})).await;
    let instance = scene.instance("a", "t", json!({})).await;
    is_ready(&instance).await;
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();

    let about = format!("namespace={} ", scene.tenant.namespace());
    let lines = audited(&scene, &about);
    let at_railway = lines.iter().filter(|line| line["provider"] == "railway");
    let mut told: Vec<&str> = at_railway
        .map(|line| {
            assert_eq!(line["outcome"], "done", "{line:?}");
            match (line["operation"].as_str(), line["slot"].as_str()) {
                ("CreateProject", _) => "projectCreate",
                ("CreateService", _) => "serviceCreate",
                ("CreateVolume", _) => "volumeCreate",
                ("CreateDomain", _) => "serviceDomainCreate",
                ("Configure", _) => "environmentPatchCommit",
                ("Delete", "project") => "projectDelete",
                other => panic!("{other:?}"),
            }
        })
        .collect();
    let mut done = scene.mutations(scene.start());
    told.sort_unstable();
    done.sort_unstable();
    assert_eq!(told, done);

    // A change at a provider of tools may be several requests; none is without its line.
    let exchanges = scene.tenant.exchanges(scene.start().journal()).unwrap();
    let mut changes: BTreeMap<String, usize> = BTreeMap::new();
    for one in exchanges.iter().filter(|one| one.provider != "railway") {
        if ["POST", "PUT", "PATCH", "DELETE"].contains(&one.method.as_str()) {
            *changes.entry(one.provider.clone()).or_default() += 1;
        }
    }
    let mut lines_of: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines.iter().filter(|line| line["provider"] != "railway") {
        assert!(line["outcome"] == "done", "{line:?}");
        *lines_of.entry(line["provider"].clone()).or_default() += 1;
    }
    lines_of.remove("wallet");
    assert_eq!(lines_of.len(), 5, "{lines_of:?}");
    for (provider, changes) in changes {
        let told = lines_of.get(&provider).copied().unwrap_or_default();
        assert!(
            (2..=changes).contains(&told),
            "{provider}: {told} lines, {changes} changes"
        );
    }
    let price = |slot: &str, operation: &str| {
        let line = lines
            .iter()
            .find(|line| line["slot"] == slot && line["operation"] == operation);
        line.unwrap()["price"].clone()
    };
    assert!(
        price("tool/llm", "MakeTool").starts_with("limitUSD="),
        "{lines:?}"
    );
    assert!(
        price("tool/phone", "DeleteTool").ends_with("USD a month"),
        "{lines:?}"
    );
}
