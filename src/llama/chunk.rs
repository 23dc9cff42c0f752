//! A prompt cut into text and pictures: what libmtmd makes of it before anything is encoded.

use super::batch::Position;
use super::model::Token;
use super::{LlamaError, Vision};
use crate::geometry::{Level, Place, Rect};
use crate::media::Picture;
use llama_cpp_sys_2 as sys;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::slice;

/// A prompt cut into text and pictures, which are preprocessed and not yet encoded.
pub struct Chunks {
    raw: NonNull<sys::mtmd_input_chunks>,
    /// Which context cut it: chunks mean nothing to another.
    vision: usize,
}

// SAFETY: the list is plain memory that nothing else refers to; libmtmd ties it to no thread.
unsafe impl Send for Chunks {}
// SAFETY: what is shared is only read: `mtmd_input_chunks_size` and `_get` take it as constant, and nothing in it changes by that.
unsafe impl Sync for Chunks {}

impl Chunks {
    /// Takes a list into ownership.
    pub(super) fn of(raw: NonNull<sys::mtmd_input_chunks>, vision: &Vision) -> Self {
        Self { raw, vision: vision.raw().as_ptr().addr() }
    }

    pub(super) fn raw(&self) -> NonNull<sys::mtmd_input_chunks> {
        self.raw
    }

    /// The chunks in prompt order, for the `vision` that cut them. A tiled picture is several picture chunks with text
    /// between them.
    ///
    /// # Errors
    /// [`LlamaError::Tokenize`] for a chunk that is neither text nor picture, or chunks of another `vision`.
    pub fn iter<'chunks>(&'chunks self, vision: &'chunks Vision) -> Result<Vec<Chunk<'chunks>>, LlamaError> {
        if self.vision != vision.raw().as_ptr().addr() {
            return Err(LlamaError::Tokenize { reason: "the prompt was cut by another model".to_owned() });
        }
        // SAFETY: the list is valid and the index below its size; chunks live as long as the list.
        let n_chunks = unsafe { sys::mtmd_input_chunks_size(self.raw.as_ptr()) };
        let chunks = (0..n_chunks).map(|index| {
            let raw = unsafe { sys::mtmd_input_chunks_get(self.raw.as_ptr(), index) };
            match unsafe { sys::mtmd_input_chunk_get_type(raw) } {
                sys::MTMD_INPUT_CHUNK_TYPE_TEXT => {
                    let mut n_tokens = 0;
                    let tokens = unsafe { sys::mtmd_input_chunk_get_tokens_text(raw, &raw mut n_tokens) };
                    let tokens =
                        if tokens.is_null() { &[] } else { unsafe { slice::from_raw_parts(tokens, n_tokens) } };
                    Ok(Chunk::Text(tokens))
                }
                sys::MTMD_INPUT_CHUNK_TYPE_IMAGE => Ok(Chunk::Image(ImageChunk { raw, vision, lifetime: PhantomData })),
                _ => Err(LlamaError::Tokenize { reason: "the prompt has a chunk that is no picture".to_owned() }),
            }
        });
        chunks.collect()
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        // SAFETY: owned and freed once.
        unsafe { sys::mtmd_input_chunks_free(self.raw.as_ptr()) };
    }
}

/// One piece of a prompt.
pub enum Chunk<'chunks> {
    /// Text tokens.
    Text(&'chunks [Token]),
    /// A picture, or one tile of it.
    Image(ImageChunk<'chunks>),
}

/// A preprocessed picture or tile, not yet encoded.
#[derive(Clone, Copy)]
pub struct ImageChunk<'chunks> {
    raw: *const sys::mtmd_input_chunk,
    vision: &'chunks Vision,
    lifetime: PhantomData<&'chunks ()>,
}

