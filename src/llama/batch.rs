//! Batches of tokens and embedding rows, each with its position, sequence and flags.

use super::model::Token;
use super::{Context, LlamaError};
use llama_cpp_sys_2 as sys;
use std::ptr::NonNull;

/// Where a token stands: one number for most models, time and place for M-RoPE models (whose text tokens llama.cpp keeps
/// at (t, t, t)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Position in the sequence.
    pub t: i32,
    /// Row in the picture (M-RoPE), else 0.
    pub y: i32,
    /// Column in the picture (M-RoPE), else 0.
    pub x: i32,
    /// Fourth number of models that have one (HunyuanVL: which picture), else 0. KV cells do not remember it.
    pub z: i32,
}

impl Position {
    /// The position of a text token, or of any token of a model with one position per token.
    pub fn sequential(t: i32) -> Self {
        Self { t, y: 0, x: 0, z: 0 }
    }

    /// What a KV cell remembers of it: (t, y, x).
    pub(super) fn in_cell(self) -> [sys::llama_pos; 3] {
        [self.t, self.y, self.x]
    }
}

/// A batch for one [`Context`]. llama.cpp: `llama_batch_ext`.
pub struct Batch {
    raw: NonNull<sys::llama_batch_ext>,
    len: usize,
}

// SAFETY: the batch owns plain memory; llama.cpp ties it to no thread.
unsafe impl Send for Batch {}

impl Batch {
    /// An empty batch that takes up to the context's `n_batch` entries.
    pub fn new(context: &Context) -> Self {
        // SAFETY: the context pointer is valid; the function allocates and never returns null (C++ `new`).
        let raw = unsafe { sys::llama_batch_ext_init(context.raw().as_ptr()) };
        let raw = NonNull::new(raw).expect("llama_batch_ext_init allocates or aborts");
        Self { raw, len: 0 }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Removes all entries and the position gaps flag.
    pub fn clear(&mut self) {
        // SAFETY: the pointer is valid and owned.
        unsafe { sys::llama_batch_ext_clear(self.raw.as_ptr()) };
        self.len = 0;
    }

    /// Allows positions to jump forward also where the model has one position per token (`patches/0002`).
    pub fn allow_position_gaps(&mut self) {
        // SAFETY: the pointer is valid and owned.
        unsafe { sys::llama_batch_ext_set_pos_gaps(self.raw.as_ptr(), true) };
    }

    /// Adds a text token and returns its index in the batch.
    ///
    /// # Errors
    /// [`LlamaError::InvalidBatch`] when the batch is full, or token or sequence do not exist.
    pub fn add_token(&mut self, token: Token, t: i32, sequence: i32) -> Result<usize, LlamaError> {
        // SAFETY: the pointer is valid and owned.
        let index = unsafe { sys::llama_batch_ext_add_token(self.raw.as_ptr(), sequence, token) };
        self.added(index, [t, 0, 0, 0])
    }

    /// Adds one embedding row (`[n_embd_inp]`) and returns its index in the batch.
    ///
    /// # Errors
    /// [`LlamaError::InvalidBatch`] when the batch is full, or the row has another width than the model.
    pub fn add_embedding(&mut self, row: &[f32], position: Position, sequence: i32) -> Result<usize, LlamaError> {
        let embedding = sys::llama_embd { data: row.as_ptr(), n_rows: 1, n_embd: row.len() };
        // SAFETY: the pointer is valid and owned; llama.cpp copies the row, whose length it is told.
        let index = unsafe { sys::llama_batch_ext_add_embd(self.raw.as_ptr(), sequence, embedding) };
        self.added(index, [position.t, position.y, position.x, position.z])
    }

    /// Asks for the entry's logits.
    pub fn want_logits(&mut self, index: usize) {
        // SAFETY: the pointer is valid and owned; an index out of range is refused by llama.cpp.
        unsafe { sys::llama_batch_ext_set_output_logits(self.raw.as_ptr(), index as i32, true) };
    }

    /// Makes the entry a query of the attention tap (`patches/0001`).
    pub fn mark_query(&mut self, index: usize) {
        // SAFETY: the pointer is valid and owned; an index out of range is refused by llama.cpp.
        unsafe { sys::llama_batch_ext_set_attn_query(self.raw.as_ptr(), index as i32, true) };
    }

    fn added(&mut self, index: i32, position: [sys::llama_pos; 4]) -> Result<usize, LlamaError> {
        let reason = match index {
            0.. => {
                self.len = index as usize + 1;
                // SAFETY: the pointer is valid and owned; llama.cpp reads at most four positions.
                unsafe { sys::llama_batch_ext_set_pos(self.raw.as_ptr(), index, position.as_ptr()) };
                return Ok(index as usize);
            }
            -1 => "it is full",
            -2 => "there is no such token, or the embedding row has the wrong width",
            _ => "there is no such sequence",
        };
        Err(LlamaError::InvalidBatch { n_tokens: self.len, reason: reason.to_owned() })
    }

    pub(super) fn raw(&mut self) -> NonNull<sys::llama_batch_ext> {
        self.raw
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: the pointer is owned and freed once.
        unsafe { sys::llama_batch_ext_free(self.raw.as_ptr()) };
    }
}
