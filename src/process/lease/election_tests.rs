//! The election in cases, and two to four contenders against one record with lost and late messages.

use super::*;
use proptest::prelude::*;

const TIMING: Timing = Timing {
    duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn record(version: &str, holder: Option<&str>, transitions: i32) -> Record {
    Record {
        version: version.to_owned(),
        holder: holder.map(str::to_owned),
        transitions,
        duration: TIMING.duration,
    }
}

fn contender() -> Election {
    Election::new("me".to_owned(), TIMING)
}

fn take(version: &str, transitions: i32) -> Move {
    Move::Take {
        version: version.to_owned(),
        transitions,
    }
}

fn renew(version: &str, transitions: i32) -> Move {
    Move::Renew {
        version: version.to_owned(),
        transitions,
    }
}

/// What was seen when (seconds after the start), when we are asked, and what comes out.
type Case = (&'static str, Vec<(u64, Option<Record>)>, u64, Move);

#[test]
fn one_that_does_not_lead() {
    let other = |version| Some(record(version, Some("other"), 4));
    let longer = |version| {
        let mut record = record(version, Some("other"), 4);
        record.duration = seconds(60);
        Some(record)
    };
    let cases: Vec<Case> = vec![
        ("nothing seen", vec![], 0, Move::Read),
        ("no record", vec![(0, None)], 0, Move::Create),
        ("held", vec![(0, other("1"))], 0, Move::Wait),
        (
            "held, almost stale",
            vec![(0, other("1")), (14, other("1"))],
            14,
            Move::Wait,
        ),
        (
            "stale since first seen",
            vec![(0, other("1")), (15, other("1"))],
            15,
            take("1", 5),
        ),
        (
            "renewed meanwhile",
            vec![(0, other("1")), (14, other("2"))],
            20,
            Move::Wait,
        ),
        (
            "stale after a renewal",
            vec![(0, other("1")), (14, other("2"))],
            29,
            take("2", 5),
        ),
        (
            "the holder wants longer",
            vec![(0, longer("1"))],
            59,
            Move::Wait,
        ),
        ("longer, and over", vec![(0, longer("1"))], 60, take("1", 5)),
        (
            "released",
            vec![(0, other("1")), (1, Some(record("2", None, 4)))],
            1,
            take("2", 5),
        ),
        (
            "released, as client-go writes it",
            vec![(0, Some(record("2", Some(""), 4)))],
            0,
            take("2", 5),
        ),
        (
            "an earlier life of ours",
            vec![(0, Some(record("1", Some("me"), 4)))],
            0,
            take("1", 5),
        ),
        ("deleted", vec![(0, other("1")), (1, None)], 1, Move::Create),
        (
            "made anew by another",
            vec![(0, None), (1, other("1"))],
            1,
            Move::Wait,
        ),
    ];
    for (what, seen, asked, expected) in cases {
        let start = Instant::now();
        let mut election = contender();
        for (at, record) in seen {
            election.observe(record, start + seconds(at));
        }
        assert_eq!(election.next(start + seconds(asked)), expected, "{what}");
        assert_eq!(election.held(), None, "{what}");
        assert_eq!(election.to_release(), None, "{what}");
    }
}

#[test]
fn one_that_leads_since_the_start() {
    let cases: Vec<Case> = vec![
        ("nothing happens", vec![], 9, renew("1", 5)),
        ("the deadline passes", vec![], 10, Move::Lost(Loss::Expired)),
        (
            "a lost answer of our own renewal",
            vec![(3, Some(record("2", Some("me"), 5)))],
            4,
            renew("2", 5),
        ),
        (
            "reading does not prolong it",
            vec![(9, Some(record("2", Some("me"), 5)))],
            10,
            Move::Lost(Loss::Expired),
        ),
        (
            "another holder",
            vec![(3, Some(record("2", Some("other"), 6)))],
            4,
            Move::Lost(Loss::Taken),
        ),
        (
            "another process of our name",
            vec![(3, Some(record("2", Some("me"), 6)))],
            4,
            Move::Lost(Loss::Taken),
        ),
        (
            "cleared by someone",
            vec![(3, Some(record("2", None, 5)))],
            4,
            Move::Lost(Loss::Taken),
        ),
        ("deleted", vec![(3, None)], 4, Move::Lost(Loss::Deleted)),
    ];
    for (what, seen, asked, expected) in cases {
        let start = Instant::now();
        let mut election = contender();
        election.wrote(record("1", Some("me"), 5), start);
        for (at, record) in seen {
            election.observe(record, start + seconds(at));
        }
        assert_eq!(election.next(start + seconds(asked)), expected, "{what}");
    }
}

#[test]
fn a_renewal_counts_from_when_it_was_sent() {
    let start = Instant::now();
    let mut election = contender();
    election.wrote(record("1", Some("me"), 5), start);
    election.wrote(record("2", Some("me"), 5), start + seconds(4));
    let held = election.held().unwrap();
    assert_eq!(held.term, 5);
    assert!(held.is_current(start + seconds(13)));
    assert!(!held.is_current(start + seconds(14)));
    assert_eq!(election.to_release().unwrap().version, "2");
}

#[test]
fn what_is_not_ours_is_not_released() {
    let start = Instant::now();
    let mut election = contender();
    election.wrote(record("1", Some("me"), 5), start);
    election.observe(Some(record("2", Some("other"), 6)), start + seconds(1));
    assert_eq!(election.to_release(), None);
}

/// The one record, kept by a server that checks versions.
#[derive(Default)]
struct Server {
    record: Option<Record>,
    writes: u64,
}

impl Server {
    fn apply(&mut self, who: &str, step: &Move) -> Option<Record> {
        let current = self.record.as_ref().map(|record| record.version.clone());
        let (replaces, transitions) = match step {
            Move::Create => (None, 0),
            Move::Take {
                version,
                transitions,
            }
            | Move::Renew {
                version,
                transitions,
            } => (Some(version.clone()), *transitions),
            _ => return None,
        };
        if replaces != current {
            return None;
        }
        self.writes += 1;
        self.record = Some(record(&self.writes.to_string(), Some(who), transitions));
        self.record.clone()
    }
}

/// A contender in the simulation: what it has on its way, if anything.
struct Actor {
    name: String,
    election: Election,
    /// A write on its way: what, when it was sent, and in how many turns it lands.
    sent: Option<(Move, Instant, u8)>,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Turns of one second. In each, one contender acts: it reads (or the answer is lost), decides and sends a write,
    /// which lands now or later, and whose answer arrives or is lost. It may also restart with nothing in memory.
    #[test]
    fn never_two_leaders_at_once(
        turns in prop::collection::vec((0usize..4, 0u8..30, any::<bool>(), any::<bool>(), 0u8..40), 1..400)
    ) {
        let start = Instant::now();
        let mut server = Server::default();
        let mut lives = 0;
        let mut actors: Vec<Actor> = (0..4)
            .map(|n| Actor {
                name: format!("a{n}"),
                election: Election::new(format!("a{n}"), TIMING),
                sent: None,
            })
            .collect();
        for (turn, (who, delay, read, answered, fate)) in turns.into_iter().enumerate() {
            let now = start + seconds(turn as u64);
            for actor in &mut actors {
                land(actor, &mut server, answered);
            }
            let actor = &mut actors[who];
            if fate == 0 {
                // Crashed, and back under a new name, as a new Pod is.
                lives += 1;
                actor.name = format!("b{lives}");
                actor.election = Election::new(actor.name.clone(), TIMING);
                actor.sent = None;
            } else if actor.sent.is_none() {
                if read {
                    actor.election.observe(server.record.clone(), now);
                }
                let step = actor.election.next(now);
                if matches!(step, Move::Lost(_)) {
                    // The process ends, and another begins.
                    lives += 1;
                    actor.name = format!("b{lives}");
                    actor.election = Election::new(actor.name.clone(), TIMING);
                } else {
                    actor.sent = Some((step, now, delay / 10));
                    land(actor, &mut server, answered);
                }
            }
            let leading: Vec<&str> = actors
                .iter()
                .filter(|actor| actor.election.held().is_some_and(|held| held.is_current(now)))
                .map(|actor| actor.name.as_str())
                .collect();
            prop_assert!(leading.len() <= 1, "at {turn}s: {leading:?}");
        }
    }
}

fn land(actor: &mut Actor, server: &mut Server, answered: bool) {
    let Some((step, sent, turns)) = actor.sent.take() else {
        return;
    };
    if turns > 0 {
        actor.sent = Some((step, sent, turns - 1));
        return;
    }
    if let Some(record) = server.apply(&actor.name, &step)
        && answered
    {
        actor.election.wrote(record, sent);
    }
}
