//! A provider in memory that behaves as `facts/railway.md` says where it matters: project names may be doubled, service
//! names may not, a second volume or domain is a second one, an identical configuration deploys nothing, deletions are
//! soft, what was given up may land later, and reads lag behind writes.
//!
//! What holds: nothing changes but by [`Provider::apply`] and by time, which somebody else moves.

use crate::model::{
    Deployment, DeploymentState, Domain, Done, Fault, Home, Listing, Marker, Service, Slot, Volume,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// A change of something outside.
#[derive(Clone, Debug)]
pub enum Change {
    Project {
        name: String,
        description: String,
    },
    Service {
        project: String,
        name: String,
    },
    Volume {
        project: String,
        service: String,
        mount: String,
    },
    Mount {
        volume: String,
        service: String,
        mount: String,
    },
    Domain {
        service: String,
    },
    Configure {
        project: String,
        service: String,
        wanted: Settings,
        retired: Vec<String>,
    },
    Deploy {
        service: String,
    },
    Stop {
        deployment: String,
    },
    Delete {
        slot: Slot,
        id: String,
    },
}

/// What is configured for a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub image: String,
    pub variables: BTreeMap<String, String>,
}

/// What becomes of a deployment that is made from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Up,
    Fails,
    Crashes,
}

#[derive(Clone, Debug)]
pub struct Project {
    pub id: String,
    pub name: String,
    pub description: String,
    pub created: Timestamp,
    pub deleted: bool,
    pub services: Vec<Service>,
    pub volumes: Vec<String>,
    /// Volumes, the services that they are attached to (empty: none any more), and where they are mounted.
    pub attached: BTreeMap<String, (String, String)>,
    /// Volumes that were deleted: not shown any more, and there for a while yet.
    pub leaving: Vec<String>,
    pub domains: Vec<Domain>,
    /// The newest of each service.
    pub deployments: Vec<Running>,
    /// Deployments in whose place another came, and their services.
    pub replaced: BTreeMap<String, String>,
    pub settings: BTreeMap<String, Settings>,
    /// Goes up with every change of what is configured.
    pub tag: u32,
}

#[derive(Clone, Debug)]
pub struct Running {
    pub id: String,
    pub service: String,
    pub image: String,
    pub created: Timestamp,
    pub removed: bool,
    pub fate: Fate,
    /// The volume that it has, and where.
    pub disk: Option<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct Provider {
    pub projects: Vec<Project>,
    past: Vec<(Timestamp, Vec<Project>)>,
    pending: Vec<(Timestamp, Change)>,
    ids: u32,
    /// How far reads lag behind writes.
    pub lag: SignedDuration,
    /// How long a deployment takes to come up.
    pub boot: SignedDuration,
    pub fate: Fate,
    /// How it answers a deletion of what is gone already.
    pub gone: Fault,
    /// Whether a single project that was deleted is still shown, as deleted.
    pub shows_deleted: bool,
    /// Whether applied configurations deploy.
    pub deploys: bool,
    /// Changes that took effect.
    pub counts: BTreeMap<&'static str, u32>,
    pub last_change: Timestamp,
}

fn missing(what: &str) -> Fault {
    Fault::Missing {
        message: format!("{what} not found"),
    }
}

impl Project {
    /// What bears this id goes, with what is nothing without it. Answers whether there was something.
    fn lose(&mut self, id: &str) -> bool {
        let parts = |home: &Project| (home.services.len(), home.volumes.len(), home.domains.len());
        let before = parts(self);
        let configured = |home: &Project| {
            let at: Vec<_> = home
                .attached
                .iter()
                .filter(|(_, (own, _))| own == id)
                .collect();
            let domains = home
                .domains
                .iter()
                .any(|one| one.service == id || one.id == id);
            domains || home.settings.contains_key(id) || !at.is_empty()
        };
        let configured = configured(self);
        if self.volumes.iter().any(|one| one == id) {
            self.volumes.retain(|one| one != id);
            self.leaving.push(id.to_owned());
        }
        self.services.retain(|one| one.id != id);
        let services: Vec<String> = self.services.iter().map(|one| one.id.clone()).collect();
        let lives = |service: &String| services.contains(service);
        let attached = self.attached.values_mut().map(|(service, _)| service);
        attached.filter(|own| *own == id).for_each(String::clear);
        self.domains
            .retain(|one| one.id != id && lives(&one.service));
        self.deployments.retain(|one| lives(&one.service));
        self.replaced.retain(|_, service| lives(service));
        self.settings.retain(|service, _| lives(service));
        let gone = before != parts(self);
        let volume = self.leaving.iter().any(|one| one == id);
        self.tag += u32::from(gone && (configured || volume));
        gone
    }
}

impl Provider {
    pub fn new(now: Timestamp) -> Provider {
        Provider {
            projects: Vec::new(),
            past: vec![(now - SignedDuration::from_hours(1), Vec::new())],
            pending: Vec::new(),
            ids: 0,
            lag: SignedDuration::ZERO,
            boot: SignedDuration::ZERO,
            fate: Fate::Up,
            gone: missing("Project"),
            shows_deleted: false,
            deploys: true,
            counts: BTreeMap::new(),
            last_change: now,
        }
    }

