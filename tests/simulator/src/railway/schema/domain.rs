//! Domains of a service. Custom domains are not simulated: their list is empty.

use async_graphql::{Enum, ID, SimpleObject};

use super::scalars::DateTime;
use crate::railway::access::Seen;
use crate::railway::rows;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ServiceDomainSyncStatus {
    Active,
    Creating,
    Deleted,
    Deleting,
    Unspecified,
    Updating,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct ServiceDomain {
    id: ID,
    domain: String,
    suffix: Option<String>,
    service_id: String,
    environment_id: String,
    project_id: Option<String>,
    target_port: Option<i32>,
    sync_status: ServiceDomainSyncStatus,
    created_at: Option<DateTime>,
    updated_at: Option<DateTime>,
    deleted_at: Option<DateTime>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct CustomDomain {
    id: ID,
    domain: String,
    service_id: String,
    environment_id: String,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct AllDomains {
    custom_domains: Vec<CustomDomain>,
    service_domains: Vec<ServiceDomain>,
}

impl ServiceDomain {
    pub(super) fn of(seen: &Seen, environment: usize, row: &rows::Domain) -> Self {
        let suffix = row
            .domain
            .split_once('.')
            .map(|(_, suffix)| suffix.to_owned());
        Self {
            id: ID(row.id.clone()),
            domain: row.domain.clone(),
            suffix,
            service_id: row.service_id.clone(),
            environment_id: seen.project.environments[environment].id.clone(),
            project_id: Some(seen.project.id.clone()),
            target_port: row.target_port,
            sync_status: ServiceDomainSyncStatus::Active,
            created_at: Some(DateTime(row.created_at)),
            updated_at: Some(DateTime(row.updated_at)),
            deleted_at: seen.project.deleted_at.map(DateTime),
        }
    }
}

pub(super) fn domains_of(seen: &Seen, environment: usize, service_id: &str) -> AllDomains {
    let rows = seen.project.environments[environment].domains.iter();
    let own = rows.filter(|row| row.service_id == service_id && seen.view.sees(row.created_at));
    let service_domains = own
        .map(|row| ServiceDomain::of(seen, environment, row))
        .collect();
    AllDomains {
        custom_domains: Vec::new(),
        service_domains,
    }
}
