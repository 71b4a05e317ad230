//! One pass over one instance: plan, write down what must be known first, enact one step, take in what came of it, and
//! again, until there is nothing to do now.
//!
//! What holds: a step that changes something outside is taken only after its intent has been written with the
//! resourceVersion that was read; every write of the status goes through `persist`; before each step it is asked what is
//! paused; whatever interrupts, the next pass begins from what is on record. Generic over [`Hands`], so that the same loop runs against a simulated world in tests.

use crate::api::{AgentInstance, AgentInstanceStatus, Slot};
use crate::engine::step::{Outcome, Plan, Step};
use crate::engine::{World, absorb, ledger, plan, report};
use crate::model::{Announcement, Fault, Gate, Pauses};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

/// Most steps of one pass: far more than any sequence has, so that a mistake here spins no provider.
const MOST_STEPS: usize = 100;

/// Carries out what a pass decides.
pub trait Hands {
    /// What ends a pass early; the object is read anew.
    type Interrupt;

    /// Writes the status over what the world's object was read as. The answer is the object as written.
    fn persist(
        &mut self,
        seen: &AgentInstance,
        status: &AgentInstanceStatus,
    ) -> impl Future<Output = Result<AgentInstance, Self::Interrupt>> + Send;

    /// Carries out one step.
    fn enact(
        &mut self,
        world: &World,
        step: &Step,
    ) -> impl Future<Output = Result<Outcome, Self::Interrupt>> + Send;

    /// What is paused at this moment, of all that concerns the instance.
    fn pauses(&self, world: &World) -> Pauses;

    /// Tells people.
    fn announce(
        &mut self,
        about: &AgentInstance,
        said: &[Announcement],
    ) -> impl Future<Output = ()> + Send;

    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// How a pass ended.
#[derive(Debug, Default)]
pub struct End {
    /// When to come again by itself.
    pub wake: Option<Timestamp>,
    /// The fault that ended it.
    pub fault: Option<Fault>,
    /// Steps taken.
    pub steps: usize,
    /// Faults of single tools, which ended nothing but their own part.
    pub faults: BTreeMap<Slot, Fault>,
    /// Tools of which something succeeded.
    pub answered: BTreeSet<Slot>,
    /// The line that it waits in.
    pub line: Option<Gate>,
}

/// Runs one pass. `written`: the object as the API server has it, of which the world's may know less.
pub async fn pass<H: Hands>(
    hands: &mut H,
    mut world: World,
    mut written: AgentInstance,
) -> Result<End, H::Interrupt> {
    // Asking for a turn or a place does nothing yet.
    let mut steps = 0;
    for _ in 0..MOST_STEPS {
        // A pause stops the pass that runs, too.
        world.pauses = hands.pauses(&world);
        let Plan {
            status,
            step,
            wake,
            untried,
            announcements,
            line,
        } = plan(&world);
        let on_record = written.status.clone().unwrap_or_default();
        let due = match &step {
            None => true,
            Some(step) => step.leans_on().is_some_and(|slot| {
                ledger::entry(&on_record, slot) != ledger::entry(&status, slot)
            }),
        };
        let mut said = announcements;
        if due && status != on_record {
            written.metadata = world.instance.metadata.clone();
            written = hands.persist(&written, &status).await?;
            world.instance.metadata = written.metadata.clone();
            said.extend(report::news(&on_record, &status));
        }
        if !said.is_empty() {
            hands.announce(&world.instance, &said).await;
        }
        let on_record = written.status.clone().unwrap_or_default();
        world.instance.status = Some(AgentInstanceStatus {
            // Conditions go from what people last read to what is true at the next write. What was so between two
            // steps nobody saw, and no transition time may move by it.
            conditions: on_record.conditions,
            observed_generation: on_record.observed_generation,
            ..status
        });
        world.pass.untried = untried;
        let Some(step) = step else {
            return Ok(End {
                wake,
                fault: world.pass.fault,
                steps,
                faults: world.tools.faults,
                answered: world.tools.answered,
                line,
            });
        };
        // Between the plan and its step stands a write, which takes its time.
        if hands.pauses(&world) != world.pauses {
            continue;
        }
        let last = matches!(step, Step::LetGo | Step::Expire);
        steps += usize::from(!matches!(
            step,
            Step::TakeTurn { .. } | Step::TakePlace { .. }
        ));
        let outcome = hands.enact(&world, &step).await?;
        if last && !matches!(outcome, Outcome::Faulted(_)) {
            return Ok(End {
                steps,
                ..End::default()
            });
        }
        world = absorb(world, &step, outcome, hands.now());
    }
    Ok(End {
        wake: None,
        fault: Some(Fault::Bug {
            message: format!("a pass did not come to rest within {MOST_STEPS} steps"),
        }),
        steps: MOST_STEPS,
        ..End::default()
    })
}
