//! What is not here, and the document of what is.

use crate::server::error::ApiError;
use crate::server::openapi;
use axum::Json;
use axum::http::{Method, StatusCode, Uri};
use axum::response::IntoResponse;

/// What other servers have under these paths, and this one has not.
pub const NOT_IMPLEMENTED: &[&str] = &[
    "/completion",
    "/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/embedding",
    "/embeddings",
    "/v1/embeddings",
    "/rerank",
    "/v1/rerank",
    "/infill",
    "/slots",
    "/apply-template",
    "/lora-adapters",
    "/v1/audio/transcriptions",
    "/v1/audio/speech",
    "/v1/images/generations",
    "/v1/moderations",
    "/v1/files",
];

/// 501, naming the path.
pub async fn not_implemented(uri: Uri) -> ApiError {
    let message = format!("{} is not implemented; use /v1/chat/completions", uri.path());
    ApiError::new(StatusCode::NOT_IMPLEMENTED, message)
}

/// 404.
pub async fn not_found(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("there is no {}; /openapi.json lists what there is", uri.path()))
}

/// 405.
pub async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}; /openapi.json lists what it takes", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

/// What the routes take and give.
pub async fn document() -> impl IntoResponse {
    Json(openapi::document())
}
