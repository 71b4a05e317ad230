//! What a pass can do next, and what can come of it. One step is one effect, and each may be the last before a crash.

use super::compose::Composed;
pub use super::outcome::Outcome;
use super::places::PlaceAsked;
use super::world::World;
use crate::api::{AgentInstanceStatus, Slot};
use crate::model::tool::{Named, Order, Sought, Wish};
use crate::model::{Announcement, Gate, Marker, ReadinessProbe};
use jiff::Timestamp;

/// What a pass shall do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The status that is true now, with the intent of the step in it.
    pub status: AgentInstanceStatus,
    /// The next effect, if there is one.
    pub step: Option<Step>,
    /// When to come again by itself, where there is no step.
    pub wake: Option<Timestamp>,
    /// Slots whose attempt begins with this plan.
    pub untried: std::collections::BTreeSet<Slot>,
    /// What people should hear of, once.
    pub announcements: Vec<Announcement>,
    /// The line that it waits in. One that waits in none holds no turn.
    pub line: Option<Gate>,
}

/// One effect.
#[derive(Clone, Debug)]
pub enum Step {
    /// Put the finalizer on, and write down the identity where there is one to write.
    Hold {
        /// Under which UID what is outside is made.
        identity: Option<String>,
    },
    /// Make the Secret with the gateway token.
    MintToken,
    /// Read the whole account anew, to find what an attempt with a lost answer left.
    Search,
    /// Read the recorded project.
    Look {
        /// Project id.
        project: String,
    },
    /// Ask for a turn to make what the provider allows only once in a while: the very next step, if it is given.
    TakeTurn {
        /// To make what.
        gate: Gate,
    },
    /// Take a place in a tool's account, or more money for one that has its place, if there is room.
    TakePlace {
        /// For what.
        slot: Slot,
        /// In which account.
        account: String,
        /// What is asked for.
        asked: PlaceAsked,
    },
    /// Record an order of what costs money by the piece, before it is sent.
    RecordOrder {
        /// For what.
        slot: Slot,
        /// In which account.
        account: String,
    },
    /// Make the project.
    CreateProject {
        /// Its name.
        name: String,
        /// Whose it is.
        marker: Marker,
    },
    /// Make the service, with nothing in it yet.
    CreateService {
        /// Project id.
        project: String,
        /// Environment id.
        environment: String,
        /// Its name.
        name: String,
    },
    /// Make the volume.
    CreateVolume {
        /// Project id.
        project: String,
        /// Environment id.
        environment: String,
        /// Service id.
        service: String,
        /// Where it is mounted.
        mount: String,
    },
    /// Put the volume where it belongs: to its service, at its path.
    Mount {
        /// Environment id.
        environment: String,
        /// Service id.
        service: String,
        /// Volume id.
        volume: String,
        /// Where it is mounted.
        mount: String,
    },
    /// Make the public host name.
    CreateDomain {
        /// Environment id.
        environment: String,
        /// Service id.
        service: String,
        /// Port behind it.
        port: Option<u16>,
    },
    /// Apply the whole configuration at once; the provider deploys it.
    Configure {
        /// Environment id.
        environment: String,
        /// Service id.
        service: String,
        /// Volume id.
        volume: Option<String>,
        /// What to apply.
        composed: Box<Composed>,
        /// Number of the attempt, part of what is applied.
        attempt: i32,
        /// Variables that were set before and are no longer wanted.
        retired: Vec<String>,
    },
    /// Read the configuration back and compare.
    Compare {
        /// Environment id.
        environment: String,
        /// Service id.
        service: String,
        /// What it should be.
        composed: Box<Composed>,
        /// Number of the attempt that applied it.
        attempt: i32,
    },
    /// Deploy what is configured.
    Deploy {
        /// Environment id.
        environment: String,
        /// Service id.
        service: String,
    },
    /// End a deployment.
    Stop {
        /// Deployment id.
        deployment: String,
    },
    /// Ask the agent whether it is ready.
    AskAgent {
        /// Host name.
        host: String,
        /// What is asked for, and what must come back.
        readiness: ReadinessProbe,
    },
    /// Take an outside resource back.
    Delete {
        /// Which kind.
        slot: Slot,
        /// Its id.
        id: String,
        /// Whether it is one too many rather than the recorded one.
        surplus: bool,
    },
    /// Make a resource of a tool, or be told which one bears its name already.
    MakeTool {
        /// Which.
        slot: Slot,
        /// The account; empty for what is made here.
        account: String,
        /// What to make.
        order: Box<Order>,
    },
    /// Put the credential of what was made in this pass into its Secret.
    KeepSecret {
        /// Whose.
        slot: Slot,
    },
    /// Take a credential out of its Secret, or the Secret away where it holds nothing else.
    DropSecret {
        /// Whose.
        slot: Slot,
    },
    /// Look for everything that bears a resource's name.
    FindTool {
        /// Which.
        slot: Slot,
        /// The account.
        account: String,
        /// What is looked for.
        sought: Box<Sought>,
    },
    /// Read one resource of a tool.
    LookTool {
        /// Which.
        slot: Slot,
        /// The account.
        account: String,
        /// Its names.
        named: Named,
    },
    /// Change in place what can be changed.
    AdjustTool {
        /// Which.
        slot: Slot,
        /// The account.
        account: String,
        /// Its names.
        named: Named,
        /// What it shall be like.
        wish: Wish,
    },
    /// Take a resource of a tool back.
    DeleteTool {
        /// Which.
        slot: Slot,
        /// The account.
        account: String,
        /// Its names.
        named: Named,
        /// Whether it goes for good also where it may hold money.
        for_good: bool,
        /// Whether it is one too many rather than the recorded one.
        surplus: bool,
    },
    /// Take the finalizer off.
    LetGo,
    /// Delete the object itself: its time is over.
    Expire,
}

