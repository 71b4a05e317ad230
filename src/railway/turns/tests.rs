//! Turns, with the time passed in.

use super::super::throttle::{Binds, Throttle};
use super::*;

const INTERVAL: Duration = Duration::from_secs(30);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
}

/// One of one team that waits since that second, at priority 2.
fn one_of<'a>(team: &'a str, who: &'a str, second: i64) -> Applicant<'a> {
    Applicant {
        who,
        team,
        priority: 2,
        since: at(second * 1000),
    }
}

/// One of the only team.
fn since(who: &str, second: i64) -> Applicant<'_> {
    one_of("team", who, second)
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
    assert_eq!(turns.turn(since("a", 0), &[0], at(0)), Turn::Now);
    assert_eq!(turns.turn(since("a", 0), &[0], at(1)), Turn::Now);
    create(&mut turns, &[0], 1);

    assert_eq!(
        turns.turn(since("c", 3), &[0], at(5_000)),
        wait(opens(31), 1)
    );
    assert_eq!(
        turns.turn(since("b", 2), &[0], at(6_000)),
        wait(opens(31), 1)
    );
    // The second one comes a little after the first one's turn, in case that one has gone.
    let after = at(31_300 + 5_000);
    let urgent = Applicant {
        priority: 0,
        ..since("urgent", 8)
    };
    assert_eq!(turns.turn(since("c", 3), &[0], at(7_000)), wait(after, 2));
    assert_eq!(turns.turn(urgent, &[0], at(8_000)), wait(opens(31), 1));

    assert_eq!(
        turns.turn(since("b", 2), &[0], at(31_400)),
        wait(at(36_400), 2)
    );
    assert_eq!(turns.turn(urgent, &[0], at(31_500)), Turn::Now);
    create(&mut turns, &[0], 32);
    assert_eq!(
        turns.turn(since("b", 2), &[0], at(33_000)),
        wait(opens(62), 1)
    );
}

#[test]
fn who_does_not_come_back_is_passed_over() {
    let mut turns = one();
    create(&mut turns, &[0], 0);
    assert_eq!(
        turns.turn(since("gone", 1), &[0], at(1_000)),
        wait(opens(30), 1)
    );
    let after = at(30_300 + 5_000);
    assert_eq!(turns.turn(since("b", 2), &[0], at(2_000)), wait(after, 2));
    assert_eq!(turns.turn(since("b", 2), &[0], after), Turn::Now);
}

#[test]
fn who_lets_a_turn_pass_queues_again_from_then_on() {
    let mut turns = one();
    assert_eq!(turns.turn(since("idler", 0), &[0], at(0)), Turn::Now);
    assert!(matches!(
        turns.turn(since("b", 5), &[0], at(100)),
        Turn::At { ahead: 0, .. }
    ));
    assert_eq!(turns.turn(since("b", 5), &[0], at(5_001)), Turn::Now);
    assert!(matches!(
        turns.turn(since("idler", 0), &[0], at(5_100)),
        Turn::At { ahead: 0, .. }
    ));
    assert!(matches!(
        turns.turn(since("c", 4), &[0], at(5_200)),
        Turn::At { ahead: 0, .. }
    ));
    assert!(matches!(
        turns.turn(since("idler", 0), &[0], at(5_300)),
        Turn::At { ahead: 1, .. }
    ));
}

#[test]
fn leaving_makes_room() {
    let mut turns = one();
    assert_eq!(turns.turn(since("a", 0), &[0], at(0)), Turn::Now);
    assert!(matches!(
        turns.turn(since("b", 1), &[0], at(1)),
        Turn::At { ahead: 0, .. }
    ));
    turns.leave("a");
    assert_eq!(turns.turn(since("b", 1), &[0], at(2)), Turn::Now);
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
    assert_eq!(turns.turn(since("a", 0), &[0, 1], at(0)), Turn::Now);
    assert_eq!(turns.turn(since("b", 0), &[0, 1], at(0)), Turn::Now);
    assert_eq!(
        turns.turn(since("c", 0), &[0, 1], at(0)),
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
        binds: Some(Binds::Workspace),
    };
    let until = turns.settle(&pass, Landing::Throttled(throttle), at(1_000));
    assert!(until <= at(31_300), "{until}");
    assert!(turns.begin(&[0, 1], at(20_000)).is_err());
    create(&mut turns, &[0, 1], 32);
    assert!(turns.begin(&[0, 1], at(33_000)).is_err());
    assert_eq!(turns.turn(since("a", 0), &[0, 1], at(63_000)), Turn::Now);
    assert!(matches!(
        turns.turn(since("b", 0), &[0, 1], at(63_000)),
        Turn::At { .. }
    ));
}

#[test]
fn a_throttle_without_a_scope_is_shared_if_another_token_explains_it() {
    let silent = Throttle {
        window: None,
        binds: None,
    };
    let mut turns = two();
    create(&mut turns, &[0], 0);
    let pass = turns.begin(&[1], at(1_000)).unwrap();
    turns.settle(&pass, Landing::Throttled(silent), at(1_000));
    assert!(turns.windows.shared());

    let mut turns = two();
    let pass = turns.begin(&[1], at(1_000)).unwrap();
    let until = turns.settle(&pass, Landing::Throttled(silent), at(1_000));
    assert!(!turns.windows.shared());
    assert_eq!(until, at(31_000));
    assert!(turns.begin(&[0], at(1_000)).is_ok());
}

