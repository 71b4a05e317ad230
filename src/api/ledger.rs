//! The ledger: for each outside resource of an instance what we intend, what we know, and what must be taken back
//! (design 3.2). It stands in `.status.external` and is all that a teardown needs.

use super::money::Money;
use super::template::ReclaimPolicy;
use arrayvec::ArrayString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// One outside resource that an instance needs. The table in `model::slot` says everything else about it.
///
/// Written as people meet it: `project`, `tool/llm`, `tool/inbox/key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Slot {
    /// A resource of one of the agent's tools.
    Tool(ToolSlot),
    /// The project that holds everything else of the instance.
    Project,
    /// The environment that comes with the project.
    Environment,
    /// What runs the agent's image.
    Service,
    /// The disk that survives deployments.
    Volume,
    /// The public host name.
    Domain,
    /// Image, variables, limits: everything that a deployment is made from, applied at once.
    Configuration,
}

/// Most characters of a tool's name.
pub const TOOL_NAME_LIMIT: usize = 20;

/// One resource of a tool. Which provider it is at stands in the ledger beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToolSlot {
    /// The tool's name in the template.
    pub tool: ArrayString<TOOL_NAME_LIMIT>,
    /// Which of its resources.
    pub part: Part,
}

/// The resources that a tool can consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The thing itself: a key, an inbox, a number, a wallet.
    Main,
    /// A credential that opens the thing and nothing else.
    Key,
    /// What the thing is set up with.
    Profile,
}

const FIXED: [(Slot, &str); 6] = [
    (Slot::Project, "project"),
    (Slot::Environment, "environment"),
    (Slot::Service, "service"),
    (Slot::Volume, "volume"),
    (Slot::Domain, "domain"),
    (Slot::Configuration, "configuration"),
];

impl Slot {
    /// The slot of a tool's part. `None` where the name is longer than a tool's may be.
    pub fn tool(tool: &str, part: Part) -> Option<Slot> {
        let tool = ArrayString::from(tool).ok()?;
        Some(Slot::Tool(ToolSlot { tool, part }))
    }

    /// Another resource of the same tool, if it is one of a tool.
    pub fn beside(&self, part: Part) -> Option<Slot> {
        let tool = self.as_tool()?.tool;
        Some(Slot::Tool(ToolSlot { tool, part }))
    }

    /// The tool's resource that it is, if it is one.
    pub fn as_tool(&self) -> Option<&ToolSlot> {
        match self {
            Slot::Tool(slot) => Some(slot),
            _ => None,
        }
    }

    /// The slot that people call so.
    pub fn named(name: &str) -> Option<Slot> {
        let Some(rest) = name.strip_prefix("tool/") else {
            return FIXED
                .iter()
                .find(|(_, known)| *known == name)
                .map(|(slot, _)| *slot);
        };
        let (tool, part) = match rest.split_once('/') {
            None => (rest, Part::Main),
            Some((tool, "key")) => (tool, Part::Key),
            Some((tool, "profile")) => (tool, Part::Profile),
            Some(_) => return None,
        };
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if tool.is_empty() || !tool.chars().all(legal) {
            return None;
        }
        Slot::tool(tool, part)
    }
}

/// The name that people meet: in the ledger, in conditions, in the abandon annotation.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Slot::Tool(slot) => {
                write!(f, "tool/{}", slot.tool)?;
                match slot.part {
                    Part::Main => Ok(()),
                    Part::Key => f.write_str("/key"),
                    Part::Profile => f.write_str("/profile"),
                }
            }
            fixed => f.write_str(
                FIXED
                    .iter()
                    .find(|(slot, _)| slot == fixed)
                    .map_or("", |(_, name)| name),
            ),
        }
    }
}

impl TryFrom<String> for Slot {
    type Error = String;

    fn try_from(name: String) -> Result<Slot, String> {
        Slot::named(&name).ok_or_else(|| format!("there is no slot {name}"))
    }
}

impl From<Slot> for String {
    fn from(slot: Slot) -> String {
        slot.to_string()
    }
}

impl JsonSchema for Slot {
    fn schema_name() -> Cow<'static, str> {
        "Slot".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "maxLength": 40,
            "pattern": "^(project|environment|service|volume|domain|configuration|tool/[a-z0-9-]{1,20}(/key|/profile)?)$",
        })
    }
}

/// How far a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SlotState {
    /// An attempt is known not to have taken effect; the next one is due.
    Planned,
    /// An attempt is or may be under way; its outcome is unknown until recorded.
    Creating,
    /// It is there.
    Exists,
    /// Its deletion has been asked for.
    Deleting,
}

/// How a resource came to be the instance's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Origin {
    /// Made for it, or being made.
    Made,
    /// It was there before: `spec.adopt` names it. Of the configuration: the agent runs as it was found.
    Adopted,
}

/// What we know about one outside resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// Which resource: `project`, `environment`, `service`, `volume`, `domain`, `configuration`; of a tool `tool/NAME`, its
    /// credential `tool/NAME/key`, what it is set up with `tool/NAME/profile`. The abandon annotation names it so.
    pub slot: Slot,
    /// Who provides it.
    #[schemars(length(max = 63))]
    pub provider: String,
    /// The ProviderAccount that pays for it; empty for what is made here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub account: String,
    /// How it came to be the instance's. Ledgers of version 0.1.0 do not say it, and are not read.
    pub origin: Origin,
    /// How far it is.
    pub state: SlotState,
    /// What it is found by: its name outside, or for the configuration what it is made from (a keyed hash).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub key: String,
    /// The provider's id, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub id: Option<String>,
    /// What it was last set to, of that which can be changed in place, such as `limitUSD=20`; of the configuration, what of
    /// it is the instance's own (a keyed hash).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub settings: String,
    /// Number of the attempt that the state speaks of.
    #[schemars(range(min = 0))]
    pub attempt: i32,
    /// Whether the outcome of an attempt was unknown once: what bears the name is looked for when it is deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doubtful: bool,
    /// Whether the provider has shown it: from then on it is gone when nobody shows it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shown: bool,
    /// What becomes of something that may hold money. Left out: it is kept, at rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reclaim: Option<ReclaimPolicy>,
    /// What it may cost a month at most, in US dollars, written before it is ordered or its limit is raised; of a number, once that
    /// is known, its price.
    #[serde(
        default,
        rename = "monthlyUSD",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(schema_with = "super::money::told")]
    pub monthly_usd: Option<Money>,
    /// When that attempt began.
    pub started_at: MicroTime,
    /// What a newer version says of it.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Unknown,
}

impl LedgerEntry {
    /// A record of a slot of which nothing was tried yet.
    pub fn new(slot: Slot, provider: &str, account: String, at: MicroTime) -> LedgerEntry {
        LedgerEntry {
            slot,
            provider: provider.to_owned(),
            account,
            origin: Origin::Made,
            state: SlotState::Planned,
            key: String::new(),
            id: None,
            settings: String::new(),
            attempt: 1,
            doubtful: false,
            shown: false,
            reclaim: None,
            monthly_usd: None,
            started_at: at,
            unknown: Unknown::default(),
        }
    }
}

/// Fields of a record that this version does not know. A write of the status replaces a list as a whole, so each of its
/// records keeps them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unknown(Map<String, Value>);
