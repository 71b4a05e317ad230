//! What a workspace's projects have used, fifty projects a page at most.

use async_graphql::{Context, Object, Result, SimpleObject};

use super::call;
use super::scalars::DateTime;
use crate::railway::access::Refusal;
use crate::railway::usage::Measurement;

/// Most projects of a page.
const MOST: usize = 50;

#[derive(SimpleObject)]
pub(crate) struct ProjectServiceUsagePage {
    page_info: ProjectServiceUsagePageInfo,
    usage: Vec<AggregatedUsage>,
}

#[derive(SimpleObject)]
pub(crate) struct ProjectServiceUsagePageInfo {
    end_cursor: Option<String>,
    has_next_page: bool,
}

#[derive(SimpleObject)]
pub(crate) struct AggregatedUsage {
    measurement: Measurement,
    tags: MetricTags,
    value: f64,
}

#[derive(SimpleObject)]
pub(crate) struct MetricTags {
    project_id: Option<String>,
    service_id: Option<String>,
}

#[derive(Default)]
pub(crate) struct UsageQueries;

#[Object]
impl UsageQueries {
    #[expect(clippy::too_many_arguments, reason = "Railway's own arguments")]
    async fn project_service_usage(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        end_date: DateTime,
        first: Option<i32>,
        include_deleted: Option<bool>,
        measurements: Vec<Measurement>,
        start_date: DateTime,
        workspace_id: String,
    ) -> Result<ProjectServiceUsagePage> {
        let call = call(context)?;
        if !call.token.may_use(&workspace_id) {
            return Err(Refusal::not_authorized().into());
        }
        let mut projects = call
            .railway
            .estate()
            .of_workspace(&workspace_id, &call.moment());
        projects.retain(|one| include_deleted == Some(true) || one.deleted_at.is_none());
        projects.sort_by(|one, other| one.id.cmp(&other.id));
        if let Some(after) = after {
            projects.retain(|one| one.id > after);
        }
        let largest = usize::try_from(call.settings.max_page).unwrap_or(MOST);
        let first = first.and_then(|first| usize::try_from(first).ok());
        let first = first.unwrap_or(MOST).min(MOST).min(largest);
        let has_next_page = projects.len() > first;
        projects.truncate(first);
        // What was used was used now.
        let now = start_date.0 <= call.now && call.now <= end_date.0 + SLACK;
        let used = projects.iter().filter(|_| now).flat_map(|project| {
            project.used.iter().flat_map(|(service, used)| {
                let asked = used.iter().filter(|(what, _)| measurements.contains(what));
                asked.map(|(measurement, value)| AggregatedUsage {
                    measurement: *measurement,
                    tags: MetricTags {
                        project_id: Some(project.id.clone()),
                        service_id: Some(service.clone()),
                    },
                    value: *value,
                })
            })
        });
        Ok(ProjectServiceUsagePage {
            usage: used.collect(),
            page_info: ProjectServiceUsagePageInfo {
                end_cursor: projects.last().map(|project| project.id.clone()),
                has_next_page,
            },
        })
    }
}

/// How far the asker's clock may be behind.
const SLACK: jiff::SignedDuration = jiff::SignedDuration::from_mins(1);
