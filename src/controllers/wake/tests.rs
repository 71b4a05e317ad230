//! Whom a change wakes.

use super::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn object<K>(kind: &Value) -> Seen<K>
where
    K: Resource<DynamicType = ()> + serde::de::DeserializeOwned,
{
    serde_json::from_value(kind.clone()).unwrap()
}

fn with(mut object: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        match object.pointer_mut(parent).unwrap() {
            Value::Array(items) => items[last.parse::<usize>().unwrap()] = value.clone(),
            fields => fields[last.replace("~1", "/")] = value.clone(),
        }
    }
    object
}

fn meta(name: &str) -> Value {
    json!({"name": name, "namespace": "team", "uid": format!("uid-{name}"), "generation": 1, "annotations": {}})
}

fn instance() -> Value {
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    json!({
        "metadata": meta("ada"),
        "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": "main"}},
        "status": {"templateRevision": "r1", "observedGeneration": 1, "conditions": [
            condition("Ready", "True", "Ready"),
            condition("Synced", "True", "Current"),
            condition("TemplateSynced", "True", "Current"),
        ]},
    })
}

fn template() -> Value {
    let ready = json!({"type": "Ready", "status": "True", "reason": "Ready", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    json!({
        "metadata": meta("t"),
        "spec": {"runtime": {"image": "ghcr.io/acme/agent:1"}},
        "status": {"revision": "r1", "observedGeneration": 1, "instances": 1, "conditions": [ready]},
    })
}

fn account() -> Value {
    let ready = json!({"type": "Ready", "status": "True", "reason": "Ready", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let mut meta = meta("main");
    meta.as_object_mut().unwrap().remove("namespace");
    json!({
        "metadata": meta,
        "spec": {"railway": {"workspaceId": "w", "tokenSecretRefs": [{"name": "s", "key": "k"}]}},
        "status": {"conditions": [ready]},
    })
}

fn turned<K>(before: Option<Value>, after: Option<Value>) -> Turned<K>
where
    K: Resource<DynamicType = ()> + serde::de::DeserializeOwned,
{
    Turned {
        before: before.map(|one| object(&one)),
        after: after.map(|one| object(&one)),
        live: true,
    }
}

/// What changes, the changes by their places, and who is woken.
type Row<'a> = (&'a str, &'a [(&'a str, Value)], &'a [&'a str]);

/// Who is woken, each as a word: `Person instance team/ada`.
fn woken(change: &Change) -> Vec<String> {
    fn full<K: Resource<DynamicType = ()> + Clone>(named: &Ref<K>) -> String {
        format!(
            "{}/{}",
            named.namespace.as_deref().unwrap_or("-"),
            named.name
        )
    }
    let told = |wake: Wake| {
        let whom = match &wake.whom {
            Whom::Instance(named) => format!("instance {}", full(named)),
            Whom::Template(named) => format!("template {}", full(named)),
            Whom::Account(name) => format!("account {name}"),
            Whom::Followers(named) => format!("followers {}", full(named)),
            Whom::Users(name) => format!("users {name}"),
            Whom::Unidentified(name) => format!("unidentified {name}"),
            Whom::Inhabitants(name) => format!("inhabitants {name}"),
            Whom::Placeless(name) => format!("placeless {name}"),
            Whom::RolledOutOver(name) => format!("rolled out over {name}"),
            Whom::Near(NearPool::Pool(named)) => format!("pool {}", full(named)),
            Whom::Near(NearPool::Claim(named)) => format!("claim {}", full(named)),
            Whom::Near(NearPool::ToldBy(named)) => format!("told by {}", full(named)),
            Whom::Near(NearPool::Waiting(named)) => format!("waiting at {}", full(named)),
            Whom::Near(NearPool::PoolsOf(named)) => format!("pools of {}", full(named)),
            Whom::Near(NearPool::PoolsOver(name)) => format!("pools over {name}"),
        };
        let soon = if wake.after.is_zero() { "" } else { " soon" };
        format!("{:?} {whom}{soon}", wake.rank)
    };
    news(change).into_iter().map(told).collect()
}

fn assert_wakes(what: &str, change: &Change, expected: &[&str]) {
    assert_eq!(woken(change), expected, "{what}");
}

