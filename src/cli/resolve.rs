//! Flags resolved once into the library's options, and the rules that involve several of them.

use super::args::{CommonArgs, GuideArgs, LlamaArgs, ModelArgs, RunArgs, WarmthArgs};
use super::error::{Exit, Failure};
use super::fit;
use super::output::Console;
use super::values::{DeviceList, GpuLayers};
use sgl::eval::settings::ModelFiles;
use sgl::guidance::Tiles;
use sgl::llama::{CacheType, ContextOptions, FlashAttention, ImageTokens, SamplingOptions};
use sgl::pair::DemoPair;
use sgl::pipeline::{ExitOptions, Request};
use sgl::profile::Profile;
use sgl::vlm::{VlmOptions, question};
use std::path::{Path, PathBuf};

/// The two models of a run.
#[derive(Debug, Clone)]
pub struct Pair {
    pub guide: Option<VlmOptions>,
    pub target: VlmOptions,
}

impl Pair {
    /// The models that the flags name, or the embedded pair if they name none.
    fn of(args: &CommonArgs) -> Result<Self, Failure> {
        Self::named(&args.models, &args.guide, &args.llama, &args.given)
    }

    /// The same from the flags that are about models; `given` are those about guidance on the command line.
    pub fn named(models: &ModelArgs, placed: &GuideArgs, llama: &LlamaArgs, given: &[String]) -> Result<Self, Failure> {
        check(llama)?;
        let pair = match models {
            ModelArgs { model: None, guide: None, .. } => {
                orphan(&models.mmproj, "--mmproj", "--model")?;
                orphan(&models.guide_mmproj, "--guide-mmproj", "--guide")?;
                return Self::embedded(llama).map(|pair| pair.placed(placed));
            }
            ModelArgs { model: None, .. } => {
                return Err(usage("--guide is given and --model is not; name the target with --model and --mmproj"));
            }
            ModelArgs { model: Some(model), mmproj, guide, guide_mmproj } => {
                let target = vlm(llama, model, required(mmproj, "--mmproj", "--model")?);
                if guide.is_none() {
                    orphan(guide_mmproj, "--guide-mmproj", "--guide")?;
                    if let Some(flag) = given.first() {
                        return Err(usage(format!(
                            "{flag} is about guidance, and there is no guide; add --guide and --guide-mmproj, or leave {flag} out"
                        )));
                    }
                }
                let guide = match guide {
                    Some(guide) => Some(vlm(llama, guide, required(guide_mmproj, "--guide-mmproj", "--guide")?)),
                    None => None,
                };
                Self { guide, target }
            }
        };
        Ok(pair.placed(placed))
    }

    /// The pair inside this program.
    pub fn embedded(args: &LlamaArgs) -> Result<Self, Failure> {
        check(args)?;
        let files = DemoPair::install()?;
        let guide = Some(vlm(args, &files.guide, &files.guide_mmproj));
        Ok(Self { guide, target: vlm(args, &files.target, &files.target_mmproj) })
    }

    /// What stays for the next question: half of the memory for encoder outputs to each model, or all of it to the only one.
    pub fn warm(&mut self, args: &WarmthArgs) {
        let n_models = if self.guide.is_some() { 2 } else { 1 };
        for options in self.guide.iter_mut().chain([&mut self.target]) {
            options.encoder_cache_bytes = args.encoder_cache.saturating_mul(1 << 20) / n_models;
            options.warm_up = !args.no_warmup;
        }
    }

    fn placed(mut self, args: &GuideArgs) -> Self {
        if let Some(guide) = &mut self.guide {
            if let Some(layers) = args.guide_gpu_layers {
                guide.n_gpu_layers = n_gpu_layers(layers);
            }
            if let Some(max) = args.guide_image_max_tokens {
                guide.image_tokens =
                    ImageTokens { min: guide.image_tokens.min.map(|min| min.min(max)), max: Some(max) };
            }
            guide.max_tiles = args.guide_max_tiles.or(guide.max_tiles);
            if let Some(devices) = &args.guide_device {
                guide.devices = Some(names(devices));
            }
        }
        self
    }
}

/// The request without its pictures, and the models.
pub fn request(args: &RunArgs, console: &Console) -> Result<(Request, Pair), Failure> {
    let (settings, pair) = settings(&args.common, console)?;
    if args.question.image.iter().filter(|path| is_stdin(path)).count() > 1 {
        return Err(usage("standard input holds one picture only; use --image - once"));
    }
    let messages = question(args.question.system.as_deref(), args.question.image.len(), &args.question.prompt);
    Ok((Request { messages, ..settings }, pair))
}

/// A request without messages and pictures, and the models.
pub fn settings(args: &CommonArgs, console: &Console) -> Result<(Request, Pair), Failure> {
    let profile = profile(args)?;
    let mut request = guided(args, profile.as_ref())?;
    let mut pair = Pair::of(args)?;
    fit::apply(&mut pair, &args.llama, Some(&args.guide), console)?;
    if args.guide.is_coarse() {
        // Both cost right answers where the guide sees little: docs/performance.md.
        if request.exit.is_some() && args.guidance.exit_threshold.is_none() {
            console.note(
                "the guide looks less closely than it can, so its answer is not final; --exit-threshold lets it be",
            );
            request.exit = None;
        }
        request.tiles = args.guidance.tile_loss.unwrap_or(Tiles::ANY);
    }
    if let Some(profile) = profile {
        for difference in differences(&profile, &pair) {
            console.note(format_args!("{difference}; the profile promises nothing of it"));
        }
    }
    Ok((request, pair))
}

