//! From what a request left behind to figures.

use super::terminal::Protocol;
use super::tokens::PictureTokens;
use super::{ExplainError, Figure, Sheet, View, encode_png};
use crate::guidance::{Importance, Policy};
use crate::media::Picture;
use crate::pipeline::{Attention, Outcome, Report, Selection, Source};
use image::RgbImage;

/// Lines under a figure: what they are about, and the text.
type Notes<'a> = Vec<(&'a str, String)>;

/// What the guide would keep beside what the target's own attention would.
#[derive(Debug)]
pub struct Compared<'a> {
    /// By the guide, among the target's tokens.
    pub guide: &'a Selection,
    /// As many, by the target's own attention.
    pub target: &'a Selection,
    /// Lines for the legend: what they are about, and the text.
    pub notes: Vec<(&'static str, String)>,
}

/// What is to be drawn of a request.
#[derive(Debug)]
pub struct Explanation<'a> {
    report: &'a Report,
    question: &'a str,
    policy: Policy,
    attention: &'a Attention,
    /// Of the guide's panels.
    captions: [String; 2],
    /// Per token of the attention.
    seen: Vec<f64>,
    selection: &'a Selection,
    oracle: Option<Compared<'a>>,
    /// The target's own attention, per token.
    oracle_scores: Vec<f64>,
}

impl<'a> Explanation<'a> {
    /// `oracle` puts the target's own attention beside the guide's.
    ///
    /// # Errors
    /// [`ExplainError::NotSeen`].
    pub fn new(
        outcome: &'a Outcome,
        question: &'a str,
        policy: Policy,
        oracle: Option<Compared<'a>>,
    ) -> Result<Self, ExplainError> {
        let (Some(attention), Some(selection)) = (&outcome.attention, &outcome.selection) else {
            return Err(ExplainError::NotSeen);
        };
        Ok(Self {
            report: &outcome.report,
            question,
            policy,
            attention,
            captions: captions(policy),
            seen: scores(&attention.importance, policy),
            selection: oracle.as_ref().map_or(selection, |oracle| oracle.guide),
            oracle_scores: oracle.as_ref().map_or(Vec::new(), |oracle| global(oracle.target)),
            oracle,
        })
    }

    /// The heat map of one picture, as a PNG file.
    ///
    /// # Errors
    /// [`ExplainError`], as the following ones.
    pub fn heat_map(&self, picture: &Picture, number: usize) -> Result<Vec<u8>, ExplainError> {
        let (views, notes) = (self.views(), self.notes(number));
        encode_png(&Figure { picture, number, views: &views, notes: &notes }.draw()?)
    }

    /// The panels of one picture alone, without text.
    pub fn panels(&self, picture: &Picture, number: usize) -> Result<RgbImage, ExplainError> {
        let views = self.views();
        Figure { picture, number, views: &views, notes: &[] }.panels()
    }

    /// The attention of every layer of the guide on one picture, as a PNG file.
    pub fn layer_map(&self, picture: &Picture, number: usize) -> Result<Vec<u8>, ExplainError> {
        let Attention { importance, places, .. } = self.attention;
        let mut notes = self.asked(number);
        notes.push(("shown", "the guide's attention; percentages are each layer's part of it".to_owned()));
        encode_png(&Sheet { picture, number, places, importance, notes: &notes }.draw()?)
    }

    /// The heat map as characters and escape sequences; blocks are too coarse for text.
    pub fn shown(
        &self,
        picture: &Picture,
        number: usize,
        protocol: Protocol,
        columns: u32,
    ) -> Result<String, ExplainError> {
        let (views, notes) = (self.views(), self.notes(number));
        let figure = Figure { picture, number, views: &views, notes: &notes };
        let drawn = if matches!(protocol, Protocol::Blocks { .. }) { figure.panels()? } else { figure.draw()? };
        protocol.draw(&drawn, columns)
    }

    /// Rectangles and values of one picture's tokens.
    pub fn tokens(&self, picture: &Picture, number: usize, layers: bool) -> PictureTokens {
        let target = self.oracle.as_ref().map(|oracle| (self.oracle_scores.as_slice(), &oracle.target.kept));
        PictureTokens::new(picture, number, self.selection, self.policy, target, layers)
    }

    fn views(&self) -> Vec<View<'_>> {
        let Attention { places: seen, tiles: seen_tiles, .. } = self.attention;
        let Selection { kept, places: candidates, tiles, .. } = self.selection;
        let [attention, choice] = &self.captions;
        let guide = View { attention, choice, seen, scores: &self.seen, candidates, kept, tiles: [seen_tiles, tiles] };
        let target = self.oracle.as_ref().map(|oracle| {
            let Selection { kept, places, tiles, .. } = oracle.target;
            let (attention, choice, scores) = ("target's own attention", "kept by it", &self.oracle_scores);
            View { attention, choice, seen: places, scores, candidates: places, kept, tiles: [tiles, tiles] }
        });
        std::iter::once(guide).chain(target).collect()
    }

    /// The picture's number, if there are several, and the question.
    fn asked(&self, number: usize) -> Notes<'a> {
        let n_pictures = self.report.visual.pictures.len();
        let picture = (n_pictures > 1).then(|| ("picture", format!("{} of {n_pictures}", number + 1)));
        picture.into_iter().chain([("question", self.question.to_owned())]).collect()
    }

    fn notes(&self, number: usize) -> Notes<'a> {
        let Report { answer, source, visual, guide, .. } = self.report;
        let answered_by = match source {
            Source::Guide => "guide, without the target".to_owned(),
            Source::Target => format!("target, which read {} of {} visual tokens", visual.kept, visual.tokens),
        };
        let mut notes = self.asked(number);
        notes.extend([("answer", answer.clone()), ("answered by", answered_by)]);
        let guide = guide.as_ref().filter(|_| *source == Source::Target);
        notes.extend(guide.map(|guide| ("guide alone", guide.answer.clone())));
        notes.extend(self.oracle.iter().flat_map(|oracle| oracle.notes.iter().cloned()));
        notes
    }
}

/// Of the attention, and of what is kept.
fn captions(policy: Policy) -> [String; 2] {
    let (attention, choice) = match policy {
        Policy::Global => ("guide's attention".to_owned(), "kept by it".to_owned()),
        Policy::GlobalDiversity(weight) => {
            ("guide's attention".to_owned(), format!("kept by it and diversity ({weight})"))
        }
        Policy::GlobalDebias => ("guide's attention".to_owned(), "kept against its habits".to_owned()),
        Policy::Diversity => ("guide's attention".to_owned(), "kept for diversity".to_owned()),
        Policy::Layer(layer) => (format!("guide's attention in layer {layer}"), "kept by it".to_owned()),
        Policy::Random(seed) => ("guide's attention".to_owned(), format!("kept at random (seed {seed})")),
        Policy::Uniform => ("guide's attention".to_owned(), "kept evenly spaced".to_owned()),
    };
    [attention, choice]
}

/// Attention of the layer that `policy` ranks by, else of all. `[n_visual]`
pub fn scores(importance: &Importance, policy: Policy) -> Vec<f64> {
    match policy {
        Policy::Layer(layer) => importance.layer(layer).map(<[f64]>::to_vec),
        _ => None,
    }
    .unwrap_or_else(|| importance.global())
}

fn global(selection: &Selection) -> Vec<f64> {
    selection.importance.as_ref().map(Importance::global).unwrap_or_default()
}
