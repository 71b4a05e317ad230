//! What becomes of each effect on Kubernetes when the API server refuses one of its requests, has something else by then, or
//! breaks off.

use super::call::ClusterError;
use super::events::Events;
use super::installation::{InstallationError, establish, look, pin, repin, unpin};
use super::scripted::{Script, ScriptedAnswer};
use super::{credentials, finalizer, left_behind, secret, status, values};
use crate::api::account::KeyRef;
use crate::api::{AgentInstance, FINALIZER, IN_USE_FINALIZER, Seen};
use crate::model::identity::Pin;
use crate::model::tool::{Made, Resource, Stage};
use crate::model::values::{References, Source};
use crate::model::{Announcement, Slot};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use futures::future::BoxFuture;
use kube::api::Api;
use kube::{Client, Resource as _};
use secrecy::SecretString;
use serde_json::{Value, json};

/// What can come instead of an answer.
const TROUBLE: [ScriptedAnswer; 5] = [
    ScriptedAnswer::Code(404),
    ScriptedAnswer::Code(409),
    ScriptedAnswer::Code(422),
    ScriptedAnswer::Code(500),
    ScriptedAnswer::Reset,
];

/// How an effect ended, in a word.
fn word<T>(result: Result<T, ClusterError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(ClusterError::Stale { .. }) => "stale",
        Err(ClusterError::Gone { .. }) => "gone",
        Err(ClusterError::Absent { .. }) => "absent",
        Err(ClusterError::Slow { .. }) => "slow",
        Err(ClusterError::Refused { .. }) => "refused",
        Err(ClusterError::Failed { .. }) => "failed",
    }
}

fn word_of_installation<T>(result: Result<T, InstallationError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(InstallationError::Cluster(error)) => word::<T>(Err(error)),
        Err(InstallationError::Lost { .. }) => "lost",
        Err(InstallationError::Absent { .. }) => "absent",
        Err(InstallationError::Unreadable { .. }) => "unreadable",
    }
}

/// An effect, and the requests that it makes where all goes well.
struct Effect {
    name: &'static str,
    run: fn(Client) -> BoxFuture<'static, &'static str>,
    requests: Vec<(&'static str, Value)>,
    /// Where trouble at a request ends otherwise than [`usual`]: request, code, word.
    otherwise: &'static [(usize, u16, &'static str)],
}

/// How trouble ends an effect that says nothing else.
fn usual(trouble: &ScriptedAnswer) -> &'static str {
    match trouble {
        ScriptedAnswer::Code(404) => "gone",
        ScriptedAnswer::Code(409) => "stale",
        ScriptedAnswer::Code(422) => "refused",
        _ => "failed",
    }
}

const PATCH_AGENT: &str = "PATCH /apis/yardmaster.dev/v1alpha1/namespaces/team/agentinstances/ada";
const PATCH_STATUS: &str =
    "PATCH /apis/yardmaster.dev/v1alpha1/namespaces/team/agentinstances/ada/status";
const LIST_AGENTS: &str = "GET /apis/yardmaster.dev/v1alpha1/agentinstances";
const MAKE_LEFT: &str = "POST /api/v1/namespaces/sys/configmaps";
const LIST_LEFT: &str = "GET /api/v1/namespaces/sys/configmaps";
const SECRET: &str = "GET /api/v1/namespaces/team/secrets/ada-agent";
const PATCH_SECRET: &str = "PATCH /api/v1/namespaces/team/secrets/ada-agent";
const GET_PIN: &str = "GET /api/v1/namespaces/sys/secrets/yardmaster-installation";
const PATCH_PIN: &str = "PATCH /api/v1/namespaces/sys/secrets/yardmaster-installation";
const GET_KEY: &str = "GET /api/v1/namespaces/sys/secrets/key";
const PATCH_KEY: &str = "PATCH /api/v1/namespaces/sys/secrets/key";

fn agent() -> Value {
    json!({
        "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentInstance",
        "metadata": {"namespace": "team", "name": "ada", "uid": "uid-ada", "resourceVersion": "7",
            "finalizers": ["other", FINALIZER]},
        "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": "main"}},
        "status": {"external": [{"origin": "Made", "slot": "tool/llm", "provider": "openrouter", "account": "llm", "state": "Creating",
            "key": "ym-1", "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"}]},
    })
}