/// The profile asked for, or that of the embedded pair if it answers.
fn profile(args: &CommonArgs) -> Result<Option<Profile>, Failure> {
    match (&args.guidance.profile, &args.models) {
        (Some(path), _) => Ok(Some(Profile::read(path)?)),
        (None, ModelArgs { model: None, guide: None, .. }) => Ok(Some(Profile::embedded())),
        _ => Ok(None),
    }
}

/// Files that cannot be read differ in nothing: loading them says what is wrong.
fn differences(profile: &Profile, pair: &Pair) -> Vec<String> {
    let files = |options: &VlmOptions| ModelFiles::of(&options.model, &options.mmproj);
    match (files(&pair.target), pair.guide.as_ref().map(files).transpose()) {
        (Ok(target), Ok(guide)) => profile.differences(&target, guide.as_ref()),
        _ => Vec::new(),
    }
}

/// What is given itself, as a flag or in the environment, comes before the profile.
fn guided(args: &CommonArgs, profile: Option<&Profile>) -> Result<Request, Failure> {
    let given = |flag: &str| args.given.iter().any(|given| given == flag);
    for (switch, flag) in [("--no-prune", "--retain"), ("--no-exit", "--exit-threshold")] {
        if given(switch) && given(flag) {
            return Err(usage(format!("{switch} and {flag} contradict each other; leave one out")));
        }
    }
    let guidance = &args.guidance;
    let request = Request {
        n_predict: args.answer.predict as usize,
        sampling: SamplingOptions {
            temperature: args.answer.temp,
            top_k: args.answer.top_k,
            top_p: args.answer.top_p,
            min_p: args.answer.min_p,
            seed: args.answer.seed,
        },
        ..Request::new(Vec::new(), Vec::new())
    };
    let request = match profile {
        Some(profile) => profile.guide(request),
        None => request,
    };
    // A threshold of its own brings back an exit that the profile does without.
    let exit = request.exit.or(guidance.exit_threshold.map(|_| ExitOptions::default())).map(|exit| ExitOptions {
        threshold: guidance.exit_threshold.unwrap_or(exit.threshold),
        consistency: guidance.consistency.unwrap_or(exit.consistency),
        retain: guidance.consistency_retain.unwrap_or(exit.retain),
    });
    let request = Request {
        retain: guidance.retain.or(request.retain).filter(|_| !guidance.no_prune),
        policy: guidance.policy.unwrap_or(request.policy),
        picture_floor: guidance.picture_floor.unwrap_or(request.picture_floor),
        tiles: guidance.tile_loss.unwrap_or(request.tiles),
        draft: !guidance.no_draft,
        exit: exit.filter(|_| !guidance.no_exit),
        ..request
    };
    request.check()?;
    Ok(request)
}

/// Whether a path stands for standard input.
pub fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A failure of the command line.
pub fn usage(message: impl ToString) -> Failure {
    Failure::new(Exit::Usage, message)
}

/// llama.cpp finds these out only once the models are loaded, or never.
fn check(args: &LlamaArgs) -> Result<(), Failure> {
    let is_quantized = !matches!(args.cache_type_v, CacheType::F32 | CacheType::F16 | CacheType::Bf16);
    if is_quantized && args.flash_attn == FlashAttention::Off {
        return Err(usage("a quantized V cache needs flash attention; leave -fa off or -ctv out"));
    }
    if let (Some(min), Some(max)) = (args.image_min_tokens, args.image_max_tokens)
        && min > max
    {
        return Err(usage(format!("--image-min-tokens {min} is more than --image-max-tokens {max}; swap them")));
    }
    Ok(())
}

fn vlm(args: &LlamaArgs, model: &Path, mmproj: &Path) -> VlmOptions {
    let mut options = VlmOptions {
        model: model.to_owned(),
        mmproj: mmproj.to_owned(),
        n_gpu_layers: n_gpu_layers(args.gpu_layers),
        n_ctx: Some(args.ctx_size).filter(|&n_ctx| n_ctx > 0),
        context: ContextOptions {
            n_batch: args.batch_size,
            n_ubatch: args.ubatch_size,
            n_threads: args.threads,
            flash_attention: args.flash_attn,
            cache_k: args.cache_type_k,
            cache_v: args.cache_type_v,
            ..ContextOptions::default()
        },
        image_tokens: ImageTokens { min: args.image_min_tokens, max: args.image_max_tokens },
        ..VlmOptions::default()
    };
    if let Some(devices) = &args.device {
        options.devices = Some(names(devices));
    }
    options
}

fn n_gpu_layers(layers: GpuLayers) -> Option<u32> {
    match layers {
        GpuLayers::Auto => None,
        GpuLayers::All => Some(u32::MAX),
        GpuLayers::Count(n) => Some(n),
    }
}

fn names(devices: &DeviceList) -> Vec<String> {
    match devices {
        DeviceList::None => Vec::new(),
        DeviceList::Named(names) => names.clone(),
    }
}

fn required<'a>(file: &'a Option<PathBuf>, flag: &str, because: &str) -> Result<&'a Path, Failure> {
    file.as_deref()
        .ok_or_else(|| usage(format!("{flag} is missing; {because} needs the vision encoder that belongs to it")))
}

fn orphan(file: &Option<PathBuf>, flag: &str, without: &str) -> Result<(), Failure> {
    match file {
        Some(_) => Err(usage(format!("{flag} is given and {without} is not; name the model that it belongs to"))),
        None => Ok(()),
    }
}
