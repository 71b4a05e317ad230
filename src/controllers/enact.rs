//! Steps carried out: each is one effect, on Kubernetes, on the provider or on the agent.
//!
//! What holds: nothing outside is changed unless this process provably leads at that moment; what the provider answers
//! becomes an outcome or a fault and never an error of the pass.

use super::accounts::{ToolAccount, Workspace};
use super::audit::AuditEvent;
use super::context::Context;
use super::paused::pauses;
use super::places::{self, record_order, strike_order};
use super::records;
use crate::api::instance::DeletionPolicy;
use crate::api::money::Money;
use crate::api::{AgentInstance, AgentInstanceStatus, FINALIZER, ProviderAccount, Slot};
use crate::cluster::{ClusterError, RefusalClass, finalizer, secret, status};
use crate::engine::World;
use crate::engine::restored::touches_nothing;
use crate::engine::step::{Outcome, Step};
use crate::model::slot::RAILWAY;
use crate::model::tool;
use crate::model::{Announcement, Done, Fault, Gate, Pauses};
use crate::passes::pass::Hands;
use jiff::Timestamp;
use kube::api::{Api, DeleteParams, Preconditions};
use kube::{Resource, ResourceExt};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// The hands of one pass.
pub struct Workshop<'a> {
    /// Handles.
    pub ctx: &'a Context,
    /// The instance's account, where it is usable.
    pub account: Option<Arc<Workspace>>,
    /// The accounts of its tools, those that are usable.
    pub tools: BTreeMap<String, Arc<ToolAccount>>,
    /// The gateway token: the one on record, or the one to put on record.
    pub token: SecretString,
}

impl Hands for Workshop<'_> {
    type Interrupt = ClusterError;

    async fn persist(
        &mut self,
        seen: &AgentInstance,
        new: &AgentInstanceStatus,
    ) -> Result<AgentInstance, ClusterError> {
        status::write(&self.ctx.around.client, seen, new).await
    }

    async fn enact(&mut self, world: &World, step: &Step) -> Result<Outcome, ClusterError> {
        tracing::debug!(
            namespace = world.instance.namespace(),
            name = world.instance.name_any(),
            step = step.word(),
            "step"
        );
        if let Some(account) = step.makes_in(world)
            && self.account_goes(account).await?
        {
            return Ok(Outcome::AccountGoes);
        }
        if let Step::AskAgent { host, readiness } = step {
            let said = self.ctx.agents.health(host, readiness, &self.token).await;
            return Ok(Outcome::AgentSaid(said));
        }
        if let Step::TakePlace {
            slot,
            account,
            asked,
        } = step
        {
            places::recollect(self.ctx).await?;
            return Ok(self.take_place(world, *slot, account, *asked));
        }
        if let Step::RecordOrder { account, .. } = step {
            return Ok(Outcome::Ordered(record_order(self.ctx, account).await?));
        }
        match self.cluster(world, step).await {
            Ok(Some(outcome)) => return Ok(outcome),
            Ok(None) => {}
            Err(ClusterError::Refused { refusal, .. }) => {
                let fault = refusal.fault(&asks(world, step));
                return Ok(Outcome::Faulted(match step {
                    // A wallet is made here: there is nothing to be taken back.
                    Step::KeepSecret { .. } if refusal.class != RefusalClass::Taken => fault
                        .reworded(|refused| {
                            format!("{refused}; what was made is taken back and made again")
                        }),
                    _ => fault,
                }));
            }
            Err(error) => return Err(error),
        }
        let begun = Instant::now();
        let done = match step.tool() {
            Some(_) => self.tool(step).await,
            None => self.outside(world, step).await,
        };
        if let Some(slot) = step.changes() {
            let ended = done.as_ref().map(|_| ());
            change(world, step, slot, done.as_ref().ok()).ended(ended, begun.elapsed());
        }
        self.strike(world, step, &done).await;
        Ok(done.unwrap_or_else(Outcome::Faulted))
    }

    fn pauses(&self, world: &World) -> Pauses {
        pauses(self.ctx, world)
    }

    async fn announce(&mut self, about: &AgentInstance, said: &[Announcement]) {
        for announcement in said {
            tracing::info!(
                namespace = about.namespace(),
                name = about.name_any(),
                reason = announcement.reason,
                "{}",
                announcement.note
            );
        }
        self.ctx.events.publish(&about.object_ref(&()), said).await;
    }

    fn now(&self) -> Timestamp {
        self.ctx.around.now()
    }
}

