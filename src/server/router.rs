//! Which handler answers what, and what all answers have in common.

use super::app::App;
use super::error::ApiError;
use super::handlers::{chat, health, metrics, models, other, props, tokenize};
use super::page;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use std::any::Any;
use std::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// All routes.
pub fn router(app: App) -> Router {
    let mut guarded = Router::new()
        .route("/v1/chat/completions", post(chat::completions))
        .route("/chat/completions", post(chat::completions))
        .route("/v1/models", get(models::models))
        .route("/v1/models/{model}", get(models::one))
        .route("/models", get(models::models))
        .route("/props", get(props::props))
        .route("/metrics", get(metrics::metrics))
        .route("/tokenize", post(tokenize::tokenize))
        .route("/detokenize", post(tokenize::detokenize));
    for path in other::NOT_IMPLEMENTED {
        guarded = guarded.route(path, any(other::not_implemented));
    }
    let open = Router::new()
        .route("/health", get(health::health))
        .route("/v1/health", get(health::health))
        .route("/openapi.json", get(other::document))
        .merge(page::routes());
    let cors = cors(&app.options().cors_origins);
    let routes = guarded
        .route_layer(middleware::from_fn_with_state(app.clone(), with_key))
        .merge(open)
        .fallback(other::not_found)
        .method_not_allowed_fallback(other::method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(app.clone(), counted))
        .with_state(app);
    match cors {
        Some(cors) => routes.layer(cors),
        None => routes,
    }
}

async fn with_key(State(app): State<App>, request: Request, next: Next) -> Result<Response, ApiError> {
    app.options().keys.check(request.headers())?;
    Ok(next.run(request).await)
}

/// Counts the answer and says in the log what was asked.
async fn counted(State(app): State<App>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let status = response.status();
    app.metrics().request(route.unwrap_or_else(|| "none".to_owned()), status.as_u16());
    tracing::info!("{method} {path} {} {:.1} ms", status.as_u16(), start.elapsed().as_secs_f64() * 1e3);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The hook for panics has told where.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    ApiError::internal().into_response()
}

fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| origin.parse().ok()))
    };
    let methods = [Method::GET, Method::POST];
    Some(CorsLayer::new().allow_origin(allowed).allow_methods(methods).allow_headers(AllowHeaders::mirror_request()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_panic_is_a_failure_like_others() {
        let broken = async || -> &'static str { panic!("broken") };
        let router = Router::<()>::new().route("/", get(broken)).layer(CatchPanicLayer::custom(panicked));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status().as_u16(), 500);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["error"]["type"], &body["error"]["code"]), (&"server_error".into(), &500.into()));
    }
}
