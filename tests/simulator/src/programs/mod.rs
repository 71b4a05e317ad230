//! Programs of this machine that run in Railway's deployments, in place of the imitated agents.
//!
//! Owns which of them run: what a deployment is comes from Railway's rows alone, and several times a second what runs is brought
//! to what should. A new deployment's program starts beside the old one's, which ends when the new one takes connections; with
//! a disk the old one ends first. A disk is a directory that lives as long as its volume. Absent: any knowledge of what a
//! program is, and how one is run (`unit`, `script`, `order`).

mod file;
mod order;
mod script;
mod unit;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time;

use crate::clock;
use crate::railway::Railway;
use crate::railway::deployment::{Deployment, End, Status};
use crate::railway::rows::{Environment, Project};
use crate::settings::SettingsStore;
use file::Program;
pub use file::Programs;
pub(crate) use order::Network;
use order::Order;
use script::Disk;
use unit::{Course, Ending, Key, Unit};

/// How often what runs is compared with what should.
const LOOK: Duration = Duration::from_millis(100);
/// Between SIGTERM and SIGKILL, where the service does not say.
const GRACE: Duration = Duration::from_secs(3);
/// How long a request that woke a service waits for it.
const WAKING: Duration = Duration::from_secs(60);

pub(crate) struct Running {
    settings: SettingsStore,
    railway: Arc<Railway>,
    dir: PathBuf,
    network: Network,
    units: Mutex<Vec<Arc<Unit>>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// A program that should run.
struct Wanted {
    key: Key,
    service: (String, String),
    name: String,
    deployment: Arc<Deployment>,
    program: Program,
    /// The port that the domain leads to.
    asked: Option<i32>,
    disks: Vec<Disk>,
}

impl Running {
    pub(crate) fn new(
        settings: SettingsStore,
        railway: Arc<Railway>,
        dir: &Path,
        network: Network,
    ) -> Arc<Self> {
        Arc::new(Self {
            settings,
            railway,
            dir: dir.to_owned(),
            network,
            units: Mutex::default(),
        })
    }

    /// Whether this machine can run any.
    pub(crate) async fn permitted() -> Result<(), String> {
        unit::permitted().await
    }