impl Workshop<'_> {
    /// At the end of a pass: who waits in no line holds no turn.
    pub fn give_back(&self, uid: &str, line: Option<Gate>) {
        if let Some(account) = &self.account {
            account.give_back(self.ctx.around.gauge.as_ref(), uid, line);
        }
    }

    /// An order that certainly came to nothing counts no more. Where that cannot be written it counts until it is an hour old.
    async fn strike(&self, world: &World, step: &Step, done: &Done<Outcome>) {
        let nothing = done.as_ref().is_err_and(|fault| !fault.may_have_landed());
        if let Step::MakeTool { slot, account, .. } = step
            && nothing
            && world.tools.orders.contains_key(slot)
            && let Err(error) = strike_order(self.ctx, account).await
        {
            tracing::debug!(%error, account, "an order that came to nothing");
        }
    }

    fn instances(&self, world: &World) -> Api<AgentInstance> {
        Api::namespaced(
            self.ctx.around.client.clone(),
            &world.instance.namespace().unwrap_or_default(),
        )
    }

    /// Whether an account is being deleted, or gone, by the API server itself: no cache may be a moment behind here.
    async fn account_goes(&self, name: &str) -> Result<bool, ClusterError> {
        let api: Api<ProviderAccount> = Api::all(self.ctx.around.client.clone());
        let found =
            crate::cluster::call::find("reading the account", api.get_metadata_opt(name)).await?;
        Ok(found.is_none_or(|found| found.metadata.deletion_timestamp.is_some()))
    }

    /// An effect on Kubernetes. `None`: the step is none.
    async fn cluster(&self, world: &World, step: &Step) -> Result<Option<Outcome>, ClusterError> {
        let (client, instance) = (&self.ctx.around.client, &world.instance);
        Ok(Some(match step {
            Step::Hold { identity } => {
                let (api, identity) = (self.instances(world), identity.as_deref());
                let held = finalizer::hold(&api, instance, FINALIZER, identity).await?;
                Outcome::Held(Box::new(held.metadata))
            }
            Step::LetGo => {
                if instance.spec.deletion_policy == DeletionPolicy::Retain
                    && !touches_nothing(&world.standing)
                {
                    records::retain(instance, self.ctx).await?;
                }
                finalizer::let_go(&self.instances(world), instance, FINALIZER).await?;
                Outcome::Done
            }
            Step::MintToken => {
                secret::mint(client, instance, &self.token).await?;
                Outcome::Done
            }
            Step::Expire => {
                self.expire(world).await?;
                Outcome::Done
            }
            Step::KeepSecret { slot } if self.ctx.around.leave.take().is_ok() => {
                match (world.entry(*slot), world.tools.fresh.get(slot)) {
                    (Some(entry), Some(made)) => {
                        Outcome::SecretKept(secret::keep(client, instance, entry, made).await?)
                    }
                    _ => Outcome::Faulted(Fault::Bug {
                        message: format!("nothing was made in this pass for {slot}"),
                    }),
                }
            }
            Step::DropSecret { slot } if self.ctx.around.leave.take().is_ok() => {
                if let Some(entry) = world.entry(*slot) {
                    secret::drop(client, instance, entry).await?;
                }
                Outcome::Done
            }
            _ => return Ok(None),
        }))
    }

    /// Deletes the object exactly as it was decided upon.
    async fn expire(&self, world: &World) -> Result<(), ClusterError> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: world.instance.uid(),
                resource_version: world.instance.resource_version(),
            }),
            ..DeleteParams::default()
        };
        let api = self.instances(world);
        crate::cluster::call::call(
            "deleting an expired instance",
            api.delete(&world.instance.name_any(), &params),
        )
        .await?;
        Ok(())
    }
}

/// A step that changes something outside, for the audit log. `done`: what came of it, where that is known.
fn change<'a>(
    world: &'a World,
    step: &'a Step,
    slot: Slot,
    done: Option<&'a Outcome>,
) -> AuditEvent<'a> {
    let (entry, instance) = (world.entry(slot), &world.instance);
    let monthly = |resource: &tool::Resource| format!("{} USD a month", resource.monthly_usd);
    let seen = match done {
        Some(Outcome::ToolMade(made)) => Some(&made.resource),
        _ => world.resource(slot),
    };
    let price = seen
        .filter(|seen| seen.monthly_usd > Money::ZERO)
        .map(monthly);
    let limit = match step {
        Step::MakeTool { order, .. } => order.wish.settings(),
        Step::AdjustTool { wish, .. } => wish.settings(),
        _ => String::new(),
    };
    let id = match (step, done) {
        (Step::Delete { id, .. }, _) => id,
        (Step::Stop { deployment }, _) => deployment,
        (Step::AdjustTool { named, .. } | Step::DeleteTool { named, .. }, _) => &named.id,
        (_, Some(Outcome::ProjectMade { project, .. })) => project,
        (_, Some(Outcome::Made { id })) => id,
        (_, Some(Outcome::DomainMade(domain))) => &domain.id,
        (_, Some(Outcome::ToolMade(made))) => &made.resource.id,
        _ => entry
            .and_then(|entry| entry.id.as_deref())
            .unwrap_or_default(),
    };
    AuditEvent {
        namespace: instance.namespace().unwrap_or_default(),
        name: instance.name_any(),
        uid: instance.uid().unwrap_or_default(),
        slot: slot.to_string(),
        attempt: entry.map_or(0, |entry| entry.attempt),
        operation: step.word(),
        provider: entry.map_or(RAILWAY, |entry| &entry.provider),
        account: entry.map_or(instance.spec.account_ref.name.as_str(), |entry| {
            &entry.account
        }),
        id,
        // What may be spent in all is no price a month.
        price: match limit.is_empty() {
            true => price.unwrap_or_default(),
            false => limit,
        },
    }
}

/// What a step asks of the API server: verb, resource and name.
fn asks(world: &World, step: &Step) -> String {
    let instance = &world.instance;
    let kept = |slot: &Slot| {
        let name = world
            .entry(*slot)
            .map(|entry| secret::name_for(instance, entry));
        name.unwrap_or_else(|| secret::name(instance))
    };
    match step {
        Step::MintToken => format!("to create Secret {}", secret::name(instance)),
        Step::KeepSecret { slot } => format!("to put a credential into Secret {}", kept(slot)),
        Step::DropSecret { slot } => format!("to take a credential out of Secret {}", kept(slot)),
        Step::Expire => format!("to delete AgentInstance {}", instance.name_any()),
        _ => format!(
            "to patch the finalizers of AgentInstance {}",
            instance.name_any()
        ),
    }
}
