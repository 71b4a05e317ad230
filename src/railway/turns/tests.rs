//! Turns, with the time passed in.

use super::*;

const INTERVAL: Duration = Duration::from_secs(30);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
}

/// Waits since that second, at priority 2.
fn since(second: i64) -> (u8, Timestamp) {
    (2, at(second * 1000))
}

/// To come back then, as the n-th in line.
fn wait(when: Timestamp, place: usize) -> Turn {
    Turn::At {
        when,
        ahead: place - 1,
    }
}

fn two() -> Turns {
    Turns::new(INTERVAL, 2)
}

fn one() -> Turns {
    Turns::new(INTERVAL, 1)
}

/// Creates at this second, answered at once.
fn create(turns: &mut Turns, usable: &[usize], second: i64) -> usize {
    let pass = turns.begin(usable, at(second * 1000)).unwrap();
    turns.settle(&pass, Landing::Created, at(second * 1000));
    pass.token
}

/// A second and a hundredth of the interval for slack.
fn opens(second: i64) -> Timestamp {
    at(second * 1000 + 300)
}

#[test]
fn first_come_first_served_within_a_priority() {
    let mut turns = one();
    assert_eq!(turns.turn("a", since(0), &[0], at(0)), Turn::Now);
    assert_eq!(turns.turn("a", since(0), &[0], at(1)), Turn::Now);
    create(&mut turns, &[0], 1);

    assert_eq!(
        turns.turn("c", since(3), &[0], at(5_000)),
        wait(opens(31), 1)
    );
    assert_eq!(
        turns.turn("b", since(2), &[0], at(6_000)),
        wait(opens(31), 1)
    );
    // The second one comes a little after the first one's turn, in case that one has gone.
    let after = at(31_300 + 5_000);
    assert_eq!(turns.turn("c", since(3), &[0], at(7_000)), wait(after, 2));
    assert_eq!(
        turns.turn("urgent", (0, at(8_000)), &[0], at(8_000)),
        wait(opens(31), 1)
    );

    assert_eq!(
        turns.turn("b", since(2), &[0], at(31_400)),
        wait(at(36_400), 2)
    );
    assert_eq!(
        turns.turn("urgent", (0, at(8_000)), &[0], at(31_500)),
        Turn::Now
    );
    create(&mut turns, &[0], 32);
    assert_eq!(
        turns.turn("b", since(2), &[0], at(33_000)),
        wait(opens(62), 1)
    );
}

#[test]
fn who_does_not_come_back_is_passed_over() {
    let mut turns = one();
    create(&mut turns, &[0], 0);
    assert_eq!(
        turns.turn("gone", since(1), &[0], at(1_000)),
        wait(opens(30), 1)
    );
    let after = at(30_300 + 5_000);
    assert_eq!(turns.turn("b", since(2), &[0], at(2_000)), wait(after, 2));
    assert_eq!(turns.turn("b", since(2), &[0], after), Turn::Now);
}

#[test]
fn who_lets_a_turn_pass_queues_again_from_then_on() {
    let mut turns = one();
    assert_eq!(turns.turn("idler", since(0), &[0], at(0)), Turn::Now);
    assert!(matches!(
        turns.turn("b", since(5), &[0], at(100)),
        Turn::At { ahead: 0, .. }
    ));
    assert_eq!(turns.turn("b", since(5), &[0], at(5_001)), Turn::Now);
    assert!(matches!(
        turns.turn("idler", since(0), &[0], at(5_100)),
        Turn::At { ahead: 0, .. }
    ));
    assert!(matches!(
        turns.turn("c", since(4), &[0], at(5_200)),
        Turn::At { ahead: 0, .. }
    ));
    assert!(matches!(
        turns.turn("idler", since(0), &[0], at(5_300)),
        Turn::At { ahead: 1, .. }
    ));
}

#[test]
fn leaving_makes_room() {
    let mut turns = one();
    assert_eq!(turns.turn("a", since(0), &[0], at(0)), Turn::Now);
    assert!(matches!(
        turns.turn("b", since(1), &[0], at(1)),
        Turn::At { ahead: 0, .. }
    ));
    turns.leave("a");
    assert_eq!(turns.turn("b", since(1), &[0], at(2)), Turn::Now);
}

#[test]
fn no_window_no_request() {
    let mut turns = one();
    create(&mut turns, &[0], 0);
    let refused = turns.begin(&[0], at(10_000)).unwrap_err();
    assert!(matches!(refused, Fault::Throttled { until, .. } if until == opens(30)));
}

#[test]
fn several_tokens_rotate_and_multiply_the_rate() {
    let mut turns = two();
    assert_eq!(turns.turn("a", since(0), &[0, 1], at(0)), Turn::Now);
    assert_eq!(turns.turn("b", since(0), &[0, 1], at(0)), Turn::Now);
    assert_eq!(
        turns.turn("c", since(0), &[0, 1], at(0)),
        wait(at(30_000), 1)
    );
    assert_eq!(create(&mut turns, &[0, 1], 0), 0);
    assert_eq!(create(&mut turns, &[0, 1], 1), 1);
    assert!(turns.begin(&[0, 1], at(2_000)).is_err());
    assert_eq!(create(&mut turns, &[0, 1], 31), 0);
    assert_eq!(create(&mut turns, &[0, 1], 32), 1);
}

#[test]
fn a_refused_token_has_no_window() {
    let mut turns = two();
    assert_eq!(create(&mut turns, &[1], 0), 1);
    assert!(turns.begin(&[1], at(1_000)).is_err());
}

