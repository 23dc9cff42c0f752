//! `sgl devices`: what models can run on.

use super::args::DevicesArgs;
use super::error::Failure;
use super::output::{Console, json_line, print};
use serde::Serialize;
use sgl::llama::{Device, devices};

/// What `--json` prints.
#[derive(Serialize)]
struct Listed {
    devices: Vec<Device>,
}

pub fn run(args: &DevicesArgs, console: &Console) -> Result<(), Failure> {
    let devices = devices();
    if let Some(note) = note(env!("SGL_LLAMA_BACKENDS"), devices.iter().any(|device| device.is_gpu)) {
        console.note(note);
    }
    if args.json {
        return print(&json_line(&Listed { devices })?);
    }
    print(&table(&devices))
}

/// What a build for GPUs says where there is none.
fn note(backends: &str, has_gpu: bool) -> Option<String> {
    let backends: Vec<&str> = backends.split(',').filter(|&backend| backend != "cpu").collect();
    let is_missing = !backends.is_empty() && !has_gpu;
    is_missing.then(|| {
        format!("built with {}, but no GPU answers, so models run on the CPU; -v shows why", backends.join(", "))
    })
}

fn table(devices: &[Device]) -> String {
    let titles = ["name", "backend", "offload", "free", "memory", "description"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(titles).chain(devices.iter().map(row)).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn row(device: &Device) -> [String; 6] {
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    let offload = if device.is_gpu { "yes" } else { "no" };
    [
        device.name.clone(),
        device.backend.clone(),
        offload.to_owned(),
        gib(device.memory_free_bytes),
        gib(device.memory_total_bytes),
        device.description.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::note;

    #[test]
    fn only_builds_for_gpus_miss_one() {
        assert_eq!(note("cpu", false), None);
        assert_eq!(note("cpu,cuda", true), None);
        assert!(note("cpu,cuda,vulkan", false).unwrap().starts_with("built with cuda, vulkan, but no GPU"));
    }
}
