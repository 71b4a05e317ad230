//! What an account's owner leaves to its users: nothing is taken over that is not listed, and nothing is left behind where that
//! is forbidden; of what is refused nothing is asked or changed outside, and what was allowed stays as it was.

use super::adoption::adopting;
use super::scene::{Scene, second};
use super::tool_ends::told;
use crate::api::condition::{kind, reason};
use crate::api::instance::{AdoptTool, DeletionPolicy, UpdatePolicy};
use crate::api::template::ReclaimPolicy;
use crate::engine::world::ToolAccountView;
use crate::model::{InstallationId, Marker, Slot};
use jiff::SignedDuration;
use serde_json::json;

fn outside(scene: &Scene) -> String {
    format!("{:?} {:?}", scene.provider.projects, scene.shops.things)
}

/// Whether anything was asked or changed outside.
fn untouched(scene: &Scene) -> bool {
    let asked = [
        "Look", "Search", "LookTool", "FindTool", "MakeTool", "TakeTurn",
    ];
    asked.iter().all(|word| scene.effects(word) == 0)
        && scene.provider.counts.is_empty()
        && scene.shops.counts.is_empty()
}

fn adopted_id(scene: &Scene) -> String {
    let object = scene.object.as_ref().unwrap();
    object.spec.adopt.clone().unwrap().project_id.0
}

#[test]
fn what_the_account_does_not_list_is_not_asked_about_and_nobody_learns_whether_it_is_there() {
    type Spoil = fn(&mut Scene);
    let there: Spoil = |_| {};
    let nowhere: Spoil = |scene| {
        scene.edit(|object| object.spec.adopt.as_mut().unwrap().project_id.0 = "nope".into());
    };
    let anothers: Spoil = |scene| {
        let marker = Marker {
            installation: InstallationId("i-1".into()),
            namespace: "team-b".into(),
            name: "bob".into(),
            uid: "77".into(),
            slot: Slot::Project,
        };
        let at = scene.now - second(1);
        scene
            .provider
            .meddle(at, |all| all[0].description = marker.to_string());
    };
    let adopted: Spoil = |scene| scene.adopted_by = Some("team-b/bob".into());
    let mut sentences = Vec::new();
    for spoil in [there, nowhere, anothers, adopted] {
        for ownership in ["Dedicated", "Shared"] {
            for policy in [UpdatePolicy::Manual, UpdatePolicy::Automatic] {
                let mut scene = adopting(ownership, policy);
                spoil(&mut scene);
                scene.unlisted.insert(adopted_id(&scene));
                let before = outside(&scene);
                scene.settle();
                scene.run_for(SignedDuration::from_mins(20));
                let told = told(&scene);
                assert_eq!(
                    scene.reason(kind::STALLED),
                    Some(reason::ADOPTION_NOT_ALLOWED),
                    "{told}"
                );
                sentences.push(scene.message(kind::STALLED).to_owned());
                assert!(untouched(&scene), "{told}");
                assert_eq!(scene.effects("MintToken"), 0, "{told}");
                scene.delete();
                scene.settle();
                assert!(scene.object.is_none() && untouched(&scene), "{told}");
                assert_eq!(outside(&scene), before, "{told}");
            }
        }
    }
    sentences.dedup();
    assert_eq!(sentences.len(), 1, "{sentences:?}");
    for part in ["spec.adoption", "whoever runs Yardmaster"] {
        assert!(sentences[0].contains(part), "{sentences:?}");
    }
}

#[test]
fn one_that_is_listed_later_is_taken_over_and_stays_when_it_is_listed_no_more() {
    let mut scene = adopting("Dedicated", UpdatePolicy::Manual);
    scene.unlisted.insert(adopted_id(&scene));
    scene.settle();
    assert!(!scene.is(kind::READY), "{}", told(&scene));
    scene.unlisted.clear();
    scene.happened();
    scene.settle();
    assert!(scene.is(kind::READY), "{}", told(&scene));
    scene.unlisted.insert(adopted_id(&scene));
    scene.happened();
    scene.settle();
    scene.restart();
    scene.settle();
    assert!(
        scene.is(kind::READY) && !scene.is(kind::STALLED),
        "{}",
        told(&scene)
    );
    scene.edit(|object| object.spec.update_policy = UpdatePolicy::Automatic);
    scene.settle();
    assert_eq!(scene.count("deployment"), 1, "{}", told(&scene));
    scene.delete();
    scene.settle();
    assert!(
        scene.object.is_none() && scene.provider.projects[0].deleted,
        "{}",
        told(&scene)
    );
}

#[test]
fn a_listed_project_that_no_listing_shows_costs_no_request() {
    let mut scene = adopting("Dedicated", UpdatePolicy::Manual);
    scene.edit(|object| object.spec.adopt.as_mut().unwrap().project_id.0 = "nope".into());
    scene.settle();
    scene.run_for(SignedDuration::from_hours(1));
    assert_eq!(
        scene.reason(kind::STALLED),
        Some(reason::ADOPTION_FAILED),
        "{}",
        told(&scene)
    );
    assert!(untouched(&scene), "{}", told(&scene));
}

