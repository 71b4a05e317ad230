//! SIGKILL before and after the exchanges of the creation and the deletion of an agent with all six tools: every run takes
//! some, all together all.
//!
//! Holds: an exchange that changes something is killed before and after, a read once (before and after it the same
//! is true outside and in Kubernetes), and one that no life has again is named. Several kills go into one life, far apart; a kill whose exchange did not take
//! place is tried in another life. Several worlds stand side by side, because a kill is a whole controller's.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;
use serde_json::json;
use world::cases::Draw;
use world::{Options, World, eventually, test_directory};

use super::equipped::{DEADLINE, Equipped, WITH_A_RAISE, equip, places};
use super::life::{Fault, Phase, Point};

/// Each with a control plane and a controller of its own.
const WORLDS: usize = 2;

/// Kills in one phase of one life, at most.
const CHAIN: usize = 4;

/// How often a kill may be tried until its exchange takes place.
const TRIES: usize = 4;

#[derive(Debug, Clone)]
struct Kill {
    point: Point,
    when: &'static str,
    /// Whether its exchange comes once an interval, if not in the phase then after it.
    listing: bool,
    /// Whether its exchange changes something.
    changes: bool,
    missed: usize,
}

/// The kills of a life, by phase.
type Bundle = Vec<(Phase, Vec<Kill>)>;

