//! The slot table: every outside resource of an instance, once, in the order in which it is made.
//!
//! Creation reads the table upwards: the project first, because an empty one costs a place and no money; then the tools, which
//! cost; then what runs. Teardown reads it downwards: what runs goes with the project, so the tools come first, OpenRouter
//! to wallet, and the project last. What holds: ranks are unique and ascending, and a slot needs only slots of lower rank
//! (tested below). A further resource is one more row here and one file in the room of its provider; the engine does
//! not change for it.

pub use crate::api::ledger::{Part, Slot};
use crate::api::{LedgerEntry, SlotState};

/// How a slot whose create answer got lost is found again, and what looking for it costs (`facts/tool-providers.md` 0). Where
/// a variant does not say otherwise, looking changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// By our marker, in a complete listing of the account.
    Marker,
    /// By its name, which is unique inside the recorded parent: a repeat is refused, never doubled.
    NameInParent,
    /// As the only one of its kind inside the recorded parent.
    KindInParent,
    /// Not looked for after a lost answer: sending the same again changes nothing, and is answered with what is there.
    SameAgain,
    /// By its name, of which there may be several; what is found is adopted.
    Name,
    /// By its name, of which there may be several; what is found is taken back and made anew, unless its secret was
    /// kept: the provider shows the secret once.
    NameWithoutSecret,
    /// By the same request that makes it: nothing else shows it by our name. Looking makes it where there was none, for
    /// whoever looks to put to rest.
    RemakeToLook,
    /// Nowhere: nothing shows it. Looking revokes all of its kind in its parent, and finds none; so it is not looked for
    /// where its secret was kept.
    RevokeToLook,
    /// In the Secret itself: nothing outside is made.
    Kept,
}

impl FoundBy {
    /// Whether the provider shows the secret once, so that what was made and not kept is made anew.
    pub fn shown_once(self) -> bool {
        matches!(self, FoundBy::NameWithoutSecret | FoundBy::RevokeToLook)
    }
}

/// How a slot goes away at teardown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// By a request of its own, confirmed by observation.
    Delete,
    /// With the project that holds it.
    WithProject,
    /// It may hold money: it is put to rest, and goes for good only where the spec or a person says so.
    Rest,
}

/// What a slot gives to the agent: the names of the variables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gives {
    /// The variable with its credential.
    pub secret: Option<&'static str>,
    /// The variable with its address.
    pub address: Option<&'static str>,
    /// The variable with its id.
    pub id: Option<&'static str>,
}

impl Gives {
    /// All of its variables.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [self.secret, self.address, self.id].into_iter().flatten()
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct SlotRow {
    /// Which of a tool's resources it is, or the one slot that the row speaks of.
    pub slot: SlotKind,
    /// Who provides it: the provider's name in the ledger.
    pub provider: &'static str,
    /// Order of creation. Teardown takes back in the opposite order what does not go with the project (design 3.3).
    pub rank: u8,
    /// Slots that must exist first; of a tool, its own other parts.
    pub needs: &'static [SlotKind],
    /// How it is found again after a lost answer.
    pub found_by: FoundBy,
    /// How it is taken back.
    pub undo: Undo,
    /// What the agent gets of it.
    pub gives: Gives,
    /// Whether it is something that cannot be had again once it is gone: an address, a number, money. Then its loss is
    /// told, and nothing is made in its place by itself.
    pub precious: bool,
    /// Whether to look at it sets it up, where that was not done yet.
    pub set_up_by_looking: bool,
}

/// What a row speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// This slot.
    One(Slot),
    /// A part of every tool at the row's provider.
    Tool(Part),
}

/// The provider of everything that an agent runs on.
pub const RAILWAY: &str = "railway";

/// The page of a project, as people see it.
pub fn page(project: &str) -> String {
    format!("https://railway.com/project/{project}")
}

const NOTHING: Gives = Gives {
    secret: None,
    address: None,
    id: None,
};

const fn tool(
    provider: &'static str,
    part: Part,
    rank: u8,
    needs: &'static [SlotKind],
    found_by: FoundBy,
    undo: Undo,
) -> SlotRow {
    SlotRow {
        slot: SlotKind::Tool(part),
        provider,
        rank,
        needs,
        found_by,
        undo,
        gives: NOTHING,
        precious: false,
        set_up_by_looking: false,
    }
}

const fn home(slot: Slot, rank: u8, needs: &'static [SlotKind], found_by: FoundBy) -> SlotRow {
    SlotRow {
        slot: SlotKind::One(slot),
        provider: RAILWAY,
        rank,
        needs,
        found_by,
        undo: match slot {
            Slot::Project => Undo::Delete,
            _ => Undo::WithProject,
        },
        gives: NOTHING,
        precious: false,
        set_up_by_looking: false,
    }
}

const MAIN: &[SlotKind] = &[SlotKind::Tool(Part::Main)];

