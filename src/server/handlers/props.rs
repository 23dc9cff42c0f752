//! `/props`: how the server answers where a request does not say.

use crate::server::app::{App, RequestLimits};
use crate::server::error::ApiError;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// As llama-server tells it, and the guidance.
#[derive(Debug, Serialize, ToSchema)]
pub struct Props {
    default_generation_settings: Generation,
    /// Requests that run at once.
    total_slots: usize,
    model_alias: String,
    modalities: Modalities,
    build_info: &'static str,
    sgl: Guidance,
}

#[derive(Debug, Serialize, ToSchema)]
struct Generation {
    params: Params,
}

#[derive(Debug, Serialize, ToSchema)]
struct Params {
    n_predict: usize,
    temperature: f32,
    top_k: i32,
    top_p: f32,
    min_p: f32,
    seed: u32,
}

#[derive(Debug, Serialize, ToSchema)]
struct Modalities {
    vision: bool,
    audio: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct Guidance {
    /// Whether there is a guide; without one nothing is pruned.
    guided: bool,
    /// As `--retain` takes it; null: all visual tokens.
    retain: Option<String>,
    /// Null: the guide's answer is never final.
    exit_threshold: Option<f64>,
    policy: String,
    max_pictures: usize,
    max_pixels: u64,
    max_body_bytes: usize,
    max_tokens: usize,
}

#[utoipa::path(
    get, path = "/props", tag = "server",
    responses((status = 200, description = "defaults", body = Props)),
    security((), ("key" = [])),
)]
pub async fn props(State(app): State<App>) -> Result<Json<Props>, ApiError> {
    app.engine()?;
    let options = app.options();
    let request = &options.defaults.request;
    let sampling = &request.sampling;
    let RequestLimits { max_body_bytes, max_tokens, .. } = options.limits;
    Ok(Json(Props {
        default_generation_settings: Generation {
            params: Params {
                n_predict: request.n_predict,
                temperature: sampling.temperature,
                top_k: sampling.top_k,
                top_p: sampling.top_p,
                min_p: sampling.min_p,
                seed: sampling.seed,
            },
        },
        total_slots: options.n_parallel,
        model_alias: app.model_name(),
        modalities: Modalities { vision: true, audio: false },
        build_info: concat!("sgl ", env!("CARGO_PKG_VERSION"), ", llama.cpp ", env!("SGL_LLAMA_VERSION")),
        sgl: Guidance {
            guided: options.defaults.has_guide,
            retain: request.retain.map(|retain| retain.to_string()),
            exit_threshold: request.exit.map(|exit| exit.threshold),
            policy: request.policy.to_string(),
            max_pictures: options.pictures.max_pictures,
            max_pixels: options.pictures.limits.max_pixels,
            max_body_bytes,
            max_tokens,
        },
    }))
}
