//! Rounds in which all variants take turns, so that a machine that slows down slows all of them down.

use super::engine::{Engine, Question, Size};
use super::{BenchError, Stock, StockRun, Times};
use crate::llama::LlamaError;
use crate::pipeline::PipelineError;
use crate::timing::Phase;
use crate::vlm::{Role, VlmError};
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;

/// What takes turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// The target alone.
    Unpruned,
    /// The whole pipeline.
    Guided,
    /// The guide alone, without the export of its attention.
    GuidePlain,
    /// The guide alone, with it.
    GuideExport,
    /// A stock build of llama.cpp with the target alone.
    Stock,
}

/// Raw times of one round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// The target alone.
    pub unpruned: Times,
    /// The whole pipeline.
    pub guided: Times,
    /// Prefill and decode of the guide alone, without the export of its attention.
    pub guide_plain: Times,
    /// The same with it.
    pub guide_export: Times,
    /// A stock build of llama.cpp with the target alone, if there is one.
    pub stock: Option<Times>,
}

/// Sizes of what was asked and answered, in tokens and tiles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The guide's prompt.
    pub guide_prompt: usize,
    /// Visual tokens in it.
    pub guide_visual: usize,
    /// Tiles of the guide.
    pub guide_tiles: usize,
    /// The guide's answer.
    pub guide_answer: usize,
    /// The unpruned target's prompt.
    pub target_prompt: usize,
    /// Visual tokens in it.
    pub target_visual: usize,
    /// Tiles of the target.
    pub target_tiles: usize,
    /// The unpruned target's answer.
    pub target_answer: usize,
    /// Prompt tokens that the guided target reads; 0 after an early exit, as all below.
    pub read: usize,
    /// Visual tokens among them.
    pub kept: usize,
    /// Tiles that those lie in.
    pub kept_tiles: usize,
    /// Those among them that the guide's vision tower, being the target's, had seen.
    #[serde(default)]
    pub projected_tiles: usize,
    /// The guided target's answer.
    pub guided_answer: usize,
    /// The prompt of the stock program, if there is one.
    pub stock_prompt: Option<usize>,
}

/// Measures `rounds` rounds after `warm_up` others. `on_run` gets (runs done, runs in all, what runs now).
///
/// # Errors
/// [`BenchError`]; a set cancel flag stops before the next run as one that is cancelled.
pub fn measure(
    engine: &mut Engine,
    asked: &Question,
    stock: Option<&Stock>,
    [warm_up, rounds]: [usize; 2],
    on_run: &mut dyn FnMut(usize, usize, Variant),
) -> Result<(Vec<Round>, Counts), BenchError> {
    if rounds == 0 {
        return Err(BenchError::NoRounds);
    }
    let mut variants = vec![Variant::Unpruned, Variant::Guided, Variant::GuidePlain, Variant::GuideExport];
    variants.extend(stock.map(|_| Variant::Stock));
    let n_runs = (warm_up + rounds) * variants.len();
    let cancel = engine.cancel_flag();
    let mut counts = Counts::default();
    let mut measured = Vec::with_capacity(rounds);
    for number in 0..warm_up + rounds {
        let mut round = Round::default();
        for (index, &variant) in variants.iter().enumerate() {
            if cancel.load(Ordering::Relaxed) {
                return Err(cancelled().into());
            }
            on_run(number * variants.len() + index, n_runs, variant);
            round.run(variant, engine, asked, stock, &mut counts)?;
        }
        if number >= warm_up {
            measured.push(round);
        }
        // What comes first is not always the same.
        variants.rotate_left(1);
    }
    Ok((measured, counts))
}

impl Round {
    fn run(
        &mut self,
        variant: Variant,
        engine: &mut Engine,
        asked: &Question,
        stock: Option<&Stock>,
        counts: &mut Counts,
    ) -> Result<(), BenchError> {
        match variant {
            Variant::Unpruned => {
                let run = engine.unpruned(asked)?;
                self.unpruned = run.times;
                let Size { prompt, visual, tiles, answer, .. } = run.read;
                (counts.target_prompt, counts.target_visual) = (prompt, visual);
                (counts.target_tiles, counts.target_answer) = (tiles, answer);
            }
            Variant::Guided => {
                let run = engine.guided(asked)?;
                self.guided = run.times;
                let Size { prompt, visual, tiles, projected, answer } = run.read;
                (counts.read, counts.kept, counts.guided_answer) = (prompt, visual, answer);
                (counts.kept_tiles, counts.projected_tiles) = (tiles, projected);
            }
            Variant::GuidePlain => self.guide_plain = engine.guide(asked, false)?.times,
            Variant::GuideExport => {
                let run = engine.guide(asked, true)?;
                self.guide_export = run.times;
                let Size { prompt, visual, tiles, answer, .. } = run.read;
                (counts.guide_prompt, counts.guide_visual) = (prompt, visual);
                (counts.guide_tiles, counts.guide_answer) = (tiles, answer);
            }
            Variant::Stock => {
                if let Some(stock) = stock {
                    let StockRun { times, n_prompt } = stock.run()?;
                    self.stock = Some(times);
                    counts.stock_prompt = Some(n_prompt);
                }
            }
        }
        Ok(())
    }

    /// Times of the variants by the names that they have here.
    pub fn variants(&self) -> impl Iterator<Item = (&'static str, &Times)> {
        let ours = [
            ("unpruned", &self.unpruned),
            ("guided", &self.guided),
            ("guide_plain", &self.guide_plain),
            ("guide_export", &self.guide_export),
        ];
        ours.into_iter().chain(self.stock.iter().map(|stock| ("stock", stock)))
    }

    /// Whether the guide's answer was final.
    pub fn exited(&self) -> bool {
        self.guided.phase(Phase::TargetPrefill).is_none()
    }
}

fn cancelled() -> PipelineError {
    PipelineError::Vlm { role: Role::Target, source: VlmError::Llama(LlamaError::Cancelled) }
}
