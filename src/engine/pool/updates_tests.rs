//! Which idle agents take a new revision, and when; and what a pool makes where its accounts are full or a claim asks for more.

use super::agent::{AskedUpdate, UpdateStage};
use super::tests::{FAILED, STUCK, agent, around, at, claimed, deleted, pool, says, word};
use super::*;
use crate::api::AgentInstance;
use crate::api::condition::{find, kind, reason};
use jiff::Span;
use serde_json::{Value, json};

fn rolling(rest: Value) -> AgentPool {
    let mut strategy = json!({"type": "RollingUpdate"});
    for (name, value) in rest.as_object().unwrap() {
        strategy[name] = value.clone();
    }
    pool(json!({"replicas": 8, "maxCreating": 10, "updateStrategy": strategy}))
}

/// Idle at an older revision, made so long after the others.
fn old(name: &str, made: i64) -> PoolAgent {
    PoolAgent {
        revision: Some("r0".to_owned()),
        current: false,
        made: at(made),
        ..agent(name, AgentStanding::Idle)
    }
}

fn eight() -> Vec<PoolAgent> {
    (0..8).map(|n| old(&format!("i{n}"), n)).collect()
}

fn asked(stage: UpdateStage, failed: Option<&str>) -> Option<AskedUpdate> {
    Some(AskedUpdate {
        revision: "r1".to_owned(),
        since: at(100),
        stage,
        failed: failed.map(str::to_owned),
    })
}

/// What was asked of it is under way.
fn updating(name: &str) -> PoolAgent {
    PoolAgent {
        standing: AgentStanding::Updating,
        revision: Some("r1".to_owned()),
        update: asked(UpdateStage::Taken, None),
        ..agent(name, AgentStanding::Idle)
    }
}

fn asks(plan: &PoolPlan) -> Vec<(&str, Option<&str>)> {
    let asks = plan.update.iter();
    asks.map(|one| {
        let to = one.to.as_ref().map(|to| to.revision.as_str());
        (one.agent.name.as_str(), to)
    })
    .collect()
}

#[test]
fn idle_agents_are_updated_some_at_a_time_the_oldest_first() {
    let pool = rolling(json!({}));
    let mut there = eight();
    let first = plan(&pool, &around(there.clone()), at(100));
    assert_eq!(asks(&first), [("i0", Some("r1")), ("i1", Some("r1"))]);
    assert!(first.create.is_empty() && first.delete.is_empty());
    assert_eq!(
        says(&first, kind::ROLLED_OUT),
        word("False", reason::ROLLING_OUT)
    );
    (there[0], there[1]) = (updating("i0"), updating("i1"));
    let meanwhile = plan(&pool, &around(there.clone()), at(101));
    assert_eq!(asks(&meanwhile), []);
    let counts = (meanwhile.status.updating, meanwhile.status.idle);
    assert_eq!(
        (counts, meanwhile.status.unhealthy),
        ((Some(2), Some(6)), Some(0))
    );
    assert_eq!(meanwhile.again, Some(at(100 + 20 * 60)));
    // A claim takes one: so many fewer are missing by updates.
    there[7] = claimed("i7");
    there.push(PoolAgent {
        standing: AgentStanding::Coming,
        revision: None,
        ..agent("new", AgentStanding::Coming)
    });
    there[0] = agent("i0", AgentStanding::Idle);
    assert_eq!(asks(&plan(&pool, &around(there.clone()), at(102))), []);
    there[8] = agent("new", AgentStanding::Idle);
    let next = plan(&pool, &around(there), at(103));
    assert_eq!(asks(&next), [("i2", Some("r1"))]);
    assert_eq!(next.status.updated, Some(2));
}

#[test]
fn nobody_is_updated_before_it_is_claimed_where_nothing_else_is_said() {
    let pool = pool(json!({"replicas": 8}));
    let stays = plan(&pool, &around(eight()), at(100));
    assert_eq!((asks(&stays), stays.again), (vec![], None));
    assert_eq!(
        says(&stays, kind::ROLLED_OUT),
        word("False", reason::OUTDATED)
    );
    let done = plan(&pool, &around(vec![agent("a", AgentStanding::Idle)]), at(1));
    assert_eq!(
        says(&done, kind::ROLLED_OUT),
        word("True", reason::ROLLED_OUT)
    );
}

