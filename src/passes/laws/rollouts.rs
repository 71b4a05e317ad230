//! Rollouts: random fleets, whole fleets from beginning to end, and what an instance says of its own turn.

use super::scene::Scene;
use crate::api::AgentInstance;
use crate::api::condition::{Statement, conclude, find, is_true, kind, reason};
use crate::api::instance::UpdatePolicy;
use crate::api::template::{AgentTemplateStatus, ResolvedImage, Rollout};
use crate::api::text::{NameRef, Span};
use crate::api::updates::UpdateTo;
use crate::engine::rollout::{self, RolloutProgress, standing, turn};
use crate::engine::template::{self, Resolution};
use crate::engine::world::{AccountView, RolloutTurn};
use crate::model::{Answer, Health};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::ResourceExt;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn now() -> Timestamp {
    super::scene::start()
}

fn rollout(most: i32) -> Rollout {
    Rollout {
        max_unavailable: most,
        progress_deadline: Span::from("20m"),
    }
}

/// One of a fleet.
#[derive(Clone, Debug)]
struct Member {
    revision: u8,
    ready: bool,
    manual: bool,
    suspended: bool,
    attempt: i32,
    /// Minutes since its configuration was applied.
    since: i64,
}

fn member() -> impl Strategy<Value = Member> {
    (0u8..3, any::<bool>(), 0u8..6, 1i32..4, 0i64..19).prop_map(
        |(revision, ready, kind, attempt, since)| Member {
            revision,
            ready,
            manual: kind == 0,
            suspended: kind == 1,
            attempt,
            since,
        },
    )
}

fn object(number: usize, one: &Member) -> AgentInstance {
    let time = (now() - SignedDuration::from_mins(one.since)).to_string();
    let mut status = serde_json::json!({
        "conditions": [{
            "type": "Ready", "status": if one.ready { "True" } else { "False" }, "reason": "x",
            "message": "", "lastTransitionTime": "2027-01-01T00:00:00Z"
        }],
        "external": [{
            "origin": "Made", "slot": "configuration", "provider": "railway", "account": "main", "state": "Exists",
            "attempt": one.attempt, "startedAt": time
        }]
    });
    if one.revision > 0 {
        let revision = format!("r{}", one.revision);
        if one.attempt > 1 {
            let begun =
                serde_json::to_value(MicroTime(now() - SignedDuration::from_mins(one.since)));
            status["rollout"] = serde_json::json!({"revision": revision, "begunAt": begun.unwrap(), "served": true});
        }
        status["templateRevision"] = revision.into();
    }
    serde_json::from_value(serde_json::json!({
        "apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentInstance",
        "metadata": {"name": format!("a{number}"), "uid": format!("{:x}", number * 7919 % 97)},
        "spec": {
            "templateRef": {"name": "t"}, "accountRef": {"name": "main"},
            "updatePolicy": if one.manual { "Manual" } else { "Automatic" },
            "operatingMode": if one.suspended { "Suspended" } else { "Running" }
        },
        "status": status
    }))
    .unwrap()
}

fn stand(fleet: &[AgentInstance], most: i32) -> RolloutProgress {
    stand_at(fleet, most, "r2", now())
}

/// Where a rollout stands for everyone who sees these objects, in whichever order.
fn stand_at(fleet: &[AgentInstance], most: i32, revision: &str, now: Timestamp) -> RolloutProgress {
    let mut members: Vec<&AgentInstance> = fleet.iter().collect();
    let usable = |account: &str| account == "main";
    let first = standing(&rollout(most), revision, &members, &usable, now);
    members.reverse();
    assert_eq!(
        standing(&rollout(most), revision, &members, &usable, now),
        first
    );
    first
}

