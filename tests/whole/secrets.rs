//! No secret is seen: not in what objects say, not in events, logs or metrics, in no form.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use world::canary::{forms, hex, own_writes};
use world::{Options, SYSTEM_NAMESPACE, World, eventually, test_directory};

use crate::support::{SOON, Scene, id, is_ready, list, refusal, says};

/// A value that every encoding changes.
fn canary(name: &str) -> String {
    format!("canary-{name} \"quoted\" & slashed/and+plus")
}

/// All that people, scrapers and Kubernetes get to see: log, metrics, probes, objects, and of Secrets what is not their
/// data.
async fn all_that_is_seen(world: &World) -> Vec<(&'static str, String)> {
    let controller = world.controller().unwrap();
    let mut seen = vec![
        ("log", std::fs::read_to_string(controller.log()).unwrap()),
        ("metrics", world.metrics().await.unwrap()),
    ];
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for probe in ["livez", "readyz"] {
        let url = format!("{}/{probe}", controller.address());
        let answer = http.get(&url).send().await.unwrap();
        seen.push(("probes", answer.text().await.unwrap()));
    }
    let kinds = "provideraccounts,agenttemplates,agentinstances,events,events.events.k8s.io,configmaps,leases,namespaces,serviceaccounts";
    let objects = world.kubectl(&["get", kinds, "-A", "-o", "yaml"]).await;
    seen.push(("objects", objects.unwrap().ok().unwrap()));
    let secrets = world.kubectl(&["get", "secrets", "-A", "-o", "json"]).await;
    let mut secrets: Value = serde_json::from_str(&secrets.unwrap().ok().unwrap()).unwrap();
    for secret in secrets["items"].as_array_mut().unwrap() {
        secret.as_object_mut().unwrap().remove("data");
    }
    seen.push(("metadata of Secrets", secrets.to_string()));
    // What stood in an object for a moment only stands there.
    let audit = std::fs::read(world.dir().join("audit.jsonl")).unwrap();
    let written = String::from_utf8(own_writes(&audit)).unwrap();
    assert!(written.contains("lastTransitionTime"), "bodies are there");
    seen.push(("objects and events as they were written", written));
    assert!(
        seen[0].1.contains("TRACE"),
        "the log is at its most talkative"
    );
    seen
}

/// How many forms of secrets were looked for; none of them is there.
fn unseen(seen: &[(&str, String)], secrets: &[String]) -> usize {
    let mut looked_for = 0;
    for secret in secrets {
        for form in forms(secret) {
            looked_for += 1;
            for (place, text) in seen {
                let found = text.find(&form).map(|at| {
                    let line = text[..at].lines().count();
                    let around: String = text[at.saturating_sub(300)..].chars().take(700).collect();
                    (line, around)
                });
                assert_eq!(found, None, "{form} stands in the {place}, line");
            }
        }
    }
    looked_for
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_seen_anywhere_but_in_secrets() {
    let options =
        Options::new(test_directory("secrets")).controller(env!("CARGO_BIN_EXE_yardmaster"));
    let world = World::start(options).await.unwrap();
    let scene = Scene::within(&world, "secrets", json!({})).await;
    let (api, password) = (canary("api"), canary("password"));
    world
        .outside()
        .set(&[("registry.password", &password)])
        .await
        .unwrap();
    scene.secret("keys", json!({"api": api})).await;
    scene
        .secret("pull", json!({"username": "pull", "password": password}))
        .await;
    let runtime =
        json!({"image": "ghcr.io/acme/private/agent:1.4", "imagePullSecretRef": {"name": "pull"}});
    let env = json!({"env": [{"name": "API", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "api"}}}]});
    scene.template("t", runtime, env).await;
    // Answers that repeat what they were asked, and ways that fail, are where secrets are seen.
    let echo = json!({"provider": "railway", "operation": "environmentPatchCommit",
        "effect": {"graphql_error": {"message": format!("Problem processing request: {api} {password}")}}});
    let echo = scene.tenant.post_fault(echo).await.unwrap();
    let instance = scene.instance("a", "t", json!({})).await;
    is_ready(&instance).await;
    scene.end_fault(&echo).await;
    let agent = scene.agent(&instance).await;
    let service = agent["serviceId"].as_str().unwrap();
    let path = format!("/railway/services/{service}/variables/API");
    scene
        .by_hand(reqwest::Method::PUT, &path, json!({"value": "other"}))
        .await;
    scene.listings(3).await;
    // A refusal that holds the whole account back is told to everybody who waits for it.
    let second = canary("second");
    let busy = json!({"provider": "railway", "operation": "environmentPatchCommit",
        "effect": {"status": 429, "headers": {"retry-after": "2"},
            "body": {"errors": [{"message": format!("too many requests for {second}")}]}}});
    let busy = scene.tenant.post_fault(busy).await.unwrap();
    scene.secret("keys", json!({"api": second})).await;
    let refused = async || {
        let fired = world.outside().fired(&busy).await?;
        Ok((fired > 0).then_some(()))
    };
    eventually("the change was refused", SOON, refused)
        .await
        .unwrap();
    scene.listings(2).await;
    is_ready(&instance).await;
    let wrong = canary("token");
    scene.tenant.put_token(&wrong).await.unwrap();
    says(
        &scene.tenant.provider_account(),
        "Ready",
        "False",
        "CredentialsDenied",
    )
    .await;

    let gateway = world
        .secret(scene.tenant.namespace(), "a-agent")
        .await
        .unwrap();
    let gateway = gateway["GATEWAY_TOKEN"].clone();
    let mut secrets = vec![api, password, second, wrong, gateway];
    secrets.push(scene.tenant.token().to_owned());
    unseen(&all_that_is_seen(&world).await, &secrets);
    let kept = world.secret(SYSTEM_NAMESPACE, scene.tenant.name()).await;
    assert!(kept.unwrap().contains_key("token"));
    world.stop().await.unwrap();
}

