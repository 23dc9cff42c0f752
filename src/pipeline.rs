//! One request from start to end: the guide answers and ranks, SEE decides, the target reads what is left (SGP).
//!
//! ```text
//! guide: encode, prefill, decode ─ importance ─ confident? ─ consistent? ─ yes: the guide's answer is final
//!                                      └ select ───────────────── no: target: encode, prefill (pruned), decode
//! ```

use crate::chat::Message;
use crate::geometry::{Carry, Place};
use crate::guidance::{
    Consistency, DEFAULT_PICTURE_FLOOR, ExitDecision, GuidanceError, Importance, Kept, Policy, Retain, cannot_exit,
    confidence,
};
use crate::llama::{LlamaError, SamplingOptions};
use crate::media::Picture;
use crate::timing::{Phase, Timings, ms_since};
use crate::vlm::{Finish, Generation, GenerationOptions, Prepared, Prompt, Role, Vlm, VlmError, VlmOptions};
use serde::Serialize;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Share of visual tokens that the target reads unless told otherwise: on the demo pair's held-out questions 1.4 points
/// fewer right answers than with all tokens, while a tenth costs 6.
pub const DEFAULT_RETAIN: Retain = Retain::Share(0.25);
/// Score from which the guide's answer is final unless told otherwise: on the demo pair's held-out questions, where such
/// answers begin to be right as often as the unpruned target's.
pub const DEFAULT_EXIT_THRESHOLD: f64 = 0.9;
/// Share of visual tokens in the consistency pass (the paper's public code: 0.05).
pub const DEFAULT_CONSISTENCY_RETAIN: Retain = Retain::Share(0.05);

/// A guide and a target, or a target alone.
pub struct Pipeline {
    guide: Option<Vlm>,
    target: Vlm,
    cancel: Arc<AtomicBool>,
}

/// What is asked, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The conversation; its picture parts stand for `pictures` in order.
    pub messages: Vec<Message>,
    /// The pictures.
    pub pictures: Vec<Picture>,
    /// How many visual tokens the target reads; `None`: all.
    pub retain: Option<Retain>,
    /// What ranks them.
    pub policy: Policy,
    /// The part of its proportional share that each of several pictures keeps at least, 0 to 1.
    pub picture_floor: f64,
    /// When the guide's answer is final; `None`: never.
    pub exit: Option<ExitOptions>,
    /// Run the guide even where nothing depends on it, for its importance.
    pub always_guide: bool,
    /// Most tokens to generate, for guide and target each.
    pub n_predict: usize,
    /// How the target's tokens are drawn; the guide always answers greedily.
    pub sampling: SamplingOptions,
}

/// SEE's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExitOptions {
    /// The guide's answer is final at this score or above.
    pub threshold: f64,
    /// How the consistency pass is summed up.
    pub consistency: Consistency,
    /// What the guide sees in the consistency pass.
    pub retain: Retain,
}

impl Default for ExitOptions {
    fn default() -> Self {
        let retain = DEFAULT_CONSISTENCY_RETAIN;
        Self { threshold: DEFAULT_EXIT_THRESHOLD, consistency: Consistency::Product, retain }
    }
}

impl Request {
    /// A request with the default guidance and greedy decoding.
    pub fn new(messages: Vec<Message>, pictures: Vec<Picture>) -> Self {
        Self {
            messages,
            pictures,
            retain: Some(DEFAULT_RETAIN),
            policy: Policy::Global,
            picture_floor: DEFAULT_PICTURE_FLOOR,
            exit: Some(ExitOptions::default()),
            always_guide: false,
            n_predict: 256,
            sampling: SamplingOptions::default(),
        }
    }
}

/// What happens while a request runs.
#[allow(missing_docs, reason = "the fields are what they are called")]
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A phase begins.
    Phase(Phase),
    /// Work done so far in a phase: picture chunks while encoding, tokens in a prefill.
    Progress { phase: Phase, done: usize, all: usize },
    /// The next piece of the final answer.
    Text(&'a str),
}

/// Which model's answer is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Early exit.
    Guide,
    /// The usual case.
    Target,
}

/// What the answering model read of the pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VisualReport {
    /// Visual tokens of the prompt.
    pub tokens: usize,
    /// How many of them the answering model read.
    pub kept: usize,
    /// `kept / tokens`; 1 without pictures.
    pub retain: f64,
    /// The same for each picture.
    pub pictures: Vec<PictureReport>,
    /// Pictures and tiles that the vision encoders of both models read for this request.
    pub encoded: usize,
    /// Pictures and tiles whose encoder output was still there from an earlier one.
    pub reused: usize,
    /// Which ones, sorted.
    pub kept_indices: Vec<usize>,
}

/// What the answering model read of one picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PictureReport {
    /// Its visual tokens.
    pub tokens: usize,
    /// How many of them were read.
    pub kept: usize,
}

/// The guide's own answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GuideReport {
    /// Its text.
    pub answer: String,
    /// Generated tokens, the end token included.
    pub tokens: usize,
}

