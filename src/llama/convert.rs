//! ggml's conversions between types of weights.

use super::backend;
use llama_cpp_sys_2 as sys;
use std::slice;

/// Converts rows from one `ggml_type` to another, by way of F32. Buffers stay between calls.
#[derive(Default)]
pub(super) struct Converter {
    source: Vec<u64>,
    floats: Vec<f32>,
    result: Vec<u64>,
}

impl Converter {
    /// Whether elements of this `ggml_type` can be read as floats.
    pub fn reads(kind: u32) -> bool {
        kind == sys::GGML_TYPE_F32 || traits(kind).is_some_and(|traits| traits.to_float.is_some())
    }

    /// Whether this `ggml_type` has blocks.
    pub fn is_quantized(kind: u32) -> bool {
        traits(kind).is_some_and(|traits| traits.is_quantized)
    }

    /// Appends what whole `rows` of `row` elements are in another type. ggml: `to_float`, `ggml_quantize_chunk`.
    ///
    /// # Errors
    /// The first weight that the other type cannot hold.
    pub fn convert(&mut self, from: u32, to: u32, row: usize, rows: &[u8], out: &mut Vec<u8>) -> Result<(), f32> {
        backend::backend();
        let from_bytes = row_bytes(from, row);
        let n_rows = rows.len().checked_div(from_bytes).unwrap_or(0);
        debug_assert_eq!(n_rows * from_bytes, rows.len());
        self.floats.resize(n_rows * row, 0.0);
        if from == sys::GGML_TYPE_F32 {
            for (float, bytes) in self.floats.iter_mut().zip(rows.chunks_exact(4)) {
                *float = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
        } else if let Some(to_float) = traits(from).and_then(|traits| traits.to_float) {
            bytes_of(&mut self.source, n_rows * from_bytes).copy_from_slice(&rows[..n_rows * from_bytes]);
            // SAFETY: the source holds `n_rows` rows of that type, aligned for any, and the floats as many elements.
            unsafe { to_float(self.source.as_ptr().cast(), self.floats.as_mut_ptr(), (n_rows * row) as i64) };
        }
        let largest = largest(to);
        // Not a number is not at most anything.
        #[allow(clippy::neg_cmp_op_on_partial_ord)]
        if let Some(&value) = self.floats.iter().find(|value| !(value.abs() <= largest)) {
            return Err(value);
        }
        let result = bytes_of(&mut self.result, n_rows * row_bytes(to, row));
        // SAFETY: the floats are `n_rows` rows, the result has room for as many of the other type, aligned for any; none of
        // the types of `WeightType` needs an importance matrix, and their blocks divide the row.
        let written = unsafe {
            sys::ggml_quantize_chunk(
                to,
                self.floats.as_ptr(),
                result.as_mut_ptr().cast(),
                0,
                n_rows as i64,
                row as i64,
                std::ptr::null(),
            )
        };
        out.extend(&result[..written]);
        Ok(())
    }
}

fn traits(kind: u32) -> Option<&'static sys::ggml_type_traits> {
    // SAFETY: the number is one of ggml's, for which it returns an entry of a table that is never freed.
    (kind < sys::GGML_TYPE_COUNT).then(|| unsafe { sys::ggml_get_type_traits(kind).as_ref() }).flatten()
}

fn row_bytes(kind: u32, row: usize) -> usize {
    let bytes = |traits: &sys::ggml_type_traits| {
        usize::try_from(traits.blck_size).ok().and_then(|block| row.checked_div(block)).map(|n| n * traits.type_size)
    };
    traits(kind).and_then(bytes).unwrap_or(0)
}

/// The largest weight that is finite afterwards: blocks have a scale of 16 bits.
fn largest(kind: u32) -> f32 {
    const HALF: f32 = 65504.0;
    const BRAIN: f32 = 3.389_531_4e38;
    match kind {
        sys::GGML_TYPE_F16 => HALF,
        sys::GGML_TYPE_BF16 => BRAIN,
        sys::GGML_TYPE_Q8_0 => HALF * 127.0,
        sys::GGML_TYPE_Q4_0 => HALF * 8.0,
        // The scale of a block's minimum has 16 bits, too.
        sys::GGML_TYPE_Q4_K => HALF * 63.0,
        _ => f32::MAX,
    }
}

/// The first `n` bytes of `words`, which grow as needed.
fn bytes_of(words: &mut Vec<u64>, n: usize) -> &mut [u8] {
    words.resize(n.div_ceil(8), 0);
    // SAFETY: the words have at least `n` bytes, and any bytes are valid words.
    unsafe { slice::from_raw_parts_mut(words.as_mut_ptr().cast(), n) }
}
