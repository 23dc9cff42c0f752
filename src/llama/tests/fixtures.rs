//! Tiny text models with random F32 weights, one for each way in which llama.cpp computes attention.
//!
//! `feature` turns what the model is here for on or off, all weights being equal otherwise.

use crate::gguf::fixture::Fixture;
use crate::llama::{Model, ModelOptions};
use std::sync::Arc;

/// Width of the residual stream, of the feed-forward layers and of one head; number of tokens.
const WIDTH: u64 = 128;
const INNER: u64 = 64;
const HEAD: u64 = 32;
const VOCABULARY: u64 = 64;

/// Names and dimensions of tensors.
type Tensors<'a> = &'a [(&'a str, &'a [u64])];

/// Gated feed-forward layer.
const FEED_FORWARD: Tensors = &[
    ("ffn_norm.weight", &[WIDTH]),
    ("ffn_gate.weight", &[WIDTH, INNER]),
    ("ffn_up.weight", &[WIDTH, INNER]),
    ("ffn_down.weight", &[INNER, WIDTH]),
];

/// Tiny model under construction.
pub struct Tiny {
    architecture: &'static str,
    fixture: Fixture,
    random: fastrand::Rng,
}

impl Tiny {
    /// A model with a layer for each entry of `heads` and `kv_heads`.
    fn new(architecture: &'static str, heads: &[i32], kv_heads: &[i32]) -> Self {
        let fixture = Fixture::new().text("general.architecture", architecture).text("tokenizer.ggml.model", "none");
        let random = fastrand::Rng::with_seed(7);
        Self { architecture, fixture, random }
            .number("vocab_size", VOCABULARY as u32)
            .number("context_length", 1024)
            .number("embedding_length", WIDTH as u32)
            .number("feed_forward_length", INNER as u32)
            .number("block_count", heads.len() as u32)
            .numbers("attention.head_count", heads)
            .numbers("attention.head_count_kv", kv_heads)
            .real("attention.layer_norm_epsilon", 1e-5)
            .real("attention.layer_norm_rms_epsilon", 1e-5)
            .tensors(&[("token_embd.weight", &[WIDTH, VOCABULARY])])
    }

    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn number(self, key: &str, value: u32) -> Self {
        let key = self.key(key);
        Self { fixture: self.fixture.number(&key, value), ..self }
    }

    fn real(self, key: &str, value: f32) -> Self {
        let key = self.key(key);
        Self { fixture: self.fixture.real(&key, value), ..self }
    }

    fn numbers(self, key: &str, values: &[i32]) -> Self {
        let key = self.key(key);
        Self { fixture: self.fixture.numbers(&key, values), ..self }
    }

    /// A tensor whose elements are drawn evenly from `center - spread..center + spread`.
    fn tensor(mut self, name: &str, dims: &[u64], center: f32, spread: f32) -> Self {
        let value = |_| center + spread * (2.0 * self.random.f32() - 1.0);
        let data = (0..dims.iter().product::<u64>()).map(value).flat_map(f32::to_le_bytes).collect();
        Self { fixture: self.fixture.tensor_of(name, dims, 0, data), ..self }
    }

    /// Norms above one, other vectors around zero, matrices that make vectors longer by the same factor.
    fn tensors(self, tensors: Tensors) -> Self {
        tensors.iter().fold(self, |tiny, &(name, dims)| match dims {
            [_] if name.ends_with("norm.weight") => tiny.tensor(name, dims, 1.3, 0.3),
            [n_in, _, ..] => tiny.tensor(name, dims, 0.0, 1.3 * (3.0 / *n_in as f32).sqrt()),
            _ => tiny.tensor(name, dims, 0.0, 1.0),
        })
    }

    fn layer(self, layer: usize, tensors: Tensors) -> Self {
        tensors.iter().fold(self, |tiny, (name, dims)| tiny.tensors(&[(&format!("blk.{layer}.{name}"), dims)]))
    }

    /// Separate Q, K, V and output matrices with their norm.
    fn attention(self, layer: usize, heads: u64, kv_heads: u64, head: u64) -> Self {
        self.layer(
            layer,
            &[
                ("attn_norm.weight", &[WIDTH]),
                ("attn_q.weight", &[WIDTH, heads * head]),
                ("attn_k.weight", &[WIDTH, kv_heads * head]),
                ("attn_v.weight", &[WIDTH, kv_heads * head]),
                ("attn_output.weight", &[heads * head, WIDTH]),
            ],
        )
    }

