//! The table of flags: parsing, help and environment names come from here alone.

use super::spelling;
use super::values::{self, DeviceList, GpuLayers};
use clap::builder::{FalseyValueParser, NonEmptyStringValueParser};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use sgl::guidance::{Consistency, DEFAULT_PICTURE_FLOOR, Policy, Retain};
use sgl::llama::{CacheType, FlashAttention};
use sgl::pipeline::{DEFAULT_CONSISTENCY_RETAIN, DEFAULT_EXIT_THRESHOLD, DEFAULT_RETAIN};
use std::ffi::OsString;
use std::path::PathBuf;

/// Parses the command line. Help and version are "errors" for standard output.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(spelling::translate(argv))?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    let given = matches.subcommand().map(|(name, matches)| given(name, matches)).unwrap_or_default();
    match &mut cli.command {
        Command::Run(args) => args.given = given,
        Command::Explain(args) => args.run.given = given,
        Command::Chat(args) => args.given = given,
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
  sgl inspect large.gguf mmproj-large.gguf

Exit codes:
  0  done                            5  the prompt does not fit the context
  2  wrong command line              6  llama.cpp failed while loading or computing
  3  bad input file                  7  the output cannot be written
  4  models do not fit together    130  interrupted";

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
    /// Show what guidance does, with the models and pictures inside this program
    #[command(args_override_self = true)]
    Demo(DemoArgs),
    /// Answer as `run` does and draw what the guide looked at
    #[command(after_help = EMBEDDED, args_override_self = true)]
    Explain(Box<ExplainArgs>),
    /// Tell what GGUF files are and whether a model and an mmproj fit
    Inspect(InspectArgs),
    /// List the devices that models can run on
    Devices(DevicesArgs),
}

const EMBEDDED: &str = "Without --model and --guide, the small pair inside this program answers.";
const CHAT: &str = "\
In the conversation, /help lists the commands. Without --model and --guide, the small pair inside this program answers.";

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub question: QuestionArgs,
    #[command(flatten)]
    pub models: ModelArgs,
    #[command(flatten)]
    pub guidance: GuidanceArgs,
    #[command(flatten)]
    pub answer: AnswerArgs,
    #[command(flatten)]
    pub llama: LlamaArgs,
    /// Flags of the heading [`GUIDANCE`] that were on the command line, not in the environment.
    #[arg(skip)]
    pub given: Vec<String>,
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
    pub models: ModelArgs,
    #[command(flatten)]
    pub guidance: GuidanceArgs,
    #[command(flatten)]
    pub answer: AnswerArgs,
    #[command(flatten)]
    pub llama: LlamaArgs,
    /// As in [`RunArgs`].
    #[arg(skip)]
    pub given: Vec<String>,
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
    /// Memory for what the vision encoders of both models made of the pictures, so that none is encoded twice; 0 is none
    #[arg(long, value_name = "MIB", default_value = "512", value_parser = values::mebibytes, allow_negative_numbers = true)]
    pub encoder_cache: usize,
    /// Do not remember what is typed for the next conversation
    #[arg(long, env = "SGL_NO_HISTORY", value_parser = FalseyValueParser::new())]
    pub no_history: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Models (GGUF)")]
pub struct ModelArgs {
    /// Target: the large model, which has the last word
    #[arg(short, long, value_name = "TARGET", env = "LLAMA_ARG_MODEL")]
    pub model: Option<PathBuf>,
    /// The target's vision encoder
    #[arg(long, value_name = "FILE", env = "LLAMA_ARG_MMPROJ")]
    pub mmproj: Option<PathBuf>,
    /// Guide: the small model, which answers first; without it the target runs alone, unpruned
    #[arg(long, value_name = "GUIDE", env = "SGL_GUIDE")]
    pub guide: Option<PathBuf>,
    /// The guide's vision encoder
    #[arg(long, value_name = "FILE", env = "SGL_GUIDE_MMPROJ")]
    pub guide_mmproj: Option<PathBuf>,
}