const SELF: &str = "Person instance team/ada";
const ITS_TEMPLATE: &str = "News template team/t soon";

#[test]
fn an_instance_wakes_itself_by_what_people_change_and_its_template_by_what_a_rollout_sees() {
    let waits = json!({"type": "TemplateSynced", "status": "False", "reason": "Outdated", "message": "waits",
        "lastTransitionTime": "2026-01-02T00:00:00Z"});
    let rows: [Row; 11] = [
        ("nothing", &[], &[]),
        (
            "another version",
            &[("/metadata/resourceVersion", json!("2"))],
            &[],
        ),
        (
            "its spec",
            &[
                ("/metadata/generation", json!(2)),
                ("/spec/updatePolicy", json!("Manual")),
            ],
            &[SELF, ITS_TEMPLATE],
        ),
        (
            "an annotation",
            &[("/metadata/annotations/a", json!("b"))],
            &[SELF],
        ),
        (
            "it is being deleted",
            &[("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"))],
            &[SELF, ITS_TEMPLATE],
        ),
        (
            "its finalizer",
            &[("/metadata/finalizers", json!(["yardmaster.dev/teardown"]))],
            &[],
        ),
        (
            "it is ready no longer",
            &[("/status/conditions/0/status", json!("False"))],
            &[ITS_TEMPLATE],
        ),
        (
            "it runs another revision",
            &[("/status/templateRevision", json!("r2"))],
            &[ITS_TEMPLATE],
        ),
        (
            "it waits for its turn",
            &[
                ("/status/conditions/2", waits),
                ("/status/observedGeneration", json!(2)),
            ],
            &[],
        ),
        (
            "it was passed over",
            &[("/status/conditions/2/reason", json!("PassedOver"))],
            &[ITS_TEMPLATE],
        ),
        (
            "another sentence",
            &[("/status/conditions/0/message", json!("since noon"))],
            &[],
        ),
    ];
    for (what, changes, expected) in rows {
        let after = with(instance(), changes);
        let change = Change::Instance(turned(Some(instance()), Some(after)));
        assert_wakes(what, &change, expected);
    }
    let new = Change::Instance(turned(None, Some(instance())));
    assert_wakes("new", &new, &[SELF, ITS_TEMPLATE]);
    let gone = Change::Instance(turned(Some(instance()), None));
    assert_wakes("gone", &gone, &[SELF, ITS_TEMPLATE]);
    let unreadable = with(instance(), &[("/spec/operatingMode", json!("Flying"))]);
    let unreadable = Change::Instance(turned(Some(instance()), Some(unreadable)));
    assert_wakes("unreadable", &unreadable, &[SELF, ITS_TEMPLATE]);
}

#[test]
fn a_template_wakes_its_instances_by_what_they_follow_and_when_it_is_gone() {
    let (own, followers) = ("Person template team/t", "Fleet followers team/t");
    let (told, pools) = ("News told by team/t", "News pools of team/t");
    let rows: [Row; 7] = [
        ("nothing", &[], &[]),
        ("its counts", &[("/status/instances", json!(7))], &[]),
        (
            "its spec",
            &[("/metadata/generation", json!(2))],
            &[own, told, followers, pools],
        ),
        (
            "an annotation",
            &[("/metadata/annotations/a", json!("b"))],
            &[own, told],
        ),
        (
            "it is paused",
            &[(
                "/metadata/annotations/yardmaster.dev~1paused",
                json!("true"),
            )],
            &[own, told, followers, pools],
        ),
        (
            "its revision",
            &[("/status/revision", json!("r2"))],
            &[followers, pools],
        ),
        (
            "it is ready no longer",
            &[("/status/conditions/0/status", json!("False"))],
            &[followers, pools],
        ),
    ];
    for (what, changes, expected) in rows {
        let after = with(template(), changes);
        let change = Change::Template(turned(Some(template()), Some(after)));
        assert_wakes(what, &change, expected);
    }
    let gone = Change::Template(turned(Some(template()), None));
    assert_wakes("gone", &gone, &[own, told, followers, pools]);
}

