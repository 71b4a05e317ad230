//! Who asks, and the workspaces they may use. A workspace exists because a token names it; its name is its id.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use jiff::Timestamp;

use super::call;
use super::scalars::{DateTime, SubscriptionPlanLimit};
use crate::clock;
use crate::railway::access::Call;
use crate::settings::PlanName;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum Plan {
    Free,
    Hobby,
    Pro,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct ApiTokenWorkspace {
    pub id: String,
    pub name: String,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct ApiTokenContext {
    pub workspaces: Vec<ApiTokenWorkspace>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct ApiTokenRateLimit {
    remaining_points: i32,
    resets_at: String,
}

fn rate_limit(call: &Call) -> ApiTokenRateLimit {
    let budget = call
        .railway
        .limits
        .budget(&call.token, call.now, &call.settings);
    ApiTokenRateLimit {
        remaining_points: i32::try_from(budget.remaining).unwrap_or(i32::MAX),
        resets_at: clock::text(budget.resets_at),
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Workspace(pub String);

#[Object]
impl Workspace {
    async fn id(&self) -> ID {
        ID(self.0.clone())
    }

    async fn name(&self) -> &str {
        &self.0
    }

    async fn created_at(&self) -> DateTime {
        DateTime(Timestamp::UNIX_EPOCH)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(Timestamp::UNIX_EPOCH)
    }

    async fn plan(&self, context: &Context<'_>) -> async_graphql::Result<Plan> {
        Ok(match call(context)?.settings.plan {
            PlanName::Free | PlanName::Trial => Plan::Free,
            PlanName::Hobby => Plan::Hobby,
            PlanName::Pro => Plan::Pro,
        })
    }

    async fn preferred_region(&self) -> Option<String> {
        None
    }

    async fn project_count(
        &self,
        context: &Context<'_>,
        include_deleted: Option<bool>,
    ) -> async_graphql::Result<i32> {
        let call = call(context)?;
        let projects = call.railway.estate().of_workspace(&self.0, &call.moment());
        let all = include_deleted == Some(true);
        let count = projects
            .iter()
            .filter(|project| all || !project.is_gone())
            .count();
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }

    async fn api_token_rate_limit(
        &self,
        context: &Context<'_>,
    ) -> async_graphql::Result<Option<ApiTokenRateLimit>> {
        Ok(Some(rate_limit(call(context)?)))
    }

    async fn subscription_plan_limit(&self) -> Option<SubscriptionPlanLimit> {
        Some(SubscriptionPlanLimit(serde_json::json!({})))
    }
}

pub(crate) struct User {
    pub name: String,
    pub workspaces: Vec<String>,
}

#[Object]
impl User {
    async fn id(&self) -> ID {
        ID(self.name.clone())
    }

    async fn name(&self) -> Option<&str> {
        Some(&self.name)
    }

    async fn username(&self) -> Option<&str> {
        Some(&self.name)
    }

    async fn email(&self) -> String {
        format!("{}@example.com", self.name)
    }

    async fn workspaces(&self) -> Vec<Workspace> {
        self.workspaces.iter().cloned().map(Workspace).collect()
    }

    async fn api_token_rate_limit(
        &self,
        context: &Context<'_>,
    ) -> async_graphql::Result<Option<ApiTokenRateLimit>> {
        Ok(Some(rate_limit(call(context)?)))
    }
}
