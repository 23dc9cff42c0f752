//! Contexts on the demo pair, and an observer of the softmax nodes that runs beside the export.

use crate::llama::{
    Batch, Chunk, Chunks, Context, ContextOptions, FlashAttention, LayerMass, Model, ModelOptions, Position, Token, Vision,
    VisionOptions,
};
use crate::media::{Limits, Picture};
use llama_cpp_sys_2 as sys;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_void};
use std::path::PathBuf;
use std::sync::Arc;

pub const QUESTION: &str = "What is the label on the red square?";

pub fn models_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models")
}

pub fn load_model(name: &str) -> Arc<Model> {
    let options = ModelOptions { n_gpu_layers: Some(0), ..ModelOptions::default() };
    Model::load(&models_dir().join(format!("{name}.gguf")), options).unwrap()
}

pub fn load_vision(name: &str) -> Vision {
    let options = VisionOptions { cpu_only: true, ..VisionOptions::default() };
    Vision::load(&models_dir().join(format!("mmproj-{name}.gguf")), &load_model(name), &options).unwrap()
}

pub fn picture() -> Picture {
    Picture::open(models_dir().join("pictures/flat.png"), &Limits::default()).unwrap()
}

/// The demo pair's prompt around one picture.
pub fn chunks(vision: &Vision) -> Chunks<'_> {
    use crate::chat::PromptPart::{Picture, Text};
    let before = Text("<|im_start|>user\n".to_owned());
    let after = Text(format!("{QUESTION}<|im_end|>\n<|im_start|>assistant\n"));
    vision.tokenize(&[before, Picture, after], &[picture()], true).unwrap()
}

/// A prompt as a flat list, with the picture encoded.
pub struct Flat {
    pub entries: Vec<(Input, Position)>,
    pub visual: Vec<Position>,
    pub end: i32,
}

#[derive(Clone)]
pub enum Input {
    Token(Token),
    Row(Vec<f32>),
}

pub fn flat(vision: &Vision) -> Flat {
    let chunks = chunks(vision);
    let mut flat = Flat { entries: Vec::new(), visual: Vec::new(), end: 0 };
    for chunk in chunks.iter().unwrap() {
        match chunk {
            Chunk::Text(tokens) => {
                for &token in tokens {
                    flat.entries.push((Input::Token(token), Position::sequential(flat.end)));
                    flat.end += 1;
                }
            }
            Chunk::Image(image) => {
                let embeddings = vision.encode(&image).unwrap();
                let positions = image.positions(flat.end);
                for (index, &position) in positions.iter().enumerate() {
                    flat.entries.push((Input::Row(embeddings.row(index).unwrap().to_vec()), position));
                }
                flat.visual.extend(positions);
                flat.end += image.n_positions();
            }
        }
    }
    flat
}

impl Flat {
    /// Index of the first entry after the last visual token.
    pub fn question(&self) -> usize {
        1 + self.entries.iter().rposition(|(input, _)| matches!(input, Input::Row(_))).unwrap()
    }
}

/// Small physical batches and one thread, so that every run of a test computes alike.
pub fn options() -> ContextOptions {
    ContextOptions {
        n_ctx: 1024,
        n_threads: Some(1),
        flash_attention: FlashAttention::Off,
        ..ContextOptions::default()
    }
}

/// Adds entries of one sequence to a batch; those at or after `query_from` are queries.
pub fn add(batch: &mut Batch, entries: &[(Input, Position)], sequence: i32, query_from: usize) -> Vec<usize> {
    let add = |(place, (input, position)): (usize, &(Input, Position))| {
        let index = match input {
            Input::Token(token) => batch.add_token(*token, position.t, sequence),
            Input::Row(row) => batch.add_embedding(row, *position, sequence),
        };
        let index = index.unwrap();
        if place >= query_from {
            batch.mark_query(index);
        }
        index
    };
    entries.iter().enumerate().map(add).collect()
}

/// Decodes entries of one sequence as one batch; returns the logits of the last.
pub fn decode(context: &mut Context, entries: &[(Input, Position)], sequence: i32, query_from: usize) -> Vec<f32> {
    let mut batch = Batch::new(context);
    batch.allow_position_gaps();
    let last = add(&mut batch, entries, sequence, query_from).pop().unwrap();
    batch.want_logits(last);
    context.decode(&mut batch).unwrap();
    context.logits(last).unwrap().to_vec()
}

