//! The vision encoder of a model, and what it has made before, for all who use the model.

use super::cache::{EncoderCache, Key, Towers};
use super::processor::{Processor, run_on};
use crate::llama::{Chunk, Chunks, Embeddings, LlamaError, Vision};
use parking_lot::{FairMutex, Mutex};
use std::sync::{Arc, OnceLock};

/// One picture or tile is preprocessed or encoded at a time; who waits longest is next.
pub(super) struct Encoder {
    pub vision: FairMutex<Vision>,
    pub cache: Mutex<EncoderCache>,
    /// Where it computes, unless that is where it is called.
    pub processor: OnceLock<Processor>,
}

/// Where the encoder's output for an image chunk came from.
pub(super) enum Origin {
    /// It was computed.
    Encoder,
    /// It was still there.
    Cache,
    /// Only the projector had to run, behind the tower of another model.
    Tower,
}

impl Encoder {
    pub fn new(vision: Vision, max_cache_bytes: usize) -> Self {
        Self {
            vision: FairMutex::new(vision),
            cache: Mutex::new(EncoderCache::new(max_cache_bytes)),
            processor: OnceLock::new(),
        }
    }

    /// Rows of the image chunk number `index` among `chunks`, remembered under `key`.
    pub fn embeddings(
        &self,
        key: Option<Key>,
        chunks: Option<&Chunks>,
        index: usize,
        towers: &Option<Towers>,
    ) -> Result<(Arc<Embeddings>, Origin), LlamaError> {
        let known = || key.and_then(|key| self.cache.lock().get(&key));
        if let Some(embeddings) = known() {
            return Ok((embeddings, Origin::Cache));
        }
        let vision = &mut *self.vision.lock();
        // Somebody else may have encoded the same picture in the meantime.
        if let Some(embeddings) = known() {
            return Ok((embeddings, Origin::Cache));
        }
        let (encoded, origin) = run_on(self.processor.get(), || encode(vision, chunks, index, towers))?;
        let encoded = Arc::new(encoded);
        if let Some(key) = key {
            self.cache.lock().insert(key, encoded.clone());
        }
        Ok((encoded, origin))
    }
}

/// Rows of an image chunk, as the encoder or, behind another model's tower, the projector makes them.
fn encode(
    vision: &mut Vision,
    chunks: Option<&Chunks>,
    index: usize,
    towers: &Option<Towers>,
) -> Result<(Embeddings, Origin), LlamaError> {
    let pieces = chunks.map(|chunks| chunks.iter(vision)).transpose()?.unwrap_or_default();
    let mut images = pieces.iter().filter_map(|piece| if let Chunk::Image(image) = piece { Some(image) } else { None });
    let missing = || LlamaError::Encode { reason: format!("the prompt has no picture {index}") };
    let chunk = images.nth(index).ok_or_else(missing)?;
    let Some(towers) = towers.as_ref().filter(|_| vision.has_tower(chunk)) else {
        return Ok((vision.encode(chunk)?, Origin::Encoder));
    };
    let pixels = chunk.pixels_hash();
    let tower = towers.lock().get(&pixels);
    if let Some(tower) = tower {
        return Ok((vision.project(chunk, &tower)?, Origin::Tower));
    }
    let (encoded, tower) = vision.encode_with_tower(chunk)?;
    towers.lock().insert(pixels, Arc::new(tower));
    Ok((encoded, Origin::Encoder))
}
