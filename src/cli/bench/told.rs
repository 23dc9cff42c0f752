//! What a measurement records of the flags, the machine and this program.

use crate::cli::args::{GuideArgs, LlamaArgs};
use crate::cli::values::{DeviceList, GpuLayers};
use sgl::bench::Build;
use sgl::llama::{Device, default_threads, devices};
use sgl::vlm::VlmOptions;

/// This program.
pub fn build() -> Build {
    Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        llama_cpp: env!("SGL_LLAMA_VERSION").to_owned(),
        patches: env!("SGL_LLAMA_PATCHES").to_owned(),
    }
}

/// Threads of both models.
pub fn threads(llama: &LlamaArgs) -> usize {
    llama.threads.unwrap_or_else(default_threads) as usize
}

/// Flags that times depend on, with their values; threads apart.
pub fn flags(llama: &LlamaArgs, guide: &GuideArgs) -> Vec<(String, String)> {
    let given = [
        ("--ctx-size", Some(llama.ctx_size.to_string())),
        ("--batch-size", Some(llama.batch_size.to_string())),
        ("--ubatch-size", Some(llama.ubatch_size.to_string())),
        ("--gpu-layers", Some(layers(llama.gpu_layers))),
        ("--device", llama.device.as_ref().map(list)),
        ("--flash-attn", Some(llama.flash_attn.to_string())),
        ("--cache-type-k", Some(llama.cache_type_k.to_string())),
        ("--cache-type-v", Some(llama.cache_type_v.to_string())),
        ("--image-min-tokens", llama.image_min_tokens.map(|n| n.to_string())),
        ("--image-max-tokens", llama.image_max_tokens.map(|n| n.to_string())),
        ("--guide-image-max-tokens", guide.guide_image_max_tokens.map(|n| n.to_string())),
        ("--guide-max-tiles", guide.guide_max_tiles.map(|n| n.to_string())),
        ("--guide-gpu-layers", guide.guide_gpu_layers.map(layers)),
        ("--guide-device", guide.guide_device.as_ref().map(list)),
    ];
    given.into_iter().filter_map(|(flag, value)| Some((flag.to_owned(), value?))).collect()
}

/// What the target runs on, by the maker's description.
pub fn device(target: &VlmOptions) -> String {
    let devices = devices();
    let gpus: Vec<&Device> = devices.iter().filter(|device| device.is_gpu && target.may_use(&device.name)).collect();
    let cpu = || devices.iter().filter(|device| !device.is_gpu).take(1).collect();
    let used: Vec<&Device> = if gpus.is_empty() { cpu() } else { gpus };
    let names: Vec<String> =
        used.iter().map(|device| format!("{} ({})", device.description.trim(), device.backend)).collect();
    names.join(" + ")
}

fn layers(layers: GpuLayers) -> String {
    match layers {
        GpuLayers::Auto => "auto".to_owned(),
        GpuLayers::All => "all".to_owned(),
        GpuLayers::Count(n) => n.to_string(),
    }
}

fn list(devices: &DeviceList) -> String {
    match devices {
        DeviceList::None => "none".to_owned(),
        DeviceList::Named(names) => names.join(","),
    }
}
