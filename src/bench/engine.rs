//! The only file here that runs models: one question, asked in the ways that are compared.

use super::times::{TIME_TO_FIRST_TOKEN, Times};
use crate::guidance::{Kept, Policy, Retain, Tiles};
use crate::llama::Memory;
use crate::media::Picture;
use crate::pipeline::{DEFAULT_TILES, Event, ExitOptions, Outcome, Pipeline, PipelineError, Request};
use crate::timing::{Phase, ms_since};
use crate::vlm::{GenerationOptions, Prepared, Role, Vlm, VlmError, VlmOptions, question};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// What is asked, in every way alike.
#[derive(Debug, Clone)]
pub struct Question {
    /// The pictures.
    pub pictures: Vec<Picture>,
    /// The text after them.
    pub text: String,
    /// Tokens of the answer; end tokens do not end it.
    pub n_predict: usize,
    /// What the guided target reads.
    pub retain: Retain,
    /// What ranks it.
    pub policy: Policy,
    /// Tiles that the kept tokens lie in at most; `None`: as they fall.
    pub kept_tiles: Option<usize>,
    /// Score from which the guide's answer is final; `None`: never.
    pub exit_threshold: Option<f64>,
}

/// A guide and a target.
pub struct Engine {
    pipeline: Pipeline,
    /// The guide's prompt with its pictures, encoded once: only prefill and decode of the guide alone are compared.
    looked: Option<Prepared>,
}

/// Prompt tokens, visual tokens among them, tiles that they lie in, and tokens generated, by one model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub prompt: usize,
    pub visual: usize,
    pub tiles: usize,
    /// Tiles that had only to be projected.
    pub projected: usize,
    pub answer: usize,
}

/// One run.
pub(super) struct Run {
    pub times: Times,
    pub read: Size,
}

impl Engine {
    /// Loads both models. `progress` gets (role, loaded share).
    ///
    /// # Errors
    /// As [`Pipeline::load`].
    pub fn load(
        guide: VlmOptions,
        target: VlmOptions,
        progress: impl Fn(Role, f32) + Clone + 'static,
    ) -> Result<Self, PipelineError> {
        Ok(Self { pipeline: Pipeline::load(Some(guide), target, progress)?, looked: None })
    }

    /// The flag that stops a measurement from another thread.
    pub fn cancel_flag(&self) -> Arc<AtomicBool> {
        self.pipeline.cancel_flag()
    }

    /// Tokens of a text, as the guide counts.
    pub fn count_tokens(&mut self, text: &str) -> usize {
        self.pipeline.guide_mut().map_or(0, |guide| guide.model().tokenize(text).len())
    }

    /// Tokens that a context of the target needs for a question and its answer, with some to spare for the template.
    ///
    /// # Errors
    /// The template or the pictures are refused.
    pub fn context_needed(&mut self, asked: &Question) -> Result<usize, PipelineError> {
        const TEMPLATE: usize = 512;
        let target = self.pipeline.target_mut();
        let messages = question(None, asked.pictures.len(), &asked.text);
        let n_visual = target.count_visual(&messages, &asked.pictures);
        let n_visual = n_visual.map_err(|source| PipelineError::Vlm { role: Role::Target, source })?;
        let n_text = target.model().tokenize(&asked.text).len();
        Ok((n_visual + n_text + asked.n_predict + TEMPLATE).next_multiple_of(256))
    }

    /// KV caches and compute buffers of both models; `None` where llama.cpp does not tell.
    pub fn memory(&mut self) -> Option<Memory> {
        let guide = self.pipeline.guide_mut().map(|guide| guide.memory()).unwrap_or_default();
        let target = self.pipeline.target_mut().memory();
        let both = Memory { kv: guide.kv + target.kv, compute: guide.compute + target.compute };
        (both != Memory::default()).then_some(both)
    }

