//! The table of flags: parsing, help and environment names come from here alone.

mod bench;
mod common;
mod eval;
mod serve;

pub use bench::{BenchArgs, LoadArgs, ShapeArgs, Towers};
pub use common::{CommonArgs, GUIDANCE, GuideArgs, LlamaArgs, ModelArgs, ReportArgs, WarmthArgs};
pub use eval::{
    BenchmarkArgs, CalibrateArgs, EvalArgs, EvalCommand, MeasureArgs, MergeArgs, OutputArgs, PromiseArgs, StudyArgs,
};
pub use serve::{LimitArgs, PictureArgs, ServeArgs, ServerArgs};

use super::serve::config;
use super::spelling;
use super::values;
use clap::builder::{FalseyValueParser, NonEmptyStringValueParser};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use sgl::gguf::WeightType;
use std::ffi::OsString;
use std::path::PathBuf;

/// Parses the command line. Help and version are "errors" for standard output.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(spelling::translate(argv))?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    let named = matches.subcommand().map(|(_, matches)| named(matches)).unwrap_or_default();
    let given = matches.subcommand().map(|(name, matches)| given(name, matches)).unwrap_or_default();
    match &mut cli.command {
        Command::Run(args) => args.common.given = given,
        Command::Explain(args) => args.run.common.given = given,
        Command::Chat(args) => args.common.given = given,
        Command::Serve(args) => {
            args.common.given = given;
            args.printed = matches.subcommand().map(|(_, matches)| config::text(matches)).unwrap_or_default();
        }
        Command::Eval(args) => args.measure.given = given,
        Command::Study(args) => {
            args.measure.given = given;
            args.limit_drawn();
        }
        Command::Calibrate(args) => args.measure.given = given,
        Command::Bench(args) => args.named = named,
        _ => {}
    }
    Ok(cli)
}

/// The table, with llama.cpp's spellings in its help.
pub fn command() -> clap::Command {
    let spelled = |argument: clap::Arg| {
        let also = argument.get_long().map(spelling::of).unwrap_or_default();
        match argument.get_help().map(ToString::to_string) {
            Some(help) if !also.is_empty() => argument.help(format!("{help} [also: {}]", also.join(", "))),
            _ => argument,
        }
    };
    Cli::command().mut_subcommands(|subcommand| subcommand.mut_args(spelled))
}

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nllama.cpp ",
    env!("SGL_LLAMA_VERSION"),
    "\npatches ",
    env!("SGL_LLAMA_PATCHES"),
    "\nbackends ",
    env!("SGL_LLAMA_BACKENDS"),
);

const EXAMPLES: &str = "\
Examples:
  sgl demo
  sgl run --image shapes.png -p \"How many squares are there?\"
  sgl run -m large.gguf -mm mmproj-large.gguf \\
      --guide small.gguf --guide-mmproj mmproj-small.gguf --image photo.jpg -p \"What is this?\"
  sgl chat --image shapes.png
  sgl serve --port 8080
  sgl inspect large.gguf mmproj-large.gguf

Exit codes:
  0  done                            5  the prompt does not fit the context
  2  wrong command line              6  llama.cpp failed while loading or computing
  3  bad input file                  7  the output cannot be written
  4  models do not fit together      8  the judge cannot be reached, or gives no grades
                                   130  interrupted";

