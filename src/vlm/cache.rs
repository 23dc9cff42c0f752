//! Encoder outputs that were computed before: a conversation asks many questions about the same pictures.

use crate::llama::Embeddings;
use crate::media::ContentId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// One image chunk of one picture. Model, projector and token budget are those of the [`super::Vlm`] that owns the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub picture: ContentId,
    /// The chunk among those of its picture.
    pub chunk: usize,
    /// Its rows: DeepSeek's projector pads by where the picture stands in the prompt.
    pub n_rows: usize,
}

/// Least recently used outputs go first when the bytes run out.
#[derive(Debug)]
pub(super) struct EncoderCache<K = Key> {
    max_bytes: usize,
    n_bytes: usize,
    clock: u64,
    entries: HashMap<K, (Arc<Embeddings>, u64)>,
}

/// What vision towers gave, by the pixels they saw, for all projectors behind the same tower.
pub(super) type Towers = Arc<Mutex<EncoderCache<[u8; 32]>>>;

impl<K: Copy + Eq + Hash> EncoderCache<K> {
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, n_bytes: 0, clock: 0, entries: HashMap::new() }
    }

    pub fn get(&mut self, key: &K) -> Option<Arc<Embeddings>> {
        self.clock += 1;
        let (embeddings, used) = self.entries.get_mut(key)?;
        *used = self.clock;
        Some(embeddings.clone())
    }

    /// Keeps an output, unless it alone is too large.
    pub fn insert(&mut self, key: K, embeddings: Arc<Embeddings>) {
        let n_bytes = embeddings.n_bytes();
        if n_bytes > self.max_bytes {
            return;
        }
        self.clock += 1;
        self.n_bytes += n_bytes;
        if let Some((old, _)) = self.entries.insert(key, (embeddings, self.clock)) {
            self.n_bytes -= old.n_bytes();
        }
        while self.n_bytes > self.max_bytes {
            let oldest = self.entries.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            let Some((removed, _)) = oldest.and_then(|key| self.entries.remove(&key)) else { break };
            self.n_bytes -= removed.n_bytes();
        }
    }

    /// Bytes in use.
    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.n_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(chunk: usize) -> Key {
        let picture = crate::media::Picture::from_rgb(1, 1, vec![0; 3]).unwrap().content_id();
        Key { picture, chunk, n_rows: 2 }
    }

    fn rows() -> Arc<Embeddings> {
        Arc::new(Embeddings::new(vec![0.0; 8], 4))
    }

    #[test]
    fn the_least_recently_used_output_goes_first() {
        let mut cache = EncoderCache::new(3 * rows().n_bytes());
        (0..3).for_each(|chunk| cache.insert(key(chunk), rows()));
        assert!(cache.get(&key(0)).is_some());
        cache.insert(key(3), rows());
        let held: Vec<bool> = (0..4).map(|chunk| cache.get(&key(chunk)).is_some()).collect();
        assert_eq!(held, [true, false, true, true]);
        assert_eq!(cache.n_bytes(), 3 * rows().n_bytes());
    }

    #[test]
    fn bytes_are_counted_once_per_key_and_bounded() {
        let mut cache = EncoderCache::new(2 * rows().n_bytes() - 1);
        cache.insert(key(0), rows());
        cache.insert(key(0), rows());
        assert_eq!(cache.n_bytes(), rows().n_bytes());
        cache.insert(key(1), rows());
        assert!(cache.get(&key(0)).is_none() && cache.get(&key(1)).is_some());
        cache.insert(key(2), Arc::new(Embeddings::new(vec![0.0; 80], 4)));
        assert!(cache.get(&key(1)).is_some(), "an output that cannot fit drives nothing out");
        cache.clear();
        assert_eq!((cache.n_bytes(), cache.get(&key(1))), (0, None));
    }

    #[test]
    fn without_bytes_nothing_is_kept() {
        let mut cache = EncoderCache::new(0);
        cache.insert(key(0), rows());
        assert!(cache.get(&key(0)).is_none());
    }
}
