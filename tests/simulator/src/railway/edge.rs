//! Railway's HTTP: one path that takes GraphQL, limits before it, and its way of reporting errors.
//!
//! A document that does not fit the schema is HTTP 400; whatever a resolver refuses is HTTP 200 with `errors[]`.

use std::sync::Arc;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_trait::async_trait;
use serde_json::{Value, json};

use super::Railway;
use super::access::{Call, SERVER_ERROR};
use super::limits::too_many;
use super::schema::{self, Schema};
use super::token::Token;
use crate::clock;
use crate::exchange::{Answer, Body, Request};
use crate::inventory::Resource;
use crate::provider::Provider;
use crate::settings::{Settings, Unit};

pub(crate) struct Edge {
    railway: Arc<Railway>,
    schema: Schema,
}

impl Edge {
    pub(crate) fn new(railway: Arc<Railway>) -> Self {
        Self {
            railway,
            schema: schema::build(),
        }
    }

    fn settings(&self, token: &Token) -> Arc<Settings> {
        match token.workspaces().first() {
            Some(workspace) => self.railway.settings.of(workspace),
            None => self.railway.settings.base(),
        }
    }

    async fn execute(&self, request: async_graphql::Request, call: Call) -> Answer {
        let mut response = self.schema.execute(request.data(call)).await;
        let mut invalid = false;
        for error in &mut response.errors {
            let extensions = error.extensions.get_or_insert_default();
            if extensions.get("code").is_none() {
                invalid = true;
                extensions.set("code", "GRAPHQL_VALIDATION_FAILED");
            }
        }
        if invalid {
            return Answer::json(400, json!({ "errors": response.errors }));
        }
        match serde_json::to_string(&response) {
            Ok(text) => Answer {
                status: 200,
                headers: Vec::new(),
                body: Body::JsonText(text),
            },
            Err(error) => Answer::text(500, error.to_string()),
        }
    }
}

#[async_trait]
impl Provider for Edge {
    fn name(&self) -> &'static str {
        "railway"
    }

    fn operations(&self, request: &Request) -> Vec<String> {
        let query = request.body.json().and_then(|body| body["query"].as_str());
        query
            .and_then(|query| parse_query(query).ok())
            .map(|document| roots(&document))
            .unwrap_or_default()
    }

    fn account(&self, request: &Request) -> Option<String> {
        let token = Token::of(request, &self.railway.settings.base());
        token.workspaces().first().cloned()
    }

    async fn answer(&self, request: &Request) -> Answer {
        let now = clock::now();
        let token = Token::of(request, &self.railway.settings.base());
        let settings = self.settings(&token);
        if settings.down {
            return Answer::text(
                503,
                "upstream connect error or disconnect/reset before headers",
            );
        }
        if request.query.is_none()
            && let Some(refusal) = self.railway.limits.edge(now, &settings)
        {
            return refusal;
        }
        if request.path != "/graphql/v2" || request.method != "POST" {
            return Answer::text(404, "Not Found");
        }
        let Some(body) = request.body.json().filter(|body| body["query"].is_string()) else {
            return invalid(
                400,
                "POST body missing, invalid Content-Type, or JSON object has no keys.",
                "BAD_REQUEST",
            );
        };
        let document = match parse_query(body["query"].as_str().unwrap_or_default()) {
            Ok(document) => document,
            Err(error) => return invalid(400, &error.to_string(), "GRAPHQL_PARSE_FAILED"),
        };
        let names = roots(&document);
        let mut budget = None;
        if token.is_good() {
            let points = match settings.rate_unit {
                Unit::Request => 1,
                Unit::Field => names.len().max(1) as u64,
            };
            match self.railway.limits.spend(&token, points, now, &settings) {
                Ok(left) => budget = Some(left),
                Err(refusal) => return refusal,
            }
        } else if !names.iter().all(|name| name.starts_with("__")) {
            let status = u16::try_from(settings.bad_token_status).unwrap_or(200);
            return refused(status, "Not Authorized");
        }
        let mut graphql: async_graphql::Request = match serde_json::from_value(body.clone()) {
            Ok(graphql) => graphql,
            Err(error) => return invalid(400, &error.to_string(), "BAD_REQUEST"),
        };
        graphql.set_parsed_query(document);
        let railway = Arc::clone(&self.railway);
        let call = Call {
            railway,
            token,
            settings: Arc::clone(&settings),
            now,
        };
        let answer = self.execute(graphql, call).await;
        match budget {
            Some(budget) => budget.headers(answer, now, &settings),
            None => answer,
        }
    }

    fn throttled(&self, request: &Request) -> Answer {
        let token = Token::of(request, &self.railway.settings.base());
        let settings = self.settings(&token);
        let operations = self.operations(request);
        let has = |name: &str| operations.iter().any(|operation| operation == name);
        if has("projectCreate") {
            refused(200, &super::naming::projects_too_quickly(&settings))
        } else if has("volumeCreate") {
            refused(200, super::naming::VOLUMES_TOO_QUICKLY)
        } else {
            too_many(1)
        }
    }

    fn refusal(&self, message: &str) -> Option<Answer> {
        Some(refused(200, message))
    }

    fn shorten(&self, body: &mut Value, keep: usize) {
        for root in body["data"]
            .as_object_mut()
            .into_iter()
            .flat_map(|roots| roots.values_mut())
        {
            match root {
                Value::Array(items) => items.truncate(keep),
                Value::Object(fields) if fields.contains_key("edges") => shorten(root, keep),
                // A list one level down: project.services, environment.deployments.
                Value::Object(fields) => fields.values_mut().for_each(|field| shorten(field, keep)),
                _ => {}
            }
        }
    }

    fn resources(&self) -> Vec<Resource> {
        super::cost::resources(&self.railway, clock::now())
    }
}

