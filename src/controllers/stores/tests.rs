//! What the stores keep, and whom they wake.

use super::*;
use futures::FutureExt;
use jiff::SignedDuration;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

fn instance(name: &str, account: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "team", "uid": format!("uid-{name}"), "generation": 1,
            "managedFields": [{"manager": "kubectl"}],
            "labels": {"large": "kubectl"}, "finalizers": ["large.dev/kubectl", "yardmaster.dev/teardown"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "kubectl", "uid": "u"}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2",
                "large": "kubectl", "yardmaster.dev/large": "kubectl",
                "yardmaster.dev/identity": "kept".repeat(10_000)}},
        "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": account},
            "env": [{"name": "A", "value": "hunter2"},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            "fromClaim": {"env": [{"name": "C", "value": "hunter2"}]}},
        "status": {"templateRevision": "r1", "conditions": [
            {"type": "Ready", "status": "True", "reason": "Ready", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "TemplateSynced", "status": "True", "reason": "Current", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"},
        ]},
    })
}

fn template(tools: &Value) -> Value {
    json!({
        "metadata": {"name": "t", "namespace": "team", "uid": "uid-t", "generation": 1},
        "spec": {"runtime": {"image": "ghcr.io/acme/agent:1"}, "tools": tools,
            "env": [{"name": "A", "value": "hunter2"}],
            "files": [{"path": "/app/a", "content": "hunter2"}]},
    })
}

fn with_a_persona() -> Value {
    json!({
        "metadata": {"name": "wise", "namespace": "team", "uid": "uid-w", "generation": 1},
        "spec": {"persona": {
            "instructions": "hunter2", "variables": {"name": "hunter2"},
            "instructionsFrom": [{"configMapKeyRef": {"name": "texts", "key": "k"}}],
        }},
    })
}

fn seen<K: Stored>(object: &Value) -> Seen<K> {
    serde_json::from_value(object.clone()).unwrap()
}

/// What the watch of a kind tells.
fn told<K: Stored>(
    stores: &Stores,
    store: fn(&Stores) -> &Store<K>,
    change: fn(Turned<K>) -> Change,
    event: Event<Seen<K>>,
) {
    for turned in store(stores).apply(event) {
        stores.tell(&change(turned));
    }
}

fn instance_event(stores: &Stores, event: Event<Seen<AgentInstance>>) {
    told(stores, |stores| &stores.instances, Change::Instance, event);
}

fn template_event(stores: &Stores, event: Event<Seen<AgentTemplate>>) {
    told(stores, |stores| &stores.templates, Change::Template, event);
}

fn list(stores: &Stores, instances: &[Value]) {
    instance_event(stores, Event::Init);
    for one in instances {
        instance_event(stores, Event::InitApply(seen(one)));
    }
    instance_event(stores, Event::InitDone);
}

/// Stores that lead, with these instances, after everybody has been looked at.
fn stores(instances: &[Value]) -> Stores {
    let stores = Stores::default();
    stores.instances.open();
    stores.templates.open();
    list(&stores, instances);
    template_event(&stores, Event::Apply(seen(&template(&json!([])))));
    woken(&stores.instances);
    stores
}

/// Who is in line, in order; nobody is afterwards.
fn woken<K: Stored>(store: &Store<K>) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(named) = store.queue.next().now_or_never() {
        store.queue.done(&named, None);
        names.push(named.name);
    }
    names.sort();
    names
}

