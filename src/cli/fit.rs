//! `--fit`: how many layers of both models the devices hold, and whether the host holds the rest.

use super::args::{GuideArgs, LlamaArgs};
use super::error::Failure;
use super::output::Console;
use super::resolve::{Pair, usage};
use super::values::GpuLayers;
use sgl::gguf::Needs;
use sgl::llama::{Budget, Load, Placement, Plan, Wanted, fit, free_memory, gpu_memory};
use sgl::vlm::VlmOptions;

/// Sets the layers of both models, if `--fit` asks for it, and says so.
pub fn apply(pair: &mut Pair, llama: &LlamaArgs, placed: Option<&GuideArgs>, console: &Console) -> Result<(), Failure> {
    if !llama.fit {
        return Ok(());
    }
    let given = [
        ("--gpu-layers", llama.gpu_layers != GpuLayers::Auto),
        ("--guide-gpu-layers", placed.is_some_and(|placed| placed.guide_gpu_layers.is_some())),
    ];
    if let Some((flag, _)) = given.iter().find(|(_, is_given)| *is_given) {
        return Err(usage(format!("--fit chooses the layers, and {flag} says how many; leave one out")));
    }
    let budgets = gpu_memory();
    let mut models: Vec<(&str, &mut VlmOptions)> = Vec::new();
    models.extend(pair.guide.as_mut().map(|guide| ("guide", guide)));
    models.push(("target", &mut pair.target));
    let wanted = models.iter().map(|(_, options)| wanted(options, &budgets)).collect::<Result<Vec<_>, _>>()?;
    let plan = fit(&budgets, &wanted);
    for ((_, options), placement) in models.iter_mut().zip(&plan.placements) {
        options.n_gpu_layers = Some(placement.n_gpu_layers);
    }
    let names: Vec<&str> = models.iter().map(|(name, _)| *name).collect();
    let free = free_memory();
    let is_short = free.is_some_and(|free| plan.host_bytes() > free);
    let verdict = if is_short { "does not fit" } else { "fits" };
    console.say(format_args!("{verdict}: {}", placements(&names, &budgets, &plan, free)));
    if let Some(free) = free.filter(|_| is_short) {
        console.note(format_args!(
            "the models need {} of the host's memory and {} are free; a smaller quantization, or a smaller -c, needs less",
            gibibytes(plan.host_bytes()),
            gibibytes(free)
        ));
    }
    Ok(())
}

fn wanted(options: &VlmOptions, budgets: &[Budget]) -> Result<Wanted, Failure> {
    let load = Load::of(&Needs::read(&options.model, &options.mmproj)?, &options.context, options.n_ctx);
    let may_be_used = |(_, budget): &(usize, &Budget)| options.may_use(&budget.name);
    let devices = budgets.iter().enumerate().filter(may_be_used).map(|(index, _)| index).collect();
    Ok(Wanted { load, devices })
}

/// One line: what each model has on which devices, and what is left there.
fn placements(names: &[&str], budgets: &[Budget], plan: &Plan, free: Option<u64>) -> String {
    let is_used = |index: usize| {
        plan.placements.iter().any(|placement| placement.device_bytes.get(index).is_some_and(|&used| used > 0))
    };
    let used: Vec<(&Budget, u64)> = budgets
        .iter()
        .zip(&plan.left_bytes)
        .enumerate()
        .filter(|(index, _)| is_used(*index))
        .map(|(_, (budget, left))| (budget, *left))
        .collect();
    if used.is_empty() {
        let why = if budgets.is_empty() { "there is no GPU" } else { "no layer fits a GPU" };
        let needed = gibibytes(plan.host_bytes());
        let free = free.map(|free| format!(" of {} that are free", gibibytes(free))).unwrap_or_default();
        return format!(
            "{why}, all runs on the CPU; {} with caches {} {needed}{free}",
            names.join(" and "),
            if names.len() == 1 { "takes" } else { "take" }
        );
    }
    let models: Vec<String> =
        names.iter().zip(&plan.placements).map(|(name, placement)| format!("{name} {}", share(placement))).collect();
    let left: Vec<String> =
        used.iter().map(|(budget, left)| format!("{} left on {}", gibibytes(*left), budget.name)).collect();
    format!("{}; {}", models.join(", "), left.join(", "))
}

fn share(placement: &Placement) -> String {
    match (placement.n_gpu_layers, placement.n_layers) {
        (0, _) => "on the CPU".to_owned(),
        (n, all) if n == all => "whole".to_owned(),
        (n, all) => format!("{n} of {all} layers"),
    }
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(free_gib: &[u64], layers: [(u32, u32); 2], used_gib: [&[u64]; 2]) -> String {
        let gib = |n: &u64| n << 30;
        let budgets: Vec<Budget> = free_gib
            .iter()
            .zip(0..)
            .map(|(free, index)| Budget { name: format!("GPU{index}"), free_bytes: gib(free) })
            .collect();
        let placements = layers.iter().zip(used_gib).map(|(&(n_gpu_layers, n_layers), used)| Placement {
            n_gpu_layers,
            n_layers,
            device_bytes: used.iter().map(gib).collect(),
            host_bytes: 1 << 30,
        });
        let plan = Plan { placements: placements.collect(), left_bytes: vec![3 << 29; free_gib.len()] };
        super::placements(&["guide", "target"], &budgets, &plan, Some(7 << 30))
    }

    #[test]
    fn each_model_has_its_share() {
        assert_eq!(
            line(&[8], [(25, 25), (20, 29)], [&[2], &[4]]),
            "guide whole, target 20 of 29 layers; 1.5 GiB left on GPU0"
        );
        assert_eq!(
            line(&[8, 8], [(25, 25), (0, 29)], [&[0, 2], &[0, 0]]),
            "guide whole, target on the CPU; 1.5 GiB left on GPU1"
        );
        assert!(
            line(&[1], [(0, 25), (0, 29)], [&[0], &[0]])
                .starts_with("no layer fits a GPU, all runs on the CPU; guide and target with caches take 2.0 GiB")
        );
        assert!(line(&[], [(0, 25), (0, 29)], [&[], &[]]).starts_with("there is no GPU, all runs on the CPU; "));
    }
}