/// The table.
pub const SLOTS: &[SlotRow] = &[
    home(Slot::Project, 10, &[], FoundBy::Marker),
    home(
        Slot::Environment,
        11,
        &[SlotKind::One(Slot::Project)],
        FoundBy::KindInParent,
    ),
    SlotRow {
        gives: Gives {
            secret: Some("WALLET_PRIVATE_KEY"),
            address: Some("WALLET_ADDRESS"),
            id: None,
        },
        precious: true,
        ..tool("wallet", Part::Main, 20, &[], FoundBy::Kept, Undo::Rest)
    },
    SlotRow {
        gives: Gives {
            address: Some("BANKR_WALLET_ADDRESS"),
            ..NOTHING
        },
        precious: true,
        ..tool(
            "bankr",
            Part::Main,
            24,
            &[],
            FoundBy::RemakeToLook,
            Undo::Rest,
        )
    },
    SlotRow {
        gives: Gives {
            secret: Some("BANKR_API_KEY"),
            ..NOTHING
        },
        ..tool(
            "bankr",
            Part::Key,
            25,
            MAIN,
            FoundBy::RevokeToLook,
            Undo::Delete,
        )
    },
    SlotRow {
        gives: Gives {
            id: Some("TELNYX_MESSAGING_PROFILE_ID"),
            ..NOTHING
        },
        ..tool(
            "telnyx",
            Part::Profile,
            30,
            &[],
            FoundBy::Name,
            Undo::Delete,
        )
    },
    SlotRow {
        gives: Gives {
            address: Some("TELNYX_PHONE_NUMBER"),
            ..NOTHING
        },
        precious: true,
        set_up_by_looking: true,
        ..tool(
            "telnyx",
            Part::Main,
            31,
            &[SlotKind::Tool(Part::Profile)],
            FoundBy::Name,
            Undo::Delete,
        )
    },
    SlotRow {
        gives: Gives {
            address: Some("AGENTMAIL_INBOX"),
            ..NOTHING
        },
        precious: true,
        ..tool(
            "agentmail",
            Part::Main,
            40,
            &[],
            FoundBy::SameAgain,
            Undo::Delete,
        )
    },
    SlotRow {
        gives: Gives {
            secret: Some("AGENTMAIL_API_KEY"),
            ..NOTHING
        },
        ..tool(
            "agentmail",
            Part::Key,
            41,
            MAIN,
            FoundBy::NameWithoutSecret,
            Undo::Delete,
        )
    },
    SlotRow {
        gives: Gives {
            secret: Some("EXA_API_KEY"),
            ..NOTHING
        },
        ..tool(
            "exa",
            Part::Main,
            50,
            &[],
            FoundBy::NameWithoutSecret,
            Undo::Delete,
        )
    },
    SlotRow {
        gives: Gives {
            secret: Some("OPENROUTER_API_KEY"),
            ..NOTHING
        },
        ..tool(
            "openrouter",
            Part::Main,
            60,
            &[],
            FoundBy::NameWithoutSecret,
            Undo::Delete,
        )
    },
    home(
        Slot::Service,
        70,
        &[SlotKind::One(Slot::Environment)],
        FoundBy::NameInParent,
    ),
    home(
        Slot::Volume,
        71,
        &[SlotKind::One(Slot::Service)],
        FoundBy::KindInParent,
    ),
    home(
        Slot::Domain,
        72,
        &[SlotKind::One(Slot::Service)],
        FoundBy::KindInParent,
    ),
    home(
        Slot::Configuration,
        73,
        &[SlotKind::One(Slot::Service), SlotKind::One(Slot::Domain)],
        FoundBy::SameAgain,
    ),
];

impl SlotRow {
    /// Whether a ledger entry is of this row.
    pub fn is_of(&self, entry: &LedgerEntry) -> bool {
        entry.row().rank == self.rank
    }

    /// A stable word for metrics: the same for every tool of a kind, whatever a template calls it.
    pub fn word(&self) -> String {
        match self.slot {
            SlotKind::One(slot) => slot.to_string(),
            SlotKind::Tool(Part::Main) => self.provider.to_owned(),
            SlotKind::Tool(Part::Key) => format!("{}/key", self.provider),
            SlotKind::Tool(Part::Profile) => format!("{}/profile", self.provider),
        }
    }
}

/// The row of a slot at a provider. What no row knows (an entry that a later version wrote) counts as a project: last
/// to go, found by its marker.
pub fn row(provider: &str, slot: Slot) -> &'static SlotRow {
    let kind = match slot {
        Slot::Tool(tool) => SlotKind::Tool(tool.part),
        one => SlotKind::One(one),
    };
    let known = SLOTS.iter().find(|row| {
        row.slot == kind && (matches!(kind, SlotKind::One(_)) || row.provider == provider)
    });
    known.unwrap_or(&UNKNOWN)
}

const UNKNOWN: SlotRow = home(Slot::Project, 10, &[], FoundBy::Marker);

/// The rows of a tool at a provider, in the order in which they are made.
pub fn parts(provider: &str) -> impl Iterator<Item = (Part, &'static SlotRow)> {
    SLOTS.iter().filter_map(move |row| match row.slot {
        SlotKind::Tool(part) if row.provider == provider => Some((part, row)),
        _ => None,
    })
}

impl LedgerEntry {
    /// The row of the entry's slot.
    pub fn row(&self) -> &'static SlotRow {
        row(&self.provider, self.slot)
    }

    /// Whether it stands for nothing that could be outside: nothing was tried, or what was tried certainly did not land.
    pub fn is_blank(&self) -> bool {
        self.state == SlotState::Planned && !self.doubtful
    }
}

#[cfg(test)]
mod tests;