#[tokio::test]
async fn an_object_is_kept_without_values_and_without_what_nobody_reads() {
    let stores = stores(&[instance("ada", "main")]);
    let unreadable = {
        let mut bob = instance("bob", "main");
        bob["spec"]["operatingMode"] = json!("Flying");
        bob
    };
    instance_event(&stores, Event::Apply(seen(&unreadable)));
    for one in stores.instances.all() {
        let kept = match &one {
            Seen::Read(one) => serde_json::to_string(one.as_ref()).unwrap(),
            Seen::Unreadable(one) => {
                assert_eq!(one.part::<String>("/spec/env/0/name").as_deref(), Some("A"));
                assert!(one.part::<String>("/spec/env/0/value").is_none());
                format!("{:?}{:?}", one.metadata, one.words())
            }
        };
        assert!(!kept.contains("hunter2"), "{kept}");
        assert!(!kept.contains("kubectl"), "{kept}");
        assert!(kept.contains("kept"), "{kept}");
        assert!(kept.len() < 4_000, "{}", kept.len());
    }
    let template = stores.templates.all().remove(0);
    let kept = &template.read().unwrap().spec;
    assert_eq!((&kept.env[0].value, &kept.files[0].content), (&None, &None));
    let persona = with_a_persona();
    template_event(&stores, Event::Apply(seen(&persona)));
    let named = Ref::new("wise").within("team");
    let kept = stores.templates.get(&named).unwrap();
    let kept = serde_json::to_string(&kept.read().unwrap().spec).unwrap();
    assert!(
        !kept.contains("hunter2") && kept.contains("texts"),
        "{kept}"
    );
    // What is referred to stays.
    let ada = stores.instances.state().remove(0);
    assert!(ada.spec.env[1].value_from.is_some());
}

#[tokio::test]
async fn an_annotation_that_nobody_reads_wakes_all_the_same() {
    let stores = stores(&[instance("ada", "main")]);
    instance_event(&stores, Event::Apply(seen(&instance("ada", "main"))));
    assert_eq!(woken(&stores.instances), [""; 0]);
    let mut nudged = instance("ada", "main");
    nudged["metadata"]["annotations"]["large"] = json!("again");
    instance_event(&stores, Event::Apply(seen(&nudged)));
    assert_eq!(woken(&stores.instances), ["ada"]);
}

#[tokio::test]
async fn an_index_follows_each_change() {
    let stores = stores(&[instance("ada", "main"), instance("bob", "spare")]);
    let names = |term: &InstanceBy| {
        let mut names: Vec<String> = stores
            .instances
            .by(term)
            .iter()
            .map(|one| one.name_any())
            .collect();
        names.sort();
        names
    };
    let account = |name: &str| InstanceBy::Account(name.to_owned());
    let followers = InstanceBy::Template(Ref::new("t").within("team"));
    assert_eq!(names(&followers), ["ada", "bob"]);
    assert_eq!(names(&InstanceBy::Namespace("team".into())), ["ada", "bob"]);
    assert_eq!(names(&account("main")), ["ada"]);
    instance_event(&stores, Event::Apply(seen(&instance("ada", "spare"))));
    assert_eq!(names(&account("main")), [""; 0]);
    assert_eq!(names(&account("spare")), ["ada", "bob"]);
    instance_event(&stores, Event::Delete(seen(&instance("bob", "spare"))));
    assert_eq!(names(&account("spare")), ["ada"]);
    assert_eq!(names(&followers), ["ada"]);
}

#[tokio::test]
async fn who_uses_an_account_is_found_by_home_ledger_and_tools_also_of_an_unreadable_template() {
    let mut ledger = instance("bob", "main");
    ledger["status"]["external"] = json!([{"origin": "Made", "slot": "tool/llm", "provider": "openrouter", "account": "keys",
        "state": "Exists", "key": "k", "id": "i", "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"}]);
    let stores = stores(&[instance("ada", "main"), ledger]);
    let users = |account: &str| {
        let mut names: Vec<String> = stores
            .users(account)
            .iter()
            .map(|one| one.name_any())
            .collect();
        names.sort();
        names
    };
    assert_eq!(users("main"), ["ada", "bob"]);
    assert_eq!(users("keys"), ["bob"]);
    assert_eq!(users("mail"), [""; 0]);
    let tools = json!([{"name": "mail", "type": "agentmail", "accountRef": {"name": "mail"}}]);
    template_event(&stores, Event::Apply(seen(&template(&tools))));
    assert_eq!(users("mail"), ["ada", "bob"]);
    assert!(stores.uses(&stores.instances.state()[0], "mail"));
    let mut unreadable = template(&tools);
    unreadable["spec"]["runtime"]["port"] = json!("many");
    template_event(&stores, Event::Apply(seen(&unreadable)));
    assert_eq!(users("mail"), ["ada", "bob"]);
}