impl ImageChunk<'_> {
    pub(super) fn raw(&self) -> *const sys::mtmd_input_chunk {
        self.raw
    }

    /// Number of embedding rows: visual tokens, and what stands between them in some families.
    pub fn n_tokens(&self) -> usize {
        // SAFETY: the chunk is valid for the lifetime it carries.
        unsafe { sys::mtmd_input_chunk_get_n_tokens(self.raw) }
    }

    /// Hash of the pixels that the encoder reads; nobody can make a picture that has another's. libmtmd:
    /// `mtmd_input_chunk_get_pixels` of our patch.
    pub fn pixels_hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for index in 0.. {
            let (mut nx, mut ny, mut n_values) = (0, 0, 0);
            // SAFETY: as above; the places written to outlive the call.
            let values = unsafe { sys::mtmd_input_chunk_get_pixels(self.raw, index, &mut nx, &mut ny, &mut n_values) };
            if values.is_null() {
                break;
            }
            // SAFETY: there are so many floats as long as the chunk lives, and floats have no padding.
            let bytes = unsafe { slice::from_raw_parts(values.cast::<u8>(), n_values * size_of::<f32>()) };
            hasher.update(&nx.to_ne_bytes()).update(&ny.to_ne_bytes()).update(bytes);
        }
        *hasher.finalize().as_bytes()
    }

    /// How far the picture moves the position of what follows it.
    pub fn n_positions(&self) -> i32 {
        // SAFETY: as above.
        unsafe { sys::mtmd_input_chunk_get_n_pos(self.raw) }
    }

    /// Whether the picture is read without the causal mask, in one physical batch.
    pub fn is_non_causal(&self) -> bool {
        // SAFETY: as above.
        unsafe { sys::mtmd_decode_use_non_causal(self.vision.raw().as_ptr(), self.raw) }
    }

    /// The picture that the chunk shows, counted in the order of the prompt.
    pub fn picture(&self) -> usize {
        // SAFETY: the chunk is valid; its id is the text that the bitmap was given.
        let id = unsafe { sys::mtmd_input_chunk_get_id(self.raw) };
        let id = if id.is_null() { c"" } else { unsafe { CStr::from_ptr(id) } };
        id.to_str().ok().and_then(|id| id.parse().ok()).unwrap_or(0)
    }

    /// Where each row lies in `picture`, `[n_tokens]`; `None` for structural rows (begin, end, row breaks), which stand
    /// for no part of it. llama.cpp: `mtmd_get_token_areas` of our patch.
    pub fn places(&self, picture: &Picture) -> Vec<Option<Place>> {
        const UNKNOWN: sys::mtmd_token_area =
            sys::mtmd_token_area { x0: 0.0, y0: 0.0, x1: 0.0, y1: 0.0, overview: false, structural: false };
        let mut areas = vec![UNKNOWN; self.n_tokens()];
        // SAFETY: the chunk holds a picture, and there is room for one area per row.
        unsafe { sys::mtmd_get_token_areas(self.vision.raw().as_ptr(), self.raw, areas.as_mut_ptr()) };
        let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
        let index = self.picture();
        let place = |area: &sys::mtmd_token_area| {
            let is_known = area.x1 > area.x0 && area.y1 > area.y0;
            let rect = Rect {
                x0: f64::from(area.x0) / width,
                y0: f64::from(area.y0) / height,
                x1: f64::from(area.x1) / width,
                y1: f64::from(area.y1) / height,
            };
            let level = if area.overview { Level::Overview } else { Level::Detail };
            let rect = if is_known { rect } else { Rect::WHOLE };
            (!area.structural).then_some(Place { picture: index, level, rect })
        };
        areas.iter().map(place).collect()
    }

    /// Position of every row when the picture starts at `start`.
    pub fn positions(&self, start: i32) -> Vec<Position> {
        let n_tokens = self.n_tokens();
        if !self.vision.uses_mrope() {
            return (start..).take(n_tokens).map(Position::sequential).collect();
        }
        // SAFETY: an image chunk has image tokens; the index stays below their number.
        let image = unsafe { sys::mtmd_input_chunk_get_tokens_image(self.raw) };
        let position = |index| {
            let position = unsafe { sys::mtmd_image_tokens_get_decoder_pos(image, start, index) };
            Position { t: position.t as i32, y: position.y as i32, x: position.x as i32, z: position.z as i32 }
        };
        (0..n_tokens).map(position).collect()
    }
}
