//! What a listing of an account of tools is worth, and whom it concerns.
//!
//! What holds: a listing takes nothing away from a ledger unless it is believable as a whole, or each thing that it lacks
//! was confirmed gone by itself; a repeated wrong answer is no confirmation. An instance is woken by what changed of its
//! own, and by what it has spent only every few minutes. Deliberately absent: what becomes of something that is gone
//! (that is the plan's), and whose a thing is that stands in no ledger (`model::marker`).

use super::world::Limits;
use crate::api::instance::ToolUsage;
use crate::api::{AgentInstance, Part, SlotState};
use crate::model::Marker;
use crate::model::tool::{Named, Resource, Stage, Stock, Usage};
use crate::model::values::Seal;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::collections::{BTreeMap, HashMap, HashSet};

/// So old may be what an instance's status says that a tool has spent.
pub const USAGE_AGE: SignedDuration = SignedDuration::from_mins(5);

/// Less than half a cent is no news: a status tells cents.
const CENT_HALF: f64 = 0.005;

/// A resource of an account that a ledger knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The instance whose ledger it is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The resource; without an id where its creation is not known to have succeeded.
    pub named: Named,
    /// Whether it exists for long enough that a complete listing must show it.
    pub expected: bool,
    /// What the instance's status says that it has spent.
    pub told: Option<ToolUsage>,
}

/// What an instance's ledger knows in an account. A listing begun at `begun` must show what had landed by then.
pub fn recorded(
    instance: &AgentInstance,
    account: &str,
    begun: Timestamp,
    limits: Limits,
) -> Vec<Recorded> {
    let Some(status) = &instance.status else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in status
        .external
        .iter()
        .filter(|entry| entry.account == account)
    {
        let Some(slot) = entry.slot.as_tool() else {
            continue;
        };
        let parts: BTreeMap<_, _> = status
            .external
            .iter()
            .filter_map(|other| {
                let part = other.slot.as_tool()?;
                let beside = part.tool == slot.tool && part.part != slot.part;
                Some((part.part, other.id.clone()?)).filter(|_| beside)
            })
            .collect();
        found.push(Recorded {
            namespace: instance.namespace().unwrap_or_default(),
            name: instance.name_any(),
            named: Named {
                part: slot.part,
                id: entry.id.clone().unwrap_or_default(),
                key: entry.key.clone(),
                seen: false,
                parts,
            },
            // A key hangs at the thing that it opens: no listing of an account shows it.
            expected: entry.state == SlotState::Exists
                && slot.part != Part::Key
                && entry.id.is_some()
                && limits.landed_by(entry.started_at.0) <= begun,
            told: status
                .tools
                .iter()
                .find(|tool| tool.name == slot.tool.as_str())
                .and_then(|tool| tool.usage.clone()),
        });
    }
    found
}

/// What the listing must show and does not.
pub fn missing<'a>(stock: &Stock, recorded: &'a [Recorded]) -> Vec<&'a Named> {
    let listed: HashSet<&str> = stock.resources.iter().map(|one| one.id.as_str()).collect();
    recorded
        .iter()
        .filter(|one| one.expected && !listed.contains(one.named.id.as_str()))
        .map(|one| &one.named)
        .collect()
}

/// What a listing shows alive under a name that was given to this slot, in whichever of its lives.
pub fn bearing(stock: &Stock, marker: &Marker, seal: &Seal) -> Vec<Resource> {
    let part = marker.slot.as_tool().map(|own| own.part);
    let lives = |one: &&Resource| !matches!(one.stage, Stage::Failed { .. } | Stage::Resting);
    let found = stock.resources.iter().filter(lives);
    found
        .filter(|one| Some(one.part) == part && marker.named(seal, &one.name))
        .cloned()
        .collect()
}

/// A set of ids, kept from one reading to the next: what is in it, and was not before, is news once. So an absence is told
/// also where no listing ever showed the thing: what is deleted right after it was made is missing from the first one that
/// must show it.
#[derive(Clone, Debug, Default)]
pub struct Newly(HashSet<String>);

