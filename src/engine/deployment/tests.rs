//! What is expected × what the newest deployment is, as a table.

use super::*;

fn of(known: Known) -> [DeploymentStage; 8] {
    [
        DeploymentState::Starting,
        DeploymentState::Running,
        DeploymentState::Sleeping,
        DeploymentState::Failed,
        DeploymentState::Crashed,
        DeploymentState::Removed,
        DeploymentState::Superseded,
        DeploymentState::Other("NeedsApproval".into()),
    ]
    .map(|state| stage(Some(&state), known))
}

#[test]
fn each_state_is_judged_by_what_is_known_of_it() {
    use DeploymentStage::{
        Crashed, Failed, Foreign, NotDeployed, Older, PerhapsRemoved, Removed, RemovedAtOnce,
        Starting, Up,
    };
    let looked = Known {
        looked: true,
        ours: true,
        ..Known::default()
    };
    let plain = |removed| {
        [
            Starting, Up, Up, Failed, Crashed, removed, Starting, Starting,
        ]
    };
    assert_eq!(of(Known::default()), plain(PerhapsRemoved));
    assert_eq!(of(looked), plain(Removed));
    for (known, removed) in [
        (
            Known {
                just_asked: true,
                ..looked
            },
            RemovedAtOnce,
        ),
        (
            Known {
                held: true,
                ..looked
            },
            NotDeployed,
        ),
        (
            Known {
                held: true,
                just_asked: true,
                ..looked
            },
            NotDeployed,
        ),
        (
            Known {
                held: true,
                looked: false,
                ..looked
            },
            PerhapsRemoved,
        ),
    ] {
        assert_eq!(of(known), plain(removed), "{known:?}");
    }
    let other = Known {
        other_image: true,
        ..looked
    };
    assert_eq!(
        of(other),
        [Starting, Older, Older, Older, Older, Removed, Older, Older]
    );
    let edited = Known {
        ours: false,
        ..other
    };
    assert_eq!(
        of(edited),
        [
            Foreign, Foreign, Foreign, Foreign, Foreign, Removed, Foreign, Foreign
        ]
    );
    for (held, none) in [(false, DeploymentStage::NotBegun), (true, NotDeployed)] {
        assert_eq!(stage(None, Known { held, ..looked }), none);
    }
}

#[test]
fn what_is_expected_follows_from_mode_and_what_was_last_seen() {
    use DeploymentState as State;
    let known = |state: State, ready| DeploymentStatus {
        id: Some("d".into()),
        state,
        ready,
        since: ledger::moment(Timestamp::UNIX_EPOCH),
        answer: None,
    };
    let running = OperatingMode::Running;
    for (state, ready, expect) in [
        (State::Running, true, Expect::Rest { up: true }),
        (State::Sleeping, true, Expect::Rest { up: true }),
        (State::Crashed, true, Expect::Rest { up: false }),
        (State::Running, false, Expect::Coming { up: true }),
        (State::Starting, false, Expect::Coming { up: false }),
        (State::Superseded, false, Expect::Coming { up: false }),
        (State::Superseded, true, Expect::Coming { up: false }),
    ] {
        let known = known(state, ready);
        assert_eq!(expected(running, Some(&known)), expect, "{known:?}");
        assert_eq!(
            expected(OperatingMode::Suspended, Some(&known)),
            Expect::End
        );
    }
    assert_eq!(expected(running, None), Expect::Coming { up: false });
}