#[derive(Default)]
struct Score {
    points: usize,
    kills: usize,
    lives: usize,
    compared: usize,
    slowest: (Duration, String),
    failures: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_at_any_exchange_of_an_equipped_agent_leaves_exactly_one_of_each() {
    let started = Instant::now();
    let worlds = join_all((0..WORLDS).map(start)).await;
    let worlds: Vec<World> = worlds.into_iter().map(Result::unwrap).collect();
    let score = Mutex::new(Score::default());
    let plan = learn(&worlds[0], &score).await;
    if let Ok(plan) = &plan {
        let plan = Mutex::new(plan.clone());
        let workers = worlds.iter().map(|world| work(world, &plan, &score));
        let ended = join_all(workers).await;
        for error in ended.into_iter().filter_map(Result::err) {
            score.lock().unwrap().failures.push(format!("{error:#}"));
        }
    }
    for world in &worlds {
        world.stop().await.unwrap();
    }
    plan.unwrap();
    let score = score.into_inner().unwrap();
    assert!(
        score.failures.is_empty(),
        "{} lives failed\n\n{}",
        score.failures.len(),
        score.failures.join("\n\n")
    );
    println!(
        "{} points, killed {} times in {} lives in {:.0} s; {} things outside held against ledgers and objects, \
         difference 0; the slowest phase took {:.1} s: {}",
        score.points,
        score.kills,
        score.lives,
        started.elapsed().as_secs_f64(),
        score.compared,
        score.slowest.0.as_secs_f64(),
        score.slowest.1
    );
}

async fn start(number: usize) -> Result<World> {
    let options = Options::new(test_directory(&format!("crash-tools-kill-{number}")))
        .controller(env!("CARGO_BIN_EXE_yardmaster"))
        .set("agent.bootTime", "0s")
        // The same name in each life, so that the next one has the lease at once.
        .controller_arg("--identity=campaign")
        .controller_arg("--observe-interval=1s")
        .controller_arg("--request-timeout=1s")
        .controller_arg("--settle=500ms")
        // A busy machine must not end the controller where no kill was meant.
        .controller_arg("--lease-duration=30s")
        .controller_arg("--lease-renew-deadline=20s");
    World::start(options).await
}

/// Learns every exchange from an undisturbed life, and plans the lives.
async fn learn(world: &World, score: &Mutex<Score>) -> Result<VecDeque<Bundle>> {
    let tenant = equip(world, "reference").await?;
    let mut life = Equipped::new(&tenant, "reference").await?;
    let mut bundles: Vec<Bundle> = Vec::new();
    let mut draw = Draw::one_in(5);
    for phase in WITH_A_RAISE {
        let told = life.play(phase, &[]).await?;
        let places = places(&told.exchanges);
        println!("{phase:?}, undisturbed: {:.2} s", told.took.as_secs_f64());
        for place in &places {
            let mark = if place.changes { "changes" } else { "reads" };
            println!(
                "  {mark} {} {}",
                place.point.provider, place.point.operation
            );
        }
        let kills: Vec<Kill> = places
            .iter()
            .flat_map(|place| {
                let whens = if place.changes {
                    &["before", "after"][..]
                } else {
                    &["after"]
                };
                whens.iter().map(|when| Kill {
                    point: place.point.clone(),
                    when,
                    listing: place.listing,
                    changes: place.changes,
                    missed: 0,
                })
            })
            .filter(|_| draw.takes())
            .collect();
        score.lock().unwrap().points += places.len();
        // Every n-th of them into one life: what is next to each other happens at the same moment.
        let lives = kills.len().div_ceil(CHAIN);
        for first in 0..lives {
            let own = kills.iter().skip(first).step_by(lives).cloned().collect();
            match bundles.get_mut(first) {
                Some(bundle) => bundle.push((phase, own)),
                None => bundles.push(vec![(phase, own)]),
            }
        }
    }
    Ok(bundles.into())
}

async fn work(world: &World, plan: &Mutex<VecDeque<Bundle>>, score: &Mutex<Score>) -> Result<()> {
    let mut tenant = equip(world, "kill").await?;
    loop {
        let Some(bundle) = plan.lock().unwrap().pop_front() else {
            return Ok(());
        };
        let number = {
            let mut score = score.lock().unwrap();
            score.lives += 1;
            score.lives
        };
        let told = async {
            let mut life = Equipped::new(&tenant, &format!("life-{number}")).await?;
            for phase in WITH_A_RAISE {
                let of_phase = bundle.iter().filter(|(of, _)| *of == phase);
                let kills: Vec<Kill> = of_phase.flat_map(|(_, kills)| kills.clone()).collect();
                let missed = kill(world, &mut life, phase, &kills, score).await?;
                for kill in missed {
                    if kill.missed >= TRIES && !kill.changes {
                        // A read comes where a pass needs it: not every life has each, and it changes nothing.
                        println!("not in these lives: {}", kill.point.operation);
                        continue;
                    }
                    ensure!(kill.missed < TRIES, "never happened: {kill:?}");
                    let again = vec![(phase, vec![kill])];
                    plan.lock().unwrap().push_back(again);
                }
            }
            anyhow::Ok(())
        };
        if let Err(error) = told.await {
            score.lock().unwrap().failures.push(format!("{error:#}"));
            // What the failed one left must not count against the next.
            tenant = equip(world, "kill").await?;
        }
    }
}

/// A phase with these kills in it; gives back those whose exchange did not take place.
async fn kill(
    world: &World,
    life: &mut Equipped<'_, '_>,
    phase: Phase,
    kills: &[Kill],
    score: &Mutex<Score>,
) -> Result<Vec<Kill>> {
    let started = Instant::now();
    let mark = world.journal().mark()?;
    let what = || {
        let each = kills.iter().map(|kill| {
            let Point {
                provider,
                operation,
                nth,
            } = &kill.point;
            format!("killed {} {provider} {operation} #{nth}", kill.when)
        });
        format!("{phase:?}: {}", each.collect::<Vec<_>>().join(", "))
    };
    let mut missed = Vec::new();
    let played = async {
        let mut begun = false;
        for kill in kills {
            if !one(world, life, phase, kill, &mut begun).await? {
                missed.push(Kill {
                    missed: kill.missed + 1,
                    ..kill.clone()
                });
            }
        }
        if !begun {
            life.begin(phase).await?;
        }
        life.ended(phase).await
    };
    let played = played.await;
    let told = life.judge(phase, mark, started, played, what)?;
    println!("{:5.2} s {}", told.took.as_secs_f64(), what());
    let mut score = score.lock().unwrap();
    score.kills += kills.len() - missed.len();
    score.compared += told.compared;
    if told.took > score.slowest.0 {
        score.slowest = (told.took, what());
    }
    Ok(missed)
}

/// Whether the kill took place. In the end the controller runs again.
async fn one(
    world: &World,
    life: &Equipped<'_, '_>,
    phase: Phase,
    kill: &Kill,
    begun: &mut bool,
) -> Result<bool> {
    let (controller, outside) = (world.controller()?, world.outside());
    // Starting what runs already only forgives it its earlier deaths, which would slow the next start down.
    let pid = controller.start().await?;
    let fault = Fault {
        point: kill.point.clone(),
        effect: json!({"kill": {"pid": pid, "when": kill.when}}),
    };
    let id = life.post(&fault, 1).await?;
    if !*begun {
        life.begin(phase).await?;
        *begun = true;
    }
    let struck = async || {
        let over = !kill.listing && life.is_over(phase).await?;
        let fired = outside.fired(&id).await? > 0;
        Ok((fired || over).then_some(fired))
    };
    let fired = eventually("the kill took place", DEADLINE, struck)
        .await
        .with_context(|| fault.to_string())?;
    outside.remove_fault(&id).await?;
    if fired {
        let reborn = async || Ok(controller.pid().filter(|now| *now != pid));
        eventually("the controller runs again", DEADLINE, reborn).await?;
    }
    Ok(fired)
}
