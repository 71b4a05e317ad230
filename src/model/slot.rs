//! The slot table: every outside resource of an instance, once, in the order in which it is made.
//!
//! Creation reads the table upwards, teardown downwards. What holds: ranks are unique and ascending, and a slot needs
//! only slots of lower rank (tested below). A further resource is one more row here and one file in the room of its
//! provider; the engine does not change for it.

pub use crate::api::ledger::Slot;

/// How a slot whose create answer got lost is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// By our marker, in a complete listing of the account.
    Marker,
    /// By its name, which is unique inside the recorded parent: a repeat is refused, never doubled.
    NameInParent,
    /// As the only one of its kind inside the recorded parent.
    KindInParent,
    /// Not looked for: sending the same again changes nothing.
    SameAgain,
}

/// How a slot goes away at teardown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// By a request of its own, confirmed by observation.
    Delete,
    /// With the project that holds it.
    WithProject,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct SlotRow {
    /// The slot.
    pub slot: Slot,
    /// Who provides it: the provider's name in the ledger.
    pub provider: &'static str,
    /// Order of creation; teardown goes the other way.
    pub rank: u8,
    /// Slots that must exist first.
    pub needs: &'static [Slot],
    /// How it is found again after a lost answer.
    pub found_by: FoundBy,
    /// How it is taken back.
    pub undo: Undo,
}

/// The table. Ranks leave room for tools below the project (design 3.1).
pub const SLOTS: &[SlotRow] = &[
    SlotRow {
        slot: Slot::Project,
        provider: "railway",
        rank: 60,
        needs: &[],
        found_by: FoundBy::Marker,
        undo: Undo::Delete,
    },
    SlotRow {
        slot: Slot::Environment,
        provider: "railway",
        rank: 61,
        needs: &[Slot::Project],
        found_by: FoundBy::KindInParent,
        undo: Undo::WithProject,
    },
    SlotRow {
        slot: Slot::Service,
        provider: "railway",
        rank: 62,
        needs: &[Slot::Environment],
        found_by: FoundBy::NameInParent,
        undo: Undo::WithProject,
    },
    SlotRow {
        slot: Slot::Volume,
        provider: "railway",
        rank: 63,
        needs: &[Slot::Service],
        found_by: FoundBy::KindInParent,
        undo: Undo::WithProject,
    },
    SlotRow {
        slot: Slot::Domain,
        provider: "railway",
        rank: 64,
        needs: &[Slot::Service],
        found_by: FoundBy::KindInParent,
        undo: Undo::WithProject,
    },
    SlotRow {
        slot: Slot::Configuration,
        provider: "railway",
        rank: 65,
        needs: &[Slot::Service, Slot::Domain],
        found_by: FoundBy::SameAgain,
        undo: Undo::WithProject,
    },
];

impl Slot {
    /// This slot's row.
    pub fn row(self) -> &'static SlotRow {
        SLOTS
            .iter()
            .find(|row| row.slot == self)
            .unwrap_or(&SLOTS[0])
    }

    /// The slot of that name.
    pub fn named(name: &str) -> Option<Slot> {
        SLOTS
            .iter()
            .map(|row| row.slot)
            .find(|slot| slot.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_ascend_and_a_slot_needs_only_lower_ones() {
        for pair in SLOTS.windows(2) {
            assert!(
                pair[0].rank < pair[1].rank,
                "{} before {}",
                pair[0].slot,
                pair[1].slot
            );
        }
        for row in SLOTS {
            for need in row.needs {
                assert!(need.row().rank < row.rank, "{} needs {need}", row.slot);
            }
        }
    }

    #[test]
    fn every_slot_has_its_own_row_and_is_found_by_its_name() {
        for row in SLOTS {
            assert_eq!(row.slot.row().rank, row.rank);
            assert_eq!(Slot::named(row.slot.name()), Some(row.slot));
        }
        assert_eq!(Slot::named("tool"), None);
    }
}