    /// The norms of single heads of Q and K, around `center`.
    fn head_norms(self, layer: usize, head: u64, center: f32) -> Self {
        ["attn_q_norm", "attn_k_norm"]
            .iter()
            .fold(self, |tiny, name| tiny.tensor(&format!("blk.{layer}.{name}.weight"), &[head], center, 0.2 * center))
    }

    pub fn load(self) -> Arc<Model> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), self.fixture.bytes()).unwrap();
        Model::load(file.path(), ModelOptions { n_gpu_layers: Some(0), ..ModelOptions::default() }).unwrap()
    }
}

/// Norms behind attention and feed-forward layer.
const POST_NORMS: Tensors = &[("post_attention_norm.weight", &[WIDTH]), ("post_ffw_norm.weight", &[WIDTH])];

/// Tokens that a layer with a sliding window sees.
pub const WINDOW: u32 = 48;

/// Soft-capped attention; every other layer (from 0) with a sliding window and a cache of its own.
pub fn gemma2(feature: bool) -> Tiny {
    let tiny = Tiny::new("gemma2", &[4; 3], &[2; 3])
        .number("attention.sliding_window", WINDOW)
        .real("attn_logit_softcapping", if feature { 2.0 } else { 1000.0 })
        .tensors(&[("output_norm.weight", &[WIDTH])]);
    (0..3)
        .fold(tiny, |tiny, layer| tiny.attention(layer, 4, 2, HEAD).layer(layer, FEED_FORWARD).layer(layer, POST_NORMS))
}

/// Norms of single heads; layers 0 and 1 with a sliding window.
pub fn gemma3(_: bool) -> Tiny {
    let tiny = Tiny::new("gemma3", &[4; 3], &[2; 3])
        .number("attention.sliding_window", WINDOW)
        .number("attention.sliding_window_pattern", 3)
        .tensors(&[("output_norm.weight", &[WIDTH])]);
    (0..3).fold(tiny, |tiny, layer| {
        tiny.attention(layer, 4, 2, HEAD)
            .head_norms(layer, HEAD, 1.3)
            .layer(layer, FEED_FORWARD)
            .layer(layer, POST_NORMS)
    })
}

/// Layers 0 and 2 with a sliding window and smaller heads; 2 and 3 read the caches of 0 and 1.
pub fn gemma4(_: bool) -> Tiny {
    let tiny = Tiny::new("gemma4", &[4; 4], &[2; 4])
        .number("attention.sliding_window", WINDOW)
        .numbers("attention.sliding_window_pattern", &[1, 0, 1, 0])
        .number("attention.shared_kv_layers", 2)
        .number("attention.key_length", 4 * HEAD as u32)
        .number("attention.value_length", 4 * HEAD as u32)
        .number("attention.key_length_swa", 2 * HEAD as u32)
        .number("attention.value_length_swa", 2 * HEAD as u32)
        .number("rope.dimension_count_swa", 2 * HEAD as u32)
        .number("embedding_length_per_layer_input", 0)
        .tensors(&[("output_norm.weight", &[WIDTH])])
        .tensor("rope_freqs.weight", &[2 * HEAD], 2.0, 0.5);
    (0..4).fold(tiny, |tiny, layer| {
        let head = if layer % 2 == 0 { 2 * HEAD } else { 4 * HEAD };
        tiny.attention(layer, 4, 2, head)
            .head_norms(layer, head, 0.4)
            .layer(layer, FEED_FORWARD)
            .layer(layer, POST_NORMS)
    })
}

/// Attention sinks, experts; every other layer (from 0) with a sliding window.
pub fn gpt_oss(feature: bool) -> Tiny {
    let n_experts = 2;
    let tiny = Tiny::new("gpt-oss", &[4; 3], &[2; 3])
        .number("attention.sliding_window", WINDOW)
        .number("expert_count", n_experts as u32)
        .number("expert_used_count", n_experts as u32)
        .number("expert_feed_forward_length", INNER as u32)
        .tensors(&[("output_norm.weight", &[WIDTH]), ("output.weight", &[WIDTH, VOCABULARY])]);
    (0..3).fold(tiny, |tiny, layer| {
        let sinks = if feature { 7.0 } else { -50.0 };
        tiny.attention(layer, 4, 2, HEAD).tensor(&format!("blk.{layer}.attn_sinks.weight"), &[4], sinks, 1.0).layer(
            layer,
            &[
                ("attn_output.bias", &[WIDTH]),
                ("post_attention_norm.weight", &[WIDTH]),
                ("ffn_gate_inp.weight", &[WIDTH, n_experts]),
                ("ffn_gate_inp.bias", &[n_experts]),
                ("ffn_gate_exps.weight", &[WIDTH, INNER, n_experts]),
                ("ffn_gate_exps.bias", &[INNER, n_experts]),
                ("ffn_up_exps.weight", &[WIDTH, INNER, n_experts]),
                ("ffn_up_exps.bias", &[INNER, n_experts]),
                ("ffn_down_exps.weight", &[INNER, WIDTH, n_experts]),
                ("ffn_down_exps.bias", &[WIDTH, n_experts]),
            ],
        )
    })
}

