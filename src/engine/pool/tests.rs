//! A pool's plans: how many, which, where, and what it says.

use super::*;
use crate::api::condition::{find, kind, reason};
use crate::api::{AgentInstance, IDENTITY_ANNOTATION};
use proptest::prelude::*;
use serde_json::{Value, json};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub(super) fn pool(spec: Value) -> AgentPool {
    let mut whole =
        json!({"templateRef": {"name": "t"}, "accountRefs": [{"name": "a"}, {"name": "b"}]});
    for (name, value) in spec.as_object().unwrap() {
        whole[name] = value.clone();
    }
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "generation": 1}, "spec": whole,
    }))
    .unwrap()
}

pub(super) fn agent(name: &str, standing: AgentStanding) -> PoolAgent {
    PoolAgent {
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        version: Some("1".to_owned()),
        made: at(0),
        account: "a".to_owned(),
        standing,
        current: true,
        revision: Some("r1".to_owned()),
        follows: false,
        settled: true,
        update: None,
        claimed: false,
        in_between: false,
        deleting: false,
        held: false,
        ready_since: None,
        patience_ends: None,
    }
}

pub(super) fn claimed(name: &str) -> PoolAgent {
    PoolAgent {
        claimed: true,
        ..agent(name, AgentStanding::Coming)
    }
}

pub(super) const FAILED: AgentStanding = AgentStanding::Unhealthy { replaceable: true };
pub(super) const STUCK: AgentStanding = AgentStanding::Unhealthy { replaceable: false };

pub(super) fn around(agents: Vec<PoolAgent>) -> PoolAround {
    let account = |name: &str| PoolAccount {
        name: name.to_owned(),
        usable: true,
        room: 100,
        full: None,
    };
    PoolAround {
        agents,
        template: PoolTemplate::Ready("r1".to_owned()),
        accounts: vec![account("a"), account("b")],
        paused: false,
        waiting: None,
        asking: 0,
    }
}

pub(super) fn deleted(plan: &PoolPlan) -> Vec<&str> {
    plan.delete.iter().map(|one| one.name.as_str()).collect()
}

pub(super) fn says(plan: &PoolPlan, kind: &str) -> (String, String) {
    let said = find(&plan.status.conditions, kind);
    said.map_or_else(Default::default, |one| {
        (one.status.clone(), one.reason.clone())
    })
}