    /// Lets a change land later.
    pub fn later(&mut self, at: Timestamp, change: Change) {
        self.pending.push((at, change));
        self.pending.sort_by_key(|(at, _)| *at);
    }

    /// When the next late change lands.
    pub fn next_landing(&self) -> Option<Timestamp> {
        self.pending.first().map(|(at, _)| *at)
    }

    /// Lets land what is due.
    pub fn land(&mut self, now: Timestamp) {
        while self.next_landing().is_some_and(|at| at <= now) {
            let (at, change) = self.pending.remove(0);
            // Nobody waits for its answer any more.
            let _ = self.apply(at, change);
        }
    }

    /// Whether time alone still changes something.
    pub fn unsettled(&self, now: Timestamp) -> bool {
        let booting = |project: &Project| {
            !project.deleted
                && project
                    .deployments
                    .iter()
                    .any(|one| one.created + self.boot > now)
        };
        !self.pending.is_empty() || self.projects.iter().any(booting)
    }

    fn id(&mut self, kind: &str) -> String {
        self.ids += 1;
        format!("{kind}-{}", self.ids)
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Applies a change; the answer is the new thing's id, where there is one.
    pub fn apply(&mut self, at: Timestamp, change: Change) -> Done<String> {
        let answer = self.change(at, change);
        if answer.is_ok() {
            self.last_change = self.last_change.max(at);
            self.past.push((at, self.projects.clone()));
        }
        answer
    }

    /// Changes something behind everybody's back.
    pub fn meddle(&mut self, at: Timestamp, with: impl FnOnce(&mut Vec<Project>)) {
        with(&mut self.projects);
        self.last_change = at;
        self.past.push((at, self.projects.clone()));
    }

    fn living(&mut self, id: &str) -> Done<&mut Project> {
        self.projects
            .iter_mut()
            .find(|project| project.id == id && !project.deleted)
            .ok_or_else(|| missing("Project"))
    }

    fn with_service(&mut self, id: &str) -> Done<&mut Project> {
        self.projects
            .iter_mut()
            .find(|p| !p.deleted && p.services.iter().any(|service| service.id == id))
            .ok_or_else(|| missing("Service"))
    }

    fn change(&mut self, at: Timestamp, change: Change) -> Done<String> {
        match change {
            Change::Project { name, description } => {
                let id = self.id("project");
                self.count("project");
                self.projects.push(Project {
                    id: id.clone(),
                    name,
                    description,
                    created: at,
                    deleted: false,
                    services: Vec::new(),
                    volumes: Vec::new(),
                    attached: BTreeMap::new(),
                    leaving: Vec::new(),
                    domains: Vec::new(),
                    deployments: Vec::new(),
                    replaced: BTreeMap::new(),
                    settings: BTreeMap::new(),
                    tag: 0,
                });
                Ok(id)
            }
            Change::Service { project, name } => {
                let id = self.id("service");
                let home = self.living(&project)?;
                if home.services.iter().any(|service| service.name == name) {
                    let message = format!("A service named \"{name}\" already exists");
                    return Err(Fault::Uncertain { message });
                }
                // Nothing is configured in it yet, so the tag stays.
                home.services.push(Service {
                    id: id.clone(),
                    name,
                });
                self.count("service");
                Ok(id)
            }
            Change::Volume {
                project,
                service,
                mount,
            } => {
                let id = self.id("volume");
                let home = self.living(&project)?;
                if home.services.iter().all(|one| one.id != service) {
                    return Err(missing("Service"));
                }
                home.volumes.push(id.clone());
                home.attached.insert(id.clone(), (service, mount));
                home.tag += 1;
                self.count("volume");
                Ok(id)
            }
            Change::Mount {
                volume,
                service,
                mount,
            } => {
                let home = self.with_service(&service)?;
                if !home.volumes.contains(&volume) {
                    return Err(missing("Volume"));
                }
                let there = Some((service, mount));
                if home.attached.get(&volume) != there.as_ref() {
                    home.attached
                        .extend(there.map(|there| (volume.clone(), there)));
                    home.tag += 1;
                }
                self.count("mount");
                Ok(volume)
            }
            Change::Domain { service } => {
                let id = self.id("domain");
                let home = self.with_service(&service)?;
                let host = format!("{id}.up.railway.app");
                home.domains.push(Domain {
                    id: id.clone(),
                    service,
                    host,
                });
                home.tag += 1;
                self.count("domain");
                Ok(id)
            }
            Change::Configure {
                project,
                service,
                wanted,
                retired,
            } => {
                let home = self.living(&project)?;
                // What a patch says of a service that is not there is left aside.
                if home.services.iter().all(|one| one.id != service) {
                    return Ok(String::new());
                }
                self.configure(at, &service, wanted, &retired)
            }
            Change::Deploy { service } => {
                self.with_service(&service)?;
                Ok(self.deploy(at, &service))
            }
            Change::Stop { deployment } => {
                let living = || self.projects.iter().filter(|project| !project.deleted);
                if living().any(|home| home.replaced.contains_key(&deployment)) {
                    return Ok(deployment);
                }
                let homes = self.projects.iter_mut().filter(|project| !project.deleted);
                let mut all = homes.flat_map(|project| &mut project.deployments);
                let found = all.find(|one| one.id == deployment);
                let found = found.ok_or_else(|| missing("Deployment"))?;
                if !found.removed {
                    found.removed = true;
                    self.count("stop");
                }
                Ok(deployment)
            }
            Change::Delete { slot, id } => self.delete(slot, &id),
        }
    }

    fn configure(
        &mut self,
        at: Timestamp,
        service: &str,
        wanted: Settings,
        retired: &[String],
    ) -> Done<String> {
        let home = self.with_service(service)?;
        let old = home.settings.get(service).cloned().unwrap_or_default();
        let mut new = Settings {
            variables: old.variables.clone(),
            ..wanted.clone()
        };
        new.variables.extend(wanted.variables);
        new.variables.retain(|name, _| !retired.contains(name));
        if new == old {
            return Ok(String::new());
        }
        home.settings.insert(service.to_owned(), new);
        home.tag += 1;
        self.count("configure");
        if self.deploys {
            self.deploy(at, service);
        }
        Ok(String::new())
    }

    fn deploy(&mut self, at: Timestamp, service: &str) -> String {
        let id = self.id("deployment");
        let fate = self.fate;
        if let Ok(home) = self.with_service(service) {
            let image = home
                .settings
                .get(service)
                .map(|s| s.image.clone())
                .unwrap_or_default();
            let attached = home.attached.iter();
            let disk = attached
                .filter(|(volume, (own, _))| own == service && home.volumes.contains(volume))
                .map(|(volume, (_, mount))| (volume.clone(), mount.clone()))
                .next();
            let old = home
                .deployments
                .extract_if(.., |one| one.service == service);
            home.replaced.extend(old.map(|old| (old.id, old.service)));
            home.deployments.push(Running {
                id: id.clone(),
                service: service.to_owned(),
                image,
                created: at,
                removed: false,
                fate,
                disk,
            });
        }
        self.count("deployment");
        id
    }

    fn delete(&mut self, slot: Slot, id: &str) -> Done<String> {
        let gone = self.gone.clone();
        let mut living = self.projects.iter().filter(|home| !home.deleted);
        if living.any(|home| home.leaving.iter().any(|one| one == id)) {
            return Ok(String::new());
        }
        let done = match slot {
            Slot::Project => self.living(id).map(|home| home.deleted = true).is_ok(),
            _ => self
                .projects
                .iter_mut()
                .filter(|home| !home.deleted)
                .any(|home| home.lose(id)),
        };
        if !done {
            return Err(gone);
        }
        self.count("delete");
        Ok(String::new())
    }

    /// What a reading begun then is shown.
    fn shown(&self, begun: Timestamp) -> &[Project] {
        let until = begun - self.lag;
        self.past
            .iter()
            .rev()
            .find(|(at, _)| *at <= until)
            .map_or(&[], |(_, projects)| projects.as_slice())
    }

    /// One project; `None` where it is not shown.
    pub fn look(&self, id: &str, begun: Timestamp) -> Option<Home> {
        let project = self.shown(begun).iter().find(|project| project.id == id)?;
        match project.deleted {
            false => Some(self.home(project, begun)),
            // What was in it went with it.
            true => self.shows_deleted.then(|| Home {
                deleted: true,
                begun,
                ..Home::bare(
                    &project.id,
                    &project.name,
                    Marker::parse(&project.description),
                    project.created,
                )
            }),
        }
    }

    /// Every project that lives.
    pub fn list(&self, begun: Timestamp) -> Listing {
        let living = self
            .shown(begun)
            .iter()
            .rev()
            .filter(|project| !project.deleted);
        Listing {
            begun,
            homes: living.map(|project| self.home(project, begun)).collect(),
        }
    }

    fn home(&self, project: &Project, begun: Timestamp) -> Home {
        let at = begun - self.lag;
        let deployments = project.deployments.iter().map(|one| Deployment {
            id: one.id.clone(),
            service: one.service.clone(),
            state: self.state(one, at),
            created: one.created,
            image: Some(one.image.clone()),
        });
        let volume = |id: &String| Volume {
            id: id.clone(),
            service: project
                .attached
                .get(id)
                .map(|(service, _)| service.clone())
                .filter(|service| !service.is_empty()),
            mount_path: Some(
                project
                    .attached
                    .get(id)
                    .map_or_else(|| "/data".to_owned(), |(_, mount)| mount.clone()),
            ),
        };
        Home {
            id: project.id.clone(),
            name: project.name.clone(),
            marker: Marker::parse(&project.description),
            created: project.created,
            deleted: project.deleted,
            environment: Some(format!("{}/env", project.id)),
            services: project.services.clone(),
            volumes: project.volumes.iter().map(volume).collect(),
            domains: project.domains.clone(),
            deployments: deployments.collect(),
            configuration_tag: Some(format!("tag-{}", project.tag)),
            begun,
        }
    }

    pub fn state(&self, one: &Running, at: Timestamp) -> DeploymentState {
        match one.fate {
            _ if one.removed => DeploymentState::Removed,
            _ if at < one.created + self.boot => DeploymentState::Starting,
            Fate::Up => DeploymentState::Running,
            Fate::Fails => DeploymentState::Failed,
            Fate::Crashes => DeploymentState::Crashed,
        }
    }

    /// Names of what differs from what is wanted.
    pub fn differences(&self, service: &str, wanted: &Settings) -> Vec<String> {
        let home = self
            .projects
            .iter()
            .find(|p| p.settings.contains_key(service));
        let nothing = Settings::default();
        let actual = home
            .and_then(|home| home.settings.get(service))
            .unwrap_or(&nothing);
        let mut names = Vec::new();
        if actual.image != wanted.image {
            names.push("image".to_owned());
        }
        for (name, value) in &wanted.variables {
            if actual.variables.get(name) != Some(value) {
                names.push(format!("variable {name}"));
            }
        }
        names
    }
}
