//! From flags to a finished run.

use super::progress::Shown;
use super::{judging, models};
use crate::cli::args::MeasureArgs;
use crate::cli::error::{Exit, Failure};
use crate::cli::fit;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::Console;
use crate::cli::resolve::{Pair, usage};
use crate::cli::run::load;
use sgl::eval::contender::Contender;
use sgl::eval::data::{self, Benchmark};
use sgl::eval::engine::{Engine, Plan};
use sgl::eval::evaluation::{Evaluation, Options, PrepareError};
use sgl::eval::journal::{Header, Journal};
use sgl::eval::record::Record;
use sgl::eval::settings::Shard;
use std::path::PathBuf;

/// A finished run.
pub struct Measured {
    pub header: Header,
    pub records: Vec<Record>,
    /// What it was; unknown for merged journals.
    pub session: Option<Session>,
}

/// What is needed to ask again.
pub struct Session {
    pub evaluation: Evaluation,
    pub pair: Pair,
    /// If something had to be answered.
    pub engine: Option<Engine>,
}

impl Measured {
    pub fn merged(header: Header, records: Vec<Record>) -> Self {
        Self { header, records, session: None }
    }
}

impl Session {
    /// The models, loaded if they are not yet.
    pub fn engine(&mut self, console: &Console) -> Result<&mut Engine, Failure> {
        match &mut self.engine {
            Some(engine) => Ok(engine),
            none => {
                let progress = console.progress();
                let pipeline = load(self.pair.clone(), &progress).inspect_err(|_| progress.clear())?;
                progress.clear();
                Ok(none.insert(Engine::new(pipeline, self.evaluation.plan().clone())))
            }
        }
    }
}

/// Runs the benchmark, or what its journal leaves to do.
pub fn measure(
    args: &MeasureArgs,
    contenders: &[Contender],
    retains: &[f64],
    console: &Console,
) -> Result<Measured, Failure> {
    measure_if(|_| Ok(()), args, contenders, retains, console)
}

/// The same, unless `check` refuses it before anything is answered.
pub fn measure_if(
    check: impl FnOnce(&Evaluation) -> Result<(), Failure>,
    args: &MeasureArgs,
    contenders: &[Contender],
    retains: &[f64],
    console: &Console,
) -> Result<Measured, Failure> {
    let mut pair = Pair::named(&args.models, &args.guide, &args.llama, &args.given)?;
    fit::apply(&mut pair, &args.llama, Some(&args.guide), console)?;
    let bytes = args.work.encoder_cache;
    pair.target.encoder_cache_bytes = bytes;
    if let Some(guide) = &mut pair.guide {
        guide.encoder_cache_bytes = bytes;
    }
    let contenders = unique(match contenders.is_empty() {
        true => models::all_contenders(&pair)?,
        false => contenders.to_vec(),
    });
    let benchmark = benchmark(args)?;
    models::check(&contenders, &pair)?;
    let options = options(args, benchmark, contenders, retains)?;
    let evaluation = Evaluation::prepare(&options, models::facts(&pair, &args.llama)?)?;
    check(&evaluation)?;
    if evaluation.n_disregarded() > 0 {
        console.note(format_args!(
            "{} questions have right answers and others have none, so all answers are compared with the unpruned target's; \
             leave those out to score these",
            evaluation.n_disregarded()
        ));
    }
    let grader = judging::judge_of(&evaluation, &args.benchmark, console)?;
    let journal = journal(args, evaluation.header());

    let (engine, mut records) = match finished(&evaluation, &journal) {
        Some(records) => {
            console.note(format_args!("all answers are in {} already", journal.display()));
            (None, records)
        }
        None => {
            let (engine, records) = answer(&evaluation, pair.clone(), &journal, console)?;
            (Some(engine), records)
        }
    };
    judging::grade(&evaluation, grader.as_ref(), &journal, &mut records, console)?;
    let header = Journal::read(&journal)?.0;
    if args.work.shard != Shard::WHOLE {
        console.note(format_args!(
            "part {} is in {}; join all parts with `sgl eval merge`",
            args.work.shard,
            journal.display()
        ));
    }
    Ok(Measured { header, records, session: Some(Session { evaluation, pair, engine }) })
}

