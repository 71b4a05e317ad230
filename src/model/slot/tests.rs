//! Tests of `slot`.

use super::*;

#[test]
fn ranks_ascend_and_a_slot_needs_only_lower_ones() {
    for pair in SLOTS.windows(2) {
        assert!(
            pair[0].rank < pair[1].rank,
            "{:?} before {:?}",
            pair[0].slot,
            pair[1].slot
        );
    }
    for own in SLOTS {
        for need in own.needs {
            let needed = SLOTS
                .iter()
                .find(|row| row.slot == *need && row.provider == own.provider)
                .unwrap();
            assert!(needed.rank < own.rank, "{:?} needs {need:?}", own.slot);
        }
    }
}

#[test]
fn the_table_read_downwards_takes_the_tools_back_and_the_project_last() {
    let mut back: Vec<&str> = SLOTS
        .iter()
        .rev()
        .filter(|row| row.undo != Undo::WithProject)
        .map(|row| row.provider)
        .collect();
    back.dedup();
    assert_eq!(
        back,
        [
            "openrouter",
            "exa",
            "agentmail",
            "telnyx",
            "bankr",
            "wallet",
            "railway"
        ]
    );
}

#[test]
fn what_costs_comes_after_the_project_and_before_what_runs() {
    let rank = |slot| row(RAILWAY, slot).rank;
    for tool in SLOTS
        .iter()
        .filter(|row| matches!(row.slot, SlotKind::Tool(_)))
    {
        assert!(rank(Slot::Environment) < tool.rank && tool.rank < rank(Slot::Service));
    }
    assert!(rank(Slot::Project) < rank(Slot::Environment));
}

#[test]
fn looking_changes_something_at_one_provider_only() {
    let costs = |found_by| matches!(found_by, FoundBy::RemakeToLook | FoundBy::RevokeToLook);
    let rows = SLOTS.iter().filter(|row| costs(row.found_by));
    let words: Vec<String> = rows.map(SlotRow::word).collect();
    assert_eq!(words, ["bankr", "bankr/key"]);
}

#[test]
fn every_slot_has_its_own_row_and_is_found_by_its_name() {
    for known in SLOTS {
        let slot = match known.slot {
            SlotKind::One(slot) => slot,
            SlotKind::Tool(part) => Slot::tool("one", part).unwrap(),
        };
        assert_eq!(row(known.provider, slot).rank, known.rank);
        assert_eq!(Slot::named(&slot.to_string()), Some(slot));
    }
    for wrong in [
        "tool",
        "tool/",
        "tool/LLM",
        "tool/llm/keys",
        "tool/a b",
        "projects",
    ] {
        assert_eq!(Slot::named(wrong), None, "{wrong}");
    }
}

#[test]
fn a_template_may_not_set_what_its_tools_give() {
    let mut gives: Vec<(&str, &str)> = SLOTS
        .iter()
        .flat_map(|row| row.gives.names().map(|name| (name, row.provider)))
        .collect();
    let refused = crate::api::GIVEN;
    let mut refused: Vec<(&str, &str)> = refused
        .iter()
        .map(|(name, kind, _)| (*name, *kind))
        .collect();
    gives.sort_unstable();
    refused.sort_unstable();
    assert_eq!(gives, refused);
}

#[test]
fn no_two_slots_give_the_same_variable() {
    let mut names: Vec<&str> = SLOTS.iter().flat_map(|row| row.gives.names()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
