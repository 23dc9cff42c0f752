//! libmtmd: the projector, prompts to be cut, and encoded pictures.

use super::chunk::{Chunks, ImageChunk};
use super::model::device_indices;
use super::{FlashAttention, LlamaError, Model, backend, devices, tower};
use crate::chat::PromptPart;
use crate::media::Picture;
use llama_cpp_sys_2 as sys;
use std::ffi::CString;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

/// How an mmproj is loaded.
#[derive(Debug, Clone, Default)]
pub struct VisionOptions {
    /// Threads; `None`: all physical cores.
    pub n_threads: Option<u32>,
    /// Device to encode on; `None`: the first GPU if there is one and `use_gpu`.
    pub device: Option<String>,
    /// Keep the projector off the GPU.
    pub cpu_only: bool,
    /// Least and most visual tokens of a picture, for models of dynamic resolution; `None`: the model's own. Within 1 and
    /// [`MAX_IMAGE_TOKENS`].
    pub image_tokens: ImageTokens,
    /// Most tiles of a picture, beside its overview, for models that cut pictures up; 1: the overview alone; `None`: the
    /// model's own (`patches/0006`).
    pub max_tiles: Option<u32>,
    /// Flash attention in the encoder; automatic is on wherever the backend has it, which rounds keys and values to 16 bits.
    pub flash_attention: FlashAttention,
    /// Encode an empty picture at load where a GPU encodes, whose kernels are made then.
    pub warm_up: bool,
}

/// Limits on the visual tokens of a picture. They scale it down or up before it is encoded; models that tile or that have
/// one resolution ignore them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImageTokens {
    /// At least so many.
    pub min: Option<u32>,
    /// At most so many.
    pub max: Option<u32>,
}

/// Largest limit on the visual tokens of a picture (libmtmd counts its pixels in 32 bits).
pub const MAX_IMAGE_TOKENS: u32 = 1 << 16;

/// A vision encoder with its projector, bound to the text model it feeds.
pub struct Vision {
    raw: NonNull<sys::mtmd_context>,
    model: Arc<Model>,
}

// SAFETY: libmtmd ties the context to no thread, and encoding takes `&mut self`.
unsafe impl Send for Vision {}

impl Vision {
    /// Loads an mmproj file. libmtmd: `mtmd_init_from_file`.
    ///
    /// # Errors
    /// [`LlamaError::LoadVision`] with the reason that libmtmd logged, [`LlamaError::UnknownDevice`].
    pub fn load(path: &Path, model: &Arc<Model>, options: &VisionOptions) -> Result<Self, LlamaError> {
        let failed = |reason: String| LlamaError::LoadVision { path: path.to_owned(), reason };
        let name = path.to_str().ok_or_else(|| failed("its path is not UTF-8".to_owned()))?;
        let name = CString::new(name).map_err(|_| LlamaError::ZeroByte { what: "the mmproj's path" })?;
        // SAFETY: returns a plain struct.
        let mut params = unsafe { sys::mtmd_context_params_default() };
        params.print_timings = false;
        params.warmup = options.warm_up && !options.cpu_only && devices().iter().any(|device| device.is_gpu);
        params.use_gpu = !options.cpu_only;
        params.flash_attn_type = options.flash_attention.raw();
        if let Some(device) = &options.device {
            let index = device_indices(slice::from_ref(device))?.first().copied().unwrap_or(0);
            // SAFETY: the index comes from ggml's own list.
            params.device = unsafe { sys::ggml_backend_dev_get(index) };
        }
        let limit = |n: Option<u32>| n.map(|n| n.clamp(1, MAX_IMAGE_TOKENS) as i32);
        params.image_min_tokens = limit(options.image_tokens.min).unwrap_or(params.image_min_tokens);
        params.image_max_tokens = limit(options.image_tokens.max).unwrap_or(params.image_max_tokens);
        params.image_max_tiles = limit(options.max_tiles).unwrap_or(-1);
        params.n_threads = options.n_threads.unwrap_or_else(super::default_threads).clamp(1, 512) as i32;
        backend::forget_errors();
        // SAFETY: path and model are valid; the model is kept alive by the Arc.
        let raw = unsafe { sys::mtmd_init_from_file(name.as_ptr(), model.raw().as_ptr(), params) };
        let raw = NonNull::new(raw).ok_or_else(|| failed(backend::logged_reason()))?;
        let vision = Self { raw, model: model.clone() };
        // SAFETY: the context is valid.
        if !unsafe { sys::mtmd_support_vision(vision.raw.as_ptr()) } {
            return Err(failed("it has no vision encoder".to_owned()));
        }
        Ok(vision)
    }