proptest! {
    #![proptest_config(super::seeded(64))]

    #[test]
    fn a_turn_follows_from_the_fleet_and_not_from_its_order(
        members in prop::collection::vec(member(), 0..12), most in 1i32..5, by in 0usize..12
    ) {
        let mut fleet: Vec<AgentInstance> = members.iter().enumerate().map(|(n, one)| object(n, one)).collect();
        let first = stand(&fleet, most);
        fleet.reverse();
        if !fleet.is_empty() {
            let by = by % fleet.len();
            fleet.rotate_left(by);
        }
        prop_assert_eq!(&stand(&fleet, most), &first);
        let of = |name: &String| &members[name[1..].parse::<usize>().unwrap()];
        // One that an update took down, as statuses of 0.1.0 tell it, is one of those who served.
        let served = |one: &Member| one.ready || one.attempt > 1;
        let serving = first.turn.iter().filter(|name| served(of(name))).count();
        prop_assert!(serving == 0 || first.under_way + serving <= most as usize);
        prop_assert!(first.turn.len() - serving <= most as usize);
        for name in &first.turn {
            prop_assert!(!of(name).manual && !of(name).suspended && of(name).revision == 1);
            let object = fleet.iter().find(|one| one.name_any() == *name).unwrap();
            prop_assert_eq!(turn(&first, object), RolloutTurn::Yes);
        }
        // Those that serve nobody come first.
        let ready: Vec<bool> = first.turn.iter().map(|name| of(name).ready).collect();
        prop_assert!(ready.is_sorted());
    }
}

#[test]
fn a_whole_rollout_never_takes_more_than_it_may() {
    for most in 1..4 {
        let old = Member {
            revision: 1,
            ready: true,
            manual: false,
            suspended: false,
            attempt: 1,
            since: 90,
        };
        let mut members = vec![old; 9];
        members[3].manual = true;
        members[5].suspended = true;
        members[7].ready = false;
        let mut order = Vec::new();
        for _ in 0..30 {
            let fleet: Vec<AgentInstance> = members
                .iter()
                .enumerate()
                .map(|(n, one)| object(n, one))
                .collect();
            let standing = stand(&fleet, most);
            let begun: Vec<usize> = standing
                .turn
                .iter()
                .map(|name| name[1..].parse().unwrap())
                .collect();
            for number in &begun {
                members[*number] = Member {
                    revision: 2,
                    ready: false,
                    attempt: 2,
                    since: 1,
                    ..members[*number].clone()
                };
            }
            order.extend(begun);
            let down = members
                .iter()
                .enumerate()
                .filter(|(number, one)| *number != 7 && one.revision == 2 && !one.ready)
                .count();
            assert!(down <= most as usize, "{down} of {most}");
            // One after the other gets ready.
            if let Some(one) = members
                .iter_mut()
                .find(|one| one.revision == 2 && !one.ready)
            {
                one.ready = true;
            }
        }
        assert_eq!(order.first(), Some(&7), "the one that serves nobody first");
        assert_eq!(order.len(), 7, "{order:?}");
        assert!(!order.contains(&3) && !order.contains(&5), "{order:?}");
    }
}

#[test]
fn one_that_does_not_get_ready_stops_the_rollout() {
    let old = Member {
        revision: 1,
        ready: true,
        manual: false,
        suspended: false,
        attempt: 1,
        since: 90,
    };
    let bad = Member {
        revision: 2,
        ready: false,
        attempt: 2,
        since: 20,
        ..old.clone()
    };
    for (since, stops) in [(19, false), (20, true), (600, true)] {
        let fleet = [
            object(0, &old),
            object(
                1,
                &Member {
                    since,
                    ..bad.clone()
                },
            ),
            object(2, &old),
        ];
        let standing = stand(&fleet, 3);
        let failed = standing
            .failed
            .as_ref()
            .map(|failure| failure.name.as_str());
        assert_eq!(failed, stops.then_some("a1"), "{since}");
        assert_eq!(standing.turn.is_empty(), stops, "{since}");
        let expected = if stops {
            RolloutTurn::Stopped {
                because: "a1".into(),
            }
        } else {
            RolloutTurn::Yes
        };
        assert_eq!(turn(&standing, &fleet[0]), expected);
    }
    // A first deployment that fails is no update, and a corrected template is a new revision: both stop nothing.
    let first = Member {
        attempt: 1,
        ..bad.clone()
    };
    let other = Member { revision: 1, ..bad };
    for harmless in [first, other] {
        let standing = stand(&[object(0, &old), object(1, &harmless)], 1);
        assert_eq!(standing.failed, None, "{harmless:?}");
        assert_eq!(standing.turn.len(), 1, "{harmless:?}");
    }
}

/// What an instance is like in a rollout in which the template itself is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    /// Ready, and ready again so many minutes after it was begun.
    Good(i64),
    /// Down by a variable of its own, at every revision; whether its process ends, or it is silent for ever.
    Broken { crashes: bool },
    /// A reference of its own is missing until this minute.
    Lacks(i64),
    /// Its account cannot be used until this minute.
    Closed(i64),
    /// Takes no part.
    Manual,
}