/// Flags under this heading need a guide.
pub const GUIDANCE: &str = "Guidance";

#[derive(Debug, Args)]
#[command(next_help_heading = GUIDANCE)]
pub struct GuidanceArgs {
    /// Visual tokens that the target reads: a share (0.25, 25%), a count (64t), or as many of the best as hold a share of the
    /// attention (90%mass)
    #[arg(long, value_name = "SHARE", env = "SGL_RETAIN", default_value_t = DEFAULT_RETAIN, allow_negative_numbers = true)]
    pub retain: Retain,
    /// Let the target read all visual tokens
    #[arg(long)]
    pub no_prune: bool,
    /// What ranks visual tokens: global (attention of all layers), layer:N, random:SEED, uniform
    #[arg(long, value_name = "POLICY", default_value_t = Policy::Global)]
    pub policy: Policy,
    /// With several pictures, the part of its proportional share that each keeps at least: 0 is one joint ranking, at 1 all
    /// keep the same share
    #[arg(long, value_name = "PART", default_value_t = DEFAULT_PICTURE_FLOOR, value_parser = values::score,
        allow_negative_numbers = true)]
    pub picture_floor: f64,
    /// The guide's answer is final from this score on, 0 to 1
    #[arg(long, value_name = "SCORE", env = "SGL_EXIT_THRESHOLD", default_value_t = DEFAULT_EXIT_THRESHOLD,
        value_parser = values::score, allow_negative_numbers = true)]
    pub exit_threshold: f64,
    /// Never let the guide's answer be final
    #[arg(long)]
    pub no_exit: bool,
    /// How the guide's agreement with itself is summed up over its answer: product or geomean
    #[arg(long, value_name = "MEAN", default_value_t = Consistency::Product)]
    pub consistency: Consistency,
    /// Visual tokens that the guide sees when it is asked whether it agrees with itself
    #[arg(long, value_name = "SHARE", default_value_t = DEFAULT_CONSISTENCY_RETAIN, allow_negative_numbers = true)]
    pub consistency_retain: Retain,
    /// Most visual tokens of a picture in the guide, for a quick look by models of dynamic resolution [default: as
    /// --image-max-tokens]
    #[arg(long, value_name = "N", value_parser = values::image_tokens, allow_negative_numbers = true)]
    pub guide_image_max_tokens: Option<u32>,
    /// The guide's layers on the device [default: as --gpu-layers]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub guide_gpu_layers: Option<GpuLayers>,
    /// The guide's devices [default: as --device]
    #[arg(long, value_name = "NAMES")]
    pub guide_device: Option<DeviceList>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Answer")]
