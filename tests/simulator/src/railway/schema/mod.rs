//! The GraphQL schema: a true subset of Railway's own, with the same names, types and nullability.
//!
//! Types only translate: what they say is read from a snapshot of a project, what they change goes through `access`.
//! `tests/simulator/railway.graphql` is this schema written out; a test keeps the two equal and the contract check
//! compares it with Railway's.

mod account;
mod config_mutations;
mod connection;
mod deploy_mutations;
mod deployment;
mod domain;
mod environment;
mod project;
mod project_mutations;
mod query;
mod scalars;
mod service;
mod service_mutations;
mod service_query;
mod usage;
mod volume;
mod volume_mutations;

use async_graphql::{Context, EmptySubscription, MergedObject, SDLExportOptions};

use super::access::Call;

#[derive(MergedObject, Default)]
pub(crate) struct Mutation(
    project_mutations::ProjectMutations,
    service_mutations::ServiceMutations,
    volume_mutations::VolumeMutations,
    config_mutations::ConfigMutations,
    deploy_mutations::DeployMutations,
);

#[derive(MergedObject, Default)]
pub(crate) struct Query(
    query::ProjectQueries,
    service_query::ServiceQueries,
    usage::UsageQueries,
);

pub(crate) type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

pub(crate) fn build() -> Schema {
    async_graphql::Schema::build(Query::default(), Mutation::default(), EmptySubscription).finish()
}

/// The schema as text, sorted, without the directives that are the executor's own.
#[must_use]
pub fn sdl() -> String {
    let options = SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .use_space_ident()
        .indent_width(2);
    let whole = build().sdl_with_options(options);
    let mut types: Vec<(String, String)> = Vec::new();
    let mut block = String::new();
    let mut in_description = false;
    for line in whole.lines() {
        if line == "\"\"\"" {
            in_description = !in_description;
        }
        if line.is_empty() && !in_description {
            continue;
        }
        block.push_str(line);
        block.push('\n');
        let (is_scalar, is_directive) =
            (line.starts_with("scalar "), line.starts_with("directive "));
        let opens = is_scalar || (line.ends_with('{') && !line.starts_with(' '));
        if opens && !in_description {
            let name = line.split_whitespace().nth(1).unwrap_or_default();
            types.push((name.to_owned(), String::new()));
        }
        if (line == "}" || is_scalar || is_directive) && !in_description {
            let text = std::mem::take(&mut block);
            if let Some((_, stored)) = types.last_mut().filter(|_| !is_directive) {
                *stored = text;
            }
        }
    }
    types.sort();
    types
        .into_iter()
        .map(|(_, text)| text)
        .collect::<Vec<_>>()
        .join("\n")
}

fn call<'a>(context: &'a Context<'_>) -> async_graphql::Result<&'a Call> {
    context.data::<Call>()
}