fn ada() -> AgentInstance {
    serde_json::from_value(agent()).unwrap()
}

fn own_secret() -> Value {
    json!({"metadata": {"name": "ada-agent", "namespace": "team", "uid": "uid-secret", "resourceVersion": "3",
            "annotations": {"yardmaster.dev/opens.tool.llm": "openrouter ym-1 k-1"},
            "ownerReferences": [{"apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentInstance", "name": "ada", "uid": "uid-ada"}]},
        "data": {"GATEWAY_TOKEN": STANDARD.encode("token"), "OPENROUTER_API_KEY": STANDARD.encode("sk")}})
}

fn made() -> Made {
    Made {
        resource: Resource {
            part: crate::api::Part::Main,
            id: "k-1".into(),
            name: "ym-1".into(),
            address: None,
            stage: Stage::Ready,
            settings: None,
            usage: None,
            created: None,
            monthly_usd: crate::api::money::Money::ZERO,
        },
        secret: Some(SecretString::from("sk")),
    }
}

fn acme() -> Pin {
    serde_json::from_value(json!({"id": "o-1", "name": "acme"})).unwrap()
}

fn installation(pinned: Option<&Pin>) -> Value {
    let mut data = json!({"id": STANDARD.encode("i-1"), "seal": STANDARD.encode("seal")});
    if let Some(pin) = pinned {
        data["pin.a"] = STANDARD.encode(serde_json::to_vec(pin).unwrap()).into();
    }
    json!({"metadata": {"name": "yardmaster-installation", "resourceVersion": "5"}, "data": data})
}

fn key_secret(finalizers: &[&str]) -> Value {
    json!({"metadata": {"name": "key", "namespace": "sys", "resourceVersion": "2", "finalizers": finalizers},
        "data": {"token": STANDARD.encode("t-1")}})
}

fn key() -> Vec<KeyRef> {
    vec![serde_json::from_value(json!({"name": "key", "key": "token"})).unwrap()]
}

fn page(items: &Value, token: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"continue": token}, "items": items})
}

fn effects() -> Vec<Effect> {
    let mut all = effects_on_objects();
    all.extend(effects_on_secrets());
    all.extend(effects_on_installations());
    all
}

fn effects_on_objects() -> Vec<Effect> {
    vec![
        Effect {
            name: "finalizer::hold",
            run: |client| {
                async move {
                    let api: Api<AgentInstance> = Api::namespaced(client, "team");
                    word(finalizer::hold(&api, &ada(), "another", Some("uid-ada")).await)
                }
                .boxed()
            },
            requests: vec![(PATCH_AGENT, agent())],
            otherwise: &[],
        },
        Effect {
            name: "finalizer::let_go",
            run: |client| {
                async move {
                    let api: Api<AgentInstance> = Api::namespaced(client, "team");
                    word(finalizer::let_go(&api, &ada(), FINALIZER).await)
                }
                .boxed()
            },
            requests: vec![(PATCH_AGENT, agent())],
            otherwise: &[],
        },
        Effect {
            name: "status::write",
            run: |client| {
                async move {
                    let new = Default::default();
                    word(status::write(&client, &ada(), &new).await)
                }
                .boxed()
            },
            requests: vec![(PATCH_STATUS, agent())],
            otherwise: &[],
        },
        Effect {
            name: "status::write_conditions",
            run: |client| {
                async move {
                    let mut unreadable = agent();
                    unreadable["spec"]["operatingMode"] = json!("Flying");
                    let seen: Seen<AgentInstance> = serde_json::from_value(unreadable).unwrap();
                    let api: Api<Seen<AgentInstance>> = Api::namespaced(client, "team");
                    let object = seen.unreadable().unwrap();
                    word(status::write_conditions(&api, object, &[]).await)
                }
                .boxed()
            },
            requests: vec![(PATCH_STATUS, agent())],
            otherwise: &[],
        },
        Effect {
            name: "left_behind::keep",
            run: |client| {
                async move {
                    let record = left_behind::record(&ada(), &left_behind::Left::All).unwrap();
                    word(left_behind::keep(&client, "sys", record).await)
                }
                .boxed()
            },
            requests: vec![(MAKE_LEFT, json!({}))],
            // There is one already: it stays.
            otherwise: &[(0, 409, "ok")],
        },
        Effect {
            name: "left_behind::read",
            run: |client| async move { word(left_behind::read(&client, "sys").await) }.boxed(),
            requests: vec![
                (LIST_LEFT, page(&json!([]), "next")),
                (LIST_LEFT, page(&json!([]), "")),
            ],
            otherwise: &[],
        },
        Effect {
            name: "left_behind::instances",
            run: |client| async move { word(left_behind::instances(&client).await) }.boxed(),
            requests: vec![
                (LIST_AGENTS, page(&json!([agent()]), "next")),
                (LIST_AGENTS, page(&json!([]), "")),
            ],
            otherwise: &[],
        },
        Effect {
            name: "events::publish",
            run: |client| {
                async move {
                    let said = Announcement {
                        warning: false,
                        reason: "Told",
                        action: "Tell",
                        note: "a sentence".to_owned(),
                    };
                    let events = Events::new(client, None);
                    events.publish(&ada().object_ref(&()), &[said]).await;
                    "ok"
                }
                .boxed()
            },
            requests: vec![(
                "POST /apis/events.k8s.io/v1/namespaces/team/events",
                json!({"metadata": {"name": "ada.1"}, "eventTime": null}),
            )],
            // Nothing fails for an event.
            otherwise: &[
                (0, 404, "ok"),
                (0, 409, "ok"),
                (0, 422, "ok"),
                (0, 500, "ok"),
                (0, 0, "ok"),
            ],
        },
    ]
}

