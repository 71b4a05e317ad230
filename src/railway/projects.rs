//! Operations on projects, and on the account as a whole.

use super::account::{Class, Identity, NewProject};
use super::documents::{
    Project, ProjectCreate, ProjectDelete, Projects, Token, Workspace, project, project_create,
    project_delete, projects, token, workspace,
};
use super::faults::{About, Meant};
use super::gateway::{Gateway, Shared};
use super::reading;
use crate::model::{Done, Fault, Gate, Home, Listing, Marker, Sight};
use crate::wire::held;
use std::collections::BTreeSet;

/// More pages than any account has: an end to a listing that never ends.
const MOST_PAGES: usize = 1000;

fn living(listing: &Listing) -> u64 {
    let living = listing.homes.iter().filter(|home| !home.deleted);
    u64::try_from(living.count()).unwrap_or(u64::MAX)
}

/// A page of projects.
struct ProjectPage {
    homes: Vec<Home>,
    next: Option<String>,
}

impl Gateway {
    /// Who we are. Asks under every token: one that Railway refuses, or that is good for other workspaces only, is
    /// set aside, and taken back where a later call finds it good (`facts/railway.md` 1.2).
    ///
    /// Fails with `Denied` where no token is good for the account's workspace.
    pub async fn identity(&self) -> Done<Identity> {
        let class = Class::Poll;
        let wanted = self.inner.settings().workspace;
        let mut refusal = None;
        let mut good = Vec::new();
        for token in 0..self.inner.tokens() {
            match self.inner.good_for(token, &wanted, class).await {
                Ok(()) => {
                    self.inner.refuse(token, false);
                    good.push(token);
                }
                Err(fault @ Fault::Denied { .. }) => {
                    self.inner.refuse(token, true);
                    refusal = Some(fault);
                }
                Err(fault) => return Err(fault),
            }
        }
        if good.is_empty() {
            return Err(refusal.unwrap_or_else(|| Fault::Denied {
                message: "the account has no token".to_owned(),
            }));
        }
        let workspace = self.inner.workspace(class).await?;
        Ok(Identity {
            plan: plan(&workspace.plan),
            projects: count(&workspace),
            workspace: workspace.id,
            name: workspace.name,
            tokens: good.len(),
            refused_tokens: self.inner.tokens().saturating_sub(good.len()),
        })
    }

    /// Every project that lives, for one who has to know that something is *not* there.
    ///
    /// Fails with `Transient` where Railway counts more than it lists.
    pub async fn search(&self) -> Done<Listing> {
        let listing = self.counted(self.list().await?).await?;
        listing.map_err(|message| Fault::Transient { message })
    }

    /// Holds a listing against Railway's own count. The count is of a later moment, so what is made after the listing is
    /// in the count alone: where there is less in the listing, a second one between two counts decides, and is answered. Answers why it is not
    /// believed, if it is not.
    pub async fn counted(&self, listing: Listing) -> Done<Result<Listing, String>> {
        let before = self.living_projects().await?;
        if living(&listing) >= before {
            return Ok(Ok(listing));
        }
        let listing = self.list().await?;
        let (listed, after) = (living(&listing), self.living_projects().await?);
        if listed >= before.min(after) {
            return Ok(Ok(listing));
        }
        Ok(Err(format!(
            "the provider lists {listed} projects and counts {after}: the listing is not believed"
        )))
    }

    /// How many projects live in the workspace, by Railway's own count: a second opinion on a listing, for one request.
    pub async fn living_projects(&self) -> Done<u64> {
        let class = Class::Poll;
        Ok(count(&self.inner.workspace(class).await?))
    }

    /// Every project of the workspace that lives, all or nothing.
    ///
    /// Whole as far as Railway says so; whoever concludes an absence from it asks `counted` (design 3.2).
    pub async fn list(&self) -> Done<Listing> {
        let begun = self.inner.now();
        let class = Class::Poll;
        let mut homes: Vec<Home> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut after = None;
        for _ in 0..MOST_PAGES {
            let page = self.inner.page(class, after, begun).await?;
            // A project made or deleted meanwhile may shift the pages by one.
            homes.extend(
                page.homes
                    .into_iter()
                    .filter(|home| seen.insert(home.id.clone())),
            );
            match page.next {
                None => return Ok(Listing { begun, homes }),
                next => after = next,
            }
        }
        Err(Fault::Bug {
            message: "Railway's listing of projects does not end".to_owned(),
        })
    }

    /// One project. `Unknown` where it was made a moment ago and Railway does not show it yet; `Denied` also where
    /// another workspace owns it, and possibly after its deletion (`facts/railway.md` 1.5): a listing decides.
    pub async fn look(&self, project: &str, class: Class) -> Done<Sight<Home>> {
        let begun = self.inner.now();
        let variables = project::Variables {
            project: project.to_owned(),
        };
        let meant = match self.inner.ask::<Project>(class, variables).await {
            Ok(answer) => {
                // From here on that it is not shown means something.
                held(&self.inner.fresh).forget(project);
                return Ok(Sight::Seen(reading::home(answer.project, begun)));
            }
            Err(meant) => meant,
        };
        if held(&self.inner.fresh).has(project, self.inner.now()) && meant.about.is_unseen() {
            return Ok(Sight::Unknown);
        }
        match (meant.about, meant.fault) {
            (About::Project, _) => Ok(Sight::Absent { begun }),
            // Something inside it that vanished while we read is no absence of it.
            (_, Fault::Missing { message }) => Err(Fault::Transient { message }),
            (_, fault) => Err(fault),
        }
    }

