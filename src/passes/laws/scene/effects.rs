//! The hands of a scene: every effect is noted, may meet a trouble, and is held against what must hold at that moment.

use super::super::provider::{Change, Project, Settings};
use super::super::shops::{Ask, SECRET};
use super::{Interrupt, Scene, Trouble, second};
use crate::api::instance::AdoptTool;
use crate::api::template::ToolTime;
use crate::api::{
    AgentInstance, AgentInstanceStatus, FINALIZER, IDENTITY_ANNOTATION, LedgerEntry, Part, Slot,
    SlotState,
};
use crate::cluster::status::difference;
use crate::engine::compose::Composed;
use crate::engine::ledger::entry;
use crate::engine::step::{Outcome, Step};
use crate::engine::world::{AccountRoom, AccountView, ToolAccountView, World};
use crate::model::left::counts;
use crate::model::monthly;
use crate::model::slot::{FoundBy, parts};
use crate::model::tool::{Kept, Order, Wish};
use crate::model::{
    Announcement, Answer, DeploymentState, Domain, Done, Fault, Gate, Health, Marker, Pauses,
    Sight, Turn,
};
use crate::passes::pass::Hands;
use jiff::Timestamp;
use kube::ResourceExt;
use secrecy::ExposeSecret;
use world::truth::contradictions;

/// The environment with which a project comes.
fn environment(project: &str) -> String {
    format!("{project}/env")
}

