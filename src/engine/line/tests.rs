//! Orders of a line.

use super::*;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn all(mut line: WaitingLine<u32>) -> Vec<u32> {
    let mut order = Vec::new();
    while line.count() > 0 {
        let next = *line.first(1).next().unwrap();
        line.serve(&next);
        order.push(next);
    }
    order
}

#[test]
fn who_came_first_is_served_first() {
    let mut line = WaitingLine::default();
    for (who, since) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
        line.join(who, at(since), None);
    }
    line.join(3, at(0), None);
    assert_eq!((line.count(), line.oldest()), (4, Some(at(10))));
    assert_eq!(line.first(2).copied().collect::<Vec<_>>(), [2, 4]);
    line.leave(&4);
    assert_eq!(all(line), [2, 3, 1]);
}

#[test]
fn owners_take_turns() {
    let mut line = WaitingLine::default();
    for who in 1..=4 {
        line.join(who, at(who.into()), Some("many"));
    }
    line.join(10, at(10), Some("few"));
    line.join(20, at(20), None);
    assert_eq!(all(line), [1, 10, 20, 2, 3, 4]);
}

#[test]
fn hundreds_of_one_owner_keep_no_other_waiting_and_anothers_name_is_no_way_past_anybody() {
    let mut line = WaitingLine::default();
    for who in 1..=500 {
        line.join(who, at(who.into()), Some("many"));
    }
    for who in 1001..=1003 {
        line.join(who, at(who.into()), Some("few"));
    }
    // One of the many who says that he is of the few stands behind all of those, and in nobody's place.
    line.join(501, at(2000), Some("few"));
    let order = all(line);
    assert_eq!(order[..8], [1, 1001, 2, 1002, 3, 1003, 4, 501]);
    assert_eq!(order.len(), 504);
}

#[test]
fn who_comes_later_is_not_before_whom_he_finds_in_his_round() {
    let mut line = WaitingLine::default();
    for who in 1..=3 {
        line.join(who, at(who.into()), Some("many"));
    }
    line.serve(&1);
    line.serve(&2);
    // Round 1 is served; 3 waits for round 2.
    line.join(4, at(4), None);
    line.join(5, at(5), Some("many"));
    assert_eq!(all(line), [4, 3, 5]);
}

#[test]
fn who_leaves_gives_his_round_back() {
    let mut line = WaitingLine::default();
    for who in 1..=50 {
        line.join(who, at(who.into()), Some("hasty"));
    }
    for who in 1..=50 {
        line.leave(&who);
    }
    line.join(60, at(60), Some("other"));
    line.join(61, at(61), Some("other"));
    line.join(62, at(62), Some("hasty"));
    line.join(63, at(63), Some("hasty"));
    line.join(64, at(64), Some("hasty"));
    // One in the middle: who comes after him moves up.
    line.leave(&63);
    line.join(65, at(65), Some("hasty"));
    assert_eq!(all(line), [60, 62, 61, 64, 65]);
}

#[test]
fn who_was_served_and_got_nothing_comes_back_to_his_place() {
    let mut line = WaitingLine::default();
    for (who, owner) in [(1, "a"), (2, "b"), (3, "a")] {
        line.join(who, at(who.into()), Some(owner));
    }
    line.serve(&1);
    assert_eq!(line.first(9).copied().collect::<Vec<_>>(), [2, 3]);
    line.join(1, at(1), Some("a"));
    assert_eq!(line.first(9).copied().collect::<Vec<_>>(), [1, 2, 3]);
    line.serve(&1);
    line.leave(&1);
    // It had its turn: now it is another one.
    line.join(1, at(1), Some("a"));
    assert_eq!(all(line), [2, 3, 1]);
}

proptest! {
    /// All are served once, those of an owner as they came; between two of them every other owner comes twice at most: at the end of
    /// one round and at the beginning of the next.
    #[test]
    fn everybody_is_served_once_in_his_owners_order(owners in prop::collection::vec(0u8..5, 1..60)) {
        let mut line = WaitingLine::default();
        for (who, owner) in owners.iter().enumerate() {
            let who = u32::try_from(who).unwrap();
            let name = owner.to_string();
            line.join(who, at(who.into()), (*owner > 0).then_some(name.as_str()));
        }
        let order = all(line);
        prop_assert_eq!(order.len(), owners.len());
        let owner = |who: &u32| owners[*who as usize];
        for one in 1..5 {
            let own: Vec<usize> = (0..order.len()).filter(|at| owner(&order[*at]) == one).collect();
            let names: Vec<u32> = own.iter().map(|at| order[*at]).collect();
            prop_assert!(names.is_sorted());
            for pair in own.windows(2) {
                for other in (1..5).filter(|other| *other != one) {
                    let between = order[pair[0]..pair[1]].iter().filter(|who| owner(who) == other);
                    prop_assert!(between.count() <= 2);
                }
            }
        }
    }
}
