//! One vision-language model, guide or target: loading, preparing a prompt, answering, scoring an answer.
//!
//! [`Vlm::prepare`] does what does not depend on pruning (template, tokens, vision encoder); its result can be answered
//! any number of times with different kept sets.

mod cache;
mod draft;
mod feed;
mod generate;
mod held;
mod plan;
mod prepare;
mod prompt;
mod text;

pub use draft::DraftReport;
pub use generate::{Finish, Generation, GenerationOptions};
pub use prepare::Prepared;
pub use prompt::Prompt;

use self::cache::{EncoderCache, Towers};
use self::held::Held;
use crate::chat::{ChatError, ChatTemplate, Message, Part};
use crate::gguf::{self, GgufError};
use crate::guidance::GuidanceError;
use crate::llama::{
    Batch, Context, ContextOptions, ImageTokens, LlamaError, Memory, Model, ModelOptions, Vision, VisionOptions,
};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

/// Where a model's files are and how they run.
#[derive(Debug, Clone, Default)]
pub struct VlmOptions {
    /// The text model (GGUF).
    pub model: PathBuf,
    /// Its projector (GGUF).
    pub mmproj: PathBuf,
    /// Layers on the device (`-ngl`); `None`: all of them.
    pub n_gpu_layers: Option<u32>,
    /// Devices (`-dev`); empty: all.
    pub devices: Vec<String>,
    /// Context size (`-c`); `None`: grows with the prompts, up to what the model was trained with.
    pub n_ctx: Option<u32>,
    /// The rest of the context's options; `n_ctx` in it is not used.
    pub context: ContextOptions,
    /// Limits on the visual tokens of a picture.
    pub image_tokens: ImageTokens,
    /// Most tiles of a picture, for models that cut pictures up; 1: the picture as a whole; `None`: the model's own.
    pub max_tiles: Option<u32>,
    /// Run a token at load, so that the first answer need not wait for weights and kernels.
    pub warm_up: bool,
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

/// The sequence that prompts and answers are in.
const SEQUENCE: i32 = 0;

/// A loaded vision-language model.
pub struct Vlm {
    vision: Vision,
    template: ChatTemplate,
    options: VlmOptions,
    context: Option<Context>,
    held: Held,
    cache: EncoderCache,
    /// Shared with a model that has the same vision tower.
    towers: Option<Towers>,
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
    pub fn load(
        role: Role,
        mut options: VlmOptions,
        mut progress: impl FnMut(f32) + 'static,
    ) -> Result<Self, VlmError> {
        Self::check(role, &options)?;
        // llama.cpp reserves an output for each sequence.
        if role == Role::Guide && options.context.n_batch.min(options.context.n_ubatch) > 1 {
            // A second sequence for the consistency pass, in the same cells: what both begin with is held once.
            options.context.n_seq_max = 2;
            options.context.kv_unified = true;
        }
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
            max_tiles: options.max_tiles,
            flash_attention: options.context.flash_attention,
            warm_up: options.warm_up,
        };
        let vision = Vision::load(&options.mmproj, &model, &vision_options)?;
        let (bos, eos) = model.bos_eos();
        let template = match model.chat_template() {
            Some(source) => ChatTemplate::new(&source, &bos, &eos)?,
            None => ChatTemplate::chatml(&bos, &eos)?,
        };
        let cache = EncoderCache::new(options.encoder_cache_bytes);
        let mut vlm = Self { vision, template, options, context: None, held: Held::default(), cache, towers: None };
        if vlm.options.warm_up {
            vlm.warm_up()?;
        }
        Ok(vlm)
    }

    fn warm_up(&mut self) -> Result<(), VlmError> {
        self.make_room(1, 0, 0)?;
        let (context, held) = self.sequence();
        let mut batch = Batch::new(context);
        let index = batch.add_token(0, 0, SEQUENCE)?;
        batch.want_logits(index);
        context.decode(&mut batch)?;
        context.logits(index)?; // waits for the device
        held.clear(context);
        Ok(())
    }

    /// Lets two models whose projector files hold the same vision tower encode each picture once, and project it twice.
    /// Whether they do.
    ///
    /// # Errors
    /// [`VlmError::Gguf`]: a projector file cannot be read.
    pub fn share_tower(&mut self, other: &mut Self) -> Result<bool, VlmError> {
        let [ours, theirs] = [&self.options.mmproj, &other.options.mmproj].map(|path| gguf::Header::read(path));
        let is_same = ours?.same_tower(&theirs?)?;
        if is_same {
            // Without memory for conversations, what is left of a request goes when the next one begins.
            let max_bytes = match self.options.encoder_cache_bytes {
                0 => usize::MAX,
                n => n,
            };
            let towers = Towers::new(EncoderCache::new(max_bytes).into());
            self.towers = Some(towers.clone());
            other.towers = Some(towers);
        }
        Ok(is_same)
    }

    /// Forgets what the vision tower gave, unless encoder outputs are kept.
    pub fn forget_towers(&mut self) {
        if let Some(towers) = self.towers.as_ref().filter(|_| self.options.encoder_cache_bytes == 0) {
            towers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// The text model's file.
    pub fn path(&self) -> &Path {
        &self.options.model
    }

    /// The loaded text model.
    pub fn model(&self) -> &Model {
        self.vision.model()
    }

    /// Memory of the context; zero before the first answer.
    pub fn memory(&self) -> Memory {
        self.context.as_ref().map(Context::memory).unwrap_or_default()
    }

    /// Forgets what was read, so that the next prompt is read from its first token on.
    pub fn forget(&mut self) {
        if let Some(context) = &mut self.context {
            self.held.clear(context);
        }
    }

    /// Whether an answer can be scored in a sequence of its own.
    fn scores_apart(&self) -> bool {
        self.options.context.n_seq_max > 1
    }

    /// Makes sure of a context with room for `n_prompt` tokens and, as far as the model goes, `n_answer` more and a `reserve`.
    /// What it held is lost if it has to grow.
    fn make_room(&mut self, n_prompt: usize, n_answer: usize, reserve: usize) -> Result<(), VlmError> {
        const STEP: usize = 256; // llama.cpp pads the cache to this
        let step = |n: usize| n.min(i32::MAX as usize / 2).next_multiple_of(STEP);
        let needed = step(n_prompt.saturating_add(n_answer));
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
                (step(needed.saturating_add(reserve)) as u32).min(n_ctx_train)
            }
        };
        if self.context.as_ref().is_none_or(|context| context.n_ctx() < n_ctx) {
            self.context = None; // frees the old cache before the new one is made
            self.held = Held::default();
            // A conversation goes on: growing at every turn would lose at every turn what is held.
            let is_conversation = self.options.n_ctx.is_none() && self.options.encoder_cache_bytes > 0;
            let n_ctx = if is_conversation {
                n_ctx.saturating_mul(2).min(self.model().n_ctx_train().max(n_ctx))
            } else {
                n_ctx
            };
            let options = ContextOptions { n_ctx, ..self.options.context.clone() };
            self.context = Some(Context::new(self.vision.model(), &options)?);
        }
        Ok(())
    }

    /// The context and what it holds.
    fn sequence(&mut self) -> (&mut Context, &mut Held) {
        (self.context.as_mut().expect("room was made"), &mut self.held)
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
