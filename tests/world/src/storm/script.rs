//! What a storm does and when: a list of disturbances, made from a seed before anything happens.
//!
//! Holds: the same seed and length give the same list; a list can be written, read and run again. What a disturbance meets is
//! decided when it comes, so two runs of one list differ where processes race. Absent: carrying anything out (`hands`).

use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Namespaces, each with a Railway workspace and an account at every provider of its own.
pub(super) const TENANTS: usize = 3;

/// Where each tenant has an account.
pub(super) const PROVIDERS: [&str; 6] = [
    "railway",
    "openrouter",
    "exa",
    "agentmail",
    "telnyx",
    "bankr",
];

/// Kinds of agents, in each namespace one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Nothing but its project.
    Plain,
    /// With a volume.
    Disk,
    /// With all six tools from the start.
    Six,
    /// With all six tools, the phone on demand.
    Demand,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [Kind::Plain, Kind::Disk, Kind::Six, Kind::Demand];

    /// The name of its template.
    pub(super) fn template(self) -> &'static str {
        match self {
            Kind::Plain => "plain",
            Kind::Disk => "disk",
            Kind::Six => "six",
            Kind::Demand => "demand",
        }
    }
}

/// One agent of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Agent {
    /// Whose.
    pub(super) tenant: usize,
    /// Which of that tenant's.
    pub(super) number: usize,
}

impl Agent {
    pub(super) fn kind(self) -> Kind {
        Kind::ALL[self.number % Kind::ALL.len()]
    }

    pub(super) fn name(self) -> String {
        format!("{}-{}", self.kind().template(), self.number)
    }

    /// All agents, `each` in a namespace.
    pub(super) fn all(each: usize) -> Vec<Agent> {
        (0..TENANTS)
            .flat_map(|tenant| (0..each).map(move |number| Agent { tenant, number }))
            .collect()
    }
}

/// What somebody does by hand at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Hand {
    DeleteProject,
    DeleteService,
    DeleteVolume,
    DeleteDomain,
    EditVariable,
    DeleteLlmKey,
    DeleteSearchKey,
    DeleteInbox,
    ReleaseNumber,
}

/// Who is killed or put to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Process {
    Controller,
    Rival,
    ApiServer,
}

/// One disturbance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase")]
pub(super) enum Disturbance {
    Delete {
        agent: Agent,
    },
    Create {
        agent: Agent,
    },
    Suspend {
        agent: Agent,
    },
    Resume {
        agent: Agent,
    },
    Env {
        agent: Agent,
        value: u32,
    },
    Limit {
        agent: Agent,
        usd: u32,
    },
    /// The agent spends what its model's key lets it, by tenths of the limit.
    Spend {
        agent: Agent,
        tenths: u32,
    },
    Request {
        agent: Agent,
        phone: bool,
    },
    Image {
        tenant: usize,
        kind: Kind,
        tag: u32,
    },
    TemplateEnv {
        tenant: usize,
        kind: Kind,
        value: u32,
    },
    TemplateGone {
        tenant: usize,
        kind: Kind,
    },
    TemplateBack {
        tenant: usize,
        kind: Kind,
    },
    NamespaceGone {
        tenant: usize,
    },
    NamespaceBack {
        tenant: usize,
    },
    GarbleAccount {
        tenant: usize,
        provider: String,
    },
    MendAccount {
        tenant: usize,
        provider: String,
    },
    LoseAgentSecret {
        agent: Agent,
    },
    LoseLedger {
        agent: Agent,
    },
    LoseStatus {
        agent: Agent,
    },
    ByHand {
        agent: Agent,
        what: Hand,
    },
    Kill {
        process: Process,
    },
    Sleep {
        process: Process,
        milliseconds: u64,
    },
    OutsideFault {
        fault: Value,
    },
    ClusterFault {
        fault: Value,
    },
    /// A pool is to keep so many idle.
    Scale {
        tenant: usize,
        replicas: u32,
    },
    PoolGone {
        tenant: usize,
    },
    PoolBack {
        tenant: usize,
    },
    /// The template of a pool's agents says something else.
    PoolTemplate {
        tenant: usize,
        value: u32,
    },
    Claim {
        claim: Claimant,
        /// After so many seconds it has expired.
        expires: Option<u32>,
    },
    Release {
        claim: Claimant,
    },
    EditClaim {
        claim: Claimant,
        value: u32,
    },
    /// Somebody deletes the agent that a claim has.
    TakeAgent {
        claim: Claimant,
    },
}

/// One who claims an agent of his tenant's pool, now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claimant {
    /// Whose.
    pub(super) tenant: usize,
    /// Which of that tenant's.
    pub(super) number: usize,
}