fn project_of(environment: &str) -> &str {
    environment.strip_suffix("/env").unwrap_or(environment)
}

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
        let late = change.clone();
        let answer = self.exchange(
            world,
            step,
            |scene, at| scene.provider.apply(at, change.clone()),
            |scene, at| scene.provider.later(at, late),
        )?;
        if let Ok(id) = &answer {
            self.fresh.insert(id.clone(), self.now);
            self.fresh.insert(environment(id), self.now);
        }
        Ok(self.softened(step, answer))
    }

    /// Beside something that was made a moment ago, the gateway takes what is missing for what is not shown yet.
    fn softened(&self, step: &Step, answer: Done<String>) -> Done<String> {
        let named = match step {
            Step::CreateService { environment, .. } => vec![environment],
            Step::CreateVolume {
                environment,
                service,
                ..
            }
            | Step::CreateDomain {
                environment,
                service,
                ..
            }
            | Step::Configure {
                environment,
                service,
                ..
            }
            | Step::Deploy {
                environment,
                service,
            } => vec![environment, service],
            Step::Mount {
                environment,
                service,
                volume,
                ..
            } => vec![environment, service, volume],
            _ => Vec::new(),
        };
        match answer {
            Err(Fault::Missing { message }) if named.iter().any(|id| self.made_lately(id)) => {
                Err(Fault::Transient { message })
            }
            other => other,
        }
    }

    /// A change outside, with the trouble that is due at it. `later`: it lands at that time, when nobody waits any more.
    fn exchange<T>(
        &mut self,
        world: &World,
        step: &Step,
        apply: impl Fn(&mut Scene, Timestamp) -> Done<T>,
        later: impl FnOnce(&mut Scene, Timestamp),
    ) -> Result<Done<T>, Interrupt> {
        self.unpaused(step);
        let trouble = self.begin(step.word());
        self.lawful(world, step);
        self.holds = None;
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
                later(self, begun + self.limits.request + by);
                self.advance(begun + self.limits.request);
                return lost();
            }
            _ => {}
        }
        self.advance(begun + self.latency);
        if trouble == Some(Trouble::Twice) {
            let _ = apply(self, self.now);
        }
        let answer = apply(self, self.now);
        match trouble {
            Some(Trouble::CrashAfter) => Err(Interrupt::Crash),
            Some(Trouble::Lost) => {
                self.advance(begun + self.limits.request);
                lost()
            }
            _ => Ok(answer),
        }
    }

    /// A change at a provider of tools.
    fn shop(
        &mut self,
        world: &World,
        step: &Step,
        account: &str,
        ask: Ask,
    ) -> Result<Done<Option<crate::model::tool::Made>>, Interrupt> {
        let shop = if account.is_empty() {
            "wallet"
        } else {
            account
        };
        let late = ask.clone();
        self.exchange(
            world,
            step,
            |scene, at| scene.shops.ask(at, shop, &ask),
            |scene, at| scene.shops.later(at, shop.to_owned(), late),
        )
    }

    /// A write of a Secret, refused where the instance's own is not there or somebody else wrote it first.
    fn secret(
        &mut self,
        word: &'static str,
        own: bool,
        write: impl FnOnce(&mut Scene),
    ) -> Result<(), Interrupt> {
        match self.begin(word) {
            Some(Trouble::CrashBefore) => Err(Interrupt::Crash),
            Some(Trouble::Stale) => Err(Interrupt::Stale),
            _ if own && !self.token => Err(Interrupt::Stale),
            trouble => {
                write(self);
                self.last_event = self.now;
                match trouble {
                    Some(Trouble::CrashAfter) => Err(Interrupt::Crash),
                    _ => Ok(()),
                }
            }
        }
    }

    /// A step about a tool.
    fn tool(&mut self, world: &World, step: &Step, slot: Slot) -> Result<Outcome, Interrupt> {
        let word = step.word();
        self.trail.push(format!("{word} {slot}"));
        let recorded = world.entry(slot).cloned();
        let here = recorded
            .as_ref()
            .is_some_and(|entry| entry.row().found_by == FoundBy::Kept);
        Ok(match step {
            Step::MakeTool { account, order, .. } => {
                if let Some(wallet) = order.parts.get(&Part::Main) {
                    self.shops.keyless.remove(wallet);
                }
                let ask = Ask::Make((**order).clone());
                match self.shop(world, step, account, ask)? {
                    Ok(Some(made)) => Outcome::ToolMade(Box::new(made)),
                    Ok(None) => Outcome::Done,
                    Err(fault) => Outcome::Faulted(fault),
                }
            }
            Step::FindTool {
                account, sought, ..
            } if account == "bankr" => {
                // Nothing can be listed there: finding keys is revoking all, finding a wallet is asking for it again.
                let begun = self.now;
                let found = Outcome::ToolsFound(begun, Vec::new());
                if sought.part == Part::Main {
                    let ask = Ask::Make(Order {
                        part: sought.part,
                        key: sought.key.clone(),
                        note: String::new(),
                        wish: Wish::Bankr,
                        parts: sought.parts.clone(),
                    });
                    return Ok(match self.shop(world, step, account, ask)? {
                        Ok(made) => Outcome::ToolsFound(
                            begun,
                            made.into_iter().map(|made| made.resource).collect(),
                        ),
                        Err(fault) => Outcome::Faulted(fault),
                    });
                }
                let ask = Ask::Revoke(sought.parts.clone());
                match self.shop(world, step, account, ask)? {
                    Ok(_) => {
                        self.shops
                            .keyless
                            .extend(sought.parts.get(&Part::Main).cloned());
                        found
                    }
                    Err(Fault::Missing { .. }) => found,
                    Err(fault) => Outcome::Faulted(fault),
                }
            }
            Step::FindTool {
                account, sought, ..
            } => {
                let read = self.read(word, |scene, begun| {
                    Outcome::ToolsFound(begun, scene.shops.find(account, sought, begun))
                })?;
                read.unwrap_or_else(Outcome::Faulted)
            }
            Step::LookTool { account, named, .. } => {
                if (account.as_str(), named.part) == ("telnyx", Part::Main) {
                    self.unpaused(step);
                    self.shops.set_up(named);
                }
                let read = self.read(word, |scene, begun| {
                    let seen = scene.shops.look(account, named, begun);
                    Outcome::ToolLooked(begun, seen.map(Box::new))
                })?;
                read.unwrap_or_else(Outcome::Faulted)
            }
            Step::AdjustTool {
                account,
                named,
                wish,
                ..
            } => {
                let ask = Ask::Adjust(named.clone(), wish.clone());
                let answer = self.shop(world, step, account, ask)?;
                answer.map_or_else(Outcome::Faulted, |_| Outcome::Done)
            }
            Step::DeleteTool {
                account,
                named,
                for_good,
                ..
            } => {
                let ask = Ask::Delete(named.clone(), *for_good);
                let answer = self.shop(world, step, account, ask)?;
                if answer.is_ok() && (account.as_str(), named.part) == ("bankr", Part::Key) {
                    self.shops
                        .keyless
                        .extend(named.parts.get(&Part::Main).cloned());
                }
                answer.map_or_else(Outcome::Faulted, |_| Outcome::Done)
            }
            Step::KeepSecret { .. } => {
                let (Some(entry), Some(made)) = (recorded, world.tools.fresh.get(&slot).cloned())
                else {
                    return Ok(Outcome::Done);
                };
                // A wallet's Secret is made once and never changed.
                if here && self.drawer.contains_key(&slot) {
                    self.begin(word);
                    return Err(Interrupt::Stale);
                }
                let kept = Kept {
                    key: entry.key,
                    id: made.resource.id,
                    main: slot
                        .beside(Part::Main)
                        .filter(|main| *main != slot)
                        .and_then(|main| world.entry(main))
                        .map(|main| main.key.clone()),
                    address: made.resource.address.filter(|_| here),
                    secret: Some(if here { "ada-purse" } else { "ada-agent" }.to_owned()),
                };
                let value = made.secret.map(|it| it.expose_secret().to_owned());
                let put = (kept.clone(), value.unwrap_or_default());
                self.secret(word, !here, |scene| {
                    scene.drawer.insert(slot, put);
                })?;
                Outcome::SecretKept(kept)
            }
            _ => {
                self.secret(word, false, |scene| {
                    scene.drawer.remove(&slot);
                })?;
                Outcome::Done
            }
        })
    }

    /// What must hold at every change outside.
    /// Nothing is changed that is paused. PlaceAsked before anything comes at this very step: a pause that does comes too late for it.
    fn unpaused(&self, step: &Step) {
        let account = match step {
            Step::MakeTool { account, .. }
            | Step::FindTool { account, .. }
            | Step::LookTool { account, .. }
            | Step::AdjustTool { account, .. }
            | Step::DeleteTool { account, .. } => account,
            _ => "main",
        };
        let by = self.pauses.of(account);
        assert_eq!(by, None, "{step:?} after {:?}", self.log);
        let of_record = matches!(
            step,
            Step::Configure { .. }
                | Step::Deploy { .. }
                | Step::Stop { .. }
                | Step::AdjustTool { .. }
        );
        assert!(
            of_record || !self.pauses.unread.contains_key(account),
            "{step:?} after {:?}",
            self.log
        );
    }

    fn lawful(&self, world: &World, step: &Step) {
        let said = || format!("{step:?} after {:?}", self.log);
        let gate = match step {
            Step::CreateProject { .. } => Some(Gate::Projects),
            Step::CreateVolume { .. } => Some(Gate::Volumes),
            _ => None,
        };
        assert_eq!(self.holds, gate, "a turn and its use: {}", said());
        let usable = match step {
            Step::MakeTool { account, .. } => {
                account.is_empty() || self.accounts.get(account) == Some(&ToolAccountView::Ready)
            }
            Step::CreateProject { .. } => {
                matches!(&world.account, AccountView::Ready(room) if !room.deleting)
            }
            Step::AdjustTool { account, .. }
            | Step::DeleteTool { account, .. }
            | Step::FindTool { account, .. } => {
                account.is_empty()
                    || self
                        .accounts
                        .get(account)
                        .is_some_and(ToolAccountView::answers)
            }
            _ => matches!(world.account, AccountView::Ready(_)),
        };
        assert!(usable, "an unusable account is asked: {}", said());
        let Some(object) = &self.object else {
            // The object can go only when nothing is left, or when it never had a finalizer.
            panic!("nobody's any more: {}", said());
        };
        assert!(
            object.finalizers().iter().any(|name| name == FINALIZER),
            "no finalizer: {}",
            said()
        );
        // What was on record when this pass wrote it may have been lost since.
        let status = match self.memory_lost {
            true => world.status(),
            false => object.status.clone().unwrap_or_default(),
        };
        if let Some(slot) = step.intends() {
            let intent = entry(&status, slot).unwrap_or_else(|| panic!("no intent: {}", said()));
            let due = match step {
                Step::Delete { .. } | Step::DeleteTool { .. } => SlotState::Deleting,
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
        self.lawful_for_tools(world, &status, step, &said);
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

    /// What must hold at every change of a tool, and of what it serves.
    fn lawful_for_tools(
        &self,
        world: &World,
        status: &AgentInstanceStatus,
        step: &Step,
        said: &impl Fn() -> String,
    ) {
        // As the pass has seen it: what it saw to be gone may be on record still.
        let known = world.status();
        let still_there = |rank: u8| -> Vec<Slot> {
            let higher = known.external.iter().filter(|entry| {
                let left = matches!(entry.state, SlotState::Exists | SlotState::Deleting);
                entry.slot.as_tool().is_some() && entry.row().rank > rank && left
            });
            higher.map(|entry| entry.slot).collect()
        };
        // As the pass knows it: one that goes on when the deletion comes may still be taking back a single tool.
        let deleting = world.deleting();
        match step {
            Step::MakeTool { slot, order, .. } => {
                let intent = entry(status, *slot).unwrap();
                assert_eq!(intent.key, order.key, "{}", said());
                let stands = entry(status, Slot::Project)
                    .is_some_and(|project| project.state == SlotState::Exists);
                assert!(stands, "bought before there is a project: {}", said());
                let own = crate::model::marker::is_tool_name(
                    &crate::model::values::Seal("seal".to_owned().into()),
                    &crate::model::InstallationId("i-1".into()),
                    &order.key,
                );
                assert!(own, "a name that is not ours: {}", said());
                Self::counted(intent, &order.wish, said);
            }
            Step::DeleteTool { slot, named, .. } | Step::AdjustTool { slot, named, .. } => {
                let recorded = entry(status, *slot).unwrap_or_else(|| panic!("{}", said()));
                let thing = self.shops.things.iter().find(|one| one.id == named.id);
                let ours = recorded.id.as_ref() == Some(&named.id)
                    || thing.is_some_and(|one| one.name == recorded.key);
                assert!(ours, "somebody else's {slot}: {}", said());
                if let Step::AdjustTool { wish, .. } = step {
                    Self::counted(recorded, wish, said);
                }
                if deleting && matches!(step, Step::DeleteTool { surplus: false, .. }) {
                    let before = still_there(recorded.row().rank);
                    assert!(before.is_empty(), "{before:?} goes first: {}", said());
                }
            }
            Step::Delete {
                slot: Slot::Project,
                surplus: false,
                ..
            } if deleting => {
                let before = still_there(0);
                assert!(before.is_empty(), "{before:?} goes first: {}", said());
            }
            Step::Configure { composed, .. } if !self.tools.is_empty() => {
                self.lawful_configuration(composed, said);
            }
            _ => {}
        }
    }

    /// What costs something counts before it does.
    fn counted(entry: &LedgerEntry, wish: &Wish, said: &impl Fn() -> String) {
        let costs = monthly::of_wish(wish, None);
        assert!(
            !counts(entry.slot) || monthly::ordered(entry) >= costs,
            "{costs} a month is not on record: {}",
            said()
        );
    }

    /// No agent is deployed before the tools that it needs are there.
    fn lawful_configuration(&self, composed: &Composed, said: &impl Fn() -> String) {
        let names = composed.names();
        let adopt = self.object.as_ref().and_then(|one| one.spec.adopt.as_ref());
        let required = self.tools.iter().filter(|tool| tool.required);
        for tool in required.filter(|tool| tool.when == ToolTime::Create) {
            let adopted = adopt.is_some_and(|adopt| {
                let own = |one: &AdoptTool| one.name.as_str() == tool.name.as_str();
                adopt.tools.iter().any(own)
            });
            for (part, row) in parts(tool.kind.provider()) {
                // What was taken over is taken over without its credential, and alone.
                let mut gives: Vec<&str> = match (adopted, part) {
                    (false, _) => row.gives.names().collect(),
                    (true, Part::Main) => row.gives.address.into_iter().collect(),
                    (true, _) => Vec::new(),
                };
                gives.retain(|name| !names.iter().any(|known| known == name));
                let slot = Slot::tool(tool.name.as_str(), part).unwrap();
                assert!(
                    gives.is_empty(),
                    "deployed without {gives:?} of {slot}: {}",
                    said()
                );
            }
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
        let silent = Health::NotReady(Answer::NotReached);
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
        assert!(!text.contains(SECRET), "a credential in a status: {text}");
        let told = serde_json::json!({"metadata": seen.metadata, "status": status});
        let wrong = contradictions(&told);
        assert!(wrong.is_empty(), "{wrong:?}\n{text}\n{:?}", self.log);
        let json = |status: &Option<AgentInstanceStatus>| match status {
            Some(status) => serde_json::to_value(status).unwrap(),
            None => serde_json::json!({}),
        };
        let patch = difference(&json(&seen.status), &serde_json::from_str(&text).unwrap());
        self.cluster("Persist", Some(seen), |scene| {
            scene.version += 1;
            let version = scene.version.to_string();
            if let Some(object) = &mut scene.object {
                let mut stored = json(&object.status);
                json_patch::merge(&mut stored, &patch);
                object.status = Some(serde_json::from_value(stored).unwrap());
                object.metadata.resource_version = Some(version);
            }
        })?;
        self.object.clone().ok_or(Interrupt::Gone)
    }

    fn pauses(&self, _: &World) -> Pauses {
        self.pauses.clone()
    }

    async fn enact(&mut self, world: &World, step: &Step) -> Result<Outcome, Interrupt> {
        let word = step.word();
        if let Some(account) = step.makes_in(world)
            && self.going.contains(account)
        {
            // By the next pass the caches show it, too.
            match self.accounts.get_mut(account) {
                Some(view) => *view = ToolAccountView::Deleting,
                None => {
                    self.account = AccountView::Ready(AccountRoom {
                        deleting: true,
                        ..super::room()
                    });
                }
            }
            // A turn that it had is given back when the pass ends.
            self.holds = None;
            return Ok(Outcome::AccountGoes);
        }
        if self.refused.contains(word) {
            self.begin(word);
            return Ok(Outcome::Faulted(Fault::Refused {
                passes: false,
                message: format!("the API server refuses {word}"),
            }));
        }
        if let Some(slot) = step.tool() {
            return self.tool(world, step, slot);
        }
        let seen = &world.instance;
        let done = |answer: Done<String>, made: fn(String) -> Outcome| {
            answer.map_or_else(Outcome::Faulted, made)
        };
        let made = |id| Outcome::Made { id };
        Ok(match step {
            Step::Hold { identity } => {
                let identity = identity.clone();
                self.cluster(word, Some(seen), |scene| {
                    if let Some(object) = &mut scene.object {
                        if object.finalizers().is_empty() {
                            object.finalizers_mut().push(FINALIZER.into());
                        }
                        if let Some(identity) = identity {
                            object
                                .annotations_mut()
                                .insert(IDENTITY_ANNOTATION.into(), identity);
                        }
                    }
                    scene.touched();
                })?;
                let held = self.object.clone().ok_or(Interrupt::Gone)?;
                Outcome::Held(Box::new(held.metadata))
            }
            Step::LetGo => {
                self.cluster(word, Some(seen), |scene| {
                    scene.object = None;
                    scene.drop_own_secret();
                })?;
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
                Outcome::AgentSaid(said.unwrap_or(Health::NotReady(Answer::NotReached)))
            }
            // Nothing is changed by it, and nothing is known of it after a crash.
            Step::TakeTurn { gate } => {
                self.asked += 1;
                let turn = self.turns.get(gate).cloned().unwrap_or(Turn::Now);
                self.holds = (turn == Turn::Now).then_some(*gate);
                let projects = match &self.account {
                    AccountView::Ready(room) => room.projects,
                    _ => None,
                };
                Outcome::Turned { turn, projects }
            }
            Step::RecordOrder { .. } => {
                Outcome::Ordered(self.ordered.filter(|until| *until > self.now))
            }
            Step::TakePlace { .. } => Outcome::Placed(Some(self.others)),
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
                if let Ok(Sight::Seen(home)) = &sight {
                    self.fresh.remove(&home.id);
                }
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
                    environment: Some(environment(&id)),
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
                project,
                service,
                mount,
                ..
            } => {
                let change = Change::Volume {
                    project: project.clone(),
                    service: service.clone(),
                    mount: mount.clone(),
                };
                done(self.write(world, step, change)?, made)
            }
            Step::Mount {
                service,
                volume,
                mount,
                ..
            } => {
                let change = Change::Mount {
                    volume: volume.clone(),
                    service: service.clone(),
                    mount: mount.clone(),
                };
                done(self.write(world, step, change)?, |_| Outcome::Done)
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
                environment,
                service,
                composed,
                attempt,
                retired,
                ..
            } => {
                let change = Change::Configure {
                    project: project_of(environment).to_owned(),
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
            // Tools have had theirs.
            _ => Outcome::Done,
        })
    }

    async fn announce(&mut self, _: &AgentInstance, said: &[Announcement]) {
        for one in said {
            assert!(!one.note.contains(SECRET), "a credential is told: {one:?}");
        }
        self.told.extend_from_slice(said);
    }

    fn now(&self) -> Timestamp {
        self.now
    }
}