/// ALiBi, the only trace of positions; Q, K and V from one matrix.
pub fn mpt(feature: bool) -> Tiny {
    let tiny = Tiny::new("mpt", &[4; 3], &[4; 3])
        .real("attention.max_alibi_bias", if feature { 8.0 } else { 0.0 })
        .tensors(&[("output_norm.weight", &[WIDTH])]);
    (0..3).fold(tiny, |tiny, layer| {
        tiny.layer(
            layer,
            &[
                ("attn_norm.weight", &[WIDTH]),
                ("attn_qkv.weight", &[WIDTH, 3 * WIDTH]),
                ("attn_output.weight", &[WIDTH, WIDTH]),
                ("ffn_norm.weight", &[WIDTH]),
                ("ffn_up.weight", &[WIDTH, INNER]),
                ("ffn_down.weight", &[INNER, WIDTH]),
            ],
        )
    })
}

/// M-RoPE; without the feature only time counts.
pub fn qwen2vl(feature: bool) -> Tiny {
    let sections = if feature { [4, 6, 6, 0] } else { [16, 0, 0, 0] };
    let tiny = Tiny::new("qwen2vl", &[4; 3], &[2; 3])
        .numbers("rope.dimension_sections", &sections)
        .tensors(&[("output_norm.weight", &[WIDTH])]);
    (0..3).fold(tiny, |tiny, layer| tiny.attention(layer, 4, 2, HEAD).layer(layer, FEED_FORWARD))
}

/// Interleaved M-RoPE; embedding rows that hold the inputs of the first two layers behind each other.
pub fn qwen3vl(_: bool) -> Tiny {
    let tiny = Tiny::new("qwen3vl", &[4; 3], &[2; 3])
        .numbers("rope.dimension_sections", &[6, 5, 5, 0])
        .number("n_deepstack_layers", 2)
        .tensors(&[("output_norm.weight", &[WIDTH])]);
    (0..3).fold(tiny, |tiny, layer| {
        tiny.attention(layer, 4, 2, HEAD).head_norms(layer, HEAD, 1.3).layer(layer, FEED_FORWARD)
    })
}

/// Another number of heads in every layer.
pub fn openelm(_: bool) -> Tiny {
    let (heads, kv_heads) = ([4, 2, 6], [2, 1, 3]);
    let tiny = Tiny::new("openelm", &heads, &kv_heads).tensors(&[("output_norm.weight", &[WIDTH])]);
    (0..3).fold(tiny, |tiny, layer| {
        let (heads, kv_heads) = (heads[layer] as u64, kv_heads[layer] as u64);
        tiny.layer(
            layer,
            &[
                ("attn_norm.weight", &[WIDTH]),
                ("attn_qkv.weight", &[WIDTH, (heads + 2 * kv_heads) * HEAD]),
                ("attn_output.weight", &[heads * HEAD, WIDTH]),
            ],
        )
        .head_norms(layer, HEAD, 1.3)
        .layer(layer, FEED_FORWARD)
    })
}

/// Short convolutions in layers 0 and 2, attention in 1 and 3; with the feature through a sliding window.
pub fn lfm2(feature: bool) -> Tiny {
    let kv_heads = [0, 2, 0, 2];
    let tiny = Tiny::new("lfm2", &[4; 4], &kv_heads)
        .number("attention.sliding_window", if feature { WINDOW } else { 0 })
        .number("shortconv.l_cache", 3)
        .tensors(&[("token_embd_norm.weight", &[WIDTH])]);
    (0..4).fold(tiny, |tiny, layer| {
        let tiny = tiny.layer(layer, FEED_FORWARD);
        if kv_heads[layer] > 0 {
            return tiny.attention(layer, 4, 2, HEAD).head_norms(layer, HEAD, 1.3);
        }
        tiny.layer(
            layer,
            &[
                ("attn_norm.weight", &[WIDTH]),
                ("shortconv.conv.weight", &[3, WIDTH]),
                ("shortconv.in_proj.weight", &[WIDTH, 3 * WIDTH]),
                ("shortconv.out_proj.weight", &[WIDTH, WIDTH]),
            ],
        )
    })
}