fn answer(
    evaluation: &Evaluation,
    pair: Pair,
    journal: &std::path::Path,
    console: &Console,
) -> Result<(Engine, Vec<Record>), Failure> {
    let progress = console.progress();
    let pipeline = load(pair, &progress).inspect_err(|_| progress.clear())?;
    let cancel = pipeline.cancel_flag();
    let interrupt = Interrupt::install(cancel);
    let mut engine = Engine::new(pipeline, evaluation.plan().clone());
    let mut shown = Shown::new(console, &progress, evaluation.header().settings.benchmark.clone());
    let records = evaluation.run(&mut engine, journal, &mut |stage| shown.show(&stage));
    progress.clear();
    interrupt.ends_program();
    let interrupted = |failure: Failure| match failure.exit {
        Exit::Interrupted => Failure {
            hint: Some(format!("the same command goes on where it stopped, with {}", journal.display())),
            ..failure
        },
        _ => failure,
    };
    let records = records.map_err(Failure::from).map_err(interrupted)?;
    Ok((engine, records))
}

fn options(
    args: &MeasureArgs,
    benchmark: &'static Benchmark,
    contenders: Vec<Contender>,
    retains: &[f64],
) -> Result<Options, Failure> {
    let (asked, work) = (&args.benchmark, &args.work);
    if benchmark.needs_data() && asked.data.is_none() {
        return Err(usage(format!(
            "--data is missing; name the folder with the files of {}, as `sgl eval --list` describes them",
            benchmark.name
        )));
    }
    let mut retains = retains.to_vec();
    retains.sort_by(|a, b| b.total_cmp(a));
    retains.dedup();
    Ok(Options {
        benchmark,
        data: asked.data.clone().unwrap_or_default(),
        split: asked.split.clone(),
        limit: asked.limit.map(|limit| limit as usize),
        shard: work.shard,
        template: asked.template.clone(),
        n_expected: work.debias_samples as usize,
        plan: Plan {
            contenders,
            retains,
            consistency_retain: work.consistency_retain,
            picture_floor: work.picture_floor,
            n_predict: asked.predict.map_or(0, |n| n as usize),
            seed: u64::from(asked.seed),
        },
    })
}

fn benchmark(args: &MeasureArgs) -> Result<&'static Benchmark, Failure> {
    let name = match &args.benchmark.bench {
        Some(name) => name,
        None if args.models.model.is_none() => "scenes",
        None => return Err(usage("--bench is missing; `sgl eval --list` names the benchmarks")),
    };
    data::find(name).map_err(usage)
}

/// The journal of these settings.
fn journal(args: &MeasureArgs, header: &Header) -> PathBuf {
    args.work.journal.clone().unwrap_or_else(|| {
        let part = match header.shard {
            Shard::WHOLE => String::new(),
            Shard { part, of } => format!("-{part}of{of}"),
        };
        let (benchmark, hash) = (&header.settings.benchmark, header.settings.hash());
        PathBuf::from(format!("sgl-eval/{benchmark}-{hash}{part}.jsonl"))
    })
}

/// All records, if the journal has them.
fn finished(evaluation: &Evaluation, journal: &std::path::Path) -> Option<Vec<Record>> {
    let (header, mut records) = Journal::read(journal).ok()?;
    let same = header.settings == evaluation.header().settings && header.shard == evaluation.header().shard;
    records.sort_by_key(|record| record.index);
    (same && records.len() == evaluation.n_asked()).then_some(records)
}

fn unique(contenders: Vec<Contender>) -> Vec<Contender> {
    let mut unique: Vec<Contender> = Vec::new();
    for contender in contenders {
        if !unique.contains(&contender) {
            unique.push(contender);
        }
    }
    unique
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Prompt(_) => Self::new(Exit::Usage, error),
            PrepareError::Data(_) | PrepareError::Empty(_) => Self::listing(Exit::Input, error),
        }
    }
}