impl Claimant {
    /// So many in a namespace.
    pub(super) const EACH: usize = 4;

    pub(super) fn name(self) -> String {
        format!("claim-{}", self.number)
    }

    /// The last one's agents stay when it goes.
    pub(super) fn retains(self) -> bool {
        self.number + 1 == Claimant::EACH
    }
}

impl Disturbance {
    /// Its word, for counting.
    pub(super) fn word(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        let word = value["do"].as_str().unwrap_or_default().to_owned();
        match value["what"].as_str().or_else(|| value["process"].as_str()) {
            Some(more) => format!("{word} {more}"),
            None => word,
        }
    }
}

/// A disturbance and when it comes, counted from the storm's beginning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Due {
    pub(super) at: u64,
    #[serde(flatten)]
    pub(super) what: Disturbance,
}

/// The list for a seed: about one disturbance in so many milliseconds.
const PACE: u64 = 450;
/// What is taken away for a while comes back after so long.
const AWAY: u64 = 6_000;

pub(super) fn script(seed: u64, length: Duration, each: usize) -> Vec<Due> {
    let mut random = StdRng::seed_from_u64(seed);
    let agents = Agent::all(each);
    let end = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let mut script = Vec::new();
    let mut at = 0;
    loop {
        at += random.random_range(PACE / 2..PACE * 3 / 2);
        if at >= end {
            break;
        }
        let (what, undone) = one(&mut random, &agents);
        script.push(Due { at, what });
        script.extend(undone.map(|what| Due {
            at: at + random.random_range(AWAY / 2..AWAY),
            what,
        }));
    }
    script.sort_by_key(|due| due.at);
    script
}

fn one(random: &mut StdRng, agents: &[Agent]) -> (Disturbance, Option<Disturbance>) {
    let agent = agents[random.random_range(0..agents.len())];
    let tenant = random.random_range(0..TENANTS);
    let kind = Kind::ALL[random.random_range(0..Kind::ALL.len())];
    let number = random.random_range(0..1_000_000);
    match random.random_range(0..130) {
        0..9 => (
            Disturbance::Delete { agent },
            Some(Disturbance::Create { agent }),
        ),
        9..14 => (Disturbance::Create { agent }, None),
        14..20 => (
            Disturbance::Suspend { agent },
            Some(Disturbance::Resume { agent }),
        ),
        20..25 => (
            Disturbance::Env {
                agent,
                value: number,
            },
            None,
        ),
        25..28 => (
            Disturbance::Limit {
                agent,
                usd: 5 + number % 90,
            },
            None,
        ),
        28..31 => (
            Disturbance::Request {
                agent,
                phone: number % 2 == 0,
            },
            None,
        ),
        31..33 => (
            Disturbance::Image {
                tenant,
                kind,
                tag: number % 5,
            },
            None,
        ),
        33..35 => (
            Disturbance::TemplateEnv {
                tenant,
                kind,
                value: number,
            },
            None,
        ),
        35..36 => (
            Disturbance::TemplateGone { tenant, kind },
            Some(Disturbance::TemplateBack { tenant, kind }),
        ),
        36..37 => (
            Disturbance::NamespaceGone { tenant },
            Some(Disturbance::NamespaceBack { tenant }),
        ),
        37..40 => {
            let provider = PROVIDERS[random.random_range(0..PROVIDERS.len())].to_owned();
            (
                Disturbance::GarbleAccount {
                    tenant,
                    provider: provider.clone(),
                },
                Some(Disturbance::MendAccount { tenant, provider }),
            )
        }
        40..42 => (Disturbance::LoseAgentSecret { agent }, None),
        42..44 => (Disturbance::LoseLedger { agent }, None),
        44..46 => (Disturbance::LoseStatus { agent }, None),
        46..55 => (
            Disturbance::ByHand {
                agent,
                what: hand(random),
            },
            None,
        ),
        55..58 => {
            let process = match random.random_bool(0.7) {
                true => Process::Controller,
                false => Process::Rival,
            };
            (Disturbance::Kill { process }, None)
        }
        58..62 => {
            let process = match random.random_range(0..5) {
                0 => Process::ApiServer,
                1 => Process::Rival,
                _ => Process::Controller,
            };
            let milliseconds = random.random_range(1_000..6_000);
            (
                Disturbance::Sleep {
                    process,
                    milliseconds,
                },
                None,
            )
        }
        62..70 => (
            Disturbance::ClusterFault {
                fault: cluster_fault(random),
            },
            None,
        ),
        70..74 => (
            Disturbance::Spend {
                agent,
                tenths: 1 + number % 5,
            },
            None,
        ),
        74..100 => (
            Disturbance::OutsideFault {
                fault: outside_fault(random),
            },
            None,
        ),
        _ => of_claims(random, tenant),
    }
}

