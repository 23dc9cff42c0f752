//! One vision-language model, guide or target: loading, preparing a prompt, answering, scoring an answer.
//!
//! [`Vlm::prepare`] does what does not depend on pruning (template, tokens, vision encoder); its result can be answered
//! any number of times with different kept sets.

mod cache;
mod generate;
mod plan;
mod prompt;
mod text;

pub use generate::{Finish, Generation, GenerationOptions};
pub use prompt::Prompt;

use self::cache::{EncoderCache, Key};
use crate::chat::{ChatError, ChatTemplate, Message, Part, PromptPart};
use crate::gguf::{self, GgufError};
use crate::guidance::GuidanceError;
use crate::llama::{
    Chunk, Context, ContextOptions, Embeddings, ImageTokens, LlamaError, Model, ModelOptions, Vision, VisionOptions,
};
use crate::media::Picture;
use crate::timing::ms_since;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Where a model's files are and how they run.
#[derive(Debug, Clone, Default)]
pub struct VlmOptions {
    /// The text model (GGUF).
    pub model: PathBuf,
    /// Its projector (GGUF).
    pub mmproj: PathBuf,
    /// Layers on the device (`-ngl`); `None`: as many as fit.
    pub n_gpu_layers: Option<u32>,
    /// Devices (`-dev`); empty: all.
    pub devices: Vec<String>,
    /// Context size (`-c`); `None`: grows with the prompts, up to what the model was trained with.
    pub n_ctx: Option<u32>,
    /// The rest of the context's options; `n_ctx` in it is not used.
    pub context: ContextOptions,
    /// Limits on the visual tokens of a picture.
    pub image_tokens: ImageTokens,
    /// Most bytes of encoder outputs to keep for later questions about the same pictures; 0: none.
    pub encoder_cache_bytes: usize,
}

/// What a model is to the pair; decides what is checked before loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Answers first and must have attention.
    Guide,
    /// Has the last word.
    Target,
}

/// Why a model could not be loaded, or could not answer.
#[allow(missing_docs, reason = "the message names each field")]
#[derive(Debug, thiserror::Error)]
pub enum VlmError {
    /// A file is not what it should be.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The chat template failed.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// llama.cpp failed.
    #[error(transparent)]
    Llama(#[from] LlamaError),
    /// Selection or importance failed.
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
    /// The prompt does not fit the context that the user chose.
    #[error(
        "the prompt needs {n_prompt} tokens and the answer up to {n_answer}, but the context has {n_ctx}; use -c {needed}"
    )]
    ContextTooSmall { n_prompt: usize, n_answer: usize, n_ctx: u32, needed: usize },
    /// The prompt does not fit what the model was trained with.
    #[error(
        "the prompt needs {n_prompt} tokens, but the model was trained with {n_ctx_train}; use fewer or smaller pictures, or force it with -c {needed}"
    )]
    PromptTooLong { n_prompt: usize, n_ctx_train: u32, needed: usize },
}

/// A loaded vision-language model.
pub struct Vlm {
    vision: Vision,
    template: ChatTemplate,
    options: VlmOptions,
    context: Option<Context>,
    cache: EncoderCache,
}

/// A prompt with its pictures encoded.
pub struct Prepared {
    /// Tokens and positions.
    pub prompt: Prompt,
    /// One for each image chunk, in prompt order.
    embeddings: Vec<Arc<Embeddings>>,
    /// Image chunks (pictures or tiles) that the vision encoder read now.
    pub n_encoded: usize,
    /// Image chunks whose encoder output was still there.
    pub n_reused: usize,
    /// Time of the vision encoder; `None` without pictures.
    pub encode_ms: Option<f64>,
}

impl Prepared {
    /// Embedding row `index` of the prompt, `[n_embd_inp]`: of visual tokens and structural rows, in prompt order.
    pub fn row(&self, mut index: usize) -> Option<&[f32]> {
        for chunk in &self.embeddings {
            match index.checked_sub(chunk.len()) {
                Some(rest) => index = rest,
                None => return chunk.row(index),
            }
        }
        None
    }
}

