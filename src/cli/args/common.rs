//! Flags about models, guidance, the answer and llama.cpp.

use crate::cli::values::{self, DeviceList, GpuLayers};
use clap::Args;
use sgl::guidance::{Consistency, Policy, Retain, Tiles};
use sgl::llama::{CacheType, FlashAttention};
use std::path::PathBuf;

/// The flags that `run`, `explain`, `chat` and `serve` share.
#[derive(Debug, Args)]
pub struct CommonArgs {
    #[command(flatten)]
    pub models: ModelArgs,
    #[command(flatten)]
    pub guidance: GuidanceArgs,
    #[command(flatten)]
    pub guide: GuideArgs,
    #[command(flatten)]
    pub answer: AnswerArgs,
    #[command(flatten)]
    pub llama: LlamaArgs,
    /// Flags of the heading [`GUIDANCE`] that were on the command line, not in the environment.
    #[arg(skip)]
    pub given: Vec<String>,
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
    /// Calibrated values for the flags below, as `sgl calibrate` writes them; those that are given themselves win [default: the
    /// built-in ones]
    #[arg(long, value_name = "FILE", env = "SGL_PROFILE")]
    pub profile: Option<PathBuf>,
    /// Visual tokens that the target reads: a share (0.25, 25%), a count (64t), or as many of the best as hold a share of the
    /// attention (90%mass) [default: the profile's, or 0.25]
    #[arg(long, value_name = "SHARE", env = "SGL_RETAIN", allow_negative_numbers = true)]
    pub retain: Option<Retain>,
    /// Let the target read all visual tokens
    #[arg(long)]
    pub no_prune: bool,
    /// What ranks visual tokens: global (attention of all layers), global+diversity[:WEIGHT] (against redundancy; 1 is global
    /// alone), global+debias (less what each place attracts by itself), layer:N, diversity, random:SEED, uniform [default: the profile's, or global]
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<Policy>,
    /// With several pictures, the part of its proportional share that each keeps at least: 0 is one joint ranking, at 1 all
    /// keep the same share [default: the profile's, or 0.25]
    #[arg(long, value_name = "PART", value_parser = values::score, allow_negative_numbers = true)]
    pub picture_floor: Option<f64>,
    /// Importance that may be given up so that the kept tokens lie in fewer of the target's tiles, since tiles that hold none are
    /// not encoded; 0 is none [default: 0.05; 0 under a profile, or for a guide that looks less closely]
    #[arg(long, value_name = "SHARE", env = "SGL_TILE_LOSS", allow_negative_numbers = true)]
    pub tile_loss: Option<Tiles>,
    /// Do not offer the guide's answer to the target as a draft
    #[arg(long)]
    pub no_draft: bool,
    /// The guide's answer is final from this score on, 0 to 1; sgl explain has no early exit unless this is on the command line
    /// [default: the profile's, or 0.9]
    #[arg(long, value_name = "SCORE", env = "SGL_EXIT_THRESHOLD", value_parser = values::score, allow_negative_numbers = true)]
    pub exit_threshold: Option<f64>,
    /// Never let the guide's answer be final
    #[arg(long)]
    pub no_exit: bool,
    /// How the guide's agreement with itself is summed up over its answer: product or geomean [default: the profile's, or
    /// product]
    #[arg(long, value_name = "MEAN")]
    pub consistency: Option<Consistency>,
    /// Visual tokens that the guide sees when it is asked whether it agrees with itself [default: the profile's, or 0.05]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub consistency_retain: Option<Retain>,
}

/// Where and how closely the guide looks.
#[derive(Debug, Args)]
#[command(next_help_heading = GUIDANCE)]
pub struct GuideArgs {
    /// Most visual tokens of a picture in the guide, for a quick look by models of dynamic resolution [default: as
    /// --image-max-tokens]
    #[arg(long, value_name = "N", value_parser = values::image_tokens, allow_negative_numbers = true)]
    pub guide_image_max_tokens: Option<u32>,
    /// Most tiles of a picture in the guide, for a quick look by models that cut pictures up; 1 is the picture as a whole. A
    /// guide that looks less closely ranks only: there is no early exit without --exit-threshold [default: the model's own]
    #[arg(long, value_name = "N", value_parser = values::tiles, allow_negative_numbers = true)]
    pub guide_max_tiles: Option<u32>,
    /// The guide's layers on the device [default: as --gpu-layers]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub guide_gpu_layers: Option<GpuLayers>,
    /// The guide's devices [default: as --device]
    #[arg(long, value_name = "NAMES")]
    pub guide_device: Option<DeviceList>,
}

impl GuideArgs {
    /// Whether the guide is told to look less closely than it can: enough to rank, not to answer.
    pub fn is_coarse(&self) -> bool {
        self.guide_max_tiles.is_some() || self.guide_image_max_tokens.is_some()
    }
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
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct ReportArgs {
    /// Print one JSON object with all that is known instead of the answer
    #[arg(long)]
    pub json: bool,
}

/// What is kept and prepared for the next question.
#[derive(Debug, Args)]
#[command(next_help_heading = "Between questions")]
pub struct WarmthArgs {
    /// Memory for what the vision encoders of both models made of the pictures, so that none is encoded twice; 0 is none
    #[arg(long, value_name = "MIB", default_value = "512", value_parser = values::mebibytes, allow_negative_numbers = true)]
    pub encoder_cache: usize,
    /// Do not run a token through the models before the first question
    #[arg(long)]
    pub no_warmup: bool,
}

/// What llama.cpp is told about both models.
#[derive(Debug, Args)]
#[command(next_help_heading = "llama.cpp, for guide and target")]
pub struct LlamaArgs {
    /// Context size in tokens; 0 grows with the prompt, up to what the model was trained with
    #[arg(short, long, value_name = "N", env = "LLAMA_ARG_CTX_SIZE", default_value = "0", value_parser = values::context,
        allow_negative_numbers = true)]
    pub ctx_size: u32,
    /// Threads [default: one per physical core]
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
    /// Offload as many layers of guide and target as fit into the memory of the devices together, the guide's first, with room
    /// for 8192 tokens if -c does not say
    #[arg(long)]
    pub fit: bool,
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
