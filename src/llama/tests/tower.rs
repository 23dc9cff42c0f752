//! One vision tower for two projectors.

use super::harness::{load_vision, picture};
use crate::chat::PromptPart;
use crate::fixtures::{FAMILIES, Family, write};
use crate::gguf::WeightType;
use crate::llama::tower::{encode_from_tower, encode_with_tower, tower_size};
use crate::llama::{Chunk, ImageChunk, Model, ModelOptions, Vision, VisionOptions};
use crate::media::Picture;
use llama_cpp_sys_2 as sys;
use std::slice;

fn load(family: Family, seed: u64) -> Vision {
    let dir = tempfile::tempdir().unwrap();
    let pair = write(family, &family.tiny(), seed, WeightType::F32, dir.path()).unwrap();
    let model = Model::load(&pair.model, ModelOptions { n_gpu_layers: Some(0), ..ModelOptions::default() }).unwrap();
    let options = VisionOptions { cpu_only: true, n_threads: Some(1), ..VisionOptions::default() };
    Vision::load(&pair.mmproj, &model, &options).unwrap()
}

/// Calls with every chunk of the picture.
fn for_each_chunk(vision: &Vision, picture: &Picture, mut with: impl FnMut(usize, &ImageChunk<'_>)) {
    let chunks = vision.tokenize(&[PromptPart::Picture], slice::from_ref(picture), false).unwrap();
    let images = chunks.iter(vision).unwrap().into_iter().filter_map(|chunk| match chunk {
        Chunk::Image(image) => Some(image),
        Chunk::Text(_) => None,
    });
    images.enumerate().for_each(|(index, image)| with(index, &image));
}

fn size(vision: &Vision, image: &ImageChunk<'_>) -> usize {
    // SAFETY: the chunk was cut by this context.
    unsafe { tower_size(vision.raw(), image.raw()) }
}

/// What the tower gave, and the embeddings of the same pass.
fn tower(vision: &Vision, image: &ImageChunk<'_>) -> (Vec<f32>, Vec<f32>) {
    // SAFETY: as above.
    let tower = unsafe { encode_with_tower(vision.raw(), image.raw()) }.unwrap();
    (tower, output(vision, image))
}

fn projected(vision: &Vision, image: &ImageChunk<'_>, tower: &[f32]) -> Vec<f32> {
    // SAFETY: as above.
    unsafe { encode_from_tower(vision.raw(), image.raw(), tower) }.unwrap();
    output(vision, image)
}

fn direct(vision: &Vision, image: &ImageChunk<'_>) -> Vec<f32> {
    let embeddings = vision.encode(image).unwrap();
    (0..embeddings.len()).flat_map(|index| embeddings.row(index).unwrap().to_vec()).collect()
}

fn output(vision: &Vision, image: &ImageChunk<'_>) -> Vec<f32> {
    // SAFETY: the context has just encoded the chunk.
    unsafe {
        let data = sys::mtmd_get_output_embd(vision.raw().as_ptr());
        slice::from_raw_parts(data, vision.model().n_embd_inp() * image.n_tokens()).to_vec()
    }
}

#[test]
fn a_projector_reads_the_tower_of_another_context_bit_for_bit() {
    use Family::*;
    let shared = [InternVlQwen2, Llava15, Llava16, Gemma3, SmolVlm, Lfm2Vl, Pixtral, LightOnOcr, KimiVl, MiniCpmV26];
    for family in shared {
        let (first, second, other) = (load(family, 1), load(family, 1), load(family, 2));
        let mut towers = Vec::new();
        for_each_chunk(&first, &picture(), |_, image| {
            let expected = direct(&first, image);
            let (given, embeddings) = tower(&first, image);
            assert_eq!(given.len(), size(&first, image));
            assert_eq!(embeddings, expected, "{family:?}: with the tower");
            towers.push((given, expected));
        });
        assert!(!towers.is_empty());
        for_each_chunk(&second, &picture(), |index, image| {
            let (given, expected) = &towers[index];
            assert_eq!(&projected(&second, image, given), expected, "{family:?}: from the tower");
            assert_eq!(&direct(&second, image), expected, "{family:?}: directly, after that");
            let negated: Vec<f32> = given.iter().map(|value| -value).collect();
            assert_ne!(&projected(&second, image, &negated), expected, "{family:?}: the tower is not read");
        });
        for_each_chunk(&other, &picture(), |index, image| {
            let (given, expected) = &towers[index];
            assert_ne!(&projected(&other, image, given), expected, "{family:?}: the projector is not its own");
            assert_ne!(projected(&other, image, given), direct(&other, image), "{family:?}: nor the tower another's");
        });
    }
}

#[test]
fn what_cannot_run_apart_is_refused() {
    for family in FAMILIES {
        let vision = load(family, 1);
        for_each_chunk(&vision, &picture(), |_, image| {
            let is_refused = size(&vision, image) == 0;
            // SAFETY: the chunk was cut by this context.
            assert_eq!(unsafe { encode_with_tower(vision.raw(), image.raw()) }.is_err(), is_refused, "{family:?}");
        });
    }
    let vision = load_vision("guide");
    for_each_chunk(&vision, &picture(), |_, image| {
        let short = vec![0.0; size(&vision, image) - 1];
        // SAFETY: as above.
        let error = unsafe { encode_from_tower(vision.raw(), image.raw(), &short) }.unwrap_err();
        assert!(error.to_string().contains(&format!("but there are {}", short.len())), "{error}");
    });
}
