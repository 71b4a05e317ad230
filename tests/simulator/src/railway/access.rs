//! Who sees what, and when: tokens against workspaces, the lag of reads behind writes, and how Railway says no.
//!
//! Everything a resolver reads or changes goes through a [`Call`]. What it hands out is a [`Seen`] project: a snapshot
//! with the reader's view of time. The answer of a mutation shows everything in it, whatever the lag.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::ErrorExtensions as _;
use jiff::Timestamp;

use super::Railway;
use super::deploying::Moment;
use super::rows::Project;
use super::token::{Kind, Token};
use crate::clock::after;
use crate::settings::{Absent, DeletedRead, Settings};

/// Railway's no: a message is all that tells one from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal(pub String);

impl Refusal {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self(format!("{what} not found"))
    }

    pub(crate) fn not_authorized() -> Self {
        Self::new("Not Authorized")
    }

    pub(crate) fn problem() -> Self {
        Self::new("Problem processing request")
    }

    pub(crate) fn absent(how: Absent, what: &str) -> Self {
        match how {
            Absent::NotFound => Self::not_found(what),
            Absent::NotAuthorized => Self::not_authorized(),
            Absent::Problem => Self::problem(),
        }
    }
}

impl From<Refusal> for async_graphql::Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.0).extend_with(|_, extensions| extensions.set("code", SERVER_ERROR))
    }
}

pub(super) const SERVER_ERROR: &str = "INTERNAL_SERVER_ERROR";

/// One request's caller, time and settings.
pub(crate) struct Call {
    pub railway: Arc<Railway>,
    pub token: Token,
    pub settings: Arc<Settings>,
    pub now: Timestamp,
}

/// What a reader sees of things that are new.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub now: Timestamp,
    lag: Duration,
    volume_lag: Duration,
}

impl View {
    /// Sees everything: what a mutation answers.
    pub(crate) fn all(now: Timestamp) -> Self {
        Self {
            now,
            lag: Duration::ZERO,
            volume_lag: Duration::ZERO,
        }
    }

    pub(crate) fn sees(&self, created_at: Timestamp) -> bool {
        after(created_at, self.lag) <= self.now
    }

    pub(crate) fn sees_volume(&self, created_at: Timestamp) -> bool {
        after(created_at, self.lag.max(self.volume_lag)) <= self.now
    }
}

/// A project as somebody sees it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub project: Arc<Project>,
    pub view: View,
}

impl Call {
    pub(crate) fn moment(&self) -> Moment<'_> {
        Moment {
            now: self.now,
            settings: &self.settings,
            registry: &self.railway.registry,
        }
    }

    pub(crate) fn view(&self) -> View {
        let settings = &self.settings;
        View {
            now: self.now,
            lag: settings.read_lag,
            volume_lag: settings.volume_lag,
        }
    }

    pub(crate) fn may_see(&self, project: &Project) -> bool {
        match &self.token.kind {
            Kind::Project(id) => *id == project.id,
            _ => self.token.may_use(&project.workspace),
        }
    }

    /// The project that the object with this id is in; `what` names the object in a refusal.
    pub(crate) fn read(&self, id: &str, what: &str) -> Result<Seen, Refusal> {
        let project = {
            let mut estate = self.railway.estate();
            let owner = estate.owner(id).map(str::to_owned);
            owner.and_then(|owner| estate.get(&owner, &self.moment()))
        };
        let project = project.ok_or_else(|| Refusal::not_found(what))?;
        if !self.may_see(&project) {
            return Err(Refusal::not_authorized());
        }
        if let Some(deleted_at) = project.deleted_at {
            let purged = after(deleted_at, self.settings.purge_after) <= self.now;
            match self.settings.deleted_read {
                DeletedRead::Object if !purged => {}
                DeletedRead::NotAuthorized => return Err(Refusal::not_authorized()),
                _ => return Err(Refusal::not_found(what)),
            }
        }
        let view = self.view();
        if !view.sees(project.created_at) {
            return Err(Refusal::absent(self.settings.fresh_read, what));
        }
        Ok(Seen { project, view })
    }

    /// Changes the project that the object with this id is in; a refusal leaves it as it was.
    pub(crate) fn change<T>(
        &self,
        id: &str,
        what: &str,
        change: impl FnOnce(&mut Project) -> Result<T, Refusal>,
    ) -> Result<(T, Seen), Refusal> {
        let mut estate = self.railway.estate();
        let owner = estate
            .owner(id)
            .map(str::to_owned)
            .ok_or_else(|| Refusal::not_found(what))?;
        let (done, project) = estate.edit(&owner, &self.moment(), |project| {
            if !self.may_see(project) {
                return Err(Refusal::not_authorized());
            }
            if project.is_gone() {
                return Err(Refusal::not_found(what));
            }
            if !self.finds(project.created_at) {
                return Err(Refusal::absent(self.settings.fresh_read, what));
            }
            change(project)
        })?;
        Ok((
            done,
            Seen {
                project,
                view: View::all(self.now),
            },
        ))
    }

    /// Does a mutation find an object made at this time?
    pub(crate) fn finds(&self, created_at: Timestamp) -> bool {
        after(created_at, self.settings.write_lag) <= self.now
    }
}