fn nature() -> impl Strategy<Value = Nature> {
    prop_oneof![
        4 => (1i64..4).prop_map(Nature::Good),
        2 => any::<bool>().prop_map(|crashes| Nature::Broken { crashes }),
        1 => (0i64..40).prop_map(Nature::Lacks),
        1 => Just(Nature::Lacks(i64::MAX)),
        1 => (0i64..40).prop_map(Nature::Closed),
        1 => Just(Nature::Closed(i64::MAX)),
        1 => Just(Nature::Manual),
    ]
}

impl Nature {
    fn serves(self) -> bool {
        !matches!(self, Nature::Broken { .. })
    }

    fn moves(self, minute: i64) -> bool {
        match self {
            Nature::Good(_) | Nature::Broken { .. } => true,
            Nature::Lacks(until) | Nature::Closed(until) => minute >= until,
            Nature::Manual => false,
        }
    }
}

fn say(one: &mut AgentInstance, statements: &[Statement], now: Timestamp) {
    let status = one.status.as_mut().unwrap();
    let mut all: Vec<Statement> = status
        .conditions
        .iter()
        .filter(|old| !statements.iter().any(|new| new.kind == old.type_))
        .map(|old| Statement {
            kind: [kind::READY, kind::STALLED, kind::TEMPLATE_SYNCED]
                .into_iter()
                .find(|known| *known == old.type_)
                .unwrap(),
            status: if old.status == "True" {
                "True"
            } else {
                "False"
            },
            reason: if old.reason == reason::PASSED_OVER {
                reason::PASSED_OVER
            } else {
                reason::PENDING
            },
            message: String::new(),
            since: None,
        })
        .collect();
    all.extend(statements.iter().cloned());
    status.conditions = conclude(&status.conditions, &all, None, now);
}

proptest! {
    #![proptest_config(super::seeded(96))]

    /// In any mix everyone who can move is moved, those who serve within a number of minutes that their own number
    /// gives, whoever else is broken or cannot move; and no more of them are down at once than may be.
    #[test]
    fn everyone_who_can_move_is_moved_and_nobody_is_waited_for(
        natures in prop::collection::vec(nature(), 1..14), most in 1i32..4
    ) {
        let mut fleet: Vec<AgentInstance> = natures.iter().enumerate().map(|(number, nature)| {
            let mut one = object(number, &Member {
                revision: 1, ready: nature.serves(), manual: *nature == Nature::Manual, suspended: false, attempt: 1, since: 90,
            });
            if matches!(nature, Nature::Closed(_)) {
                one.spec.account_ref.name = "closed".into();
            }
            one
        }).collect();
        let mut begun: Vec<Option<i64>> = vec![None; natures.len()];
        let serving = natures.iter().filter(|nature| nature.serves()).count() as i64;
        let (mut served_since, mut last_help) = (0, 0);
        for minute in 0..22 * 14 + 45 {
            let now = now() + SignedDuration::from_mins(minute);
            for (number, nature) in natures.iter().enumerate() {
                let one = &mut fleet[number];
                if matches!(nature, Nature::Closed(until) if *until == minute) {
                    one.spec.account_ref.name = "main".into();
                    last_help = minute;
                }
                if matches!(nature, Nature::Lacks(until) if *until == minute) {
                    last_help = minute;
                }
                let Some(since) = begun[number] else { continue };
                match nature {
                    Nature::Broken { crashes: true } if minute > since => {
                        say(one, &[Statement::yes(kind::STALLED, reason::CRASHED, "")], now);
                    }
                    Nature::Broken { .. } => {}
                    Nature::Good(boot) if minute - since < *boot => {}
                    _ => {
                        say(one, &[Statement::yes(kind::READY, reason::READY, "")], now);
                        rollout::over(one.status.as_mut().unwrap());
                    }
                }
            }
            // Every pass that somebody is woken for in this minute, until nothing changes.
            loop {
                let standing = stand_at(&fleet, most, "r2", now);
                prop_assert_eq!(&standing.failed, &None);
                let mut changed = false;
                for (number, nature) in natures.iter().enumerate() {
                    let one = &mut fleet[number];
                    if one.status.as_ref().unwrap().template_revision.as_deref() == Some("r2") {
                        continue;
                    }
                    let synced = |reason| Statement::no(kind::TEMPLATE_SYNCED, reason, "");
                    match (turn(&standing, one), nature.moves(minute)) {
                        (RolloutTurn::Yes, true) => {
                            let status = one.status.as_mut().unwrap();
                            status.rollout = Some(rollout::taking(status, "r2", false, now));
                            status.template_revision = Some("r2".into());
                            status.conditions.retain(|said| said.type_ != kind::STALLED);
                            say(one, &[Statement::no(kind::READY, reason::DEPLOYING, "")], now);
                            begun[number] = Some(minute);
                            changed = true;
                        }
                        (RolloutTurn::Yes, false) => {
                            prop_assert!(matches!(nature, Nature::Lacks(_)), "{nature:?}");
                            say(one, &[synced(reason::PASSED_OVER)], now);
                            changed = true;
                        }
                        (RolloutTurn::Passed, true) => {
                            say(one, &[synced(reason::OUTDATED)], now);
                            changed = true;
                        }
                        _ => {}
                    }
                }
                if !changed {
                    break;
                }
            }
            let down = natures.iter().enumerate().filter(|(number, nature)| {
                let status = fleet[*number].status.as_ref().unwrap();
                nature.serves() && begun[*number].is_some() && !is_true(&status.conditions, kind::READY)
            });
            prop_assert!(down.count() <= most as usize);
            let due = natures.iter().enumerate().any(|(number, nature)| {
                nature.serves() && nature.moves(minute) && begun[number].is_none()
            });
            if !due {
                served_since = minute + 1;
            }
            prop_assert!(minute - served_since.max(last_help) <= 4 * serving, "minute {minute}: {natures:?} {begun:?}");
        }
        for (number, nature) in natures.iter().enumerate() {
            let forever = matches!(nature, Nature::Lacks(i64::MAX) | Nature::Closed(i64::MAX) | Nature::Manual);
            prop_assert_eq!(begun[number].is_some(), !forever, "{}: {:?}", number, nature);
        }
        let standing = stand_at(&fleet, most, "r2", now() + SignedDuration::from_hours(48));
        let count = |is: fn(&Nature) -> bool| natures.iter().filter(|nature| is(nature)).count();
        prop_assert_eq!(standing.down.len(), count(|nature| !nature.serves()));
        prop_assert_eq!(standing.held, count(|nature| *nature == Nature::Manual));
        prop_assert_eq!(standing.passed.len(), count(|nature| matches!(nature, Nature::Lacks(i64::MAX) | Nature::Closed(i64::MAX))));
        prop_assert_eq!(standing.rolled_out(), standing.down.is_empty() && standing.passed.is_empty());
    }
}

