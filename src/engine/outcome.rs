//! What can come of a step.

use super::places::TakenPlaces;
use crate::model::tool::{Kept, Made, Resource};
use crate::model::{Domain, Fault, Health, Home, Listing, Sight, Turn};
use jiff::Timestamp;

/// What came of a step.
#[derive(Clone, Debug)]
// There is one at a time, and it is taken apart at once.
#[allow(clippy::large_enum_variant)]
pub enum Outcome {
    /// Done, with nothing to remember beyond that.
    Done,
    /// Not asked: the account in which something new was to be made is being deleted, or gone.
    AccountGoes,
    /// The object's metadata, with the finalizer on.
    Held(Box<kube::core::ObjectMeta>),
    /// The account as a whole.
    Searched(Listing),
    /// The recorded project.
    Looked(Sight<Home>),
    /// The answer about a turn, and the places that others take, counted after it.
    Turned {
        /// The answer.
        turn: Turn,
        /// As [`crate::engine::world::AccountRoom::projects`].
        projects: Option<TakenPlaces>,
    },
    /// The places that others take in a tool's account, counted before one was taken; `None`: it cannot be said yet.
    Placed(Option<TakenPlaces>),
    /// An order is on record; or when one may be, where an hour's are.
    Ordered(Option<Timestamp>),
    /// A new project.
    ProjectMade {
        /// Its id.
        project: String,
        /// The environment that came with it; `None` where the answer did not show it yet.
        environment: Option<String>,
    },
    /// A new service, volume.
    Made {
        /// Its id.
        id: String,
    },
    /// A new domain.
    DomainMade(Domain),
    /// What differs between configured and wanted.
    Compared(Vec<String>),
    /// A resource of a tool.
    ToolMade(Box<Made>),
    /// Everything that bears a name, in a reading begun then.
    ToolsFound(Timestamp, Vec<Resource>),
    /// One resource, if it is there, in a reading begun then.
    ToolLooked(Timestamp, Option<Box<Resource>>),
    /// A Secret keeps this now.
    SecretKept(Kept),
    /// What the agent said.
    AgentSaid(Health),
    /// It went wrong.
    Faulted(Fault),
}

impl Outcome {
    /// A stable word for logs.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Done => "Done",
            Outcome::AccountGoes => "AccountGoes",
            Outcome::Held(_) => "Held",
            Outcome::Searched(_) => "Searched",
            Outcome::Looked(_) => "Looked",
            Outcome::Turned { .. } => "Turned",
            Outcome::Placed(_) => "Placed",
            Outcome::Ordered(_) => "Ordered",
            Outcome::ProjectMade { .. } => "ProjectMade",
            Outcome::Made { .. } => "Made",
            Outcome::DomainMade(_) => "DomainMade",
            Outcome::Compared(_) => "Compared",
            Outcome::ToolMade(_) => "ToolMade",
            Outcome::ToolsFound(..) => "ToolsFound",
            Outcome::ToolLooked(..) => "ToolLooked",
            Outcome::SecretKept(_) => "SecretKept",
            Outcome::AgentSaid(_) => "AgentSaid",
            Outcome::Faulted(_) => "Faulted",
        }
    }
}
