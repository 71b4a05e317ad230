//! The hands of a scene: every effect is noted, may meet a trouble, and is held against what must hold at that moment.

use super::super::provider::{Change, Project, Settings};
use super::{Interrupt, Scene, Trouble, second};
use crate::api::{AgentInstance, AgentInstanceStatus, FINALIZER, Slot, SlotState};
use crate::controllers::pass::Hands;
use crate::engine::compose::Composed;
use crate::engine::ledger::entry;
use crate::engine::step::{Outcome, Step};
use crate::engine::world::{AccountView, World};
use crate::model::{Announcement, DeploymentState, Domain, Done, Fault, Health, Marker, Sight};
use jiff::Timestamp;
use kube::ResourceExt;
use secrecy::ExposeSecret;

impl Scene {
    /// Notes an effect; the trouble that is due at it.
    fn begin(&mut self, word: &'static str) -> Option<Trouble> {
        let number = self.log.len();
        self.log.push(word);
        if let Some(event) = self.events.remove(&number) {
            self.fired += 1;
            event(self);
        }
        let trouble = self.trouble.remove(&number);
        self.fired += usize::from(trouble.is_some());
        if trouble.is_some() {
            self.last_event = self.now;
        }
        trouble
    }

    fn current(&self, seen: &AgentInstance) -> Result<(), Interrupt> {
        match &self.object {
            None => Err(Interrupt::Gone),
            Some(object) if object.resource_version() != seen.resource_version() => {
                Err(Interrupt::Stale)
            }
            Some(_) => Ok(()),
        }
    }

    /// An effect on Kubernetes: at once, and refused where the object has changed since it was read.
    fn cluster(
        &mut self,
        word: &'static str,
        seen: Option<&AgentInstance>,
        write: impl FnOnce(&mut Scene),
    ) -> Result<(), Interrupt> {
        let trouble = self.begin(word);
        match trouble {
            Some(Trouble::CrashBefore) => return Err(Interrupt::Crash),
            Some(Trouble::Stale) => self.touched(),
            _ => {}
        }
        if let Some(seen) = seen {
            self.current(seen)?;
        }
        write(self);
        self.last_event = self.now;
        if trouble == Some(Trouble::CrashAfter) {
            return Err(Interrupt::Crash);
        }
        Ok(())
    }

    fn read<T>(
        &mut self,
        word: &'static str,
        read: impl FnOnce(&Scene, Timestamp) -> T,
    ) -> Result<Done<T>, Interrupt> {
        let trouble = self.begin(word);
        let begun = self.now;
        self.advance(begun + self.latency);
        match trouble {
            None | Some(Trouble::Twice | Trouble::Stale) => Ok(Ok(read(self, begun))),
            Some(Trouble::CrashBefore | Trouble::CrashAfter) => Err(Interrupt::Crash),
            Some(Trouble::Refused(fault)) => Ok(Err(fault)),
            Some(_) => {
                self.advance(begun + self.limits.request);
                Ok(Err(Fault::Transient {
                    message: "no answer".into(),
                }))
            }
        }
    }

    fn write(
        &mut self,
        world: &World,
        step: &Step,
        change: Change,
    ) -> Result<Done<String>, Interrupt> {
        let trouble = self.begin(step.word());
        self.lawful(world, step);
        let begun = self.now;
        let lost = || {
            Ok(Err(Fault::Uncertain {
                message: "no answer".into(),
            }))
        };
        match trouble {
            Some(Trouble::CrashBefore) => return Err(Interrupt::Crash),
            Some(Trouble::Refused(fault)) => {
                self.advance(begun + self.latency);
                return Ok(Err(fault));
            }
            Some(Trouble::Vanished) => {
                self.advance(begun + self.limits.request);
                return lost();
            }
            Some(Trouble::Late(by)) => {
                self.provider
                    .later(begun + self.limits.request + by, change);
                self.advance(begun + self.limits.request);
                return lost();
            }
            _ => {}
        }
        self.advance(begun + self.latency);
        if trouble == Some(Trouble::Twice) {
            let _ = self.provider.apply(self.now, change.clone());
        }
        let answer = self.provider.apply(self.now, change);
        match trouble {
            Some(Trouble::CrashAfter) => Err(Interrupt::Crash),
            Some(Trouble::Lost) => {
                self.advance(begun + self.limits.request);
                lost()
            }
            _ => {
                if let Ok(id) = &answer {
                    self.fresh.insert(id.clone(), self.now);
                }
                Ok(answer)
            }
        }
    }

