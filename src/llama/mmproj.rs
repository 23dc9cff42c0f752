//! Vision encoders with other weight types, which llama.cpp's own quantizer leaves to the converters.

use super::convert::Converter;
use crate::gguf::{GgufError, Header, Kind, Rewrite, Rewritten, Tensor, WeightType};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What became of the tensors of an mmproj.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Requantized {
    /// Sizes of all tensors, padding excluded.
    pub bytes_before: u64,
    /// See `bytes_before`.
    pub bytes_after: u64,
    /// Tensors by type, sorted by name.
    pub types_before: BTreeMap<&'static str, usize>,
    /// See `types_before`.
    pub types_after: BTreeMap<&'static str, usize>,
    /// Matrices, which have the type that was asked for now, or F16.
    pub n_matrices: usize,
    /// Those that are F16 because their rows do not consist of whole blocks of the type that was asked for.
    pub n_fallback: usize,
    /// Matrices that were quantized already and lost precision a second time.
    pub n_requantized: usize,
    /// Tensors that are as they were because clip.cpp does more with them than multiply (embeddings, norms, biases,
    /// convolutions), or because it is not known here what it does.
    pub n_kept: usize,
}

/// Why an mmproj could not be written with other weight types.
#[allow(missing_docs, reason = "the message names each field")]
#[derive(Debug, thiserror::Error)]
pub enum QuantizeError {
    /// The file cannot be read, or is not what it should be.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A text model or another GGUF file.
    #[error("{} is a {kind}, not an mmproj; text models are quantized by llama.cpp's llama-quantize", path.display())]
    NotProjector { path: PathBuf, kind: Kind },
    /// A weight that is not finite, or larger than the type can hold.
    #[error("{tensor:?} of {} has a weight of {value}, which {kind} cannot hold; {}", path.display(),
        if value.is_finite() { "use bf16 or f32" } else { "the file is damaged, download or convert it again" })]
    Weight { path: PathBuf, tensor: String, value: f32, kind: &'static str },
    /// What was asked to receive the copy did not take it.
    #[error("cannot write the copy: {0}; choose a folder with room that can be written")]
    Write(#[from] io::Error),
    /// The caller did not want to go on.
    #[error("cancelled")]
    Cancelled,
}

/// Writes a copy of an mmproj to `out` in which the matrices of the vision encoder and projector have another type. A matrix
/// whose rows do not consist of whole blocks becomes F16, as in llama.cpp's quantizer; all other tensors, those of sound
/// encoders and the metadata stay as they are. A few megabytes are in memory at a time. `progress` gets the bytes that are
/// read and all there are; `false` stops. `out` must not be the file itself.
///
/// # Errors
/// [`QuantizeError`]; what `out` got is to be thrown away then.
pub fn quantize_mmproj(
    from: &Path,
    weights: WeightType,
    out: &mut impl Write,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Requantized, QuantizeError> {
    let header = Header::read(from)?;
    if *header.kind() != Kind::Projector {
        return Err(QuantizeError::NotProjector { path: from.to_owned(), kind: header.kind().clone() });
    }
    let rewrite = Rewrite::new(&header, weights, |name, tensor| choose(name, tensor, weights));
    let unread = |source| QuantizeError::Gguf(GgufError::Read { path: from.to_owned(), source });
    let mut file = File::open(from).map_err(unread)?;
    let all = rewrite.tensors().iter().filter(|entry| entry.changes()).map(|entry| entry.tensor.bytes).sum();
    let mut done = 0;
    let mut converter = Converter::default();
    rewrite.write(&mut file, out, QuantizeError::Write, |entry, rows, result| {
        if !progress(done, all) {
            return Err(QuantizeError::Cancelled);
        }
        done += rows.len() as u64;
        converter.convert(entry.tensor.kind, entry.kind, entry.row() as usize, rows, result).map_err(|value| {
            let tensor = entry.name.to_owned();
            QuantizeError::Weight { path: from.to_owned(), tensor, value, kind: entry.type_name }
        })
    })?;
    progress(all, all);
    Ok(requantized(rewrite.tensors(), weights))
}

/// The type of a tensor in the copy; `None` leaves it as it is.
fn choose(name: &str, tensor: &Tensor, weights: WeightType) -> Option<WeightType> {
    let row = tensor.dims.first().copied().unwrap_or(0);
    let fitting = if weights.divides(row) { weights } else { WeightType::F16 };
    (is_matrix(name, &tensor.dims) && Converter::reads(tensor.kind)).then_some(fitting)
}

/// Whether clip.cpp only multiplies with a tensor (`build_mm`, `ggml_mul_mat_id`), in all projectors that have one of this
/// name (`tools/mtmd/clip-impl.h`, `tools/mtmd/models/`). Everything else must stay as it is: convolutions and what is
/// added, gathered, resized or transposed (gemma3's `mm.input_projection`) has no kernel for blocks, and ggml ends the
/// process. Names that are not known here stay, too. Routers of experts are left alone as by llama.cpp's quantizer.
fn is_matrix(name: &str, dims: &[u64]) -> bool {
    let is_sound = ["a.", "mm.a."].iter().any(|prefix| name.starts_with(prefix));
    let Some(path) = name.strip_suffix(".weight").filter(|_| !is_sound) else { return false };
    let (parent, leaf) = path.rsplit_once('.').unwrap_or(("", path));
    let is_number = || leaf.bytes().all(|byte| byte.is_ascii_digit());
    match dims.len() {
        2 if parent == "mm" || parent == "mm.model.mlp" => is_number() || PROJECTOR.contains(&leaf),
        2 if parent == "mm.model" => leaf == "fc",
        2 if parent == "resampler" => matches!(leaf, "kv" | "proj"),
        2 if parent == "resampler.attn" => matches!(leaf, "q" | "k" | "v" | "out"),
        2 if parent == "adapter.linear" => ADAPTER.contains(&leaf),
        2 if parent.starts_with("v.sam.blk.") => matches!(leaf, "qkv" | "out" | "lin1" | "lin2"),
        2 => LAYER.contains(&leaf),
        3 => matches!(leaf, "ffn_up_exps" | "ffn_gate_exps" | "ffn_down_exps"),
        _ => false,
    }
}

const PROJECTOR: [&str; 4] = ["up", "gate", "down", "patch_merger"];
const ADAPTER: [&str; 4] = ["linear", "dense_h_to_4h", "gate", "dense_4h_to_h"];
const LAYER: [&str; 20] = [
    "attn_qkv",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_out",
    "ffn_up",
    "ffn_gate",
    "ffn_down",
    "fc1",
    "fc2",
    "ds_ffn_up",
    "ds_ffn_down",
    "self_attn_q",
    "self_attn_k",
    "self_attn_v",
    "self_attn_out",
    "cross_attn_q",
    "cross_attn_k",
    "cross_attn_v",
    "cross_attn_out",
];

fn requantized(tensors: &[Rewritten<'_>], weights: WeightType) -> Requantized {
    let count = |of: &dyn Fn(&Rewritten<'_>) -> bool| tensors.iter().filter(|entry| of(entry)).count();
    let mut types = (BTreeMap::new(), BTreeMap::new());
    for entry in tensors {
        *types.0.entry(entry.tensor.type_name).or_default() += 1;
        *types.1.entry(entry.type_name).or_default() += 1;
    }
    let is_fallback =
        |entry: &Rewritten<'_>| choose(entry.name, entry.tensor, weights).is_some_and(|kind| kind != weights);
    let is_matrix = |entry: &Rewritten<'_>| choose(entry.name, entry.tensor, weights).is_some();
    Requantized {
        bytes_before: tensors.iter().map(|entry| entry.tensor.bytes).sum(),
        bytes_after: tensors.iter().map(|entry| entry.bytes).sum(),
        types_before: types.0,
        types_after: types.1,
        n_matrices: count(&is_matrix),
        n_fallback: count(&is_fallback),
        n_requantized: count(&|entry| entry.changes() && Converter::is_quantized(entry.tensor.kind)),
        n_kept: count(&|entry| !is_matrix(entry)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::fixture::{Fixture, parse};

    /// The copy of a file that is written for it, and what became of its tensors.
    fn copy(fixture: &Fixture, weights: WeightType) -> Result<(Vec<u8>, Requantized), QuantizeError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mmproj.gguf");
        fixture.save(&path).unwrap();
        let mut out = Vec::new();
        quantize_mmproj(&path, weights, &mut out, &mut |_, _| true).map(|copied| (out, copied))
    }

    fn floats(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
        values.into_iter().flat_map(f32::to_le_bytes).collect()
    }

    /// Values that 16 bits hold, a matrix whose rows are no whole blocks, one that is too large for a piece.
    fn projector() -> Fixture {
        let wave = |n: usize| floats((0..n).map(|i| (i % 23) as f32 - 11.0));
        Fixture::mmproj_without_tensors("internvl")
            .number("general.file_type", 1)
            .text("general.name", "Last")
            .tensor("v.position_embd.weight", &[64, 9], 0)
            .tensor_of("v.blk.0.attn_q.weight", &[64, 3], 0, wave(192))
            .tensor_of("v.blk.0.ffn_down.weight", &[40, 3], 0, wave(120))
            .tensor_of("v.blk.0.ln1.weight", &[7], 0, wave(7))
            .tensor_of("v.blk.0.attn_q.bias", &[64], 0, wave(64))
            .tensor_of("mm.model.mlp.1.weight", &[1024, 1500], 0, wave(1024 * 1500))
            .tensor("a.blk.0.attn_q.weight", &[64, 3], 1)
    }

    #[test]
    fn only_matrices_change() {
        let (bytes, copied) = copy(&projector(), WeightType::Q8_0).unwrap();
        assert_eq!(
            copied,
            Requantized {
                bytes_before: 4 * (64 * 9 + 192 + 120 + 7 + 64 + 1024 * 1500) + 2 * 192,
                bytes_after: 4 * (64 * 9 + 7 + 64) + 2 * (120 + 192) + 34 * (6 + 32 * 1500),
                types_before: BTreeMap::from([("F16", 1), ("F32", 6)]),
                types_after: BTreeMap::from([("F16", 2), ("F32", 3), ("Q8_0", 2)]),
                n_matrices: 3,
                n_fallback: 1,
                n_requantized: 0,
                n_kept: 4,
            }
        );
        let header = parse("copy.gguf", bytes).unwrap();
        assert_eq!(header.summary().quantization.as_deref(), Some("Q8_0"));
        assert_eq!(header.summary().name.as_deref(), Some("Last"));
        let kind = |name: &str| header.tensor(name).unwrap().type_name;
        assert_eq!((kind("v.blk.0.attn_q.weight"), kind("v.blk.0.ffn_down.weight")), ("Q8_0", "F16"));
        assert_eq!((kind("v.position_embd.weight"), kind("a.blk.0.attn_q.weight")), ("F32", "F16"));
    }

    #[test]
    fn types_that_hold_all_values_lead_back() {
        let (original, _) = copy(&projector(), WeightType::F32).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("other.gguf");
        for weights in [WeightType::F16, WeightType::Bf16] {
            let (other, copied) = copy(&projector(), weights).unwrap();
            assert!(other != original && copied.n_fallback == 0);
            std::fs::write(&path, other).unwrap();
            let mut back = Vec::new();
            let copied = quantize_mmproj(&path, WeightType::F32, &mut back, &mut |_, _| true).unwrap();
            assert!(back == original && copied.n_requantized == 0, "{weights}");
        }
        let (quantized, _) = copy(&projector(), WeightType::Q8_0).unwrap();
        std::fs::write(&path, quantized).unwrap();
        let copied = quantize_mmproj(&path, WeightType::Q4_0, &mut Vec::new(), &mut |_, _| true).unwrap();
        assert_eq!((copied.n_requantized, copied.n_fallback), (2, 1));
    }

    #[test]
    fn weights_that_do_not_fit_are_refused() {
        let with = |value: f32| {
            let values = floats((0..64).map(|i| if i == 40 { value } else { 0.5 }));
            Fixture::mmproj_without_tensors("internvl").tensor_of("v.blk.0.attn_k.weight", &[32, 2], 0, values)
        };
        let refusal = |value, weights| copy(&with(value), weights).map(drop).unwrap_err().to_string();
        assert!(copy(&with(65504.0), WeightType::F16).is_ok() && copy(&with(1e5), WeightType::Q8_0).is_ok());
        assert!(copy(&with(1e38), WeightType::Bf16).is_ok());
        let error = refusal(1e5, WeightType::F16);
        assert!(
            error.contains("\"v.blk.0.attn_k.weight\" of ")
                && error.ends_with("has a weight of 100000, which F16 cannot hold; use bf16 or f32"),
            "{error}"
        );
        assert!(refusal(1e7, WeightType::Q8_0).ends_with("use bf16 or f32"));
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for weights in [WeightType::F16, WeightType::Bf16, WeightType::Q8_0, WeightType::Q4_0] {
                assert!(refusal(value, weights).contains("the file is damaged"), "{value} {weights}");
            }
        }
    }

    #[test]
    fn alignment_and_metadata_stay() {
        let aligned = Fixture::new()
            .text("general.architecture", "clip")
            .alignment(128)
            .flag("clip.has_vision_encoder", true)
            .text("clip.projector_type", "internvl")
            .array("odd", 0, 3, &[1, 2, 3])
            .tensor("v.blk.0.attn_q.weight", &[32, 3], 1)
            .tensor("v.blk.1.attn_q.weight", &[32, 5], 1);
        let (bytes, _) = copy(&aligned, WeightType::Q8_0).unwrap();
        let original = aligned.bytes();
        let table = original.windows(21).position(|bytes| bytes == b"v.blk.0.attn_q.weight").unwrap();
        assert_eq!(bytes[..table], original[..table]);
        let header = parse("copy.gguf", bytes).unwrap();
        let tensors: Vec<_> = header.tensors().map(|(_, tensor)| (tensor.offset, tensor.bytes)).collect();
        assert_eq!(tensors, [(0, 102), (128, 170)]);
        assert!(header.data_start().is_multiple_of(128));
    }

    #[test]
    fn only_an_mmproj_is_taken() {
        let error = copy(&Fixture::text_model("qwen2", 32), WeightType::Q8_0).map(drop).unwrap_err().to_string();
        assert!(error.contains(" is a text model, not an mmproj; ") && error.ends_with("llama-quantize"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none.gguf");
        let error = quantize_mmproj(&missing, WeightType::Q8_0, &mut Vec::new(), &mut |_, _| true).unwrap_err();
        assert!(error.to_string().contains("none.gguf"), "{error}");
    }

    #[test]
    fn the_caller_can_stop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mmproj.gguf");
        projector().save(&path).unwrap();
        let mut seen = Vec::new();
        let stop = |done, all| {
            seen.push((done, all));
            done == 0
        };
        let result = quantize_mmproj(&path, WeightType::Q8_0, &mut Vec::new(), &mut { stop });
        assert!(matches!(result, Err(QuantizeError::Cancelled)));
        let all = 4 * (192 + 120 + 1024 * 1500);
        assert_eq!(seen, [(0, all), (192 * 4, all)]);
    }

    #[test]
    fn what_is_no_product_is_no_matrix() {
        let matrix = |name, dims: &[u64]| is_matrix(name, dims);
        for name in [
            "v.blk.3.attn_qkv.weight",
            "v.blk.11.ffn_up.weight",
            "mm.0.weight",
            "mm.2.weight",
            "mm.up.weight",
            "mm.patch_merger.weight",
            "mm.model.fc.weight",
            "mm.model.mlp.3.weight",
            "v.deepstack.5.fc1.weight",
            "resampler.attn.q.weight",
            "resampler.kv.weight",
            "v.sam.blk.0.attn.qkv.weight",
            "v.sam.blk.0.mlp.lin1.weight",
            "adapter.linear.dense_h_to_4h.weight",
        ] {
            assert!(matrix(name, &[64, 64]), "{name}");
            assert!(!matrix(name, &[64]) && !matrix(name, &[2, 2, 64, 64]), "{name}");
        }
        assert!(matrix("v.blk.0.ffn_up_exps.weight", &[64, 64, 4]) && !matrix("v.blk.0.attn_q.weight", &[64, 64, 4]));
        for name in [
            "v.patch_embd.weight",
            "v.patch_embd.weight.1",
            "v.position_embd.weight",
            "v.class_embd",
            "mm.input_projection.weight",
            "resampler.query",
            "resampler.pos_embed_k",
            "v.resample_query_768.weight",
            "v.sam.pos_embd.weight",
            "v.sam.blk.0.attn.pos_h.weight",
            "v.blk.0.ffn_gate_inp.weight",
            "v.blk.0.attn_q.bias",
            "a.blk.0.attn_q.weight",
            "mm.a.mlp.1.weight",
            "v.token_embd.img_break",
            "new.thing.weight",
        ] {
            assert!(!matrix(name, &[64, 64]), "{name}");
        }
    }
}