fn effects_on_secrets() -> Vec<Effect> {
    vec![
        Effect {
            name: "secret::read",
            run: |client| async move { word(secret::read(&client, &ada(), &[]).await) }.boxed(),
            requests: vec![(SECRET, own_secret())],
            otherwise: &[(0, 404, "ok")],
        },
        Effect {
            name: "secret::mint",
            run: |client| {
                async move {
                    let token = SecretString::from("token");
                    word(secret::mint(&client, &ada(), &token).await)
                }
                .boxed()
            },
            // Where the name is taken it is looked at first: that is played below.
            requests: vec![("POST /api/v1/namespaces/team/secrets", own_secret())],
            otherwise: &[(0, 409, "failed")],
        },
        Effect {
            name: "secret::keep",
            run: |client| {
                async move {
                    let ada = ada();
                    let entry = &ada.status.as_ref().unwrap().external[0];
                    word(secret::keep(&client, &ada, entry, &made()).await)
                }
                .boxed()
            },
            requests: vec![(SECRET, own_secret()), (PATCH_SECRET, own_secret())],
            // The instance itself is not gone: everything is read again.
            otherwise: &[(0, 404, "stale"), (1, 404, "stale")],
        },
        Effect {
            name: "secret::drop",
            run: |client| {
                async move {
                    let ada = ada();
                    let entry = &ada.status.as_ref().unwrap().external[0];
                    word(secret::drop(&client, &ada, entry).await)
                }
                .boxed()
            },
            requests: vec![(SECRET, own_secret()), (PATCH_SECRET, own_secret())],
            otherwise: &[(0, 404, "ok"), (1, 404, "stale")],
        },
        Effect {
            name: "credentials::look",
            run: |client| {
                async move { word(credentials::look(&client, "sys", &key()).await) }.boxed()
            },
            requests: vec![(GET_KEY, key_secret(&[]))],
            otherwise: &[(0, 404, "ok")],
        },
        Effect {
            name: "credentials::read",
            run: |client| {
                async move { word(credentials::read(&client, "sys", &key()).await) }.boxed()
            },
            requests: vec![
                (GET_KEY, key_secret(&[])),
                (PATCH_KEY, key_secret(&[IN_USE_FINALIZER])),
            ],
            // What was read serves, whoever changed it meanwhile.
            otherwise: &[(0, 404, "ok"), (1, 404, "ok"), (1, 409, "ok")],
        },
        Effect {
            name: "credentials::let_go",
            run: |client| {
                async move { word(credentials::let_go(&client, "sys", &["key".to_owned()]).await) }
                    .boxed()
            },
            requests: vec![
                (GET_KEY, key_secret(&[IN_USE_FINALIZER])),
                (PATCH_KEY, key_secret(&[])),
            ],
            otherwise: &[(0, 404, "ok"), (1, 404, "ok")],
        },
        Effect {
            name: "values::read",
            run: |client| {
                async move {
                    let secret = Source::Secret("key".into());
                    let referred = References::from([(secret, ["token".to_owned()].into())]);
                    word(values::read(&client, "sys", &[referred]).await)
                }
                .boxed()
            },
            requests: vec![(GET_KEY, key_secret(&[]))],
            otherwise: &[(0, 404, "ok")],
        },
        Effect {
            name: "values::read_one",
            run: |client| {
                async move {
                    let source = Source::ConfigMap("map".into());
                    word(values::read_one(&client, "sys", &source).await)
                }
                .boxed()
            },
            requests: vec![(
                "GET /api/v1/namespaces/sys/configmaps/map",
                json!({"metadata": {"name": "map"}}),
            )],
            otherwise: &[(0, 404, "ok")],
        },
    ]
}