/// A scene in which the agent is ready at the second revision, brought there by a rollout.
fn rolled() -> Scene {
    let mut scene = Scene::new().rested();
    scene.revise("2");
    scene.settle();
    scene
}

/// The rollout as it stands for the scene's instance and another one, both of one template.
fn beside(scene: &Scene, revision: &str, later: SignedDuration) -> RolloutProgress {
    let fleet = [scene.object.clone().unwrap()];
    stand_at(&fleet, 1, revision, scene.now + later)
}

const LATER: SignedDuration = SignedDuration::from_hours(1);

/// A member that is ready at the first revision.
fn good() -> Member {
    Member {
        revision: 1,
        ready: true,
        manual: false,
        suspended: false,
        attempt: 1,
        since: 90,
    }
}

#[test]
fn one_that_was_suspended_from_birth_keeps_no_rollout_from_its_end() {
    let current = Member {
        revision: 2,
        ..good()
    };
    let unborn = Member {
        revision: 0,
        ready: false,
        suspended: true,
        ..good()
    };
    let standing = stand(&[object(0, &current), object(1, &unborn)], 1);
    assert_eq!((standing.held, standing.coming), (1, 0));
    assert!(standing.rolled_out());
    let coming = Member {
        suspended: false,
        ..unborn
    };
    assert!(!stand(&[object(0, &current), object(1, &coming)], 1).rolled_out());
}