/// Answers questions about pictures with two models: a small guide says which visual tokens a large target reads.
#[derive(Debug, Parser)]
#[command(name = "sgl", version = VERSION, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
#[command(max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Show the logs of llama.cpp on standard error; -vv shows all of them
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "Output")]
    pub verbose: u8,
    /// No progress, notes or summary on standard error; errors only
    #[arg(short, long, global = true, help_heading = "Output")]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer a question about pictures
    #[command(after_help = EMBEDDED, args_override_self = true)]
    Run(Box<RunArgs>),
    /// Hold a conversation about pictures, at a terminal or through a pipe
    #[command(after_help = CHAT, args_override_self = true)]
    Chat(Box<ChatArgs>),
    /// Answer over HTTP as OpenAI's API does, for its clients and for a page in the browser
    #[command(after_help = EMBEDDED, args_override_self = true)]
    Serve(Box<ServeArgs>),
    /// Show what guidance does, with the models and pictures inside this program
    #[command(args_override_self = true)]
    Demo(DemoArgs),
    /// Answer as `run` does and draw what the guide looked at
    #[command(after_help = EMBEDDED, args_override_self = true)]
    Explain(Box<ExplainArgs>),
    /// Measure policies on a benchmark, side by side
    #[command(after_help = EMBEDDED, args_override_self = true)]
    Eval(Box<EvalArgs>),
    /// Reproduce the paper's findings on a pair: all policies, overlap of rankings, early exit
    #[command(after_help = STUDY, args_override_self = true)]
    Study(Box<StudyArgs>),
    /// Find the largest pruning and the lowest exit threshold that keep a promise about the loss, and write them to a profile
    #[command(after_help = EMBEDDED, args_override_self = true)]
    Calibrate(Box<CalibrateArgs>),
    /// Measure what a guide brings for a target on this machine, phase by phase, on your models or on random weights of the
    /// sizes of known ones
    #[command(after_help = BENCH, args_override_self = true)]
    Bench(Box<BenchArgs>),
    /// Tell what GGUF files are and whether a model and an mmproj fit
    Inspect(InspectArgs),
    /// Write a vision encoder (mmproj) with other weight types, for which llama-quantize has no way
    QuantizeMmproj(QuantizeMmprojArgs),
    /// List the devices that models can run on
    Devices(DevicesArgs),
}

const EMBEDDED: &str = "Without --model and --guide, the small pair inside this program answers.";
const STUDY: &str = "\
Without --model and --guide, the small pair inside this program answers 300 questions, which takes some minutes; --limit 2400 asks \
all there are.";
const BENCH: &str = "\
Without --model, --guide and --shape, the small pair inside this program is measured.

Ratios, below 1 is faster:
  total           guided answer over baseline: the program of --stock, or else the unpruned target
  ttft            time to the first token, guided over baseline
  target_prefill  the target's prefill, guided over unpruned
  export_prefill  the guide's prefill, with the export of its attention over without
  export_decode   the guide's decode, likewise

The ideal is what the pieces would make possible: the guide without export, and of the target the tiles that hold kept tokens,
the tokens read and the tokens written, at the speed of the unpruned run.";
const CHAT: &str = "\
In the conversation, /help lists the commands. Without --model and --guide, the small pair inside this program answers.";

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub question: QuestionArgs,
    #[command(flatten)]
    pub common: CommonArgs,
    #[command(flatten)]
    pub report: ReportArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Question")]
pub struct QuestionArgs {
    /// Picture; repeat it for several, - is standard input
    #[arg(long, value_name = "FILE")]
    pub image: Vec<PathBuf>,
    /// Question
    #[arg(short, long, value_name = "QUESTION", allow_hyphen_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub prompt: String,
    /// Standing instructions before it
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub system: Option<String>,
}