    /// The text model that the projector feeds.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Whether visual tokens have several positions each.
    pub fn uses_mrope(&self) -> bool {
        // SAFETY: the context is valid.
        unsafe { sys::mtmd_decode_use_mrope(self.raw.as_ptr()) }
    }

    /// Cuts a prompt into chunks, preprocessing its pictures, which must be as many as its picture parts.
    /// libmtmd: `mtmd_tokenize_from_parts`. `add_special` adds the vocabulary's BOS.
    ///
    /// # Errors
    /// [`LlamaError::Tokenize`] with libmtmd's reason.
    pub fn tokenize(
        &self,
        parts: &[PromptPart],
        pictures: &[Picture],
        add_special: bool,
    ) -> Result<Chunks, LlamaError> {
        let n_parts = parts.iter().filter(|part| matches!(part, PromptPart::Picture)).count();
        if n_parts != pictures.len() {
            let reason = format!("the prompt has {n_parts} places for pictures, but there are {}", pictures.len());
            return Err(LlamaError::Tokenize { reason });
        }
        let mut bitmaps = pictures.iter().enumerate().map(|(index, picture)| Bitmap::new(index, picture));
        let mut texts = Vec::new();
        let mut order = Vec::new();
        let mut images = Vec::new();
        for part in parts {
            match part {
                PromptPart::Text(text) => {
                    texts.push(sys::mtmd_input_text {
                        text: text.as_ptr().cast(),
                        text_len: text.len(),
                        add_special,
                        parse_special: true,
                    });
                    order.push(Ok(texts.len() - 1));
                }
                PromptPart::Picture => {
                    images.extend(bitmaps.next());
                    order.push(Err(images.len() - 1));
                }
            }
        }
        let input_parts: Vec<sys::mtmd_input_part> = order
            .iter()
            .map(|place| match *place {
                Ok(text) => sys::mtmd_input_part { text: &raw const texts[text], bitmap: ptr::null() },
                Err(image) => sys::mtmd_input_part { text: ptr::null(), bitmap: images[image].0.as_ptr() },
            })
            .collect();
        let pointers: Vec<*const sys::mtmd_input_part> = input_parts.iter().map(ptr::from_ref).collect();
        // SAFETY: allocates an empty list; null only if out of memory.
        let chunks = NonNull::new(unsafe { sys::mtmd_input_chunks_init() })
            .ok_or_else(|| LlamaError::Tokenize { reason: "out of memory".to_owned() })?;
        let chunks = Chunks::of(chunks, self);
        backend::forget_errors();
        // SAFETY: every pointer is valid during the call; libmtmd copies what it keeps. Texts carry their length, so
        // they need no terminating NUL.
        let code = unsafe {
            sys::mtmd_tokenize_from_parts(
                self.raw.as_ptr(),
                chunks.raw().as_ptr(),
                pointers.as_ptr().cast_mut(),
                pointers.len(),
                add_special,
            )
        };
        if code != 0 {
            return Err(LlamaError::Tokenize { reason: backend::logged_reason() });
        }
        Ok(chunks)
    }

    /// Encodes one picture chunk. libmtmd: `mtmd_encode_chunk`, `mtmd_get_output_embd`.
    ///
    /// # Errors
    /// [`LlamaError::Encode`] with libmtmd's reason.
    pub fn encode(&self, image: &ImageChunk<'_>) -> Result<Embeddings, LlamaError> {
        backend::forget_errors();
        // SAFETY: the chunk belongs to this context (both carry its lifetime).
        let code = unsafe { sys::mtmd_encode_chunk(self.raw.as_ptr(), image.raw()) };
        if code != 0 {
            return Err(LlamaError::Encode { reason: backend::logged_reason() });
        }
        self.output(image)
    }

