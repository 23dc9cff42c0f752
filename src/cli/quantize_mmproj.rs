//! `sgl quantize-mmproj`: a vision encoder with other weight types, and what that costs in precision.

use super::args::QuantizeMmprojArgs;
use super::error::{Exit, Failure};
use super::interrupt::Interrupt;
use super::output::{Console, json_line, print};
use super::resolve::usage;
use serde::Serialize;
use sgl::llama::{ContextOptions, QuantizeError, Requantized, quantize_mmproj};
use sgl::media::{Limits, Picture};
use sgl::pair::write_atomically_with;
use sgl::pipeline::PipelineError;
use sgl::vlm::{Role, Vlm, VlmError, VlmOptions, question};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What `--json` prints.
#[derive(Serialize)]
struct Written<'a> {
    input: &'a Path,
    output: &'a Path,
    #[serde(rename = "type")]
    weights: String,
    #[serde(flatten)]
    tensors: &'a Requantized,
    check: Option<&'a Distance>,
}

/// How far two encodings of a picture are apart.
#[derive(Serialize)]
struct Distance {
    visual_tokens: usize,
    /// Length of the difference over the length, of all tokens together.
    relative_error: f64,
    /// Of the angles between tokens.
    median_cosine: f64,
    worst_cosine: f64,
}

pub fn run(args: &QuantizeMmprojArgs, console: &Console) -> Result<(), Failure> {
    check_paths(args)?;
    let picture = args.check.as_deref().map(|path| Picture::open(path, &Limits::default())).transpose()?;
    let interrupt = Interrupt::install(Arc::new(AtomicBool::new(false)));
    let progress = console.progress();
    let written = write_atomically_with(&args.output, |file| {
        let mut out = BufWriter::new(file);
        let tensors = quantize_mmproj(&args.input, args.weights, &mut out, &mut |done, all| {
            progress.converting(done, all);
            !interrupt.is_set()
        })?;
        out.flush()?;
        Ok::<_, QuantizeError>(tensors)
    });
    progress.clear();
    let tensors = written.map_err(|error| match error {
        QuantizeError::Write(source) => {
            let path = args.output.display();
            Failure::new(
                Exit::Output,
                format!("cannot write {path}: {source}; choose a folder with room that can be written"),
            )
        }
        error => error.into(),
    })?;
    interrupt.ends_program();
    let distance = match (&args.model, picture) {
        (Some(model), Some(picture)) => Some(compare(args, model, &picture)?),
        _ => None,
    };
    if args.json {
        return print(&json_line(&Written {
            input: &args.input,
            output: &args.output,
            weights: args.weights.to_string(),
            tensors: &tensors,
            check: distance.as_ref(),
        })?);
    }
    print(&(summary(args, &tensors) + &distance.as_ref().map(Distance::lines).unwrap_or_default()))
}

fn check_paths(args: &QuantizeMmprojArgs) -> Result<(), Failure> {
    let QuantizeMmprojArgs { input, output, force, .. } = args;
    let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(input, output) {
        return Err(usage(format!("{} cannot be written over itself; give the copy another name", input.display())));
    }
    if !force && fs::symlink_metadata(output).is_ok() {
        let message = format!("{} is there already; give another name, or --force to replace it", output.display());
        return Err(Failure::new(Exit::Output, message));
    }
    Ok(())
}

fn summary(args: &QuantizeMmprojArgs, tensors: &Requantized) -> String {
    let wanted = args.weights.to_string().to_uppercase();
    let n_wanted = tensors.n_matrices - tensors.n_fallback;
    let mut matrices = format!("{n_wanted} are {wanted}");
    if tensors.n_fallback > 0 {
        matrices += &format!(", {} are F16: their rows are no whole blocks", tensors.n_fallback);
    }
    if tensors.n_requantized > 0 {
        matrices += &format!("; {} were quantized before", tensors.n_requantized);
    }
    format!(
        "{} -> {}\n\
         weights:  {} -> {} ({:.2} of it)\n\
         matrices: {matrices}\n\
         as is:    {} norms, biases, embeddings, convolutions and others\n\
         types:    {} -> {}\n",
        args.input.display(),
        args.output.display(),
        mebibytes(tensors.bytes_before),
        mebibytes(tensors.bytes_after),
        tensors.bytes_after as f64 / tensors.bytes_before.max(1) as f64,
        tensors.n_kept,
        counts(&tensors.types_before),
        counts(&tensors.types_after),
    )
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.2} MiB", bytes as f64 / f64::from(1 << 20))
}

fn counts(types: &BTreeMap<&'static str, usize>) -> String {
    types.iter().map(|(name, n)| format!("{n} {name}")).collect::<Vec<_>>().join(", ")
}

/// Encodes a picture as a target would, with either file.
fn compare(args: &QuantizeMmprojArgs, model: &Path, picture: &Picture) -> Result<Distance, Failure> {
    let encode = |mmproj: &Path| {
        encode(args, model, mmproj, picture).map_err(|source| PipelineError::Vlm { role: Role::Target, source })
    };
    let (before, after) = (encode(&args.input)?, encode(&args.output)?);
    Ok(Distance::between(&before, &after))
}

fn encode(
    args: &QuantizeMmprojArgs,
    model: &Path,
    mmproj: &Path,
    picture: &Picture,
) -> Result<Vec<Vec<f32>>, VlmError> {
    let options = VlmOptions {
        model: model.to_owned(),
        mmproj: mmproj.to_owned(),
        context: ContextOptions { n_threads: args.threads, ..ContextOptions::default() },
        ..VlmOptions::default()
    };
    let mut vlm = Vlm::load(Role::Target, options, |_| {})?;
    let prepared = vlm.prepare(&question(None, 1, "?"), std::slice::from_ref(picture), |_, _| {})?;
    Ok((0..).map_while(|index| prepared.row(index).map(<[f32]>::to_vec)).collect())
}

impl Distance {
    /// `[n_rows][width]`; both have the same shape, as both come from the same prompt.
    fn between(before: &[Vec<f32>], after: &[Vec<f32>]) -> Self {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let (mut error, mut length) = (0.0, 0.0);
        let mut cosines = Vec::with_capacity(before.len());
        for (before, after) in before.iter().zip(after) {
            let (of_before, of_after, common) = (dot(before, before), dot(after, after), dot(before, after));
            error += before.iter().zip(after).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>();
            length += of_before;
            let angle = common / (of_before * of_after).sqrt();
            cosines.push(if before == after { 1.0 } else { angle });
        }
        cosines.sort_by(f64::total_cmp);
        Self {
            visual_tokens: before.len(),
            relative_error: (error / length).sqrt(),
            median_cosine: cosines.get(cosines.len() / 2).copied().unwrap_or(f64::NAN),
            worst_cosine: cosines.first().copied().unwrap_or(f64::NAN),
        }
    }

    fn lines(&self) -> String {
        format!(
            "check:    {} visual tokens, relative error {:.5}, cosine {:.6} in the median and {:.6} at worst\n",
            self.visual_tokens, self.relative_error, self.median_cosine, self.worst_cosine
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_token_is_told() {
        let before = [vec![1.0, 0.0], vec![0.0, 2.0], vec![3.0, 4.0]];
        let after = [vec![1.0, 0.0], vec![2.0, 0.0], vec![3.0, 4.0]];
        let distance = Distance::between(&before, &after);
        assert_eq!((distance.visual_tokens, distance.median_cosine, distance.worst_cosine), (3, 1.0, 0.0));
        assert!((distance.relative_error - (8.0f64 / 30.0).sqrt()).abs() < 1e-12);
    }
}
