//! Steps outside: at Railway and at the providers of tools. Each is one request, sent only while this process leads.
//!
//! Holds: what a provider answers becomes an outcome or a fault, and never an error of the pass.

use super::accounts::Workspace;
use super::enact::Workshop;
use super::places;
use crate::api::Slot;
use crate::engine::World;
use crate::engine::places::PlaceAsked;
use crate::engine::step::{Outcome, Step};
use crate::model::{Done, Fault, Gate, Sight, Turn};
use crate::railway::{Applicant, Class, Gateway};
use crate::tools::Provider;
use jiff::Timestamp;
use kube::ResourceExt;

impl Workshop<'_> {
    /// Asks for a turn; with one, a place in the account is held until the pass ends.
    pub(super) fn take_turn(&self, account: &Workspace, world: &World, gate: Gate) -> Outcome {
        let instance = &world.instance;
        let uid = instance.uid().unwrap_or_default();
        let created = instance.creation_timestamp();
        let turn = account.gateway.turn(
            gate,
            Applicant {
                who: &uid,
                team: &instance.namespace().unwrap_or_default(),
                priority: Class::User as u8,
                since: created.map_or(world.now, |time| time.0),
            },
        );
        let takes = gate == Gate::Projects && turn == Turn::Now;
        let projects = places::of_project(self.ctx, account, instance, takes);
        account.tell_line(self.ctx.around.gauge.as_ref(), gate);
        Outcome::Turned { turn, projects }
    }

    /// A place in a tool's account, held until a ledger says so.
    pub(super) fn take_place(
        &self,
        world: &World,
        slot: Slot,
        account: &str,
        asked: PlaceAsked,
    ) -> Outcome {
        let account = self.tools.get(account);
        let others = account
            .and_then(|one| places::of_tool(self.ctx, one, &world.instance, slot, Some(asked)));
        Outcome::Placed(others)
    }

    /// The provider of a tool's account; what has no account is made here.
    pub(super) fn provider(&self, account: &str) -> Done<&dyn Provider> {
        if account.is_empty() {
            return Ok(self.ctx.wallets.as_ref());
        }
        match self.tools.get(account) {
            Some(account) => Ok(account.provider.as_ref()),
            None => Err(Fault::Transient {
                message: format!("ProviderAccount {account} is not usable now"),
            }),
        }
    }

    pub(super) async fn tool(&self, step: &Step) -> Done<Outcome> {
        let _led = self.ctx.around.leave.take()?;
        let account = match step {
            Step::MakeTool { account, .. }
            | Step::FindTool { account, .. }
            | Step::LookTool { account, .. }
            | Step::AdjustTool { account, .. }
            | Step::DeleteTool { account, .. } => account,
            step => return Err(not_asked_here(step)),
        };
        at_provider(self.provider(account)?, self.ctx.around.now(), step).await
    }

    pub(super) async fn outside(&self, world: &World, step: &Step) -> Done<Outcome> {
        let Some(account) = &self.account else {
            return Err(Fault::Transient {
                message: "the account is not usable now".into(),
            });
        };
        let _led = self.ctx.around.leave.take()?;
        if let Step::TakeTurn { gate } = step {
            return Ok(self.take_turn(account, world, *gate));
        }
        let outcome = at_railway(&account.gateway, step).await?;
        if let (Step::Look { project }, Outcome::Looked(sight)) = (step, &outcome) {
            let gone = match sight {
                Sight::Seen(home) => home.deleted,
                Sight::Absent { .. } => true,
                Sight::Unknown => false,
            };
            if gone && world.deleting() {
                account.gone(project);
            }
        }
        Ok(outcome)
    }
}

