//! What was seen outside: one instance's home and what lives in it, in words that are no provider's.
//!
//! What holds: every sighting carries the moment at which the reading *began*, because absence is believed only from
//! a reading begun late enough (design 3.2). Deliberately absent: variables' values and anything else secret.

use super::marker::Marker;
pub use crate::api::DeploymentState;
use jiff::Timestamp;

/// The result of looking for something.
#[derive(Clone, Debug, PartialEq)]
pub enum Sight<T> {
    /// Nobody has looked, or what was seen is not to be believed.
    Unknown,
    /// Looked for and not there, in a reading begun at this moment.
    Absent {
        /// When the reading began.
        begun: Timestamp,
    },
    /// There.
    Seen(T),
}

impl<T> Sight<T> {
    /// What was seen, if anything.
    pub fn seen(&self) -> Option<&T> {
        match self {
            Sight::Seen(value) => Some(value),
            _ => None,
        }
    }
}

/// The project of one instance, with what lives in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Home {
    /// Project id.
    pub id: String,
    /// Project name.
    pub name: String,
    /// Whose it says it is.
    pub marker: Option<Marker>,
    /// When it was made, by the provider's clock.
    pub created: Timestamp,
    /// Deleted, though still shown.
    pub deleted: bool,
    /// The environment that came with it.
    pub environment: Option<String>,
    /// Services in that environment (all of the project's, where the environment does not say).
    pub services: Vec<Service>,
    /// Volumes, those on their way out left aside.
    pub volumes: Vec<Volume>,
    /// Public host names of the services.
    pub domains: Vec<Domain>,
    /// The newest deployment of each service.
    pub deployments: Vec<Deployment>,
    /// A token that changes exactly when the configuration does.
    pub configuration_tag: Option<String>,
    /// When the reading began.
    pub begun: Timestamp,
}

impl Home {
    /// A project in which nothing is.
    #[cfg(test)]
    pub fn bare(id: &str, name: &str, marker: Option<Marker>, created: Timestamp) -> Home {
        Home {
            id: id.to_owned(),
            name: name.to_owned(),
            marker,
            created,
            deleted: false,
            environment: None,
            services: Vec::new(),
            volumes: Vec::new(),
            domains: Vec::new(),
            deployments: Vec::new(),
            configuration_tag: None,
            begun: Timestamp::UNIX_EPOCH,
        }
    }

    /// The newest deployment of a service.
    pub fn newest(&self, service: &str) -> Option<&Deployment> {
        let of = self
            .deployments
            .iter()
            .filter(|seen| seen.service == service);
        of.max_by_key(|seen| seen.created)
    }

    /// Whether nothing was made in it yet: no service, so that nothing runs, and no volume, so that no data is lost.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
            && self.volumes.is_empty()
            && self.domains.is_empty()
            && self.deployments.is_empty()
    }
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Service id.
    pub id: String,
    /// Its name, unique in the project.
    pub name: String,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Volume id.
    pub id: String,
    /// The service that it is attached to, where that is known already.
    pub service: Option<String>,
    /// Where it is mounted, where that is known already.
    pub mount_path: Option<String>,
}

/// A public host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its id.
    pub id: String,
    /// The service that answers there.
    pub service: String,
    /// The host name.
    pub host: String,
}

/// A deployment of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Deployment id.
    pub id: String,
    /// The service.
    pub service: String,
    /// How far it is.
    pub state: DeploymentState,
    /// When it was made, by the provider's clock.
    pub created: Timestamp,
    /// The image that it really runs, as the provider tells it: a redeploy may run an older one than is configured
    /// (`facts/railway.md` 2.5).
    pub image: Option<String>,
}

/// What a provider allows only once in a while, one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// New projects.
    Projects,
    /// New volumes.
    Volumes,
}

impl Gate {
    /// All of them.
    pub const ALL: [Gate; 2] = [Gate::Projects, Gate::Volumes];

    /// A stable word for people and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Gate::Projects => "projects",
            Gate::Volumes => "volumes",
        }
    }
}

/// When a throttled kind of request may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Now.
    Now,
    /// Not before this moment, with so many waiting before us.
    At {
        /// The expected moment.
        when: Timestamp,
        /// How many come first.
        ahead: usize,
    },
}

/// A complete reading of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// When the reading began.
    pub begun: Timestamp,
    /// Every project that lives, newest first.
    pub homes: Vec<Home>,
}