#[test]
fn an_update_stops_where_one_fails_and_stays_so_until_the_template_is_another() {
    let mut pool = rolling(json!({"progressDeadline": "5m"}));
    let mut there = eight();
    there[0] = PoolAgent {
        update: asked(UpdateStage::Taken, Some("Crashed")),
        ..updating("i0")
    };
    let stopped = plan(&pool, &around(there.clone()), at(150));
    assert_eq!(asks(&stopped), []);
    for kind in [kind::ROLLED_OUT, kind::STALLED] {
        let said = find(&stopped.status.conditions, kind).unwrap();
        assert_eq!(said.reason, reason::ROLLOUT_STOPPED);
        assert!(said.message.contains("i0"), "{}", said.message);
    }
    pool.status = Some(stopped.status);
    // Somebody deletes it, or its time goes by: it stays stopped.
    let without = plan(&pool, &around(there[1..].to_vec()), at(160));
    assert_eq!(asks(&without), []);
    let stopped = without.status.update_stopped.as_ref().unwrap();
    assert_eq!((stopped.by.as_str(), &*stopped.reason), ("i0", "Crashed"));
    // Nobody replaces it by another one of the same revision, as long as it speaks of that.
    there[0].standing = FAILED;
    there[0].update = asked(UpdateStage::Done, Some("Crashed"));
    assert!(deleted(&plan(&pool, &around(there.clone()), at(200))).is_empty());
    assert_eq!(
        deleted(&plan(&pool, &around(there.clone()), at(100 + 5 * 60))),
        ["i0"]
    );
    // It serves at last.
    there[0] = agent("i0", AgentStanding::Idle);
    assert_eq!(asks(&plan(&pool, &around(there.clone()), at(200))).len(), 2);
    // The template is another: it is the first.
    there[0] = PoolAgent {
        update: asked(UpdateStage::Taken, Some("Crashed")),
        ..updating("i0")
    };
    let mut other = around(there.clone());
    other.template = PoolTemplate::Ready("r2".to_owned());
    let goes_on = plan(&pool, &other, at(200));
    assert_eq!(asks(&goes_on), [("i0", Some("r2")), ("i1", Some("r2"))]);
    assert!(goes_on.status.update_stopped.is_none());
    // To try it again.
    pool.spec.update_strategy.kind = crate::api::updates::UpdateStrategyType::OnReplenish;
    let plan = plan(&pool, &around(there), at(201));
    assert!(plan.status.update_stopped.is_none() && asks(&plan).is_empty());
}

#[test]
fn one_that_takes_too_long_stops_it_but_for_one_that_nobody_can_reach() {
    let pool = rolling(json!({"progressDeadline": "5m"}));
    let late = at(100 + 5 * 60);
    for stage in [UpdateStage::Asked, UpdateStage::Taken] {
        let mut there = eight();
        there[3] = PoolAgent {
            update: asked(stage, None),
            ..updating("i3")
        };
        let early = plan(&pool, &around(there.clone()), at(399));
        assert_eq!((asks(&early).len(), early.again), (1, Some(late)));
        let stopped = plan(&pool, &around(there.clone()), late);
        assert_eq!(asks(&stopped), []);
        let said = stopped.status.update_stopped.unwrap();
        assert_eq!(said.by, "i3");
        assert_eq!(said.reason, reason::PROGRESS_DEADLINE_EXCEEDED);
        there[3].held = true;
        let held = plan(&pool, &around(there.clone()), late);
        assert!(held.status.update_stopped.is_none());
        there[3].held = false;
        let mut away = around(there);
        away.accounts[0].usable = false;
        assert!(plan(&pool, &away, late).status.update_stopped.is_none());
    }
}

