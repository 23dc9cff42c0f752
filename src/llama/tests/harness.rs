//! Contexts on the demo pair, and an observer of the softmax nodes that runs beside the export.

use crate::fixtures::Draft;
use crate::llama::{
    Batch, Chunk, Chunks, Context, ContextOptions, FlashAttention, LayerMass, Model, ModelOptions, Position, Token,
    Vision, VisionOptions,
};
use crate::media::{Limits, Picture};
use llama_cpp_sys_2 as sys;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_void};
use std::ops::Range;
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;

pub const QUESTION: &str = "What is the label on the red square?";

pub fn models_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// No layer on a GPU, so that every machine computes alike, unless `SGL_TEST_GPU_LAYERS` says how many.
pub fn gpu_layers() -> u32 {
    std::env::var("SGL_TEST_GPU_LAYERS").map_or(0, |layers| layers.parse().unwrap())
}

/// How far apart results may be that a CPU has within `limit`. A GPU multiplies with 10 bits of mantissa (F16, TF32), and other
/// numbers of rows with other kernels: up to 0.052 of logits of about 1 was seen. The claims are shown on a CPU, then; a GPU must
/// not contradict them.
pub fn tolerance(limit: f64) -> f64 {
    if gpu_layers() == 0 { limit } else { limit.max(0.1) }
}

pub fn load_model(name: &str) -> Arc<Model> {
    let options = ModelOptions { n_gpu_layers: Some(gpu_layers()), ..ModelOptions::default() };
    Model::load(&models_dir().join(format!("{name}.gguf")), options).unwrap()
}

/// A text model without vocabulary.
pub fn load_draft(draft: Draft) -> Arc<Model> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    draft.file.save(&path).unwrap();
    Model::load(&path, ModelOptions { n_gpu_layers: Some(gpu_layers()), ..ModelOptions::default() }).unwrap()
}

pub fn load_vision(name: &str) -> Vision {
    load_vision_with(name, FlashAttention::Off)
}

pub fn load_vision_with(name: &str, flash_attention: FlashAttention) -> Vision {
    let cpu_only = gpu_layers() == 0;
    let options = VisionOptions { cpu_only, n_threads: Some(1), flash_attention, ..VisionOptions::default() };
    Vision::load(&models_dir().join(format!("mmproj-{name}.gguf")), &load_model(name), &options).unwrap()
}

pub fn picture() -> Picture {
    Picture::open(models_dir().join("pictures/flat.png"), &Limits::default()).unwrap()
}

