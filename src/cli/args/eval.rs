//! Flags of the commands that measure.

use super::common::{GuideArgs, LlamaArgs, ModelArgs};
use crate::cli::values;
use clap::{Args, Subcommand};
use sgl::eval::contender::Contender;
use sgl::eval::settings::Shard;
use sgl::guidance::{DEFAULT_PICTURE_FLOOR, Policy, Retain};
use sgl::pipeline::DEFAULT_CONSISTENCY_RETAIN;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct EvalArgs {
    #[command(subcommand)]
    pub command: Option<EvalCommand>,
    /// Explain the benchmarks: files expected, prompt, metric, source
    #[arg(long, help_heading = "Benchmark")]
    pub list: bool,
    /// Policies to compare, separated by commas: global, layer:N, target-layer:N, oracle, random:DRAWS, uniform, lowres,
    /// diversity, global+diversity:WEIGHT, global+debias; the unpruned target (none) always runs
    #[arg(
        long,
        value_name = "POLICIES",
        value_delimiter = ',',
        default_value = "global,random:3",
        help_heading = "Comparison"
    )]
    pub policy: Vec<Contender>,
    /// Visual tokens that the target reads under them: shares, separated by commas
    #[arg(long, value_name = "SHARES", value_delimiter = ',', default_value = "50%,25%,10%", value_parser = values::pruning,
        allow_negative_numbers = true, help_heading = "Comparison")]
    pub retain: Vec<f64>,
    #[command(flatten)]
    pub measure: MeasureArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Subcommand)]
pub enum EvalCommand {
    /// Join the journals of all shards of a run and print its tables
    Merge(MergeArgs),
}

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Journals
    #[arg(value_name = "JOURNAL", required = true)]
    pub journals: Vec<PathBuf>,
    /// Journal to write
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct StudyArgs {
    /// Policies to compare [default: all of them]
    #[arg(long, value_name = "POLICIES", value_delimiter = ',', help_heading = "Comparison")]
    pub policy: Vec<Contender>,
    /// Visual tokens that the target reads under them: shares, separated by commas
    #[arg(long, value_name = "SHARES", value_delimiter = ',', default_value = "50%,25%,10%,9%,5%", value_parser = values::pruning,
        allow_negative_numbers = true, help_heading = "Comparison")]
    pub retain: Vec<f64>,
    #[command(flatten)]
    pub measure: MeasureArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl StudyArgs {
    /// Questions of a benchmark that the program draws, unless --limit says otherwise.
    pub const DRAWN: u32 = 300;

    /// A study of the embedded pair should take minutes, not an hour.
    pub fn limit_drawn(&mut self) {
        let asked = &mut self.measure.benchmark;
        if asked.bench.as_deref().is_none_or(|name| name.starts_with("scenes")) {
            asked.limit.get_or_insert(Self::DRAWN);
        }
    }
}

#[derive(Debug, Args)]
pub struct CalibrateArgs {
    #[command(flatten)]
    pub promise: PromiseArgs,
    #[command(flatten)]
    pub measure: MeasureArgs,
    /// Profile to write
    #[arg(short, long, value_name = "FILE", default_value = "profile.json", help_heading = "Output")]
    pub out: PathBuf,
    /// Print one JSON object instead of a table
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Promise")]
pub struct PromiseArgs {
    /// Most loss of score on average, against the unpruned target: 1% is one right answer in a hundred
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = values::fraction, allow_negative_numbers = true)]
    pub max_loss: f64,
    /// Probability with which the promise holds
    #[arg(long, value_name = "SHARE", default_value = "95%", value_parser = values::fraction, allow_negative_numbers = true)]
    pub confidence: f64,
    /// What ranks visual tokens, as in `sgl run`
    #[arg(long, value_name = "POLICY", default_value_t = Policy::Global)]
    pub policy: Policy,
    /// Candidates for what the target reads: shares, separated by commas; with fewer of them, fewer questions are needed
    #[arg(long, value_name = "SHARES", value_delimiter = ',', default_value = "90%,75%,50%,40%,30%,25%,20%,15%,10%,9%,5%",
        value_parser = values::pruning, allow_negative_numbers = true)]
    pub retain: Vec<f64>,
    /// Count every answer that differs from the unpruned target's as lost, as is done where right answers are not known
    #[arg(long)]
    pub agreement: bool,
    /// Parts of the cross-validation
    #[arg(long, value_name = "N", default_value = "5", value_parser = values::folds, allow_negative_numbers = true)]
    pub folds: u32,
}