#[test]
fn an_account_wakes_its_users_by_its_spec_and_rollouts_by_whether_it_can_be_used() {
    let (own, users) = ("Person account main", "Fleet users main");
    let rollouts = "News rolled out over main";
    let pools = "News pools over main";
    let room = "Fleet pools over main";
    let rows: [Row; 6] = [
        ("nothing", &[], &[]),
        (
            "its spec",
            &[("/metadata/generation", json!(2))],
            &[own, users, room],
        ),
        (
            "it is paused, or not any more",
            &[
                ("/metadata/generation", json!(2)),
                ("/spec/paused", json!(true)),
            ],
            &[own, users, room],
        ),
        ("a word", &[("/metadata/annotations/a", json!("b"))], &[own]),
        (
            "it cannot be used",
            &[("/status/conditions/0/status", json!("False"))],
            &[rollouts, pools],
        ),
        (
            "its budget",
            &[("/status/budget", json!({"remaining": "many"}))],
            &[],
        ),
    ];
    for (what, changes, expected) in rows {
        let after = with(account(), changes);
        let change = Change::Account(turned(Some(account()), Some(after)));
        assert_wakes(what, &change, expected);
    }
    let gone = Change::Account(turned(Some(account()), None));
    assert_wakes("gone", &gone, &[own, users, room, rollouts, pools]);
}

#[test]
fn a_place_that_is_given_up_wakes_those_that_wait_for_one() {
    let entry = |slot: &str, state: &str| {
        json!({"origin": "Made", "slot": slot, "provider": "p", "account": "main", "state": state, "attempt": 1, "key": "k",
            "startedAt": "2026-01-01T00:00:00.000000Z"})
    };
    let waits = "News placeless main soon";
    for (before, after, wakes) in [
        (json!([entry("tool/llm", "Exists")]), json!([]), true),
        (
            json!([entry("project", "Creating")]),
            json!([entry("project", "Planned")]),
            true,
        ),
        (json!([entry("tool/llm", "Planned")]), json!([]), false),
        (
            json!([entry("tool/llm", "Exists")]),
            json!([entry("tool/llm", "Deleting")]),
            false,
        ),
        // It comes and goes with another.
        (json!([entry("service", "Exists")]), json!([]), false),
    ] {
        let with_ledger =
            |external: &Value| with(instance(), &[("/status/external", external.clone())]);
        let change = Change::Instance(turned(
            Some(with_ledger(&before)),
            Some(with_ledger(&after)),
        ));
        let woken = woken(&change).iter().any(|one| one == waits);
        assert_eq!(woken, wakes, "{before} {after}");
    }
    let gone = with(
        instance(),
        &[("/status/external", json!([entry("project", "Exists")]))],
    );
    let gone = Change::Instance(turned(Some(gone), None));
    assert!(woken(&gone).iter().any(|one| one == waits));
}

/// The variants of [`Change`], so that a new one is missed here.
fn variant(change: &Change) -> &'static str {
    match change {
        Change::Instance(_) => "Instance",
        Change::Template(_) => "Template",
        Change::Account(_) => "Account",
        Change::Pool(_) => "Pool",
        Change::Claim(_) => "Claim",
        Change::Shown(_) => "Shown",
        Change::Costs(_) => "Costs",
        Change::FirstRead(_) => "FirstRead",
        Change::Counted(_) => "Counted",
        Change::Room(_) => "Room",
        Change::PlaceFree(_) => "PlaceFree",
        Change::Outage(_) => "Outage",
        Change::Doubt(_) => "Doubt",
        Change::Usable(_) => "Usable",
        Change::Source(_) => "Source",
        Change::Labels(_) => "Labels",
        Change::Answered(_) => "Answered",
        Change::Values(_) => "Values",
        Change::Turn(_) => "Turn",
        Change::Swept(_) => "Swept",
        Change::Recovery(_) => "Recovery",
        Change::Restored(_) => "Restored",
        Change::Word(_) => "Word",
        Change::Neighbours(_) => "Neighbours",
    }
}

