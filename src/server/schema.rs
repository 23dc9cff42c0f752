//! What bodies look like, for the OpenAPI document. [`super::request`] reads them, and a test holds the two together.
#![allow(dead_code, reason = "described, never made")]

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// As OpenAI takes it. Unknown fields are ignored.
#[derive(Serialize, ToSchema)]
pub struct ChatCompletionRequest {
    /// Any name: there is one pair.
    #[schema(required = false)]
    model: Option<String>,
    #[schema(min_items = 1)]
    messages: Vec<ChatMessage>,
    /// Send the answer as it comes.
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    /// Most tokens of the answer; comes before `max_tokens`.
    #[schema(minimum = 1)]
    max_completion_tokens: Option<u32>,
    #[schema(minimum = 1)]
    max_tokens: Option<u32>,
    /// 0 is always the most probable token.
    #[schema(minimum = 0)]
    temperature: Option<f64>,
    #[schema(exclusive_minimum = 0, maximum = 1)]
    top_p: Option<f64>,
    /// 0 and -1 are all.
    #[schema(minimum = -1, maximum = 2147483647)]
    top_k: Option<i64>,
    #[schema(minimum = 0, maximum = 1)]
    min_p: Option<f64>,
    /// Its lower 32 bits count.
    seed: Option<i64>,
    /// Texts that end the answer.
    stop: Option<Stop>,
    logprobs: Option<bool>,
    /// Only with `logprobs`.
    #[schema(minimum = 0, maximum = 20)]
    top_logprobs: Option<u32>,
    response_format: Option<ResponseFormat>,
    /// One.
    #[schema(minimum = 1, maximum = 1)]
    n: Option<u32>,
    /// In a stream, tell how far the models are in the prompt.
    return_progress: Option<bool>,
    sgl: Option<Sgl>,
}

/// An event of a stream.
#[derive(Serialize, ToSchema)]
pub struct ServerSentEvent {
    /// A [`Chunk`](super::response::Chunk) as JSON, an [`ErrorBody`](super::ErrorBody) as JSON, or `[DONE]`.
    data: String,
}

/// A turn.
#[derive(Serialize, ToSchema)]
struct ChatMessage {
    role: ChatRole,
    content: MessageContent,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ChatRole {
    System,
    Developer,
    User,
    Assistant,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum MessageContent {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ContentPart {
    Text {
        text: String,
    },
    /// In messages of the user.
    ImageUrl {
        image_url: ImageUrl,
    },
}

#[derive(Serialize, ToSchema)]
struct ImageUrl {
    /// A data URL, base64, `file://NAME` under the folder for media, or a web address where those are fetched.
    url: String,
    detail: Option<DetailLevel>,
}

/// `low`: 85 visual tokens of each picture are read. `high`: all. `auto`: what the server retains. The highest one of a request
/// counts for all of its pictures, and `sgl.retain` comes before it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum DetailLevel {
    Low,
    High,
    Auto,
}

#[derive(Serialize, ToSchema)]
struct StreamOptions {
    /// End with what was used.
    include_usage: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Stop {
    One(String),
    Several(Vec<String>),
}

#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat {
    Text,
    JsonObject,
    JsonSchema { json_schema: NamedSchema },
}

#[derive(Serialize, ToSchema)]
struct NamedSchema {
    name: Option<String>,
    strict: Option<bool>,
    /// A JSON schema of the kinds that docs/server.md lists.
    #[schema(value_type = Object)]
    schema: Value,
}

/// What the guidance is to be for this request.
#[derive(Serialize, ToSchema)]
struct Sgl {
    /// How many visual tokens the target reads; null: all.
    retain: Option<Retention>,
    /// The score from which the guide's answer is final; null: never.
    #[schema(minimum = 0, maximum = 1)]
    exit_threshold: Option<f64>,
    /// What ranks visual tokens, as `--policy` takes it.
    policy: Option<String>,
    explain: Option<ExplainForm>,
}

/// A share up to 1, a whole number of tokens, or a text as `--retain` takes it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Retention {
    Number(f64),
    Text(String),
}

/// `true` and `image`: heat maps; `tokens`: rectangles and values.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum ExplainForm {
    Switch(bool),
    Form(ExplainName),
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ExplainName {
    Image,
    Tokens,
}

/// A text to cut into tokens.
#[derive(Serialize, ToSchema)]
pub struct Tokenize {
    content: String,
    /// Whether the names of special tokens stand for them.
    #[schema(default = true)]
    parse_special: Option<bool>,
    with_pieces: Option<bool>,
    role: Option<ModelRole>,
}

/// Tokens to put together.
#[derive(Serialize, ToSchema)]
pub struct Detokenize {
    #[schema(value_type = Vec<u32>)]
    tokens: Vec<i32>,
    role: Option<ModelRole>,
}

/// Whose vocabulary.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ModelRole {
    Target,
    Guide,
}
