//! Copies of every family's mmproj with other weight types.

use super::super::harness::Input;
use super::case::Case;
use super::checks::relative;
use crate::fixtures::{self, FAMILIES};
use crate::gguf::WeightType;
use crate::llama::{Requantized, quantize_mmproj};
use std::fs;
use std::path::Path;

fn copy(from: &Path, to: &Path, weights: WeightType) -> Requantized {
    let mut out = fs::File::create(to).unwrap();
    quantize_mmproj(from, weights, &mut out, &mut |_, _| true).unwrap()
}

/// All rows that the encoder makes of two pictures, one of which is cut into tiles where the family does that.
fn encoded(case: &Case) -> Vec<f32> {
    let vision = case.vision().unwrap();
    let prompt = case.prompt(&vision, &[case.small(), case.large()]).unwrap();
    let entries = prompt.pieces.into_iter().flat_map(|piece| piece.entries);
    entries.filter_map(|(input, _)| if let Input::Row(row) = input { Some(row) } else { None }).flatten().collect()
}

/// Outputs stay near those of 32 bits; unrelated ones are about 1.4 away.
#[test]
fn copies_encode_as_the_original() {
    const LIMITS: [(WeightType, f32); 4] =
        [(WeightType::F16, 0.005), (WeightType::Bf16, 0.03), (WeightType::Q8_0, 0.1), (WeightType::Q4_0, 0.7)];
    for family in FAMILIES {
        let mut case = Case::new(family);
        let original = case.pair.mmproj.clone();
        let reference = encoded(&case);
        for (weights, limit) in LIMITS {
            case.pair.mmproj = original.with_extension(weights.to_string());
            let copied = copy(&original, &case.pair.mmproj, weights);
            assert!(copied.n_matrices > copied.n_fallback && copied.n_kept > 0, "{}: {copied:?}", family.name());
            let distance = relative(&encoded(&case), &reference);
            assert!(distance > 0.0 && distance < limit, "{}, {weights}: {distance}", family.name());
        }
    }
}

/// The bytes of the fixtures' own encoder, of the same tensors, under a header with the same metadata.
#[test]
fn copies_are_what_is_written_in_that_type() {
    let dir = tempfile::tempdir().unwrap();
    for family in FAMILIES {
        let write = |weights| fixtures::write(family, &family.tiny(), 3, weights, dir.path()).unwrap().mmproj;
        let original = dir.path().join("original.gguf");
        fs::rename(write(WeightType::F32), &original).unwrap();
        for weights in [WeightType::F32, WeightType::F16, WeightType::Bf16, WeightType::Q8_0, WeightType::Q4_0] {
            let path = dir.path().join("copy.gguf");
            copy(&original, &path, weights);
            let (copy, mut written) = (fs::read(&path).unwrap(), fs::read(write(weights)).unwrap());
            written.resize(written.len().next_multiple_of(32), 0);
            assert!(copy == written, "{}, {weights}", family.name());
        }
    }
}