#[test]
fn one_that_was_restored_and_waits_for_a_word_is_passed_and_stops_nothing() {
    for why in [
        reason::RESTORED_ELSEWHERE,
        reason::IDENTITY_UNCLEAR,
        reason::IDENTITY_TAKEN,
    ] {
        // First in the order of turns: not ready, and begun before.
        let taken_down = Member {
            revision: 1,
            ready: false,
            attempt: 2,
            since: 30,
            ..good()
        };
        for revision in [1, 2] {
            let mut restored = object(
                0,
                &Member {
                    revision,
                    ..taken_down.clone()
                },
            );
            let status = restored.status.as_mut().unwrap();
            let said = [Statement::unknown(
                kind::TEMPLATE_SYNCED,
                why,
                "not looked at",
            )];
            let mut conditions = conclude(&status.conditions, &said, None, now());
            status.conditions.append(&mut conditions);
            let standing = stand(&[restored, object(1, &good())], 1);
            assert_eq!(standing.turn, ["a1"], "{why}");
            assert_eq!(standing.passed.len() + standing.down.len(), 1, "{why}");
            assert_eq!(standing.failed, None, "{why}");
        }
    }
}

#[test]
fn a_variable_of_its_own_that_comes_with_a_revision_stops_no_rollout() {
    let mut scene = rolled();
    scene.ready_template().turn = RolloutTurn::Wait;
    scene.revise("3");
    scene.set_env("broken");
    scene.settle();
    scene.agent = Health::NotReady(Answer::Status(503));
    scene.ready_template().turn = RolloutTurn::Yes;
    scene.happened();
    scene.run_for(SignedDuration::from_mins(1));
    // It served, and so it takes a place of those that may be down.
    let standing = beside(&scene, "r3", SignedDuration::ZERO);
    assert_eq!(standing.under_way, 1);
    assert!(standing.deadline.is_some());
    let fleet = [scene.object.clone().unwrap(), object(1, &good())];
    let beside_it = stand_at(&fleet, 1, "r3", scene.now);
    assert!(beside_it.turn.is_empty(), "{beside_it:?}");
    scene.run_for(LATER);
    let standing = beside(&scene, "r3", SignedDuration::ZERO);
    assert_eq!((standing.failed, standing.down), (None, vec!["ada".into()]));
    // Nor does it stop the next one.
    scene.revise("4");
    scene.run_for(LATER);
    let standing = beside(&scene, "r4", SignedDuration::ZERO);
    assert_eq!((standing.failed, standing.down), (None, vec!["ada".into()]));
}

#[test]
fn an_account_that_is_out_in_mid_update_stops_no_rollout() {
    let mut scene = rolled();
    scene.agent = Health::NotReady(Answer::Status(503));
    scene.revise("3");
    scene.run_for(SignedDuration::from_mins(1));
    assert_eq!(beside(&scene, "r3", SignedDuration::ZERO).under_way, 1);
    let account = std::mem::replace(&mut scene.account, AccountView::Unreachable);
    scene.happened();
    scene.run_for(LATER);
    let fleet = [scene.object.clone().unwrap()];
    let members: Vec<&AgentInstance> = fleet.iter().collect();
    let out = standing(&rollout(1), "r3", &members, &|_| false, scene.now);
    assert_eq!((out.failed, out.down), (None, vec!["ada".into()]));
    // It is back, and the agent was not looked at yet; then it has all its time, and no more.
    assert_eq!(beside(&scene, "r3", SignedDuration::ZERO).failed, None);
    scene.account = account;
    scene.happened();
    scene.run_for(SignedDuration::from_mins(5));
    let now = beside(&scene, "r3", SignedDuration::ZERO);
    assert_eq!((now.failed, now.under_way), (None, 1));
    scene.run_for(LATER);
    assert!(beside(&scene, "r3", SignedDuration::ZERO).failed.is_some());
}

#[test]
fn an_outage_of_whose_end_nobody_is_told_takes_no_turn_from_an_agent_at_rest() {
    let mut scene = rolled();
    let account = std::mem::replace(&mut scene.account, AccountView::Unreachable);
    scene.revise("3");
    scene.visit();
    // It began and ended between two readings of the account.
    scene.account = account;
    scene.run_for(SignedDuration::from_mins(5));
    let status = scene.object.as_ref().unwrap().status.clone().unwrap();
    assert_eq!(status.template_revision.as_deref(), Some("r3"));
}