impl Vlm {
    /// Reads the headers of both files and refuses what cannot work, in milliseconds.
    ///
    /// # Errors
    /// [`VlmError::Gguf`].
    pub fn check(role: Role, options: &VlmOptions) -> Result<(), VlmError> {
        let model = gguf::Header::read(&options.model)?;
        let mmproj = gguf::Header::read(&options.mmproj)?;
        match role {
            Role::Guide => gguf::check_guide(&model, &mmproj)?,
            Role::Target => gguf::check_target(&model, &mmproj)?,
        }
        Ok(())
    }

    /// Checks both files, then loads them. `progress` gets the loaded share of the text model.
    ///
    /// # Errors
    /// [`VlmError::Gguf`] before anything is loaded, [`VlmError::Llama`] and [`VlmError::Chat`] while loading.
    pub fn load(role: Role, options: VlmOptions, mut progress: impl FnMut(f32) + 'static) -> Result<Self, VlmError> {
        Self::check(role, &options)?;
        let model_options = ModelOptions {
            n_gpu_layers: options.n_gpu_layers,
            devices: options.devices.clone(),
            progress: Some(Box::new(move |share| {
                progress(share);
                true
            })),
        };
        let model = Model::load(&options.model, model_options)?;
        let vision_options = VisionOptions {
            n_threads: options.context.n_threads,
            device: options.devices.first().cloned(),
            cpu_only: options.n_gpu_layers == Some(0),
            image_tokens: options.image_tokens,
            flash_attention: options.context.flash_attention,
        };
        let vision = Vision::load(&options.mmproj, &model, &vision_options)?;
        let (bos, eos) = model.bos_eos();
        let template = match model.chat_template() {
            Some(source) => ChatTemplate::new(&source, &bos, &eos)?,
            None => ChatTemplate::chatml(&bos, &eos)?,
        };
        let cache = EncoderCache::new(options.encoder_cache_bytes);
        Ok(Self { vision, template, options, context: None, cache })
    }

    /// The text model's file.
    pub fn path(&self) -> &Path {
        &self.options.model
    }

    /// The loaded text model.
    pub fn model(&self) -> &Model {
        self.vision.model()
    }

