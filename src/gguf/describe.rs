use std::fmt::Display;

use super::{Summary, Token};

/// The summary as aligned `name: value` lines; absent values are left out.
pub fn describe(summary: &Summary) -> String {
    let lines = lines(summary);
    let width = lines.iter().map(|(name, _)| name.len() + 1).max().unwrap_or(0);
    lines
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{:width$} {}\n", format!("{name}:"), printable(&value?))))
        .collect()
}

fn lines(summary: &Summary) -> Vec<(&'static str, Option<String>)> {
    fn show(value: &Option<impl Display>) -> Option<String> {
        value.as_ref().map(|value| value.to_string())
    }
    let mut lines = vec![
        ("file", Some(summary.path.display().to_string())),
        ("size", Some(binary(summary.file_bytes))),
        ("format", Some(format!("GGUF version {}", summary.gguf_version))),
        ("kind", Some(summary.kind.to_string())),
        ("architecture", Some(summary.architecture.clone()).filter(|name| !name.is_empty())),
        ("name", summary.name.clone()),
        ("size label", summary.size_label.clone()),
        ("parameters", Some(decimal(summary.n_parameters))),
        ("tensors", Some(summary.n_tensors.to_string())),
        ("quantization", summary.quantization.clone()),
        ("main tensor type", show(&summary.main_tensor_type)),
        ("split", summary.split.map(|split| format!("part {} of {}", split.part, split.parts))),
    ];
    if let Some(text) = &summary.text {
        let token = |token: &Token| match &token.text {
            Some(text) => format!("{} {text:?}", token.id),
            None => token.id.to_string(),
        };
        let input_width = text.input_width.filter(|_| text.input_width != text.embedding_width);
        let template = text.chat_template.as_ref();
        lines.extend([
            ("layers", show(&text.n_layers)),
            ("embedding width", show(&text.embedding_width)),
            ("input width", show(&input_width)),
            ("heads", show(&text.n_heads)),
            ("key-value heads", show(&text.n_key_value_heads)),
            ("context length", show(&text.context_length)),
            ("sliding window", show(&text.sliding_window)),
            ("rope sections", text.rope_sections.as_ref().map(|sections| format!("{sections:?}"))),
            ("vocabulary size", show(&text.vocabulary_size)),
            ("tokenizer", text.tokenizer.clone()),
            ("bos token", text.bos_token.as_ref().map(token)),
            ("eos token", text.eos_token.as_ref().map(token)),
            ("chat template", template.map(|template| format!("{} characters", template.chars().count()))),
        ]);
    }
    if let Some(projector) = &summary.projector {
        lines.extend([
            ("vision", Some(projector.has_vision.to_string())),
            ("audio", Some(projector.has_audio.to_string())),
            ("projector type", projector.projector_type.clone()),
            ("output width", show(&projector.output_width)),
            ("image size", show(&projector.image_size)),
            ("patch size", show(&projector.patch_size)),
            ("vision layers", show(&projector.n_layers)),
        ]);
    }
    lines
}

/// Text from a file must not control the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn binary(bytes: u64) -> String {
    scaled(bytes, 1024.0, &["KiB", "MiB", "GiB", "TiB"])
        .map_or_else(|| format!("{bytes} bytes"), |scaled| format!("{scaled} ({bytes} bytes)"))
}

fn decimal(number: u64) -> String {
    scaled(number, 1000.0, &["thousand", "million", "billion", "trillion"])
        .map_or_else(|| number.to_string(), |scaled| format!("{scaled} ({number})"))
}

/// `number` in the largest unit that it fills; `None` below the first.
fn scaled(number: u64, step: f64, units: &[&str]) -> Option<String> {
    let mut number = number as f64;
    let mut scaled = None;
    for unit in units {
        number /= step;
        if number < 1.0 {
            break;
        }
        scaled = Some(format!("{number:.2} {unit}"));
    }
    scaled
}
