//! What a scene looks like to everyone, without what may differ between two runs that come to the same: ids, numbers
//! of attempts, times.

use super::books::given;
use super::provider::Project;
use super::scene::Scene;
use crate::api::condition::{find, is_true};
use crate::model::Marker;
use std::fmt::Write;

impl Scene {
    /// The object and the outside, as text.
    pub fn portrait(&self) -> String {
        let mut text = String::new();
        match &self.object {
            None => text.push_str("object: gone\n"),
            Some(object) => {
                let status = object.status.clone().unwrap_or_default();
                for one in &status.conditions {
                    let _ = writeln!(
                        text,
                        "{}={} {}: {}",
                        one.type_, one.status, one.reason, one.message
                    );
                }
                for entry in &status.external {
                    let _ = writeln!(
                        text,
                        "ledger {}: {:?} {}",
                        entry.slot,
                        entry.state,
                        entry.id.is_some()
                    );
                }
                let deployment = status.deployment.map(|one| (one.state, one.ready));
                let _ = writeln!(
                    text,
                    "url {} deployment {deployment:?} revision {:?} variables {:?}",
                    status.url.is_some(),
                    status.template_revision,
                    status.variables,
                );
            }
        }
        for home in self.provider.projects.iter().filter(|home| !home.deleted) {
            let _ = writeln!(text, "{}", self.outside(home));
        }
        text.push_str(&self.books());
        text
    }

    fn outside(&self, home: &Project) -> String {
        let running: Vec<_> = home
            .deployments
            .iter()
            .map(|one| (&one.image, self.provider.state(one, self.now)))
            .collect();
        let settings: Vec<_> = home
            .settings
            .values()
            .map(|one| {
                let mut variables = one.variables.clone();
                if let Some(name) = variables.get_mut("YARDMASTER_CONFIGURATION") {
                    *name = name.split('.').next().unwrap_or_default().to_owned();
                }
                if !self.tools.is_empty() {
                    // It depends on credentials, which differ from run to run.
                    variables.remove("YARDMASTER_CONFIGURATION");
                }
                for (name, value) in variables.iter_mut().filter(|(name, _)| given(name)) {
                    *value = self.worth(name, value);
                }
                (&one.image, variables)
            })
            .collect();
        format!(
            "project {}: {} services, {} volumes, {} domains, {settings:?}, {running:?}",
            home.name,
            home.services.len(),
            home.volumes.len(),
            home.domains.len(),
        )
    }

    /// Projects that live and bear this instance's marker.
    pub fn alive(&self) -> Vec<&Project> {
        let ours = |home: &&Project| {
            !home.deleted
                && Marker::parse(&home.description)
                    .is_some_and(|m| m.uid == "5f2c" && m.installation.0 == "i-1")
        };
        self.provider.projects.iter().filter(ours).collect()
    }

    pub fn count(&self, what: &str) -> u32 {
        self.provider.counts.get(what).copied().unwrap_or(0)
    }

    /// How often an effect was begun.
    pub fn effects(&self, word: &str) -> usize {
        self.log.iter().filter(|one| **one == word).count()
    }

    pub fn is(&self, kind: &str) -> bool {
        let conditions = self
            .object
            .as_ref()
            .and_then(|object| object.status.as_ref());
        conditions.is_some_and(|status| is_true(&status.conditions, kind))
    }

    /// A condition's reason.
    pub fn reason(&self, kind: &str) -> Option<&str> {
        let status = self.object.as_ref()?.status.as_ref()?;
        find(&status.conditions, kind).map(|one| one.reason.as_str())
    }

    pub fn message(&self, kind: &str) -> &str {
        let status = self
            .object
            .as_ref()
            .and_then(|object| object.status.as_ref());
        status
            .and_then(|status| find(&status.conditions, kind))
            .map_or("", |one| &one.message)
    }
}
