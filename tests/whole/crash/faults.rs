//! Lost, late, refused and garbled answers at every kind of exchange that matters: every run takes some, all together
//! all. Each is in a life of its own; many lives side by side, each in a workspace of its own.
//!
//! Late is measured against the request's deadline: half of it (the answer is lost), just it, and twice it, which is
//! beyond what `settle` waits for, so that a second one may be made and one of them must go again.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use world::cases::Draw;
use world::{Options, Tenant, World, test_directory};

use super::life::{COMMIT, CREATES, DEADLINE, Fault, Life, PHASES, Phase, Point};

/// Lives at once, each in a workspace that the next one takes over: most of each is waiting.
const TOGETHER: usize = 10;

/// What the controller waits for one exchange.
const TIMEOUT: f64 = 2.0;

/// What goes wrong, by name.
fn effects() -> Vec<(&'static str, Value)> {
    let text = "upstream connect error";
    vec![
        ("lost", json!("reset_after")),
        ("not sent", json!("reset_before")),
        ("half as late", json!({"late": TIMEOUT / 2.0})),
        ("just as late", json!({"late": TIMEOUT})),
        ("twice as late", json!({"late": TIMEOUT * 2.0})),
        ("503", json!({"status": 503, "body": text})),
        ("504", json!({"status": 504, "body": text})),
        (
            "504, applied",
            json!({"status": 504, "body": text, "applied": true}),
        ),
        (
            "429",
            json!({"status": 429, "body": text, "headers": {"retry-after": "1"}}),
        ),
        ("throttled", json!("throttled")),
        ("truncated", json!("truncated")),
        (
            "an error",
            json!({"graphql_error": {"message": "Problem processing request"}}),
        ),
    ]
}

/// The exchanges of a phase that something happens to.
fn operations(phase: Phase) -> Vec<&'static str> {
    let reads = ["project", "projects"];
    let changes: Vec<&str> = match phase {
        Phase::Create => CREATES
            .iter()
            .map(|(operation, _)| *operation)
            .chain([COMMIT])
            .collect(),
        Phase::Update => vec![COMMIT],
        Phase::Delete => vec!["projectDelete"],
    };
    changes.into_iter().chain(reads).collect()
}

/// A life with at most one fault in each phase.
struct Case {
    number: usize,
    faults: Vec<(Phase, Fault, String)>,
}

/// Faults of every phase, in as few lives as it takes.
fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    // Prime to the number of effects, so that each of them is met.
    let mut draw = Draw::one_in(5);
    for phase in PHASES {
        let mut number = 0;
        for operation in operations(phase) {
            for (name, effect) in effects() {
                if !draw.takes() {
                    continue;
                }
                let point = Point {
                    provider: "railway".to_owned(),
                    operation: operation.to_owned(),
                    nth: 1,
                };
                let what = format!("{phase:?}: {operation} {name}");
                let fault = (phase, Fault { point, effect }, what);
                match cases.get_mut(number) {
                    Some(case) => case.faults.push(fault),
                    None => cases.push(Case {
                        number,
                        faults: vec![fault],
                    }),
                }
                number += 1;
            }
        }
    }
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_an_answer_there_is_exactly_one_of_each() {
    let options = Options::new(test_directory("crash-faults"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .set("railway.deployTime", "100ms")
        .set("agent.bootTime", "100ms")
        .controller_arg("--observe-interval=500ms")
        .controller_arg(&format!("--request-timeout={TIMEOUT}s"))
        .controller_arg("--settle=500ms")
        // Nobody else wants to lead, and a busy machine must not end the controller.
        .controller_arg("--lease-duration=30s")
        .controller_arg("--lease-renew-deadline=20s");
    let world = World::start(options).await.unwrap();
    let report = campaign(&world).await;
    world.stop().await.unwrap();
    println!("{}", report.unwrap());
}

async fn campaign(world: &World) -> Result<String> {
    let started = Instant::now();
    let cases = cases();
    let (lives, count) = (
        cases.len(),
        cases.iter().map(|case| case.faults.len()).sum::<usize>(),
    );
    let cases = Mutex::new(cases);
    let workers = (0..TOGETHER).map(|_| work(world, &cases));
    let mut slowest = (Duration::ZERO, String::new());
    let mut failures = Vec::new();
    for life in try_join_all(workers).await?.into_iter().flatten() {
        match life {
            Ok(took) if took.0 > slowest.0 => slowest = took,
            Ok(_) => {}
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    ensure!(
        failures.is_empty(),
        "{} of {lives} lives failed\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
    Ok(format!(
        "{count} faults in {lives} lives in {:.0} s; the slowest took {:.1} s: {}",
        started.elapsed().as_secs_f64(),
        slowest.0.as_secs_f64(),
        slowest.1
    ))
}

type Slowest = Result<(Duration, String)>;

/// Lives one after another in one workspace, until no case is left.
async fn work(world: &World, cases: &Mutex<Vec<Case>>) -> Result<Vec<Slowest>> {
    let mut told = Vec::new();
    let mut tenant = ready_tenant(world).await?;
    loop {
        let next = cases.lock().ok().and_then(|mut cases| cases.pop());
        let Some(case) = next else {
            return Ok(told);
        };
        let life = live(&tenant, case).await;
        if life.is_err() {
            // What the failed one left must not count against the next.
            tenant = ready_tenant(world).await?;
        }
        told.push(life);
    }
}

async fn ready_tenant(world: &World) -> Result<Tenant<'_>> {
    let tenant = world.tenant("fault").await?;
    let account = tenant.provider_account();
    account.wait_condition("Ready", "True", DEADLINE).await?;
    Ok(tenant)
}

/// One life. The answer is its slowest phase.
async fn live(tenant: &Tenant<'_>, case: Case) -> Slowest {
    let life = Life::new(tenant, &format!("case-{}", case.number))?;
    let mut slowest = (Duration::ZERO, String::new());
    for phase in PHASES {
        let fault = case.faults.iter().find(|(of, _, _)| *of == phase);
        let what = fault.map_or_else(|| format!("{phase:?}"), |(_, _, what)| what.clone());
        let told = life
            .play(phase, fault.map(|(_, fault, _)| fault))
            .await
            .with_context(|| what.clone())?;
        ensure!(told.fired || fault.is_none(), "never happened: {what}");
        println!("{:5.2} s {what}", told.took.as_secs_f64());
        slowest = slowest.max((told.took, what));
    }
    Ok(slowest)
}
