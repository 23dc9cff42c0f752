//! One sample under all contenders: pictures are encoded once, the guide answers once, and the target once for every
//! distinct kept set.

mod answers;
mod choice;
mod look;
mod pictures;
mod smaller;

pub use pictures::open;

use self::answers::Answers;
use self::choice::Choice;
use self::pictures::EncodeTimes;
use self::smaller::Smaller;
use super::contender::Contender;
use super::record::{OwnLook, Record, Run};
use super::sample::{Gold, Sample};
use super::score::agreement;
use super::{EvalError, Result};
use crate::chat::Message;
use crate::geometry::{Expectation, Place};
use crate::guidance::{Kept, Retain};
use crate::media::Picture;
use crate::pipeline::{Pipeline, PipelineError};
use crate::vlm::{GenerationOptions, Role, Vlm, VlmError, question};

/// What is asked of every sample.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is compared; the unpruned target runs in any case.
    pub contenders: Vec<Contender>,
    /// Shares of the visual tokens, each above 0 and below 1.
    pub retains: Vec<f64>,
    /// What the guide sees in the consistency pass.
    pub consistency_retain: Retain,
    /// See [`crate::guidance::first_of_each`].
    pub picture_floor: f64,
    /// Most tokens of an answer.
    pub n_predict: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Plan {
    fn has(&self, what: impl Fn(Contender) -> bool) -> bool {
        self.contenders.iter().any(|&contender| what(contender))
    }

    /// Greedy, as all answers here.
    fn generation(&self, observe: bool) -> GenerationOptions {
        GenerationOptions { n_predict: self.n_predict, observe, afresh: true, ..GenerationOptions::default() }
    }
}

/// See [`Asked::score`].
pub type Score<'a> = dyn Fn(Role, &str, &[Place]) -> Option<f64> + 'a;

/// A sample, the text that asks it, and how answers to it are scored.
pub struct Asked<'a> {
    /// Place in the benchmark.
    pub index: usize,
    /// The sample.
    pub sample: &'a Sample,
    /// The question in the benchmark's prompt.
    pub prompt: String,
    /// Score of a model's answer, 0 to 1, given the places of its visual tokens; `None` where only a judge, or agreement
    /// with the unpruned target, can tell.
    pub score: &'a Score<'a>,
}

/// The models, and what one sample leaves for the next.
pub struct Engine {
    pipeline: Pipeline,
    plan: Plan,
    expectation: Option<Expectation>,
    times: EncodeTimes,
    smaller: Smaller,
}

impl Engine {
    /// Both models should keep encoder outputs: else every question pays for the encoder again. Each encodes for itself, also
    /// where both have the same vision tower: times of the target alone are wanted, too.
    pub fn new(mut pipeline: Pipeline, plan: Plan) -> Self {
        pipeline.target_mut().keep_tower();
        pipeline.guide_mut().into_iter().for_each(Vlm::keep_tower);
        let (times, smaller) = (EncodeTimes::default(), Smaller::default());
        Self { pipeline, plan, expectation: None, times, smaller }
    }

    /// The models.
    pub fn pipeline_mut(&mut self) -> &mut Pipeline {
        &mut self.pipeline
    }

    /// Answers one sample in all the ways of the plan.
    ///
    /// # Errors
    /// [`EvalError`], naming the sample.
    pub fn ask(&mut self, asked: &Asked<'_>) -> Result<Record> {
        let pictures = open(asked.sample)?;
        let mut record = self.ask_about(asked, &pictures).map_err(|source| EvalError::asking(asked.sample, source))?;
        if asked.sample.gold == Gold::Unknown {
            score_agreement(&mut record);
        }
        Ok(record)
    }