    /// What must hold at every change outside.
    fn lawful(&self, world: &World, step: &Step) {
        let said = || format!("{step:?} after {:?}", self.log);
        assert!(
            matches!(world.account, AccountView::Ready(_)),
            "an unusable account is asked: {}",
            said()
        );
        let Some(object) = &self.object else {
            // The object can go only when nothing is left, or when it never had a finalizer.
            panic!("nobody's any more: {}", said());
        };
        assert!(
            object.finalizers().iter().any(|name| name == FINALIZER),
            "no finalizer: {}",
            said()
        );
        let status = object.status.clone().unwrap_or_default();
        if let Some(slot) = step.intends() {
            let intent = entry(&status, slot).unwrap_or_else(|| panic!("no intent: {}", said()));
            let due = match step {
                Step::Delete { .. } => SlotState::Deleting,
                _ => SlotState::Creating,
            };
            assert_eq!(intent.state, due, "intent: {}", said());
            if let Step::Configure {
                attempt, composed, ..
            } = step
            {
                assert_eq!(
                    (intent.attempt, &intent.key),
                    (*attempt, &composed.key),
                    "{}",
                    said()
                );
            }
        }
        if let Step::Delete { slot, id, .. } = step {
            let holds = |home: &&Project| {
                &home.id == id
                    || home.volumes.contains(id)
                    || home.services.iter().any(|one| &one.id == id)
                    || home.domains.iter().any(|one| &one.id == id)
            };
            let recorded = status
                .external
                .iter()
                .any(|entry| entry.id.as_ref() == Some(id));
            let marked = self
                .provider
                .projects
                .iter()
                .find(holds)
                .is_none_or(|home| {
                    Marker::parse(&home.description) == Some(world.marker(Slot::Project))
                });
            assert!(recorded || marked, "somebody else's {slot}: {}", said());
        }
    }

    fn wanted(composed: &Composed, attempt: i32) -> Settings {
        let configuration = composed.for_attempt(attempt);
        Settings {
            image: configuration.image,
            variables: configuration
                .variables
                .iter()
                .map(|one| (one.name.clone(), one.value.expose_secret().to_owned()))
                .collect(),
        }
    }

    fn made_lately(&self, id: &str) -> bool {
        self.fresh
            .get(id)
            .is_some_and(|at| self.now < *at + second(90))
    }

    fn ask(&self, host: &str) -> Health {
        let silent = Health::Silent {
            why: "connection refused".into(),
        };
        let running = self
            .provider
            .projects
            .iter()
            .filter(|home| !home.deleted)
            .find_map(|home| {
                let domain = home.domains.iter().find(|domain| domain.host == host)?;
                home.deployments
                    .iter()
                    .find(|one| one.service == domain.service)
            });
        match running {
            Some(one) if self.provider.state(one, self.now) == DeploymentState::Running => {
                self.agent.clone()
            }
            _ => silent,
        }
    }
}

impl Hands for Scene {
    type Interrupt = Interrupt;

    async fn persist(
        &mut self,
        seen: &AgentInstance,
        status: &AgentInstanceStatus,
    ) -> Result<AgentInstance, Interrupt> {
        // Through JSON, as everything that is read again.
        let text = serde_json::to_string(status).unwrap();
        self.cluster("Persist", Some(seen), |scene| {
            let stored = serde_json::from_str(&text).unwrap();
            scene.version += 1;
            let version = scene.version.to_string();
            if let Some(object) = &mut scene.object {
                object.status = Some(stored);
                object.metadata.resource_version = Some(version);
            }
        })?;
        self.object.clone().ok_or(Interrupt::Gone)
    }

