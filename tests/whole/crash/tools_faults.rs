//! Lost, late, refused and garbled answers at the exchanges that change something in the creation and the deletion of an
//! agent with all six tools: every run takes some, all together all.
//!
//! Holds: in each phase of a life something goes wrong at every provider, once each; what a provider rejects is said at
//! the tool and at the agent, and the agent recovers when it is no longer rejected. A fault that did not fire fails.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::join_all;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use world::cases::Draw;
use world::{Options, World, condition, conditions, test_directory};

use super::equipped::{DEADLINE, Equipped, PHASES, Place, equip, places};
use super::life::{Fault, Phase, Point};
use crate::support::{list, refusal};

/// Lives at once, each with accounts of its own: most of each is waiting.
const TOGETHER: usize = 4;

/// What the controller waits for one exchange.
const TIMEOUT: f64 = 2.0;

/// What goes wrong. The late one lands when its sender has given up, but before `settle` is over.
fn effects(provider: &str) -> Vec<Value> {
    let text = "upstream connect error";
    let busy = match provider {
        "railway" => json!(text),
        _ => refusal(provider, "slow down"),
    };
    vec![
        json!("reset_after"),
        json!("reset_before"),
        json!({"late": TIMEOUT * 1.1}),
        json!({"status": 503, "body": text}),
        json!({"status": 503, "body": text, "applied": true}),
        json!({"status": 429, "body": busy, "headers": {"retry-after": "1"}}),
        json!("truncated"),
    ]
}

/// What the tests read when they want to know whether the agent says what was refused.
const WHY: &str = "refused in the campaign";

/// The tool of a provider.
fn tool(provider: &str) -> &'static str {
    match provider {
        "openrouter" => "llm",
        "exa" => "search",
        "agentmail" => "inbox",
        "telnyx" => "phone",
        _ => "bank",
    }
}

/// The faults of a life by phase; and what is rejected in each until the agent says so.
#[derive(Default, Clone)]
struct Case {
    faults: Vec<(Phase, Fault)>,
    rejected: Vec<(Phase, Fault)>,
}