fn effects_on_installations() -> Vec<Effect> {
    vec![
        Effect {
            name: "installation::look",
            run: |client| async move { word_of_installation(look(&client, "sys").await) }.boxed(),
            requests: vec![(GET_PIN, installation(None))],
            otherwise: &[(0, 404, "absent")],
        },
        Effect {
            name: "installation::establish",
            run: |client| {
                async move { word_of_installation(establish(&client, "sys", [7; 48]).await) }
                    .boxed()
            },
            // Where there is none it is made: that is played below.
            requests: vec![(GET_PIN, installation(None))],
            otherwise: &[(0, 404, "failed")],
        },
        Effect {
            name: "installation::pin",
            run: |client| async move { word(pin(&client, "sys", "a").await) }.boxed(),
            requests: vec![(GET_PIN, installation(Some(&acme())))],
            otherwise: &[(0, 404, "absent")],
        },
        Effect {
            name: "installation::repin",
            run: |client| {
                async move { word(repin(&client, "sys", "a", None, Some(&acme())).await) }.boxed()
            },
            requests: vec![
                (GET_PIN, installation(None)),
                (PATCH_PIN, installation(Some(&acme()))),
            ],
            // Another account's pin may have come between: that is played below.
            otherwise: &[(0, 404, "absent"), (1, 409, "failed")],
        },
        Effect {
            name: "installation::unpin",
            run: |client| async move { word(unpin(&client, "sys", "a").await) }.boxed(),
            requests: vec![
                (GET_PIN, installation(Some(&acme()))),
                (GET_PIN, installation(Some(&acme()))),
                (PATCH_PIN, installation(None)),
            ],
            otherwise: &[(0, 404, "absent"), (1, 404, "absent"), (2, 409, "failed")],
        },
    ]
}

#[tokio::test]
async fn each_request_that_meets_trouble_ends_its_effect_as_it_should() {
    for effect in effects() {
        let requests = || {
            let requests = effect.requests.iter();
            requests
                .map(|(asked, object)| ((*asked).to_owned(), ScriptedAnswer::Is(object.clone())))
        };
        let (script, client) = Script::play(requests());
        assert_eq!((effect.run)(client).await, "ok", "{}", effect.name);
        script.played();
        for at in 0..effect.requests.len() {
            for trouble in TROUBLE {
                let code = match trouble {
                    ScriptedAnswer::Code(code) => code,
                    _ => 0,
                };
                let other = effect.otherwise.iter();
                let mut other = other.filter(|(place, of, _)| (*place, *of) == (at, code));
                let expected = other
                    .next()
                    .map_or_else(|| usual(&trouble), |(_, _, word)| *word);
                let asked = effect.requests[at].0.to_owned();
                let script = requests().take(at).chain([(asked, trouble.clone())]);
                let (_, client) = Script::play(script);
                let ended = (effect.run)(client).await;
                assert_eq!(ended, expected, "{} at {at}: {trouble:?}", effect.name);
            }
        }
    }
}

fn played(requests: &[(&str, ScriptedAnswer)]) -> (Script, Client) {
    let requests = requests.iter();
    Script::play(requests.map(|(asked, answer)| ((*asked).to_owned(), answer.clone())))
}

