//! Flags of `sgl bench`.

use super::common::{GUIDANCE, GuideArgs, LlamaArgs, ModelArgs};
use crate::cli::values;
use clap::{Args, ValueEnum};
use sgl::fixtures::ShapePair;
use sgl::gguf::WeightType;
use sgl::guidance::{Policy, Retain};
use sgl::pipeline::DEFAULT_RETAIN;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    pub shapes: ShapeArgs,
    #[command(flatten)]
    pub models: ModelArgs,
    #[command(flatten)]
    pub load: LoadArgs,
    #[command(flatten)]
    pub rounds: RoundArgs,
    #[command(flatten)]
    pub guidance: BenchGuidanceArgs,
    #[command(flatten)]
    pub guide: GuideArgs,
    #[command(flatten)]
    pub llama: LlamaArgs,
    /// Compare two files that --json wrote instead of measuring: what became faster, what slower, and what is noise
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], help_heading = "Output")]
    pub compare: Option<Vec<PathBuf>>,
    /// Print one JSON object with all that is known instead of a table
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Flags that name models, on the command line and not in the environment.
    #[arg(skip)]
    pub named: Vec<&'static str>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Models with random weights")]
pub struct ShapeArgs {
    /// Measure models of the sizes of known ones instead, GUIDE+TARGET, such as internvl-1b+8b: what they answer means nothing,
    /// how long it takes does
    #[arg(long, value_name = "PAIR")]
    pub shape: Option<ShapePair>,
    /// List the presets with the bytes that they take, and end
    #[arg(long)]
    pub list: bool,
    /// Weights of the guide's text model
    #[arg(long, value_name = "TYPE", default_value = "q8_0")]
    pub guide_type: WeightType,
    /// Weights of the target's text model
    #[arg(long, value_name = "TYPE", default_value = "q4_0")]
    pub target_type: WeightType,
    /// Weights of both vision encoders
    #[arg(long, value_name = "TYPE", default_value = "f16")]
    pub mmproj_type: WeightType,
    /// Whether guide and target have the same vision encoder
    #[arg(long, value_name = "WHICH", default_value = "separate")]
    pub towers: Towers,
    /// Folder that the models are written to, once [default: shapes in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// Vision encoders of a pair with random weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Towers {
    /// One for both.
    Shared,
    /// One for each.
    Separate,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What is asked")]
pub struct LoadArgs {
    /// Picture; repeat it for several
    #[arg(long, value_name = "FILE")]
    pub image: Vec<PathBuf>,
    /// Size of the picture that is drawn where none is given, in pixels
    #[arg(long, value_name = "WxH", default_value = "1344x896", value_parser = values::picture_size,
        conflicts_with = "image")]
    pub picture_size: [u32; 2],
    /// Tokens of the question, about, as the guide counts
    #[arg(long, value_name = "N", default_value = "64", value_parser = values::length, allow_negative_numbers = true)]
    pub question_tokens: u32,
    /// Tokens of an answer, exactly: end tokens do not end it
    #[arg(short = 'n', long, value_name = "N", default_value = "32", value_parser = values::length,
        allow_negative_numbers = true)]
    pub predict: u32,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Rounds")]
pub struct RoundArgs {
    /// Rounds that are measured; the variants take turns in each
    #[arg(long, value_name = "N", default_value = "5", value_parser = values::rounds, allow_negative_numbers = true)]
    pub rounds: u32,
    /// Rounds before them that are not
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::warm_up, allow_negative_numbers = true)]
    pub warm_up: u32,
    /// A stock build of llama.cpp's llama-mtmd-cli: it answers with the target in every round, and guided answers are compared
    /// with it
    #[arg(long, value_name = "FILE")]
    pub stock: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = GUIDANCE)]
pub struct BenchGuidanceArgs {
    /// Visual tokens that the target reads: a share (0.25, 25%), a count (64t), or as many of the best as hold a share of the
    /// attention (90%mass)
    #[arg(long, value_name = "SHARE", env = "SGL_RETAIN", default_value_t = DEFAULT_RETAIN, allow_negative_numbers = true)]
    pub retain: Retain,
    /// What ranks visual tokens, as in `sgl run`
    #[arg(long, value_name = "POLICY", default_value_t = Policy::Global)]
    pub policy: Policy,
    /// Tiles that the kept tokens may lie in [default: as they fall; random weights look everywhere]
    #[arg(long, value_name = "N", value_parser = values::length, allow_negative_numbers = true)]
    pub kept_tiles: Option<u32>,
    /// The guide's answer is final from this score on [default: never]
    #[arg(long, value_name = "SCORE", value_parser = values::score, allow_negative_numbers = true)]
    pub exit_threshold: Option<f64>,
}
