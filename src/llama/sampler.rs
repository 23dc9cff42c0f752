//! Choosing tokens: llama.cpp's samplers over one row of logits, and grammars.

use super::model::Token;
use super::softmax::most_probable;
use super::{LlamaError, Model, backend};
use crate::grammar::Grammar;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How the target's tokens are drawn (`--temp`, `--top-k`, `--top-p`, `--min-p`, `--seed`).
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingOptions {
    /// 0: always the most probable token.
    pub temperature: f32,
    /// Only the k most probable; 0: all.
    pub top_k: i32,
    /// Smallest set holding this probability; 1: all.
    pub top_p: f32,
    /// At least this share of the best token's probability; 0: all.
    pub min_p: f32,
    /// Seed of the draw.
    pub seed: u32,
}

impl Default for SamplingOptions {
    fn default() -> Self {
        Self { temperature: 0.0, top_k: 40, top_p: 0.95, min_p: 0.05, seed: 0 }
    }
}

/// Temperatures below are 0.
const LEAST_TEMPERATURE: f32 = 1e-6;
/// Time that following a grammar may take in one answer, and more for each of its tokens.
const GRAMMAR_TIME: Duration = Duration::from_secs(60);
const GRAMMAR_TIME_PER_TOKEN: Duration = Duration::from_millis(100);

/// Draws tokens from logits.
pub struct Sampler {
    chain: Option<LlamaSampler>,
    grammar: Option<LlamaSampler>,
    /// What following the grammar may still take.
    grammar_time: Duration,
    /// Whose vocabulary the grammar points at.
    _model: Option<Arc<Model>>,
}

impl Sampler {
    /// A chain in llama.cpp's order: top-k, top-p, min-p, temperature, draw.
    pub fn new(options: &SamplingOptions) -> Self {
        // Below that, logits over the temperature leave the range of floats.
        if options.temperature < LEAST_TEMPERATURE {
            return Self::greedy();
        }
        let steps = [
            LlamaSampler::top_k(options.top_k),
            LlamaSampler::top_p(options.top_p, 1),
            LlamaSampler::min_p(options.min_p, 1),
            LlamaSampler::temp(options.temperature),
            LlamaSampler::dist(options.seed),
        ];
        Self { chain: Some(LlamaSampler::chain_simple(steps)), ..Self::greedy() }
    }

    /// Always the most probable token, the lowest id among equals.
    pub fn greedy() -> Self {
        Self { chain: None, grammar: None, grammar_time: GRAMMAR_TIME, _model: None }
    }

    /// Allows only what continues a text of `grammar`. llama.cpp: `llama_sampler_init_grammar`.
    ///
    /// # Errors
    /// [`LlamaError::Grammar`] when llama.cpp cannot read the grammar.
    pub fn with_grammar(self, model: &Arc<Model>, grammar: &Grammar) -> Result<Self, LlamaError> {
        backend::forget_errors();
        let grammar = LlamaSampler::grammar(model.inner(), grammar.text(), "root")
            .map_err(|error| LlamaError::Grammar { reason: format!("{error} ({})", backend::logged_reason()) })?;
        Ok(Self { grammar: Some(grammar), _model: Some(model.clone()), ..self })
    }

    /// The next token for `logits` (`[n_vocab]`), accepted as such.
    ///
    /// Under a grammar the token is drawn freely first, and drawn again among the allowed ones if it is not: looking at one token
    /// is cheap, looking at a whole vocabulary is not.
    ///
    /// # Errors
    /// [`LlamaError::Grammar`] when the grammar allows no token of this vocabulary, or following it takes too long.
    pub fn sample(&mut self, logits: &[f32]) -> Result<Token, LlamaError> {
        let mut token = draw(&mut self.chain, logits);
        if let Some(grammar) = &mut self.grammar {
            let start = Instant::now();
            if !allows(grammar, token) {
                token = draw(&mut self.chain, &allowed(grammar, logits));
            }
            // llama.cpp ends the process when it is told of a token that the grammar forbids.
            if !allows(grammar, token) {
                return Err(LlamaError::Grammar { reason: "no token of the model continues the text".to_owned() });
            }
            grammar.accept(LlamaToken(token));
            self.grammar_time = (self.grammar_time + GRAMMAR_TIME_PER_TOKEN).saturating_sub(start.elapsed());
            if self.grammar_time.is_zero() {
                let reason =
                    "its alternatives are too many to follow; have them begin differently, and not contain each other";
                return Err(LlamaError::Grammar { reason: reason.to_owned() });
            }
        }
        if let Some(chain) = &mut self.chain {
            chain.accept(LlamaToken(token));
        }
        Ok(token)
    }
}

