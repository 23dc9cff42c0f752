//! `/metrics`: counts and times, for Prometheus.

use crate::engine::Engine;
use crate::server::app::App;
use crate::server::metrics::CONTENT_TYPE;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

#[utoipa::path(
    get, path = "/metrics", tag = "server",
    responses((status = 200, description = "OpenMetrics", body = String, content_type = "application/openmetrics-text")),
    security((), ("key" = [])),
)]
pub async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], app.metrics().text(app.loaded().map(Engine::stats)))
}
