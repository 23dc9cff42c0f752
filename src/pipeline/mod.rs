//! One request from start to end: the guide answers and ranks, SEE decides, the target reads what is left (SGP).
//!
//! ```text
//! guide: encode, prefill, decode ─ importance ─ confident? ─ consistent? ─ yes: the guide's answer is final
//!                                      └ select ───────────────── no: target: encode, prefill (pruned), decode
//! ```

mod look;
mod report;
mod request;
mod selection;
mod trace;

pub use report::{Encodings, GuideReport, ModelNames, PictureReport, Report, Source, TileReport, VisualReport};
pub use request::{
    DEFAULT_CONSISTENCY_RETAIN, DEFAULT_EXIT_THRESHOLD, DEFAULT_RETAIN, DEFAULT_TILES, ExitOptions, Request,
};
pub use selection::{Attention, Selection};
pub use trace::Event;

use self::look::Look;
use self::trace::Trace;
use crate::guidance::{GuidanceError, Kept, Retain};
use crate::llama::LlamaError;
use crate::timing::{Phase, Timings, ms_since};
use crate::vlm::{
    Generation, GenerationOptions, Prepared, Processor, Role, Said, TokenProbability, Vlm, VlmError, VlmOptions,
};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A guide and a target, or a target alone.
pub struct Pipeline {
    guide: Option<Vlm>,
    target: Vlm,
    cancel: Arc<AtomicBool>,
}

/// A [`Report`] and what is too large for it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What users see.
    pub report: Report,
    /// The guide's attention on its own visual tokens, if it ran.
    pub attention: Option<Attention>,
    /// What was selected for the target; `None` without pictures. When the guide's answer was final, the target's tokens
    /// are not known: then the selection is among the guide's own.
    pub selection: Option<Selection>,
    /// The answer's tokens, where their probabilities were asked for.
    pub probabilities: Vec<TokenProbability>,
}

/// Why a request failed.
#[allow(missing_docs, reason = "the message names each field")]
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A model could not be loaded or failed.
    #[error("{}: {source}", if *.role == Role::Guide { "guide" } else { "target" })]
    Vlm { role: Role, source: VlmError },
    /// Selection failed.
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
    /// The guide's layers exported no attention.
    #[error("the guide exported no attention, so it cannot rank visual tokens; use another model as guide")]
    NoAttention,
    /// An engine could not begin.
    #[error("the system has no thread left: {0}; end other programs, or raise the limit (ulimit -u)")]
    Threads(io::Error),
    /// A panic, where others go on.
    #[error("a bug stopped the request: {message}")]
    Bug { message: String },
}

impl PipelineError {
    /// Whether the request was stopped through the cancel flag.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Vlm { source: VlmError::Llama(LlamaError::Cancelled), .. })
    }
}

type Result<T> = std::result::Result<T, PipelineError>;

impl Pipeline {
    /// Loads the guide, if any, and the target. `progress` gets (role, loaded share).
    ///
    /// # Errors
    /// [`PipelineError::Vlm`], naming the model.
    pub fn load(
        guide: Option<VlmOptions>,
        target: VlmOptions,
        progress: impl Fn(Role, f32) + Clone + 'static,
    ) -> Result<Self> {
        // Both pairs of headers first: nobody should wait for the guide to hear that the target's path is wrong.
        for (role, options) in guide.iter().map(|guide| (Role::Guide, guide)).chain([(Role::Target, &target)]) {
            Vlm::check(role, options).map_err(|source| PipelineError::Vlm { role, source })?;
        }
        let cancel = Arc::<AtomicBool>::default();
        let load = |role: Role, mut options: VlmOptions| {
            options.context.cancel = cancel.clone();
            let progress = progress.clone();
            Vlm::load(role, options, move |share| progress(role, share))
                .map_err(|source| PipelineError::Vlm { role, source })
        };
        let mut guide = guide.map(|options| load(Role::Guide, options)).transpose()?;
        let mut target = load(Role::Target, target)?;
        if let Some(guide) = &mut guide {
            guide.share_tower(&mut target).map_err(in_target)?;
        }
        Ok(Self { guide, target, cancel })
    }

    /// Makes `n` pipelines of it, to run as many requests at once on as many threads. They share models, contexts and caches; each
    /// has a cancel flag of its own. What runs on the processor runs on that thread.
    ///
    /// # Errors
    /// [`PipelineError::Threads`].
    pub(crate) fn share(self, n: usize, processor: &Processor) -> Result<Vec<Self>> {
        let cancels: Vec<Arc<AtomicBool>> = (0..n).map(|_| Arc::default()).collect();
        let share = |vlm: Vlm| vlm.share(&cancels, processor).map_err(PipelineError::Threads);
        let mut guides = self.guide.map(share).transpose()?.unwrap_or_default().into_iter();
        let pipeline =
            |(target, cancel): (Vlm, &Arc<AtomicBool>)| Self { guide: guides.next(), target, cancel: cancel.clone() };
        Ok(share(self.target)?.into_iter().zip(&cancels).map(pipeline).collect())
    }

    /// The flag that stops the running request from another thread; cleared when the next one starts.
    pub fn cancel_flag(&self) -> Arc<AtomicBool> {
        self.cancel.clone()
    }

    /// The guide, to use on its own.
    pub fn guide_mut(&mut self) -> Option<&mut Vlm> {
        self.guide.as_mut()
    }

    /// The target, to use on its own.
    pub fn target_mut(&mut self) -> &mut Vlm {
        &mut self.target
    }

