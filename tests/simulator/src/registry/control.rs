//! Changing images by hand: `GET` and `PUT /registry/{image}`.

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;

use super::Edit;
use crate::control::Desk;

pub(crate) fn routes() -> Router<Desk> {
    Router::new().route("/registry/{*image}", get(show).put(edit))
}

async fn show(State(desk): State<Desk>, Path(image): Path<String>) -> Json<Value> {
    Json(desk.registry.show(&image))
}

async fn edit(
    State(desk): State<Desk>,
    Path(image): Path<String>,
    Json(edit): Json<Edit>,
) -> Json<Value> {
    Json(desk.registry.edit(&image, edit))
}
