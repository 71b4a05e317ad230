//! Making a deployment: what it runs, with which variables, and what will become of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use jiff::Timestamp;

use super::config;
use super::deployment::{Deployment, Fate};
use super::rows::{Environment, Project};
use crate::clock::after;
use crate::nature::{Nature, Trait};
use crate::registry::{Pulled, Refusal, Registry};
use crate::settings::{Settings, Stopped};

/// What changing a project needs to know of the world around it.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub now: Timestamp,
    pub settings: &'a Settings,
    pub registry: &'a Registry,
}

/// What a deployment runs.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// What the service is configured to run.
    Configured,
    /// What an earlier deployment ran, wherever the configuration points by now.
    AsBefore(Arc<Deployment>),
}

/// Deploys a service; `None` where it has no image to run.
pub(crate) fn deploy(
    project: &mut Project,
    environment: usize,
    service_id: &str,
    source: &Source,
    moment: &Moment<'_>,
) -> Option<String> {
    let row = project.environments.get(environment)?;
    let part = row.of_service(service_id).clone();
    let (image, pulled) = match source {
        Source::Configured => {
            let image = config::image(&part)?.to_owned();
            let pulled = moment
                .registry
                .pull(&image, config::credentials(&part).as_ref());
            (image, pulled)
        }
        Source::AsBefore(earlier) => {
            let digest = earlier.digest.clone().ok_or(Refusal::Missing);
            let pulled = digest.map(|digest| Pulled {
                digest,
                tags: Vec::new(),
            });
            (earlier.image.clone(), pulled)
        }
    };
    let by_hand = project
        .services
        .iter()
        .find(|service| service.id == service_id);
    let nature = match (by_hand.and_then(|service| service.nature.clone()), source) {
        (Some(nature), _) => nature,
        (None, Source::AsBefore(earlier)) => earlier.nature.clone(),
        (None, Source::Configured) => {
            Nature::of_tags(pulled.as_ref().map_or(&[][..], |pulled| &pulled.tags))
        }
    };
    let version = match source {
        Source::AsBefore(earlier) => earlier.version.clone(),
        Source::Configured => pulled
            .as_ref()
            .ok()
            .and_then(|pulled| pulled.tags.last().cloned()),
    };
    let variables = rendered(project, environment, service_id);
    let problem = match &pulled {
        Err(Refusal::Missing) => Some("the image does not exist"),
        Err(Refusal::Denied) => Some("the image is private"),
        Ok(_) if mounts_twice(&part) => Some("Failed to create deployment"),
        Ok(_) => None,
    };
    let course = Course::plan(&nature, &part, problem.is_some(), moment);
    let deployment = Deployment {
        id: project.bear(),
        service_id: service_id.to_owned(),
        created_at: moment.now,
        image,
        digest: pulled.ok().map(|pulled| pulled.digest),
        version,
        nature,
        variables,
        config: part,
        fate: course.fate,
        problem,
        boot: course.boot,
        sleep_after: course.sleep_after,
        restarted_at: None,
        ended: None,
        forced: None,
        last_used: Arc::new(AtomicI64::new(0)),
        stop_removes: moment.settings.stopped == Stopped::Removed,
    };
    let id = deployment.id.clone();
    project
        .environments
        .get_mut(environment)?
        .deployments
        .push(Arc::new(deployment));
    Some(id)
}

/// What is decided about a deployment before it begins.
pub(crate) struct Course {
    pub fate: Fate,
    pub boot: Duration,
    pub sleep_after: Option<Duration>,
}

impl Course {
    pub(crate) fn plan(
        nature: &Nature,
        part: &serde_json::Value,
        fails: bool,
        moment: &Moment<'_>,
    ) -> Self {
        let settings = moment.settings;
        let boot = if nature.is(Trait::Slow) {
            (settings.boot_time * 10).max(Duration::from_secs(2))
        } else {
            settings.boot_time
        };
        let deploys = part["deploy"].as_object();
        let flag = |name: &str| deploys.and_then(|deploy| deploy.get(name));
        // With a health check, Railway waits for the agent and then says SUCCESS.
        let checked = flag("healthcheckPath").is_some_and(|path| path.is_string());
        let waits = if checked { boot } else { Duration::ZERO };
        let at = after(moment.now, settings.deploy_time + waits);
        let boot = boot - waits;
        let crashes_after = match (nature.is(Trait::CrashOnBoot), nature.is(Trait::CrashLater)) {
            (true, _) => Some(boot),
            (false, true) => Some(boot + settings.crash_after),
            (false, false) => None,
        };
        let fate = if fails || (checked && nature.is(Trait::CrashOnBoot)) {
            Fate::Fails { at }
        } else {
            Fate::Starts { at, crashes_after }
        };
        let sleeps = flag("sleepApplication").is_some_and(|value| value == true);
        let sleep_after = match (nature.is(Trait::Sleepy), sleeps) {
            (true, _) => Some(settings.sleepy_after),
            (false, true) => Some(settings.sleep_after),
            (false, false) => None,
        };
        Self {
            fate,
            boot,
            sleep_after,
        }
    }
}

/// Two volumes at one path: the container cannot be made.
fn mounts_twice(part: &serde_json::Value) -> bool {
    let mut paths = BTreeSet::new();
    config::mounts(part).any(|(_, path)| !paths.insert(path))
}

/// A service's variables as its container sees them, with those that Railway adds.
pub(crate) fn rendered(
    project: &Project,
    environment: usize,
    service_id: &str,
) -> BTreeMap<String, String> {
    let Some(row) = project.environments.get(environment) else {
        return BTreeMap::new();
    };
    let shared = config::variables(&row.config["sharedVariables"]);
    let mut own = config::variables(&row.of_service(service_id)["variables"]);
    own.extend(provided(project, row, service_id));
    let values = own
        .iter()
        .map(|(name, text)| (name.clone(), config::render(text, &own, &shared)));
    values.collect()
}

fn provided(project: &Project, row: &Environment, service_id: &str) -> BTreeMap<String, String> {
    let service = project
        .services
        .iter()
        .find(|service| service.id == service_id);
    let domain = row
        .domains
        .iter()
        .find(|domain| domain.service_id == service_id);
    let volume = row.volume_instances.iter().find(|volume| {
        volume.deleted_at.is_none() && volume.service_id.as_deref() == Some(service_id)
    });
    let volume_name = volume.and_then(|instance| {
        project
            .volumes
            .iter()
            .find(|volume| volume.id == instance.volume_id)
    });
    let rows = [
        ("RAILWAY_PROJECT_ID", Some(&project.id)),
        ("RAILWAY_PROJECT_NAME", Some(&project.name)),
        ("RAILWAY_ENVIRONMENT_ID", Some(&row.id)),
        ("RAILWAY_ENVIRONMENT_NAME", Some(&row.name)),
        ("RAILWAY_SERVICE_ID", service.map(|service| &service.id)),
        ("RAILWAY_SERVICE_NAME", service.map(|service| &service.name)),
        ("RAILWAY_PUBLIC_DOMAIN", domain.map(|domain| &domain.domain)),
        (
            "RAILWAY_VOLUME_NAME",
            volume_name.map(|volume| &volume.name),
        ),
        (
            "RAILWAY_VOLUME_MOUNT_PATH",
            volume.map(|volume| &volume.mount_path),
        ),
    ];
    let rows = rows.into_iter();
    rows.filter_map(|(name, value)| Some((name.to_owned(), value?.clone())))
        .collect()
}
