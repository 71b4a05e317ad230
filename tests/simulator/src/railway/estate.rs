//! All projects, and where each object in them is found.
//!
//! Owns the order of creation, the index from any object's id to its project, and who has which domain name. Whoever
//! asks gets a project as it is now: what was due has been applied. Who may see it is decided in `access.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use super::access::Refusal;
use super::change;
use super::deploying::Moment;
use super::rows::Project;

#[derive(Default)]
pub(crate) struct Estate {
    projects: HashMap<String, Arc<Project>>,
    /// Project ids of each workspace, oldest first.
    by_workspace: HashMap<String, Vec<String>>,
    owners: HashMap<String, String>,
    domains: HashMap<String, String>,
    created: u64,
}

impl Estate {
    pub(crate) fn next_seq(&mut self) -> u64 {
        self.created += 1;
        self.created
    }

    pub(crate) fn insert(&mut self, mut project: Project) -> Arc<Project> {
        for environment in &project.environments {
            self.owners
                .insert(environment.id.clone(), project.id.clone());
        }
        self.index(&mut project);
        let ids = self
            .by_workspace
            .entry(project.workspace.clone())
            .or_default();
        ids.push(project.id.clone());
        let project = Arc::new(project);
        self.projects
            .insert(project.id.clone(), Arc::clone(&project));
        project
    }

    fn index(&mut self, project: &mut Project) {
        for id in project.born.drain(..) {
            self.owners.insert(id, project.id.clone());
        }
        for environment in &project.environments {
            for domain in &environment.domains {
                let holder = self
                    .domains
                    .get(&domain.domain)
                    .and_then(|id| self.projects.get(id));
                let is_held = holder.is_some_and(|holder| {
                    let mut rows = holder.environments.iter().flat_map(|row| &row.domains);
                    !holder.is_gone() && rows.any(|row| row.domain == domain.domain)
                });
                if !is_held {
                    self.domains
                        .insert(domain.domain.clone(), project.id.clone());
                }
            }
        }
    }

    /// The project itself, or the one that the object with this id is in.
    pub(crate) fn owner<'a>(&'a self, id: &'a str) -> Option<&'a str> {
        match self.projects.contains_key(id) {
            true => Some(id),
            false => self.owners.get(id).map(String::as_str),
        }
    }

    pub(crate) fn holder_of_domain(&self, domain: &str) -> Option<&str> {
        self.domains.get(domain).map(String::as_str)
    }

    pub(crate) fn get(&mut self, id: &str, moment: &Moment<'_>) -> Option<Arc<Project>> {
        let due = self
            .projects
            .get(id)?
            .due_at
            .is_some_and(|due| due <= moment.now);
        if due {
            // Nothing that settles refuses.
            let _ = self.edit(id, moment, |_| Ok(()));
        }
        self.projects.get(id).cloned()
    }

    /// Changes a project; a refusal leaves it as it was.
    pub(crate) fn edit<T>(
        &mut self,
        id: &str,
        moment: &Moment<'_>,
        change: impl FnOnce(&mut Project) -> Result<T, Refusal>,
    ) -> Result<(T, Arc<Project>), Refusal> {
        let Some(stored) = self.projects.get(id) else {
            return Err(Refusal::not_found("Project"));
        };
        let mut project = Arc::clone(stored);
        let row = Arc::make_mut(&mut project);
        if row.due_at.is_some_and(|due| due <= moment.now) {
            change::settle(row, moment);
        }
        let done = change(row)?;
        let moved = stored.workspace != row.workspace;
        debug_assert!(!moved, "projects are not transferred");
        self.index(row);
        self.projects.insert(id.to_owned(), Arc::clone(&project));
        Ok((done, project))
    }

    /// A workspace's projects, oldest first, deleted ones too.
    pub(crate) fn of_workspace(
        &mut self,
        workspace: &str,
        moment: &Moment<'_>,
    ) -> Vec<Arc<Project>> {
        let ids = self
            .by_workspace
            .get(workspace)
            .cloned()
            .unwrap_or_default();
        ids.iter().filter_map(|id| self.get(id, moment)).collect()
    }

    /// Every workspace that ever had a project.
    pub(crate) fn workspaces(&self) -> Vec<String> {
        let mut names: Vec<String> = self.by_workspace.keys().cloned().collect();
        names.sort();
        names
    }
}