#[derive(Debug, Args)]
pub struct ChatArgs {
    #[command(flatten)]
    pub conversation: ConversationArgs,
    #[command(flatten)]
    pub common: CommonArgs,
    #[command(flatten)]
    pub report: ReportArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Conversation")]
pub struct ConversationArgs {
    /// Picture for the first message; repeat it for several
    #[arg(long, value_name = "FILE")]
    pub image: Vec<PathBuf>,
    /// Standing instructions
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub system: Option<String>,
    #[command(flatten)]
    pub warmth: WarmthArgs,
    /// Do not remember what is typed for the next conversation
    #[arg(long, env = "SGL_NO_HISTORY", value_parser = FalseyValueParser::new())]
    pub no_history: bool,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Heat map to write (PNG); of several pictures, each gets its number: heat-1.png, heat-2.png
    #[arg(long, value_name = "FILE", default_value = "heat.png", help_heading = "Output")]
    pub out: PathBuf,
    /// Also write the attention of each layer of the guide: heat-layers.png
    #[arg(long, help_heading = "Output")]
    pub layers: bool,
    /// Also let the target read all visual tokens and draw its own attention beside the guide's
    #[arg(long, help_heading = "Output")]
    pub compare: bool,
    /// Show the heat map in the terminal: when it can (auto), never, or always in the way that is named
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    pub show: Show,
}

/// Whether and how pictures are shown in the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Show {
    Auto,
    Never,
    Kitty,
    Iterm2,
    Sixel,
    Blocks,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Picture to ask about
    #[arg(long, value_name = "NAME", default_value = super::demo::PICTURES[0].name,
        value_parser = clap::builder::PossibleValuesParser::new(super::demo::PICTURES.map(|picture| picture.name)))]
    pub picture: String,
    /// Folder for the heat maps [default: sgl-demo here, or else in the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub llama: LlamaArgs,
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// GGUF files; a model and an mmproj that follow each other are checked as a pair
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct QuantizeMmprojArgs {
    /// The mmproj to copy
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The copy
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// Type of the matrices: f32, bf16, f16, q8_0, q4_0
    #[arg(long = "type", value_name = "TYPE", default_value = "q8_0")]
    pub weights: WeightType,
    /// Replace the copy if it is there already
    #[arg(long)]
    pub force: bool,
    /// Encode a picture with both files and tell how far the visual tokens are apart
    #[arg(long, value_name = "PICTURE", requires = "model")]
    pub check: Option<PathBuf>,
    /// The text model that the mmproj belongs to, for --check
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Threads for --check [default: one per physical core]
    #[arg(short, long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    pub threads: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Flags that name models, on the command line.
fn named(matches: &ArgMatches) -> Vec<&'static str> {
    let flags =
        [("model", "--model"), ("mmproj", "--mmproj"), ("guide", "--guide"), ("guide_mmproj", "--guide-mmproj")];
    let is_named = |id: &str| {
        let is_known = matches.ids().any(|known| known == id);
        is_known && matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    flags.into_iter().filter(|(id, _)| is_named(id)).map(|(_, flag)| flag).collect()
}

fn given(subcommand: &str, matches: &ArgMatches) -> Vec<String> {
    let cli = command();
    let arguments = cli.find_subcommand(subcommand).into_iter().flat_map(clap::Command::get_arguments);
    arguments
        .filter(|argument| argument.get_help_heading() == Some(GUIDANCE))
        .filter(|argument| matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine))
        .filter_map(|argument| argument.get_long().map(|name| format!("--{name}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn defaults_are_the_librarys() {
        let Ok(Cli { command: Command::Run(args), .. }) = parse(["sgl", "run", "-p", "x"].map(OsString::from)) else {
            panic!("does not parse");
        };
        let context = sgl::llama::ContextOptions::default();
        assert_eq!((args.common.llama.batch_size, args.common.llama.ubatch_size), (context.n_batch, context.n_ubatch));
        assert_eq!(
            (args.common.llama.cache_type_k, args.common.llama.cache_type_v),
            (context.cache_k, context.cache_v)
        );
        assert_eq!(args.common.llama.flash_attn, context.flash_attention);
        let sampling = sgl::llama::SamplingOptions::default();
        assert_eq!(
            (args.common.answer.temp, args.common.answer.top_k, args.common.answer.seed),
            (sampling.temperature, sampling.top_k, sampling.seed)
        );
        assert_eq!((args.common.answer.top_p, args.common.answer.min_p), (sampling.top_p, sampling.min_p));
    }

    #[test]
    fn help_names_the_defaults_of_guidance() {
        let mut cli = command();
        cli.build();
        let run = cli.find_subcommand("run").unwrap();
        let request = sgl::pipeline::Request::new(Vec::new(), Vec::new());
        let exit = request.exit.unwrap();
        for (flag, default) in [
            ("retain", request.retain.unwrap().to_string()),
            ("policy", request.policy.to_string()),
            ("picture_floor", request.picture_floor.to_string()),
            ("exit_threshold", exit.threshold.to_string()),
            ("consistency", exit.consistency.to_string()),
            ("consistency_retain", exit.retain.to_string()),
        ] {
            let argument = run.get_arguments().find(|argument| argument.get_id() == flag).unwrap();
            let help = argument.get_help().unwrap().to_string();
            assert!(help.contains(&format!("[default: the profile's, or {default}]")), "{flag}: {help}");
        }
    }

    #[test]
    fn only_flags_on_the_command_line_count_as_given() {
        let argv = ["sgl", "explain", "-p", "x", "--retain", "0.5", "--guide-ngl", "1", "--temp", "1"];
        let Ok(Cli { command: Command::Explain(args), .. }) = parse(argv.map(OsString::from)) else {
            panic!("does not parse");
        };
        assert_eq!(args.run.common.given, ["--retain", "--guide-gpu-layers"]);
    }
}