#[test]
fn windows_follow_what_railway_counts_from() {
    let throttle = Throttle {
        window: Some(INTERVAL),
        binds: Some(Binds::User),
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
            turns.turn(since(&format!("w{place:02}"), place), &[0], at(1))
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
        let applicant = Applicant {
            since: at(i64::try_from(who).unwrap()),
            ..since(&waiters[who], 0)
        };
        match turns.turn(applicant, &[0, 1], now) {
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

/// Everyone who waits comes back when told, and creates at once when it may. Who was served, and when.
struct Line {
    turns: Turns,
    calls: Vec<(Timestamp, usize)>,
    people: Vec<(String, String, Timestamp)>,
    served: Vec<(usize, Timestamp)>,
}

impl Line {
    fn new(interval: Duration, tokens: usize) -> Line {
        Line {
            turns: Turns::new(interval, tokens),
            calls: Vec::new(),
            people: Vec::new(),
            served: Vec::new(),
        }
    }

    fn join(&mut self, team: &str, since: Timestamp) -> usize {
        let who = self.people.len();
        self.people
            .push((format!("w{who:04}"), team.to_owned(), since));
        self.calls.push((since, who));
        who
    }

    fn run_until(&mut self, end: Timestamp) {
        while let Some(next) = (0..self.calls.len()).min_by_key(|&at| self.calls[at]) {
            let (now, who) = self.calls[next];
            if now > end {
                return;
            }
            self.calls.swap_remove(next);
            match self.ask(who, now) {
                Turn::Now => {
                    let pass = self.turns.begin(&[0], now).unwrap();
                    self.turns.settle(&pass, Landing::Created, now);
                    self.served.push((who, now));
                }
                Turn::At { when, .. } => self.calls.push((when, who)),
            }
        }
    }

    fn ask(&mut self, who: usize, now: Timestamp) -> Turn {
        let (name, team, since) = &self.people[who];
        let applicant = Applicant {
            who: name,
            team,
            priority: 2,
            since: *since,
        };
        self.turns.turn(applicant, &[0], now)
    }
}

#[test]
fn who_cannot_use_a_turn_and_gives_it_back_slows_nobody() {
    // What a pass that cannot write its status does: it asks, and leaves. It is older than all others, too.
    let end = at(1_200_000);
    let mut alone = Line::new(INTERVAL, 1);
    let mut behind = Line::new(INTERVAL, 1);
    for line in [&mut alone, &mut behind] {
        for number in 0..40 {
            line.join("good", at(60_000 + number));
        }
    }
    let first_bad = behind.people.len();
    for number in 0..25 {
        behind
            .people
            .push((format!("bad{number}"), "bad".into(), at(number)));
    }
    alone.run_until(end);
    let mut now = at(60_000);
    let mut given = 0;
    while now < end {
        for who in first_bad..first_bad + 25 {
            given += usize::from(behind.ask(who, now) == Turn::Now);
            let name = behind.people[who].0.clone();
            behind.turns.leave(&name);
        }
        now += SignedDuration::from_secs(5);
        behind.run_until(now.min(end));
    }
    assert!(given > 0, "they were never even asked");
    assert_eq!(alone.served.len(), 38, "one every 30.3 seconds");
    assert_eq!(behind.served, alone.served);
}

#[test]
fn many_of_one_team_put_nobody_elses_first_one_back() {
    let mut line = Line::new(INTERVAL, 1);
    for number in 0..500 {
        line.join("crowd", at(number));
    }
    line.run_until(at(600_000));
    let late = line.join("small", at(600_000));
    let later = line.join("small", at(600_001));
    line.run_until(at(900_000));
    let when = |who| {
        let found = line.served.iter().find(|(served, _)| *served == who);
        found.map(|(_, at)| at.duration_since(super::tests::at(600_000)).as_secs())
    };
    assert!(
        when(late).is_some_and(|waited| waited <= 61),
        "{:?}",
        when(late)
    );
    assert!(
        when(later).is_some_and(|waited| waited <= 122),
        "{:?}",
        when(later)
    );
    // And the crowd is not put back by more than the small team took.
    assert_eq!(line.served.len(), 30, "{:?}", line.served.len());
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 48, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(8), ..Default::default()
    })]

    /// While one of a team waits that nobody of its own team stands before, no other team is served more than twice: once
    /// in the round that had begun, once in its own.
    #[test]
    fn each_team_is_served_in_each_round(
        joins in proptest::collection::vec((0usize..6, 0i64..1_200), 1..120)
    ) {
        let mut line = Line::new(INTERVAL, 1);
        let mut joins = joins;
        joins.sort_by_key(|(_, second)| *second);
        for (team, second) in &joins {
            line.join(&format!("team-{team}"), at(second * 1000));
        }
        line.run_until(at(10_000_000));
        proptest::prop_assert_eq!(line.served.len(), joins.len());
        for (index, (who, served)) in line.served.iter().enumerate() {
            let (_, team, since) = &line.people[*who];
            // Since the last of its own team was served, or since it came.
            let own = line.served[..index].iter().rposition(|(other, _)| &line.people[*other].1 == team);
            let begun = own.map_or(0, |own| own + 1);
            let mut others: HashMap<&str, usize> = HashMap::new();
            for (other, at) in &line.served[begun..index] {
                if at > since {
                    *others.entry(&line.people[*other].1).or_default() += 1;
                }
            }
            proptest::prop_assert!(others.values().all(|times| *times <= 2), "{who} at {served}: {others:?}");
        }
    }
}
