//! Inference contexts: decoding, the KV cache, logits, the attention tap, cancellation.

use super::attention::{LayerMass, Tap, on_mass};
use super::{Batch, LlamaError, Memory, Model, Position, backend};
use llama_cpp_sys_2 as sys;
use std::ffi::c_void;
use std::fmt;
use std::ptr::NonNull;
use std::slice;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// When flash attention is used (`-fa`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlashAttention {
    /// llama.cpp decides by device.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Element type of the K or V cache (`-ctk`, `-ctv`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats, llama.cpp's default.
    #[default]
    F16,
    /// bfloat16.
    Bf16,
    /// 8-bit blocks.
    Q8_0,
    /// 5-bit blocks with minimum.
    Q5_1,
    /// 5-bit blocks.
    Q5_0,
    /// 4-bit blocks with minimum.
    Q4_1,
    /// 4-bit blocks.
    Q4_0,
    /// 4-bit non-linear blocks.
    Iq4Nl,
}

impl CacheType {
    /// Names as llama.cpp's flags have them.
    pub const NAMES: [(&'static str, Self); 9] = [
        ("f32", Self::F32),
        ("f16", Self::F16),
        ("bf16", Self::Bf16),
        ("q8_0", Self::Q8_0),
        ("q5_1", Self::Q5_1),
        ("q5_0", Self::Q5_0),
        ("q4_1", Self::Q4_1),
        ("q4_0", Self::Q4_0),
        ("iq4_nl", Self::Iq4Nl),
    ];

    fn raw(self) -> sys::ggml_type {
        match self {
            Self::F32 => sys::GGML_TYPE_F32,
            Self::F16 => sys::GGML_TYPE_F16,
            Self::Bf16 => sys::GGML_TYPE_BF16,
            Self::Q8_0 => sys::GGML_TYPE_Q8_0,
            Self::Q5_1 => sys::GGML_TYPE_Q5_1,
            Self::Q5_0 => sys::GGML_TYPE_Q5_0,
            Self::Q4_1 => sys::GGML_TYPE_Q4_1,
            Self::Q4_0 => sys::GGML_TYPE_Q4_0,
            Self::Iq4Nl => sys::GGML_TYPE_IQ4_NL,
        }
    }
}

impl FromStr for CacheType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text).map(|&(_, kind)| kind);
        found.ok_or_else(|| format!("`{text}` is not one of {}", Self::NAMES.map(|(name, _)| name).join(", ")))
    }
}

impl fmt::Display for CacheType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, kind)| kind == self).map_or("", |&(name, _)| name);
        formatter.write_str(name)
    }
}

impl fmt::Display for FlashAttention {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

impl FlashAttention {
    pub(super) fn raw(self) -> sys::llama_flash_attn_type {
        match self {
            Self::Auto => sys::LLAMA_FLASH_ATTN_TYPE_AUTO,
            Self::On => sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
            Self::Off => sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        }
    }
}

impl FromStr for FlashAttention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "on" | "1" | "true" => Ok(Self::On),
            "off" | "0" | "false" => Ok(Self::Off),
            _ => Err(format!("`{text}` is not one of on, off, auto")),
        }
    }
}

/// Sizes and types of a context. The defaults are llama.cpp's.
#[derive(Debug, Clone)]
pub struct ContextOptions {
    /// Tokens in the KV cache (`-c`), all sequences together.
    pub n_ctx: u32,
    /// Most tokens in a batch (`-b`).
    pub n_batch: u32,
    /// Most tokens computed at once (`-ub`).
    pub n_ubatch: u32,
    /// Most sequences.
    pub n_seq_max: u32,
    /// One cache for all sequences instead of one each.
    pub kv_unified: bool,
    /// Threads for single tokens and for batches (`-t`); `None`: all physical cores.
    pub n_threads: Option<u32>,
    /// Flash attention.
    pub flash_attention: FlashAttention,
    /// K cache type.
    pub cache_k: CacheType,
    /// V cache type.
    pub cache_v: CacheType,
    /// Flag that, once set, stops the computation in progress and all later ones until it is cleared. Works between
    /// batches everywhere, and within one on the CPU. See [`Context::cancel_with`].
    pub cancel: Arc<AtomicBool>,
}

impl Default for ContextOptions {
    fn default() -> Self {
        Self {
            n_ctx: 4096,
            n_batch: 2048,
            n_ubatch: 512,
            n_seq_max: 1,
            kv_unified: false,
            n_threads: None,
            flash_attention: FlashAttention::Auto,
            cache_k: CacheType::F16,
            cache_v: CacheType::F16,
            cancel: Arc::default(),
        }
    }
}

/// Flags that stop a computation once all are set; without flags it is never stopped.
type Flags = Vec<Arc<AtomicBool>>;

/// A KV cache with the compute buffers to extend it.
pub struct Context {
    raw: NonNull<sys::llama_context>,
    // llama.cpp holds pointers to both: they are boxed or shared, and dropped after the context.
    tap: NonNull<Tap>,
    cancel: NonNull<Flags>,
    model: Arc<Model>,
    memory: Memory,
    n_batch: u32,
    n_ubatch: u32,
}

