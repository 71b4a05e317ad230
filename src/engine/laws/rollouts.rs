//! Rollouts: random fleets, and one fleet from beginning to end.

use crate::api::AgentInstance;
use crate::api::template::Rollout;
use crate::api::text::Span;
use crate::engine::rollout::{Standing, standing, turn};
use crate::engine::world::RolloutTurn;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

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
            "slot": "configuration", "provider": "railway", "account": "main", "state": "Exists",
            "attempt": one.attempt, "startedAt": time
        }]
    });
    if one.revision > 0 {
        status["templateRevision"] = format!("r{}", one.revision).into();
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

fn stand(fleet: &[AgentInstance], most: i32) -> Standing {
    let members: Vec<&AgentInstance> = fleet.iter().collect();
    standing(&rollout(most), "r2", &members, now())
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
        prop_assert!(first.turn.is_empty() || first.under_way + first.turn.len() <= most as usize);
        let of = |name: &String| &members[name[1..].parse::<usize>().unwrap()];
        for name in &first.turn {
            prop_assert!(!of(name).manual && !of(name).suspended && of(name).revision == 1);
            prop_assert_eq!(turn(&first, name), RolloutTurn::Yes);
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
                .filter(|one| one.revision == 2 && !one.ready)
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
        assert_eq!(standing.failed.is_some(), stops, "{since}");
        assert_eq!(standing.turn.is_empty(), stops, "{since}");
        let expected = if stops {
            RolloutTurn::Stopped {
                because: "a1".into(),
            }
        } else {
            RolloutTurn::Yes
        };
        assert_eq!(turn(&standing, "a0"), expected);
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