#[tokio::test]
async fn every_write_carries_what_was_read() {
    let (script, client) = played(&[(PATCH_STATUS, ScriptedAnswer::Is(agent()))]);
    status::write(&client, &ada(), &Default::default())
        .await
        .unwrap();
    let sent = &script.played()[0];
    assert_eq!(sent["metadata"], json!({"resourceVersion": "7"}));
    // The ledger is taken out, and nothing is said of what this version does not know.
    assert_eq!(sent["status"]["external"].as_array().map_or(0, Vec::len), 0);
    assert!(sent["status"].get("mood").is_none());
    let api_calls = [(PATCH_AGENT, ScriptedAnswer::Is(agent()))];
    let (script, client) = played(&api_calls);
    let api: Api<AgentInstance> = Api::namespaced(client, "team");
    finalizer::let_go(&api, &ada(), FINALIZER).await.unwrap();
    assert_eq!(
        script.played(),
        [json!({"metadata": {"resourceVersion": "7", "finalizers": ["other"]}})]
    );
    // What is not there is not taken off.
    let (script, client) = played(&[]);
    let api: Api<AgentInstance> = Api::namespaced(client, "team");
    finalizer::let_go(&api, &ada(), "another").await.unwrap();
    script.played();
}

#[tokio::test]
async fn a_name_that_is_taken_is_looked_at_and_never_written_over() {
    let taken = (
        "POST /api/v1/namespaces/team/secrets",
        ScriptedAnswer::Code(409),
    );
    let token = SecretString::from("token");
    let mut others = own_secret();
    others["metadata"]["ownerReferences"][0]["uid"] = json!("another");
    others["metadata"]["annotations"] = json!({"yardmaster.dev/instance-uid": "another"});
    let mut somebodys = others.clone();
    somebodys["metadata"]["ownerReferences"] = json!([]);
    let mut emptied = own_secret();
    emptied["data"] = json!({});
    for (found, expected) in [
        (
            ScriptedAnswer::Is(own_secret()),
            "making the agent's Secret",
        ),
        (ScriptedAnswer::Is(others), "garbage collector"),
        (ScriptedAnswer::Is(somebodys), "is not this instance's"),
        (ScriptedAnswer::Code(404), "making the agent's Secret"),
    ] {
        let (script, client) = played(&[taken.clone(), (SECRET, found)]);
        let ended = secret::mint(&client, &ada(), &token).await.unwrap_err();
        let stale = matches!(ended, ClusterError::Stale { .. });
        assert_eq!(stale, expected.starts_with("making"), "{ended}");
        assert!(ended.to_string().contains(expected), "{ended}");
        script.played();
    }
    let mends = [
        taken,
        (SECRET, ScriptedAnswer::Is(emptied)),
        (PATCH_SECRET, ScriptedAnswer::Is(own_secret())),
    ];
    let (script, client) = played(&mends);
    secret::mint(&client, &ada(), &token).await.unwrap();
    let patch = &script.played()[2];
    assert_eq!(
        patch["metadata"],
        json!({"uid": "uid-secret", "resourceVersion": "3"})
    );
}

#[tokio::test]
async fn an_installation_is_made_once_and_never_over_one_that_was_lost() {
    const MAKE: &str = "POST /api/v1/namespaces/sys/secrets";
    let nobody = || ScriptedAnswer::Is(page(&json!([]), ""));
    // Made, or made by another process in the same moment: read again in both cases.
    for made in [
        ScriptedAnswer::Is(installation(None)),
        ScriptedAnswer::Code(409),
    ] {
        let there = (GET_PIN, ScriptedAnswer::Is(installation(None)));
        let (script, client) = played(&[
            (GET_PIN, ScriptedAnswer::Code(404)),
            (LIST_AGENTS, nobody()),
            (MAKE, made),
            there,
        ]);
        let ours = establish(&client, "sys", [7; 48]).await.unwrap();
        assert_eq!(ours.id.to_string(), "i-1");
        script.played();
    }
    let somebody = ScriptedAnswer::Is(page(&json!([agent()]), ""));
    let (script, client) = played(&[
        (GET_PIN, ScriptedAnswer::Code(404)),
        (LIST_AGENTS, somebody),
    ]);
    let ended = establish(&client, "sys", [7; 48]).await;
    assert_eq!(word_of_installation(ended), "lost");
    script.played();
}