/// A step about a tool, asked of its provider.
pub async fn at_provider(provider: &dyn Provider, begun: Timestamp, step: &Step) -> Done<Outcome> {
    match step {
        Step::MakeTool { order, .. } => {
            Ok(Outcome::ToolMade(Box::new(provider.make(order).await?)))
        }
        Step::FindTool { sought, .. } => {
            Ok(Outcome::ToolsFound(begun, provider.find(sought).await?))
        }
        Step::LookTool { named, .. } => {
            let seen = provider.look(named).await?;
            Ok(Outcome::ToolLooked(begun, seen.map(Box::new)))
        }
        Step::AdjustTool { named, wish, .. } => {
            provider.adjust(named, wish).await?;
            Ok(Outcome::Done)
        }
        Step::DeleteTool {
            named, for_good, ..
        } => {
            provider.delete(named, *for_good).await?;
            Ok(Outcome::Done)
        }
        step => Err(not_asked_here(step)),
    }
}

/// A step at Railway.
pub async fn at_railway(railway: &Gateway, step: &Step) -> Done<Outcome> {
    match step {
        Step::Search => Ok(Outcome::Searched(railway.search().await?)),
        Step::Look { project } => Ok(Outcome::Looked(look(railway, project).await?)),
        Step::CreateProject { name, marker } => {
            let made = railway.create_project(name, marker).await?;
            Ok(Outcome::ProjectMade {
                project: made.project,
                environment: made.environment,
            })
        }
        Step::CreateService {
            project,
            environment,
            name,
        } => Ok(Outcome::Made {
            id: railway.create_service(project, environment, name).await?,
        }),
        Step::CreateVolume {
            project,
            environment,
            service,
            mount,
        } => Ok(Outcome::Made {
            id: railway
                .create_volume(project, environment, service, mount)
                .await?,
        }),
        Step::Mount {
            environment,
            service,
            volume,
            mount,
        } => {
            railway
                .mount_volume(environment, service, volume, mount)
                .await?;
            Ok(Outcome::Done)
        }
        Step::CreateDomain {
            environment,
            service,
            port,
        } => Ok(Outcome::DomainMade(
            railway.create_domain(environment, service, *port).await?,
        )),
        Step::Configure {
            environment,
            service,
            volume,
            composed,
            attempt,
            retired,
        } => {
            let wanted = composed.for_attempt(*attempt);
            railway
                .configure(environment, service, volume.as_deref(), &wanted, retired)
                .await?;
            Ok(Outcome::Done)
        }
        Step::Compare {
            environment,
            service,
            composed,
            attempt,
        } => {
            let wanted = composed.compared(*attempt);
            Ok(Outcome::Compared(
                railway.drift(environment, service, &wanted).await?,
            ))
        }
        Step::Deploy {
            environment,
            service,
        } => {
            railway.deploy(environment, service).await?;
            Ok(Outcome::Done)
        }
        Step::Stop { deployment } => {
            railway.stop(deployment).await?;
            Ok(Outcome::Done)
        }
        Step::Delete { slot, id, .. } => {
            match slot {
                Slot::Project => railway.delete_project(id).await?,
                Slot::Service => railway.delete_service(id).await?,
                Slot::Volume => railway.delete_volume(id).await?,
                Slot::Domain => railway.delete_domain(id).await?,
                Slot::Environment | Slot::Configuration | Slot::Tool(_) => {}
            }
            Ok(Outcome::Done)
        }
        step => Err(not_asked_here(step)),
    }
}

/// Reads one project. Where the provider will not say whether it exists, the whole account decides
/// (`facts/railway.md` 1.5: a deleted project and a foreign one are refused alike).
async fn look(railway: &Gateway, project: &str) -> Done<Sight<crate::model::Home>> {
    match railway.look(project, Class::User).await {
        Err(Fault::Denied { .. }) => {
            let listing = railway.search().await?;
            let found = listing.homes.into_iter().find(|home| home.id == project);
            Ok(found.map_or(
                Sight::Absent {
                    begun: listing.begun,
                },
                Sight::Seen,
            ))
        }
        other => other,
    }
}

fn not_asked_here(step: &Step) -> Fault {
    Fault::Bug {
        message: format!("step {} was sent where nobody carries it out", step.word()),
    }
}
