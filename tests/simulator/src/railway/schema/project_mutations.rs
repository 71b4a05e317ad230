//! Mutations of projects: throttled creation, deletion at once, deletion with a grace period.

use async_graphql::{Context, Enum, InputObject, MaybeUndefined, Object, Result};

use super::call;
use super::project::Project;
use crate::clock::after;
use crate::railway::access::{Call, Refusal, Seen, View};
use crate::railway::token::Kind;
use crate::railway::{naming, rows};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum PublicRuntime {
    Legacy,
    Unspecified,
    V2,
}

#[derive(Debug, InputObject)]
pub(crate) struct ProjectCreateRepo {
    branch: String,
    full_repo_name: String,
}

#[derive(Debug, InputObject)]
pub(crate) struct ProjectCreateInput {
    default_environment_name: Option<String>,
    description: Option<String>,
    is_monorepo: Option<bool>,
    is_public: Option<bool>,
    name: Option<String>,
    pr_deploys: Option<bool>,
    repo: Option<ProjectCreateRepo>,
    runtime: Option<PublicRuntime>,
    workspace_id: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct ProjectUpdateInput {
    base_environment_id: Option<String>,
    bot_pr_environments: Option<bool>,
    description: MaybeUndefined<String>,
    focused_pr_environments: Option<bool>,
    is_public: Option<bool>,
    name: Option<String>,
    pr_deploys: Option<bool>,
}

fn check_room(call: &Call, workspace: &str) -> Result<(), Refusal> {
    let allowed = call.settings.max_projects;
    let projects = call
        .railway
        .estate()
        .of_workspace(workspace, &call.moment());
    let living = projects.iter().filter(|project| !project.is_gone()).count() as u64;
    match allowed > 0 && living >= allowed {
        true => Err(Refusal::new(
            "Free plan resource provision limit exceeded. Please upgrade to provision more resources!",
        )),
        false => Ok(()),
    }
}

/// Finds a living project for its deletion, or refuses as a second deletion is refused.
fn delete(
    call: &Call,
    id: &str,
    change: impl FnOnce(&mut rows::Project) -> Result<(), Refusal>,
) -> Result<bool> {
    let mut estate = call.railway.estate();
    let moment = call.moment();
    let Some(project) = estate.get(id, &moment) else {
        return Err(Refusal::not_found("Project").into());
    };
    if !call.may_see(&project) {
        return Err(Refusal::not_authorized().into());
    }
    if project.is_gone() {
        return Err(Refusal::absent(call.settings.second_delete, "Project").into());
    }
    if !call.finds(project.created_at) {
        return Err(Refusal::absent(call.settings.fresh_read, "Project").into());
    }
    estate.edit(id, &moment, change)?;
    Ok(true)
}

#[derive(Default)]
pub(crate) struct ProjectMutations;

#[Object]
impl ProjectMutations {
    async fn project_create(
        &self,
        context: &Context<'_>,
        input: ProjectCreateInput,
    ) -> Result<Project> {
        let call = call(context)?;
        if matches!(call.token.kind, Kind::Project(_)) {
            return Err(Refusal::not_authorized().into());
        }
        let own = call.token.workspaces().first().cloned();
        let workspace = input
            .workspace_id
            .or(own)
            .ok_or_else(Refusal::not_authorized)?;
        if !call.token.may_use(&workspace) {
            return Err(Refusal::not_authorized().into());
        }
        let name = input.name.unwrap_or_else(naming::made_up);
        naming::check_project_name(&name)?;
        let interval = call.settings.project_interval;
        let whose = (workspace.as_str(), &call.token);
        let limits = &call.railway.limits;
        if limits.too_soon("projectCreate", interval, whose, call.now, &call.settings) {
            return Err(Refusal::new(naming::projects_too_quickly(&call.settings)).into());
        }
        check_room(call, &workspace)?;
        let environment = input
            .default_environment_name
            .unwrap_or_else(|| "production".to_owned());
        let seq = call.railway.estate().next_seq();
        let description = input.description;
        let mut project =
            rows::Project::new(seq, &workspace, name, description, &environment, call.now);
        project.is_public = input.is_public.unwrap_or(false);
        project.pr_deploys = input.pr_deploys.unwrap_or(false);
        let project = call.railway.estate().insert(project);
        limits.created("projectCreate", whose, call.now, &call.settings);
        Ok(Project(Seen {
            project,
            view: View::all(call.now),
        }))
    }

    async fn project_update(
        &self,
        context: &Context<'_>,
        id: String,
        input: ProjectUpdateInput,
    ) -> Result<Project> {
        let call = call(context)?;
        if let Some(name) = &input.name {
            naming::check_project_name(name)?;
        }
        let ((), seen) = call.change(&id, "Project", |project| {
            if let Some(name) = input.name {
                project.name = name;
            }
            match input.description {
                MaybeUndefined::Value(text) => project.description = Some(text),
                MaybeUndefined::Null => project.description = None,
                MaybeUndefined::Undefined => {}
            }
            project.is_public = input.is_public.unwrap_or(project.is_public);
            project.pr_deploys = input.pr_deploys.unwrap_or(project.pr_deploys);
            project.updated_at = call.now;
            Ok(())
        })?;
        Ok(Project(seen))
    }

    async fn project_delete(&self, context: &Context<'_>, id: String) -> Result<bool> {
        let call = call(context)?;
        delete(call, &id, |project| {
            project.deleted_at = Some(call.now);
            Ok(())
        })
    }

    async fn project_schedule_delete(&self, context: &Context<'_>, id: String) -> Result<bool> {
        let call = call(context)?;
        delete(call, &id, |project| {
            let at = after(call.now, call.settings.delete_grace);
            project.scheduled_at = Some(at);
            project.wake_at(at);
            if call.settings.scheduled_delete != crate::settings::Scheduled::Keeps {
                super::deploy_mutations::end_all(project, call.now);
            }
            Ok(())
        })
    }

    async fn project_schedule_delete_cancel(
        &self,
        context: &Context<'_>,
        id: String,
    ) -> Result<bool> {
        let call = call(context)?;
        call.change(&id, "Project", |project| {
            project.scheduled_at = None;
            Ok(())
        })?;
        Ok(true)
    }

    async fn project_schedule_delete_force(
        &self,
        context: &Context<'_>,
        id: String,
    ) -> Result<bool> {
        let call = call(context)?;
        delete(call, &id, |project| {
            project.scheduled_at = None;
            project.deleted_at = Some(call.now);
            Ok(())
        })
    }
}