    /// The target alone; it reads everything.
    pub(super) fn unpruned(&mut self, asked: &Question) -> Result<Run, PipelineError> {
        let request = Request { retain: None, exit: None, ..request(asked) };
        self.run(&request)
    }

    /// The whole pipeline.
    pub(super) fn guided(&mut self, asked: &Question) -> Result<Run, PipelineError> {
        self.run(&Request { always_guide: true, ..request(asked) })
    }

    /// The guide's prefill and decode, with or without the export of its attention.
    pub(super) fn guide(&mut self, asked: &Question, export: bool) -> Result<Run, PipelineError> {
        let looked = &mut self.looked;
        let Some(guide) = self.pipeline.guide_mut() else { return Err(PipelineError::NoAttention) };
        look(guide, looked, asked, export).map_err(|source| PipelineError::Vlm { role: Role::Guide, source })
    }

    fn run(&mut self, request: &Request) -> Result<Run, PipelineError> {
        if let Some(guide) = self.pipeline.guide_mut() {
            guide.forget();
        }
        self.pipeline.target_mut().forget();
        let start = Instant::now();
        let mut first = None;
        let outcome = self.pipeline.run(request, &mut |event| {
            // The first token is known when decoding begins; its text may be empty, as that of control tokens is.
            if matches!(event, Event::Phase(Phase::TargetDecode) | Event::Said(_)) {
                first.get_or_insert_with(|| ms_since(start));
            }
        })?;
        let mut times = Times::from(&outcome.report.timings_ms);
        times.set(TIME_TO_FIRST_TOKEN, first.unwrap_or(outcome.report.timings_ms.total));
        Ok(Run { times, read: read(&outcome) })
    }
}

fn request(asked: &Question) -> Request {
    let messages = question(None, asked.pictures.len(), &asked.text);
    Request {
        retain: Some(asked.retain),
        policy: asked.policy,
        exit: asked.exit_threshold.map(|threshold| ExitOptions { threshold, ..ExitOptions::default() }),
        n_predict: asked.n_predict,
        tiles: asked.kept_tiles.map_or(DEFAULT_TILES, Tiles::Most),
        // Random weights never agree, so a draft would show its cost alone; and answers have one length.
        draft: false,
        ignore_end: true,
        ..Request::new(messages, asked.pictures.clone())
    }
}

fn look(guide: &mut Vlm, looked: &mut Option<Prepared>, asked: &Question, export: bool) -> Result<Run, VlmError> {
    let prepared = match looked {
        Some(prepared) => prepared,
        None => {
            let messages = question(None, asked.pictures.len(), &asked.text);
            looked.insert(guide.prepare(&messages, &asked.pictures, |_, _| {})?)
        }
    };
    let options = GenerationOptions {
        n_predict: asked.n_predict,
        observe: export,
        ignore_end: true,
        ..GenerationOptions::default()
    };
    let prompt = &prepared.prompt;
    let kept = Kept::all(prompt.n_visual());
    guide.forget();
    let generation = guide.answer(prepared, &kept, &options, &mut |_, _| {}, &mut |_| {})?;
    let mut times = Times::default();
    times.set_phase(Phase::GuidePrefill, generation.prefill_ms);
    times.set_phase(Phase::GuideDecode, generation.decode_ms);
    let read = Size {
        prompt: generation.n_prompt,
        visual: prompt.n_visual(),
        tiles: prompt.tiles().len(),
        projected: 0,
        answer: generation.tokens.len(),
    };
    Ok(Run { times, read })
}

/// What the target read and wrote; nothing after an early exit.
fn read(outcome: &Outcome) -> Size {
    let report = &outcome.report;
    if report.timings_ms.target_prefill.is_none() {
        return Size::default();
    }
    Size {
        prompt: report.prompt_tokens,
        visual: report.visual.kept,
        tiles: report.visual.tiles.needed,
        projected: report.visual.projected,
        answer: report.generated_tokens,
    }
}