#[derive(Default)]
struct Score {
    faults: usize,
    lives: usize,
    compared: usize,
    slowest: (Duration, String),
    failures: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_an_answer_an_equipped_agent_has_exactly_one_of_each() {
    let started = Instant::now();
    let options = Options::new(test_directory("crash-tools-faults"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .set("agent.bootTime", "0s")
        .controller_arg("--observe-interval=5s")
        .controller_arg(&format!("--request-timeout={TIMEOUT}s"))
        .controller_arg("--settle=500ms")
        .controller_arg("--concurrency=32")
        // Nobody else wants to lead, and a busy machine must not end the controller.
        .controller_arg("--lease-duration=60s")
        .controller_arg("--lease-renew-deadline=50s");
    let world = World::start(options).await.unwrap();
    let score = Mutex::new(Score::default());
    let points = campaign(&world, &score).await;
    world.stop().await.unwrap();
    let points = points.unwrap();
    let score = score.into_inner().unwrap();
    assert!(
        score.failures.is_empty(),
        "{} of {} lives failed\n\n{}",
        score.failures.len(),
        score.lives,
        score.failures.join("\n\n")
    );
    println!(
        "{} faults at {points} points in {} lives in {:.0} s; {} things outside held against ledgers and objects, \
         difference 0; the slowest phase took {:.1} s: {}",
        score.faults,
        score.lives,
        started.elapsed().as_secs_f64(),
        score.compared,
        score.slowest.0.as_secs_f64(),
        score.slowest.1
    );
}

async fn campaign(world: &World, score: &Mutex<Score>) -> Result<usize> {
    let tenant = equip(world, "reference").await?;
    let mut life = Equipped::new(&tenant, "reference").await?;
    let mut changing = Vec::new();
    for phase in PHASES {
        let told = life.play(phase, &[]).await?;
        let places = places(&told.exchanges).into_iter();
        changing.extend(
            places
                .filter(|place| place.changes)
                .map(|place| (phase, place)),
        );
    }
    for (phase, place) in &changing {
        println!(
            "{phase:?} {} {}",
            place.point.provider, place.point.operation
        );
    }
    let cases = Mutex::new(VecDeque::from(cases(&changing)));
    let workers = (0..TOGETHER).map(|_| work(world, &cases, score));
    for ended in join_all(workers).await {
        ended?;
    }
    Ok(changing.len())
}

/// Faults of the exchanges, at different providers in one life.
fn cases(changing: &[(Phase, Place)]) -> Vec<Case> {
    let mut lanes: BTreeMap<(Phase, String), Vec<Fault>> = BTreeMap::new();
    let mut refused: BTreeMap<(Phase, String), Vec<Fault>> = BTreeMap::new();
    let mut of_railway = 0;
    // Prime to the number of effects, so that each of them is met.
    let (mut draw, mut draw_refused) = (Draw::one_in(5), Draw::one_in(3));
    for (phase, place) in changing {
        let provider = place.point.provider.clone();
        let fault = |effect| Fault {
            point: place.point.clone(),
            effect,
        };
        let mut lane = provider.clone();
        if provider == "railway" {
            // Two go into one life.
            of_railway += 1;
            lane = format!("{provider} {}", of_railway % 2);
        } else {
            let body = refusal(&provider, WHY);
            let rejected = fault(json!({"status": 400, "body": body}));
            if draw_refused.takes() {
                refused
                    .entry((*phase, lane.clone()))
                    .or_default()
                    .push(rejected);
            }
        }
        let faults = effects(&provider).into_iter().map(fault);
        let faults = faults.filter(|_| draw.takes());
        lanes.entry((*phase, lane)).or_default().extend(faults);
    }
    let mut cases = Vec::new();
    for ((phase, _), faults) in lanes {
        for (number, fault) in faults.into_iter().enumerate() {
            at(&mut cases, number).faults.push((phase, fault));
        }
    }
    let mut rejected: Vec<Case> = Vec::new();
    let mut number = 0;
    for ((phase, _), faults) in refused {
        for (nth, fault) in faults.into_iter().enumerate() {
            // Tools are made side by side, and taken back one after the other.
            let case = if phase == Phase::Delete { number } else { nth };
            at(&mut rejected, case).rejected.push((phase, fault));
            number += usize::from(phase == Phase::Delete);
        }
    }
    // They take longest.
    rejected.into_iter().chain(cases).collect()
}

fn at(cases: &mut Vec<Case>, number: usize) -> &mut Case {
    if cases.len() <= number {
        cases.resize(number + 1, Case::default());
    }
    &mut cases[number]
}

async fn work(world: &World, cases: &Mutex<VecDeque<Case>>, score: &Mutex<Score>) -> Result<()> {
    let mut tenant = equip(world, "fault").await?;
    loop {
        let Some(case) = cases.lock().unwrap().pop_front() else {
            return Ok(());
        };
        let number = {
            let mut score = score.lock().unwrap();
            score.lives += 1;
            score.lives
        };
        let life = Equipped::new(&tenant, &format!("case-{number}")).await?;
        if let Err(error) = live(life, &case, score).await {
            score.lock().unwrap().failures.push(format!("{error:#}"));
            // What the failed one left must not count against the next.
            tenant = equip(world, "fault").await?;
        }
    }
}

async fn live(mut life: Equipped<'_, '_>, case: &Case, score: &Mutex<Score>) -> Result<()> {
    for phase in PHASES {
        let of = |faults: &[(Phase, Fault)]| -> Vec<Fault> {
            let own = faults.iter().filter(|(of, _)| *of == phase);
            own.map(|(_, fault)| fault.clone()).collect()
        };
        let (faults, rejected) = (of(&case.faults), of(&case.rejected));
        let what = |faults: &[Fault]| {
            let each = faults.iter().map(ToString::to_string);
            each.collect::<Vec<_>>().join("\n        ")
        };
        let (told, what) = if rejected.is_empty() {
            (life.play(phase, &faults).await?, what(&faults))
        } else {
            let started = Instant::now();
            let mark = life.tenant().world().journal().mark()?;
            let played = refused(&mut life, phase, &rejected).await;
            let what = what(&rejected);
            (
                life.judge(phase, mark, started, played, || what.clone())?,
                what,
            )
        };
        println!("{:5.2} s {phase:?} {what}", told.took.as_secs_f64());
        let mut score = score.lock().unwrap();
        score.faults += faults.len() + rejected.len();
        score.compared += told.compared;
        if told.took > score.slowest.0 {
            score.slowest = (told.took, what);
        }
    }
    Ok(())
}

/// A phase in which providers reject something until the agent has said so.
async fn refused(life: &mut Equipped<'_, '_>, phase: Phase, rejected: &[Fault]) -> Result<usize> {
    let mut posted = Vec::new();
    for fault in rejected {
        posted.push(life.post(fault, 0).await?);
    }
    life.begin(phase).await?;
    let instance = life.instance();
    for Fault { point, .. } in rejected {
        let what = format!("it says that {} was rejected", point.operation);
        let says = |object: &DynamicObject| says(object, phase, point);
        instance.wait_until(&what, DEADLINE, says).await?;
    }
    life.withdraw(&posted, rejected).await?;
    life.ended(phase)
        .await
        .context("after it was accepted again")
}

fn says(object: &DynamicObject, phase: Phase, point: &Point) -> bool {
    let told = |found: &Value| {
        found["message"]
            .as_str()
            .is_some_and(|message| message.contains(WHY))
    };
    if phase == Phase::Delete {
        return conditions(object).any(|found| found["reason"] == "Rejected" && told(found));
    }
    let of_tool = |found: &Value| {
        found["name"] == tool(&point.provider)
            && found["ready"] == false
            && found["reason"] == "Rejected"
            && told(found)
    };
    let tools = condition(object, "ToolsReady");
    let stalled = condition(object, "Stalled");
    list(&object.data["status"]["tools"]).iter().any(of_tool)
        && tools.is_some_and(|found| found["status"] == "False" && found["reason"] == "Rejected")
        && stalled.is_some_and(|found| found["status"] == "True" && found["reason"] == "Rejected")
}