    /// Forgets what both models have read.
    pub(crate) fn forget(&mut self) {
        self.guide.iter_mut().chain([&mut self.target]).for_each(Vlm::forget);
    }

    /// Answers a request.
    ///
    /// Without pictures, or without a guide, the target simply answers. A guide that is needed neither for ranking nor
    /// for an early exit does not run.
    ///
    /// # Errors
    /// [`PipelineError`]; nothing of a failed request is kept.
    pub fn run(&mut self, request: &Request, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Outcome> {
        self.cancel.store(false, Ordering::Relaxed);
        self.answer(request, on_event)
    }

    /// As [`Pipeline::run`], but a flag that is set already stops it.
    pub(crate) fn answer(&mut self, request: &Request, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Outcome> {
        request.check()?;
        self.target.forget_towers();
        let start = Instant::now();
        let mut trace =
            Trace { timings: Timings::default(), guide: Encodings::default(), target: Encodings::default(), on_event };
        let retain = request.retain.unwrap_or(Retain::Share(1.0));
        let needed = request.always_guide || request.exit.is_some() || request.policy.needs_attention(retain);
        let guide = self.guide.as_mut().filter(|_| !request.pictures.is_empty());
        let guided = guide.is_some();
        let (look, exit) = match guide.filter(|_| needed) {
            Some(guide) => {
                let look = Look::take(guide, request, &mut trace).map_err(in_guide)?;
                let exit = request.exit.map(|options| look.decide(guide, &options, &mut trace)).transpose()?;
                (Some(look), exit)
            }
            None => (None, None),
        };

        let select = |read: &Prepared, look: Option<&Look>| Selection::make(request, read, look.map(Look::seen));
        let exited = look.as_ref().filter(|_| exit.is_some_and(|exit| exit.exited));
        let (source, generation, kept, selection, tiles);
        if let Some(look) = exited {
            source = Source::Guide;
            selection = select(&look.prepared, Some(look))?;
            tiles = TileReport::of(&look.prepared.prompt, &Selection::of_all(&look.prepared.prompt));
            let Generation { text, probabilities, .. } = &look.generation;
            (trace.on_event)(Event::Said(&Said { text: text.clone(), tokens: probabilities.clone() }));
            kept = Kept::all(selection.places.len());
            generation = look.generation.clone();
        } else {
            let target = &mut self.target;
            let mut prepared = target.read(&request.messages, &request.pictures).map_err(in_target)?;
            if guided && request.policy.needs_embeddings(retain) {
                target.check_room(&prepared.prompt, 0, request.n_predict).map_err(in_target)?;
                let all = Kept::all(prepared.prompt.n_visual());
                trace.encode(target, &mut prepared, &all, Phase::TargetEncode).map_err(in_target)?;
            }
            source = Source::Target;
            selection = if guided { select(&prepared, look.as_ref())? } else { Selection::of_all(&prepared.prompt) };
            kept = selection.kept.clone();
            target.check_room(&prepared.prompt, kept.len(), request.n_predict).map_err(in_target)?;
            // Tiles that hold nothing to be read are never encoded.
            trace.encode(target, &mut prepared, &kept, Phase::TargetEncode).map_err(in_target)?;
            tiles = TileReport::of(&prepared.prompt, &selection);
            let guess = look.as_ref().filter(|_| request.draft).map(|look| look.generation.text.as_str());
            let options = GenerationOptions {
                sampling: request.sampling.clone(),
                draft: guess.map(|text| target.model().tokenize(text)).unwrap_or_default(),
                ..request.generation()
            };
            let phases = [Phase::TargetPrefill, Phase::TargetDecode];
            generation = trace.answer(&mut self.target, &prepared, &kept, &options, phases).map_err(in_target)?;
        }
        trace.timings.total = ms_since(start);

        let report = Report {
            answer: generation.text,
            source,
            finish: generation.finish,
            exit,
            visual: VisualReport {
                tokens: kept.n_visual(),
                kept: kept.len(),
                retain: kept.share(),
                pictures: selection.counts(&kept),
                tiles,
                encoded: trace.guide.encoded + trace.target.encoded,
                reused: trace.guide.reused + trace.target.reused,
                projected: trace.guide.projected + trace.target.projected,
                target: trace.target,
                kept_indices: kept.indices().to_vec(),
            },
            guide: look.as_ref().map(Look::report),
            timings_ms: trace.timings,
            prompt_tokens: generation.n_prompt,
            held_tokens: generation.n_held,
            draft: (generation.draft.offered > 0).then_some(generation.draft),
            generated_tokens: generation.tokens.len(),
            models: ModelNames { guide: self.guide.as_ref().map(file_name), target: file_name(&self.target) },
        };
        let attention = look.and_then(|look| {
            let prompt = &look.prepared.prompt;
            let (places, tiles) = (prompt.places().to_vec(), prompt.tiles());
            Some(Attention { importance: look.generation.importance?, places, tiles })
        });
        let selection = (!request.pictures.is_empty()).then_some(selection);
        Ok(Outcome { report, attention, selection, probabilities: generation.probabilities })
    }
}

fn in_guide(source: VlmError) -> PipelineError {
    PipelineError::Vlm { role: Role::Guide, source }
}

fn in_target(source: VlmError) -> PipelineError {
    PipelineError::Vlm { role: Role::Target, source }
}

fn file_name(vlm: &Vlm) -> String {
    vlm.path().file_name().unwrap_or(vlm.path().as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