// SAFETY: the context is used through `&mut self` for everything that computes, and llama.cpp ties it to no thread.
unsafe impl Send for Context {}

impl Context {
    /// Creates a context. llama.cpp: `llama_init_from_model`.
    ///
    /// # Errors
    /// [`LlamaError::CreateContext`] with the reason that llama.cpp logged.
    pub fn new(model: &Arc<Model>, options: &ContextOptions) -> Result<Self, LlamaError> {
        Self::with_params(model, options, |_| {})
    }

    /// As [`Context::new`], with a last word on the raw parameters.
    pub(super) fn with_params(
        model: &Arc<Model>,
        options: &ContextOptions,
        adjust: impl FnOnce(&mut sys::llama_context_params),
    ) -> Result<Self, LlamaError> {
        let cancel = Box::new(vec![options.cancel.clone()]);
        // SAFETY: returns a plain struct.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = options.n_ctx;
        params.n_batch = options.n_batch;
        params.n_ubatch = options.n_ubatch.min(options.n_batch);
        params.n_seq_max = options.n_seq_max;
        params.kv_unified = options.kv_unified;
        params.no_perf = true;
        params.swa_full = false; // as llama.cpp's own programs have it: windows keep only what they can see
        params.flash_attn_type = options.flash_attention.raw();
        params.type_k = options.cache_k.raw();
        params.type_v = options.cache_v.raw();
        let n_threads = options.n_threads.unwrap_or_else(super::default_threads).clamp(1, i32::MAX as u32) as i32;
        params.n_threads = n_threads;
        params.n_threads_batch = n_threads;
        params.abort_callback = Some(is_cancelled);
        params.abort_callback_data = std::ptr::from_ref::<Flags>(&cancel).cast_mut().cast();
        adjust(&mut params);
        backend::forget_errors();
        backend::forget_buffers();
        // SAFETY: the model is valid and kept alive by the Arc below; the boxed flags are kept until the context is freed.
        let raw = unsafe { sys::llama_init_from_model(model.raw().as_ptr(), params) };
        let raw = NonNull::new(raw)
            .ok_or_else(|| LlamaError::CreateContext { n_ctx: options.n_ctx, reason: backend::logged_reason() })?;
        let memory = backend::logged_buffers();
        let tap = NonNull::from(Box::leak(Box::<Tap>::default()));
        let cancel = NonNull::from(Box::leak(cancel));
        // SAFETY: the context is valid.
        let (n_batch, n_ubatch) = unsafe { (sys::llama_n_batch(raw.as_ptr()), sys::llama_n_ubatch(raw.as_ptr())) };
        Ok(Self { raw, tap, cancel, model: model.clone(), memory, n_batch, n_ubatch })
    }

    /// The model that the context computes with.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Memory of the context, as llama.cpp logged it; zero where it did not, or where several contexts were made at once.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// Size of the KV cache in tokens.
    pub fn n_ctx(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { sys::llama_n_ctx(self.raw.as_ptr()) }
    }

    /// Most tokens in a batch.
    pub fn n_batch(&self) -> u32 {
        self.n_batch
    }

    /// Most tokens computed at once.
    pub fn n_ubatch(&self) -> u32 {
        self.n_ubatch
    }

    /// Computes a batch and extends the KV cache. llama.cpp: `llama_process`.
    ///
    /// # Errors
    /// [`LlamaError::ContextFull`], [`LlamaError::Cancelled`], [`LlamaError::InvalidBatch`], [`LlamaError::Compute`].
    pub fn decode(&mut self, batch: &mut Batch) -> Result<(), LlamaError> {
        // SAFETY: the box is owned by `self`, and written to through `&mut self` only.
        if is_set(unsafe { self.cancel.as_ref() }) {
            return Err(LlamaError::Cancelled);
        }
        if batch.is_empty() {
            return Ok(());
        }
        backend::forget_errors();
        // SAFETY: both pointers are valid; the callback's tap is not touched by Rust while this runs.
        let code =
            unsafe { sys::llama_process(self.raw.as_ptr(), sys::LLAMA_PROCESS_TYPE_DECODE, batch.raw().as_ptr()) };
        match code {
            0 => Ok(()),
            1 => Err(LlamaError::ContextFull { n_ctx: self.n_ctx() }),
            2 => Err(LlamaError::Cancelled),
            -1 => Err(LlamaError::InvalidBatch { n_tokens: batch.len(), reason: backend::logged_reason() }),
            _ => Err(LlamaError::Compute { reason: backend::logged_reason() }),
        }
    }

    /// The flags that stop the next computations once all of them are set: those of all who have a part in a batch.
    pub fn cancel_with(&mut self, flags: Vec<Arc<AtomicBool>>) {
        // SAFETY: the box is owned by `self`; llama.cpp reads it inside `decode` only, which borrows `self` mutably.
        unsafe { *self.cancel.as_mut() = flags };
    }