fn draw(chain: &mut Option<LlamaSampler>, logits: &[f32]) -> Token {
    let Some(chain) = chain else { return most_probable(logits) };
    let mut candidates = candidates(logits);
    candidates.apply_sampler(chain);
    candidates.selected_token().map_or_else(|| most_probable(logits), |token| token.0)
}

fn candidates(logits: &[f32]) -> LlamaTokenDataArray {
    let candidate = |(token, &logit)| LlamaTokenData::new(LlamaToken(token), logit, 0.0);
    LlamaTokenDataArray::from_iter((0..).zip(logits).map(candidate), false)
}

/// The logits that the grammar leaves, negative infinity for the rest.
fn allowed(grammar: &mut LlamaSampler, logits: &[f32]) -> Vec<f32> {
    let mut candidates = candidates(logits);
    candidates.apply_sampler(grammar);
    candidates.data.iter().map(LlamaTokenData::logit).collect() // still in the order of ids
}

fn allows(grammar: &mut LlamaSampler, token: Token) -> bool {
    let mut one = LlamaTokenDataArray::new(vec![LlamaTokenData::new(LlamaToken(token), 0.0, 0.0)], false);
    one.apply_sampler(grammar);
    one.data.first().is_some_and(|one| one.logit() > f32::NEG_INFINITY)
}

#[cfg(test)]
mod tests {
    use super::super::ModelOptions;
    use super::*;
    use serde_json::{Value, json};
    use std::path::Path;