    /// Renders the messages with the model's chat template, tokenizes, and encodes the pictures, those apart whose encoder
    /// outputs are still there. `progress` gets (done, all) picture chunks.
    ///
    /// Of a conversation, only the last turn asks: what was asked before has no part in the importance.
    ///
    /// # Errors
    /// [`VlmError::Chat`] when the template refuses the messages, [`VlmError::Llama`] when the encoder fails.
    pub fn prepare(
        &mut self,
        messages: &[Message],
        pictures: &[Picture],
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Prepared, VlmError> {
        let parts = self.template.render(messages, true)?;
        let add_special = !self.template.starts_with_bos(&parts);
        let chunks = self.vision.tokenize(&parts, pictures, add_special)?;
        let chunks = chunks.iter()?;
        let mut prompt = Prompt::new(&chunks, pictures);
        if let Some((n_tail, n_earlier)) = self.earlier_turns(messages, &parts) {
            prompt.skip_earlier_turns(n_tail, n_earlier);
        }

        let images: Vec<_> = chunks
            .iter()
            .filter_map(|chunk| if let Chunk::Image(image) = chunk { Some(image) } else { None })
            .collect();
        let start = Instant::now();
        let ids: Vec<_> = pictures.iter().map(Picture::content_id).collect();
        let mut n_chunks = vec![0; pictures.len()];
        let mut embeddings = Vec::with_capacity(images.len());
        let mut n_reused = 0;
        for (done, image) in images.iter().enumerate() {
            if self.options.context.cancel.load(Ordering::Relaxed) {
                return Err(LlamaError::Cancelled.into());
            }
            progress(done, images.len());
            let picture = image.picture();
            let key = Key { picture: ids[picture], chunk: n_chunks[picture], n_rows: image.n_tokens() };
            n_chunks[picture] += 1;
            embeddings.push(match self.cache.get(&key) {
                Some(encoded) => {
                    n_reused += 1;
                    encoded
                }
                None => {
                    let encoded = Arc::new(self.vision.encode(image)?);
                    self.cache.insert(key, encoded.clone());
                    encoded
                }
            });
        }
        progress(images.len(), images.len());
        let encode_ms = (!images.is_empty()).then(|| ms_since(start));
        Ok(Prepared { prompt, n_encoded: embeddings.len() - n_reused, embeddings, n_reused, encode_ms })
    }

    /// Bytes of encoder outputs that are kept.
    pub fn encoder_cache_bytes(&self) -> usize {
        self.cache.n_bytes()
    }

    /// Forgets all encoder outputs.
    pub fn clear_encoder_cache(&mut self) {
        self.cache.clear();
    }

    /// Tokens after the last picture, and how many of them belong to the turns before the last one; `None` if the last
    /// turn is the first, has the last picture, or cannot be told apart.
    fn earlier_turns(&self, messages: &[Message], parts: &[PromptPart]) -> Option<(usize, usize)> {
        let (_, earlier) = messages.split_last()?;
        if !earlier.iter().any(|message| message.n_pictures() > 0) {
            return None;
        }
        let earlier = self.template.render(earlier, false).ok()?;
        let n_pictures = |parts: &[PromptPart]| parts.iter().filter(|part| **part == PromptPart::Picture).count();
        let (tail, earlier_tail) = (text_after_pictures(parts), text_after_pictures(&earlier));
        if n_pictures(&earlier) != n_pictures(parts) || !tail.starts_with(&earlier_tail) {
            return None;
        }
        let (tail, earlier_tail) = (self.model().tokenize_prompt(&tail), self.model().tokenize_prompt(&earlier_tail));
        let n_common = tail.iter().zip(&earlier_tail).take_while(|(a, b)| a == b).count();
        Some((tail.len(), n_common))
    }

    /// A context with room for `n_prompt` tokens and, as far as the model goes, `n_answer` more; empty.
    fn context_for(&mut self, n_prompt: usize, n_answer: usize) -> Result<&mut Context, VlmError> {
        const STEP: usize = 256; // llama.cpp pads the cache to this
        let needed = n_prompt.saturating_add(n_answer).min(i32::MAX as usize - STEP).next_multiple_of(STEP);
        let n_ctx = match self.options.n_ctx {
            Some(n_ctx) if n_prompt >= n_ctx as usize => {
                return Err(VlmError::ContextTooSmall { n_prompt, n_answer, n_ctx, needed });
            }
            Some(n_ctx) => n_ctx,
            None => {
                let n_ctx_train = self.model().n_ctx_train();
                if n_prompt >= n_ctx_train as usize {
                    return Err(VlmError::PromptTooLong { n_prompt, n_ctx_train, needed });
                }
                (needed as u32).min(n_ctx_train)
            }
        };
        if self.context.as_ref().is_none_or(|context| context.n_ctx() < n_ctx) {
            self.context = None; // frees the old cache before the new one is made
            let options = ContextOptions { n_ctx, ..self.options.context.clone() };
            self.context = Some(Context::new(self.vision.model(), &options)?);
        }
        let context = self.context.as_mut().expect("was just made");
        context.clear();
        Ok(context)
    }
}

fn text_after_pictures(parts: &[PromptPart]) -> String {
    let last = parts.iter().rposition(|part| *part == PromptPart::Picture).map_or(0, |last| last + 1);
    let text = |part: &PromptPart| if let PromptPart::Text(text) = part { text.clone() } else { String::new() };
    parts[last..].iter().map(text).collect()
}

/// One user turn: the pictures, then the question.
pub fn question(system: Option<&str>, n_pictures: usize, text: &str) -> Vec<Message> {
    let mut messages: Vec<Message> = system.map(Message::system).into_iter().collect();
    let mut user = Message::user(text);
    user.parts.splice(0..0, std::iter::repeat_n(Part::Picture, n_pictures));
    messages.push(user);
    messages
}

#[cfg(test)]
mod tests;
