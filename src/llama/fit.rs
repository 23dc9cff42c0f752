//! Which layers of guide and target go to the devices, so that both stay loaded.
//!
//! llama.cpp's library offloads all layers where it is told nothing (`n_gpu_layers` below 0) and fails if they do not fit; its
//! programs measure one model, and a draft model beside it, by loading them without data (`common_fit_params`). Here the sizes
//! come from the headers of both files, so that the plan is a function of numbers.

use super::{ContextOptions, FlashAttention, devices};
use crate::gguf::{Needs, element_bytes};
use std::fs;

/// Memory that is left free on each device for what is not counted: buffers of the backend, and of what else runs. As in
/// llama.cpp's programs (`--fit-target`).
const MARGIN_BYTES: u64 = 1 << 30;
/// Room for what the vision encoder computes.
const ENCODER_BYTES: u64 = 512 << 20;
/// Context that room is left for where it grows with the prompt.
const N_CTX: u64 = 8192;

/// Memory of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Its name, as `-dev` has it.
    pub name: String,
    /// What is free.
    pub free_bytes: u64,
}

/// What a model takes, by what can be placed apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Load {
    /// Weights and cache of each layer, and last of the output.
    pub layers: Vec<u64>,
    /// What is computed, on each device that has layers.
    pub compute_bytes: u64,
    /// The vision encoder and what it computes, on the first device.
    pub encoder_bytes: u64,
    /// What stays in the host's memory in any case.
    pub host_bytes: u64,
}

impl Load {
    /// A model under these options; `n_ctx` is the context's size if it is fixed.
    pub fn of(needs: &Needs, options: &ContextOptions, n_ctx: Option<u32>) -> Self {
        let n_ctx = n_ctx.map_or_else(|| N_CTX.min(needs.n_ctx_train.unwrap_or(N_CTX)), u64::from);
        let of = |kind: super::CacheType, width: u64| element_bytes(&kind.to_string(), width.saturating_mul(n_ctx));
        let cache = |key: u64, value: u64| {
            of(options.cache_k, key).unwrap_or(0).saturating_add(of(options.cache_v, value).unwrap_or(0))
        };
        let layers = needs
            .layers
            .iter()
            .map(|layer| layer.weight_bytes.saturating_add(cache(layer.key_width, layer.value_width)));
        // Of each token of a batch: logits, some rows as wide as embeddings, and without flash attention the scores of 32 heads.
        let scores = if options.flash_attention == FlashAttention::Off { n_ctx.saturating_mul(32) } else { 0 };
        let row = needs.n_vocab.saturating_add(needs.width.saturating_mul(16)).saturating_add(scores);
        Self {
            layers: layers.chain([needs.output_bytes]).collect(),
            compute_bytes: row.saturating_mul(4 * u64::from(options.n_ubatch)),
            encoder_bytes: needs.mmproj_bytes.saturating_add(ENCODER_BYTES),
            host_bytes: needs.input_bytes,
        }
    }

    fn sum(&self, layers: &[u64]) -> u64 {
        layers.iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes))
    }
}

/// A model to be placed, and where it may be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What it takes.
    pub load: Load,
    /// Devices by their index in the budgets; none: the host alone.
    pub devices: Vec<usize>,
}

/// Where a model goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// For `-ngl`. As for llama.cpp, the output is one layer more, and the first to be offloaded.
    pub n_gpu_layers: u32,
    /// The most that it can be.
    pub n_layers: u32,
    /// What it takes of each device. `[n_devices]`
    pub device_bytes: Vec<u64>,
    /// What it takes of the host's memory.
    pub host_bytes: u64,
}

/// Where all models go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the models.
    pub placements: Vec<Placement>,
    /// What is left of each device, the margin included. `[n_devices]`
    pub left_bytes: Vec<u64>,
}

impl Plan {
    /// What all models take of the host's memory.
    pub fn host_bytes(&self) -> u64 {
        self.placements.iter().fold(0, |sum, placement| sum.saturating_add(placement.host_bytes))
    }
}

