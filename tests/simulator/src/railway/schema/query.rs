//! Reads of accounts, projects and environments, with Railway's lag and its rules of what a token may see.

use std::sync::Arc;

use async_graphql::{Context, Enum, Object, Result};

use super::account::{ApiTokenContext, ApiTokenWorkspace, User, Workspace};
use super::call;
use super::connection::{Page, Paging, Rank, connection};
use super::environment::{Environment, EnvironmentPatch};
use super::project::Project;
use crate::clock::after as later;
use crate::railway::access::{Call, Refusal, Seen};
use crate::railway::rows;
use crate::railway::token::Kind;
use crate::settings::{BareListing, DeletedRead, Scheduled};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ProjectsOrderBy {
    CreatedAtDesc,
    NameAsc,
    UpdatedAtDesc,
}

connection!(
    QueryProjectsConnection,
    QueryProjectsConnectionEdge,
    Project
);
connection!(
    QueryEnvironmentsConnection,
    QueryEnvironmentsConnectionEdge,
    Environment
);
connection!(
    QueryEnvironmentPatchesConnection,
    QueryEnvironmentPatchesConnectionEdge,
    EnvironmentPatch
);

/// An environment that the caller sees, and its position.
pub(super) fn environment_in(call: &Call, id: &str) -> Result<(Seen, usize)> {
    let seen = call.read(id, "Environment")?;
    let index = seen
        .project
        .environment(id)
        .ok_or_else(|| Refusal::not_found("Environment"))?;
    Ok((seen, index))
}

#[derive(Default)]
pub(crate) struct ProjectQueries;

#[Object]
impl ProjectQueries {
    async fn api_token(&self, context: &Context<'_>) -> Result<ApiTokenContext> {
        let token = &call(context)?.token;
        if let Kind::Project(_) | Kind::Nobody = token.kind {
            return Err(Refusal::not_authorized().into());
        }
        let row = |id: &String| ApiTokenWorkspace {
            id: id.clone(),
            name: id.clone(),
        };
        Ok(ApiTokenContext {
            workspaces: token.workspaces().iter().map(row).collect(),
        })
    }

    async fn me(&self, context: &Context<'_>) -> Result<User> {
        match &call(context)?.token.kind {
            Kind::Account { user, workspaces } => Ok(User {
                name: user.clone(),
                workspaces: workspaces.clone(),
            }),
            _ => Err(Refusal::not_authorized().into()),
        }
    }

    async fn workspace(&self, context: &Context<'_>, workspace_id: String) -> Result<Workspace> {
        match call(context)?.token.may_use(&workspace_id) {
            true => Ok(Workspace(workspace_id)),
            false => Err(Refusal::not_authorized().into()),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "Railway's own arguments")]
    async fn projects(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        include_deleted: Option<bool>,
        last: Option<i32>,
        order_by: Option<ProjectsOrderBy>,
        user_id: Option<String>,
        workspace_id: Option<String>,
    ) -> Result<QueryProjectsConnection> {
        let call = call(context)?;
        let _ = user_id;
        let workspace = match (workspace_id, &call.token.kind) {
            (Some(workspace), _) if call.token.may_use(&workspace) => workspace,
            (Some(_), _) => return Err(Refusal::not_authorized().into()),
            (None, Kind::Workspace(own)) if call.settings.bare_listing == BareListing::Own => {
                own.clone()
            }
            (None, _) => String::new(),
        };
        let all = include_deleted == Some(true);
        let view = call.view();
        let listed = |project: &rows::Project| {
            let hidden = project.scheduled_at.is_some()
                && call.settings.scheduled_delete == Scheduled::Hides;
            let there = match project.deleted_at {
                Some(gone) => all && later(gone, call.settings.purge_after) > call.now,
                None => all || !hidden,
            };
            there && view.sees(project.created_at)
        };
        let mut projects = call
            .railway
            .estate()
            .of_workspace(&workspace, &call.moment());
        projects.retain(|project| listed(project));
        let order = order_by.unwrap_or(ProjectsOrderBy::CreatedAtDesc);
        let rank = |project: &rows::Project| {
            let newest_first = -i64::try_from(project.seq).unwrap_or(i64::MAX);
            match order {
                ProjectsOrderBy::CreatedAtDesc => Rank::Number(newest_first),
                ProjectsOrderBy::NameAsc => Rank::Text(project.name.clone(), newest_first),
                ProjectsOrderBy::UpdatedAtDesc => {
                    let newest = i64::MAX - project.updated_at.as_microsecond();
                    Rank::Text(format!("{newest:020}"), newest_first)
                }
            }
        };
        let mut ranked: Vec<(Rank, Arc<rows::Project>)> = projects
            .into_iter()
            .map(|project| (rank(&project), project))
            .collect();
        ranked.sort_by(|(a, _), (b, _)| a.cmp(b));
        let largest = i32::try_from(call.settings.max_page).unwrap_or(i32::MAX);
        let cap = |count: Option<i32>| count.map(|count| count.min(largest));
        let paging = Paging {
            after,
            before,
            first: cap(first),
            last: cap(last),
        };
        let size = usize::try_from(call.settings.page_size).unwrap_or(usize::MAX);
        let page = Page::cut(ranked, &paging, Some(size));
        Ok(page.map(|project| Project(Seen { project, view })).into())
    }

