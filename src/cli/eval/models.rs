//! What settings record of the models, and what contenders need of them.

use crate::cli::args::LlamaArgs;
use crate::cli::error::{Exit, Failure};
use crate::cli::resolve::{Pair, usage};
use sgl::eval::contender::Contender;
use sgl::eval::evaluation::Models;
use sgl::eval::prompts::Family;
use sgl::eval::settings::ModelFiles;
use sgl::gguf::Header;
use sgl::guidance::Policy;
use sgl::vlm::VlmOptions;

/// Facts about the pair's files.
pub fn facts(pair: &Pair, llama: &LlamaArgs) -> Result<Models, Failure> {
    let guide = pair.guide.as_ref();
    Ok(Models {
        target: files(&pair.target)?,
        guide: guide.map(files).transpose()?,
        family: family(&pair.target)?,
        guide_family: guide.map_or(Ok(Family::Other), family)?,
        llama: told(pair, llama),
        versions: [env!("CARGO_PKG_VERSION").to_owned(), env!("SGL_LLAMA_VERSION").to_owned()],
    })
}

fn family(options: &VlmOptions) -> Result<Family, Failure> {
    let projector = Header::read(&options.mmproj)?;
    let kind = projector.summary().projector.as_ref().and_then(|projector| projector.projector_type.as_deref());
    Ok(Family::of(&Header::read(&options.model)?.summary().architecture, kind))
}

fn files(options: &VlmOptions) -> Result<ModelFiles, Failure> {
    ModelFiles::of(&options.model, &options.mmproj).map_err(|error| Failure::new(Exit::Input, error))
}

/// What changes answers: not threads and devices.
fn told(pair: &Pair, llama: &LlamaArgs) -> Vec<(String, String)> {
    let mut told = vec![
        ("--flash-attn".to_owned(), llama.flash_attn.to_string()),
        ("--cache-type-k".to_owned(), llama.cache_type_k.to_string()),
        ("--cache-type-v".to_owned(), llama.cache_type_v.to_string()),
    ];
    let guide = pair.guide.as_ref();
    let limits = [
        ("--image-min-tokens", llama.image_min_tokens),
        ("--image-max-tokens", llama.image_max_tokens),
        ("--guide-image-max-tokens", guide.and_then(|guide| guide.image_tokens.max)),
        ("--guide-max-tiles", guide.and_then(|guide| guide.max_tiles)),
    ];
    told.extend(limits.into_iter().filter_map(|(flag, n)| Some((flag.to_owned(), n?.to_string()))));
    told
}

/// Refuses contenders that this pair cannot run.
pub fn check(contenders: &[Contender], pair: &Pair) -> Result<(), Failure> {
    if pair.guide.is_none()
        && let Some(contender) = contenders.iter().find(|contender| contender.needs_guide())
    {
        return Err(usage(format!(
            "policy {contender} ranks by a guide's attention, and there is no guide; add --guide and --guide-mmproj, or leave {contender} out"
        )));
    }
    Ok(())
}

/// Everything that can be compared on this pair: a few layers of the guide from first to last, and all else.
pub fn all_contenders(pair: &Pair) -> Result<Vec<Contender>, Failure> {
    let n_layers = |options: &VlmOptions| -> Result<u32, Failure> {
        Ok(Header::read(&options.model)?.summary().text.as_ref().and_then(|text| text.n_layers).unwrap_or(1) as u32)
    };
    let mut contenders = Vec::new();
    if let Some(guide) = &pair.guide {
        let last = n_layers(guide)?.saturating_sub(1);
        let mut layers: Vec<u32> = (0..4).map(|quarter| last * quarter / 3).collect();
        layers.dedup();
        contenders.push(Contender::GLOBAL);
        contenders.extend(layers.into_iter().map(|layer| Contender::Policy(Policy::Layer(layer))));
        contenders.extend(named(&["global+diversity", "global+debias"]));
    }
    let fast_v = 2.min(n_layers(&pair.target)?.saturating_sub(1));
    contenders.extend([Contender::TargetLayer(fast_v), Contender::Oracle]);
    contenders.extend(named(&["diversity", "uniform", "random:3", "lowres"]));
    Ok(contenders)
}

fn named<'a>(texts: &'a [&str]) -> impl Iterator<Item = Contender> + 'a {
    texts.iter().filter_map(|text| text.parse().ok())
}