#[test]
fn every_other_change_wakes_those_whom_it_concerns() {
    let of_team = |name: &str| NamespacedName {
        namespace: "team".into(),
        name: name.into(),
    };
    let who = || of_team("ada");
    let named = || reference(&of_team("t"));
    let main = || "main".to_owned();
    let one = "News instance team/ada";
    let rows: [(Change, &[&str]); 22] = [
        (Change::Shown(vec![who()]), &[one]),
        (Change::Costs(vec![who()]), &["Fleet instance team/ada"]),
        (Change::FirstRead(main()), &["Fleet unidentified main"]),
        (
            Change::Counted(main()),
            &["News account main", "News placeless main soon"],
        ),
        (
            Change::Room(main()),
            &["Fleet users main", "Fleet pools over main"],
        ),
        (Change::PlaceFree(main()), &["News placeless main"]),
        (
            Change::Outage(main()),
            &["News account main", "Fleet users main"],
        ),
        (
            Change::Recovery(main()),
            &["News account main", "Fleet users main"],
        ),
        (Change::Doubt(main()), &["News account main"]),
        (Change::Usable(main()), &["Fleet users main"]),
        (Change::Source(Dependent::Instance(who())), &[one]),
        (
            Change::Source(Dependent::Template(of_team("t"))),
            &["News template team/t"],
        ),
        (
            Change::Source(Dependent::Account(main())),
            &["News account main"],
        ),
        (
            Change::Source(Dependent::Claim(of_team("c"))),
            &["News claim team/c"],
        ),
        (Change::Labels("team".into()), &["Fleet inhabitants team"]),
        (Change::Answered(named()), &["News template team/t"]),
        (Change::Values(named()), &["News template team/t"]),
        (Change::Turn(vec![who()]), &[one]),
        (Change::Swept(main()), &["News account main"]),
        (Change::Restored(main()), &["News account main"]),
        (Change::Word(vec![who()]), &[one]),
        (
            Change::Neighbours(vec!["a".into(), "b".into()]),
            &["News account a", "News account b"],
        ),
    ];
    let mut seen = BTreeSet::from(["Instance", "Template", "Account", "Pool", "Claim"]);
    for (change, expected) in rows {
        assert_wakes(variant(&change), &change, expected);
        seen.insert(variant(&change));
    }
    assert_eq!(seen.len(), 24);
}

#[test]
fn an_instance_whose_ledger_forgets_something_looks_at_once() {
    let with = |external: Value| -> Seen<AgentInstance> {
        serde_json::from_value(json!({
            "metadata": {"name": "ada", "namespace": "n", "uid": "u"},
            "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": "a"}},
            "status": {"external": external},
        }))
        .unwrap()
    };
    let mut held = with(json!([]));
    let bare = held.clone();
    held.meta_mut().finalizers = Some(vec![FINALIZER.into()]);
    for (before, after, wakes) in [(&held, &bare, true), (&bare, &held, false)] {
        let turned = Turned {
            before: Some(before.clone()),
            after: Some(after.clone()),
            live: true,
        };
        let itself = |wake: &Wake| matches!(wake.whom, Whom::Instance(_));
        let woken = news(&Change::Instance(turned)).iter().any(itself);
        assert_eq!(woken, wakes, "the finalizer goes: {wakes}");
    }
    let entry = |id: Value| {
        json!({"origin": "Made", "slot": "project", "provider": "railway", "state": "Exists", "id": id,
            "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"})
    };
    for (before, after, wakes) in [
        (json!([]), json!([entry(json!(null))]), false),
        (
            json!([entry(json!(null))]),
            json!([entry(json!("p"))]),
            false,
        ),
        (
            json!([entry(json!("p"))]),
            json!([entry(json!("p"))]),
            false,
        ),
        (json!([entry(json!("p"))]), json!([entry(json!("q"))]), true),
        (json!([entry(json!("p"))]), json!([]), true),
    ] {
        let turned = Turned {
            before: Some(with(before)),
            after: Some(with(after.clone())),
            live: true,
        };
        let itself = |wake: &Wake| matches!(wake.whom, Whom::Instance(_));
        let woken = news(&Change::Instance(turned)).iter().any(itself);
        assert_eq!(woken, wakes, "{after}");
    }
}

fn pool() -> Value {
    json!({
        "metadata": meta("p"),
        "spec": {"templateRef": {"name": "t"}, "accountRefs": [{"name": "main"}]},
        "status": {"idle": 1},
    })
}