    /// Makes a project that says whose it is. Takes a turn (`turn`) where one is held, an open window otherwise;
    /// `Throttled` without a request where there is none.
    ///
    /// `Uncertain` is found again by its marker, in `list`.
    pub async fn create_project(&self, name: &str, marker: &Marker) -> Done<NewProject> {
        let input = project_create::ProjectCreateInput {
            name: Some(name.to_owned()),
            description: Some(marker.to_string()),
            workspace_id: Some(self.inner.settings().workspace),
        };
        let class = Class::User;
        let answer = self
            .inner
            .gated::<ProjectCreate>(Gate::Projects, class, project_create::Variables { input })
            .await?;
        let made = answer.project_create;
        let first = made.environments.edges.into_iter().next();
        let environment = made
            .primary_environment_id
            .or_else(|| first.map(|edge| edge.node.id));
        let now = self.inner.now();
        let mut fresh = held(&self.inner.fresh);
        fresh.made(&made.id, now);
        if let Some(environment) = &environment {
            fresh.made(environment, now);
        }
        Ok(NewProject {
            project: made.id,
            environment,
        })
    }

    /// Deletes a project with everything in it. `Missing`: it was gone. `Uncertain`: Railway says "not authorized" or
    /// "problem processing" of what is gone already, too; `look` or a listing tells (`facts/railway.md` 4).
    pub async fn delete_project(&self, project: &str) -> Done<()> {
        let variables = project_delete::Variables {
            project: project.to_owned(),
        };
        let class = Class::StopBilling;
        let answer = self.inner.ask::<ProjectDelete>(class, variables).await?;
        held(&self.inner.fresh).forget(project);
        confirmed(answer.project_delete)
    }
}

impl Shared {
    async fn workspace(&self, class: Class) -> Done<workspace::WorkspaceWorkspace> {
        let variables = workspace::Variables {
            workspace: self.settings().workspace,
        };
        Ok(self.ask::<Workspace>(class, variables).await?.workspace)
    }

    /// Whether Railway accepts this token for this workspace.
    async fn good_for(&self, token: usize, workspace: &str, class: Class) -> Done<()> {
        let token = self.admit(class, &[token]).await?;
        let answer = self.send::<Token>(token, token::Variables {}).await?;
        let workspaces = answer.api_token.workspaces;
        if workspaces.iter().any(|good| good.id == workspace) {
            return Ok(());
        }
        Err(Fault::Denied {
            message: match workspaces.len() {
                1 => format!("the token is good for another workspace, not for {workspace}"),
                others => format!(
                    "the token is good for {others} workspaces, and {workspace} is not among them"
                ),
            },
        })
    }

    async fn page(
        &self,
        class: Class,
        after: Option<String>,
        begun: jiff::Timestamp,
    ) -> Done<ProjectPage> {
        let variables = projects::Variables {
            workspace: self.settings().workspace,
            after: after.clone(),
        };
        let answer = match self.ask::<Projects>(class, variables).await {
            Ok(answer) => answer.projects,
            // Something vanished while we read. The workspace itself cannot be what is meant.
            Err(Meant {
                fault: Fault::Missing { message },
                ..
            }) => return Err(Fault::Transient { message }),
            Err(meant) => return Err(meant.into()),
        };
        let homes = answer
            .edges
            .into_iter()
            .map(|edge| reading::home(edge.node, begun))
            .filter(|home| !home.deleted)
            .collect();
        let next = match (answer.page_info.has_next_page, answer.page_info.end_cursor) {
            (false, _) => None,
            (true, Some(cursor)) if Some(&cursor) != after.as_ref() => Some(cursor),
            (true, _) => {
                return Err(Fault::Bug {
                    message: "Railway promises another page and does not say where".to_owned(),
                });
            }
        };
        Ok(ProjectPage { homes, next })
    }
}

/// Railway's answer to a deletion: never seen to be `false`.
pub(super) fn confirmed(yes: bool) -> Done<()> {
    if yes {
        return Ok(());
    }
    Err(Fault::Uncertain {
        message: "Railway answered no, and not why".to_owned(),
    })
}

fn count(workspace: &workspace::WorkspaceWorkspace) -> u64 {
    u64::try_from(workspace.project_count).unwrap_or(0)
}

fn plan(plan: &workspace::Plan) -> String {
    match plan {
        workspace::Plan::FREE => "FREE".to_owned(),
        workspace::Plan::HOBBY => "HOBBY".to_owned(),
        workspace::Plan::PRO => "PRO".to_owned(),
        workspace::Plan::Other(other) => other.clone(),
    }
}
