//! Choosing tokens: llama.cpp's samplers over one row of logits.

use super::model::Token;
use super::softmax::most_probable;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;

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

/// Draws tokens from logits.
pub struct Sampler {
    chain: Option<LlamaSampler>,
}

impl Sampler {
    /// A chain in llama.cpp's order: top-k, top-p, min-p, temperature, draw.
    pub fn new(options: &SamplingOptions) -> Self {
        if options.temperature <= 0.0 {
            return Self::greedy();
        }
        let steps = [
            LlamaSampler::top_k(options.top_k),
            LlamaSampler::top_p(options.top_p, 1),
            LlamaSampler::min_p(options.min_p, 1),
            LlamaSampler::temp(options.temperature),
            LlamaSampler::dist(options.seed),
        ];
        Self { chain: Some(LlamaSampler::chain_simple(steps)) }
    }

    /// Always the most probable token, the lowest id among equals.
    pub fn greedy() -> Self {
        Self { chain: None }
    }

    /// The next token for `logits` (`[n_vocab]`).
    pub fn sample(&mut self, logits: &[f32]) -> Token {
        let Some(chain) = &mut self.chain else { return most_probable(logits) };
        let candidate = |(token, &logit)| LlamaTokenData::new(LlamaToken(token), logit, 0.0);
        let mut candidates = LlamaTokenDataArray::from_iter((0..).zip(logits).map(candidate), false);
        candidates.apply_sampler(chain);
        let token = candidates.selected_token().map_or_else(|| most_probable(logits), |token| token.0);
        chain.accept(LlamaToken(token));
        token
    }
}
