//! `/tokenize` and `/detokenize`, as llama-server has them.

use super::chat::blocking;
use crate::engine::Engine;
use crate::llama::Token;
use crate::server::app::App;
use crate::server::error::{ApiError, ErrorBody};
use crate::server::request::{DetokenizeRequest, TokenizeRequest};
use crate::server::schema;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

/// A text in tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tokens {
    tokens: Vec<TokenOf>,
}

/// A number, or with `with_pieces` a number and a text.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum TokenOf {
    Id(Token),
    Piece { id: Token, piece: Piece },
}

/// Text, or bytes where they are no UTF-8.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Piece {
    Text(String),
    Bytes(Vec<u8>),
}

/// Tokens in a text.
#[derive(Debug, Serialize, ToSchema)]
pub struct Content {
    content: String,
}

#[utoipa::path(
    post, path = "/tokenize", tag = "server", request_body = schema::Tokenize,
    responses(
        (status = 200, description = "tokens", body = Tokens),
        (status = 400, description = "a field is wrong", body = ErrorBody),
        (status = 429, description = "too many requests at once", body = ErrorBody),
    ),
    security((), ("key" = [])),
)]
pub async fn tokenize(State(app): State<App>, headers: HeaderMap, body: Body) -> Result<Json<Tokens>, ApiError> {
    understood(app, headers, body, |engine, body| {
        let asked = TokenizeRequest::parse(body)?;
        let tokens = engine.tokenize(asked.role, &asked.content, asked.parse_special).ok_or_else(no_guide)?;
        let with_piece = |id| {
            let bytes = engine.detokenize(asked.role, &[id]).unwrap_or_default();
            let piece = String::from_utf8(bytes).map_or_else(|error| Piece::Bytes(error.into_bytes()), Piece::Text);
            TokenOf::Piece { id, piece }
        };
        let token = |id| if asked.with_pieces { with_piece(id) } else { TokenOf::Id(id) };
        Ok(Tokens { tokens: tokens.into_iter().map(token).collect() })
    })
    .await
}

#[utoipa::path(
    post, path = "/detokenize", tag = "server", request_body = schema::Detokenize,
    responses(
        (status = 200, description = "text", body = Content),
        (status = 400, description = "a field is wrong", body = ErrorBody),
        (status = 429, description = "too many requests at once", body = ErrorBody),
    ),
    security((), ("key" = [])),
)]
pub async fn detokenize(State(app): State<App>, headers: HeaderMap, body: Body) -> Result<Json<Content>, ApiError> {
    understood(app, headers, body, |engine, body| {
        let DetokenizeRequest { tokens, role } = DetokenizeRequest::parse(body)?;
        let bytes = engine.detokenize(role, &tokens).ok_or_else(no_guide)?;
        Ok(Content { content: String::from_utf8_lossy(&bytes).into_owned() })
    })
    .await
}

/// What is made of a body, which has a place as those of chats have: texts of megabytes take their time.
async fn understood<T: Send + 'static>(
    app: App,
    headers: HeaderMap,
    body: Body,
    work: impl FnOnce(&Engine, &[u8]) -> Result<T, ApiError> + Send + 'static,
) -> Result<Json<T>, ApiError> {
    app.engine()?;
    let admission = app.admit()?;
    let body = app.body(&headers, body).await?;
    let work = move || {
        let _held = admission;
        work(app.engine()?, &body)
    };
    blocking(work).await?.map(Json)
}

fn no_guide() -> ApiError {
    ApiError::field("role", "this server has no guide; leave role out")
}
