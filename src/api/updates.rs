//! How idle agents of a pool come to their template's new revision.
//!
//! Holds: what a pool asks of an agent stands in that agent's spec, so that it and a claim's hold exclude each other by the
//! object's resourceVersion. Deliberately absent: whose turn it is (`engine::pool`).

use super::text::Span;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How idle agents come to the template's new revision. Claimed ones never do by this.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStrategy {
    /// OnReplenish: an idle agent stays at its revision until a claim takes it, and those that are made from then on have the new one.
    /// RollingUpdate: idle agents are deployed anew in place, some at a time.
    #[serde(default, rename = "type")]
    pub kind: UpdateStrategyType,
    /// How many of `replicas` may be missing while idle agents are updated: a number, or a part such as `25%`, rounded down. Where this
    /// and maxSurge both come to nothing, it is one.
    #[serde(
        default = "UpdateStrategy::max_unavailable",
        deserialize_with = "unavailable"
    )]
    pub max_unavailable: Share,
    /// How many agents more than `replicas` are made first: a number, or a part such as `25%`, rounded up. Each is a project of its own,
    /// and Railway makes one in 30 seconds.
    #[serde(default = "UpdateStrategy::max_surge", deserialize_with = "surge")]
    pub max_surge: Share,
    /// How long an agent of the new revision must have been ready before the next one is updated for it. Left out, it is enough that it
    /// is ready.
    // Not as an option in the schema: there null would be asked to be a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ready: Option<Span>,
    /// How long an agent may take to get ready at the new revision before the update stops by itself.
    #[serde(default = "UpdateStrategy::progress_deadline")]
    pub progress_deadline: Span,
}

/// Whether an instance follows its template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdatePolicy {
    /// In its turn.
    #[default]
    Automatic,
    /// Not until told to.
    Manual,
}

/// When idle agents take a new revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdateStrategyType {
    /// Never: others are made in the place of those that are claimed.
    #[default]
    OnReplenish,
    /// In place, some at a time.
    RollingUpdate,
}

/// So long an update may take where nothing is said.
const PROGRESS: Duration = Duration::from_secs(20 * 60);

impl UpdateStrategy {
    fn max_unavailable() -> Share {
        Share::Percent(25)
    }
    fn max_surge() -> Share {
        Share::Number(0)
    }
    fn progress_deadline() -> Span {
        Span::from("20m")
    }

    /// How long an agent may take.
    pub fn deadline(&self) -> Duration {
        Span::or(Some(&self.progress_deadline), PROGRESS)
    }

    /// How many of so many may be missing, and how many more there may be: one of the two is never nothing.
    pub fn pace(&self, replicas: usize) -> (usize, usize) {
        let (missing, more) = (
            self.max_unavailable.down(replicas),
            self.max_surge.up(replicas),
        );
        match (missing, more) {
            (0, 0) => (1, 0),
            pace => pace,
        }
    }
}

impl Default for UpdateStrategy {
    fn default() -> Self {
        UpdateStrategy {
            kind: UpdateStrategyType::default(),
            max_unavailable: Self::max_unavailable(),
            max_surge: Self::max_surge(),
            min_ready: None,
            progress_deadline: Self::progress_deadline(),
        }
    }
}

/// In the schema a number or text may be null as well: it counts as left out.
fn unavailable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
    let given: Option<Share> = Option::deserialize(deserializer)?;
    Ok(given.unwrap_or_else(UpdateStrategy::max_unavailable))
}

fn surge<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
    let given: Option<Share> = Option::deserialize(deserializer)?;
    Ok(given.unwrap_or_else(UpdateStrategy::max_surge))
}

/// What its pool asks of an idle instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateTo {
    /// The revision of its template that it is to take.
    #[schemars(length(min = 1, max = 128))]
    pub revision: String,
    /// Since when.
    pub since: MicroTime,
}

/// A number, or a part of a whole: `2`, `25%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// So many.
    Number(u32),
    /// So many in a hundred.
    Percent(u32),
}

/// Most of a [`Share::Number`].
const MOST: u32 = 10_000;

impl Share {
    /// How many of a whole that is at most.
    pub fn down(self, of: usize) -> usize {
        match self {
            Share::Number(number) => usize::try_from(number).unwrap_or(usize::MAX),
            Share::Percent(percent) => of * usize::try_from(percent).unwrap_or(0) / 100,
        }
    }

    /// How many of a whole that is at least.
    pub fn up(self, of: usize) -> usize {
        match self {
            Share::Number(_) => self.down(of),
            Share::Percent(percent) => (of * usize::try_from(percent).unwrap_or(0)).div_ceil(100),
        }
    }
}

/// A text that is no part of a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoShare;

impl fmt::Display for NoShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no number and no part such as \"25%\"")
    }
}

impl FromStr for Share {
    type Err = NoShare;

    fn from_str(text: &str) -> Result<Share, NoShare> {
        let percent = text.strip_suffix('%').ok_or(NoShare)?;
        let digits = percent.bytes().all(|byte| byte.is_ascii_digit());
        let percent = percent.parse().map_err(|_| NoShare)?;
        match digits && percent <= 100 {
            true => Ok(Share::Percent(percent)),
            false => Err(NoShare),
        }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Share::Number(number) => serializer.serialize_u32(*number),
            Share::Percent(percent) => serializer.collect_str(&format_args!("{percent}%")),
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShareVisitor)
    }
}

struct ShareVisitor;

impl Visitor<'_> for ShareVisitor {
    type Value = Share;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number such as 2 or a part such as \"25%\"")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Share, E> {
        let number = u32::try_from(number).ok().filter(|number| *number <= MOST);
        number.map(Share::Number).ok_or_else(|| E::custom(NoShare))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Share, E> {
        let number = u64::try_from(number).map_err(|_| E::custom(NoShare))?;
        self.visit_u64(number)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Share, E> {
        text.parse().map_err(E::custom)
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 0,
            "maximum": MOST,
            "maxLength": 4,
            "pattern": "^(100|[0-9]{1,2})%$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_number_or_a_part() {
        for (json, of, down, up) in [
            ("3", 10, 3, 3),
            ("0", 10, 0, 0),
            ("\"25%\"", 10, 2, 3),
            ("\"25%\"", 3, 0, 1),
            ("\"0%\"", 3, 0, 0),
            ("\"100%\"", 7, 7, 7),
        ] {
            let share: Share = serde_json::from_str(json).unwrap();
            assert_eq!((share.down(of), share.up(of)), (down, up), "{json}");
            let written = serde_json::to_string(&share).unwrap();
            assert_eq!(written, json);
        }
        for wrong in [
            "-1", "1.5", "\"3\"", "\"101%\"", "\"%\"", "\"+5%\"", "10001", "true",
        ] {
            assert!(serde_json::from_str::<Share>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_update_always_has_a_pace() {
        let with = |missing: Share, more: Share| UpdateStrategy {
            max_unavailable: missing,
            max_surge: more,
            ..UpdateStrategy::default()
        };
        assert_eq!(UpdateStrategy::default().pace(20), (5, 0));
        assert_eq!(UpdateStrategy::default().pace(1), (1, 0));
        assert_eq!(with(Share::Number(0), Share::Number(0)).pace(9), (1, 0));
        assert_eq!(with(Share::Number(0), Share::Percent(10)).pace(9), (0, 1));
    }
}