pub(super) fn word(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn one_that_is_not_ready_any_more_is_replaced_without_anything_else_being_told() {
    let pool = pool(json!({"replicas": 1}));
    let waits = PoolAgent {
        patience_ends: Some(at(600)),
        ..agent("i", STUCK)
    };
    let early = plan(&pool, &around(vec![waits.clone()]), at(10));
    assert_eq!((deleted(&early), early.again), (vec![], Some(at(600))));
    let late = plan(&pool, &around(vec![waits]), at(601));
    assert_eq!(late.again, None);
}

#[test]
fn an_account_that_cannot_be_used_is_named() {
    let pool = pool(json!({"replicas": 2}));
    let mut around = around(vec![agent("i", AgentStanding::Idle)]);
    around.accounts[1].usable = false;
    let message = |plan: &PoolPlan| {
        let said = find(&plan.status.conditions, kind::READY).unwrap();
        said.message.clone()
    };
    let filling = plan(&pool, &around, at(0));
    assert!(
        message(&filling).contains("nothing can be made in b now"),
        "{}",
        message(&filling)
    );
    around.agents.push(agent("j", AgentStanding::Idle));
    assert!(!message(&plan(&pool, &around, at(0))).contains("nothing can be made"));
}

#[test]
fn as_many_are_made_as_are_missing_and_they_are_spread() {
    let pool = pool(json!({"replicas": 6, "maxCreating": 10}));
    let there = vec![
        agent("one", AgentStanding::Idle),
        claimed("gone"),
        claimed("far"),
    ];
    let made = plan(&pool, &around(there), at(1));
    assert_eq!(made.create, ["b", "b", "b", "a", "b"]);
    assert_eq!(
        (made.status.replicas, made.status.idle, made.status.claimed),
        (Some(1), Some(1), Some(2))
    );
    assert_eq!(says(&made, kind::READY), word("False", reason::FILLING));
    assert_eq!(says(&made, kind::AVAILABLE), word("True", reason::READY));
    assert_eq!(
        made.status.selector.as_deref(),
        Some("yardmaster.dev/pool=p")
    );
}

#[test]
fn no_more_come_up_at_once_than_the_pool_says() {
    let pool = pool(json!({"replicas": 9, "maxCreating": 3}));
    let there = vec![
        agent("one", AgentStanding::Coming),
        agent("two", AgentStanding::Coming),
    ];
    assert_eq!(plan(&pool, &around(there), at(1)).create.len(), 1);
}

#[test]
fn there_are_never_more_than_the_most() {
    let pool = pool(json!({"replicas": 5, "maxInstances": 6, "maxCreating": 10}));
    let claims: Vec<PoolAgent> = ["c1", "c2", "c3", "c4"].map(claimed).to_vec();
    let made = plan(&pool, &around(claims.clone()), at(1));
    assert_eq!(made.create.len(), 2);
    assert_eq!(
        says(&made, kind::QUOTA_EXCEEDED),
        word("True", reason::QUOTA_EXCEEDED)
    );
    // One that goes is there as long as it is there.
    let mut there = claims;
    let mut goes = agent("goes", AgentStanding::Idle);
    goes.deleting = true;
    there.push(goes);
    assert_eq!(plan(&pool, &around(there), at(1)).create.len(), 1);
}

#[test]
fn the_least_useful_goes_first_and_never_one_that_is_claimed() {
    let newer = |name: &str, standing| PoolAgent {
        made: at(9),
        ..agent(name, standing)
    };
    let old = PoolAgent {
        current: false,
        ..agent("old", AgentStanding::Idle)
    };
    let there = vec![
        newer("young", AgentStanding::Idle),
        agent("idle", AgentStanding::Idle),
        old,
        agent("coming", AgentStanding::Coming),
        newer("just", AgentStanding::Coming),
        agent("stuck", STUCK),
        agent("failed", FAILED),
        claimed("claimed"),
    ];
    let order = ["failed", "stuck", "just", "coming", "old", "idle", "young"];
    for left in 0..=order.len() {
        let pool = pool(json!({"replicas": left, "maxUnhealthy": 0}));
        let plan = plan(&pool, &around(there.clone()), at(10));
        assert_eq!(deleted(&plan), order[..order.len() - left]);
        assert!(plan.create.is_empty());
    }
}

#[test]
fn what_failed_is_replaced_ever_more_slowly_and_then_no_more() {
    let mut pool = pool(json!({"replicas": 2}));
    let there = vec![agent("idle", AgentStanding::Idle), agent("failed", FAILED)];
    let mut now = 100;
    for (count, pause) in [(1, 10), (2, 20), (3, 40), (4, 80)] {
        let replaced = plan(&pool, &around(there.clone()), at(now));
        assert_eq!(deleted(&replaced), ["failed"]);
        assert_eq!(replaced.status.failures.as_ref().unwrap().count, count);
        pool.status = Some(replaced.status);
        let early = plan(&pool, &around(there.clone()), at(now + pause - 1));
        assert_eq!(
            (deleted(&early), early.again),
            (vec![], Some(at(now + pause)))
        );
        now += pause;
    }
    pool.status = Some(plan(&pool, &around(there.clone()), at(now)).status);
    let stopped = plan(&pool, &around(there.clone()), at(now + 100_000));
    assert_eq!((deleted(&stopped), stopped.again), (vec![], None));
    assert_eq!(
        says(&stopped, kind::STALLED),
        word("True", reason::REPLACING_STOPPED)
    );
    // Another revision, or one that came up since, begins anew.
    let mut other = around(there.clone());
    other.template = PoolTemplate::Ready("r2".to_owned());
    assert_eq!(deleted(&plan(&pool, &other, at(now + 1))), ["failed"]);
    let mut better = there;
    better[0].made = at(now + 1);
    better[0].ready_since = Some(at(now + 2));
    // Ready for a moment proves nothing: the next one crashes as those before it.
    let early = plan(&pool, &around(better.clone()), at(now + 601));
    assert_eq!(
        (deleted(&early), early.again),
        (vec![], Some(at(now + 602)))
    );
    assert_eq!(
        early.status.failures,
        pool.status.as_ref().unwrap().failures
    );
    let better = plan(&pool, &around(better), at(now + 602));
    assert_eq!(deleted(&better), ["failed"]);
    assert_eq!(better.status.failures.unwrap().count, 1);
}

#[test]
fn many_that_fail_together_are_left_alone() {
    let pool = pool(json!({"replicas": 5, "maxUnhealthy": 2}));
    let mut there: Vec<PoolAgent> = ["1", "2", "3"].map(|name| agent(name, FAILED)).to_vec();
    there.extend(["4", "5"].map(|name| agent(name, AgentStanding::Idle)));
    let together = plan(&pool, &around(there.clone()), at(1));
    assert_eq!(deleted(&together), Vec::<&str>::new());
    assert_eq!(
        says(&together, kind::STALLED),
        word("True", reason::TOO_MANY_UNHEALTHY)
    );
    there[0].standing = AgentStanding::Idle;
    assert_eq!(deleted(&plan(&pool, &around(there), at(1))), ["2", "3"]);
}

#[test]
fn what_keeps_a_pool_from_filling_is_said() {
    let pool = pool(json!({"replicas": 2}));
    let with = |change: fn(&mut PoolAround)| {
        let mut around = around(Vec::new());
        change(&mut around);
        plan(&pool, &around, at(1))
    };
    type Row = (fn(&mut PoolAround), &'static str);
    let rows: [Row; 5] = [
        (
            |one| one.template = PoolTemplate::NotFound,
            reason::TEMPLATE_NOT_FOUND,
        ),
        (
            |one| one.template = PoolTemplate::NotReady,
            reason::TEMPLATE_NOT_READY,
        ),
        (
            |one| one.template = PoolTemplate::Mute,
            reason::HARNESS_MISMATCH,
        ),
        (
            |one| one.template = PoolTemplate::Forgetful,
            reason::VOLUME_MISSING,
        ),
        (
            |one| one.accounts.iter_mut().for_each(|one| one.usable = false),
            reason::ACCOUNT_NOT_READY,
        ),
    ];
    for (change, reason) in rows {
        let plan = with(change);
        assert_eq!(plan.create, Vec::<String>::new(), "{reason}");
        assert_eq!(says(&plan, kind::STALLED), word("True", reason));
        assert_eq!(says(&plan, kind::READY), word("False", reason));
    }
    let full = with(|one| one.accounts.iter_mut().for_each(|one| one.room = 0));
    assert!(full.create.is_empty());
    assert_eq!(
        says(&full, kind::QUOTA_EXCEEDED),
        word("True", reason::QUOTA_EXCEEDED)
    );
    let one = with(|one| one.accounts[0].room = 0);
    assert_eq!(one.create, ["b", "b"]);
    let paused = with(|one| one.paused = true);
    assert!(paused.create.is_empty());
    assert_eq!(
        says(&paused, kind::PROGRESSING),
        word("False", reason::PAUSED)
    );
}

#[test]
fn a_pool_that_goes_takes_what_nobody_has_and_waits_for_what_is_between() {
    let mut pool = pool(json!({"replicas": 2}));
    pool.metadata.deletion_timestamp = Some(Time(at(0)));
    let mut between = claimed("between");
    between.in_between = true;
    let there = vec![
        agent("idle", AgentStanding::Idle),
        claimed("claimed"),
        between,
    ];
    let first = plan(&pool, &around(there.clone()), at(1));
    assert_eq!((deleted(&first), first.let_go), (vec!["idle"], false));
    assert!(!plan(&pool, &around(there[1..].to_vec()), at(1)).let_go);
    assert!(plan(&pool, &around(there[1..2].to_vec()), at(1)).let_go);
}

#[test]
fn what_is_paused_is_not_deleted_and_what_was_restored_is_not_counted() {
    let held = |name: &str, standing| PoolAgent {
        held: true,
        ..agent(name, standing)
    };
    let less = pool(json!({"replicas": 0, "maxUnhealthy": 5}));
    let there = vec![
        held("failed", FAILED),
        held("idle", AgentStanding::Idle),
        agent("other", AgentStanding::Idle),
    ];
    assert_eq!(
        deleted(&plan(&less, &around(there.clone()), at(1))),
        ["other"]
    );
    let same = plan(
        &pool(json!({"replicas": 3, "maxUnhealthy": 5})),
        &around(there),
        at(1),
    );
    assert!(same.delete.is_empty() && same.status.failures.is_none());

    let restored = agent("restored", AgentStanding::Restored);
    let mut pool = pool(json!({"replicas": 2, "maxCreating": 1}));
    let there = vec![restored.clone(), agent("idle", AgentStanding::Idle)];
    let filling = plan(&pool, &around(there), at(1));
    assert_eq!((filling.create.len(), filling.delete.len()), (1, 0));
    let counts = (filling.status.replicas, filling.status.creating);
    assert_eq!(counts, (Some(1), Some(0)));
    let said = find(&filling.status.conditions, kind::READY).unwrap();
    assert!(said.message.contains("1 restored"), "{}", said.message);
    // Nothing waits for it, and nothing deletes it.
    pool.metadata.deletion_timestamp = Some(Time(at(0)));
    let goes = plan(&pool, &around(vec![restored]), at(1));
    assert!(goes.let_go && goes.delete.is_empty());
}

#[test]
fn an_agent_stands_as_its_object_says() {
    let ready = json!({"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2027-01-15T08:00:00Z"});
    let instance = |meta: Value| -> AgentInstance {
        let mut whole = json!({"name": "i", "namespace": "n", "uid": "u"});
        for (name, value) in meta.as_object().unwrap() {
            whole[name] = value.clone();
        }
        serde_json::from_value(json!({
            "metadata": whole,
            "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": "a"}, "poolRef": {"name": "p"}},
            "status": {"conditions": [ready]},
        }))
        .unwrap()
    };
    let seen = |meta: Value| PoolAgent::of(&instance(meta), at(1));
    let idle = seen(json!({}));
    assert_eq!((idle.standing, idle.held), (AgentStanding::Idle, false));
    assert_eq!(idle.ready_since, Some(at(0)));
    let restored = seen(json!({"annotations": {IDENTITY_ANNOTATION: "another"}}));
    assert_eq!(restored.standing, AgentStanding::Restored);
    // A claim could not become its controller.
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "o", "controller": true});
    let owned = seen(json!({"ownerReferences": [owner]}));
    assert_eq!(owned.standing, STUCK);
    let paused = seen(json!({"annotations": {"yardmaster.dev/paused": "true"}}));
    assert!(paused.held);
}