    async fn enact(&mut self, world: &World, step: &Step) -> Result<Outcome, Interrupt> {
        let word = step.word();
        let seen = &world.instance;
        let done = |answer: Done<String>, made: fn(String) -> Outcome| {
            answer.map_or_else(Outcome::Faulted, made)
        };
        let made = |id| Outcome::Made { id };
        Ok(match step {
            Step::Hold => {
                self.cluster(word, Some(seen), |scene| {
                    if let Some(object) = &mut scene.object {
                        object.finalizers_mut().push(FINALIZER.into());
                    }
                    scene.touched();
                })?;
                let held = self.object.clone().ok_or(Interrupt::Gone)?;
                Outcome::Held(Box::new(held.metadata))
            }
            Step::LetGo => {
                self.cluster(word, Some(seen), |scene| scene.object = None)?;
                Outcome::Done
            }
            Step::Expire => {
                self.cluster(word, Some(seen), Scene::delete)?;
                Outcome::Done
            }
            Step::MintToken => {
                self.cluster(word, None, |scene| scene.token = true)?;
                Outcome::Done
            }
            Step::AskAgent { host, .. } => {
                let said = self.read(word, |scene, _| scene.ask(host))?;
                Outcome::AgentSaid(said.unwrap_or_else(|fault| Health::Silent {
                    why: fault.to_string(),
                }))
            }
            Step::Search => match self.read(word, |scene, begun| scene.provider.list(begun))? {
                Ok(listing) => Outcome::Searched(listing),
                Err(fault) => Outcome::Faulted(fault),
            },
            Step::Look { project } => {
                let sight = self.read(word, |scene, begun| {
                    match scene.provider.look(project, begun) {
                        Some(home) => Sight::Seen(home),
                        None if scene.made_lately(project) => Sight::Unknown,
                        None => Sight::Absent { begun },
                    }
                })?;
                sight.map_or_else(Outcome::Faulted, Outcome::Looked)
            }
            Step::Compare {
                service,
                composed,
                attempt,
                ..
            } => {
                let wanted = Scene::wanted(composed, *attempt);
                let read = self.read(word, |scene, _| {
                    scene.provider.differences(service, &wanted)
                })?;
                read.map_or_else(Outcome::Faulted, Outcome::Compared)
            }
            Step::CreateProject { name, marker } => {
                let (name, description) = (name.clone(), marker.to_string());
                let answer = self.write(world, step, Change::Project { name, description })?;
                done(answer, |id| Outcome::ProjectMade {
                    environment: Some(format!("{id}/env")),
                    project: id,
                })
            }
            Step::CreateService { project, name, .. } => {
                let (project, name) = (project.clone(), name.clone());
                done(
                    self.write(world, step, Change::Service { project, name })?,
                    made,
                )
            }
            Step::CreateVolume {
                project, service, ..
            } => {
                let (project, service) = (project.clone(), service.clone());
                let change = Change::Volume { project, service };
                done(self.write(world, step, change)?, made)
            }
            Step::CreateDomain { service, .. } => {
                let service = service.clone();
                let answer = self.write(
                    world,
                    step,
                    Change::Domain {
                        service: service.clone(),
                    },
                )?;
                match answer {
                    Ok(id) => Outcome::DomainMade(Domain {
                        host: format!("{id}.up.railway.app"),
                        id,
                        service,
                    }),
                    Err(fault) => Outcome::Faulted(fault),
                }
            }
            Step::Configure {
                service,
                composed,
                attempt,
                retired,
                ..
            } => {
                let change = Change::Configure {
                    service: service.clone(),
                    wanted: Scene::wanted(composed, *attempt),
                    retired: retired.clone(),
                };
                done(self.write(world, step, change)?, |_| Outcome::Done)
            }
            Step::Deploy { service, .. } => {
                let change = Change::Deploy {
                    service: service.clone(),
                };
                done(self.write(world, step, change)?, |_| Outcome::Done)
            }
            Step::Stop { deployment } => {
                let change = Change::Stop {
                    deployment: deployment.clone(),
                };
                done(self.write(world, step, change)?, |_| Outcome::Done)
            }
            Step::Delete { slot, id, .. } => {
                let change = Change::Delete {
                    slot: *slot,
                    id: id.clone(),
                };
                let answer = self.write(world, step, change)?;
                if answer.is_ok() {
                    self.fresh.remove(id);
                }
                done(answer, |_| Outcome::Done)
            }
            // These scenes have no tools.
            _ => Outcome::Done,
        })
    }

    async fn announce(&mut self, _: &AgentInstance, said: &[Announcement]) {
        self.told.extend_from_slice(said);
    }

    fn now(&self) -> Timestamp {
        self.now
    }
}