/// The demo pair's prompt around one picture.
pub fn chunks(vision: &Vision) -> Chunks {
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
    for chunk in chunks.iter(vision).unwrap() {
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

/// Sums `softmax(KQ)` over heads and queries by entry, as `cb_eval` sees it; for one sequence, without flash attention.
///
/// Which entry a cell holds comes from the nodes that write to the K cache, not from llama.cpp's table of cells.
#[derive(Default)]
pub struct Observer {
    query_from: usize,
    /// Layer -> `[n_entries]`.
    mass: BTreeMap<u32, Vec<f64>>,
    /// Layer -> number of entries that it has seen.
    seen: BTreeMap<u32, usize>,
    /// Address of a K cache -> what was written to it.
    caches: BTreeMap<usize, Cache>,
}

#[derive(Default)]
struct Cache {
    n_entries: usize,
    /// Cell -> the last entry written there.
    entry_in: BTreeMap<usize, usize>,
}

impl Observer {
    /// From entry `query_from` on, in order of decoding, all are queries.
    pub fn new(query_from: usize) -> Box<Self> {
        Box::new(Self { query_from, ..Self::default() })
    }

    /// A context that reports to the observer; `swa_full` is llama.cpp's parameter.
    pub fn context(
        model: &Arc<Model>,
        options: &ContextOptions,
        observer: &mut Box<Observer>,
        swa_full: bool,
    ) -> Context {
        let data = (&raw mut **observer).cast::<c_void>();
        Context::with_params(model, options, |params| {
            params.swa_full = swa_full;
            params.cb_eval = Some(on_node);
            params.cb_eval_user_data = data;
        })
        .unwrap()
    }

    /// The sums at some entries.
    pub fn at(&self, entries: Range<usize>) -> Vec<LayerMass> {
        let layer = |(&layer, sums): (&u32, &Vec<f64>)| LayerMass {
            layer,
            mass: entries.clone().map(|entry| sums.get(entry).map_or(0.0, |&sum| sum as f32)).collect(),
        };
        self.mass.iter().map(layer).collect()
    }

    pub fn saw_a_cell_written_again(&self) -> bool {
        self.caches.values().any(|cache| cache.entry_in.len() < cache.n_entries)
    }

    /// `ggml_set_rows(k_cache, k, cells)`
    fn on_write(&mut self, node: &sys::ggml_tensor) {
        let cells: Vec<i64> = read_tensor(node.src[1]);
        let cache = self.caches.entry(storage(node)).or_default();
        for cell in cells {
            cache.entry_in.insert(cell as usize, cache.n_entries);
            cache.n_entries += 1;
        }
    }

    /// `softmax(...(k_cache * q))`: `[n_kv, n_rows, n_head, 1]`
    fn on_softmax(&mut self, layer: u32, node: &sys::ggml_tensor) {
        let [n_kv, n_rows, _, n_stream] = node.ne.map(|n| n as usize);
        assert_eq!(n_stream, 1);
        let seen = self.seen.entry(layer).or_default();
        let first_row = self.query_from.saturating_sub(*seen);
        *seen += n_rows;
        if first_row >= n_rows {
            return;
        }
        let mut product = node.src[0];
        // SAFETY: a graph's nodes and their sources are valid while it is computed.
        let cache = unsafe {
            while (*product).op != sys::GGML_OP_MUL_MAT {
                product = (*product).src[0];
            }
            &self.caches[&storage(&*(*product).src[0])]
        };
        let sums = self.mass.entry(layer).or_default();
        sums.resize(cache.n_entries, 0.0);
        for head in read_tensor::<f32>(node).chunks_exact(n_kv * n_rows) {
            for row in head.chunks_exact(n_kv).skip(first_row) {
                for (cell, &value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
                    sums[cache.entry_in[&cell]] += f64::from(value);
                }
            }
        }
    }
}

/// Address of the tensor that holds the data of a view.
fn storage(tensor: &sys::ggml_tensor) -> usize {
    let mut tensor = ptr::from_ref(tensor);
    // SAFETY: as above.
    unsafe {
        while !(*tensor).view_src.is_null() {
            tensor = (*tensor).view_src;
        }
    }
    tensor as usize
}

fn read_tensor<T: Clone + Default>(tensor: *const sys::ggml_tensor) -> Vec<T> {
    // SAFETY: the tensor is valid and contiguous, and `T` is its type.
    unsafe {
        let n_bytes = sys::ggml_nbytes(tensor);
        let mut values = vec![T::default(); n_bytes / size_of::<T>()];
        sys::ggml_backend_tensor_get(tensor, values.as_mut_ptr().cast(), 0, n_bytes);
        values
    }
}

unsafe extern "C" fn on_node(node: *mut sys::ggml_tensor, ask: bool, data: *mut c_void) -> bool {
    // SAFETY: ggml passes a valid node; `data` is the test's boxed observer, which outlives the context.
    let (node, observer) = unsafe { (&*node, &mut *data.cast::<Observer>()) };
    let name = unsafe { CStr::from_ptr(node.name.as_ptr()) }.to_string_lossy();
    let layer = name.strip_prefix("kq_soft_max-").and_then(|layer| layer.parse().ok());
    match layer {
        Some(layer) if !ask => observer.on_softmax(layer, node),
        None if !ask => observer.on_write(node),
        _ => {}
    }
    !ask || layer.is_some() || (node.op == sys::GGML_OP_SET_ROWS && name.starts_with("cache_k_"))
}