#[test]
fn more_are_made_first_where_the_pool_says_so_and_go_again() {
    let pool = rolling(json!({"maxUnavailable": 0, "maxSurge": 2}));
    let mut there = eight();
    let first = plan(&pool, &around(there.clone()), at(100));
    assert_eq!((asks(&first), first.create.len()), (vec![], 2));
    there.push(agent("s1", AgentStanding::Idle));
    let next = plan(&pool, &around(there.clone()), at(101));
    assert_eq!(
        (asks(&next), next.create.len()),
        (vec![("i0", Some("r1"))], 1)
    );
    for one in &mut there[1..8] {
        *one = agent(&one.name, AgentStanding::Idle);
    }
    there[0] = updating("i0");
    assert!(
        plan(&pool, &around(there.clone()), at(102))
            .delete
            .is_empty()
    );
    there[0] = agent("i0", AgentStanding::Idle);
    let done = plan(&pool, &around(there.clone()), at(103));
    assert_eq!(done.delete.len(), 1);
    // Never more than the most.
    let mut bounded = pool;
    bounded.spec.max_instances = Some(8);
    let none = plan(&bounded, &around(eight()), at(100));
    assert!(none.create.is_empty() && none.delete.is_empty());
    let rolled = |plan: &PoolPlan| find(&plan.status.conditions, kind::ROLLED_OUT).cloned();
    let said = rolled(&none).unwrap();
    assert_eq!(said.reason, reason::QUOTA_EXCEEDED);
    assert!(
        said.message.contains("maxInstances lets there be 8"),
        "{}",
        said.message
    );
    bounded.spec.max_instances = None;
    let mut full = around(eight());
    for account in &mut full.accounts {
        (account.room, account.full) = (0, Some(format!("{} has 8 of 8", account.name)));
    }
    let said = rolled(&plan(&bounded, &full, at(100))).unwrap();
    assert!(
        said.message.contains("a has 8 of 8; b has 8 of 8"),
        "{}",
        said.message
    );
}

#[test]
fn what_lives_in_an_account_that_the_pool_no_longer_names_is_updated_as_well() {
    let pool = rolling(json!({"maxUnavailable": 1}));
    let mut there = eight();
    there[0].account = "former".to_owned();
    let first = plan(&pool, &around(there.clone()), at(100));
    assert_eq!(asks(&first), [("i0", Some("r1"))]);
    let mut unreached = there.clone();
    unreached[0].standing = STUCK;
    let unreached = plan(&pool, &around(unreached), at(100));
    assert_eq!(asks(&unreached), []);
    // It fails as any other.
    there[0] = PoolAgent {
        account: "former".to_owned(),
        update: asked(UpdateStage::Taken, Some("Crashed")),
        ..updating("i0")
    };
    let stopped = plan(&pool, &around(there), at(150));
    let said = stopped.status.update_stopped.as_ref().unwrap();
    assert_eq!((said.by.as_str(), asks(&stopped)), ("i0", vec![]));
}

#[test]
fn one_that_was_just_updated_proves_itself_first() {
    let pool = rolling(json!({"maxUnavailable": 1, "minReady": "30s"}));
    let mut there = eight();
    there[0] = PoolAgent {
        ready_since: Some(at(200)),
        ..agent("i0", AgentStanding::Idle)
    };
    let early = plan(&pool, &around(there.clone()), at(229));
    assert_eq!((asks(&early), early.again), (vec![], Some(at(230))));
    assert_eq!(asks(&plan(&pool, &around(there), at(230))).len(), 1);
}

#[test]
fn whom_nobody_may_or_can_update_now_is_left_alone() {
    let pool = rolling(json!({"maxUnavailable": "100%"}));
    let mut there = eight();
    there[0].follows = true;
    there[1].held = true;
    there[2].settled = false;
    (there[3].account, there[3].standing) = ("elsewhere".to_owned(), STUCK);
    there[4].claimed = true;
    there[5].deleting = true;
    let plan = plan(&pool, &around(there), at(100));
    let names: Vec<&str> = asks(&plan).iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["i6", "i7"]);
}