/// Places the models one after the other, each with as many layers on its devices as fit beside those before it and leave a
/// margin of 1 GiB: the guide comes first, as it reads every question.
pub fn fit(budgets: &[Budget], models: &[Wanted]) -> Plan {
    let mut left_bytes: Vec<u64> = budgets.iter().map(|budget| budget.free_bytes).collect();
    let placements = models.iter().map(|model| {
        let placement = place(model, &left_bytes);
        for (left, used) in left_bytes.iter_mut().zip(&placement.device_bytes) {
            *left = left.saturating_sub(*used);
        }
        placement
    });
    Plan { placements: placements.collect(), left_bytes }
}

fn place(model: &Wanted, free: &[u64]) -> Placement {
    let load = &model.load;
    let fits = |n: &usize| {
        let used = split(model, *n, free);
        used.iter().zip(free).all(|(&used, &free)| used == 0 || used.saturating_add(MARGIN_BYTES) <= free)
    };
    let can_offload = model.devices.iter().any(|&device| free.get(device).is_some_and(|&free| free > 0));
    let n = (1..=load.layers.len()).rev().filter(|_| can_offload).find(fits).unwrap_or(0);
    let kept = load.layers.get(..load.layers.len() - n).unwrap_or_default();
    let computed = if n == 0 { load.compute_bytes.saturating_add(load.encoder_bytes) } else { 0 };
    Placement {
        n_gpu_layers: n as u32,
        n_layers: load.layers.len() as u32,
        device_bytes: if n == 0 { vec![0; free.len()] } else { split(model, n, free) },
        host_bytes: load.host_bytes.saturating_add(load.sum(kept)).saturating_add(computed),
    }
}

/// What each device gets of the last `n` layers. llama.cpp (`load_tensors`): devices take runs of layers in proportion to their
/// free memory.
fn split(model: &Wanted, n: usize, free: &[u64]) -> Vec<u64> {
    let load = &model.load;
    let free_of = |device: usize| free.get(device).copied().unwrap_or(0);
    let all: f64 = model.devices.iter().map(|&device| free_of(device) as f64).sum();
    let mut ends = Vec::with_capacity(model.devices.len());
    let mut end = 0.0;
    for &device in &model.devices {
        end += free_of(device) as f64 / all;
        ends.push(end);
    }
    let mut used = vec![0u64; free.len()];
    let mut add = |device: usize, bytes: u64| {
        if let Some(used) = used.get_mut(device) {
            *used = used.saturating_add(bytes);
        }
    };
    let mut computing = vec![false; model.devices.len()];
    for (index, &bytes) in load.layers.iter().skip(load.layers.len() - n).enumerate() {
        let place = ends.partition_point(|&end| end <= index as f64 / n as f64).min(ends.len().saturating_sub(1));
        if let (Some(&device), Some(computes)) = (model.devices.get(place), computing.get_mut(place)) {
            *computes = true;
            add(device, bytes);
        }
    }
    for (&device, _) in model.devices.iter().zip(&computing).filter(|(_, computes)| **computes) {
        add(device, load.compute_bytes);
    }
    if let Some(&first) = model.devices.first() {
        add(first, load.encoder_bytes);
    }
    used
}

/// Free memory of the devices that models are offloaded to, as llama.cpp chooses them where nobody says: all graphics
/// processors, and one that shares the host's memory only if there is no other.
pub fn gpu_memory() -> Vec<Budget> {
    let mut gpus: Vec<_> = devices().into_iter().filter(|device| device.is_gpu).collect();
    if gpus.iter().any(|device| !device.is_integrated) {
        gpus.retain(|device| !device.is_integrated);
    } else {
        gpus.truncate(1);
    }
    gpus.into_iter().map(|device| Budget { name: device.name, free_bytes: device.memory_free_bytes }).collect()
}

/// Memory of the host that is free, or can be freed at once (`MemAvailable`); where the system does not say, all it has.
pub fn free_memory() -> Option<u64> {
    let available = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let all = || devices().into_iter().find(|device| !device.is_gpu).map(|device| device.memory_total_bytes);
    available.or_else(all).filter(|&bytes| bytes > 0)
}