#[test]
fn of_a_pool_that_is_gone_only_what_nobody_has_goes() {
    let idle = agent("idle", AgentStanding::Idle);
    let with = |change: fn(&mut PoolAgent)| {
        let mut one = idle.clone();
        change(&mut one);
        one.is_left_over()
    };
    assert!(idle.is_left_over() && with(|one| one.standing = AgentStanding::Coming));
    assert!(!with(|one| one.claimed = true) && !with(|one| one.deleting = true));
    assert!(!with(|one| one.held = true) && !with(|one| one.version = None));
    assert!(!with(|one| one.standing = AgentStanding::Restored));
}

#[test]
fn at_rest_a_pool_says_the_same() {
    let mut pool = pool(json!({"replicas": 1}));
    let there = vec![agent("idle", AgentStanding::Idle)];
    pool.status = Some(plan(&pool, &around(there.clone()), at(1)).status);
    let later = plan(&pool, &around(there), at(1000));
    assert_eq!(Some(later.status), pool.status);
    assert!(later.create.is_empty() && later.delete.is_empty() && later.again.is_none());
}

/// What happens to a pool.
#[derive(Clone, Debug)]
enum Event {
    Pass,
    Shown,
    Time(i64),
    Ready(usize),
    Fails(usize),
    Claim(usize),
    Scale(i32),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => Just(Event::Pass),
        3 => Just(Event::Shown),
        2 => (1i64..50).prop_map(Event::Time),
        3 => any::<usize>().prop_map(Event::Ready),
        1 => any::<usize>().prop_map(Event::Fails),
        2 => any::<usize>().prop_map(Event::Claim),
        1 => (0i32..8).prop_map(Event::Scale),
    ]
}

