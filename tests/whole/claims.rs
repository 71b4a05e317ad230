//! Pools keep agents idle, and claims take them: each exactly one, none twice, in order, whoever leads; and what goes with what.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};
use world::tellings::Telling;
use world::tellings::agents_of_two_claims;
use world::{Object, Options, World, condition, eventually, test_directory};

use crate::support::{SOON, Scene, holds, manifest, merged, says};

/// So long a pool of twenty may take here.
pub const LONG: Duration = Duration::from_secs(180);

impl<'w> Scene<'w> {
    /// A pool `p` of template `t`; `rest` is merged into the spec.
    pub async fn pool(&self, replicas: usize, rest: Value) -> Object<'w> {
        let account = self.tenant.account();
        let spec = json!({
            "replicas": replicas, "maxCreating": 20, "templateRef": {"name": "t"}, "accountRefs": [{"name": account}],
        });
        self.apply(manifest("AgentPool", "p", merged(spec, rest)))
            .await;
        self.tenant.object("AgentPool", "p")
    }

    pub async fn claim(&self, name: &str, rest: Value) -> Object<'w> {
        let agent = json!({"instructions": format!("be {name}")});
        let spec = merged(json!({"poolRef": {"name": "p"}, "agent": agent}), rest);
        self.apply(manifest("AgentClaim", name, spec)).await;
        self.tenant.object("AgentClaim", name)
    }

    /// Waits until so many agents are idle, no other one is on its way, and the pool says so.
    pub async fn fills(&self, pool: &Object<'_>, idle: usize) {
        let what = format!("{idle} agents are idle, and the pool says so");
        let filled = eventually(&what, LONG, async || {
            let agents = self.all("AgentInstance").await;
            let free = |one: &&DynamicObject| {
                one.data["spec"]["claimRef"].is_null() && !one.data["spec"]["poolRef"].is_null()
            };
            let free: Vec<&DynamicObject> = agents.iter().filter(free).collect();
            let ready = free.iter().filter(|one| holds(one, "Ready")).count();
            let status = &pool.get().await?.data["status"];
            let says = |field: &str| {
                status[field]
                    .as_u64()
                    .and_then(|count| usize::try_from(count).ok())
            };
            let counts = [
                Some(free.len()),
                Some(ready),
                says("idle"),
                says("replicas"),
            ];
            Ok((counts == [Some(idle); 4]).then_some(()))
        });
        filled.await.unwrap();
    }

    pub async fn all(&self, kind: &str) -> Vec<DynamicObject> {
        let api = self
            .world
            .cluster()
            .api(kind, Some(self.tenant.namespace()))
            .await
            .unwrap();
        api.list(&ListParams::default()).await.unwrap().items
    }
}

pub async fn ready(claim: &Object<'_>) -> DynamicObject {
    claim.wait_condition("Ready", "True", SOON).await.unwrap()
}

/// What agents were told for a claim.
pub async fn told(scene: &Scene<'_>, claim: &DynamicObject) -> Vec<Telling> {
    let mut all = scene.tenant.tellings().await.unwrap();
    all.retain(|one| one.claim == claim.metadata.uid);
    all
}