impl Step {
    /// The slot whose intent must be on record before this step is taken.
    pub fn intends(&self) -> Option<Slot> {
        match self {
            Step::CreateProject { .. } => Some(Slot::Project),
            Step::CreateService { .. } => Some(Slot::Service),
            Step::CreateVolume { .. } => Some(Slot::Volume),
            Step::CreateDomain { .. } => Some(Slot::Domain),
            Step::Configure { .. } => Some(Slot::Configuration),
            Step::MakeTool { slot, .. } => Some(*slot),
            Step::Delete {
                slot,
                surplus: false,
                ..
            }
            | Step::DeleteTool {
                slot,
                surplus: false,
                ..
            } => Some(*slot),
            _ => None,
        }
    }

    /// The account in which the step makes, or takes over, something that is not the instance's yet. By then the finalizer
    /// is on and the intent on record; whether the account is being deleted is asked of the API server between that and the
    /// step. Whoever lets an account go looks in the opposite order: so one of the two sees the other.
    pub fn makes_in<'a>(&'a self, world: &'a World) -> Option<&'a str> {
        if world.deleting() {
            return None;
        }
        let home = world.instance.spec.account_ref.name.as_str();
        let adopts = world.instance.spec.adopt.is_some();
        match self {
            Step::CreateProject { .. } => Some(home),
            Step::Look { .. } if adopts && world.entry(Slot::Project).is_none() => Some(home),
            Step::MakeTool { account, .. } if !account.is_empty() => Some(account),
            Step::LookTool { slot, account, .. } if world.entry(*slot).is_none() => Some(account),
            _ => None,
        }
    }

    /// The slot whose entry must be on record before this step is taken: that of its intent; of what is one too many, that
    /// of the one which stays; of a limit that is raised, what it may cost then; of a volume that is mounted again, that of the configuration which is then deployed anew.
    pub fn leans_on(&self) -> Option<Slot> {
        match self {
            Step::Delete { slot, .. }
            | Step::DeleteTool { slot, .. }
            | Step::AdjustTool { slot, .. } => Some(*slot),
            Step::Mount { .. } => Some(Slot::Configuration),
            _ => self.intends(),
        }
    }

    /// Whether the step asks something of the provider of the instance's own account.
    pub fn is_outside(&self) -> bool {
        !matches!(
            self,
            Step::Hold { .. }
                | Step::MintToken
                | Step::LetGo
                | Step::Expire
                | Step::AskAgent { .. }
        ) && self.tool().is_none()
    }

    /// The slot in which the step changes something outside, if it does; what is deployed counts as its service.
    pub fn changes(&self) -> Option<Slot> {
        match self {
            Step::Delete { slot, .. }
            | Step::AdjustTool { slot, .. }
            | Step::DeleteTool { slot, .. } => Some(*slot),
            Step::Deploy { .. } | Step::Stop { .. } => Some(Slot::Service),
            _ => self.intends(),
        }
    }

    /// The tool's slot that the step is about, if it is about one.
    pub fn tool(&self) -> Option<Slot> {
        match self {
            Step::MakeTool { slot, .. }
            | Step::KeepSecret { slot }
            | Step::DropSecret { slot }
            | Step::FindTool { slot, .. }
            | Step::LookTool { slot, .. }
            | Step::AdjustTool { slot, .. }
            | Step::DeleteTool { slot, .. } => Some(*slot),
            _ => None,
        }
    }

    /// A stable word for logs and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Step::Hold { .. } => "Hold",
            Step::MintToken => "MintToken",
            Step::Search => "Search",
            Step::Look { .. } => "Look",
            Step::TakeTurn { .. } => "TakeTurn",
            Step::TakePlace { .. } => "TakePlace",
            Step::RecordOrder { .. } => "RecordOrder",
            Step::CreateProject { .. } => "CreateProject",
            Step::CreateService { .. } => "CreateService",
            Step::CreateVolume { .. } => "CreateVolume",
            Step::Mount { .. } => "Mount",
            Step::CreateDomain { .. } => "CreateDomain",
            Step::Configure { .. } => "Configure",
            Step::Compare { .. } => "Compare",
            Step::Deploy { .. } => "Deploy",
            Step::Stop { .. } => "Stop",
            Step::AskAgent { .. } => "AskAgent",
            Step::Delete { .. } => "Delete",
            Step::MakeTool { .. } => "MakeTool",
            Step::KeepSecret { .. } => "KeepSecret",
            Step::DropSecret { .. } => "DropSecret",
            Step::FindTool { .. } => "FindTool",
            Step::LookTool { .. } => "LookTool",
            Step::AdjustTool { .. } => "AdjustTool",
            Step::DeleteTool { .. } => "DeleteTool",
            Step::LetGo => "LetGo",
            Step::Expire => "Expire",
        }
    }
}