#[test]
fn railway_says_that_the_workspace_has_one_window() {
    let mut turns = two();
    create(&mut turns, &[0, 1], 0);
    let pass = turns.begin(&[0, 1], at(1_000)).unwrap();
    assert_eq!(pass.token, 1);
    let throttle = Throttle {
        window: Some(INTERVAL),
        scope: Some(Scope::Workspace),
    };
    let until = turns.settle(&pass, Landing::Throttled(throttle), at(1_000));
    assert!(until <= at(31_300), "{until}");
    assert!(turns.begin(&[0, 1], at(20_000)).is_err());
    create(&mut turns, &[0, 1], 32);
    assert!(turns.begin(&[0, 1], at(33_000)).is_err());
    assert_eq!(turns.turn("a", since(0), &[0, 1], at(63_000)), Turn::Now);
    assert!(matches!(
        turns.turn("b", since(0), &[0, 1], at(63_000)),
        Turn::At { .. }
    ));
}

#[test]
fn a_throttle_without_a_scope_is_shared_if_another_token_explains_it() {
    let silent = Throttle {
        window: None,
        scope: None,
    };
    let mut turns = two();
    create(&mut turns, &[0], 0);
    let pass = turns.begin(&[1], at(1_000)).unwrap();
    turns.settle(&pass, Landing::Throttled(silent), at(1_000));
    assert!(turns.shared);

    let mut turns = two();
    let pass = turns.begin(&[1], at(1_000)).unwrap();
    let until = turns.settle(&pass, Landing::Throttled(silent), at(1_000));
    assert!(!turns.shared);
    assert_eq!(until, at(31_000));
    assert!(turns.begin(&[0], at(1_000)).is_ok());
}

#[test]
fn windows_follow_what_railway_counts_from() {
    let throttle = Throttle {
        window: Some(INTERVAL),
        scope: Some(Scope::User),
    };
    let mut turns = one();
    let pass = turns.begin(&[0], at(0)).unwrap();
    let until = turns.settle(&pass, Landing::Created, at(8_000));
    assert_eq!(until, opens(30), "from when it was sent");
    let pass = turns.begin(&[0], at(30_300)).unwrap();
    let until = turns.settle(&pass, Landing::Throttled(throttle), at(30_400));
    assert_eq!(until, opens(38), "from when it was answered");
    let pass = turns.begin(&[0], at(38_300)).unwrap();
    let until = turns.settle(&pass, Landing::Created, at(46_000));
    assert_eq!(until, at(68_600), "once is chance");
    let pass = turns.begin(&[0], at(68_600)).unwrap();
    turns.settle(&pass, Landing::Throttled(throttle), at(68_700));
    let pass = turns.begin(&[0], at(76_300)).unwrap();
    let until = turns.settle(&pass, Landing::Created, at(80_000));
    assert_eq!(until, opens(110), "twice is a rule");
}

#[test]
fn what_was_not_created_leaves_the_window_open_and_what_may_have_been_closes_it() {
    let mut turns = one();
    let pass = turns.begin(&[0], at(0)).unwrap();
    turns.settle(&pass, Landing::NotCreated, at(100));
    let pass = turns.begin(&[0], at(100)).unwrap();
    assert_eq!(
        turns.settle(&pass, Landing::Unknown, at(90_000)),
        opens(120)
    );
    // A request that nobody waited for to the end leaves the window closed, too.
    turns.begin(&[0], at(121_000)).unwrap();
    assert!(turns.begin(&[0], at(150_000)).is_err());
}

#[test]
fn windows_survive_new_tokens() {
    let mut turns = one();
    create(&mut turns, &[0], 0);
    turns.tokens_replaced(1);
    assert!(turns.begin(&[0], at(10_000)).is_err());
    turns.tokens_replaced(2);
    assert_eq!(turns.begin(&[0, 1], at(10_000)).unwrap().token, 1);
}

#[test]
fn a_long_line_is_told_in_order_and_never_for_long() {
    let mut turns = one();
    create(&mut turns, &[0], 0);
    let mut before = at(0);
    for place in 0..40 {
        let Turn::At { when, ahead } =
            turns.turn(&format!("w{place:02}"), since(place), &[0], at(1))
        else {
            unreachable!("{place}");
        };
        assert_eq!(ahead, usize::try_from(place).unwrap());
        assert!(when >= before && when <= at(300_001), "{when}");
        before = when;
    }
}

#[test]
fn everyone_gets_a_turn_in_order_when_all_come_when_told() {
    let mut turns = two();
    let waiters: Vec<String> = (0..7).map(|number| format!("w{number}")).collect();
    let mut calls: Vec<(Timestamp, usize)> = (0..7)
        .map(|number| (at(number), 0))
        .enumerate()
        .map(|(index, (when, _))| (when, index))
        .collect();
    let mut served = Vec::new();
    while let Some(next) = (0..calls.len()).min_by_key(|&index| calls[index]) {
        let (now, who) = calls.remove(next);
        match turns.turn(
            &waiters[who],
            (2, at(i64::try_from(who).unwrap())),
            &[0, 1],
            now,
        ) {
            Turn::Now => {
                let pass = turns.begin(&[0, 1], now).unwrap();
                turns.settle(&pass, Landing::Created, now);
                served.push((who, now.duration_since(at(0)).as_secs()));
            }
            Turn::At { when, .. } => {
                assert!(when > now);
                calls.push((when, who));
            }
        }
    }
    let wanted = [(0, 0), (1, 0), (2, 30), (3, 30), (4, 60), (5, 60), (6, 90)];
    let order: Vec<usize> = served.iter().map(|(who, _)| *who).collect();
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 6]);
    for ((_, second), (_, ideal)) in served.iter().zip(wanted) {
        assert!(*second <= ideal + 1, "{served:?}");
    }
}