    /// Skips what is not there or not to be seen, instead of failing.
    async fn projects_by_ids(
        &self,
        context: &Context<'_>,
        ids: Vec<String>,
    ) -> Result<Vec<Project>> {
        let call = call(context)?;
        // An environment's id finds a project too, but is none.
        let seen = ids.iter().filter_map(|id| {
            let seen = call.read(id, "Project").ok()?;
            (seen.project.id == *id).then_some(seen)
        });
        let deleted = call.settings.deleted_read == DeletedRead::Object;
        Ok(seen
            .filter(|seen| deleted || !seen.project.is_gone())
            .map(Project)
            .collect())
    }

    async fn project(&self, context: &Context<'_>, id: String) -> Result<Project> {
        let seen = call(context)?.read(&id, "Project")?;
        match seen.project.id == id {
            true => Ok(Project(seen)),
            false => Err(Refusal::not_found("Project").into()),
        }
    }

    async fn environment(
        &self,
        context: &Context<'_>,
        id: String,
        project_id: Option<String>,
    ) -> Result<Environment> {
        let (seen, index) = environment_in(call(context)?, &id)?;
        match project_id.is_none_or(|project| project == seen.project.id) {
            true => Ok(Environment { seen, index }),
            false => Err(Refusal::not_found("Environment").into()),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "Railway's own arguments")]
    async fn environments(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        is_ephemeral: Option<bool>,
        last: Option<i32>,
        project_id: String,
    ) -> Result<QueryEnvironmentsConnection> {
        let seen = call(context)?.read(&project_id, "Project")?;
        let count = if is_ephemeral == Some(true) {
            0
        } else {
            seen.project.environments.len()
        };
        let nodes = (0..count).map(|index| Environment {
            seen: seen.clone(),
            index,
        });
        Ok(Page::of(
            nodes,
            &Paging {
                after,
                before,
                first,
                last,
            },
        )
        .into())
    }

    async fn environment_staged_changes(
        &self,
        context: &Context<'_>,
        environment_id: String,
    ) -> Result<EnvironmentPatch> {
        let (seen, environment) = environment_in(call(context)?, &environment_id)?;
        Ok(EnvironmentPatch {
            seen,
            environment,
            index: None,
        })
    }

    /// Newest first.
    async fn environment_patches(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        environment_id: String,
        first: Option<i32>,
        last: Option<i32>,
    ) -> Result<QueryEnvironmentPatchesConnection> {
        let (seen, environment) = environment_in(call(context)?, &environment_id)?;
        let count = seen.project.environments[environment].patches.len();
        let nodes = (0..count).rev().map(|index| EnvironmentPatch {
            seen: seen.clone(),
            environment,
            index: Some(index),
        });
        Ok(Page::of(
            nodes,
            &Paging {
                after,
                before,
                first,
                last,
            },
        )
        .into())
    }
}