impl Newly {
    /// Takes the ids of this reading. Answers those that the one before did not have.
    pub fn news(&mut self, ids: impl IntoIterator<Item = String>) -> HashSet<String> {
        let now: HashSet<String> = ids.into_iter().collect();
        let news = now.difference(&self.0).cloned().collect();
        self.0 = now;
        news
    }
}

/// Whether the listing shows anything that a ledger knows, by its id or by the name that proves whose it is.
pub fn shows(stock: &Stock, recorded: &[Recorded]) -> bool {
    let index = Index::new(&stock.resources);
    recorded
        .iter()
        .any(|one| !index.portrait(&one.named).is_empty())
}

/// How large a listing is beside what was known before.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Resources in the listing.
    pub listed: usize,
    /// Resources in the last believed one, where there is one.
    pub before: Option<usize>,
    /// Resources that ledgers expect in it.
    pub expected: usize,
    /// Those of them that it lacks and that nobody has confirmed gone.
    pub missing: usize,
}

/// Whether the listing is believed, and if not, why: it lacks something, and is empty or has shrunk to less than half.
pub fn judge(extent: Extent) -> Result<(), String> {
    let Extent {
        listed,
        before,
        expected,
        missing,
    } = extent;
    // A process that has just started remembers no listing; the ledgers do.
    let known = before.unwrap_or(expected);
    if missing == 0 || (listed > 0 && listed.saturating_mul(2) >= known) {
        return Ok(());
    }
    Err(format!(
        "the provider lists {listed} resources where there were {known}, without {missing} that exist as far as is known: the listing is not believed"
    ))
}

/// Resources by what they can be found by.
struct Index<'a> {
    by_id: HashMap<&'a str, &'a Resource>,
    by_name: HashMap<&'a str, Vec<&'a Resource>>,
}

impl<'a> Index<'a> {
    fn new(resources: &'a [Resource]) -> Index<'a> {
        let mut by_name: HashMap<&str, Vec<&Resource>> = HashMap::new();
        for one in resources.iter().filter(|one| !one.name.is_empty()) {
            by_name.entry(one.name.as_str()).or_default().push(one);
        }
        Index {
            by_id: resources.iter().map(|one| (one.id.as_str(), one)).collect(),
            by_name,
        }
    }

    /// What an instance acts upon, of everything that bears the id or the name: which there are, how far, set to what.
    fn portrait(&self, named: &Named) -> Vec<(&'a str, &'a Stage, Option<&'a str>)> {
        let same_name = self.by_name.get(named.key.as_str()).into_iter().flatten();
        let mut all: Vec<_> = self
            .by_id
            .get(named.id.as_str())
            .into_iter()
            .chain(same_name)
            .map(|one| (one.id.as_str(), &one.stage, one.settings.as_deref()))
            .collect();
        all.sort_unstable_by_key(|(id, ..)| *id);
        all.dedup();
        all
    }
}

/// Of what ledgers know, that which a newly believed listing shows otherwise than the one before; all of it where there
/// was none.
pub fn changed<'a>(
    before: Option<&Stock>,
    now: &Stock,
    recorded: &'a [Recorded],
) -> Vec<&'a Recorded> {
    let Some(before) = before else {
        return recorded.iter().collect();
    };
    let (before, now) = (Index::new(&before.resources), Index::new(&now.resources));
    recorded
        .iter()
        .filter(|one| before.portrait(&one.named) != now.portrait(&one.named))
        .collect()
}

/// Of what ledgers know, that which has spent something that its instance's status does not tell, and has not told for
/// [`USAGE_AGE`].
pub fn spent<'a>(stock: &Stock, recorded: &'a [Recorded], now: Timestamp) -> Vec<&'a Recorded> {
    let index = Index::new(&stock.resources);
    recorded
        .iter()
        .filter(|one| {
            let usage = index
                .by_id
                .get(one.named.id.as_str())
                .and_then(|resource| resource.usage);
            match (usage, &one.told) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some(usage), Some(told)) => {
                    now.duration_since(told.as_of.0) >= USAGE_AGE && differs(usage, told)
                }
            }
        })
        .collect()
}

