//! The OpenAPI document of the server, `docs/openapi.json`.

use super::error::ErrorBody;
use super::handlers::{chat, health, metrics, models, props, tokenize};
use super::response::Chunk;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(title = "sgl", description = "Answers about pictures, by a guide and a target, as OpenAI's chat completions."),
    paths(
        chat::completions, models::models, models::one, health::health, props::props, metrics::metrics, tokenize::tokenize, tokenize::detokenize,
    ),
    components(schemas(Chunk, ErrorBody)),
    modifiers(&Key, &Refusals),
)]
struct Document;

struct Key;

impl Modify for Key {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let key = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("key", key);
    }
}

/// What any route answers a request that does not get as far as its handler's own answers.
struct Refusals;

impl Modify for Refusals {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let paths = document.paths.paths.values_mut();
        paths.flat_map(|path| [&mut path.get, &mut path.post]).flatten().for_each(refuse);
    }
}

fn refuse(operation: &mut Operation) {
    let (has_key, has_body) = (operation.security.is_some(), operation.request_body.is_some());
    for (status, description, applies) in [
        ("401", "no or a wrong key", has_key),
        ("403", "asked by a name that is not the server's", true),
        ("408", "the body did not come in time", has_body),
        ("413", "the body or a picture is too large", has_body),
        ("415", "the body is not JSON", has_body),
        ("503", "models are being loaded, or the server ends", true),
    ] {
        if applies {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
            let response = ResponseBuilder::new().description(description).content("application/json", content);
            operation.responses.responses.insert(status.to_owned(), response.build().into());
        }
    }
}

/// What the routes take and give.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The document as it is committed.
pub fn text() -> String {
    let text = document().to_pretty_json().expect("the document is plain data");
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::request::ChatRequest;
    use serde_json::{Value, json};

    #[test]
    fn what_is_documented_is_read() {
        let document: Value = serde_json::from_str(&text()).unwrap();
        let schema = &document["components"]["schemas"]["ChatCompletionRequest"];
        let names = schema["properties"].as_object().unwrap().keys();
        // No field takes a list of lists, so each that is read is refused.
        for name in names.filter(|name| *name != "model") {
            let mut body = json!({"messages": [{"role": "user", "content": "x"}]});
            body[name] = json!([[1]]);
            let error = ChatRequest::parse(body.to_string().as_bytes()).unwrap_err();
            let param = error.param.unwrap_or_default();
            assert!(param == *name || param.starts_with(&format!("{name}[")), "{name}: {param}");
        }
    }
}
