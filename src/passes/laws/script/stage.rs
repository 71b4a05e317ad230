//! The script on the scene of the laws: each step goes through the scene's hands, with what they demand on record before it.

use super::super::scene::{Scene, Trouble, second};
use super::{Stage, Way};
use crate::api::money::Money;
use crate::api::{FINALIZER, LedgerEntry, Slot, SlotState};
use crate::engine::ledger::{moment, put};
use crate::engine::step::{Outcome, Step};
use crate::model::slot::RAILWAY;
use crate::model::{Done, Fault, Gate};
use crate::passes::pass::Hands;
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::BTreeMap;

pub fn scene() -> Scene {
    let mut scene = Scene::new();
    let object = scene.object.as_mut().unwrap();
    object.finalizers_mut().push(FINALIZER.into());
    scene
}

/// A record as it stands before the step.
fn record(scene: &mut Scene, entry: LedgerEntry) {
    let status = &mut scene.object.as_mut().unwrap().status;
    put(status.get_or_insert_default(), entry);
}

fn lean(scene: &mut Scene, step: &Step) {
    let at = moment(scene.now);
    let blank = |slot, provider: &str| LedgerEntry {
        state: SlotState::Creating,
        // More than any of them costs.
        monthly_usd: Some(Money::dollars(1_000)),
        ..LedgerEntry::new(slot, provider, provider.to_owned(), at.clone())
    };
    record(
        scene,
        LedgerEntry {
            state: SlotState::Exists,
            id: Some("project-0".into()),
            ..blank(Slot::Project, RAILWAY)
        },
    );
    match step {
        Step::MakeTool {
            slot,
            account,
            order,
        } => {
            let key = order.key.clone();
            record(
                scene,
                LedgerEntry {
                    key,
                    ..blank(*slot, account)
                },
            );
        }
        Step::AdjustTool {
            slot,
            account,
            named,
            ..
        }
        | Step::DeleteTool {
            slot,
            account,
            named,
            ..
        } => {
            let (key, id) = (named.key.clone(), Some(named.id.clone()));
            record(
                scene,
                LedgerEntry {
                    key,
                    id,
                    ..blank(*slot, account)
                },
            );
        }
        Step::Configure {
            composed, attempt, ..
        } => {
            let (key, attempt) = (composed.key.clone(), *attempt);
            record(
                scene,
                LedgerEntry {
                    key,
                    attempt,
                    ..blank(Slot::Configuration, RAILWAY)
                },
            );
        }
        other => {
            if let Some(slot) = other.intends() {
                record(scene, blank(slot, RAILWAY));
            }
        }
    }
    scene.holds = match step {
        Step::CreateProject { .. } => Some(Gate::Projects),
        Step::CreateVolume { .. } => Some(Gate::Volumes),
        _ => None,
    };
}

impl Stage for Scene {
    async fn set(&mut self, key: &str, value: &str) {
        match (key, value) {
            ("railway.deletedRead", shown) => self.provider.shows_deleted = shown == "deletedAt",
            ("railway.secondDelete", "not-found") => {}
            ("railway.secondDelete", said) => {
                self.provider.gone = Fault::Uncertain {
                    message: said.to_owned(),
                };
            }
            other => panic!("no such setting: {other:?}"),
        }
    }

    async fn enact(&mut self, step: &Step, way: Way) -> Outcome {
        lean(self, step);
        let until = self.now + second(1);
        let trouble = match way {
            Way::Fine => None,
            Way::Lost => Some(Trouble::Lost),
            Way::Vanished => Some(Trouble::Vanished),
            Way::Throttled => Some(Trouble::Refused(Fault::Throttled {
                until,
                message: "too quickly".into(),
            })),
        };
        if let Some(trouble) = trouble {
            self.trouble.insert(self.log.len(), trouble);
        }
        let world = self.gather().unwrap();
        let outcome = Hands::enact(self, &world, step).await.unwrap();
        assert!(self.trouble.is_empty(), "nothing was asked for: {step:?}");
        outcome
    }

    async fn list(&mut self, account: &str) -> Done<Option<Outcome>> {
        if account == RAILWAY {
            return Ok(Some(Outcome::Searched(self.provider.list(self.now))));
        }
        let stock = self.shops.list(account, self.now);
        Ok(stock.map(|stock| Outcome::ToolsFound(stock.begun, stock.resources)))
    }

    async fn living(&mut self) -> BTreeMap<String, usize> {
        let mut living = BTreeMap::new();
        let mut count =
            |kind: &str, so_many| *living.entry(kind.to_owned()).or_default() += so_many;
        for home in self.provider.projects.iter().filter(|home| !home.deleted) {
            count("project", 1);
            count("service", home.services.len());
            count("volume", home.volumes.len());
            count("domain", home.domains.len());
            count(
                "deployment",
                home.deployments.iter().filter(|one| !one.removed).count(),
            );
        }
        for thing in self.shops.things.iter().filter(|one| one.lives(self.now)) {
            count(super::word(thing.part), 1);
        }
        count("key", self.shops.born_with.len());
        living.retain(|_, so_many| *so_many > 0);
        living
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    async fn wait(&mut self, until: Timestamp) {
        self.advance(until);
    }
}
