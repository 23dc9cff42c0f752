//! `sgl calibrate`: guidance that keeps a promise, as a profile.

mod words;

use super::args::{CalibrateArgs, PromiseArgs};
use super::error::{Exit, Failure};
use super::eval::{Measured, Session, measure_if};
use super::output::{Console, json_line, print};
use serde::Serialize;
use sgl::eval::calibrate::{CalibrateError, Calibration, Candidate, Options, by_picture, calibrate, check};
use sgl::eval::contender::Contender;
use sgl::eval::evaluation::{Evaluation, Stage};
use sgl::eval::journal::Header;
use sgl::eval::record::Record;
use sgl::eval::sample::Gold;
use sgl::eval::settings::Shard;
use sgl::geometry::Expectation;
use sgl::guidance::{Consistency, Policy, Retain};
use sgl::profile::{Origin, Profile};
use std::collections::HashSet;
use std::path::Path;
use words::{in_words, nothing, table};

pub fn run(args: &CalibrateArgs, console: &Console) -> Result<(), Failure> {
    can_write(&args.out)?;
    let promise = &args.promise;
    let is_whole = args.measure.work.shard == Shard::WHOLE;
    let has_guide = args.measure.models.guide.is_some() || args.measure.models.model.is_none();
    let enough = |evaluation: &Evaluation| match is_whole {
        true => Ok(check(pictures(evaluation).n, has_guide, &options(promise, evaluation, &[]))?),
        false => Ok(()),
    };
    let contenders = [Contender::Policy(promise.policy)];
    let measured = measure_if(enough, &args.measure, &contenders, &promise.retain, console)?;
    let Measured { header, records, session: Some(mut session) } = measured else { return Ok(()) };
    if !is_whole {
        console.note("a profile needs all parts: name the joined journal with --journal");
        return Ok(());
    }
    let Pictures { of_samples, fit, .. } = pictures(&session.evaluation);
    let records: Vec<Record> =
        records.into_iter().filter(|record| of_samples.get(record.index).is_some_and(|of| fit.contains(of))).collect();
    let options = options(promise, &session.evaluation, &records);
    let calibration = calibrate(&records, &of_samples, &options)?;
    let table = table(&header, &calibration, &options);
    let Some(choice) = calibration.choice.clone() else {
        console.say(table);
        return Err(nothing(&calibration, &options));
    };
    let expectation = match choice.retain < 1.0 && promise.policy == Policy::GlobalDebias {
        true => expectation(&mut session, console)?,
        false => None,
    };
    let profile = profile(&header, &calibration, &choice, &options, promise.policy, expectation)?;
    profile.write(&args.out).map_err(|error| Failure::new(Exit::Output, error))?;
    console.note(format_args!("wrote {}; use it with --profile", args.out.display()));
    match args.json {
        true => print(&json_line(&Calibrated { calibration: &calibration, profile: &profile })?),
        false => print(&format!("{table}\n{}", in_words(&calibration, &choice, &options))),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Calibrated<'a> {
    calibration: &'a Calibration,
    profile: &'a Profile,
}

/// Which samples are about which pictures.
struct Pictures {
    of_samples: Vec<usize>,
    /// Those that nothing else was measured on: an expectation must not know the pictures that it is tested on.
    fit: HashSet<usize>,
    n: usize,
}

fn pictures(evaluation: &Evaluation) -> Pictures {
    let of_samples = by_picture(evaluation.samples());
    let used: HashSet<usize> =
        evaluation.expected_on().into_iter().filter_map(|sample| of_samples.get(sample).copied()).collect();
    let fit: HashSet<usize> = of_samples.iter().copied().filter(|picture| !used.contains(picture)).collect();
    Pictures { n: fit.len(), of_samples, fit }
}

fn options(promise: &PromiseArgs, evaluation: &Evaluation, records: &[Record]) -> Options {
    let is_unknown = evaluation.samples().iter().any(|sample| sample.gold == Gold::Unknown);
    let is_open = records.iter().any(|record| record.runs.iter().any(|run| run.score.is_none()));
    Options {
        metric: evaluation.metric(),
        policy: Contender::Policy(promise.policy).to_string(),
        retains: promise.retain.clone(),
        max_loss: promise.max_loss,
        confidence: promise.confidence,
        agreement: promise.agreement || is_unknown || is_open,
        folds: promise.folds as usize,
        seed: evaluation.plan().seed,
    }
}

fn expectation(session: &mut Session, console: &Console) -> Result<Option<Expectation>, Failure> {
    session.engine(console)?;
    let Session { evaluation, engine: Some(engine), .. } = session else { return Ok(None) };
    let progress = console.progress();
    let measured = evaluation.expect(engine, &mut |stage| {
        if let Stage::Expecting { done, all } = stage {
            progress.counting("expected attention", done, all, "");
        }
    });
    progress.clear();
    Ok(measured?.cloned())
}

fn profile(
    header: &Header,
    calibration: &Calibration,
    choice: &Candidate,
    options: &Options,
    policy: Policy,
    expectation: Option<Expectation>,
) -> Result<Profile, Failure> {
    let settings = &header.settings;
    Ok(Profile {
        retain: Retain::Share(choice.retain),
        policy,
        picture_floor: settings.picture_floor,
        exit_threshold: choice.exit_threshold,
        consistency: Consistency::Product,
        consistency_retain: settings.consistency_retain.parse()?,
        expectation,
        origin: Origin {
            benchmark: settings.benchmark.clone(),
            metric: settings.metric.clone(),
            agreement: options.agreement,
            n: calibration.n,
            n_questions: calibration.n_questions,
            max_loss: options.max_loss,
            confidence: options.confidence,
            loss: choice.loss,
            bound: choice.bound,
            cross_validated: calibration.cross_validated.clone(),
            target: settings.target.clone(),
            guide: settings.guide.clone(),
            version: settings.version.clone(),
            llama_cpp: settings.llama_cpp.clone(),
            date: header.begun.clone(),
        },
    })
}

/// Before hours are spent.
fn can_write(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = |why: String| Failure::new(Exit::Output, format!("cannot write {}: {why}", path.display()));
    if !folder.is_dir() {
        return Err(cannot(format!("there is no folder {}; create it", folder.display())));
    }
    if path.is_dir() {
        return Err(cannot("it is a folder; name a file".to_owned()));
    }
    Ok(())
}

impl From<CalibrateError> for Failure {
    fn from(error: CalibrateError) -> Self {
        let exit = if matches!(error, CalibrateError::TooFew { .. }) { Exit::Usage } else { Exit::Input };
        Self::new(exit, error)
    }
}
