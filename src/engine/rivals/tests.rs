//! Tests of `rivals`.

use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

fn instance(name: &str, at: i64, ownership: &str, service: &str) -> AgentInstance {
    let mut one = AgentInstance::new(
        name,
        serde_json::from_value(json!({
            "templateRef": {"name": "t"}, "accountRef": {"name": "a"},
            "adopt": {"projectId": "p", "serviceId": service, "environmentId": "e", "ownership": ownership},
        }))
        .unwrap(),
    );
    one.metadata.namespace = Some("n".into());
    one.metadata.uid = Some(name.into());
    one.metadata.creation_timestamp = Some(Time(Timestamp::from_second(at).unwrap()));
    one
}

fn recorded(mut one: AgentInstance) -> AgentInstance {
    one.status = Some(
        serde_json::from_value(json!({"external": [{
            "origin": "Made", "slot": "project", "provider": "railway", "state": "Exists", "id": "p", "attempt": 1,
            "startedAt": "2026-01-01T00:00:00.000000Z",
        }]}))
        .unwrap(),
    );
    one
}

fn with_tool(mut one: AgentInstance, id: &str) -> AgentInstance {
    if let Some(adopt) = &mut one.spec.adopt {
        adopt.tools = serde_json::from_value(json!([{"name": "llm", "id": id}])).unwrap();
    }
    one
}

#[test]
fn a_tool_is_adopted_by_the_older_of_two_and_not_where_it_is_on_record() {
    let tools: Vec<crate::api::template::ToolSpec> = serde_json::from_value(json!([
        {"name": "llm", "type": "openrouter", "accountRef": {"name": "o"}, "limitUSD": 1},
    ]))
    .unwrap();
    let of = |one: &AgentInstance, others: &[AgentInstance]| {
        let wanted = crate::engine::tools::wanted(&tools, one).0;
        rivals(one, &wanted, others.iter().chain([one])).len()
    };
    let old = with_tool(instance("a", 1, "Dedicated", "s"), "k");
    let young = with_tool(instance("b", 2, "Dedicated", "s"), "k");
    let other = with_tool(instance("c", 1, "Dedicated", "s"), "l");
    let all = [old.clone(), young.clone(), other.clone()];
    assert_eq!(
        [of(&old, &all), of(&young, &all), of(&other, &all)],
        [0, 1, 0]
    );
    let mut going = old.clone();
    going.metadata.deletion_timestamp = going.metadata.creation_timestamp.clone();
    assert_eq!(of(&young, std::slice::from_ref(&going)), 0);
    going.status = Some(
        serde_json::from_value(json!({"external": [{
            "origin": "Made", "slot": "tool/llm", "provider": "openrouter", "state": "Exists", "id": "k", "attempt": 1,
            "startedAt": "2026-01-01T00:00:00.000000Z",
        }]}))
        .unwrap(),
    );
    assert_eq!(of(&young, &[going]), 1, "on its way out it still has it");
}

fn rival_of(one: &AgentInstance, others: &[AgentInstance]) -> Option<String> {
    rival(one, others.iter().chain([one]))
}

#[test]
fn of_two_that_want_the_same_project_the_older_gets_it_and_then_the_name_decides() {
    let (a, b, c) = (
        instance("a", 2, "Dedicated", "s"),
        instance("b", 1, "Dedicated", "s"),
        instance("c", 1, "Dedicated", "s"),
    );
    let all = [a.clone(), b.clone(), c.clone()];
    assert_eq!(rival_of(&b, &all), None);
    assert_eq!(rival_of(&a, &all), Some("n/b".into()));
    assert_eq!(rival_of(&c, &all), Some("n/b".into()));
}

#[test]
fn what_is_on_record_wins_over_age_and_a_deletion_ends_a_wish() {
    let (old, mut young) = (
        instance("a", 1, "Dedicated", "s"),
        recorded(instance("b", 2, "Dedicated", "s")),
    );
    assert_eq!(
        rival_of(&old, std::slice::from_ref(&young)),
        Some("n/b".into())
    );
    // On its way out it still has it.
    young.metadata.deletion_timestamp = young.metadata.creation_timestamp.clone();
    assert_eq!(
        rival_of(&old, std::slice::from_ref(&young)),
        Some("n/b".into())
    );
    young.status = None;
    assert_eq!(
        rival_of(
            &instance("c", 3, "Dedicated", "s"),
            std::slice::from_ref(&young)
        ),
        None
    );
    // One that made the project itself has it, too.
    let mut maker = recorded(instance("m", 9, "Dedicated", "s"));
    maker.spec.adopt = None;
    assert_eq!(rival_of(&old, &[maker]), Some("n/m".into()));
}

#[test]
fn a_shared_project_is_held_service_by_service() {
    let one = recorded(instance("a", 1, "Shared", "s1"));
    let others = |service| instance("b", 2, "Shared", service);
    assert_eq!(rival_of(&others("s2"), std::slice::from_ref(&one)), None);
    assert_eq!(
        rival_of(&others("s1"), std::slice::from_ref(&one)),
        Some("n/a".into())
    );
    let all_of_it = instance("b", 2, "Dedicated", "s2");
    assert_eq!(rival_of(&all_of_it, &[one]), Some("n/a".into()));
}
