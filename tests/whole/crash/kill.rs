//! SIGKILL before and after the exchanges of a creation, an update and a deletion: every run takes some, all together all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use world::cases::Draw;
use world::{Options, Tenant, World, eventually, test_directory};

use super::life::{DEADLINE, Fault, Life, PHASES, Phase, Point, points};

/// The same name in each life, so that the next one has the lease at once, as a container that was started again has.
const IDENTITY: &str = "--identity=campaign";

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_at_any_exchange_leaves_exactly_one_of_each() {
    let options = Options::new(test_directory("crash-kill"))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        // Long enough that each start is looked at more than once.
        .set("railway.deployTime", "200ms")
        .set("agent.bootTime", "200ms")
        .controller_arg(IDENTITY)
        .controller_arg("--observe-interval=500ms")
        .controller_arg("--request-timeout=1s")
        .controller_arg("--settle=500ms")
        // A busy machine must not end the controller where no kill was meant.
        .controller_arg("--lease-duration=30s")
        .controller_arg("--lease-renew-deadline=20s");
    let world = World::start(options).await.unwrap();
    let report = campaign(&world).await;
    world.stop().await.unwrap();
    println!("{}", report.unwrap());
}

async fn campaign(world: &World) -> Result<String> {
    let started = Instant::now();
    let tenant = ready_tenant(world).await?;
    let reference = Life::new(&tenant, "reference")?;
    let mut plan = Vec::new();
    let mut draw = Draw::one_in(5);
    for phase in PHASES {
        let told = reference.play(phase, None).await?;
        let kills = points(&told.exchanges).into_iter().flat_map(|point| {
            ["before", "after"].map(|when| Kill {
                point: point.clone(),
                when,
                missed: 0,
            })
        });
        plan.push((phase, kills.filter(|_| draw.takes()).collect()));
    }
    let mut campaign = Campaign {
        world,
        plan,
        played: 0,
        slowest: (Duration::ZERO, String::new()),
    };
    let mut failures = Vec::new();
    let mut tenant = tenant;
    for round in 0.. {
        if campaign.plan.iter().all(|(_, kills)| kills.is_empty()) {
            break;
        }
        if let Err(error) = campaign.life(&tenant, round).await {
            failures.push(format!("{error:#}"));
            // What the failed one left must not count against the next.
            tenant = ready_tenant(world).await?;
        }
    }
    let Campaign {
        played, slowest, ..
    } = campaign;
    ensure!(
        failures.is_empty(),
        "{} lives failed\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
    Ok(format!(
        "killed at {played} points in {:.0} s; the slowest took {:.1} s: {}",
        started.elapsed().as_secs_f64(),
        slowest.0.as_secs_f64(),
        slowest.1
    ))
}

async fn ready_tenant(world: &World) -> Result<Tenant<'_>> {
    let tenant = world.tenant("kill").await?;
    let account = tenant.provider_account();
    account.wait_condition("Ready", "True", DEADLINE).await?;
    Ok(tenant)
}

struct Kill {
    point: Point,
    when: &'static str,
    /// How often the exchange did not take place: how often something is asked until it shows, is not always the same.
    missed: usize,
}

/// How often a kill may be tried until its exchange takes place.
const TRIES: usize = 4;

struct Campaign<'w> {
    world: &'w World,
    plan: Vec<(Phase, VecDeque<Kill>)>,
    played: usize,
    slowest: (Duration, String),
}

impl Campaign<'_> {
    /// One life with a kill in each phase, as far as there are any left.
    async fn life(&mut self, tenant: &Tenant<'_>, round: usize) -> Result<()> {
        let life = Life::new(tenant, &format!("round-{round}"))?;
        let turn: Vec<_> = self
            .plan
            .iter_mut()
            .map(|(phase, kills)| (*phase, kills.pop_front()))
            .collect();
        for (at, (phase, kill)) in turn.into_iter().enumerate() {
            match kill {
                None if phase == Phase::Update => {}
                None => drop(life.play(phase, None).await?),
                Some(kill) => {
                    if let Some(missed) = self.kill(&life, phase, kill).await? {
                        self.plan[at].1.push_back(missed);
                    }
                }
            }
        }
        Ok(())
    }

    /// Gives the kill back if its exchange did not take place.
    async fn kill(
        &mut self,
        life: &Life<'_, '_>,
        phase: Phase,
        mut kill: Kill,
    ) -> Result<Option<Kill>> {
        let controller = self.world.controller()?;
        // Starting what runs already only forgives it its earlier deaths, which would slow the next start down.
        let pid = controller.start().await?;
        let fault = Fault {
            point: kill.point.clone(),
            effect: json!({"kill": {"pid": pid, "when": kill.when}}),
        };
        let Point { operation, nth, .. } = &kill.point;
        let what = format!("{phase:?}: killed {} {operation} #{nth}", kill.when);
        let told = life.play(phase, Some(&fault)).await;
        let told = told.with_context(|| what.clone())?;
        if !told.fired {
            kill.missed += 1;
            if kill.missed < TRIES {
                return Ok(Some(kill));
            }
            // How often something is looked at until it shows is luck; that it is looked at is not.
            ensure!(*nth > 1, "never happened: {what}");
            println!("not in these lives: {what}");
            return Ok(None);
        }
        // A kill at the very end of a phase may not have been noticed yet.
        let reborn = async || Ok(controller.pid().filter(|now| *now != pid));
        eventually("the controller runs again", DEADLINE, reborn).await?;
        println!("{:5.2} s {what}", told.took.as_secs_f64());
        self.played += 1;
        if told.took > self.slowest.0 {
            self.slowest = (told.took, what);
        }
        Ok(None)
    }
}