/// Gated delta nets in layers 0 and 2, gated attention with M-RoPE in part of a head in 1 and 3.
pub fn qwen35(_: bool) -> Tiny {
    let tiny = Tiny::new("qwen35", &[4; 4], &[2; 4])
        .numbers("rope.dimension_sections", &[2, 3, 3, 0])
        .number("rope.dimension_count", HEAD as u32 / 2)
        .number("full_attention_interval", 2)
        .number("ssm.conv_kernel", 4)
        .number("ssm.group_count", 2)
        .number("ssm.time_step_rank", 2)
        .number("ssm.state_size", HEAD as u32)
        .number("ssm.inner_size", 2 * HEAD as u32)
        .tensors(&[("output_norm.weight", &[WIDTH])]);
    (0..4).fold(tiny, |tiny, layer| {
        let tiny = tiny
            .layer(layer, &FEED_FORWARD[1..])
            .layer(layer, &[("attn_norm.weight", &[WIDTH]), ("post_attention_norm.weight", &[WIDTH])]);
        if layer % 2 == 1 {
            return tiny.head_norms(layer, HEAD, 1.3).layer(
                layer,
                &[
                    ("attn_q.weight", &[WIDTH, 2 * 4 * HEAD]),
                    ("attn_k.weight", &[WIDTH, 2 * HEAD]),
                    ("attn_v.weight", &[WIDTH, 2 * HEAD]),
                    ("attn_output.weight", &[4 * HEAD, WIDTH]),
                ],
            );
        }
        tiny.tensor(&format!("blk.{layer}.ssm_a"), &[2], -1.0, 0.5).layer(
            layer,
            &[
                ("attn_qkv.weight", &[WIDTH, 6 * HEAD]),
                ("attn_gate.weight", &[WIDTH, 2 * HEAD]),
                ("ssm_conv1d.weight", &[4, 6 * HEAD]),
                ("ssm_dt.bias", &[2]),
                ("ssm_beta.weight", &[WIDTH, 2]),
                ("ssm_alpha.weight", &[WIDTH, 2]),
                ("ssm_norm.weight", &[HEAD]),
                ("ssm_out.weight", &[2 * HEAD, WIDTH]),
            ],
        )
    })
}

/// Multi-head latent attention: a cache of one compressed K, from which V is read too.
pub fn deepseek2(_: bool) -> Tiny {
    let (rank, rope) = (2 * HEAD, HEAD);
    let tiny = Tiny::new("deepseek2", &[4; 3], &[1; 3])
        .number("attention.q_lora_rank", rank as u32)
        .number("attention.kv_lora_rank", rank as u32)
        .number("attention.key_length", (rank + rope) as u32)
        .number("attention.value_length", rank as u32)
        .number("attention.key_length_mla", (HEAD + rope) as u32)
        .number("attention.value_length_mla", HEAD as u32)
        .number("rope.dimension_count", rope as u32)
        .number("leading_dense_block_count", 3)
        .number("expert_feed_forward_length", 0)
        .number("expert_shared_count", 0)
        .tensors(&[("output_norm.weight", &[WIDTH])]);
    (0..3).fold(tiny, |tiny, layer| {
        tiny.layer(layer, FEED_FORWARD).layer(
            layer,
            &[
                ("attn_norm.weight", &[WIDTH]),
                ("attn_q_a.weight", &[WIDTH, rank]),
                ("attn_q_a_norm.weight", &[rank]),
                ("attn_q_b.weight", &[rank, 4 * (HEAD + rope)]),
                ("attn_kv_a_mqa.weight", &[WIDTH, rank + rope]),
                ("attn_kv_a_norm.weight", &[rank]),
                ("attn_k_b.weight", &[HEAD, rank, 4]),
                ("attn_v_b.weight", &[rank, HEAD, 4]),
                ("attn_output.weight", &[4 * HEAD, WIDTH]),
            ],
        )
    })
}