    /// Whether the vision tower and the projector behind it can run apart on a chunk (`patches/0007`).
    pub fn has_tower(&self, image: &ImageChunk<'_>) -> bool {
        // SAFETY: the chunk belongs to this context.
        unsafe { tower::tower_size(self.raw, image.raw()) > 0 }
    }

    /// As [`Vision::encode`], and what the tower gave to the projector.
    ///
    /// # Errors
    /// As [`Vision::encode`], also for a model without [`Vision::has_tower`].
    pub fn encode_with_tower(&self, image: &ImageChunk<'_>) -> Result<(Embeddings, Embeddings), LlamaError> {
        // SAFETY: the chunk belongs to this context, and encoding is not shared with another thread (`!Sync`).
        let tower = unsafe { tower::encode_with_tower(self.raw, image.raw())? };
        let width = tower.len();
        Ok((self.output(image)?, Embeddings::new(tower, width)))
    }

    /// Projects what the same tower gave elsewhere for the same picture; equals [`Vision::encode`].
    ///
    /// # Errors
    /// As [`Vision::encode`], also for a tower of another size.
    pub fn project(&self, image: &ImageChunk<'_>, tower: &Embeddings) -> Result<Embeddings, LlamaError> {
        // SAFETY: as above.
        unsafe { tower::encode_from_tower(self.raw, image.raw(), tower.row(0).unwrap_or(&[]))? };
        self.output(image)
    }

    fn output(&self, image: &ImageChunk<'_>) -> Result<Embeddings, LlamaError> {
        // SAFETY: the context is valid; the result is valid until the next encode and copied below.
        let data = unsafe { sys::mtmd_get_output_embd(self.raw.as_ptr()) };
        if data.is_null() {
            return Err(LlamaError::Encode { reason: backend::logged_reason() });
        }
        Ok(self.embeddings(image, data))
    }

    fn embeddings(&self, image: &ImageChunk<'_>, data: *const f32) -> Embeddings {
        let width = self.model.n_embd_inp();
        // SAFETY: libmtmd documents the length as n_embd_inp * n_tokens floats.
        let values = unsafe { slice::from_raw_parts(data, width * image.n_tokens()) }.to_vec();
        Embeddings::new(values, width)
    }

    pub(super) fn raw(&self) -> NonNull<sys::mtmd_context> {
        self.raw
    }
}

impl Drop for Vision {
    fn drop(&mut self) {
        // SAFETY: owned and freed once.
        unsafe { sys::mtmd_free(self.raw.as_ptr()) };
    }
}

/// Rows of one image chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// `[n_rows, width]`, row-major.
    values: Vec<f32>,
    width: usize,
}

impl Embeddings {
    /// From `[n_rows, width]` values, row-major.
    pub fn new(values: Vec<f32>, width: usize) -> Self {
        Self { values, width }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Memory that the values take.
    pub fn n_bytes(&self) -> usize {
        size_of_val(self.values.as_slice())
    }

    /// One row, `[width]`.
    pub fn row(&self, index: usize) -> Option<&[f32]> {
        self.values.get(index * self.width..(index + 1) * self.width)
    }
}

struct Bitmap(NonNull<sys::mtmd_bitmap>);

impl Bitmap {
    /// Its index is the id that the chunks made from it carry.
    fn new(index: usize, picture: &Picture) -> Self {
        // SAFETY: `Picture` holds width * height * 3 bytes; libmtmd copies them.
        let raw = unsafe { sys::mtmd_bitmap_init(picture.width(), picture.height(), picture.rgb().as_ptr()) };
        let raw = NonNull::new(raw).expect("mtmd_bitmap_init allocates or aborts");
        let id = CString::new(index.to_string()).expect("digits hold no NUL");
        // SAFETY: both are valid; libmtmd copies the text.
        unsafe { sys::mtmd_bitmap_set_id(raw.as_ptr(), id.as_ptr()) };
        Self(raw)
    }
}

impl Drop for Bitmap {
    fn drop(&mut self) {
        // SAFETY: owned and freed once.
        unsafe { sys::mtmd_bitmap_free(self.0.as_ptr()) };
    }
}