/// Picture first, then the question as queries; returns the question's last logits.
pub fn read(context: &mut Context, flat: &Flat, sequence: i32) -> Vec<f32> {
    let question = flat.question();
    let first_row = flat.entries.iter().position(|(input, _)| matches!(input, Input::Row(_))).unwrap();
    decode(context, &flat.entries[..first_row], sequence, usize::MAX);
    decode(context, &flat.entries[first_row..question], sequence, usize::MAX);
    decode(context, &flat.entries[question..], sequence, 0)
}

/// Sum of absolute differences over sum of reference values, the worst layer's.
pub fn distance(left: &[LayerMass], right: &[LayerMass]) -> f64 {
    assert_eq!(left.len(), right.len());
    assert!(!left.is_empty());
    let layer = |(left, right): (&LayerMass, &LayerMass)| {
        assert_eq!(left.layer, right.layer);
        assert_eq!(left.mass.len(), right.mass.len());
        let total: f64 = right.mass.iter().map(|&mass| f64::from(mass)).sum();
        assert!(total > 0.0);
        left.mass.iter().zip(&right.mass).map(|(left, right)| f64::from((left - right).abs())).sum::<f64>() / total
    };
    left.iter().zip(right).map(layer).fold(0.0, f64::max)
}

/// Sums `softmax(KQ)` over heads and rows by KV cell, as `cb_eval` sees it; without flash attention only.
#[derive(Default)]
pub struct Observer {
    /// For each physical batch in turn: which of its rows count.
    pub rows: Vec<Vec<bool>>,
    /// Layer -> `[n_kv]`.
    pub mass: BTreeMap<u32, Vec<f64>>,
    seen: BTreeMap<u32, usize>,
}

impl Observer {
    pub fn context(model: &Arc<Model>, options: &ContextOptions, observer: &mut Box<Observer>) -> Context {
        let data = (&raw mut **observer).cast::<c_void>();
        Context::with_params(model, options, |params| {
            params.cb_eval = Some(on_node);
            params.cb_eval_user_data = data;
        })
        .unwrap()
    }

    /// The sums at the cells of the watched tokens.
    pub fn at(&self, cells: &[usize]) -> Vec<LayerMass> {
        let layer = |(&layer, sums): (&u32, &Vec<f64>)| LayerMass {
            layer,
            mass: cells.iter().map(|&cell| sums[cell] as f32).collect(),
        };
        self.mass.iter().map(layer).collect()
    }
}

unsafe extern "C" fn on_node(node: *mut sys::ggml_tensor, ask: bool, data: *mut c_void) -> bool {
    // SAFETY: ggml passes a valid node; `data` is the test's boxed observer, which outlives the context.
    let (node, observer) = unsafe { (&mut *node, &mut *data.cast::<Observer>()) };
    let name = unsafe { CStr::from_ptr(node.name.as_ptr()) }.to_string_lossy();
    let Some(layer) = name.strip_prefix("kq_soft_max-").and_then(|layer| layer.parse::<u32>().ok()) else {
        return !ask;
    };
    if ask {
        return true;
    }
    let [n_kv, n_rows, n_head, n_stream] = node.ne.map(|n| n as usize);
    assert_eq!(n_stream, 1);
    let mut values = vec![0f32; n_kv * n_rows * n_head];
    // SAFETY: the node holds n_kv * n_rows * n_head contiguous floats.
    unsafe { sys::ggml_backend_tensor_get(node, values.as_mut_ptr().cast(), 0, values.len() * 4) };
    let ubatch = observer.seen.entry(layer).or_default();
    let rows = &observer.rows[*ubatch];
    *ubatch += 1;
    assert_eq!(rows.len(), n_rows, "the physical batch is not the expected one");
    let sums = observer.mass.entry(layer).or_default();
    sums.resize(sums.len().max(n_kv), 0.0);
    for head in values.chunks_exact(n_kv * n_rows) {
        for (row, _) in head.chunks_exact(n_kv).zip(rows).filter(|(_, counts)| **counts) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += f64::from(value);
            }
        }
    }
    true
}