/// File names of the models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelNames {
    /// The guide's, if there is one.
    pub guide: Option<String>,
    /// The target's.
    pub target: String,
}

/// The result of a request, as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The final answer.
    pub answer: String,
    /// Who gave it.
    pub source: Source,
    /// Why it ended.
    pub finish: Finish,
    /// The early-exit decision; `None` when it was switched off or there was nothing to decide.
    pub exit: Option<ExitDecision>,
    /// What the answering model read.
    pub visual: VisualReport,
    /// The guide's answer, if it ran.
    pub guide: Option<GuideReport>,
    /// Time by phase.
    pub timings_ms: Timings,
    /// Prompt tokens that the answering model read, text and visual.
    pub prompt_tokens: usize,
    /// Tokens of the final answer, the end token included.
    pub generated_tokens: usize,
    /// Who they are.
    pub models: ModelNames,
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
}

/// Attention on the visual tokens of a model.
#[derive(Debug, Clone)]
pub struct Attention {
    /// Per layer and token.
    pub importance: Importance,
    /// Where the tokens lie.
    pub places: Vec<Place>,
    /// Whole pictures and tiles ([`Prompt::tiles`]).
    pub tiles: Vec<Place>,
}

/// Visual tokens selected for the target.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Which.
    pub kept: Kept,
    /// Where all of them lie.
    pub places: Vec<Place>,
    /// Whole pictures and tiles ([`Prompt::tiles`]).
    pub tiles: Vec<Place>,
    /// The guide's attention carried over to them, if it ran.
    pub importance: Option<Importance>,
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
        let guide = guide.map(|options| load(Role::Guide, options)).transpose()?;
        let target = load(Role::Target, target)?;
        Ok(Self { guide, target, cancel })
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

    /// Answers a request.
    ///
    /// Without pictures, or without a guide, the target simply answers. A guide that is needed neither for ranking nor
    /// for an early exit does not run.
    ///
    /// # Errors
    /// [`PipelineError`]; nothing of a failed request is kept.
    pub fn run(&mut self, request: &Request, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Outcome> {
        self.cancel.store(false, Ordering::Relaxed);
        let start = Instant::now();
        let mut trace = Trace { timings: Timings::default(), n_encoded: 0, n_reused: 0, on_event };
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

        let select = |prompt: &Prompt, look: Option<&Look>| Selection::make(request, prompt, look.map(Look::seen));
        let exited = look.as_ref().filter(|_| exit.is_some_and(|exit| exit.exited));
        let (source, generation, kept, selection);
        if let Some(look) = exited {
            (trace.on_event)(Event::Text(&look.generation.text));
            source = Source::Guide;
            selection = select(&look.prepared.prompt, Some(look))?;
            kept = Kept::all(selection.places.len());
            generation = look.generation.clone();
        } else {
            let prepared = trace.prepare(&mut self.target, request, Phase::TargetEncode).map_err(in_target)?;
            let prompt = &prepared.prompt;
            source = Source::Target;
            selection = if guided { select(prompt, look.as_ref())? } else { Selection::of_all(prompt) };
            kept = selection.kept.clone();
            let sampling = request.sampling.clone();
            let options = GenerationOptions { n_predict: request.n_predict, sampling, observe: false };
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
                encoded: trace.n_encoded,
                reused: trace.n_reused,
                kept_indices: kept.indices().to_vec(),
            },
            guide: look.as_ref().map(Look::report),
            timings_ms: trace.timings,
            prompt_tokens: generation.n_prompt,
            generated_tokens: generation.tokens.len(),
            models: ModelNames { guide: self.guide.as_ref().map(file_name), target: file_name(&self.target) },
        };
        let attention = look.and_then(|look| {
            let prompt = &look.prepared.prompt;
            let (places, tiles) = (prompt.places().to_vec(), prompt.tiles());
            Some(Attention { importance: look.generation.importance?, places, tiles })
        });
        Ok(Outcome { report, attention, selection: (!request.pictures.is_empty()).then_some(selection) })
    }
}

impl Selection {
    /// The visual tokens of `prompt` that the policy of `request` keeps, by attention that was `seen` on the tokens at
    /// these places, of any model that read the same pictures.
    ///
    /// # Errors
    /// [`PipelineError::Guidance`]: the policy needs attention that was not seen.
    pub fn make(request: &Request, prompt: &Prompt, seen: Option<(&Importance, &[Place])>) -> Result<Self> {
        let places = prompt.places();
        let importance = seen.map(|(importance, seen)| {
            let carry = Carry::new(seen, places);
            importance.carried(places.len(), |mass| carry.apply(mass))
        });
        let pictures = picture_sizes(places);
        let retain = request.retain.unwrap_or(Retain::Share(1.0));
        let kept = request.policy.select_of(&pictures, importance.as_ref(), retain, request.picture_floor)?;
        Ok(Self { kept, importance, ..Self::of_all(prompt) })
    }