fn differs(usage: Usage, told: &ToolUsage) -> bool {
    let far = |a: f64, b: f64| (a - b).abs() >= CENT_HALF;
    let limit = match (usage.limit_usd, told.limit_usd) {
        (Some(a), Some(b)) => far(a, b),
        (a, b) => a.is_some() != b.is_some(),
    };
    limit || far(usage.spent_usd, told.spent_usd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(id: &str, name: &str) -> Resource {
        Resource {
            part: Part::Main,
            id: id.into(),
            name: name.into(),
            address: None,
            stage: Stage::Ready,
            settings: None,
            usage: None,
            created: None,
            monthly_usd: 0.0,
        }
    }

    fn stock(resources: Vec<Resource>) -> Stock {
        Stock {
            begun: Timestamp::UNIX_EPOCH,
            resources,
        }
    }

    fn instance(state: &str, id: Option<&str>) -> AgentInstance {
        let mut entry = serde_json::json!({
            "origin": "Made", "slot": "tool/llm", "provider": "openrouter", "account": "llm", "state": state, "key": "ym-1",
            "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"
        });
        if let Some(id) = id {
            entry["id"] = id.into();
        }
        let mut made = AgentInstance::new(
            "ada",
            serde_json::from_value(serde_json::json!({
                "templateRef": {"name": "t"}, "accountRef": {"name": "main"}
            }))
            .unwrap(),
        );
        made.metadata.namespace = Some("team".into());
        made.status = Some(
            serde_json::from_value(serde_json::json!({
                "external": [entry, {
                    "origin": "Made", "slot": "tool/llm/key", "provider": "openrouter", "account": "llm", "state": "Exists",
                    "key": "ym-2", "id": "k-2", "attempt": 1, "startedAt": "2026-01-01T00:00:00.000000Z"
                }],
                "tools": [{
                    "name": "llm", "type": "openrouter", "ready": true, "reason": "Ready",
                    "usage": {"spentUSD": 1.0, "limitUSD": 20.0, "asOf": "2026-01-01T00:00:00.000000Z"}
                }]
            }))
            .unwrap(),
        );
        made
    }

    const PATIENT: Limits = Limits {
        request: SignedDuration::from_secs(20),
        settle: SignedDuration::from_secs(10),
    };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_listing_that_lacks_something_is_believed_only_where_it_has_not_shrunk_sharply() {
        for (listed, before, expected, missing, believed) in [
            // Nothing is missing: whatever else went is nobody's business.
            (0, Some(100), 0, 0, true),
            (3, Some(100), 3, 0, true),
            // Something is.
            (99, Some(100), 100, 1, true),
            (50, Some(100), 100, 50, true),
            (49, Some(100), 100, 51, false),
            (0, Some(100), 100, 100, false),
            // The only one there is: empty is not believed unless it was confirmed gone.
            (0, Some(1), 1, 1, false),
            (0, Some(1), 1, 0, true),
            (0, Some(0), 1, 1, false),
            // The first listing of a process is held against the ledgers.
            (0, None, 1, 1, false),
            (4, None, 10, 6, false),
            (5, None, 10, 5, true),
            (200, None, 10, 10, true),
        ] {
            let extent = Extent {
                listed,
                before,
                expected,
                missing,
            };
            assert_eq!(judge(extent).is_ok(), believed, "{extent:?}");
        }
    }

    #[test]
    fn only_what_exists_for_long_enough_is_expected_in_a_listing() {
        for (state, id, begun, expected) in [
            ("Exists", Some("k-1"), "2026-01-01T00:00:30Z", true),
            ("Exists", Some("k-1"), "2026-01-01T00:00:29Z", false),
            ("Creating", None, "2026-01-02T00:00:00Z", false),
            ("Deleting", Some("k-1"), "2026-01-02T00:00:00Z", false),
        ] {
            let found = recorded(&instance(state, id), "llm", at(begun), PATIENT);
            assert_eq!(found[0].expected, expected, "{state} {begun}");
            assert_eq!(
                found[0].named.parts,
                BTreeMap::from([(Part::Key, "k-2".to_owned())])
            );
        }
        assert!(
            recorded(
                &instance("Exists", Some("k-1")),
                "main",
                at("2026-01-02T00:00:00Z"),
                PATIENT
            )
            .is_empty()
        );
    }

    #[test]
    fn what_is_missing_is_what_is_expected_and_not_listed() {
        let all = recorded(
            &instance("Exists", Some("k-1")),
            "llm",
            at("2026-01-02T00:00:00Z"),
            PATIENT,
        );
        let ids = |listing: &Stock| -> Vec<String> {
            missing(listing, &all)
                .into_iter()
                .map(|one| one.id.clone())
                .collect()
        };
        assert_eq!(ids(&stock(vec![])), ["k-1"]);
        assert!(ids(&stock(vec![resource("k-1", "")])).is_empty());
        // A namesake is not the recorded one.
        assert_eq!(ids(&stock(vec![resource("k-9", "ym-1")])), ["k-1"]);
    }

    fn one_key() -> Vec<Recorded> {
        let instance = instance("Exists", Some("k-1"));
        recorded(&instance, "llm", at("2026-01-02T00:00:00Z"), PATIENT)
    }

    #[test]
    fn an_instance_is_concerned_by_presence_stage_and_settings_of_its_own() {
        let all = &one_key()[..1];
        let plain = || resource("k-1", "ym-1");
        let before = stock(vec![plain(), resource("x", "other")]);
        let spends = Resource {
            usage: Some(Usage {
                spent_usd: 3.0,
                limit_usd: None,
            }),
            ..plain()
        };
        let limited = Resource {
            settings: Some("limitUSD=5".into()),
            ..plain()
        };
        let rests = Resource {
            stage: Stage::Resting,
            ..plain()
        };
        for (what, now, concerned) in [
            ("nothing", vec![plain()], false),
            ("order", vec![resource("x", "other"), plain()], false),
            ("spending", vec![spends], false),
            ("a stranger", vec![plain(), resource("y", "z")], false),
            ("gone", vec![resource("x", "other")], true),
            ("settings", vec![limited], true),
            ("stage", vec![rests], true),
            ("a namesake", vec![plain(), resource("k-9", "ym-1")], true),
        ] {
            assert_eq!(
                !changed(Some(&before), &stock(now), all).is_empty(),
                concerned,
                "{what}"
            );
        }
        assert_eq!(changed(None, &before, all).len(), 1);
    }

    #[test]
    fn spending_is_told_every_few_minutes_and_only_where_it_differs() {
        let all = &one_key()[..1];
        let spent_so = |spent_usd, limit_usd, now: &str| {
            let one = Resource {
                usage: Some(Usage {
                    spent_usd,
                    limit_usd,
                }),
                ..resource("k-1", "ym-1")
            };
            !spent(&stock(vec![one]), all, at(now)).is_empty()
        };
        let limit = Some(20.0);
        assert!(spent_so(1.5, limit, "2026-01-01T00:05:00Z"));
        assert!(!spent_so(1.5, limit, "2026-01-01T00:04:59Z"));
        assert!(!spent_so(1.004, limit, "2026-01-01T01:00:00Z"));
        assert!(spent_so(1.0, Some(30.0), "2026-01-01T01:00:00Z"));
        assert!(spent_so(1.0, None, "2026-01-01T01:00:00Z"));
        let untold = [Recorded {
            told: None,
            ..all[0].clone()
        }];
        let one = Resource {
            usage: Some(Usage {
                spent_usd: 0.0,
                limit_usd: None,
            }),
            ..resource("k-1", "")
        };
        assert_eq!(
            spent(&stock(vec![one]), &untold, Timestamp::UNIX_EPOCH).len(),
            1
        );
    }
}
