//! Where a family's visual tokens lie, and importance carried to and from other families.

use super::super::geometry::{check_dots, check_tiling, look, spots};
use super::super::harness::{QUESTION, gpu_layers};
use super::case::Case;
use super::{Outcome, text};
use crate::chat::Message;
use crate::fixtures::Family;
use crate::geometry::Level;
use crate::guidance::{Evidence, Policy, Retain, Tiles, top};
use crate::pipeline::{Pipeline, Request};
use crate::vlm::VlmOptions;

/// A picture that is cut has several chunks and both levels, and libmtmd reads it as the crate does.
pub fn tiles(case: &Case) -> Outcome {
    let vision = case.vision()?;
    let picture = case.large();
    let seen = look(&vision, &picture, false);
    let on =
        |level| seen.iter().filter(|chunk| chunk.places.iter().flatten().all(|place| place.level == level)).count();
    match (on(Level::Overview), on(Level::Detail)) {
        (1, 2..) => super::checks::equals_libmtmd_on(case, &[picture]),
        (overview, detail) => Err(format!("{overview} overview and {detail} detail chunks")),
    }
}

/// Places tile the picture, structural rows have none, and a dot changes the token that lies over it.
pub fn geometry(case: &Case) -> Outcome {
    let vision = case.vision()?;
    for picture in [case.small(), case.large(), case.picture(90, 170, 3), case.picture(112, 112, 4)] {
        let (width, height) = (picture.width(), picture.height());
        check_tiling(&vision, width, height)?;
        for chunk in look(&vision, &picture, false) {
            let places: Vec<_> = chunk.places.iter().flatten().collect();
            let mut rows: Vec<f64> = places.iter().map(|place| place.rect.y0).collect();
            rows.dedup();
            let expected = match case.family {
                Family::Pixtral | Family::Mistral3 => rows.len() - 1,
                Family::HunyuanVl => rows.len() + 2,
                _ => 0,
            };
            let found = chunk.places.len() - places.len();
            if found != expected {
                return Err(format!("{found} structural rows, not {expected}, in {width}x{height}"));
            }
        }
    }
    let vision = Case::local(case.family).vision()?;
    let large = case.large();
    check_dots(&vision, large.width(), large.height(), &spots(&vision, large.width(), large.height(), 3))
}

/// The family as guide of one that sees pictures otherwise, and as its target.
pub fn cross_guide(case: &Case) -> Outcome {
    let other = if case.family == Family::InternVlQwen2 { Family::Qwen2Vl } else { Family::InternVlQwen2 };
    let other = Case::new(other);
    guides(case, &other)?;
    guides(&other, case)
}

fn guides(guide: &Case, target: &Case) -> Outcome {
    let options = |case: &Case| VlmOptions {
        model: case.pair.model.clone(),
        mmproj: case.pair.mmproj.clone(),
        n_gpu_layers: Some(gpu_layers()),
        context: super::case::options(),
        ..VlmOptions::default()
    };
    let mut pipeline = Pipeline::load(Some(options(guide)), options(target), |_, _| {}).map_err(text)?;
    let pictures = vec![target.large(), target.small()];
    let retain = Retain::Share(0.2);
    let request = Request {
        retain: Some(retain),
        picture_floor: 0.0,
        tiles: Tiles::ANY,
        exit: None,
        n_predict: 4,
        ..Request::new(vec![Message::user_with_pictures(2, QUESTION)], pictures)
    };
    let outcome = pipeline.run(&request, &mut |_| {}).map_err(text)?;
    let (attention, selection) = (outcome.attention.ok_or("no attention")?, outcome.selection.ok_or("no selection")?);
    let carried = selection.importance.ok_or("nothing was carried over")?;
    let (before, after) = (attention.importance.global(), carried.global());
    if after.len() != selection.places.len() || before.len() != attention.places.len() {
        return Err(format!("{} and {} scores", before.len(), after.len()));
    }
    for picture in 0..2 {
        let of = |places: &[crate::geometry::Place], scores: &[f64]| -> f64 {
            places.iter().zip(scores).filter(|(place, _)| place.picture == picture).map(|(_, score)| score).sum()
        };
        let (sent, arrived) = (of(&attention.places, &before), of(&selection.places, &after));
        if (sent - arrived).abs() > 1e-9 * sent {
            return Err(format!("of {sent} on picture {picture}, {arrived} arrived"));
        }
    }
    let kept = selection.kept.indices();
    if kept != top(&after, retain.budget(&after)) {
        return Err("the target does not read the best".to_owned());
    }
    // Attention decides: a random draw of as many tokens is another set.
    let random = Policy::Random(1).select(after.len(), Evidence::default(), retain).map_err(text)?;
    let report = outcome.report;
    match (kept == random.indices(), report.visual.kept == kept.len(), report.generated_tokens) {
        (false, true, 1..) => Ok(()),
        outcome => Err(format!("{outcome:?}")),
    }
}