fn available(meminfo: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?.trim().strip_suffix("kB")?;
    value.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::LayerNeeds;
    use crate::llama::CacheType;
    use proptest::prelude::*;

    const GIB: u64 = 1 << 30;

    fn budgets(free_gib: &[f64]) -> Vec<Budget> {
        let budget = |(index, free): (usize, &f64)| Budget {
            name: format!("GPU{index}"),
            free_bytes: (free * GIB as f64) as u64,
        };
        free_gib.iter().enumerate().map(budget).collect()
    }

    /// So many layers of a quarter GiB, an output of half, an encoder of one.
    fn model(n_layers: usize, devices: &[usize]) -> Wanted {
        let layers = std::iter::repeat_n(GIB / 4, n_layers).chain([GIB / 2]).collect();
        let load = Load { layers, compute_bytes: GIB / 4, encoder_bytes: GIB, host_bytes: GIB / 8 };
        Wanted { load, devices: devices.to_vec() }
    }

    fn n_gpu_layers(plan: &Plan) -> Vec<u32> {
        plan.placements.iter().map(|placement| placement.n_gpu_layers).collect()
    }

    #[test]
    fn the_guide_is_whole_before_the_target_gets_a_layer() {
        // The guide takes 0.5 + 1 (layers) + 1.25, the target 1.75 and 0.25 a layer; 1 GiB stays free.
        let models = [model(4, &[0]), model(28, &[0])];
        assert_eq!(n_gpu_layers(&fit(&budgets(&[24.0]), &models)), [5, 29]);
        assert_eq!(n_gpu_layers(&fit(&budgets(&[8.0]), &models)), [5, 11]);
        assert_eq!(fit(&budgets(&[8.0]), &models).left_bytes, [GIB]);
        assert_eq!(n_gpu_layers(&fit(&budgets(&[5.0]), &models)), [5, 0]);
        assert_eq!(n_gpu_layers(&fit(&budgets(&[3.0]), &models)), [2, 0]);
        assert_eq!(n_gpu_layers(&fit(&budgets(&[2.5]), &models)), [0, 0]);
    }

    #[test]
    fn what_is_not_on_a_device_is_on_the_host() {
        let plan = fit(&budgets(&[8.0]), &[model(4, &[0]), model(28, &[0])]);
        assert_eq!(plan.placements[0].host_bytes, GIB / 8);
        assert_eq!(plan.placements[1].host_bytes, GIB / 8 + 18 * GIB / 4);
        let plan = fit(&[], &[model(4, &[])]);
        assert_eq!((n_gpu_layers(&plan), plan.host_bytes()), (vec![0], GIB / 8 + 3 * GIB / 2 + GIB + GIB / 4));
    }

    #[test]
    fn several_devices_share_by_their_free_memory() {
        let plan = fit(&budgets(&[8.0, 4.0]), &[model(15, &[0, 1])]);
        assert_eq!(n_gpu_layers(&plan), [16]);
        // Of 16, the first 11 to the larger one, with the encoder; the output is the last.
        assert_eq!(plan.placements[0].device_bytes, [11 * GIB / 4 + GIB / 4 + GIB, GIB + GIB / 2 + GIB / 4]);
        // Devices of another model stay as they are.
        let plan = fit(&budgets(&[8.0, 8.0]), &[model(4, &[1]), model(4, &[0])]);
        assert_eq!((n_gpu_layers(&plan), plan.left_bytes[0]), (vec![5, 5], plan.left_bytes[1]));
        // One that reports no memory gets nothing.
        assert_eq!(n_gpu_layers(&fit(&budgets(&[0.0]), &[model(4, &[0])])), [0]);
    }

    #[test]
    fn caches_count_by_their_type_and_length() {
        let layer = LayerNeeds { weight_bytes: 1000, key_width: 64, value_width: 32 };
        let needs = Needs {
            layers: vec![layer, LayerNeeds { weight_bytes: 7, ..LayerNeeds::default() }],
            n_ctx_train: Some(4096),
            ..Needs::default()
        };
        let options = ContextOptions { cache_k: CacheType::Q8_0, ..ContextOptions::default() };
        assert_eq!(Load::of(&needs, &options, Some(256)).layers, [1000 + 256 * (68 + 64), 7, 0]);
        assert_eq!(Load::of(&needs, &options, None).layers[0], 1000 + 4096 * (68 + 64));
        let endless = Needs { n_ctx_train: Some(1 << 20), ..needs };
        assert_eq!(Load::of(&endless, &options, None).layers[0], 1000 + N_CTX * (68 + 64));
        for (name, kind) in CacheType::NAMES {
            assert!(element_bytes(name, 32).is_some() && kind.to_string() == name);
        }
    }

    #[test]
    fn the_system_tells_what_is_available() {
        assert_eq!(available("MemTotal:  16 kB\nMemFree: 1 kB\nMemAvailable:    9 kB\n"), Some(9216));
        assert_eq!(available("MemTotal:  16 kB\n"), None);
        assert_eq!(available("MemAvailable: many kB\n"), None);
        assert!(free_memory().is_some());
    }

    fn any_model(n_devices: usize) -> impl Strategy<Value = Wanted> {
        let bytes = || 0..4 * GIB;
        let layers = prop::collection::vec(bytes(), 1..40);
        let devices = prop::collection::vec(any::<bool>(), n_devices);
        (layers, bytes(), bytes(), bytes(), devices).prop_map(
            |(layers, compute_bytes, encoder_bytes, host_bytes, devices)| {
                let devices =
                    devices.iter().enumerate().filter(|(_, is_used)| **is_used).map(|(index, _)| index).collect();
                Wanted { load: Load { layers, compute_bytes, encoder_bytes, host_bytes }, devices }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_plan_keeps_to_what_there_is(
            (free, models) in (1usize..4).prop_flat_map(|n| {
                (prop::collection::vec(0..64 * GIB, n), prop::collection::vec(any_model(n), 1..3))
            })
        ) {
            let budgets: Vec<Budget> = free.iter().map(|&free_bytes| Budget { name: String::new(), free_bytes }).collect();
            let plan = fit(&budgets, &models);
            let mut left = free.clone();
            for (model, placement) in models.iter().zip(&plan.placements) {
                let n = placement.n_gpu_layers as usize;
                prop_assert_eq!(placement.n_layers as usize, model.load.layers.len());
                // No more would fit.
                for more in n + 1..=model.load.layers.len() {
                    let used = split(model, more, &left);
                    prop_assert!(model.devices.is_empty() || used.iter().zip(&left).any(|(used, left)| *used > 0 && used + MARGIN_BYTES > *left)
                        || model.devices.iter().all(|&device| left[device] == 0));
                }
                for (device, (left, &used)) in left.iter_mut().zip(&placement.device_bytes).enumerate() {
                    prop_assert!(used == 0 || model.devices.contains(&device) && used + MARGIN_BYTES <= *left);
                    *left -= used;
                }
                // Nothing is lost: weights and caches are on a device or on the host.
                let n_computing = placement.device_bytes.iter().sum::<u64>();
                let (kept, moved) = model.load.layers.split_at(model.load.layers.len() - n);
                prop_assert!(n_computing >= moved.iter().sum::<u64>());
                prop_assert!(placement.host_bytes >= kept.iter().sum::<u64>() + model.load.host_bytes);
            }
            prop_assert_eq!(left, plan.left_bytes);
        }

        #[test]
        fn more_memory_never_takes_fewer_layers(free in 0..64 * GIB, more in 0..64 * GIB, model in any_model(1)) {
            let n = |free_bytes| fit(&[Budget { name: String::new(), free_bytes }], std::slice::from_ref(&model)).placements[0].n_gpu_layers;
            prop_assert!(n(free) <= n(free + more));
        }
    }
}
