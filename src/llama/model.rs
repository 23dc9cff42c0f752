//! Text models: loading, sizes, vocabulary.

use super::{Device, LlamaError, backend};
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_sys_2 as sys;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

/// A vocabulary id.
pub type Token = i32;

/// How a model is loaded.
#[derive(Default)]
pub struct ModelOptions {
    /// Layers kept in device memory (`-ngl`); `None`: all of them, whether they fit or not.
    pub n_gpu_layers: Option<u32>,
    /// Devices to use (`-dev`); `None`: all; empty: none.
    pub devices: Option<Vec<String>>,
    /// Called with the loaded share in 0..=1; `false` aborts.
    pub progress: Option<Box<dyn FnMut(f32) -> bool>>,
}

/// A loaded text model.
pub struct Model {
    inner: LlamaModel,
}

impl Model {
    /// Loads a GGUF file. llama.cpp: `llama_model_load_from_file`.
    ///
    /// # Errors
    /// [`LlamaError::UnknownDevice`], or [`LlamaError::LoadModel`] with the reason that llama.cpp logged.
    pub fn load(path: &Path, options: ModelOptions) -> Result<Arc<Self>, LlamaError> {
        let backend = backend::backend();
        let mut params = LlamaModelParams::default();
        if let Some(n) = options.n_gpu_layers {
            params = params.with_n_gpu_layers(n.min(i32::MAX as u32));
        }
        let failed = |reason: String| LlamaError::LoadModel { path: path.to_owned(), reason };
        if let Some(names) = &options.devices {
            let indices = device_indices(names)?;
            params = params.with_devices(&indices).map_err(|error| failed(error.to_string()))?;
        }
        if let Some(progress) = options.progress {
            params = params.with_progress_callback(progress);
        }
        backend::forget_errors();
        if !path.exists() {
            return Err(failed("there is no such file".to_owned()));
        }
        if path.to_str().is_none() {
            return Err(failed("its path is not UTF-8".to_owned()));
        }
        let inner = LlamaModel::load_from_file(backend, path, &params).map_err(|_| failed(backend::logged_reason()))?;
        Ok(Arc::new(Self { inner }))
    }

    pub(super) fn raw(&self) -> NonNull<sys::llama_model> {
        const { assert!(size_of::<LlamaModel>() == size_of::<NonNull<sys::llama_model>>()) };
        // SAFETY: `LlamaModel` is `repr(transparent)` over a non-null model pointer, as its documentation of the source
        // states and the assertion above checks in size; the pointer is valid while `self` lives.
        unsafe { std::ptr::from_ref(&self.inner).cast::<NonNull<sys::llama_model>>().read() }
    }

    pub(super) fn inner(&self) -> &LlamaModel {
        &self.inner
    }

    /// Number of layers.
    pub fn n_layer(&self) -> u32 {
        self.inner.n_layer()
    }

    /// Number of tokens in the vocabulary.
    pub fn n_vocab(&self) -> usize {
        usize::try_from(self.inner.n_vocab()).unwrap_or(0)
    }

    /// Context length that the model was trained with.
    pub fn n_ctx_train(&self) -> u32 {
        // SAFETY: the model pointer is valid. (llama-cpp-2 panics where the file states more than an i32 holds.)
        u32::try_from(unsafe { sys::llama_model_n_ctx_train(self.raw().as_ptr()) }).unwrap_or(u32::MAX)
    }

    /// Width of the first layer's input. llama.cpp: `llama_model_n_embd`.
    pub fn n_embd(&self) -> usize {
        usize::try_from(self.inner.n_embd()).unwrap_or(0)
    }

    /// Width of one row of an embedding batch. llama.cpp: `llama_model_n_embd_inp`. Wider than the
    /// first layer's input where later layers read more of the picture (DeepStack).
    pub fn n_embd_inp(&self) -> usize {
        // SAFETY: the model pointer is valid.
        usize::try_from(unsafe { sys::llama_model_n_embd_inp(self.raw().as_ptr()) }).unwrap_or(0)
    }