    fn model() -> Arc<Model> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/guide.gguf");
        Model::load(&path, ModelOptions { n_gpu_layers: Some(0), ..ModelOptions::default() }).unwrap()
    }

    /// Whether a grammar allows a text, token by token, and its end.
    fn allows_text(model: &Arc<Model>, grammar: &Grammar, text: &str) -> bool {
        let mut sampler = Sampler::greedy().with_grammar(model, grammar).unwrap();
        let grammar = sampler.grammar.as_mut().unwrap();
        let end = (0..model.n_vocab() as Token).find(|&token| model.is_end(token)).unwrap();
        let tokens = model.tokenize(text);
        let told: Vec<u8> = tokens.iter().flat_map(|&token| model.piece(token)).collect();
        assert_eq!(String::from_utf8(told).unwrap(), text, "the vocabulary can say it");
        tokens.into_iter().chain([end]).all(|token| {
            let is_allowed = allows(grammar, token);
            if is_allowed {
                grammar.accept(LlamaToken(token));
            }
            is_allowed
        })
    }

    #[track_caller]
    fn check(model: &Arc<Model>, schema: Value, valid: &[&str], other: &[&str]) {
        let grammar = Grammar::json_schema(&schema).unwrap();
        for text in valid {
            assert!(allows_text(model, &grammar, text), "{schema} allows {text}\n{}", grammar.text());
        }
        for text in other {
            assert!(!allows_text(model, &grammar, text), "{schema} forbids {text}\n{}", grammar.text());
        }
    }

    #[test]
    fn schemas_allow_their_documents_and_nothing_else() {
        let model = model();
        check(
            &model,
            json!({
                "type": "object",
                "properties": {
                    "b": {"type": "string", "description": "first"},
                    "a": {"type": "integer", "minimum": 0},
                    "c": {"type": ["number", "null"]},
                },
                "required": ["a"],
                "additionalProperties": false,
            }),
            &[r#"{"a": 1}"#, r#"{"b":"x","a":20}"#, r#"{"b": "", "a": 0, "c": null}"#, r#"{"a":1,"c":-2.5e3}"#],
            &[
                r#"{}"#,
                r#"{"a":-1}"#,
                r#"{"a":1,"b":"x"}"#,
                r#"{"a":1,"d":2}"#,
                r#"{"a":01}"#,
                r#"{"a":1"#,
                r#"{"b":"x",}"#,
            ],
        );
        check(
            &model,
            json!({"type": "object", "properties": {"a": {"type": "boolean"}, "b": {"type": "null"}}}),
            &["{}", r#"{"a":true}"#, r#"{"b":null}"#, r#"{"a":false,"b":null}"#],
            &[r#"{"b":null,"a":true}"#, r#"{,"a":true}"#],
        );
        check(
            &model,
            json!({"type": "array", "items": {"enum": ["red", 7, null]}, "minItems": 1, "maxItems": 2}),
            &[r#"["red"]"#, "[7, null]"],
            &["[]", r#"["green"]"#, "[7,7,7]"],
        );
        check(&model, json!({"type": "array", "maxItems": 0}), &["[]"], &["[1]"]);
        check(&model, json!({"type": "array", "items": {"type": "integer"}}), &["[]", "[1,2,3]"], &["[,]", "[1,]"]);
        check(
            &model,
            json!({"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": {"type": "null"}, "minItems": 3}),
            &[r#"["a",1,null]"#, r#"["a",1,null,null]"#],
            &[r#"["a",1]"#, r#"[1,"a",null]"#],
        );
        check(
            &model,
            json!({"type": "string", "minLength": 2, "maxLength": 3}),
            &[r#""ab""#, r#""a\n1""#],
            &[r#""a""#, r#""abcd""#],
        );
        check(
            &model,
            json!({"type": "string", "format": "date"}),
            &[r#""2026-11-27""#],
            &[r#""2026-13-27""#, r#""today""#],
        );
        check(&model, json!({"const": {"a": "\"\\\n"}}), &[r#"{"a":"\"\\\n"}"#], &["{}"]);
        check(
            &model,
            json!({
                "$defs": {"tree": {"type": "object", "properties": {"of": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}},
                "anyOf": [{"$ref": "#/$defs/tree"}, {"type": "integer"}],
            }),
            &[r#"{"of":[{},{"of":[]}]}"#, "12"],
            &[r#"{"of":[1]}"#],
        );
        check(
            &model,
            json!({"type": "object", "additionalProperties": {"type": "integer"}}),
            &["{}", r#"{"x":1,"y":2}"#],
            &[r#"{"x":""}"#],
        );
        check(&model, json!({}), &["1", r#"{"x":[true]}"#], &["x"]);
        assert!(allows_text(&model, &Grammar::json_object(), r#"{"a": {"b": [1, "x"]}}"#));
        assert!(!allows_text(&model, &Grammar::json_object(), "[]"));
    }

    #[test]
    fn what_is_no_grammar_is_an_error() {
        let model = model();
        let looped = json!({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}}, "$ref": "#/$defs/a"});
        let looped = Grammar::json_schema(&json!({"$defs": looped["$defs"], "$ref": "#/$defs/a"})).unwrap();
        for grammar in [
            Grammar::gbnf("root ::= ("),
            Grammar::gbnf(""),
            Grammar::gbnf("other ::= \"a\""),
            Grammar::gbnf("a\0"),
            looped,
        ] {
            let error = Sampler::greedy().with_grammar(&model, &grammar).map(|_| ()).unwrap_err();
            assert!(matches!(error, LlamaError::Grammar { .. }), "{error}");
        }
    }

    #[test]
    fn a_grammar_that_allows_nothing_more_is_an_error() {
        let model = model();
        let mut logits = vec![0.0; model.n_vocab()];
        let a = model.tokenize("a")[0];
        let mut sampler = Sampler::greedy().with_grammar(&model, &Grammar::gbnf("root ::= \"a\"")).unwrap();
        assert_eq!(sampler.sample(&logits).unwrap(), a);
        assert!(model.is_end(sampler.sample(&logits).unwrap()));
        logits.iter_mut().for_each(|logit| *logit = f32::NEG_INFINITY);
        assert!(sampler.sample(&logits).is_err());
        assert!(
            Sampler::new(&SamplingOptions { temperature: 1.0, ..SamplingOptions::default() }).sample(&logits).is_ok()
        );
    }

    #[test]
    fn ways_to_go_on_do_not_multiply_without_end() {
        let model = model();
        let list =
            |most: &Value| json!({"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 1, "maxItems": most});
        let schema = json!({"$defs": {"a": {"anyOf": [list(&json!(8)), list(&json!(9))]}}, "$ref": "#/$defs/a"});
        let mut sampler = Sampler::greedy().with_grammar(&model, &Grammar::json_schema(&schema).unwrap()).unwrap();
        let grammar = sampler.grammar.as_mut().unwrap();
        // Each list may be of either kind, so that there are 2^40 ways here.
        for token in model.tokenize(&"[".repeat(40)) {
            assert!(allows(grammar, token));
            grammar.accept(LlamaToken(token));
        }
        let other = model.tokenize("]")[0];
        assert!(!allows(grammar, other), "a list has an item");
    }

    #[test]
    fn a_look_at_all_tokens_ends_where_alternatives_are_many() {
        let model = model();
        let list = json!({"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 1});
        let schema = json!({"$defs": {"a": {"anyOf": vec![list; 300]}}, "$ref": "#/$defs/a"});
        let mut sampler = Sampler::greedy().with_grammar(&model, &Grammar::json_schema(&schema).unwrap()).unwrap();
        // The most probable token is forbidden, so all are looked at.
        let mut logits = vec![0.0; model.n_vocab()];
        logits[model.tokenize("a")[0] as usize] = 9.0;
        for _ in 0..3 {
            let token = sampler.sample(&logits).unwrap();
            let text = String::from_utf8(model.piece(token)).unwrap();
            assert!(text.trim().chars().all(|c| c == '['), "{text:?}");
        }
    }

    #[test]
    fn the_least_temperatures_are_none() {
        let logits = [1.0, 40.0, 39.0, 38.0];
        for temperature in [f32::MIN_POSITIVE, 1e-40, 1e-7, 1e-6] {
            let mut sampler = Sampler::new(&SamplingOptions { temperature, ..SamplingOptions::default() });
            assert_eq!(sampler.sample(&logits).unwrap(), 1, "{temperature}");
        }
    }

    #[test]
    fn under_a_grammar_tokens_are_drawn_by_their_share_of_what_is_allowed() {
        let model = model();
        let (a, b, c) = (model.tokenize("a")[0], model.tokenize("b")[0], model.tokenize("c")[0]);
        let mut logits = vec![-20.0; model.n_vocab()];
        logits[c as usize] = 3.0;
        logits[a as usize] = 1.0;
        logits[b as usize] = 0.0;
        let n = 2000;
        let drawn = (0..n).filter(|&seed| {
            let options = SamplingOptions { temperature: 1.0, top_p: 1.0, top_k: 0, min_p: 0.0, seed };
            let sampler = Sampler::new(&options).with_grammar(&model, &Grammar::gbnf("root ::= \"a\" | \"b\""));
            let token = sampler.unwrap().sample(&logits).unwrap();
            assert!(token == a || token == b);
            token == a
        });
        let share = drawn.count() as f64 / f64::from(n);
        let expected = 1.0 / (1.0 + (-1.0f64).exp());
        assert!((share - expected).abs() < 0.04, "{share} {expected}");
    }
}