fn claim() -> Value {
    let bound = json!({"type": "Bound", "status": "False", "reason": "NoAgentFree", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    json!({
        "metadata": meta("c"),
        "spec": {"poolRef": {"name": "p"}, "agent": {"instructions": "x"}},
        "status": {"conditions": [bound]},
    })
}

#[test]
fn a_pool_wakes_those_who_wait_only_by_coming_and_going() {
    let (own, waiting) = ("Person pool team/p", "Fleet waiting at team/p");
    let rows: [Row; 4] = [
        ("nothing", &[], &[]),
        ("its counts", &[("/status/idle", json!(7))], &[]),
        ("its spec", &[("/metadata/generation", json!(2))], &[own]),
        (
            "it goes",
            &[("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"))],
            &[own, waiting],
        ),
    ];
    for (what, changes, expected) in rows {
        let after = with(pool(), changes);
        assert_wakes(
            what,
            &Change::Pool(turned(Some(pool()), Some(after))),
            expected,
        );
    }
    let new = Change::Pool(turned(None, Some(pool())));
    assert_wakes("new", &new, &[own, waiting]);
}

#[test]
fn a_claim_wakes_itself_and_its_pool_and_no_other_claim() {
    let (own, its_pool) = ("Person claim team/c", "Fleet pool team/p soon");
    let named = json!({"name": "i", "uid": "i"});
    let rows: [Row; 4] = [
        ("nothing", &[], &[]),
        (
            "a condition",
            &[("/status/conditions/0/reason", json!("PoolNotFound"))],
            &[],
        ),
        (
            "it is bound",
            &[("/status/instanceRef", named)],
            &[its_pool],
        ),
        (
            "it goes",
            &[("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"))],
            &[own, its_pool],
        ),
    ];
    for (what, changes, expected) in rows {
        let after = with(claim(), changes);
        assert_wakes(
            what,
            &Change::Claim(turned(Some(claim()), Some(after))),
            expected,
        );
    }
    let new = Change::Claim(turned(None, Some(claim())));
    assert_wakes("new", &new, &[own, its_pool]);
    let gone = Change::Claim(turned(Some(claim()), None));
    assert_wakes("gone", &gone, &[own, its_pool]);
}

#[test]
fn an_agent_of_a_pool_wakes_its_pool_and_what_others_do_to_it_its_claim() {
    let (its_pool, its_claim) = ("News pool team/p soon", "News claim team/c");
    let member = with(instance(), &[("/spec/poolRef", json!({"name": "p"}))]);
    let hold = |handed: Value| json!({"name": "c", "uid": "uid-c", "handedOverAt": handed});
    let taken = with(
        member.clone(),
        &[
            ("/spec/claimRef", hold(Value::Null)),
            ("/metadata/generation", json!(2)),
        ],
    );
    let handed = with(
        member.clone(),
        &[
            ("/spec/claimRef", hold(json!("2026-01-01T00:00:00.000000Z"))),
            ("/metadata/generation", json!(3)),
        ],
    );
    let own = "News instance team/ada soon";
    let goes = with(
        handed.clone(),
        &[("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"))],
    );
    let tools = json!([{"name": "llm", "type": "openrouter", "ready": true, "reason": "Ready"}]);
    let equipped = with(handed.clone(), &[("/status/tools", tools)]);
    let rows = [
        (
            "taken",
            Some(&member),
            Some(&taken),
            vec![own, its_pool, "News claim team/c soon"],
        ),
        (
            "handed over",
            Some(&taken),
            Some(&handed),
            vec![own, its_pool],
        ),
        (
            "given back",
            Some(&taken),
            Some(&member),
            vec![own, its_pool, its_claim],
        ),
        (
            "it has a tool",
            Some(&handed),
            Some(&equipped),
            vec![its_claim],
        ),
        (
            "it goes",
            Some(&handed),
            Some(&goes),
            vec![SELF, its_pool, its_claim, ITS_TEMPLATE],
        ),
        (
            "gone",
            Some(&goes),
            None,
            vec![SELF, its_pool, its_claim, ITS_TEMPLATE],
        ),
    ];
    for (what, before, after, expected) in rows {
        let change = Change::Instance(turned(before.cloned(), after.cloned()));
        assert_wakes(what, &change, &expected);
    }
}