#[test]
fn a_tool_that_its_account_does_not_list_keeps_everything_as_it_is() {
    for ids in [["or-7", "ada@mail"], ["nope", "nobody@mail"]] {
        let mut scene = adopting("Dedicated", UpdatePolicy::Automatic).with_tools();
        scene
            .tools
            .retain(|one| ["llm", "mail"].contains(&one.name.as_str()));
        let tools: Vec<AdoptTool> = serde_json::from_value(json!([
            {"name": "llm", "id": ids[0]}, {"name": "mail", "id": ids[1]},
        ]))
        .unwrap();
        scene.edit(|object| object.spec.adopt.as_mut().unwrap().tools = tools);
        scene.unlisted.extend(ids.map(str::to_owned));
        let before = outside(&scene);
        scene.settle();
        scene.run_for(SignedDuration::from_mins(20));
        let told = told(&scene);
        assert_eq!(
            scene.reason(kind::STALLED),
            Some(reason::ADOPTION_NOT_ALLOWED),
            "{told}"
        );
        assert!(
            scene.message(kind::STALLED).contains("spec.adoption")
                && !scene.portrait().contains(ids[0]),
            "{told}"
        );
        assert!(untouched(&scene), "{told}");
        assert_eq!(outside(&scene), before, "{told}");
    }
}

fn retaining(policy: DeletionPolicy) -> impl Fn(&mut crate::api::AgentInstance) {
    move |object| object.spec.deletion_policy = policy
}

fn deny(scene: &mut Scene) {
    scene.denying.insert("main".into());
    let home = scene
        .object
        .as_ref()
        .unwrap()
        .spec
        .account_ref
        .name
        .0
        .clone();
    scene.denying.insert(home);
    scene.happened();
}

#[test]
fn who_would_leave_something_behind_gets_nothing_where_that_is_forbidden() {
    let mut scene = Scene::new();
    deny(&mut scene);
    scene.edit(retaining(DeletionPolicy::Retain));
    scene.settle();
    scene.run_for(SignedDuration::from_mins(20));
    assert_eq!(
        scene.reason(kind::STALLED),
        Some(reason::RETENTION_NOT_ALLOWED),
        "{}",
        told(&scene)
    );
    for field in ["spec.deletionPolicy", "spec.retention"] {
        assert!(scene.message(kind::STALLED).contains(field));
    }
    assert!(untouched(&scene), "{}", told(&scene));
    scene.edit(retaining(DeletionPolicy::Delete));
    scene.settle();
    assert!(
        scene.is(kind::READY) && !scene.is(kind::STALLED),
        "{}",
        told(&scene)
    );
}

#[test]
fn what_was_retained_by_leave_stays_when_that_is_forbidden_later() {
    let mut scene = Scene::new();
    scene.edit(retaining(DeletionPolicy::Retain));
    let mut scene = scene.rested();
    deny(&mut scene);
    scene.settle();
    assert!(!scene.is(kind::STALLED), "{}", told(&scene));
    scene.restart();
    scene.delete();
    scene.settle();
    let home = &scene.provider.projects[0];
    assert!(scene.object.is_none() && !home.deleted, "{}", told(&scene));
}

#[test]
fn nobody_comes_by_leave_once_it_is_forbidden_and_a_deletion_waits_for_a_person() {
    let mut scene = Scene::new().rested();
    deny(&mut scene);
    scene.edit(retaining(DeletionPolicy::Retain));
    scene.settle();
    // It runs on, and is told before anything is deleted.
    assert_eq!(
        scene.reason(kind::STALLED),
        Some(reason::RETENTION_NOT_ALLOWED),
        "{}",
        told(&scene)
    );
    let before = outside(&scene);
    scene.delete();
    scene.settle();
    scene.run_for(SignedDuration::from_mins(20));
    assert!(scene.object.is_some(), "{}", told(&scene));
    assert_eq!(
        scene.reason(kind::STALLED),
        Some(reason::RETENTION_NOT_ALLOWED),
        "{}",
        told(&scene)
    );
    assert_eq!(outside(&scene), before, "{}", told(&scene));
    scene.edit(retaining(DeletionPolicy::Delete));
    scene.settle();
    let home = &scene.provider.projects[0];
    assert!(scene.object.is_none() && home.deleted, "{}", told(&scene));
}

#[test]
fn a_wallet_at_an_account_that_forbids_it_does_not_rest_unless_it_did_before() {
    let bank = |reclaim: ReclaimPolicy| {
        let mut scene = Scene::new().with_tools();
        scene.tools.retain(|one| one.kind.provider() == "bankr");
        scene.tools[0].required = true;
        scene.tools[0].reclaim_policy = Some(reclaim);
        assert_eq!(scene.accounts.get("bankr"), Some(&ToolAccountView::Ready));
        scene
    };
    let mut scene = bank(ReclaimPolicy::Retain);
    scene.denying.insert("bankr".into());
    scene.settle();
    assert_eq!(
        scene.reason(kind::STALLED),
        Some(reason::RETENTION_NOT_ALLOWED),
        "{}",
        told(&scene)
    );
    assert!(untouched(&scene), "{}", told(&scene));
    scene.tools[0].reclaim_policy = Some(ReclaimPolicy::Delete);
    scene.happened();
    scene.settle();
    assert!(scene.is(kind::READY), "{}", told(&scene));
    // And to ask for rest afterwards is told, and in vain.
    scene.tools[0].reclaim_policy = Some(ReclaimPolicy::Retain);
    scene.happened();
    scene.settle();
    assert_eq!(
        scene.reason(kind::STALLED),
        Some(reason::RETENTION_NOT_ALLOWED),
        "{}",
        told(&scene)
    );
    scene.delete();
    scene.settle();
    assert!(scene.object.is_none(), "{}", told(&scene));
    assert!(scene.living().is_empty(), "{}", told(&scene));

    let mut scene = bank(ReclaimPolicy::Retain).rested();
    scene.denying.insert("bankr".into());
    scene.happened();
    scene.settle();
    assert!(!scene.is(kind::STALLED), "{}", told(&scene));
    scene.delete();
    scene.settle();
    let rests = scene
        .shops
        .things
        .iter()
        .any(|one| one.resting && !one.deleted);
    assert!(scene.object.is_none() && rests, "{}", told(&scene));
}