#[test]
fn an_agent_that_its_own_variable_broke_fails_no_rollout_and_no_later_one() {
    let mut scene = rolled();
    scene.agent = Health::NotReady(Answer::Status(503));
    scene.set_env("broken");
    scene.run_for(LATER);
    let status = scene.object.as_ref().unwrap().status.clone().unwrap();
    assert!(!is_true(&status.conditions, kind::READY));
    let standing = beside(&scene, "r2", SignedDuration::ZERO);
    assert_eq!((standing.failed, standing.under_way), (None, 0));
    assert_eq!(standing.down, ["ada"]);

    scene.revise("3");
    scene.run_for(LATER);
    let status = scene.object.as_ref().unwrap().status.clone().unwrap();
    assert_eq!(status.template_revision.as_deref(), Some("r3"));
    let standing = beside(&scene, "r3", SignedDuration::ZERO);
    assert_eq!((standing.failed, standing.under_way), (None, 0));
    assert_eq!(standing.down, ["ada"]);

    // Ready again, it is one of those whose failure counts.
    scene.agent = Health::Ready { version: None };
    scene.set_env("good");
    scene.settle();
    scene.agent = Health::NotReady(Answer::Status(503));
    scene.revise("4");
    scene.run_for(LATER);
    let failure = beside(&scene, "r4", SignedDuration::ZERO).failed.unwrap();
    assert_eq!(
        (failure.name.as_str(), failure.reason.as_str()),
        ("ada", reason::STARTUP_DEADLINE_EXCEEDED)
    );
}

#[test]
fn an_agent_that_a_revision_took_down_counts_at_the_next_until_it_is_ready_or_takes_no_part() {
    let mut scene = rolled();
    scene.agent = Health::NotReady(Answer::Status(503));
    for revision in ["r3", "r4"] {
        scene.revise(&revision[1..]);
        scene.run_for(SignedDuration::from_mins(5));
        assert_eq!(beside(&scene, revision, SignedDuration::ZERO).under_way, 1);
        assert!(
            beside(&scene, revision, LATER).failed.is_some(),
            "{revision}"
        );
    }
    scene.edit(|object| object.spec.update_policy = UpdatePolicy::Manual);
    scene.run_for(SignedDuration::from_mins(1));
    let standing = beside(&scene, "r4", LATER);
    assert_eq!((standing.failed, standing.held), (None, 1));
}

#[test]
fn one_whose_turn_it_is_and_that_cannot_take_it_says_so_once_and_waits_again_when_it_can() {
    let mut scene = Scene::new().rested();
    scene.broken = Some((
        reason::REFERENCE_NOT_FOUND,
        "Secret own does not exist".into(),
    ));
    scene.revise("2");
    scene.settle();
    let said = |scene: &Scene| {
        let status = scene.object.as_ref().unwrap().status.clone().unwrap();
        let found = find(&status.conditions, kind::TEMPLATE_SYNCED).cloned();
        found.map(|found| (found.reason, found.message)).unwrap()
    };
    let (why, message) = said(&scene);
    assert_eq!(why, reason::PASSED_OVER);
    assert!(message.contains("Secret own does not exist"), "{message}");
    let standing = beside(&scene, "r2", SignedDuration::ZERO);
    assert_eq!(
        (standing.passed, standing.turn.len()),
        (vec!["ada".to_owned()], 0)
    );

    scene.ready_template().turn = RolloutTurn::Passed;
    let writes = scene.effects("Persist");
    scene.happened();
    scene.settle();
    assert_eq!(scene.effects("Persist"), writes, "it is said once");

    scene.broken = None;
    scene.happened();
    scene.settle();
    assert_eq!(said(&scene).0, reason::OUTDATED);
    assert_eq!(beside(&scene, "r2", SignedDuration::ZERO).turn, ["ada"]);
    scene.ready_template().turn = RolloutTurn::Yes;
    scene.happened();
    scene.settle();
    assert_eq!(said(&scene).0, reason::CURRENT);
}

