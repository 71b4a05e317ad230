//! Steps that the model does not explore: while a claim is paused, and when it is late.

use super::*;

fn claim(names: Option<u8>) -> ClaimView<u8> {
    ClaimView {
        uid: 100,
        names,
        rejected: 0,
        ready: false,
        over: false,
    }
}

fn member(uid: u8, handed_over: bool) -> PoolMember<u8> {
    let claim = 100;
    PoolMember {
        uid,
        made: 0,
        hold: Some(ClaimHold { claim, handed_over }),
        deleting: false,
    }
}

fn sight<'a>(its: &'a [&'a PoolMember<u8>]) -> ClaimSight<'a, u8> {
    ClaimSight {
        its,
        named: NamedInstance::Gone,
        looked: true,
        free: None,
        given_up: true,
        late: true,
        paused: false,
    }
}

#[test]
fn while_it_is_paused_nothing_is_written_told_deleted_or_concluded() {
    let (taken, handed) = (member(1, false), member(1, true));
    let free = PoolMember {
        hold: None,
        ..taken.clone()
    };
    let (none, taken_alone, handed_alone) = ([], [&taken], [&handed]);
    type Row<'a> = (ClaimView<u8>, &'a [&'a PoolMember<u8>], ClaimStep<'a, u8>);
    let rows: [Row<'_>; 6] = [
        (claim(Some(1)), &handed_alone, ClaimStep::Delete(&handed)),
        (claim(Some(1)), &taken_alone, ClaimStep::HandOver(&taken)),
        (claim(None), &taken_alone, ClaimStep::Bind(&taken)),
        (claim(Some(1)), &none, ClaimStep::Reject(1)),
        (claim(None), &none, ClaimStep::TooLate),
        (
            ClaimView {
                ready: true,
                ..claim(Some(1))
            },
            &none,
            ClaimStep::Lost,
        ),
    ];
    for (claim, its, step) in rows {
        let mut around = sight(its);
        around.free = Some(&free);
        assert_eq!(next(&claim, &around), step);
        around.paused = true;
        assert_eq!(next(&claim, &around), ClaimStep::Wait, "{step:?}");
    }
    let other = [&taken];
    let mut around = sight(&other);
    around.paused = true;
    assert_eq!(
        next(&claim(Some(2)), &around),
        ClaimStep::GiveBack(&taken),
        "what was only taken goes back"
    );
}

#[test]
fn a_claim_is_too_late_only_where_it_was_looked_for_and_has_none() {
    let handed = member(1, true);
    let (none, its) = ([], [&handed]);
    let mut around = sight(&none);
    around.looked = false;
    assert_eq!(next(&claim(None), &around), ClaimStep::Look);
    around.looked = true;
    assert_eq!(next(&claim(None), &around), ClaimStep::TooLate);
    // Its status was lost: its agent runs, and knows who it is.
    assert_eq!(next(&claim(None), &sight(&its)), ClaimStep::Bind(&handed));
}