    /// Logits (`[n_vocab]`) of a batch entry that asked for them, valid until the next decode.
    ///
    /// # Errors
    /// [`LlamaError::Compute`] when the entry has none.
    pub fn logits(&self, index: usize) -> Result<&[f32], LlamaError> {
        // SAFETY: the context is valid; llama.cpp checks the index.
        let logits = unsafe { sys::llama_get_logits_ith(self.raw.as_ptr(), index as i32) };
        if logits.is_null() {
            return Err(LlamaError::Compute { reason: format!("batch entry {index} has no logits") });
        }
        // SAFETY: llama.cpp returns a row of n_vocab floats, which the next decode (`&mut self`) may overwrite.
        Ok(unsafe { slice::from_raw_parts(logits, self.model.n_vocab()) })
    }

    /// Empties the KV cache.
    pub fn clear(&mut self) {
        // SAFETY: the context is valid; without a memory module the call does nothing.
        unsafe { sys::llama_memory_clear(sys::llama_get_memory(self.raw.as_ptr()), false) };
    }

    /// Removes the tokens of a sequence at positions `from..`; whether it could: recurrent models cannot. What layers with a
    /// sliding window have lost does not come back, see [`Context::first_position`].
    pub fn truncate(&mut self, sequence: i32, from: i32) -> bool {
        // SAFETY: the context is valid.
        unsafe { sys::llama_memory_seq_rm(sys::llama_get_memory(self.raw.as_ptr()), sequence, from, -1) }
    }

    /// The first position of a sequence that all layers still have; -1 where there is none.
    pub fn first_position(&self, sequence: i32) -> i32 {
        // SAFETY: the context is valid.
        unsafe { sys::llama_memory_seq_pos_min(sys::llama_get_memory(self.raw.as_ptr()), sequence) }
    }

    /// Tokens that a layer with a sliding window sees at most; 0: the model has no such layers.
    pub fn window(&self) -> i32 {
        self.model.window()
    }

    /// Lets sequence `to` begin with the tokens of `from` at positions below `until`, in the same cells.
    pub fn share(&mut self, from: i32, to: i32, until: i32) {
        // SAFETY: as above.
        unsafe { sys::llama_memory_seq_cp(sys::llama_get_memory(self.raw.as_ptr()), from, to, 0, until) };
    }

    /// Removes a sequence.
    pub fn forget(&mut self, sequence: i32) {
        // SAFETY: as above; a whole sequence can always be removed.
        unsafe { sys::llama_memory_seq_rm(sys::llama_get_memory(self.raw.as_ptr()), sequence, -1, -1) };
    }

    /// Whether tokens of one batch see only earlier ones; some models read a picture without this mask.
    pub fn set_causal(&mut self, causal: bool) {
        // SAFETY: the context is valid.
        unsafe { sys::llama_set_causal_attn(self.raw.as_ptr(), causal) };
    }

    /// Collects from now on the attention mass that query tokens of `sequence` put on the tokens at `positions`.
    pub fn watch_attention(&mut self, sequence: i32, positions: &[Position]) {
        self.tap_mut().watch(sequence, positions);
        self.set_callback();
    }

    /// The mass by layer that has been collected so far; collecting goes on.
    pub fn attention(&mut self, sequence: i32) -> Vec<LayerMass> {
        self.tap_mut().peek(sequence)
    }

    /// Stops collecting and returns the mass by layer; empty when no layer exported any.
    pub fn take_attention(&mut self, sequence: i32) -> Vec<LayerMass> {
        let layers = self.tap_mut().take(sequence);
        self.set_callback();
        layers
    }

    fn set_callback(&mut self) {
        let idle = self.tap_mut().is_idle();
        let callback: sys::llama_attn_mass_callback = if idle { None } else { Some(on_mass) };
        // SAFETY: the context is valid and the tap lives until after it is freed.
        unsafe { sys::llama_set_attn_mass_callback(self.raw.as_ptr(), callback, self.tap.as_ptr().cast()) };
    }

    fn tap_mut(&mut self) -> &mut Tap {
        // SAFETY: the box is owned by `self`, and llama.cpp calls back only inside `decode`, which borrows `self` mutably.
        unsafe { self.tap.as_mut() }
    }

    pub(super) fn raw(&self) -> NonNull<sys::llama_context> {
        self.raw
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: all are owned and freed once, the context first since it points at the others.
        unsafe {
            sys::llama_free(self.raw.as_ptr());
            drop(Box::from_raw(self.tap.as_ptr()));
            drop(Box::from_raw(self.cancel.as_ptr()));
        }
    }
}

unsafe extern "C" fn is_cancelled(flags: *mut c_void) -> bool {
    // SAFETY: these are the context's flags, alive while the context is and not written to while it computes.
    unsafe { flags.cast::<Flags>().as_ref() }.is_some_and(is_set)
}

fn is_set(flags: &Flags) -> bool {
    !flags.is_empty() && flags.iter().all(|flag| flag.load(Ordering::Relaxed))
}