/// Which instances of a name are gone.
fn gone(stores: &Stores, name: &str) -> Vec<String> {
    let gone = stores
        .instances
        .take_gone(&Ref::new(name).within("team"))
        .into_iter();
    gone.filter_map(|last| last.uid()).collect()
}

#[tokio::test]
async fn what_vanished_while_nobody_watched_is_told_as_gone() {
    let stores = stores(&[instance("ada", "main"), instance("bob", "main")]);
    list(&stores, &[instance("ada", "main")]);
    assert_eq!(woken(&stores.instances), ["bob"]);
    let bob = Ref::new("bob").within("team");
    assert!(stores.instances.get(&bob).is_none());
    assert_eq!(gone(&stores, "bob"), ["uid-bob"]);
    assert_eq!(gone(&stores, "bob"), [""; 0], "told once");
}

#[tokio::test]
async fn another_object_of_the_same_name_is_another_object() {
    let stores = stores(&[instance("ada", "main")]);
    let mut again = instance("ada", "main");
    again["metadata"]["uid"] = json!("another");
    let turned = stores.instances.apply(Event::Apply(seen(&again)));
    let told: Vec<(bool, bool)> = turned
        .iter()
        .map(|one| (one.before.is_some(), one.after.is_some()))
        .collect();
    assert_eq!(told, [(true, false), (false, true)]);
    // Deleted and made once more before anybody came to it: of each something may be remembered.
    instance_event(&stores, Event::Delete(seen(&again)));
    again["metadata"]["uid"] = json!("third");
    instance_event(&stores, Event::Apply(seen(&again)));
    assert_eq!(gone(&stores, "ada"), ["uid-ada", "another"]);
}

#[tokio::test]
async fn a_deleted_template_is_told_to_its_instances() {
    let stores = stores(&[instance("ada", "main"), instance("bob", "main")]);
    template_event(&stores, Event::Delete(seen(&template(&json!([])))));
    assert_eq!(woken(&stores.instances), ["ada", "bob"]);
}

#[tokio::test]
async fn a_standby_keeps_the_same_and_lines_up_nobody_until_it_leads() {
    let stores = Stores::default();
    list(&stores, &[instance("ada", "main"), instance("bob", "main")]);
    instance_event(&stores, Event::Delete(seen(&instance("bob", "main"))));
    assert_eq!(stores.instances.state().len(), 1);
    assert_eq!(stores.instances.queue.waiting(), 0);
    // Nobody here remembers anything of it.
    assert_eq!(gone(&stores, "bob"), [""; 0]);
    stores.instances.open();
    assert_eq!(woken(&stores.instances), ["ada"]);
}

#[tokio::test]
async fn a_store_is_whole_once_every_kind_was_listed() {
    let stores = Stores::default();
    list(&stores, &[]);
    template_event(&stores, Event::InitDone);
    assert!(stores.filled().now_or_never().is_none());
    stores.accounts.apply(Event::InitDone);
    stores.pools.apply(Event::InitDone);
    assert!(stores.filled().now_or_never().is_none());
    stores.claims.apply(Event::InitDone);
    assert!(stores.filled().now_or_never().is_some());
}

#[tokio::test]
async fn a_rollout_is_computed_once_for_all_who_ask_between_two_changes() {
    let all: Vec<Value> = (0..50)
        .map(|n| instance(&format!("a{n}"), "main"))
        .collect();
    let stores = stores(&all);
    let template = stores.templates.all().remove(0).read().unwrap().clone();
    let now = Timestamp::UNIX_EPOCH;
    let ask = || stores.standing(&template, "r2", now);
    let first = ask();
    assert_eq!(first.instances, 50);
    // Each says that it waits for its turn: nothing that a rollout sees.
    for one in &all {
        let mut waits = one.clone();
        waits["status"]["conditions"][1]["status"] = json!("False");
        waits["status"]["conditions"][1]["reason"] = json!("Outdated");
        instance_event(&stores, Event::Apply(seen(&waits)));
        assert!(Arc::ptr_eq(&first, &ask()));
    }
    // One is ready no longer.
    let mut down = all[0].clone();
    down["status"]["conditions"][0]["status"] = json!("False");
    instance_event(&stores, Event::Apply(seen(&down)));
    let second = ask();
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&second, &ask()));
    // Another revision is another rollout.
    assert!(!Arc::ptr_eq(
        &second,
        &stores.standing(&template, "r1", now)
    ));
}