    /// Measures how much attention the guide pays to each place of a picture on average, as `global+debias` needs it.
    /// `None` without a guide, or without samples.
    ///
    /// # Errors
    /// As [`Engine::ask`].
    pub fn expect(
        &mut self,
        samples: &[Asked<'_>],
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Option<&Expectation>> {
        let mut seen = Vec::new();
        for (done, asked) in samples.iter().enumerate() {
            progress(done, samples.len());
            let pictures = open(asked.sample)?;
            let look = self.look(asked, &pictures).map_err(|source| EvalError::asking(asked.sample, source))?;
            seen.extend(look.map(|look| (look.importance.global(), look.places)));
        }
        self.expectation = Expectation::measure(seen.iter().map(|(mass, places)| (mass.as_slice(), places.as_slice())));
        Ok(self.expectation.as_ref())
    }

    fn ask_about(&mut self, asked: &Asked<'_>, pictures: &[Picture]) -> std::result::Result<Record, PipelineError> {
        let look = self.look(asked, pictures)?;
        let messages = question(None, pictures.len(), &asked.prompt);
        let target = self.pipeline.target_mut();
        let prepared = target.prepare(&messages, pictures, |_, _| {}).map_err(in_target)?;
        let encode_ms = self.times.of(Role::Target, pictures, &prepared);
        let places = prepared.prompt.places();
        let all = Kept::all(places.len());

        let own = match self.plan.has(Contender::needs_own_attention) {
            true => {
                let observed = self.plan.generation(true);
                Some(target.answer(&prepared, &all, &observed, &mut |_, _| {}, &mut |_| {}).map_err(in_target)?)
            }
            false => None,
        };
        let rows = prepared.visual_rows();
        let carried = look.as_ref().map(|look| look.carried_to(places, self.expectation.as_ref()));
        let (guide, expected) = carried.map_or((None, None), |(guide, expected)| (Some(guide), expected));
        let choice = Choice {
            plan: &self.plan,
            sample: asked.sample,
            prompt: &prepared.prompt,
            rows: &rows,
            guide,
            expected,
            own: own.as_ref(),
        };
        let mut answers = Answers::new(target, asked, &prepared, encode_ms, self.plan.generation(false));
        let mut runs = vec![answers.of(&all)?.by(Contender::Unpruned, 1.0, 0)];
        for &retain in &self.plan.retains {
            for &contender in &self.plan.contenders {
                for draw in 0..contender.n_draws() {
                    let Some(chosen) = choice.kept(contender, retain, draw)? else { continue };
                    let run = Run { select_ms: chosen.ms, ..answers.of(&chosen.kept)? };
                    runs.push(run.by(contender, retain, draw));
                }
            }
        }
        let overlap = choice.overlap()?;
        if self.plan.has(|contender| contender == Contender::LowResolution) {
            runs.extend(self.low_resolution(asked, &messages, pictures, all.n_visual())?);
        }
        Ok(Record {
            index: asked.index,
            sample: asked.sample.id.clone(),
            group: asked.sample.group.clone(),
            kind: asked.sample.kind.clone(),
            n_visual: all.n_visual(),
            guide: look.map(|look| look.report),
            own: own.map(|own| OwnLook { prefill_ms: own.prefill_ms, decode_ms: own.decode_ms }),
            runs,
            overlap,
        })
    }

    /// The pictures as they are when scaled down to each budget; nothing where no size of them has so few tokens.
    fn low_resolution(
        &mut self,
        asked: &Asked<'_>,
        messages: &[Message],
        pictures: &[Picture],
        n_visual: usize,
    ) -> std::result::Result<Vec<Run>, PipelineError> {
        let mut runs = Vec::new();
        for &retain in &self.plan.retains {
            let budget = Retain::Share(retain).budget(&vec![0.0; n_visual]);
            let target = self.pipeline.target_mut();
            let Some(pictures) = self.smaller.fit(target, messages, pictures, budget).map_err(in_target)? else {
                continue;
            };
            let prepared = target.prepare(messages, &pictures, |_, _| {}).map_err(in_target)?;
            let encode_ms = self.times.of(Role::Target, &pictures, &prepared);
            let mut answers = Answers::new(target, asked, &prepared, encode_ms, self.plan.generation(false));
            let run = answers.of(&Kept::all(prepared.prompt.n_visual()))?;
            runs.push(run.by(Contender::LowResolution, retain, 0));
        }
        Ok(runs)
    }
}

/// Without a known answer, the unpruned target's is the right one.
fn score_agreement(record: &mut Record) {
    let Some(unpruned) = record.runs.first().map(|run| run.answer.clone()) else { return };
    for run in &mut record.runs {
        run.score = Some(agreement(&run.answer, &unpruned));
    }
    if let Some(guide) = &mut record.guide {
        guide.score = Some(agreement(&guide.answer, &unpruned));
    }
}

fn in_guide(source: VlmError) -> PipelineError {
    PipelineError::Vlm { role: Role::Guide, source }
}

fn in_target(source: VlmError) -> PipelineError {
    PipelineError::Vlm { role: Role::Target, source }
}
