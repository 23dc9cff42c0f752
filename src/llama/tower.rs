//! The vision tower apart from its projector. Sizes of one family often share a frozen tower: what it gives is computed
//! once and projected for each of them. libmtmd with our patch `0007-shared-tower`.

use super::{LlamaError, backend};
use llama_cpp_sys_2 as sys;
use std::ptr::NonNull;

/// Number of floats that the tower gives to the projector for a picture chunk; 0 if the model cannot run the two apart.
/// libmtmd: `mtmd_tower_size`.
///
/// # Safety
/// The context is valid and used by no other thread; the chunk was cut by it.
pub(super) unsafe fn tower_size(vision: NonNull<sys::mtmd_context>, chunk: *const sys::mtmd_input_chunk) -> usize {
    // SAFETY: the caller's promise.
    unsafe { sys::mtmd_tower_size(vision.as_ptr(), chunk) }
}

/// Encodes a picture chunk as `mtmd_encode_chunk` does, and returns what the tower gave to the projector, `[tower_size]`.
/// libmtmd: `mtmd_encode_chunk_tower`.
///
/// # Safety
/// As for [`tower_size`].
///
/// # Errors
/// [`LlamaError::Encode`] with libmtmd's reason, as when the model cannot run tower and projector apart.
pub(super) unsafe fn encode_with_tower(
    vision: NonNull<sys::mtmd_context>,
    chunk: *const sys::mtmd_input_chunk,
) -> Result<Vec<f32>, LlamaError> {
    backend::forget_errors();
    // SAFETY: the caller's promise.
    let mut tower = vec![0.0; unsafe { tower_size(vision, chunk) }];
    // SAFETY: as above; there is room for all that the tower gives.
    let code = unsafe { sys::mtmd_encode_chunk_tower(vision.as_ptr(), chunk, tower.as_mut_ptr()) };
    if code == 0 { Ok(tower) } else { Err(LlamaError::Encode { reason: backend::logged_reason() }) }
}

/// Projects what the same tower gave in another context for the same picture. The embeddings are where
/// `mtmd_encode_chunk` leaves them, and equal its own bit for bit on the CPU. libmtmd: `mtmd_encode_chunk_from_tower`.
///
/// # Safety
/// As for [`tower_size`].
///
/// # Errors
/// [`LlamaError::Encode`], also for a tower of another size.
pub(super) unsafe fn encode_from_tower(
    vision: NonNull<sys::mtmd_context>,
    chunk: *const sys::mtmd_input_chunk,
    tower: &[f32],
) -> Result<(), LlamaError> {
    // SAFETY: the caller's promise.
    let expected = unsafe { tower_size(vision, chunk) };
    if tower.len() != expected || tower.is_empty() {
        let reason = format!("the projector reads {expected} numbers of its tower, but there are {}", tower.len());
        return Err(LlamaError::Encode { reason });
    }
    backend::forget_errors();
    // SAFETY: as above; the length was checked.
    let code = unsafe { sys::mtmd_encode_chunk_from_tower(vision.as_ptr(), chunk, tower.as_ptr()) };
    if code == 0 { Ok(()) } else { Err(LlamaError::Encode { reason: backend::logged_reason() }) }
}