#[test]
fn a_template_says_how_far_its_rollout_is_and_each_news_once() {
    let good = Member {
        revision: 1,
        ready: true,
        manual: false,
        suspended: false,
        attempt: 1,
        since: 90,
    };
    let mut fleet = vec![good; 3];
    let mut status = AgentTemplateStatus::default();
    let mut heard = Vec::new();
    let mut told = |fleet: &[Member]| {
        let objects: Vec<AgentInstance> = fleet
            .iter()
            .enumerate()
            .map(|(number, one)| object(number, one))
            .collect();
        let mut object: crate::api::AgentTemplate = crate::api::AgentTemplate::new(
            "t",
            serde_json::from_value(serde_json::json!({"runtime": {"image": "i:1"}})).unwrap(),
        );
        object.status = Some(status.clone());
        let known = Resolution::Known {
            image: ResolvedImage {
                requested: "i:1".into(),
                digest: "sha256:1".into(),
            },
            revision: "r2".into(),
        };
        let new = template::status(&object, &known, &stand(&objects, 1), None, now());
        let news: BTreeSet<_> = template::news(&status, &new)
            .iter()
            .map(|one| one.reason)
            .collect();
        status = new;
        heard.push(news);
        let said = |kind| {
            let found = find(&status.conditions, kind).unwrap();
            (
                found.status.clone(),
                found.reason.clone(),
                found.message.clone(),
            )
        };
        (
            said(kind::ROLLED_OUT),
            said(kind::READY),
            status.updated_instances,
        )
    };
    let (rolled, ready, updated) = told(&fleet);
    assert_eq!(
        (rolled.0.as_str(), rolled.1.as_str()),
        ("False", reason::ROLLING_OUT)
    );
    assert!(rolled.2.starts_with("0 of 3 instances"), "{}", rolled.2);
    assert_eq!((ready.0.as_str(), updated), ("True", Some(0)));
    fleet[1] = Member {
        revision: 2,
        ready: false,
        attempt: 2,
        since: 5,
        ..fleet[1].clone()
    };
    assert!(
        told(&fleet)
            .0
            .2
            .contains("1 are being updated; 2 wait for their turn")
    );
    // It stops, and Ready stays True for those who wait for it.
    fleet[1].since = 30;
    let (rolled, ready, _) = told(&fleet);
    assert_eq!(
        (rolled.0.as_str(), rolled.1.as_str()),
        ("False", reason::ROLLOUT_STOPPED)
    );
    assert_eq!(
        (ready.0.as_str(), ready.1.as_str()),
        ("True", reason::ROLLOUT_STOPPED)
    );
    for one in &mut fleet {
        (one.revision, one.ready) = (2, true);
    }
    let (rolled, ready, updated) = told(&fleet);
    assert_eq!(
        (rolled.0.as_str(), rolled.1.as_str()),
        ("True", reason::ROLLED_OUT)
    );
    assert!(rolled.2.starts_with("3 of 3 instances"), "{}", rolled.2);
    assert_eq!((ready.1.as_str(), updated), (reason::READY, Some(3)));
    // What goes down later, and comes up again, is no news of a rollout.
    fleet[0].ready = false;
    fleet[0].attempt = 1;
    assert_eq!(told(&fleet).0.0, "False");
    fleet[0].ready = true;
    told(&fleet);
    let expected: [BTreeSet<&str>; 6] = [
        [reason::READY, reason::ROLLING_OUT].into(),
        BTreeSet::new(),
        [reason::ROLLOUT_STOPPED].into(),
        [reason::ROLLED_OUT].into(),
        BTreeSet::new(),
        BTreeSet::new(),
    ];
    assert_eq!(heard, expected);
}

#[test]
fn a_pools_idle_agent_takes_what_its_pool_asks_for_and_a_claims_agent_nothing() {
    let asked = |claimed: bool| {
        let mut scene = Scene::new().rested();
        scene.edit(|object| {
            object.spec.update_policy = UpdatePolicy::Manual;
            object.spec.pool_ref = Some(NameRef { name: "p".into() });
        });
        scene.revise("2");
        scene.settle();
        let revision = |scene: &Scene| {
            let status = scene.object.as_ref().unwrap().status.clone().unwrap();
            let said = find(&status.conditions, kind::TEMPLATE_SYNCED).cloned();
            (status.template_revision, said.map(|said| said.reason))
        };
        let old = (
            Some("r1".to_owned()),
            Some(reason::OUTDATED_MANUAL.to_owned()),
        );
        assert_eq!(revision(&scene), old);
        // Of another revision than the template's it is asked in vain.
        for to in ["r9", "r2"] {
            scene.edit(|object| {
                let (revision, since) = (to.to_owned(), MicroTime(Timestamp::UNIX_EPOCH));
                object.spec.update_to = Some(UpdateTo { revision, since });
                let claim = serde_json::json!({"name": "c", "uid": "u"});
                object.spec.claim_ref = claimed.then(|| serde_json::from_value(claim).unwrap());
            });
            scene.settle();
            if claimed || to == "r9" {
                assert_eq!(revision(&scene), old, "{claimed} {to}");
            }
        }
        revision(&scene).0
    };
    assert_eq!(asked(false).as_deref(), Some("r2"));
    assert_eq!(asked(true).as_deref(), Some("r1"));
}
