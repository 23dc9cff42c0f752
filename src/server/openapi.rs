//! The OpenAPI document of the server, `docs/openapi.json`.

use super::handlers::{chat, health, metrics, models, props, tokenize};
use super::response::Chunk;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(title = "sgl", description = "Answers about pictures, by a guide and a target, as OpenAI's chat completions."),
    paths(
        chat::completions, models::models, models::one, health::health, props::props, metrics::metrics, tokenize::tokenize, tokenize::detokenize,
    ),
    components(schemas(Chunk)),
    modifiers(&Key),
)]
struct Document;

struct Key;

impl Modify for Key {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let key = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("key", key);
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
