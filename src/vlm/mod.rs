//! One vision-language model, guide or target: loading, preparing a prompt, answering, scoring an answer.
//!
//! [`Vlm::prepare`] does what does not depend on pruning (template, tokens, vision encoder); its result can be answered
//! any number of times with different kept sets.

mod cache;
mod draft;
mod encoder;
mod generate;
mod held;
mod plan;
mod prepare;
mod processor;
mod prompt;
mod reader;
mod said;
mod speech;
mod stop;
mod text;

pub use draft::DraftReport;
pub use generate::{Finish, Generation, GenerationOptions};
pub use prepare::Prepared;
pub(crate) use processor::Processor;
pub use prompt::Prompt;
pub use reader::MAX_PARALLEL;
pub use said::{Alternative, MAX_ALTERNATIVES, Said, TokenProbability};

use self::cache::{EncoderCache, Towers};
use self::encoder::Encoder;
use self::reader::{Desk, Reader, ReaderOptions};
use crate::chat::{ChatError, ChatTemplate, Message, Part};
use crate::gguf::{self, GgufError};
use crate::guidance::GuidanceError;
use crate::llama::{ContextOptions, ImageTokens, LlamaError, Memory, Model, ModelOptions, Vision, VisionOptions};
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Where a model's files are and how they run.
#[derive(Debug, Clone, Default)]
pub struct VlmOptions {
    /// The text model (GGUF).
    pub model: PathBuf,
    /// Its projector (GGUF).
    pub mmproj: PathBuf,
    /// Layers on the device (`-ngl`); `None`: all of them.
    pub n_gpu_layers: Option<u32>,
    /// Devices (`-dev`); `None`: all; empty: none.
    pub devices: Option<Vec<String>>,
    /// Context size (`-c`), for all requests at once together; `None`: grows with the prompts, up to what the model was trained with
    /// for each request.
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

impl VlmOptions {
    /// Whether nothing of the model, its vision encoder included, goes to a device.
    pub fn is_cpu_only(&self) -> bool {
        self.n_gpu_layers == Some(0) || self.devices.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether the device of this name may be given layers.
    pub fn may_use(&self, device: &str) -> bool {
        let is_named = |names: &Vec<String>| names.iter().any(|name| name.eq_ignore_ascii_case(device));
        !self.is_cpu_only() && self.devices.as_ref().is_none_or(is_named)
    }
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
    /// Kept tokens stand at positions that the model was not trained with.
    #[error(
        "the pictures and the text take {n_positions} positions, pruned or not, but the model was trained with {n_ctx_train}; use fewer or smaller pictures, or force it with -c {needed}"
    )]
    TooFarApart { n_positions: usize, n_ctx_train: u32, needed: usize },
}

/// A loaded vision-language model, or one of several handles on it.
pub struct Vlm {
    model: Arc<Model>,
    encoder: Arc<Encoder>,
    template: Arc<ChatTemplate>,
    options: VlmOptions,
    desk: Desk,
    /// Stops what this handle does.
    cancel: Arc<AtomicBool>,
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
            device: options.devices.as_ref().and_then(|names| names.first()).cloned(),
            cpu_only: options.is_cpu_only(),
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
        let reader_options = ReaderOptions {
            context: options.context.clone(),
            n_ctx: options.n_ctx,
            is_conversation: options.n_ctx.is_none() && options.encoder_cache_bytes > 0,
            n_parallel: 1,
            scores: role == Role::Guide,
        };
        let mut reader = Reader::new(&model, reader_options);
        if options.warm_up {
            reader.warm_up()?;
        }
        Ok(Self {
            model,
            encoder: Arc::new(Encoder::new(vision, options.encoder_cache_bytes)),
            template: Arc::new(template),
            desk: Desk::Own(Box::new(reader)),
            cancel: options.context.cancel.clone(),
            towers: None,
            options,
        })
    }

    /// Makes `n` handles of it, to use on as many threads. They share weights, encoder and what it has made, and a context in
    /// which what they ask is read together, in sequences of its own each, by a thread of its own. At least 1, at most
    /// [`MAX_PARALLEL`], and no more than half of a physical batch. What was read before is forgotten.
    ///
    /// Each handle is stopped by its flag of `cancels`, `n` in number. A model that runs on the processor computes on its thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn share(self, cancels: &[Arc<AtomicBool>], processor: &Processor) -> io::Result<Vec<Self>> {
        let processor = Self::is_on_processor(&self.options).then(|| processor.clone());
        if let Some(processor) = &processor {
            let _ = self.encoder.processor.set(processor.clone()); // set once, since it is shared once
        }
        let desk = self.desk.share(cancels.len(), processor)?;
        let handle = |cancel: &Arc<AtomicBool>| {
            Some(Self {
                model: self.model.clone(),
                encoder: self.encoder.clone(),
                template: self.template.clone(),
                options: self.options.clone(),
                desk: desk.another()?,
                cancel: cancel.clone(),
                towers: self.towers.clone(),
            })
        };
        Ok(cancels.iter().filter_map(handle).collect())
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
            let towers = Towers::new(Mutex::new(EncoderCache::new(max_bytes)));
            self.towers = Some(towers.clone());
            other.towers = Some(towers);
        }
        Ok(is_same)
    }

    /// Encodes for itself again, whoever has the same tower.
    pub fn keep_tower(&mut self) {
        self.towers = None;
    }

    /// Forgets what the vision tower gave, unless encoder outputs are kept.
    pub fn forget_towers(&mut self) {
        if let Some(towers) = self.towers.as_ref().filter(|_| self.options.encoder_cache_bytes == 0) {
            towers.lock().clear();
        }
    }

    /// Whether all of it runs on the processor.
    fn is_on_processor(options: &VlmOptions) -> bool {
        options.is_cpu_only() || !crate::llama::devices().iter().any(|device| device.is_gpu)
    }

    /// The text model's file.
    pub fn path(&self) -> &Path {
        &self.options.model
    }

    /// The projector's file.
    pub fn mmproj_path(&self) -> &Path {
        &self.options.mmproj
    }

    /// The loaded text model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Memory of the context; zero before the first answer.
    pub fn memory(&self) -> Memory {
        self.desk.memory()
    }

    /// Forgets what was read, so that the next prompt is read from its first token on.
    pub fn forget(&mut self) {
        self.desk.forget();
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