/// What a careless provider says of what it was sent.
fn echoed(secret: &str) -> String {
    let (basic, digits) = (STANDARD.encode(secret), hex(secret));
    let quoted = json!({"key": secret}).to_string();
    format!(
        "cannot take {secret}, sent as Bearer {secret} in {quoted}, Basic {basic}, key={secret}, 0x{digits}"
    )
}

/// Every answer to this fails, and repeats what it was sent.
async fn careless(
    scene: &Scene<'_>,
    provider: &str,
    operation: &str,
    times: u64,
    secret: &str,
) -> String {
    let body = refusal(provider, &echoed(secret));
    let fault = json!({
        "provider": provider, "operation": operation, "times": times, "effect": {"status": 503, "body": body},
    });
    scene.tenant.post_fault(fault).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_of_a_tool_is_seen_anywhere_but_in_secrets() {
    let options = Options::new(test_directory("tool-secrets"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .controller_arg("--request-timeout=2s")
        .controller_arg("--settle=500ms");
    let world = World::start(options).await.unwrap();
    let scene = Scene::within(&world, "tool-secrets", json!({})).await;
    scene.tenant.tool_accounts().await.unwrap();
    let mut keys = BTreeMap::new();
    for provider in ["openrouter", "exa", "agentmail", "telnyx", "bankr"] {
        let name = format!("{}-{provider}", scene.tenant.name());
        let account = world.object("ProviderAccount", None, &name);
        account.wait_condition("Ready", "True", SOON).await.unwrap();
        let secret = world.secret(SYSTEM_NAMESPACE, &name).await.unwrap();
        keys.insert(provider, secret["key"].clone());
    }
    let tools = scene.tenant.six_tools();
    let template = scene
        .template("t", json!({}), json!({"tools": tools}))
        .await;

    // Creation, with the accounts' own credentials in what fails.
    let mut faults = Vec::new();
    for (provider, operation) in [
        ("openrouter", "POST /api/v1/keys"),
        ("exa", "POST /team-management/api-keys"),
        ("agentmail", "POST /v0/inboxes"),
        ("telnyx", "POST /v2/number_orders"),
        ("bankr", "POST /partner/wallets"),
    ] {
        faults.push(careless(&scene, provider, operation, 1, &keys[provider]).await);
    }
    let instance = scene.instance("a", "t", json!({})).await;
    let ready = is_ready(&instance).await;
    for fault in faults.drain(..) {
        scene.end_fault(&fault).await;
    }
    let own = world.secret(scene.tenant.namespace(), "a-agent").await;
    let mut secrets = own.unwrap();
    let tools = list(&ready.data["status"]["tools"]);
    let purse = tools.iter().find(|tool| tool["name"] == "purse").unwrap();
    let purse = purse["secretRef"]["name"].as_str().unwrap();
    secrets.extend(world.secret(scene.tenant.namespace(), purse).await.unwrap());
    // It is no secret.
    secrets.remove("WALLET_ADDRESS");
    assert_eq!(secrets.len(), 6, "{:?}", secrets.keys());
    let agent_has = [
        "OPENROUTER_API_KEY",
        "EXA_API_KEY",
        "AGENTMAIL_API_KEY",
        "BANKR_API_KEY",
    ];

    // Listings, with what the agent was given. The account says what is wrong with it.
    for (provider, operation, name) in [
        ("openrouter", "GET /api/v1/keys", agent_has[0]),
        ("exa", "GET /team-management/api-keys", agent_has[1]),
        ("agentmail", "GET /v0/inboxes", agent_has[2]),
        ("telnyx", "GET /v2/phone_numbers", "WALLET_PRIVATE_KEY"),
    ] {
        faults.push(careless(&scene, provider, operation, 0, &secrets[name]).await);
        let name = format!("{}-{provider}", scene.tenant.name());
        let account = world.object("ProviderAccount", None, &name);
        account
            .wait_condition("Healthy", "False", SOON)
            .await
            .unwrap();
    }
    for fault in faults.drain(..) {
        scene.end_fault(&fault).await;
    }
    // The configuration, with everything that is in it.
    let all: Vec<&str> = secrets.values().map(String::as_str).collect();
    let echo = json!({"provider": "railway", "operation": "environmentPatchCommit", "effect":
        {"graphql_error": {"message": format!("Problem processing request: {}", all.join(" "))}}});
    let echo = scene.tenant.post_fault(echo).await.unwrap();
    let env = json!({"spec": {"env": [{"name": "MORE", "value": "yes"}]}});
    template.patch(env).await.unwrap();
    eventually("the agent has the variable", SOON, async || {
        let agent = scene.agent(&instance).await;
        Ok((!agent["variableHashes"]["MORE"].is_null()).then_some(()))
    })
    .await
    .unwrap();
    scene.end_fault(&echo).await;
    is_ready(&instance).await;
    let alive = all_that_is_seen(&world).await;
    assert!(
        alive
            .iter()
            .any(|(_, text)| text.contains(&id(&ready, "tool/llm")))
    );

    // Deletion, with the credential that is being revoked.
    for (provider, operation, name) in [
        ("openrouter", "DELETE /api/v1/keys/{hash}", agent_has[0]),
        ("exa", "DELETE /team-management/api-keys/{id}", agent_has[1]),
        (
            "agentmail",
            "DELETE /v0/inboxes/{inbox}/api-keys/{id}",
            agent_has[2],
        ),
        (
            "bankr",
            "DELETE /partner/wallets/{id}/api-keys",
            agent_has[3],
        ),
    ] {
        faults.push(careless(&scene, provider, operation, 1, &secrets[name]).await);
    }
    instance.delete().await.unwrap();
    instance.wait_gone(SOON).await.unwrap();
    for fault in faults.drain(..) {
        scene.end_fault(&fault).await;
    }
    // A credential that is no good, echoed as one by who refuses it.
    let wrong = format!("sk-or-v1-{}", "ab12".repeat(16));
    let name = format!("{}-openrouter", scene.tenant.name());
    let refused = careless(&scene, "openrouter", "GET /api/v1/credits", 0, &wrong).await;
    let secret = world.object("Secret", Some(SYSTEM_NAMESPACE), &name);
    secret
        .patch(json!({"stringData": {"key": wrong}}))
        .await
        .unwrap();
    let account = world.object("ProviderAccount", None, &name);
    account
        .wait_condition("Ready", "False", SOON)
        .await
        .unwrap();
    world.outside().remove_fault(&refused).await.unwrap();

    let secrets: Vec<String> = secrets
        .into_values()
        .chain(keys.into_values())
        .chain([wrong])
        .collect();
    let gone = all_that_is_seen(&world).await;
    let looked_for = unseen(&alive, &secrets) + unseen(&gone, &secrets);
    let size: usize = alive.iter().chain(&gone).map(|(_, text)| text.len()).sum();
    println!(
        "{} credentials in {looked_for} forms, none in {size} bytes",
        secrets.len()
    );
    world.stop().await.unwrap();
}