    fn units(&self) -> MutexGuard<'_, Vec<Arc<Unit>>> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings what runs to what should, until it is told to stop.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut ticks = time::interval(LOOK);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.settings.has_programs() || !self.units().is_empty() {
                self.look();
            }
        }
    }

    fn look(self: &Arc<Self>) {
        let projects = self.railway.projects(clock::now());
        let wanted = self.wanted(&projects, clock::now());
        let mut units = self.units();
        units.retain(|unit| {
            let ended = unit.course().ended;
            !ended
                || wanted
                    .iter()
                    .any(|wanted| wanted.key == unit.key && !unit.course().stopping)
        });
        for unit in units.iter() {
            let successor = wanted.iter().find(|wanted| wanted.service == unit.service);
            let stays = match successor {
                None => false,
                Some(wanted) if wanted.key == unit.key => true,
                Some(wanted) if wanted.waits_for(unit) => false,
                Some(wanted) => !units
                    .iter()
                    .any(|new| new.key == wanted.key && new.course().serves),
            };
            if !stays && !unit.course().stopping {
                unit.ask_to_end();
            }
        }
        for wanted in wanted {
            let known = units.iter().any(|unit| unit.key == wanted.key);
            let in_the_way = units
                .iter()
                .any(|unit| unit.service == wanted.service && wanted.waits_for(unit));
            if !known && !in_the_way {
                units.extend(self.start(wanted));
            }
        }
        let used: BTreeSet<String> = units.iter().flat_map(|unit| unit.disks.clone()).collect();
        drop(units);
        self.clear_disks(&projects, &used);
    }

    fn wanted(&self, projects: &[Arc<Project>], now: Timestamp) -> Vec<Wanted> {
        let mut all = Vec::new();
        for project in projects {
            let programs = &self.settings.of(&project.workspace).programs;
            if programs.is_empty() {
                continue;
            }
            for row in &project.environments {
                for instance in &row.instances {
                    let Some((deployment, state)) = row.serving(&instance.service_id, now) else {
                        continue;
                    };
                    let up = state.status == Status::Success && !state.stopped;
                    if let Some(program) = programs.of(&deployment.image).filter(|_| up) {
                        all.push(self.wish(project, row, deployment, program));
                    }
                }
            }
        }
        all
    }

    fn wish(
        &self,
        project: &Project,
        row: &Environment,
        deployment: &Arc<Deployment>,
        program: &Program,
    ) -> Wanted {
        let service_id = &deployment.service_id;
        let domain = row
            .domains
            .iter()
            .find(|domain| domain.service_id == *service_id);
        let service = project
            .services
            .iter()
            .find(|service| service.id == *service_id);
        let mounted = row.volume_instances.iter().filter(|volume| {
            volume.deleted_at.is_none() && volume.service_id.as_ref() == Some(service_id)
        });
        let disks = mounted.map(|volume| Disk {
            id: volume.id.clone(),
            directory: self.dir.join("volumes").join(&volume.id),
            mount_path: PathBuf::from(&volume.mount_path),
        });
        Wanted {
            key: Key {
                deployment: deployment.id.clone(),
                restarted: deployment.restarted_at,
            },
            service: (row.id.clone(), service_id.clone()),
            name: service
                .map(|service| service.name.clone())
                .unwrap_or_default(),
            deployment: Arc::clone(deployment),
            program: program.clone(),
            asked: domain.and_then(|domain| domain.target_port),
            disks: disks.collect(),
        }
    }

    fn start(self: &Arc<Self>, wanted: Wanted) -> Option<Arc<Unit>> {
        let id = wanted.deployment.id.get(..8).unwrap_or_default();
        let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        let name: String = wanted
            .name
            .chars()
            .filter(|letter| plain(*letter))
            .collect();
        let directory = self.dir.join("programs").join(format!("{name}-{id}"));
        let begun = unit::prepare(&directory).and_then(|()| unit::free_port());
        let port = match begun {
            Ok(port) => port,
            Err(error) => {
                tracing::error!(%error, "a program cannot be started");
                return None;
            }
        };
        let draining = wanted.deployment.config["deploy"]["drainingSeconds"].as_u64();
        let disks = wanted.disks.iter().map(|disk| disk.id.clone()).collect();
        let order = Order::of(
            &wanted.deployment,
            &wanted.program,
            wanted.asked,
            port,
            &directory.join("home"),
            &self.network,
            wanted.disks,
        );
        let unit = Arc::new(Unit {
            key: wanted.key,
            service: wanted.service,
            port,
            directory,
            version: wanted.program.version,
            disks,
            grace: draining.map_or(GRACE, Duration::from_secs),
            course: Mutex::new(Course::default()),
            stop: watch::Sender::new(false),
        });
        let (running, living) = (Arc::clone(self), Arc::clone(&unit));
        tokio::spawn(async move {
            let ending = living.live(&order).await;
            // Railway knows first: else what has ended would be started anew.
            running.tell_railway(&living.key.deployment, ending);
            let mut course = living.course();
            (course.ended, course.serves, course.pid) = (true, false, None);
        });
        Some(unit)
    }

    /// What Railway makes of a program that is not started again.
    fn tell_railway(&self, deployment: &str, ending: Ending) {
        if ending == Ending::Stopped {
            return;
        }
        let told = self.railway.by_hand(deployment, |project, moment| {
            let Some((environment, index)) = project.deployment(deployment) else {
                return Ok(());
            };
            let row = Arc::make_mut(&mut project.environments[environment].deployments[index]);
            match ending {
                Ending::GaveUp => row.forced = Some((Status::Crashed, moment.now)),
                _ => row.ended = Some((End::Stopped, moment.now)),
            }
            Ok(())
        });
        if told.is_err() {
            tracing::debug!(deployment, "a program ended after its project");
        }
    }

    /// A disk goes with its volume, once nobody uses it.
    fn clear_disks(&self, projects: &[Arc<Project>], used: &BTreeSet<String>) {
        let Ok(there) = std::fs::read_dir(self.dir.join("volumes")) else {
            return;
        };
        let rows = projects.iter().flat_map(|project| &project.environments);
        let volumes = rows.flat_map(|row| &row.volume_instances);
        let alive: BTreeSet<&str> = volumes
            .filter(|volume| volume.deleted_at.is_none())
            .map(|volume| volume.id.as_str())
            .collect();
        for disk in there.flatten() {
            let id = disk.file_name().to_string_lossy().into_owned();
            if alive.contains(id.as_str()) || used.contains(&id) {
                continue;
            }
            if let Err(error) = std::fs::remove_dir_all(disk.path()) {
                tracing::warn!(%error, "the disk of a deleted volume cannot be removed");
            }
        }
    }

    /// Whether a program, and no imitation, answers for this image.
    pub(crate) fn covers(&self, workspace: &str, image: &str) -> bool {
        self.settings.of(workspace).programs.of(image).is_some()
    }

    /// The port of the program that answers for a service now.
    pub(crate) fn port_of(&self, service: &(String, String)) -> Option<u16> {
        let units = self.units();
        let mut own = units.iter().rev().filter(|unit| unit.service == *service);
        own.find(|unit| {
            let course = unit.course();
            course.serves && !course.stopping
        })
        .map(|unit| unit.port)
    }

    /// The same, of a service that was asleep: it takes its time.
    pub(crate) async fn port_when_awake(&self, service: &(String, String)) -> Option<u16> {
        let found = async {
            loop {
                if let Some(port) = self.port_of(service) {
                    return port;
                }
                time::sleep(LOOK).await;
            }
        };
        time::timeout(WAKING, found).await.ok()
    }

    /// What runs for a deployment, for people.
    pub(crate) fn show(&self, deployment: &str) -> Option<Value> {
        let units = self.units();
        let unit = units
            .iter()
            .rev()
            .find(|unit| unit.key.deployment == deployment)?;
        let course = unit.course().clone();
        Some(json!({
            "pid": course.pid,
            "port": unit.port,
            "starts": course.starts,
            "serves": course.serves,
            "version": unit.version,
            "log": unit.log_file(),
        }))
    }

    /// Asks all to end, and waits until they have.
    pub(crate) async fn end(&self) {
        let units: Vec<Arc<Unit>> = self.units().clone();
        for unit in &units {
            unit.ask_to_end();
        }
        let patience = units
            .iter()
            .map(|unit| unit.grace)
            .max()
            .unwrap_or_default();
        let all = async {
            while units.iter().any(|unit| !unit.course().ended) {
                time::sleep(LOOK / 10).await;
            }
        };
        // What has not ended by then ends with the tasks that hold it.
        let _ = time::timeout(patience + GRACE, all).await;
    }
}

impl Wanted {
    /// Whether this one cannot run beside the other: they share a disk, or are one deployment.
    fn waits_for(&self, unit: &Unit) -> bool {
        let same_disk = self.disks.iter().any(|disk| unit.disks.contains(&disk.id));
        unit.key != self.key && (same_disk || unit.key.deployment == self.key.deployment)
    }
}
