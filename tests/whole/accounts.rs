//! Accounts: credentials that are wrong, missing or changed; who may use one; and the limits that it keeps.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use world::{SYSTEM_NAMESPACE, eventually, railway_token};

use crate::support::{SOON, Scene, is_mutation, is_ready, lays_down, merged, says};

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_no_good_is_told_and_a_good_one_is_enough() {
    let rows = ["unknown", "foreign", "no-key", "no-secret"];
    let told = rows.map(async |row| {
        let scene = Scene::new(row).await;
        let (tenant, account) = (&scene.tenant, scene.tenant.provider_account());
        let secret = scene
            .world
            .object("Secret", Some(SYSTEM_NAMESPACE), tenant.name());
        let mine = format!("{}-{row}", tenant.name());
        // A second account of the same workspace, whose credential is not what it should be.
        let name = mine.as_str();
        let reference = json!([{"name": name, "key": "token"}]);
        let spec = merged(
            account.get().await.unwrap().data["spec"].clone(),
            json!({"railway": {"tokenSecretRefs": reference}}),
        );
        let put = async |data: Value| {
            let secret = json!({"apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE}, "stringData": data});
            scene.world.cluster().apply_one(secret, None).await.unwrap();
        };
        match row {
            "unknown" => put(json!({"token": "nonsense"})).await,
            "foreign" => put(json!({"token": railway_token("somebody-else")})).await,
            "no-key" => put(json!({"other": "x"})).await,
            _ => {}
        }
        let object = json!({"apiVersion": "yardmaster.dev/v1alpha1", "kind": "ProviderAccount",
            "metadata": {"name": name}, "spec": spec});
        scene.apply(object).await;
        let bad = scene.world.object("ProviderAccount", None, name);
        let missing = row.starts_with("no-");
        let reason = if missing {
            "ReferenceNotFound"
        } else {
            "CredentialsDenied"
        };
        let message = says(&bad, "Stalled", "True", reason).await;
        assert_eq!(says(&bad, "Ready", "False", reason).await, message);
        assert!(
            message.contains(&format!("Secret {SYSTEM_NAMESPACE}/{name}")),
            "{message}"
        );
        assert!(!message.contains("somebody-else"), "{message}");
        let workspace = message.contains(&format!("not for {}", tenant.workspace()));
        assert_eq!(workspace, row == "foreign", "{message}");

        scene.template("t", json!({}), json!({})).await;
        let of_bad = json!({"accountRef": {"name": name}});
        let instance = scene.instance("a", "t", of_bad).await;
        says(&instance, "Ready", "False", "AccountNotReady").await;
        assert_eq!(scene.mutations(scene.start()), [""; 0]);

        put(json!({"token": railway_token(tenant.workspace())})).await;
        bad.wait_condition("Ready", "True", SOON).await.unwrap();
        is_ready(&instance).await;
        assert!(secret.find().await.unwrap().is_some());
    });
    futures::future::join_all(told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_missing_token_of_several_is_told_and_the_others_serve() {
    let scene = Scene::new("one-of-two").await;
    let absent = format!("{}-absent", scene.tenant.name());
    let name = format!("{}-both", scene.tenant.name());
    let references =
        json!([{"name": absent, "key": "token"}, {"name": scene.tenant.name(), "key": "token"}]);
    let account = scene.tenant.provider_account().get().await.unwrap();
    let spec = merged(
        account.data["spec"].clone(),
        json!({"railway": {"tokenSecretRefs": references}}),
    );
    // An account that nobody here has seen before, as all are after a restart.
    scene
        .apply(
            json!({"apiVersion": "yardmaster.dev/v1alpha1", "kind": "ProviderAccount",
            "metadata": {"name": name}, "spec": spec}),
        )
        .await;
    let account = scene.world.object("ProviderAccount", None, &name);
    let message = says(&account, "Ready", "True", "Ready").await;
    let lacks = format!("Secret {SYSTEM_NAMESPACE}/{absent} does not exist; create it");
    assert!(message.contains(&lacks), "{message}");
    scene.template("t", json!({}), json!({})).await;
    let of_it = json!({"accountRef": {"name": name}});
    is_ready(&scene.instance("a", "t", of_it).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_limit_forgets_nothing_of_an_account() {
    let scene = Scene::with("edited", json!({"maxProjects": 2})).await;
    scene.template("t", json!({}), json!({})).await;
    // Whose the token is cannot be asked now, and need not be.
    let fault = json!({"provider": "railway", "operation": "apiToken", "times": 0,
        "effect": {"status": 503, "body": "down"}});
    let fault = scene.tenant.post_fault(fault).await.unwrap();
    let more = json!({"spec": {"railway": {"maxProjects": 3}}});
    scene.tenant.provider_account().patch(more).await.unwrap();
    eventually("it was asked for all the same", SOON, async || {
        Ok((scene.world.outside().fired(&fault).await? > 0).then_some(()))
    })
    .await
    .unwrap();
    is_ready(&scene.instance("a", "t", json!({})).await).await;
    scene.end_fault(&fault).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_told_and_another_is_used_without_a_restart() {
    let scene = Scene::new("rotated").await;
    let old = [("railway.revokedTokens", scene.tenant.token())];
    // The only test that revokes: the setting is one list for the whole world.
    scene.world.outside().set(&old).await.unwrap();
    says(
        &scene.tenant.provider_account(),
        "Ready",
        "False",
        "CredentialsDenied",
    )
    .await;
    scene.template("t", json!({}), json!({})).await;
    let instance = scene.instance("a", "t", json!({})).await;
    says(&instance, "Ready", "False", "AccountNotReady").await;
    let new = railway_token(scene.tenant.workspace());
    scene.tenant.put_token(&new).await.unwrap();
    let account = scene.tenant.provider_account();
    account.wait_condition("Ready", "True", SOON).await.unwrap();
    is_ready(&instance).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_each_tool_provider_is_checked_and_another_credential_is_used_without_a_restart()
 {
    let scene = Scene::new("providers").await;
    let own = scene.tenant.name().replace('_', "-");
    let rows = [
        ("openrouter", format!("sk-or-mgmt-{own}_1"), json!({})),
        ("exa", format!("exa-svc-{own}_1"), json!({})),
        ("agentmail", format!("am_org_{own}_1"), json!({})),
        (
            "telnyx",
            format!("KEY{own}_1"),
            json!({"maxMonthlyCostUSD": 5}),
        ),
        ("bankr", format!("bk_ptr_{own}_1"), json!({})),
    ];
    let told = rows.map(async |(provider, credential, settings)| {
        let name = format!("{own}-{provider}");
        let secret = scene
            .world
            .object("Secret", Some(SYSTEM_NAMESPACE), &name);
        let put = async |value: &str| {
            let secret = json!({"apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE}, "stringData": {"key": value}});
            scene.world.cluster().apply_one(secret, None).await.unwrap();
        };
        let reference = json!({"credentialSecretRef": {"name": name, "key": "key"}});
        let spec = json!({provider: merged(reference, settings)});
        scene
            .apply(json!({"apiVersion": "yardmaster.dev/v1alpha1", "kind": "ProviderAccount",
                "metadata": {"name": name}, "spec": spec}))
            .await;
        let account = scene.world.object("ProviderAccount", None, &name);
        says(&account, "Stalled", "True", "ReferenceNotFound").await;
        put("nonsense").await;
        let message = says(&account, "Ready", "False", "CredentialsDenied").await;
        assert!(!message.contains("nonsense") && !message.contains("workspace"), "{message}");
        assert!(message.contains(&format!("key key of Secret {SYSTEM_NAMESPACE}/{name}")), "{message}");
        put(&credential).await;
        account.wait_condition("Ready", "True", SOON).await.unwrap();
        account.wait_condition("Healthy", "True", SOON).await.unwrap();
        let ready = says(&account, "Ready", "True", "Ready").await;
        assert!(ready.contains("spec.allowedNamespaces"), "nobody may use it: {ready}");
        let status = account.get().await.unwrap().data["status"].clone();
        assert!(!status["identity"]["name"].as_str().unwrap().is_empty());
        assert!(status["budget"].is_null());
        if provider != "bankr" {
            let counts = |account: &kube::api::DynamicObject| account.data["status"]["resources"] == 0;
            account.wait_until("resources counted", SOON, counts).await.unwrap();
        }
        // Held while it is in use, and by nobody afterwards.
        let held = secret.get().await.unwrap();
        assert_eq!(held.metadata.finalizers.unwrap_or_default().len(), 1);
        account.delete().await.unwrap();
        account.wait_gone(SOON).await.unwrap();
        let free = secret.get().await.unwrap();
        assert!(free.metadata.finalizers.unwrap_or_default().is_empty());
    });
    futures::future::join_all(told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_an_account_is_missing_or_forbidden_nobody_can_tell() {
    let scene = Scene::new("allowed").await;
    let (name, account) = (scene.tenant.name(), scene.tenant.provider_account());
    scene.template("t", json!({}), json!({})).await;
    let other = json!({"spec": {"allowedNamespaces": {"matchNames": ["another"]}}});
    account.patch(other).await.unwrap();
    let absent = format!("{name}-absent");
    let forbidden = scene.instance("forbidden", "t", json!({})).await;
    let missing = json!({"accountRef": {"name": absent}});
    let missing = scene.instance("missing", "t", missing).await;
    let first = says(&forbidden, "Stalled", "True", "AccountNotAvailable").await;
    let second = says(&missing, "Stalled", "True", "AccountNotAvailable").await;
    assert_eq!(first, second.replace(&absent, name));
    assert_eq!(scene.mutations(scene.start()), [""; 0]);

    // Allowed by its labels.
    let labelled = json!({"metadata": {"labels": {"team": name}}});
    scene
        .world
        .object("Namespace", None, name)
        .patch(labelled)
        .await
        .unwrap();
    let selector = json!({"matchNames": null, "selector": {"matchLabels": {"team": name}}});
    let selector = json!({"spec": {"allowedNamespaces": selector}});
    account.patch(selector).await.unwrap();
    is_ready(&forbidden).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn max_projects_holds_the_next_one_back_until_there_is_room() {
    let scene = Scene::with("full", json!({"maxProjects": 2})).await;
    let instances = scene.ready(json!({}), &["a", "b"]).await;
    scene.listings(1).await;
    let third = scene.instance("c", "t", json!({})).await;
    let message = says(&third, "Stalled", "True", "QuotaExceeded").await;
    assert!(message.contains("maxProjects"), "{message}");
    assert_eq!(scene.projects().await, 2);
    instances[0].delete().await.unwrap();
    is_ready(&third).await;
    let more = json!({"spec": {"railway": {"maxProjects": 3}}});
    scene.tenant.provider_account().patch(more).await.unwrap();
    let fourth = scene.instance("d", "t", json!({})).await;
    is_ready(&fourth).await;
    assert_eq!(scene.projects().await, 3);
}

/// When projects were asked for.
fn creations(scene: &Scene<'_>) -> Vec<Timestamp> {
    let exchanges = scene.exchanges(scene.start()).into_iter();
    let creations = exchanges.filter(|one| one.operation == "projectCreate");
    creations.filter_map(|one| one.at).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_cannot_start_take_no_turn_from_those_that_can() {
    let names: Vec<String> = (0..10).map(|number| format!("good{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let alone = Scene::with("alone", json!({"projectInterval": "1s"})).await;
    let behind = Scene::with("behind", json!({"projectInterval": "1s"})).await;
    for scene in [&alone, &behind] {
        let throttle = [("railway.projectInterval", "1s")];
        scene.tenant.set(&throttle).await.unwrap();
    }
    // Older than all that can start.
    let mut bad = Vec::new();
    for number in 0..25 {
        let name = format!("bad{number}");
        bad.push(behind.instance(&name, "nowhere", json!({})).await);
    }
    says(&bad[24], "Stalled", "True", "TemplateNotFound").await;
    // At the same time, so that a busy machine slows both.
    tokio::join!(
        alone.ready(json!({}), &names),
        behind.ready(json!({}), &names)
    );
    let [alone, behind] = [&alone, &behind].map(|scene| {
        let at = creations(scene);
        assert_eq!(at.len(), 10);
        at[9].duration_since(at[0]).as_secs_f64()
    });
    println!("10 projects in {alone} s, and behind 25 that cannot start in {behind} s");
    assert!(
        behind < alone * 1.5 + 2.0,
        "{behind} s, and {alone} s without them"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_project_throttle_spaces_creations_and_nobody_is_told_off() {
    let rows = [("one-token", "workspace", 1), ("two-tokens", "token", 2)];
    let spaced = rows.map(async |(name, scope, tokens)| {
        let scene = Scene::with(name, json!({"projectInterval": "2s"})).await;
        let throttle = [("railway.projectInterval", "2s"), ("railway.throttleScope", scope)];
        scene.tenant.set(&throttle).await.unwrap();
        if tokens == 2 {
            let second = format!("{}-second", scene.tenant.name());
            let secret = json!({"apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": second, "namespace": SYSTEM_NAMESPACE},
                "stringData": {"token": railway_token(scene.tenant.workspace())}});
            scene.world.cluster().apply_one(secret, None).await.unwrap();
            let references = json!([{"name": scene.tenant.name(), "key": "token"}, {"name": second, "key": "token"}]);
            let both = json!({"spec": {"railway": {"tokenSecretRefs": references}}});
            let account = scene.tenant.provider_account();
            lays_down(&account, both).await;
        }
        scene.ready(json!({}), &["a", "b", "c", "d", "e"]).await;
        let at = creations(&scene);
        let refused = scene.exchanges(scene.start()).iter().filter(|one| {
            is_mutation(one) && one.response.to_string().contains("too quickly")
        }).count();
        assert!(refused <= 1, "{name}: {refused} of {} were refused", at.len());
        assert_eq!(at.len(), 5 + refused, "{name}");
        // Each token has its own clock. One that was refused came too early, which is allowed once on a busy machine.
        for pair in at.windows(tokens + 1).filter(|_| refused == 0) {
            let apart = pair[tokens].duration_since(pair[0]);
            assert!(apart.as_millis() >= 1900, "{name}: {at:?}");
        }
        for instance in ["a", "b", "c", "d", "e"] {
            let events = scene.tenant.instance(instance).events().await.unwrap();
            assert!(events.iter().all(|event| event.starts_with("Normal")), "{events:?}");
        }
    });
    futures::future::join_all(spaced).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_a_second_are_kept_and_an_edit_counts_at_once() {
    let scene = Scene::with("rate", json!({"requestsPerSecond": 5})).await;
    let fullest = |since| {
        let at: Vec<_> = scene
            .exchanges(since)
            .iter()
            .filter_map(|one| one.at)
            .collect();
        let window = |from: &Timestamp| {
            let within =
                |one: &&Timestamp| **one >= *from && one.duration_since(*from).as_millis() < 1000;
            at.iter().filter(within).count()
        };
        at.iter().map(window).max().unwrap_or(0)
    };
    scene.ready(json!({}), &["a", "b", "c", "d"]).await;
    let most = fullest(scene.start());
    // A request's way to the simulator takes a different time each, so one may slip over the edge of a second.
    assert!(most <= 6, "{most} requests in a second");
    let more = json!({"spec": {"railway": {"requestsPerSecond": 50}}});
    scene.tenant.provider_account().patch(more).await.unwrap();
    let mark = scene.mark();
    let names = ["e", "f", "g", "h", "i", "j"];
    for name in names {
        scene.instance(name, "t", json!({})).await;
    }
    for name in names {
        is_ready(&scene.tenant.instance(name)).await;
    }
    assert!(fullest(mark) > 6, "the new limit was not used");
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_honoured() {
    let scene = Scene::new("later").await;
    scene.template("t", json!({}), json!({})).await;
    let fault = json!({"provider": "railway", "operation": "projectCreate",
        "effect": {"status": 429, "body": "slow down", "headers": {"Retry-After": "3"}}});
    let fault = scene.tenant.post_fault(fault).await.unwrap();
    let instance = scene.instance("a", "t", json!({})).await;
    says(&instance, "Reconciling", "True", "Throttled").await;
    is_ready(&instance).await;
    scene.end_fault(&fault).await;
    let at = creations(&scene);
    assert_eq!(at.len(), 2);
    let apart = at[1].duration_since(at[0]);
    assert!(apart >= jiff::SignedDuration::from_millis(2900), "{at:?}");
    // And not for ever.
    let late = jiff::SignedDuration::try_from(Duration::from_secs(20)).unwrap();
    assert!(apart < late, "{at:?}");
    eventually("it is told no more", SOON, async || {
        let now = instance.get().await?;
        Ok((!crate::support::holds(&now, "Reconciling")).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_tenant_has_is_refused_like_what_nobody_has() {
    let alice = Scene::new("alice-has").await;
    let bob = Scene::new("bob-wants").await;
    alice.secret("keys", json!({"api": "alice's"})).await;
    alice.config_map("notes", json!({"api": "alice's"})).await;
    alice.template("hers", json!({}), json!({})).await;
    bob.template("t", json!({}), json!({})).await;
    let mark = alice.mark();
    let account = alice.tenant.account();
    let from = |kind: &str, name: &str| {
        let source = json!({kind: {"name": name, "key": "api"}});
        json!({"env": [{"name": "API", "valueFrom": source}]})
    };
    let of_account = |name: &str| json!({"accountRef": {"name": name}});
    for (kind, reason, hers, template, spec) in [
        ("template", "TemplateNotFound", "hers", true, json!({})),
        (
            "secret",
            "ReferenceNotFound",
            "keys",
            false,
            from("secretKeyRef", "keys"),
        ),
        (
            "config-map",
            "ReferenceNotFound",
            "notes",
            false,
            from("configMapKeyRef", "notes"),
        ),
        (
            "account",
            "AccountNotAvailable",
            account,
            false,
            of_account(account),
        ),
    ] {
        let nobodys = "no-such-thing";
        let other = match kind {
            "secret" => from("secretKeyRef", nobodys),
            "config-map" => from("configMapKeyRef", nobodys),
            "account" => of_account(nobodys),
            _ => json!({}),
        };
        let mut said = Vec::new();
        for (which, name, spec) in [("hers", hers, spec), ("nobodys", nobodys, other)] {
            let template = if template { name } else { "t" };
            let instance = bob
                .instance(&format!("{kind}-{which}"), template, spec)
                .await;
            let stalled = says(&instance, "Stalled", "True", reason).await;
            let ready = says(&instance, "Ready", "False", reason).await;
            said.push([stalled, ready].map(|text| text.replace(name, "X")));
        }
        assert_eq!(said[0], said[1], "{kind}: nobody learns what others have");
    }
    assert_eq!(alice.mutations(mark), [""; 0]);
    assert_eq!(bob.mutations(mark), [""; 0]);
    assert_eq!(bob.projects().await, 0);
    let seen = alice.exchanges(mark);
    let own = ["projects", "apiToken", "workspace", "projectServiceUsage"];
    let strange = seen
        .iter()
        .find(|one| !own.contains(&one.operation.as_str()));
    assert!(strange.is_none(), "{strange:#?}");
}