#[tokio::test]
async fn a_pin_is_written_again_where_another_account_came_between_and_not_where_it_has_changed() {
    let fresh = (GET_PIN, ScriptedAnswer::Is(installation(None)));
    let conflict = (PATCH_PIN, ScriptedAnswer::Code(409));
    let (script, client) = played(&[
        fresh.clone(),
        conflict.clone(),
        fresh.clone(),
        (PATCH_PIN, ScriptedAnswer::Is(installation(Some(&acme())))),
    ]);
    repin(&client, "sys", "a", None, Some(&acme()))
        .await
        .unwrap();
    script.played();
    let changed = (GET_PIN, ScriptedAnswer::Is(installation(Some(&acme()))));
    let (script, client) = played(&[fresh, conflict, changed]);
    let ended = repin(&client, "sys", "a", None, Some(&acme())).await;
    assert_eq!(word(ended), "stale");
    script.played();
}

#[tokio::test]
async fn a_sentence_that_is_said_again_counts_its_event_up_or_makes_another_where_that_is_gone() {
    const MAKE: &str = "POST /apis/events.k8s.io/v1/namespaces/team/events";
    const COUNT: &str = "PATCH /apis/events.k8s.io/v1/namespaces/team/events/ada.1";
    let event = || ScriptedAnswer::Is(json!({"metadata": {"name": "ada.1"}, "eventTime": null}));
    let requests = [
        (MAKE, event()),
        (COUNT, event()),
        (COUNT, ScriptedAnswer::Code(404)),
        (MAKE, event()),
    ];
    let (script, client) = played(&requests);
    let events = Events::new(client, None);
    let said = || Announcement {
        warning: true,
        reason: "Told",
        action: "Tell",
        note: "a sentence".to_owned(),
    };
    for _ in 0..3 {
        events.publish(&ada().object_ref(&()), &[said()]).await;
    }
    assert_eq!(script.played()[1]["series"]["count"], 2);
}

#[tokio::test]
async fn what_is_missing_of_credentials_and_values_is_said_and_not_an_error() {
    let (_, client) = played(&[(GET_KEY, ScriptedAnswer::Code(404))]);
    let found = credentials::look(&client, "sys", &key()).await.unwrap();
    assert_eq!(
        found.none().as_deref(),
        Some("Secret sys/key does not exist; create it")
    );
    let (_, client) = played(&[(
        GET_KEY,
        ScriptedAnswer::Is(json!({"metadata": {"name": "key"}})),
    )]);
    let found = credentials::look(&client, "sys", &key()).await.unwrap();
    assert_eq!(
        found.none().as_deref(),
        Some("Secret sys/key has no usable key token; add it")
    );
    let (_, client) = played(&[(GET_KEY, ScriptedAnswer::Code(404))]);
    let referred = References::from([(Source::Secret("key".into()), ["token".to_owned()].into())]);
    assert!(
        values::read(&client, "sys", &[referred])
            .await
            .unwrap()
            .is_empty()
    );
    let (_, client) = played(&[(SECRET, ScriptedAnswer::Is(own_secret()))]);
    let held = secret::read(&client, &ada(), &[]).await.unwrap();
    assert!(held.token.is_some());
    let slot = Slot::named("tool/llm").unwrap();
    assert_eq!(held.kept[&slot].id, "k-1");
}

#[tokio::test]
async fn what_an_instance_refers_to_takes_no_room_from_its_template() {
    let source = |name: &str| Source::Secret(name.to_owned());
    let of = |names: &[&str]| {
        let keys = || ["token".to_owned()].into();
        References::from_iter(names.iter().map(|name| (source(name), keys())))
    };
    let large = |name: &str| {
        let token = STANDARD.encode("x".repeat(500_000));
        ScriptedAnswer::Is(json!({"metadata": {"name": name}, "data": {"token": token}}))
    };
    let (script, client) = played(&[
        ("GET /api/v1/namespaces/sys/secrets/a", large("a")),
        ("GET /api/v1/namespaces/sys/secrets/b", large("b")),
        ("GET /api/v1/namespaces/sys/secrets/c", large("c")),
        (GET_KEY, ScriptedAnswer::Is(key_secret(&[]))),
    ]);
    let specs = [of(&["key"]), of(&["a", "b", "c", "key"])];
    let values = values::read(&client, "sys", &specs).await.unwrap();
    script.played();
    let there = |name: &str| values[&source(name)].data.contains_key("token");
    assert!(there("a") && !there("b") && !there("c") && there("key"));
}