pub struct AnswerArgs {
    /// Most tokens of an answer
    #[arg(short = 'n', long, value_name = "N", default_value = "256", value_parser = values::length, allow_negative_numbers = true)]
    pub predict: u32,
    /// Temperature of the target; 0 is always the most probable token
    #[arg(long, value_name = "T", default_value = "0", value_parser = values::temperature, allow_negative_numbers = true)]
    pub temp: f32,
    /// Draw from the K most probable tokens; 0 is all
    #[arg(long, value_name = "K", default_value = "40", value_parser = values::top_k, allow_negative_numbers = true)]
    pub top_k: i32,
    /// Draw from the most probable tokens that hold this probability together
    #[arg(long, value_name = "P", default_value = "0.95", value_parser = values::share, allow_negative_numbers = true)]
    pub top_p: f32,
    /// Draw from tokens of at least this share of the best one's probability
    #[arg(long, value_name = "P", default_value = "0.05", value_parser = values::probability, allow_negative_numbers = true)]
    pub min_p: f32,
    /// Seed of the draw
    #[arg(short, long, value_name = "SEED", default_value = "0", value_parser = values::seed, allow_negative_numbers = true)]
    pub seed: u32,
    /// Print one JSON object with all that is known instead of the answer
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// What llama.cpp is told about both models.
#[derive(Debug, Args)]
#[command(next_help_heading = "llama.cpp, for guide and target")]
pub struct LlamaArgs {
    /// Context size in tokens; 0 grows with the prompt, up to what the model was trained with
    #[arg(short, long, value_name = "N", env = "LLAMA_ARG_CTX_SIZE", default_value = "0", value_parser = values::context,
        allow_negative_numbers = true)]
    pub ctx_size: u32,
    /// Threads [default: one per core]
    #[arg(short, long, value_name = "N", env = "LLAMA_ARG_THREADS", value_parser = values::threads, allow_negative_numbers = true)]
    pub threads: Option<u32>,
    /// Most tokens in a batch
    #[arg(short, long, value_name = "N", env = "LLAMA_ARG_BATCH", default_value = "2048", value_parser = values::batch,
        allow_negative_numbers = true)]
    pub batch_size: u32,
    /// Most tokens computed at once
    #[arg(long, value_name = "N", env = "LLAMA_ARG_UBATCH", default_value = "512", value_parser = values::batch,
        allow_negative_numbers = true)]
    pub ubatch_size: u32,
    /// Layers on the device: a number, auto or all
    #[arg(
        long,
        value_name = "N",
        env = "LLAMA_ARG_N_GPU_LAYERS",
        default_value = "auto",
        allow_negative_numbers = true
    )]
    pub gpu_layers: GpuLayers,
    /// Devices, separated by commas, or none [default: all]
    #[arg(long, value_name = "NAMES", env = "LLAMA_ARG_DEVICE")]
    pub device: Option<DeviceList>,
    /// Least visual tokens of a picture, for models of dynamic resolution [default: the model's own]
    #[arg(long, value_name = "N", env = "LLAMA_ARG_IMAGE_MIN_TOKENS", value_parser = values::image_tokens,
        allow_negative_numbers = true)]
    pub image_min_tokens: Option<u32>,
    /// Most visual tokens of a picture, for models of dynamic resolution [default: the model's own]
    #[arg(long, value_name = "N", env = "LLAMA_ARG_IMAGE_MAX_TOKENS", value_parser = values::image_tokens,
        allow_negative_numbers = true)]
    pub image_max_tokens: Option<u32>,
    /// Flash attention: on, off or auto
    #[arg(long, value_name = "WHEN", env = "LLAMA_ARG_FLASH_ATTN", default_value = "auto")]
    pub flash_attn: FlashAttention,
    /// Type of the K cache: f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0, iq4_nl
    #[arg(long, value_name = "TYPE", env = "LLAMA_ARG_CACHE_TYPE_K", default_value = "f16")]
    pub cache_type_k: CacheType,
    /// Type of the V cache
    #[arg(long, value_name = "TYPE", env = "LLAMA_ARG_CACHE_TYPE_V", default_value = "f16")]
    pub cache_type_v: CacheType,
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
pub struct DevicesArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
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
        assert_eq!((args.llama.batch_size, args.llama.ubatch_size), (context.n_batch, context.n_ubatch));
        assert_eq!((args.llama.cache_type_k, args.llama.cache_type_v), (context.cache_k, context.cache_v));
        assert_eq!(args.llama.flash_attn, context.flash_attention);
        let sampling = sgl::llama::SamplingOptions::default();
        assert_eq!(
            (args.answer.temp, args.answer.top_k, args.answer.seed),
            (sampling.temperature, sampling.top_k, sampling.seed)
        );
        assert_eq!((args.answer.top_p, args.answer.min_p), (sampling.top_p, sampling.min_p));
    }

    #[test]
    fn only_flags_on_the_command_line_count_as_given() {
        let argv = ["sgl", "explain", "-p", "x", "--retain", "0.5", "--guide-ngl", "1", "--temp", "1"];
        let Ok(Cli { command: Command::Explain(args), .. }) = parse(argv.map(OsString::from)) else {
            panic!("does not parse");
        };
        assert_eq!(args.run.given, ["--retain", "--guide-gpu-layers"]);
    }
}
