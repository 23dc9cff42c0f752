//! Cases for a report's gallery: a few samples of every outcome, asked again for their heat maps.

use super::session::{Measured, Session};
use crate::cli::error::{Exit, Failure};
use crate::cli::output::Console;
use image::imageops::{FilterType, resize};
use sgl::eval::contender::Contender;
use sgl::eval::engine::open;
use sgl::eval::record::{Record, Run};
use sgl::eval::report::{Case, Outcome};
use sgl::eval::sample::{Gold, Sample};
use sgl::explain::{Explanation, encode_png};
use sgl::guidance::{Policy, Retain, Tiles};
use sgl::pipeline::Request;
use sgl::vlm::question;

/// Cases of each outcome.
const OF_EACH: usize = 3;
/// Retention whose cases are shown, or the nearest that was run.
const RETAIN: f64 = 0.1;
/// Widest heat map, pixels.
const WIDTH: u32 = 900;
/// Score from which an answer counts as right.
const RIGHT: f64 = 0.5;

/// Cases under `global`; none without it, or for merged journals.
pub fn cases(measured: &mut Measured, console: &Console) -> Result<Vec<Case>, Failure> {
    let global = Contender::GLOBAL.to_string();
    let Measured { header, records, session: Some(session) } = measured else { return Ok(Vec::new()) };
    let settings = &header.settings;
    let nearest = |a: &&f64, b: &&f64| (*a - RETAIN).abs().total_cmp(&(*b - RETAIN).abs());
    let Some(&retain) = settings.retain.iter().min_by(nearest).filter(|_| settings.policies.contains(&global)) else {
        return Ok(Vec::new());
    };
    let mut chosen: Vec<(&Record, &Run, Outcome)> = Vec::new();
    for outcome in Outcome::ALL {
        let of = records.iter().filter_map(|record| {
            let pruned = record.runs.iter().find(|run| run.policy == global && run.retain == retain)?;
            (outcome_of(record, pruned)? == outcome).then_some((record, pruned, outcome))
        });
        chosen.extend(spread(of.collect()));
    }
    let progress = console.progress();
    let mut cases = Vec::new();
    for (done, (record, pruned, outcome)) in chosen.iter().enumerate() {
        progress.counting("heat maps", done, chosen.len(), "");
        if let Some(case) = case(session, record, pruned, *outcome, console)? {
            cases.push(case);
        }
    }
    progress.clear();
    Ok(cases)
}

fn outcome_of(record: &Record, pruned: &Run) -> Option<Outcome> {
    let unpruned = record.runs.first()?.score? >= RIGHT;
    Some(match (unpruned, pruned.score? >= RIGHT) {
        (true, true) => Outcome::Right,
        (false, false) => Outcome::Wrong,
        (false, true) => Outcome::Rescued,
        (true, false) => Outcome::Hurt,
    })
}

/// A few of them, from all over the benchmark.
fn spread<T: Copy>(all: Vec<T>) -> impl Iterator<Item = T> {
    let n = all.len().min(OF_EACH);
    (0..n).map(move |index| all[index * all.len() / n])
}

fn case(
    session: &mut Session,
    record: &Record,
    pruned: &Run,
    outcome: Outcome,
    console: &Console,
) -> Result<Option<Case>, Failure> {
    let Some(sample) = session.evaluation.samples().get(record.index).cloned() else { return Ok(None) };
    let pictures = open(&sample)?;
    let prompt = session.evaluation.prompt(&sample);
    let plan = session.evaluation.plan();
    // What was kept when it was answered.
    let request = Request {
        retain: Some(Retain::Share(pruned.retain)),
        picture_floor: plan.picture_floor,
        tiles: Tiles::ANY,
        exit: None,
        always_guide: true,
        n_predict: plan.n_predict,
        ..Request::new(question(None, pictures.len(), &prompt), pictures)
    };
    let seen = session.engine(console)?.pipeline_mut().run(&request, &mut |_| {})?;
    let explanation = Explanation::new(&seen, &sample.question, Policy::Global, None)?;
    let Some(picture) = request.pictures.first() else { return Ok(None) };
    let mut drawn = explanation.panels(picture, 0)?;
    if drawn.width() > WIDTH {
        let height = (u64::from(drawn.height()) * u64::from(WIDTH) / u64::from(drawn.width())).max(1) as u32;
        drawn = resize(&drawn, WIDTH, height, FilterType::Triangle);
    }
    Ok(Some(Case {
        outcome,
        expected: expected(&sample),
        sample: sample.id,
        kind: sample.kind,
        question: sample.question,
        guide_answer: record.guide.as_ref().map(|guide| guide.answer.clone()),
        unpruned_answer: record.runs.first().map(|run| run.answer.clone()).unwrap_or_default(),
        pruned_answer: pruned.answer.clone(),
        policy: pruned.policy.clone(),
        retain: pruned.retain,
        kept: pruned.kept,
        n_visual: record.n_visual,
        heat_map_png: encode_png(&drawn).map_err(|error| Failure::new(Exit::Output, error))?,
    }))
}

fn expected(sample: &Sample) -> String {
    match &sample.gold {
        Gold::Answers(answers) => {
            let mut unique: Vec<&str> = answers.iter().map(String::as_str).collect();
            unique.dedup();
            unique.join(" / ")
        }
        Gold::Choice(index) => sample.choices.get(*index).cloned().unwrap_or_default(),
        Gold::YesNo(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Gold::Box(rect) => format!("{:.2}, {:.2} to {:.2}, {:.2} of the picture", rect.x0, rect.y0, rect.x1, rect.y1),
        Gold::Judged(reference) => reference.clone(),
        Gold::Unknown => "as the unpruned target".to_owned(),
    }
}