/// Something that happens to a tenant's pool, or to one of its claims.
fn of_claims(random: &mut StdRng, tenant: usize) -> (Disturbance, Option<Disturbance>) {
    let claim = Claimant {
        tenant,
        number: random.random_range(0..Claimant::EACH),
    };
    let value = random.random_range(0..1_000_000);
    let what = match random.random_range(0..30) {
        0..12 => {
            let short = !claim.retains() && value % 4 == 0;
            let expires = short.then_some(1 + value % 5);
            Disturbance::Claim { claim, expires }
        }
        12..18 => Disturbance::Release { claim },
        18..21 => Disturbance::EditClaim { claim, value },
        21..23 => Disturbance::TakeAgent { claim },
        23..27 => Disturbance::Scale {
            tenant,
            replicas: value % 4,
        },
        27..29 => Disturbance::PoolTemplate { tenant, value },
        _ => {
            let back = Disturbance::PoolBack { tenant };
            return (Disturbance::PoolGone { tenant }, Some(back));
        }
    };
    (what, None)
}

fn hand(random: &mut StdRng) -> Hand {
    let all = [
        Hand::DeleteProject,
        Hand::DeleteService,
        Hand::DeleteVolume,
        Hand::DeleteDomain,
        Hand::EditVariable,
        Hand::EditVariable,
        Hand::DeleteLlmKey,
        Hand::DeleteSearchKey,
        Hand::DeleteInbox,
        Hand::ReleaseNumber,
    ];
    all[random.random_range(0..all.len())]
}

fn outside_fault(random: &mut StdRng) -> Value {
    let providers = [&PROVIDERS[..], &["*", "railway", "agent"]].concat();
    let effect = match random.random_range(0..10) {
        0 => json!("reset_before"),
        1 | 2 => json!("reset_after"),
        3 => json!({"late": random.random_range(5..35) as f64 / 10.0}),
        4 => json!({"status": 503, "body": "busy"}),
        5 => json!({"status": 502, "body": "lost", "applied": true}),
        6 => json!("throttled"),
        7 => json!("truncated"),
        8 => json!("empty_list"),
        _ => json!({"short_list": random.random_range(1..4)}),
    };
    let provider = providers[random.random_range(0..providers.len())];
    let nth = random.random_range(1..12);
    let times = random.random_range(1..4);
    // Railway counts its projects. Of a provider that does not, two answers that lack the same thing are believed.
    let times = if effect.get("short_list").is_some() {
        1
    } else {
        times
    };
    json!({"provider": provider, "nth": nth, "times": times, "effect": effect})
}

fn cluster_fault(random: &mut StdRng) -> Value {
    let verbs = ["update", "patch", "patch", "create", "get", "delete"];
    let effect = match random.random_range(0..6) {
        0 => json!("conflict"),
        1 => json!({"status": 500}),
        2 => json!({"status": 503}),
        3 => json!("reset_before"),
        4 => json!("reset_after"),
        _ => json!({"delay": 1.0}),
    };
    if random.random_range(0..8) == 0 {
        let seconds = random.random_range(1..6);
        return json!({"user": crate::install::CONTROLLER_USER, "verb": "watch", "effect": {"watch_gap": seconds}});
    }
    json!({
        "user": crate::install::CONTROLLER_USER,
        "verb": verbs[random.random_range(0..verbs.len())],
        "nth": random.random_range(1..20),
        "times": random.random_range(1..3),
        "effect": effect,
    })
}

/// As lines of JSON.
pub(super) fn write(script: &[Due]) -> Result<String> {
    let mut text = String::new();
    for due in script {
        text.push_str(&serde_json::to_string(due)?);
        text.push('\n');
    }
    Ok(text)
}

pub(super) fn read(text: &str) -> Result<Vec<Due>> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            serde_json::from_str(line).with_context(|| format!("line {}", number + 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_list_and_a_list_can_be_read_again() {
        let length = Duration::from_secs(120);
        let script = super::script(7, length, 4);
        assert_eq!(script, super::script(7, length, 4));
        assert_ne!(script, super::script(8, length, 4));
        assert!(script.len() > 200, "{}", script.len());
        assert_eq!(read(&write(&script).unwrap()).unwrap(), script);
    }

    #[test]
    fn two_minutes_have_every_kind_of_disturbance() {
        let mut words: Vec<String> = (0..6)
            .flat_map(|seed| super::script(seed, Duration::from_secs(120), 4))
            .map(|due| due.what.word())
            .collect();
        words.sort();
        words.dedup();
        // 21 plain ones, 8 of pools and claims, 9 by hand, 2 killed, 3 asleep.
        assert_eq!(words.len(), 43, "{words:#?}");
    }
}
