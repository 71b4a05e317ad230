//! Tests of `condition`.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn transition_time_moves_only_with_the_status() {
    let first = conclude(
        &[],
        &[Statement::no(kind::READY, reason::CREATING, "a")],
        Some(1),
        at(10),
    );
    let second = conclude(
        &first,
        &[Statement::no(kind::READY, reason::DEPLOYING, "b")],
        Some(2),
        at(20),
    );
    assert_eq!(second[0].last_transition_time, Time(at(10)));
    assert_eq!(second[0].observed_generation, Some(2));
    let third = conclude(
        &second,
        &[Statement::yes(kind::READY, reason::READY, "c")],
        Some(2),
        at(30),
    );
    assert_eq!(third[0].last_transition_time, Time(at(30)));
}

#[test]
fn the_first_trace_of_a_reason_stays() {
    let of = |reason, text: &str, id: &str| {
        let message = format!("will be tried again: {}; wait", traced(text, id));
        [Statement::no(kind::SYNCED, reason, message)]
    };
    let first = conclude(&[], &of(reason::RETRYING, "no", "a1"), None, at(1));
    let again = conclude(&first, &of(reason::RETRYING, "no", "b2"), None, at(2));
    assert_eq!(again, first);
    assert!(first[0].message.ends_with("no (traceId a1); wait"));
    for other in [
        of(reason::RETRYING, "never", "b2"),
        of(reason::REJECTED, "no", "b2"),
    ] {
        let other = conclude(&first, &other, None, at(2));
        assert!(other[0].message.contains("b2"), "{other:?}");
    }
}

#[test]
fn what_is_no_longer_said_is_gone() {
    let first = conclude(
        &[],
        &[Statement::yes(kind::STALLED, reason::REJECTED, "a")],
        None,
        at(1),
    );
    assert!(conclude(&first, &[], None, at(2)).is_empty());
}

#[test]
fn what_others_say_stays() {
    let mut old = conclude(
        &[],
        &[Statement::yes(kind::STALLED, reason::REJECTED, "a")],
        None,
        at(1),
    );
    old[0].type_ = "Claimed".into();
    let new = [Statement::yes(kind::READY, reason::READY, "b")];
    let kinds: Vec<String> = conclude(&old, &new, None, at(2))
        .into_iter()
        .map(|condition| condition.type_)
        .collect();
    assert_eq!(kinds, ["Ready", "Claimed"]);
}