    /// Whether layers carry a state from token to token, which cannot be taken back.
    pub fn is_recurrent(&self) -> bool {
        let model = self.raw().as_ptr();
        // SAFETY: the model pointer is valid.
        unsafe { sys::llama_model_is_recurrent(model) || sys::llama_model_is_hybrid(model) }
    }

    /// Tokens that a layer with a sliding window sees at most; 0: there is no such layer.
    pub fn window(&self) -> i32 {
        // SAFETY: the model pointer is valid.
        unsafe { sys::llama_model_n_swa(self.raw().as_ptr()) }
    }

    /// Whether a batch may hold tokens and embeddings; some models treat all of a batch as one or the other. llama.cpp:
    /// `llm_arch_supports_mixed_batch`.
    pub fn takes_mixed_batches(&self) -> bool {
        let architecture = self.inner.meta_val_str("general.architecture").unwrap_or_default();
        !["cogvlm", "deepseek4", "graniteswitch"].contains(&architecture.as_str())
    }

    /// Whether generation ends at this token.
    pub fn is_end(&self, token: Token) -> bool {
        self.inner.vocab().is_eog(LlamaToken(token))
    }

    /// The token's bytes as they appear in an answer: control tokens are empty.
    pub fn piece(&self, token: Token) -> Vec<u8> {
        self.inner.vocab().token_to_piece(LlamaToken(token), false, None)
    }

    /// The token's bytes, those of a control token's name among them.
    pub fn name(&self, token: Token) -> Vec<u8> {
        self.inner.vocab().token_to_piece(LlamaToken(token), true, None)
    }

    /// Tokens of plain text, without special tokens.
    pub fn tokenize(&self, text: &str) -> Vec<Token> {
        self.inner.vocab().tokenize(text.as_bytes(), false, false).into_iter().map(|token| token.0).collect()
    }

    /// Tokens of a rendered prompt: the text of special tokens stands for them, as in [`super::Vision::tokenize`].
    pub fn tokenize_prompt(&self, text: &str) -> Vec<Token> {
        self.inner.vocab().tokenize(text.as_bytes(), false, true).into_iter().map(|token| token.0).collect()
    }

    /// Whether the vocabulary asks for a BOS token before a prompt.
    pub fn adds_bos(&self) -> bool {
        self.inner.vocab().should_add_bos()
    }

    /// Text of the BOS and of the EOS token as chat templates write them; empty where there is none.
    pub fn bos_eos(&self) -> (String, String) {
        let vocab = self.inner.vocab();
        // llama.cpp throws for the number of a token that the vocabulary does not have.
        let text =
            |token: LlamaToken| match Some(token).filter(|token| token.0 >= 0).and_then(|token| vocab.text(token)) {
                Some(text) => text.to_string_lossy().into_owned(),
                None => String::new(),
            };
        (text(vocab.bos()), text(vocab.eos()))
    }

    /// The chat template stored in the file, if there is one.
    pub fn chat_template(&self) -> Option<String> {
        self.inner.meta_val_str("tokenizer.chat_template").ok().filter(|template| !template.is_empty())
    }
}

/// ggml's indices of the named devices.
pub(super) fn device_indices(names: &[String]) -> Result<Vec<usize>, LlamaError> {
    let devices = super::devices();
    let find = |name: &String| -> Result<usize, LlamaError> {
        match devices.iter().find(|device: &&Device| device.name.eq_ignore_ascii_case(name)) {
            Some(device) => Ok(device.index),
            None => {
                let known = devices.iter().map(|device| device.name.as_str()).collect::<Vec<_>>().join(", ");
                Err(LlamaError::UnknownDevice { name: name.clone(), known })
            }
        }
    };
    names.iter().map(find).collect()
}