#[test]
fn a_rollout_is_computed_again_when_its_moment_has_come_and_when_it_changed_meanwhile() {
    let (rollouts, template) = (Rollouts::default(), Ref::new("t").within("team"));
    let now = Timestamp::UNIX_EPOCH;
    let due = now + SignedDuration::from_secs(60);
    let asked = || (Default::default(), "r1".to_owned());
    let computed = std::cell::Cell::new(0);
    let ask = |now| {
        rollouts.standing(&template, asked(), now, |_| {
            computed.set(computed.get() + 1);
            RolloutProgress {
                deadline: Some(due),
                ..RolloutProgress::default()
            }
        })
    };
    for second in [0, 59, 60] {
        ask(now + SignedDuration::from_secs(second));
    }
    assert_eq!(computed.get(), 2);
    // A member changes while the members are looked at: what was seen of them is given to nobody else.
    rollouts.changed(&template);
    rollouts.standing(&template, asked(), now, |_| {
        rollouts.changed(&template);
        RolloutProgress::default()
    });
    ask(now);
    assert_eq!(computed.get(), 3);
}

#[test]
fn who_has_been_held_back_for_the_longest_comes_first() {
    let held = |name: &str, since: &str, created: &str| {
        let mut object = instance(name, "main");
        object["metadata"]["creationTimestamp"] = json!(created);
        object["status"]["conditions"] = json!([{"type": "Synced", "status": "False", "reason": "Paused",
            "message": "", "lastTransitionTime": since}]);
        object
    };
    let stores = Stores::default();
    let mut rests = instance("rests", "main");
    rests["metadata"]["creationTimestamp"] = json!("2020-01-01T00:00:00Z");
    instance_event(&stores, Event::Init);
    for object in [
        rests,
        held("late", "2026-01-03T00:00:00Z", "2026-01-01T00:00:00Z"),
        held("young", "2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z"),
        held("first", "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"),
    ] {
        instance_event(&stores, Event::InitApply(seen(&object)));
    }
    instance_event(&stores, Event::InitDone);
    let users = names(longest_first(stores.users("main")), |_| true);
    let users: Vec<&str> = users.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(users, ["first", "young", "late", "rests"]);
}

#[tokio::test]
async fn a_claim_that_waits_for_a_tools_account_is_woken_when_that_is_paused_no_more() {
    let stores = Stores::default();
    stores.claims.open();
    let claim = |name: &str, reason: &str| {
        json!({
            "metadata": {"name": name, "namespace": "team", "uid": name, "generation": 1},
            "spec": {"poolRef": {"name": "p"}, "agent": {"instructions": "x"}},
            "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        })
    };
    for (name, reason) in [
        ("paused", "Paused"),
        ("full", "QuotaExceeded"),
        ("waits", "NoAgentFree"),
    ] {
        let event = Event::Apply(seen(&claim(name, reason)));
        told(&stores, |stores| &stores.claims, Change::Claim, event);
    }
    woken(&stores.claims);
    let account = |paused: bool| {
        json!({
            "metadata": {"name": "llms", "uid": "a", "generation": 1 + u8::from(!paused)},
            "spec": {"openrouter": {"managementKeySecretRef": {"name": "s", "key": "k"}}, "paused": paused},
        })
    };
    let event = |paused| Event::Apply(seen(&account(paused)));
    told(
        &stores,
        |stores| &stores.accounts,
        Change::Account,
        event(true),
    );
    woken(&stores.claims);
    told(
        &stores,
        |stores| &stores.accounts,
        Change::Account,
        event(false),
    );
    assert_eq!(woken(&stores.claims), ["full", "paused"]);
}
