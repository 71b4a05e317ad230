//! `Project` as a reader sees it.

use async_graphql::{Context, Enum, ID, Object};

use super::account::Workspace;
use super::connection::{Page, Paging, connection};
use super::environment::Environment;
use super::scalars::{DateTime, SubscriptionPlanLimit};
use super::service::Service;
use super::volume::Volume;
use crate::railway::access::{Refusal, Seen};
use crate::railway::schema::call;
use crate::settings::PlanName;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(rename_items = "lowercase")]
pub(crate) enum SubscriptionPlanType {
    Free,
    Hobby,
    Pro,
    Trial,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(rename_items = "lowercase")]
pub(crate) enum SortOrder {
    Asc,
    Desc,
}

#[derive(Debug, Clone)]
pub(crate) struct Project(pub Seen);

connection!(
    ProjectEnvironmentsConnection,
    ProjectEnvironmentsConnectionEdge,
    Environment
);
connection!(
    ProjectServicesConnection,
    ProjectServicesConnectionEdge,
    Service
);
connection!(
    ProjectVolumesConnection,
    ProjectVolumesConnectionEdge,
    Volume
);

#[expect(clippy::too_many_arguments, reason = "Railway's own arguments")]
#[Object]
impl Project {
    async fn id(&self) -> ID {
        ID(self.0.project.id.clone())
    }

    async fn name(&self) -> &str {
        &self.0.project.name
    }

    async fn description(&self) -> Option<&str> {
        self.0.project.description.as_deref()
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.project.created_at)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.project.updated_at)
    }

    async fn deleted_at(&self) -> Option<DateTime> {
        self.0.project.deleted_at.map(DateTime)
    }

    async fn expired_at(&self) -> Option<DateTime> {
        None
    }

    async fn is_public(&self) -> bool {
        self.0.project.is_public
    }

    async fn is_temp_project(&self) -> bool {
        false
    }

    async fn pr_deploys(&self) -> bool {
        self.0.project.pr_deploys
    }

    async fn workspace_id(&self) -> Option<&str> {
        Some(&self.0.project.workspace)
    }

    /// Of a deleted project this fails, as at Railway.
    async fn workspace(&self) -> Option<async_graphql::Result<Workspace>> {
        // An error inside the option makes this field null and leaves the others.
        Some(match self.0.project.is_gone() {
            true => Err(Refusal::not_found("Project").into()),
            false => Ok(Workspace(self.0.project.workspace.clone())),
        })
    }

    async fn base_environment_id(&self) -> Option<&str> {
        self.first_environment()
    }

    async fn primary_environment_id(&self) -> Option<&str> {
        self.first_environment()
    }

    async fn subscription_type(
        &self,
        context: &Context<'_>,
    ) -> async_graphql::Result<SubscriptionPlanType> {
        Ok(match call(context)?.settings.plan {
            PlanName::Free => SubscriptionPlanType::Free,
            PlanName::Trial => SubscriptionPlanType::Trial,
            PlanName::Hobby => SubscriptionPlanType::Hobby,
            PlanName::Pro => SubscriptionPlanType::Pro,
        })
    }

    async fn subscription_plan_limit(&self) -> SubscriptionPlanLimit {
        SubscriptionPlanLimit(serde_json::json!({}))
    }

    async fn environments(
        &self,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        is_ephemeral: Option<bool>,
        last: Option<i32>,
        sort: Option<SortOrder>,
    ) -> ProjectEnvironmentsConnection {
        let count = match is_ephemeral {
            // Nothing here forks environments.
            Some(true) => 0,
            _ => self.0.project.environments.len(),
        };
        let mut order: Vec<usize> = (0..count).collect();
        if sort == Some(SortOrder::Desc) {
            order.reverse();
        }
        let nodes = order.into_iter().map(|index| Environment {
            seen: self.0.clone(),
            index,
        });
        Page::of(
            nodes,
            &Paging {
                after,
                before,
                first,
                last,
            },
        )
        .into()
    }

    async fn services(
        &self,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
    ) -> ProjectServicesConnection {
        let rows = self.0.project.services.iter().enumerate();
        let rows = rows.filter(|(_, row)| self.0.view.sees(row.created_at));
        let nodes = rows.map(|(index, _)| Service {
            seen: self.0.clone(),
            index,
        });
        Page::of(
            nodes,
            &Paging {
                after,
                before,
                first,
                last,
            },
        )
        .into()
    }

    async fn volumes(
        &self,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
    ) -> ProjectVolumesConnection {
        let rows = self.0.project.volumes.iter().enumerate();
        let rows = rows.filter(|(_, row)| self.0.view.sees(row.created_at));
        let nodes = rows.map(|(index, _)| Volume {
            seen: self.0.clone(),
            index,
        });
        Page::of(
            nodes,
            &Paging {
                after,
                before,
                first,
                last,
            },
        )
        .into()
    }
}

impl Project {
    fn first_environment(&self) -> Option<&str> {
        self.0
            .project
            .environments
            .first()
            .map(|environment| environment.id.as_str())
    }
}
