//! One vision-language model, guide or target: loading, preparing a prompt, answering, scoring an answer.
//!
//! [`Vlm::prepare`] does what does not depend on pruning (template, tokens, vision encoder); its result can be answered
//! any number of times with different kept sets.

mod cache;
mod generate;
mod plan;
mod prepare;
mod prompt;
mod text;

pub use generate::{Finish, Generation, GenerationOptions};
pub use prepare::Prepared;
pub use prompt::Prompt;

use self::cache::EncoderCache;
use crate::chat::{ChatError, ChatTemplate, Message, Part};
use crate::gguf::{self, GgufError};
use crate::guidance::GuidanceError;
use crate::llama::{Context, ContextOptions, ImageTokens, LlamaError, Model, ModelOptions, Vision, VisionOptions};
use std::path::{Path, PathBuf};

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