fn shorten(connection: &mut Value, keep: usize) {
    let Some(edges) = connection.get_mut("edges").and_then(Value::as_array_mut) else {
        return;
    };
    edges.truncate(keep);
    let last = edges
        .last()
        .map_or(Value::Null, |edge| edge["cursor"].clone());
    if let Some(page) = connection
        .get_mut("pageInfo")
        .and_then(Value::as_object_mut)
    {
        for (name, value) in [("hasNextPage", json!(false)), ("endCursor", last)] {
            if let Some(field) = page.get_mut(name) {
                *field = value;
            }
        }
    }
}

/// The root fields of a document, without their aliases.
fn roots(document: &ExecutableDocument) -> Vec<String> {
    let mut names = Vec::new();
    for (_, operation) in document.operations.iter() {
        collect(document, &operation.node.selection_set.node, &mut names, 0);
    }
    names
}

fn collect(document: &ExecutableDocument, set: &SelectionSet, names: &mut Vec<String>, depth: u8) {
    // A fragment that spreads itself is refused later, when the document is validated.
    if depth > 8 {
        return;
    }
    for selection in &set.items {
        match &selection.node {
            Selection::Field(field) => names.push(field.node.name.node.to_string()),
            Selection::InlineFragment(fragment) => {
                collect(
                    document,
                    &fragment.node.selection_set.node,
                    names,
                    depth + 1,
                );
            }
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    collect(
                        document,
                        &fragment.node.selection_set.node,
                        names,
                        depth + 1,
                    );
                }
            }
        }
    }
}

fn refused(status: u16, message: &str) -> Answer {
    let error = json!({ "message": message, "extensions": { "code": SERVER_ERROR } });
    Answer::json(status, json!({ "errors": [error], "data": null }))
}

fn invalid(status: u16, message: &str, code: &str) -> Answer {
    let error = json!({ "message": message, "extensions": { "code": code } });
    Answer::json(status, json!({ "errors": [error] }))
}
