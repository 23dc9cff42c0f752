//! `/v1/models`: the one pair that answers.

use crate::engine::ModelFacts;
use crate::server::app::App;
use crate::server::error::{ApiError, ErrorBody};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// The models of this server.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelList {
    /// `list`
    object: &'static str,
    data: [Model; 1],
}

/// A pair under the name that clients ask for. Any other name gets it too.
#[derive(Debug, Serialize, ToSchema)]
pub struct Model {
    id: String,
    /// `model`
    object: &'static str,
    created: u64,
    /// `sgl`
    owned_by: &'static str,
    architecture: Architecture,
    /// Of the target.
    meta: Meta,
    sgl: Pair,
}

#[derive(Debug, Serialize, ToSchema)]
struct Architecture {
    input_modalities: [&'static str; 2],
    output_modalities: [&'static str; 1],
}

#[derive(Debug, Serialize, ToSchema)]
struct Meta {
    n_params: u64,
    n_ctx_train: u32,
    n_vocab: usize,
    /// Bytes of the files.
    size: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct Pair {
    guide: Option<OneModel>,
    target: OneModel,
}

#[derive(Debug, Serialize, ToSchema)]
struct OneModel {
    file: String,
    /// As people call it.
    description: String,
    #[serde(flatten)]
    meta: Meta,
}

impl Meta {
    fn of(facts: &ModelFacts) -> Self {
        let (n_params, size) = (facts.n_parameters(), facts.file_bytes());
        Self { n_params, n_ctx_train: facts.n_ctx_train, n_vocab: facts.n_vocab, size }
    }
}

impl OneModel {
    fn of(facts: &ModelFacts) -> Self {
        Self { file: facts.file_name.clone(), description: facts.description(), meta: Meta::of(facts) }
    }
}

#[utoipa::path(
    get, path = "/v1/models", tag = "openai",
    responses((status = 200, description = "the pair", body = ModelList)),
    security((), ("key" = [])),
)]
pub async fn models(State(app): State<App>) -> Result<Json<ModelList>, ApiError> {
    Ok(Json(ModelList { object: "list", data: [model(&app)?] }))
}

#[utoipa::path(
    get, path = "/v1/models/{model}", tag = "openai",
    params(("model" = String, Path, description = "the name of the pair")),
    responses(
        (status = 200, description = "the pair", body = Model),
        (status = 404, description = "another name", body = ErrorBody),
    ),
    security((), ("key" = [])),
)]
pub async fn one(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Model>, ApiError> {
    let model = model(&app)?;
    if model.id != name {
        let message = format!("there is no model {name}; there is {}", model.id);
        return Err(ApiError::new(StatusCode::NOT_FOUND, message));
    }
    Ok(Json(model))
}

fn model(app: &App) -> Result<Model, ApiError> {
    let facts = app.engine()?.facts();
    Ok(Model {
        id: app.model_name(),
        object: "model",
        created: 0,
        owned_by: "sgl",
        architecture: Architecture { input_modalities: ["text", "image"], output_modalities: ["text"] },
        meta: Meta::of(&facts.target),
        sgl: Pair { guide: facts.guide.as_ref().map(OneModel::of), target: OneModel::of(&facts.target) },
    })
}