pub fn agent_of(claim: &DynamicObject) -> String {
    let named = claim.data["status"]["instanceRef"]["name"].as_str();
    named.unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_fills_scales_and_replaces_what_a_claim_takes() {
    let scene = Scene::new("pool").await;
    // Claims may come first.
    let early = scene.claim("early", json!({})).await;
    says(&early, "Bound", "False", "PoolNotFound").await;
    let pool = scene.pool(2, json!({})).await;
    says(&pool, "Stalled", "True", "TemplateNotFound").await;
    scene.template("t", json!({}), json!({})).await;
    let early = ready(&early).await;
    scene.fills(&pool, 2).await;
    assert_eq!(scene.projects().await, 3);
    says(&pool, "Ready", "True", "Filled").await;

    // kubectl scale, as what scales by itself does.
    let namespace = scene.tenant.namespace();
    let scale = async |replicas: &str| {
        let to = format!("--replicas={replicas}");
        let args = ["-n", namespace, "scale", "agentpool", "p", to.as_str()];
        scene.world.kubectl(&args).await.unwrap().ok().unwrap();
    };
    scale("4").await;
    scene.fills(&pool, 4).await;
    scale("1").await;
    scene.fills(&pool, 1).await;
    let one_claimed = scene
        .tenant
        .wait_inventory("two agents are left", SOON, |inventory| {
            inventory.kind("project").count() == 2
        });
    one_claimed.await.unwrap();

    let mark = scene.mark();
    let claim = scene
        .claim(
            "ada",
            json!({"agent": {"name": "Ada", "joinUrl": "https://chat.example.com/join/1"}}),
        )
        .await;
    let bound = ready(&claim).await;
    assert_ne!(agent_of(&bound), agent_of(&early));
    // Taken, bound, handed over, ready; its agent tells later which generation it has seen.
    let counts = || {
        let writes = scene.writes(mark);
        let about = |resource: &str, name: &str| {
            let own = writes
                .iter()
                .filter(|one| one.resource == resource && one.name == name && one.code < 300);
            own.filter(|one| resource == "agentclaims" || one.subresource != "status")
                .count()
        };
        (
            about("agentclaims", "ada"),
            about("agentinstances", &agent_of(&bound)),
        )
    };
    // What a watch shows may be in the audit log a moment later.
    let logged = eventually("all four writes are in the audit log", SOON, async || {
        Ok((counts() >= (2, 2)).then_some(()))
    });
    logged.await.unwrap();
    scene.fills(&pool, 1).await;
    assert_eq!(counts(), (2, 2));
    let instance = scene.tenant.instance(&agent_of(&bound));
    let instance = instance.get().await.unwrap();
    assert_eq!(instance.data["status"]["url"], bound.data["status"]["url"]);
    assert_eq!(instance.data["spec"]["claimRef"]["name"], "ada");
    assert!(instance.data["spec"]["claimRef"]["handedOverAt"].is_string());
    assert_eq!(bound.data["status"]["result"]["status"], "joined");
    let mine: Vec<_> = scene.tenant.tellings().await.unwrap();
    let mine: Vec<_> = mine
        .iter()
        .filter(|one| one.claim == bound.metadata.uid)
        .collect();
    assert_eq!(mine.len(), 1, "told exactly once: {mine:#?}");
    assert_eq!(mine[0].agent_name.as_deref(), Some("Ada"));
    assert_eq!(mine[0].instructions.as_deref(), Some("be ada"));
    assert!(mine[0].is_taken());
    let join = world::tellings::shown("https://chat.example.com/join/1");
    assert_eq!(mine[0].join_url_hash.as_deref(), Some(join.as_str()));

    // Deleted by hand, an agent is missed and not silently replaced.
    let missed = scene.tenant.object("AgentClaim", "early");
    scene
        .tenant
        .instance(&agent_of(&early))
        .delete()
        .await
        .unwrap();
    says(&missed, "Stalled", "True", "AgentLost").await;
    let missed = missed.get().await.unwrap();
    assert_eq!(agent_of(&missed), agent_of(&early));

    // With its claim an agent goes, and nothing of it is left.
    claim.delete().await.unwrap();
    scene
        .tenant
        .instance(&agent_of(&bound))
        .wait_gone(SOON)
        .await
        .unwrap();
    scene.fills(&pool, 1).await;
    assert_eq!(scene.projects().await, 1);
    assert_eq!(
        agents_of_two_claims(&scene.tenant.tellings().await.unwrap()),
        [""; 0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_deleted_leaves_claimed_agents_and_tells_who_waits() {
    let scene = Scene::new("leaves").await;
    scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(2, json!({})).await;
    scene.fills(&pool, 2).await;
    let retain = json!({"releasePolicy": "Retain"});
    let (kept, plain) = (
        scene.claim("kept", retain).await,
        scene.claim("plain", json!({})).await,
    );
    let (kept_by, plain_by) = (
        agent_of(&ready(&kept).await),
        agent_of(&ready(&plain).await),
    );
    pool.delete().await.unwrap();
    let waits = scene.claim("waits", json!({})).await;
    pool.wait_gone(LONG).await.unwrap();
    says(&waits, "Bound", "False", "PoolNotFound").await;
    let names: BTreeSet<String> = scene
        .all("AgentInstance")
        .await
        .into_iter()
        .filter_map(|one| one.metadata.name)
        .collect();
    assert_eq!(names, BTreeSet::from([kept_by.clone(), plain_by.clone()]));
    // What is retained stays when its claim goes, and is never idle again.
    for claim in [&kept, &plain] {
        claim.delete().await.unwrap();
    }
    scene
        .tenant
        .instance(&plain_by)
        .wait_gone(SOON)
        .await
        .unwrap();
    let pool = scene.pool(0, json!({})).await;
    let told = pool.wait_until("it counts the retained one as claimed", SOON, |pool| {
        pool.data["status"]["claimed"] == 1
    });
    told.await.unwrap();
    says(&waits, "Bound", "False", "NoAgentFree").await;
    let retained = scene.tenant.instance(&kept_by);
    assert!(
        retained
            .get()
            .await
            .unwrap()
            .metadata
            .owner_references
            .is_none()
    );
    retained.delete().await.unwrap();
    retained.wait_gone(SOON).await.unwrap();
    assert_eq!(scene.projects().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_claim_is_for_has_its_time() {
    let scene = Scene::new("times").await;
    scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(0, json!({})).await;
    let late = scene.claim("late", json!({"bindDeadline": "2s"})).await;
    let message = says(&late, "Stalled", "True", "DeadlineExceeded").await;
    assert!(message.contains("bindDeadline"), "{message}");
    let short = scene.claim("short", json!({"expiresAfter": "4s"})).await;
    let scale = json!({"spec": {"replicas": 1}});
    pool.patch(scale).await.unwrap();
    let bound = ready(&short).await;
    says(&short, "Expired", "True", "Expired").await;
    scene
        .tenant
        .instance(&agent_of(&bound))
        .wait_gone(SOON)
        .await
        .unwrap();
    scene.fills(&pool, 1).await;
    // One that was late is out of the line, and one that expired gets no other.
    for claim in [&late, &short] {
        let claim = claim.get().await.unwrap();
        assert!(condition(&claim, "Bound").is_some_and(|said| said["status"] == "False"));
    }
    assert_eq!(scene.projects().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_cannot_be_told_is_replaced_and_one_that_refuses_is_not() {
    let scene = Scene::new("untold").await;
    scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(2, json!({})).await;
    scene.fills(&pool, 2).await;
    // It never answers, and so may have heard: it is deleted, and seen to be gone, before another one is told.
    let instances = scene.all("AgentInstance").await;
    let newest = instances.iter().max_by_key(|one| {
        (
            one.metadata.creation_timestamp.clone().map(|at| at.0),
            std::cmp::Reverse(one.metadata.name.clone()),
        )
    });
    let newest = newest.unwrap();
    let host = newest.data["status"]["url"]
        .as_str()
        .unwrap()
        .trim_start_matches("https://")
        .to_owned();
    let fault = json!({"provider": "agent", "operation": "POST /pool/provision", "contains": host, "times": 0, "effect": "reset_before"});
    let fault = scene.world.outside().post_fault(fault).await.unwrap();
    let claim = scene.claim("c", json!({"provisionDeadline": "5s"})).await;
    let bound = ready(&claim).await;
    scene.end_fault(&fault).await;
    let rejected = &bound.data["status"]["rejected"];
    assert_eq!(
        rejected[0]["name"].as_str(),
        newest.metadata.name.as_deref()
    );
    assert_eq!(rejected.as_array().unwrap().len(), 1);
    scene
        .tenant
        .instance(rejected[0]["name"].as_str().unwrap())
        .wait_gone(SOON)
        .await
        .unwrap();
    scene.fills(&pool, 2).await;

    for instance in scene.all("AgentInstance").await {
        let host = instance.data["status"]["url"]
            .as_str()
            .unwrap()
            .trim_start_matches("https://")
            .to_owned();
        let nature = Some(json!({"nature": "rejects-claim"}));
        let path = format!("/agents/{host}");
        scene
            .world
            .outside()
            .call(reqwest::Method::PUT, &path, nature)
            .await
            .unwrap();
    }
    let refused = scene.claim("refused", json!({})).await;
    let message = says(&refused, "Stalled", "True", "Refused").await;
    assert!(message.contains("this agent will not"), "{message}");
    let refused = refused.get().await.unwrap();
    assert!(refused.data["status"]["rejected"].is_null());
    assert_eq!(
        agents_of_two_claims(&scene.tenant.tellings().await.unwrap()),
        [""; 0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_answers_are_all_lost_and_that_says_whose_it_is_was_told() {
    let scene = Scene::new("heard").await;
    scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(1, json!({})).await;
    scene.fills(&pool, 1).await;
    let idle = scene.all("AgentInstance").await.remove(0);
    let url = idle.data["status"]["url"].as_str().unwrap();
    let host = url.trim_start_matches("https://");
    let fault = json!({"provider": "agent", "operation": "POST /pool/provision", "contains": host, "times": 0, "effect": "reset_after"});
    let fault = scene.world.outside().post_fault(fault).await.unwrap();
    let claim = scene.claim("c", json!({"provisionDeadline": "5s"})).await;
    let bound = ready(&claim).await;
    scene.end_fault(&fault).await;
    assert_eq!(Some(agent_of(&bound)), idle.metadata.name);
    assert!(bound.data["status"]["rejected"].is_null());
    let result = &bound.data["status"]["result"];
    assert!(result["conversationId"].is_string(), "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_is_neither_told_nor_deleted() {
    let scene = Scene::new("held").await;
    scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(1, json!({})).await;
    scene.fills(&pool, 1).await;
    let claim = scene.claim("c", json!({"expiresAfter": "20s"})).await;
    let bound = ready(&claim).await;
    let agent = scene.tenant.instance(&agent_of(&bound));
    let pause =
        |paused: Value| json!({"metadata": {"annotations": {"yardmaster.dev/paused": paused}}});
    agent.patch(pause(json!("true"))).await.unwrap();
    scene.fills(&pool, 1).await;
    // Its time is over meanwhile.
    tokio::time::sleep(Duration::from_secs(22)).await;
    assert!(
        agent
            .get()
            .await
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_none()
    );
    assert!(condition(&claim.get().await.unwrap(), "Expired").is_none());
    agent.patch(pause(Value::Null)).await.unwrap();
    agent.wait_gone(SOON).await.unwrap();
    says(&claim, "Expired", "True", "Expired").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_claims_at_once_get_twenty_agents_each_its_own_and_in_order() {
    let options = Options::new(test_directory("claims"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .set("agent.bootTime", "0s");
    let world = World::start(options).await.unwrap();
    let scene = Scene::within(&world, "thirty", json!({"requestsPerSecond": 50})).await;
    scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(20, json!({"maxInstances": 20})).await;
    scene.fills(&pool, 20).await;
    // Two that both lead: each has a Lease of its own.
    let second = world
        .another_controller("second", &["--lease-name=second"])
        .unwrap();
    second.start().await.unwrap();
    second.wait_ready(SOON).await.unwrap();
    let names: Vec<String> = (0..30).map(|n| format!("c{n:02}")).collect();
    let made = names.iter().map(|name| scene.claim(name, json!({})));
    futures::future::join_all(made).await;
    let all = || async { scene.all("AgentClaim").await };
    let settled = eventually(
        "twenty are ready, and ten told that they wait",
        LONG,
        async || {
            let claims = all().await;
            let says = |kind: &str, reason: &str| {
                let said = |claim: &&DynamicObject| {
                    condition(claim, kind).is_some_and(|said| said["reason"] == reason)
                };
                claims.iter().filter(said).count()
            };
            Ok(
                ((says("Ready", "Provisioned"), says("Bound", "NoAgentFree")) == (20, 10))
                    .then_some(()),
            )
        },
    );
    settled.await.unwrap();
    let claims = all().await;
    let mut agents: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for claim in claims.iter().filter(|claim| !agent_of(claim).is_empty()) {
        let name = claim.metadata.name.clone().unwrap();
        agents.entry(agent_of(claim)).or_default().push(name);
    }
    assert_eq!(agents.len(), 20);
    assert!(
        agents.values().all(|claims| claims.len() == 1),
        "{agents:#?}"
    );
    let held: Vec<DynamicObject> = scene.all("AgentInstance").await;
    for instance in &held {
        let of = instance.data["spec"]["claimRef"]["name"].as_str().unwrap();
        assert_eq!(agents[instance.metadata.name.as_ref().unwrap()], [of]);
    }
    let tellings = scene.tenant.tellings().await.unwrap();
    assert_eq!(agents_of_two_claims(&tellings), [""; 0]);
    let told: BTreeSet<&str> = tellings
        .iter()
        .filter_map(|one| one.claim.as_deref())
        .collect();
    assert_eq!(told.len(), 20);
    second.stop().await.unwrap();

    // Who waits is served as he came, one agent at a time.
    let mut waiting: Vec<(Option<jiff::Timestamp>, String)> = claims
        .iter()
        .filter(|claim| agent_of(claim).is_empty())
        .map(|claim| {
            let created = claim.metadata.creation_timestamp.as_ref().map(|at| at.0);
            (created, claim.metadata.name.clone().unwrap())
        })
        .collect();
    waiting.sort();
    let bound: Vec<String> = agents.values().flatten().cloned().collect();
    for (one, (_, next)) in bound.iter().zip(&waiting).take(3) {
        scene
            .tenant
            .object("AgentClaim", one)
            .delete()
            .await
            .unwrap();
        let next = scene.tenant.object("AgentClaim", next);
        next.wait_condition("Ready", "True", LONG).await.unwrap();
        let others = all().await;
        let served = others
            .iter()
            .filter(|claim| !agent_of(claim).is_empty())
            .count();
        assert_eq!(served, 20);
    }
    assert_eq!(
        agents_of_two_claims(&scene.tenant.tellings().await.unwrap()),
        [""; 0]
    );
    world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_between_any_two_steps_leaves_one_agent_a_claim() {
    let options = Options::new(test_directory("claims-killed"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .set("agent.bootTime", "0s");
    let world = World::start(options).await.unwrap();
    let scene = Scene::within(&world, "killed", json!({"requestsPerSecond": 50})).await;
    scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(3, json!({})).await;
    scene.fills(&pool, 3).await;
    let controller = world.controller().unwrap();
    for (number, verb) in ["take", "bind", "hand over", "tell"].iter().enumerate() {
        let claim = scene.claim(&format!("c{number}"), json!({})).await;
        // Somewhere on the way: each step further takes about so long.
        let instances = || async { scene.all("AgentInstance").await };
        let what = format!("the claim is on its way ({verb})");
        let reached = eventually(&what, SOON, async || {
            let object = claim.get().await?;
            let uid = object.metadata.uid.clone().unwrap_or_default();
            let its = instances().await;
            let its = its
                .iter()
                .find(|one| one.data["spec"]["claimRef"]["uid"] == uid.as_str());
            let bound = !agent_of(&object).is_empty();
            let handed =
                its.is_some_and(|one| one.data["spec"]["claimRef"]["handedOverAt"].is_string());
            let there = match number {
                0 => its.is_some(),
                1 => bound,
                2 => handed,
                _ => world::condition(&object, "Ready").is_some(),
            };
            Ok(there.then_some(()))
        });
        reached.await.unwrap();
        controller.kill().await.unwrap();
        controller.start().await.unwrap();
        ready(&claim).await;
    }
    let claims = scene.all("AgentClaim").await;
    let agents: BTreeSet<String> = claims.iter().map(agent_of).collect();
    assert_eq!(agents.len(), 4);
    assert_eq!(
        agents_of_two_claims(&scene.tenant.tellings().await.unwrap()),
        [""; 0]
    );
    scene.fills(&pool, 3).await;
    world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_an_agent_is_nobody_says_but_yardmaster() {
    let scene = Scene::new("whose").await;
    scene.template("t", json!({}), json!({})).await;
    let namespace = scene.tenant.namespace();
    let world = scene.world;
    let binding = [
        "-n",
        namespace,
        "create",
        "rolebinding",
        "editor",
        "--clusterrole=edit",
        "--user=mallory",
    ];
    world.kubectl(&binding).await.unwrap().ok().unwrap();
    let aggregated = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "agents", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "yardmaster-edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}],
    });
    scene.apply(aggregated).await;
    let viewer = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "agents-view", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "yardmaster-view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}],
    });
    scene.apply(viewer).await;
    let as_mallory = async |args: &[&str], input: &str| {
        let own = [&["-n", namespace, "--as=mallory"], args].concat();
        let output = world.kubectl_with(&own, input).await.unwrap();
        (output.status.success(), output.stdout + &output.stderr)
    };
    let account = scene.tenant.account();
    let spec = |more: Value| {
        merged(
            json!({"templateRef": {"name": "t"}, "accountRef": {"name": account}}),
            more,
        )
    };
    let (create, refused) = (["create", "-f", "-"], "are Yardmaster's own");
    let plain = manifest("AgentInstance", "own", spec(json!({}))).to_string();
    eventually("mallory may edit", SOON, async || {
        Ok(as_mallory(&create, &plain).await.0.then_some(()))
    })
    .await
    .unwrap();
    for planted in [
        json!({"poolRef": {"name": "p"}}),
        json!({"claimRef": {"name": "c", "uid": "u"}}),
        json!({"fromClaim": {"env": [{"name": "A", "value": "b"}]}}),
        json!({"updateTo": {"revision": "r", "since": "2026-11-02T10:00:00.000000Z"}}),
    ] {
        let planted = manifest("AgentInstance", "planted", spec(planted)).to_string();
        let (done, said) = as_mallory(&create, &planted).await;
        assert!(!done && said.contains(refused), "{said}");
    }
    let patches = [
        json!({"spec": {"claimRef": {"name": "c", "uid": "u"}}}),
        json!({"spec": {"updateTo": {"revision": "r", "since": "2026-11-02T10:00:00.000000Z"}}}),
        json!({"metadata": {"ownerReferences": [
            {"apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentClaim", "name": "c", "uid": "u"},
        ]}}),
    ];
    for patch in patches {
        let patch = patch.to_string();
        let args = [
            "patch",
            "agentinstance",
            "own",
            "--type=merge",
            "-p",
            patch.as_str(),
        ];
        let (done, said) = as_mallory(&args, "").await;
        assert!(!done && said.contains(refused), "{said}");
    }
    let allowed = r#"{"spec":{"env":[{"name":"A","value":"b"}]}}"#;
    let args = [
        "patch",
        "agentinstance",
        "own",
        "--type=merge",
        "-p",
        allowed,
    ];
    let (done, said) = as_mallory(&args, "").await;
    assert!(done, "{said}");
    // Pools and claims are for whoever edits agents; what they become is not.
    let claim = manifest(
        "AgentClaim",
        "c",
        json!({"poolRef": {"name": "p"}, "agent": {"instructions": "x"}}),
    );
    let (done, said) = as_mallory(&create, &claim.to_string()).await;
    assert!(done, "{said}");
    let bound = r#"{"status":{"instanceRef":{"name":"own","uid":"u"}}}"#;
    let args = [
        "patch",
        "agentclaim",
        "c",
        "--subresource=status",
        "--type=merge",
        "-p",
        bound,
    ];
    let (done, said) = as_mallory(&args, "").await;
    assert!(!done && said.contains("forbidden"), "{said}");

    // What a claim names it names for good, or counts among those that it rejected, whoever writes.
    let claim = scene.tenant.object("AgentClaim", "c");
    let status = async |status: &str| {
        let args = [
            "-n",
            namespace,
            "patch",
            "agentclaim",
            "c",
            "--subresource=status",
            "--type=merge",
            "-p",
            status,
        ];
        let output = world.kubectl(&args).await.unwrap();
        (output.status.success(), output.stdout + &output.stderr)
    };
    let controller_is_quiet = says(&claim, "Bound", "False", "PoolNotFound").await;
    assert!(!controller_is_quiet.is_empty());
    let named = r#"{"status":{"instanceRef":{"name":"gone","uid":"u"}}}"#;
    assert!(status(named).await.0);
    for other in [
        r#"{"status":{"instanceRef":null}}"#,
        r#"{"status":{"instanceRef":{"name":"other","uid":"v"}}}"#,
        r#"{"status":null}"#,
    ] {
        let (done, said) = status(other).await;
        assert!(
            !done && said.contains("status.instanceRef stays"),
            "{other}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_applied_fifty_times_at_once_has_one_agent_and_made_anew_another() {
    let scene = Scene::new("fifty").await;
    scene.template("t", json!({}), json!({})).await;
    let pool = scene.pool(2, json!({})).await;
    scene.fills(&pool, 2).await;
    let fifty = || (0..50).map(|_| scene.claim("c", json!({})));
    futures::future::join_all(fifty()).await;
    let claim = scene.tenant.object("AgentClaim", "c");
    let first = agent_of(&ready(&claim).await);
    scene.fills(&pool, 2).await;
    let claimed = |all: Vec<DynamicObject>| -> Vec<String> {
        let claimed = all
            .into_iter()
            .filter(|one| !one.data["spec"]["claimRef"].is_null());
        claimed.filter_map(|one| one.metadata.name).collect()
    };
    let alone = std::slice::from_ref(&first);
    assert_eq!(claimed(scene.all("AgentInstance").await), alone);
    claim.delete().await.unwrap();
    claim.wait_gone(SOON).await.unwrap();
    futures::future::join_all(fifty()).await;
    let second = agent_of(&ready(&claim).await);
    assert_ne!(first, second);
    scene.tenant.instance(&first).wait_gone(SOON).await.unwrap();
    scene.fills(&pool, 2).await;
    assert_eq!(claimed(scene.all("AgentInstance").await), [second]);
    let tellings = scene.tenant.tellings().await.unwrap();
    assert_eq!(agents_of_two_claims(&tellings), [""; 0]);
    let told: BTreeSet<(&str, &str)> = tellings.iter().map(|one| one.agent()).collect();
    assert_eq!(told.len(), 2, "{tellings:#?}");
}