/// A cluster, what the watch has shown of it, and the pool over it.
struct Yard {
    pool: AgentPool,
    truth: Vec<PoolAgent>,
    shown: Vec<PoolAgent>,
    unseen: Unseen,
    now: i64,
    made: usize,
}

impl Yard {
    fn pick(&mut self, number: usize) -> Option<&mut PoolAgent> {
        let count = self.truth.len();
        (count > 0).then(|| &mut self.truth[number % count])
    }

    fn pass(&mut self) {
        let now = at(self.now);
        let mut around = around(self.shown.clone());
        self.unseen.complete(&mut around.agents, now);
        let plan = plan(&self.pool, &around, now);
        for gone in &plan.delete {
            // As the API server judges it: exactly what was seen.
            let found = self
                .truth
                .iter()
                .position(|one| one.uid == gone.uid && one.version == gone.version);
            if let Some(found) = found {
                assert!(!self.truth[found].claimed, "a claimed agent was deleted");
                self.truth.remove(found);
                self.unseen.deleted(&gone.uid, now);
            }
        }
        for account in &plan.create {
            self.made += 1;
            let mut made = agent(&format!("p-{}", self.made), AgentStanding::Coming);
            (made.account, made.made) = (account.clone(), now);
            self.unseen.makes(&made.name, account, now);
            self.truth.push(made);
        }
        self.pool.status = Some(plan.status);
    }