    fn of_all(prompt: &Prompt) -> Self {
        let places = prompt.places().to_vec();
        Self { kept: Kept::all(places.len()), places, tiles: prompt.tiles(), importance: None }
    }

    fn counts(&self, kept: &Kept) -> Vec<PictureReport> {
        let sizes = picture_sizes(&self.places);
        let counts = kept.counts(&sizes);
        sizes.into_iter().zip(counts).map(|(tokens, kept)| PictureReport { tokens, kept }).collect()
    }
}

/// Number of visual tokens of each picture.
fn picture_sizes(places: &[Place]) -> Vec<usize> {
    let mut sizes = vec![0; places.iter().map(|place| place.picture + 1).max().unwrap_or(0)];
    for place in places {
        sizes[place.picture] += 1;
    }
    sizes
}

/// What the guide saw and said.
struct Look {
    prepared: Prepared,
    generation: Generation,
}

impl Look {
    fn take(guide: &mut Vlm, request: &Request, trace: &mut Trace<'_>) -> std::result::Result<Self, VlmError> {
        let prepared = trace.prepare(guide, request, Phase::GuideEncode)?;
        let sampling = SamplingOptions::default();
        let options = GenerationOptions { n_predict: request.n_predict, sampling, observe: true };
        let kept = Kept::all(prepared.prompt.n_visual());
        let phases = [Phase::GuidePrefill, Phase::GuideDecode];
        let generation = trace.answer(guide, &prepared, &kept, &options, phases)?;
        Ok(Self { prepared, generation })
    }

    fn importance(&self) -> &Importance {
        self.generation.importance.as_ref().expect("the guide is always observed")
    }

    /// Attention, and where the tokens lie that it was on.
    fn seen(&self) -> (&Importance, &[Place]) {
        (self.importance(), self.prepared.prompt.places())
    }

    fn report(&self) -> GuideReport {
        GuideReport { answer: self.generation.text.clone(), tokens: self.generation.tokens.len() }
    }

    /// SEE. The consistency pass is spared when no outcome of it could lead to an exit.
    fn decide(&self, guide: &mut Vlm, options: &ExitOptions, trace: &mut Trace<'_>) -> Result<ExitDecision> {
        let importance = self.importance();
        if importance.layers().next().is_none() {
            return Err(PipelineError::NoAttention);
        }
        let confidence = confidence(&self.generation.log_probabilities);
        if cannot_exit(confidence, options.threshold) {
            return Ok(ExitDecision::ruled_out(confidence, options.threshold));
        }
        (trace.on_event)(Event::Phase(Phase::Consistency));
        let start = Instant::now();
        let kept = Policy::Global.select(importance.n_visual(), Some(importance), options.retain)?;
        let scores = guide.score(&self.prepared, &kept, &self.generation.tokens).map_err(in_guide)?;
        trace.timings.set(Phase::Consistency, ms_since(start));
        Ok(ExitDecision::decide(confidence, options.consistency.of(&scores), options.threshold))
    }
}

/// Times and events of the request in progress.
struct Trace<'a> {
    timings: Timings,
    n_encoded: usize,
    n_reused: usize,
    on_event: &'a mut dyn FnMut(Event<'_>),
}

impl Trace<'_> {
    fn prepare(&mut self, vlm: &mut Vlm, request: &Request, phase: Phase) -> std::result::Result<Prepared, VlmError> {
        if !request.pictures.is_empty() {
            (self.on_event)(Event::Phase(phase));
        }
        let progress = |done, all| (self.on_event)(Event::Progress { phase, done, all });
        let prepared = vlm.prepare(&request.messages, &request.pictures, progress)?;
        self.n_encoded += prepared.n_encoded;
        self.n_reused += prepared.n_reused;
        if let Some(ms) = prepared.encode_ms {
            self.timings.set(phase, ms);
        }
        Ok(prepared)
    }

    /// The target's text is the final answer's and is passed on as it comes.
    fn answer(
        &mut self,
        vlm: &mut Vlm,
        prepared: &Prepared,
        kept: &Kept,
        options: &GenerationOptions,
        [prefill, decode]: [Phase; 2],
    ) -> std::result::Result<Generation, VlmError> {
        (self.on_event)(Event::Phase(prefill));
        let on_event = RefCell::new(&mut self.on_event);
        let mut on_read = |done, all| {
            let on_event = &mut *on_event.borrow_mut();
            on_event(Event::Progress { phase: prefill, done, all });
            if done == all {
                on_event(Event::Phase(decode));
            }
        };
        let mut on_text = |text: &str| {
            if decode == Phase::TargetDecode && !text.is_empty() {
                (on_event.borrow_mut())(Event::Text(text));
            }
        };
        let generation = vlm.answer(prepared, kept, options, &mut on_read, &mut on_text)?;
        self.timings.set(prefill, generation.prefill_ms);
        self.timings.set(decode, generation.decode_ms);
        Ok(generation)
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