#[test]
fn those_that_serve_nobody_come_first_and_cost_nothing() {
    let pool = rolling(json!({"maxUnavailable": 1}));
    let mut there = eight();
    there[7] = PoolAgent {
        standing: STUCK,
        ..old("stuck", 9)
    };
    assert_eq!(
        asks(&plan(&pool, &around(there.clone()), at(100))),
        [("stuck", Some("r1"))]
    );
    // What failed by itself is replaced instead.
    there[7].standing = FAILED;
    let replaced = plan(&pool, &around(there), at(100));
    assert_eq!(
        (asks(&replaced), deleted(&replaced)),
        (vec![], vec!["stuck"])
    );
}

#[test]
fn what_was_asked_for_a_revision_that_is_none_any_more_is_taken_back() {
    let waits = |revision: &str| PoolAgent {
        standing: AgentStanding::Updating,
        revision: Some(revision.to_owned()),
        update: asked(UpdateStage::Asked, None).map(|update| AskedUpdate {
            revision: "r9".to_owned(),
            ..update
        }),
        ..agent("i", AgentStanding::Updating)
    };
    let same = plan(&pool(json!({})), &around(vec![waits("r0")]), at(100));
    assert_eq!(asks(&same), [("i", None)]);
    let anew = plan(&rolling(json!({})), &around(vec![waits("r0")]), at(100));
    assert_eq!(asks(&anew), [("i", Some("r1"))]);
    let there = plan(&rolling(json!({})), &around(vec![waits("r1")]), at(100));
    assert_eq!(asks(&there), [("i", None)]);
}

#[test]
fn what_was_asked_and_is_not_seen_yet_is_counted() {
    let pool = rolling(json!({"maxUnavailable": 1}));
    let (mut unseen, mut agents) = (Unseen::default(), eight());
    let first = plan(&pool, &around(agents.clone()), at(100));
    let to = first.update[0].to.clone().unwrap();
    unseen.asked("uid-i0", &to);
    // One that would come first comes back meanwhile.
    agents.push(old("older", -5));
    unseen.complete(&mut agents, at(101));
    assert_eq!(agents[0].standing, AgentStanding::Updating);
    let plan = plan(&pool, &around(agents), at(101));
    assert_eq!(asks(&plan), [("older", Some("r1"))]);
    // As the watch shows it, it is what it is.
    let mut seen = eight();
    seen[0] = PoolAgent {
        update: asked(UpdateStage::Done, None),
        ..agent("i0", AgentStanding::Idle)
    };
    unseen.complete(&mut seen, at(102));
    assert_eq!(seen[0].standing, AgentStanding::Idle);
}

#[test]
fn one_that_is_asked_to_take_a_revision_is_no_claims_until_it_is_ready_at_it() {
    let with = |asked: Option<&str>, revision: &str, begun: bool, ready: &str| {
        let moment = "2027-01-15T08:00:00.000000Z";
        let mut spec = json!({"templateRef": {"name": "t"}, "accountRef": {"name": "a"}, "poolRef": {"name": "p"}, "updatePolicy": "Manual"});
        if let Some(asked) = asked {
            spec["updateTo"] = json!({"revision": asked, "since": moment});
        }
        let mut rollout = json!({"revision": revision, "served": true});
        if begun {
            rollout["begunAt"] = json!(moment);
        }
        let instance: AgentInstance = serde_json::from_value(json!({
            "metadata": {"name": "i", "namespace": "n", "uid": "u"},
            "spec": spec,
            "status": {
                "templateRevision": revision, "rollout": rollout, "timings": {"ready": moment},
                "conditions": [{"type": "Ready", "status": ready, "reason": "R", "message": "", "lastTransitionTime": moment}],
            },
        }))
        .unwrap();
        let seen = PoolAgent::of(&instance, at(0) + Span::new().hours(1));
        assert_eq!(claimable(&instance), seen.standing == AgentStanding::Idle);
        (seen.standing, seen.update.map(|update| update.stage))
    };
    let (idle, updating) = (AgentStanding::Idle, AgentStanding::Updating);
    assert_eq!(with(None, "r0", false, "True"), (idle, None));
    for (asked, begun, ready, standing, stage) in [
        ("r1", false, "True", updating, UpdateStage::Asked),
        ("r0", true, "False", updating, UpdateStage::Taken),
        ("r0", false, "True", idle, UpdateStage::Done),
        // Another hour later it is as any other that was ready.
        ("r0", false, "False", FAILED, UpdateStage::Done),
    ] {
        assert_eq!(
            with(Some(asked), "r0", begun, ready),
            (standing, Some(stage)),
            "{asked} {begun} {ready}"
        );
    }
}

