//! What one tenant may try against the owner of an account and against another tenant in it (`manifests/tries.yaml`), with the rights that
//! the chart gives whoever may edit a namespace.
//!
//! Holds: each try is refused, told or bounded; the other tenant's agent and what it has stay as they were, nothing that the
//! tenant can read names any of that, and when the tenant's objects are deleted nothing of them is left.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::DynamicObject;
use reqwest::Method;
use serde_json::{Value, json};
use world::{condition, eventually};

use crate::manifests::grown;
use crate::support::{IMAGE, SOON, Scene, id, is_ready, lays_down, list, manifest, merged, texts};
use crate::toolset::equipped;

const TRIES: &str = include_str!("manifests/tries.yaml");
const PROVIDERS: [&str; 5] = ["openrouter", "exa", "agentmail", "telnyx", "bankr"];

/// The tenant who tries.
struct Mallory<'a> {
    scene: &'a Scene<'static>,
    namespace: String,
}

impl Mallory<'_> {
    /// Whether kubectl did it, and all that it said.
    async fn kubectl(&self, args: &[&str], input: &str) -> (bool, String) {
        let whom = format!("--as=system:serviceaccount:{}:mallory", self.namespace);
        let own = ["-n", &self.namespace, whom.as_str()];
        // A namespace of its own in the arguments counts: it comes later.
        let all = [&own[..], args].concat();
        let output = self.scene.world.kubectl_with(&all, input).await.unwrap();
        (output.status.success(), output.stdout + &output.stderr)
    }

    async fn admits(&self) {
        let (scene, name) = (self.scene, &self.namespace);
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        scene
            .world
            .cluster()
            .apply_one(namespace, None)
            .await
            .unwrap();
        let bound = format!("--serviceaccount={name}:mallory");
        for args in [
            &["create", "serviceaccount", "mallory"][..],
            &[
                "create",
                "role",
                "own",
                "--verb=*",
                "--resource=secrets,configmaps,events,agentinstances.yardmaster.dev,agenttemplates.yardmaster.dev,agentclaims.yardmaster.dev,agentpools.yardmaster.dev",
            ],
            &["create", "rolebinding", "own", "--role=own", &bound],
            &[
                "create",
                "rolebinding",
                "edit",
                "--clusterrole=yardmaster-edit",
                &bound,
            ],
        ] {
            let args = [&["-n", name.as_str()][..], args].concat();
            let output = scene.world.kubectl_with(&args, "").await.unwrap();
            assert!(output.status.success(), "{args:?}: {}", output.stderr);
        }
        eventually("the rights count", SOON, async || {
            Ok(self
                .kubectl(&["get", "agi,agt,secrets,events"], "")
                .await
                .0
                .then_some(()))
        })
        .await
        .unwrap();
    }

    /// Makes an instance and its template, or whatever else the row is; says what was refused.
    async fn applies(&self, name: &str, row: &Value) -> (bool, String) {
        if let Some(kind) = row["kind"].as_str() {
            let object = manifest(kind, name, row["spec"].clone()).to_string();
            return self.kubectl(&["create", "-f", "-"], &object).await;
        }
        let part = |key: &str| row.get(key).cloned().unwrap_or_else(|| json!({}));
        let runtime = merged(json!({"image": IMAGE, "port": 8080}), part("runtime"));
        let tools = row.get("tools").cloned().unwrap_or_else(|| json!([]));
        let template = format!("t-{name}");
        let account = self.scene.tenant.account();
        let spec = json!({"templateRef": {"name": template}, "accountRef": {"name": account}});
        let object = |kind: &str, metadata: Value, spec: Value| json!({"apiVersion": "yardmaster.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
        let metadata = merged(json!({"name": name}), part("metadata"));
        let objects = [
            object(
                "AgentTemplate",
                json!({"name": template.chars().take(60).collect::<String>()}),
                json!({"runtime": runtime, "tools": tools}),
            ),
            object("AgentInstance", metadata, merged(spec, part("instance"))),
        ];
        for object in objects {
            let done = self
                .kubectl(&["create", "-f", "-"], &object.to_string())
                .await;
            if !done.0 {
                return done;
            }
        }
        (true, String::new())
    }
}

/// All that lives outside, by id.
async fn outside(scene: &Scene<'_>) -> BTreeMap<String, Value> {
    let all = scene.tenant.inventory().await.unwrap().resources;
    all.into_iter()
        .map(|one| {
            (
                format!("{}/{} {}", one.provider, one.kind, one.id),
                json!(one.monthly_usd),
            )
        })
        .collect()
}

/// The kinds of what is in one inventory and not in the other.
fn more(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    let new = after.keys().filter(|id| !before.contains_key(*id));
    let kind = |id: &String| id.split([' ', '/']).nth(1).unwrap_or_default().to_owned();
    let mut kinds: Vec<String> = new.map(kind).collect();
    kinds.sort();
    kinds
}

/// Her pool, and a claim that has its agent.
async fn hers_too(scene: &Scene<'_>) -> DynamicObject {
    let account = scene.tenant.account();
    let pool =
        json!({"replicas": 1, "templateRef": {"name": "hers"}, "accountRefs": [{"name": account}]});
    scene.apply(manifest("AgentPool", "hers", pool)).await;
    let claim =
        json!({"poolRef": {"name": "hers"}, "owner": "ada", "agent": {"instructions": "be hers"}});
    scene.apply(manifest("AgentClaim", "hers", claim)).await;
    let claim = scene.tenant.object("AgentClaim", "hers");
    let bound = claim.wait_condition("Ready", "True", SOON).await.unwrap();
    let pool = scene.tenant.object("AgentPool", "hers");
    let filled = pool.wait_until("another one is idle", SOON, |pool| {
        pool.data["status"]["idle"] == 1 && pool.data["status"]["claimed"] == 1
    });
    filled.await.unwrap();
    bound
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_gets_at_nothing_that_is_the_owners_or_anothers() {
    let scene = equipped("owner", |tools| {
        tools.retain(|tool| tool["type"] != "bankr" && tool["type"] != "wallet");
        let inbox = tools.iter_mut().find(|tool| tool["name"] == "inbox");
        inbox.unwrap()["username"] = json!("ada");
    })
    .await;
    let account = scene.tenant.account().to_owned();
    let mallory = Mallory {
        scene: &scene,
        namespace: format!("mallory-{account}"),
    };
    mallory.admits().await;
    let both = json!({"matchNames": [account, mallory.namespace]});
    let allowed = json!({"spec": {"allowedNamespaces": both, "retention": "Deny"}});
    lays_down(&scene.tenant.provider_account(), allowed.clone()).await;
    for provider in PROVIDERS {
        let name = format!("{account}-{provider}");
        let object = scene.world.object("ProviderAccount", None, &name);
        lays_down(&object, allowed.clone()).await;
    }
    scene.template("hers", json!({}), json!({})).await;
    let ada = scene.instance("ada", "t", json!({})).await;
    let hers = is_ready(&ada).await;
    let claim = hers_too(&scene).await;
    let made = json!({"name": "company-site", "workspace": scene.tenant.workspace()});
    let byhand = scene.by_hand(Method::POST, "/railway/projects", made).await;
    let others = Scene::new("others").await;
    let mine = json!({});
    assert!(mallory.applies("mine", &mine).await.0);
    is_ready(
        &scene
            .world
            .object("AgentInstance", Some(&mallory.namespace), "mine"),
    )
    .await;

    let words = [
        ("$account", account.clone()),
        ("$project", id(&hers, "project")),
        ("$uid", hers.metadata.uid.clone().unwrap()),
        ("$claim", claim.metadata.uid.clone().unwrap()),
        ("$byhand", byhand["id"].as_str().unwrap().to_owned()),
        ("$others", others.tenant.account().to_owned()),
        ("$victim", account.clone()),
    ];
    let before = outside(&scene).await;
    let table = words
        .iter()
        .fold(TRIES.to_owned(), |text, (word, is)| text.replace(word, is));
    let rows: Vec<Value> = serde_yaml_ng::from_str(&table).unwrap();
    assert!(rows.len() >= 60, "{}", rows.len());
    let mut wrong = Vec::new();
    let mut has = vec![];
    let mut tried = Vec::new();
    for (n, row) in rows.into_iter().map(grown).enumerate() {
        let what = row["what"].as_str().unwrap().to_owned();
        let run: Vec<String> = list(&row["run"])
            .iter()
            .map(|word| word.as_str().unwrap().to_owned())
            .collect();
        let name = row["name"]
            .as_str()
            .map_or_else(|| format!("try-{n}"), str::to_owned);
        let (done, said) = if run.is_empty() {
            mallory.applies(&name, &row).await
        } else {
            let args: Vec<&str> = run.iter().map(String::as_str).collect();
            let input = row.get("input").map_or_else(String::new, Value::to_string);
            mallory.kubectl(&args, &input).await
        };
        let refused = texts(&row["refused"]);
        let as_told = done == refused.is_empty() && refused.iter().all(|word| said.contains(word));
        if !as_told {
            wrong.push(format!("{what}: {said}"));
        } else if refused.is_empty() {
            has.extend(texts(&row["has"]));
            tried.push((what, name, row));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (what, name, row) in &tried {
        let of = row["kind"].as_str().unwrap_or("AgentInstance");
        let instance = scene.world.object(of, Some(&mallory.namespace), name);
        let [kind, reason, words @ ..] = &list(&row["says"])[..] else {
            is_ready(&instance).await;
            continue;
        };
        let (kind, reason) = (kind.as_str().unwrap(), reason.as_str().unwrap());
        let told = instance.wait_until(what, SOON, |object| {
            condition(object, kind).is_some_and(|found| {
                let message = found["message"].as_str().unwrap_or_default();
                let mut words = words.iter().filter_map(Value::as_str);
                found["reason"] == reason && words.all(|word| message.contains(word))
            })
        });
        if let Err(error) = told.await {
            wrong.push(format!("{what}: {error:#}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    scene.listings(2).await;
    // Each has what its row says, and nothing else is there.
    has.sort();
    assert_eq!(more(&before, &outside(&scene).await), has);
    assert_eq!(more(&outside(&scene).await, &before), [""; 0]);

    // Nothing that the tenant reads tells of the other.
    let (_, read) = mallory
        .kubectl(&["get", "agi,agt,agc,agp,events,secrets", "-o", "yaml"], "")
        .await;
    let secret: Vec<String> = list(&hers.data["status"]["external"])
        .iter()
        .filter_map(|entry| entry["id"].as_str().map(str::to_owned))
        .chain(
            list(&hers.data["status"]["tools"])
                .iter()
                .filter_map(|tool| tool["address"].as_str().map(str::to_owned)),
        )
        .collect();
    assert!(secret.len() > 6, "{secret:?}");
    let asked = [id(&hers, "project")];
    let seen: Vec<&String> = secret
        .iter()
        .filter(|word| !asked.contains(word) && read.contains(*word))
        .collect();
    assert_eq!(seen, Vec::<&String>::new());

    // Nor has it cost her anything.
    let kept = scene.tenant.object("AgentClaim", "hers");
    let kept = kept.get().await.unwrap();
    assert_eq!(kept.data["status"], claim.data["status"]);
    let tellings = scene.tenant.tellings().await.unwrap();
    assert_eq!(
        (tellings.len(), &tellings[0].claim),
        (1, &claim.metadata.uid)
    );
    let now = is_ready(&ada).await;
    assert_eq!(
        now.data["status"]["external"],
        hers.data["status"]["external"]
    );
    assert_eq!(
        now.data["status"]["deployment"],
        hers.data["status"]["deployment"]
    );
    let all = ["delete", "agc,agp,agi", "--all", "--wait=false"];
    let (done, said) = mallory.kubectl(&all, "").await;
    assert!(done, "{said}");
    eventually("all of it is gone", Duration::from_secs(120), async || {
        let left = outside(&scene).await;
        let mine = more(&left, &before);
        Ok((more(&before, &left).is_empty()
            && mine.iter().all(|kind| {
                ["project", "service", "domain", "deployment"].contains(&kind.as_str())
            }))
        .then_some(()))
    })
    .await
    .unwrap();
    is_ready(&ada).await;
    assert_eq!(
        id(&ada.get().await.unwrap(), "project"),
        id(&hers, "project")
    );
}
