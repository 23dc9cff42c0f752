//! `sgl bench`: what a guide and target pair brings on this machine, phase by phase.

mod columns;
mod compare;
mod shapes;
mod stock;
mod told;
mod verdict;
mod words;

use super::args::{BenchArgs, LoadArgs};
use super::error::{Exit, Failure};
use super::fit;
use super::interrupt::Interrupt;
use super::output::{Console, json_line, print};
use super::progress::Progress;
use super::resolve::{Pair, usage};
use sgl::bench::{
    Baseline, BenchError, Drawn, Engine, Measurement, Question, Settings, Shapes, StockError, Variant, measure,
    picture, question,
};
use sgl::eval::settings::ModelFiles;
use sgl::media::Picture;
use sgl::vlm::VlmOptions;

pub fn run(args: &BenchArgs, console: &Console) -> Result<(), Failure> {
    if args.shapes.list {
        return shapes::list(&args.shapes, args.json);
    }
    if let Some([old, new]) = args.compare.as_deref() {
        return compare::run(old, new, args.json);
    }
    let pictures = pictures(&args.load)?;
    let models = Models::of(args, console)?;
    let progress = console.progress();
    let measured = measured(args, models, pictures, console, &progress);
    progress.clear();
    let measured = measured?;
    match args.json {
        true => print(&json_line(&measured)?),
        false => print(&words::page(&measured)),
    }
}

/// What is measured.
struct Models {
    guide: VlmOptions,
    target: VlmOptions,
    shapes: Option<Shapes>,
}

impl Models {
    fn of(args: &BenchArgs, console: &Console) -> Result<Self, Failure> {
        let (mut pair, shapes) = match &args.shapes.shape {
            Some(shape) => {
                if let Some(flag) = args.named.first() {
                    return Err(usage(format!("--shape and {flag} both name models; leave one of them out")));
                }
                let files = shapes::install(shape, &args.shapes, console)?;
                (Pair::named(&files, &args.guide, &args.llama, &[])?, Some(shapes::told(shape, &args.shapes)))
            }
            None => (Pair::named(&args.models, &args.guide, &args.llama, &[])?, None),
        };
        fit::apply(&mut pair, &args.llama, Some(&args.guide), console)?;
        let Pair { guide: Some(guide), target } = pair else {
            return Err(usage(
                "a guide is measured for a target, and there is no guide; add --guide and --guide-mmproj",
            ));
        };
        Ok(Self { guide, target, shapes })
    }
}

fn pictures(load: &LoadArgs) -> Result<Vec<Picture>, Failure> {
    if !load.image.is_empty() {
        return super::run::open(&load.image);
    }
    let [width, height] = load.picture_size;
    Ok(vec![picture(width, height)?])
}

fn measured(
    args: &BenchArgs,
    models: Models,
    pictures: Vec<Picture>,
    console: &Console,
    progress: &Progress,
) -> Result<Measurement, Failure> {
    let shown = progress.clone();
    let mut engine = Engine::load(models.guide.clone(), models.target.clone(), move |role, share| {
        shown.loading(role, share);
    })?;
    let Drawn { text, n_tokens } = question(args.load.question_tokens as usize, |text| engine.count_tokens(text));
    let asked = Question {
        pictures,
        text,
        n_predict: args.load.predict as usize,
        retain: args.guidance.retain,
        policy: args.guidance.policy,
        kept_tiles: args.guidance.kept_tiles.map(|n| n as usize),
        exit_threshold: args.guidance.exit_threshold,
    };
    let settings = settings(args, &models, &asked, n_tokens)?;
    let stock = match &args.rounds.stock {
        Some(program) => Some(stock::Called::new(program, &mut engine, &asked, &models.target, settings.threads)?),
        None => None,
    };
    let interrupt = Interrupt::install(engine.cancel_flag());
    let rounds = [args.rounds.warm_up, args.rounds.rounds].map(|n| n as usize);
    let mut on_run = |done: usize, all: usize, variant: Variant| progress.counting("run", done, all, name(variant));
    let measured = measure(&mut engine, &asked, stock.as_ref().map(stock::Called::stock), rounds, &mut on_run);
    progress.clear();
    let (rounds, counts) = measured.map_err(|error| match error {
        // Ctrl-C reaches the stock program, too.
        BenchError::Stock(_) if interrupt.is_set() => {
            Failure { exit: Exit::Interrupted, message: "interrupted".to_owned(), hint: None }
        }
        error => error.into(),
    })?;
    if let Some(n_prompt) = counts.stock_prompt.filter(|&n_prompt| n_prompt != counts.target_prompt) {
        console.note(format_args!(
            "the stock program read a prompt of {n_prompt} tokens, and this one {}: their chat templates differ",
            counts.target_prompt
        ));
    }
    let memory = engine.memory();
    Ok(Measurement::new(settings, told::build(), counts, rounds, memory))
}

fn settings(args: &BenchArgs, models: &Models, asked: &Question, n_tokens: usize) -> Result<Settings, Failure> {
    let files = |options: &VlmOptions| {
        ModelFiles::of(&options.model, &options.mmproj).map_err(|error| Failure::new(Exit::Input, error))
    };
    Ok(Settings {
        guide: files(&models.guide)?,
        target: files(&models.target)?,
        shapes: models.shapes.clone(),
        pictures: asked.pictures.iter().map(|picture| [picture.width(), picture.height()]).collect(),
        question_tokens: n_tokens,
        n_predict: asked.n_predict,
        retain: asked.retain.to_string(),
        policy: asked.policy.to_string(),
        kept_tiles: asked.kept_tiles,
        exit_threshold: asked.exit_threshold,
        threads: told::threads(&args.llama),
        llama: told::flags(&args.llama, &args.guide),
        device: told::device(&models.target),
        baseline: if args.rounds.stock.is_some() { Baseline::Stock } else { Baseline::Unpruned },
    })
}

fn name(variant: Variant) -> &'static str {
    match variant {
        Variant::Unpruned => "target alone",
        Variant::Guided => "guide and target",
        Variant::GuidePlain => "guide alone",
        Variant::GuideExport => "guide alone, attention exported",
        Variant::Stock => "stock llama.cpp",
    }
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Pipeline(error) => error.into(),
            BenchError::Stock(error) => error.into(),
            BenchError::NoRounds => usage(error),
        }
    }
}

impl From<StockError> for Failure {
    fn from(error: StockError) -> Self {
        match &error {
            StockError::Start { .. } | StockError::NoTimes { .. } => Self::new(Exit::Input, error),
            // It quotes another program.
            StockError::Failed { .. } => Self { exit: Exit::Llama, message: error.to_string(), hint: None },
        }
    }
}