#[test]
fn claims_that_ask_for_it_have_more_made_within_what_is_allowed() {
    let mut empty = around(Vec::new());
    empty.asking = 3;
    let none = pool(json!({"replicas": 0, "maxCreating": 2}));
    assert_eq!(plan(&none, &empty, at(1)).create.len(), 2);
    let most = pool(json!({"replicas": 1, "maxCreating": 9, "maxInstances": 3}));
    let made = plan(&most, &empty, at(1));
    assert_eq!(made.create.len(), 3);
    assert_eq!(
        says(&made, kind::QUOTA_EXCEEDED),
        word("True", reason::QUOTA_EXCEEDED)
    );
    let mut two = empty.clone();
    two.accounts.iter_mut().for_each(|one| one.room = 1);
    assert_eq!(
        plan(&pool(json!({"replicas": 0})), &two, at(1)).create,
        ["a", "b"]
    );
    // None is made twice, and none is deleted while somebody waits for it.
    let there = ["1", "2", "3"].map(|name| agent(name, AgentStanding::Coming));
    empty.agents = there.to_vec();
    let waits = plan(&none, &empty, at(1));
    assert!(waits.create.is_empty() && waits.delete.is_empty());
    empty.asking = 1;
    assert_eq!(plan(&none, &empty, at(1)).delete.len(), 2);
}

#[test]
fn what_a_limit_holds_back_is_neither_replaced_nor_made_once_more() {
    let pool = pool(json!({"replicas": 3, "maxUnhealthy": 0, "maxCreating": 1}));
    let held = agent("held", AgentStanding::Unplaced);
    let mut full = around(vec![held.clone(), agent("idle", AgentStanding::Idle)]);
    let sentence = |name: &str| {
        Some(format!(
            "namespace n has 2 resources in {name}, and there may be 2"
        ))
    };
    for account in &mut full.accounts {
        (account.room, account.full) = (0, sentence(&account.name));
    }
    let stays = plan(&pool, &full, at(100_000));
    assert!(stays.create.is_empty() && stays.delete.is_empty());
    let said = find(&stays.status.conditions, kind::QUOTA_EXCEEDED).unwrap();
    assert!(
        said.message
            .contains("has 2 resources in a, and there may be 2")
    );
    assert!(said.message.contains("in b"), "{}", said.message);
    let counts = (stays.status.creating, stays.status.unhealthy);
    assert_eq!(counts, (Some(1), Some(0)));
    // Beside it others are made where there is room, and replaced where they failed.
    full.accounts[1].room = 1;
    assert_eq!(plan(&pool, &full, at(1)).create, ["b"]);
}

#[test]
fn agents_are_spread_by_room_and_by_what_can_be_used() {
    let pool = pool(
        json!({"replicas": 6, "maxCreating": 10, "accountRefs": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}),
    );
    let with = |rooms: [(usize, bool); 3]| {
        let mut beside = around(Vec::new());
        beside.accounts.push(PoolAccount {
            name: "c".to_owned(),
            ..beside.accounts[0].clone()
        });
        for (account, (room, usable)) in beside.accounts.iter_mut().zip(rooms) {
            (account.room, account.usable) = (room, usable);
        }
        let plan = plan(&pool, &beside, at(1));
        ["a", "b", "c"].map(|name| plan.create.iter().filter(|one| *one == name).count())
    };
    assert_eq!(with([(9, true), (9, true), (9, true)]), [2, 2, 2]);
    assert_eq!(with([(9, true), (9, false), (9, true)]), [3, 0, 3]);
    assert_eq!(with([(1, true), (9, true), (0, true)]), [1, 5, 0]);
    assert_eq!(with([(1, true), (2, false), (2, true)]), [1, 0, 2]);
}