    fn happens(&mut self, event: &Event) {
        let changed = |one: &mut PoolAgent| {
            let next = one
                .version
                .as_deref()
                .map_or(0, |version| version.parse::<u64>().unwrap());
            one.version = Some((next + 1).to_string());
        };
        match event {
            Event::Pass => self.pass(),
            Event::Shown => self.shown.clone_from(&self.truth),
            Event::Time(seconds) => self.now += seconds,
            Event::Scale(replicas) => self.pool.spec.replicas = *replicas,
            Event::Ready(which) => {
                if let Some(one) = self.pick(*which) {
                    one.standing = AgentStanding::Idle;
                    changed(one);
                }
            }
            Event::Fails(which) => {
                if let Some(one) = self.pick(*which) {
                    one.standing = FAILED;
                    changed(one);
                }
            }
            Event::Claim(which) => {
                let idle = |one: &&mut PoolAgent| one.standing == AgentStanding::Idle;
                if let Some(one) = self.pick(*which).filter(idle) {
                    one.claimed = true;
                    changed(one);
                }
            }
        }
    }
}

/// The API server said that it made one, and nothing of another; neither is ever shown.
#[test]
fn what_was_made_and_is_never_shown_is_looked_for() {
    let mut unseen = Unseen::default();
    let overdue = |unseen: &Unseen, second: i64| {
        let mut late = unseen.overdue(at(second));
        late.sort_by(|one, other| one.name.cmp(&other.name));
        let late = late.into_iter().map(|one| (one.name, one.certain));
        late.collect::<Vec<_>>()
    };
    unseen.makes("told", "a", at(0));
    unseen.is_made("told");
    unseen.makes("unanswered", "b", at(0));
    assert!(overdue(&unseen, 9).is_empty());
    let both = [("told".to_owned(), true), ("unanswered".to_owned(), false)];
    assert_eq!(overdue(&unseen, 10), both);
    // One is nowhere, the other is asked for again.
    unseen.not_made("told");
    unseen.makes("unanswered", "b", at(10));
    assert!(overdue(&unseen, 19).is_empty());
    let mut agents = Vec::new();
    unseen.complete(&mut agents, at(19));
    let counted: Vec<&str> = agents.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(counted, ["unanswered"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// However late the watch is and whatever happens, no claimed agent is deleted, there are never more than the most; and once
    /// all is seen there are exactly as many as are wanted.
    #[test]
    fn a_pool_makes_exactly_what_it_wants(events in prop::collection::vec(event(), 1..120)) {
        let pool = pool(json!({"replicas": 4, "maxInstances": 12, "maxCreating": 3, "maxUnhealthy": 100}));
        let mut yard = Yard { pool, truth: vec![], shown: vec![], unseen: Unseen::default(), now: 0, made: 0 };
        for event in &events {
            yard.happens(event);
            prop_assert!(yard.truth.len() <= 12, "{} agents", yard.truth.len());
        }
        // All become ready, the watch shows everything, time passes.
        for _ in 0..40 {
            for one in 0..yard.truth.len() {
                yard.happens(&Event::Ready(one));
            }
            yard.happens(&Event::Shown);
            yard.happens(&Event::Time(60));
            yard.happens(&Event::Pass);
        }
        let claimed = yard.truth.iter().filter(|one| one.claimed).count();
        let wanted = size(yard.pool.spec.replicas).min(12 - claimed);
        prop_assert_eq!(yard.truth.len() - claimed, wanted);
    }

    /// With the watch withheld from the beginning exactly as many are made as are wanted.
    #[test]
    fn a_watch_that_shows_nothing_makes_no_more(replicas in 0i32..9, passes in 1usize..30) {
        let pool = pool(json!({"replicas": replicas, "maxCreating": 20}));
        let mut yard = Yard { pool, truth: vec![], shown: vec![], unseen: Unseen::default(), now: 0, made: 0 };
        for _ in 0..passes {
            yard.happens(&Event::Pass);
            yard.happens(&Event::Time(2));
        }
        prop_assert_eq!(yard.truth.len(), size(replicas));
    }
}
