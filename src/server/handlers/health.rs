//! `/health`: whether the models are there.

use crate::server::app::App;
use crate::server::error::ApiError;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// The models are there.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`
    status: &'static str,
}

#[utoipa::path(
    get, path = "/health", tag = "server",
    responses((status = 200, description = "ready", body = Health)),
)]
pub async fn health(State(app): State<App>) -> Result<Json<Health>, ApiError> {
    app.engine()?;
    Ok(Json(Health { status: "ok" }))
}
