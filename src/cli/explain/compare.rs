//! `--compare`: the target's own attention on all visual tokens, which is the paper's oracle, beside the guide's.

use super::super::error::{Exit, Failure};
use super::super::progress::Progress;
use serde::Serialize;
use sgl::explain::{Agreement, Compared, scores};
use sgl::guidance::{Importance, Kept, Policy, Retain, Tiles};
use sgl::pipeline::{Event, Outcome, Pipeline, PipelineError, Request, Selection};
use sgl::timing::Phase;
use sgl::vlm::{GenerationOptions, Role, Vlm, VlmError};

/// What the target sees and says when it reads everything.
#[derive(Debug, Serialize)]
pub struct Oracle {
    /// Its answer, greedy.
    answer: String,
    /// The tokens that the guide would keep against those that the target would keep.
    #[serde(flatten)]
    agreement: Agreement,
    /// By the guide, among the target's tokens.
    #[serde(skip)]
    guide: Selection,
    /// As many, by the target's own attention.
    #[serde(skip)]
    target: Selection,
}

impl Oracle {
    /// Lets the target answer the request once more, unpruned and observed.
    pub fn ask(
        pipeline: &mut Pipeline,
        request: &Request,
        outcome: &Outcome,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        let asked = Self::observe(pipeline.target_mut(), request, outcome, progress);
        progress.clear();
        asked
    }

    fn observe(target: &mut Vlm, request: &Request, outcome: &Outcome, progress: &Progress) -> Result<Self, Failure> {
        let in_target = |source: VlmError| PipelineError::Vlm { role: Role::Target, source };
        let show = |phase| move |done, all| progress.show(&Event::Progress { phase, done, all });
        let prepared =
            target.prepare(&request.messages, &request.pictures, show(Phase::TargetEncode)).map_err(in_target)?;
        let prompt = &prepared.prompt;
        let n_predict = request.n_predict;
        let options = GenerationOptions { n_predict, observe: true, ..GenerationOptions::default() };
        let kept = Kept::all(prompt.n_visual());
        let mut on_read = show(Phase::TargetPrefill);
        let generation = target.answer(&prepared, &kept, &options, &mut on_read, &mut |_| {}).map_err(in_target)?;
        let has_layers = |importance: &Importance| importance.layers().next().is_some();
        let (Some(own), Some(attention)) = (generation.importance.filter(has_layers), &outcome.attention) else {
            let message = "the target exported no attention, so there is nothing to compare with; leave --compare out";
            return Err(Failure::new(Exit::Models, message));
        };

        let guide = Selection::make(request, &prepared, Some((&attention.importance, &attention.places)))?;
        let same_budget = Request {
            retain: Some(Retain::Count(guide.kept.len())),
            picture_floor: request.picture_floor,
            tiles: Tiles::ANY,
            ..Request::new(Vec::new(), Vec::new())
        };
        let target = Selection::make(&same_budget, &prepared, Some((&own, prompt.places())))?;
        let guides = guide.importance.as_ref().map(|importance| scores(importance, request.policy)).unwrap_or_default();
        let agreement = Agreement::of((&guide.kept, &guides), (&target.kept, &scores(&own, Policy::Global)));
        Ok(Self { answer: generation.text, agreement, guide, target })
    }

    /// For the drawing.
    pub fn compared(&self) -> Compared<'_> {
        let notes = vec![("target unpruned", self.answer.clone()), ("agreement", self.agreement())];
        Compared { guide: &self.guide, target: &self.target, notes }
    }

    /// One line for standard error.
    pub fn summary(&self) -> String {
        format!("target unpruned: {}; {}", self.answer.trim(), self.agreement())
    }

    fn agreement(&self) -> String {
        let Agreement { kept_in_both, kept, overlap, overlap_by_chance, rank_correlation } = self.agreement;
        let percent = |share: f64| format!("{:.0}%", 100.0 * share);
        let correlation = rank_correlation.map_or("undefined".to_owned(), |value| format!("{value:.2}"));
        format!(
            "guide and target keep {kept_in_both} of {kept} tokens in common ({}, by chance {}); \
             rank correlation {correlation}",
            percent(overlap),
            percent(overlap_by_chance),
        )
    }
}