/// What all commands that measure need.
#[derive(Debug, Args)]
pub struct MeasureArgs {
    #[command(flatten)]
    pub benchmark: BenchmarkArgs,
    #[command(flatten)]
    pub work: WorkArgs,
    #[command(flatten)]
    pub models: ModelArgs,
    #[command(flatten)]
    pub guide: GuideArgs,
    #[command(flatten)]
    pub llama: LlamaArgs,
    /// Flags about the guide that were on the command line, not in the environment.
    #[arg(skip)]
    pub given: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Benchmark")]
pub struct BenchmarkArgs {
    /// Benchmark; `sgl eval --list` explains them [default: scenes, for the embedded pair]
    #[arg(long, value_name = "NAME")]
    pub bench: Option<String>,
    /// Folder (or file) of its data
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Part of the data set, where it has several
    #[arg(long, value_name = "NAME")]
    pub split: Option<String>,
    /// Ask this many questions only, drawn by --seed
    #[arg(long, value_name = "N", value_parser = values::length, allow_negative_numbers = true)]
    pub limit: Option<u32>,
    /// Prompt around the question instead of the benchmark's own, with {question}, {hint} and {choices}
    #[arg(long, value_name = "TEMPLATE", allow_hyphen_values = true)]
    pub template: Option<String>,
    /// Most tokens of an answer [default: the benchmark's]
    #[arg(short = 'n', long, value_name = "N", value_parser = values::length, allow_negative_numbers = true)]
    pub predict: Option<u32>,
    /// Seed of everything that is drawn
    #[arg(short, long, value_name = "SEED", default_value = "0", value_parser = values::seed, allow_negative_numbers = true)]
    pub seed: u32,
    /// Judge for open answers: an OpenAI-compatible endpoint, such as http://127.0.0.1:8080/v1
    #[arg(long, value_name = "URL", env = "SGL_JUDGE")]
    pub judge: Option<String>,
    /// The judge's model
    #[arg(long, value_name = "NAME", env = "SGL_JUDGE_MODEL", default_value = "default")]
    pub judge_model: String,
    /// The judge's instructions instead of sgl's own; behind them stands: question | right answer | answer |
    #[arg(long, value_name = "FILE")]
    pub judge_prompt: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Work")]
pub struct WorkArgs {
    /// Where every answer is written as it comes; a run that was stopped goes on there [default: a name in sgl-eval/ that
    /// belongs to the settings]
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Do one of several parts of the work, such as 2/4; `sgl eval merge` joins their journals
    #[arg(long, value_name = "PART/PARTS", default_value_t = Shard::WHOLE)]
    pub shard: Shard,
    /// With several pictures, the part of its proportional share that each keeps at least
    #[arg(long, value_name = "PART", default_value_t = DEFAULT_PICTURE_FLOOR, value_parser = values::score,
        allow_negative_numbers = true)]
    pub picture_floor: f64,
    /// Visual tokens that the guide sees when it is asked whether it agrees with itself
    #[arg(long, value_name = "SHARE", default_value_t = DEFAULT_CONSISTENCY_RETAIN, allow_negative_numbers = true)]
    pub consistency_retain: Retain,
    /// Questions from which the expected attention of global+debias is measured
    #[arg(long, value_name = "N", default_value = "64", value_parser = values::length, allow_negative_numbers = true)]
    pub debias_samples: u32,
    /// Memory for what each vision encoder made of the pictures
    #[arg(long, value_name = "MIB", default_value = "512", value_parser = values::mebibytes, allow_negative_numbers = true)]
    pub encoder_cache: usize,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub json: bool,
    /// Folder for a page with tables, plots and cases (HTML), and the numbers as CSV and JSON
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Folder for the answers of every policy in the format that MM-Vet's own evaluator takes
    #[arg(long, value_name = "DIR")]
    pub export: Option<PathBuf>,
    /// Retention of the target behind an early exit, if it was run
    #[arg(long, value_name = "SHARE", default_value = "25%", value_parser = values::pruning, allow_negative_numbers = true)]
    pub exit_retain: f64,
}
