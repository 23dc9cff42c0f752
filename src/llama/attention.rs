//! The attention tap: collects, per layer, the attention mass that query tokens put on watched tokens.

use super::batch::Position;
use llama_cpp_sys_2 as sys;
use std::collections::{BTreeMap, HashMap};
use std::ffi::c_void;
use std::slice;

/// Attention mass of one layer on the watched tokens, summed over heads and query tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerMass {
    /// The model's layer index.
    pub layer: u32,
    /// `[n_watched]`, in the order in which the tokens were watched.
    pub mass: Vec<f32>,
}

/// Receives the callbacks of `llama_set_attn_mass_callback` (`patches/0001`) and sorts KV cells back into tokens.
#[derive(Default)]
pub(super) struct Tap {
    watched: HashMap<sys::llama_seq_id, Watched>,
}

#[derive(Default)]
struct Watched {
    index_of: HashMap<[sys::llama_pos; 3], u32>,
    n_watched: usize,
    layers: BTreeMap<u32, Vec<f32>>,
    // Layers that share a KV cache report the same positions: the cells found for the last ones are kept.
    last_positions: Vec<sys::llama_pos>,
    cells: Vec<(u32, u32)>,
}

impl Tap {
    /// Starts (or restarts at zero) collecting for a sequence.
    pub fn watch(&mut self, sequence: sys::llama_seq_id, positions: &[Position]) {
        let index_of = positions.iter().zip(0..).map(|(position, index)| (position.in_cell(), index)).collect();
        let watched = Watched { index_of, n_watched: positions.len(), ..Watched::default() };
        self.watched.insert(sequence, watched);
    }

    /// What has come together so far, by increasing layer.
    pub fn peek(&self, sequence: sys::llama_seq_id) -> Vec<LayerMass> {
        let layers = self.watched.get(&sequence).into_iter().flat_map(|watched| &watched.layers);
        layers.map(|(&layer, mass)| LayerMass { layer, mass: mass.clone() }).collect()
    }

    /// Stops collecting for a sequence and returns what came together, by increasing layer.
    pub fn take(&mut self, sequence: sys::llama_seq_id) -> Vec<LayerMass> {
        let layers = self.watched.remove(&sequence).map(|watched| watched.layers).unwrap_or_default();
        layers.into_iter().map(|(layer, mass)| LayerMass { layer, mass }).collect()
    }

    pub fn is_idle(&self) -> bool {
        self.watched.is_empty()
    }

    /// `mass` is `[n_kv]`, `positions` `[n_kv][t, y, x]`.
    fn add(&mut self, sequence: sys::llama_seq_id, layer: u32, mass: &[f32], positions: &[sys::llama_pos]) {
        let Some(watched) = self.watched.get_mut(&sequence) else { return };
        if watched.last_positions != positions {
            if watched.changed(positions) {
                watched.find(positions);
            }
            watched.last_positions.clear();
            watched.last_positions.extend_from_slice(positions);
        }
        let sums = watched.layers.entry(layer).or_insert_with(|| vec![0.0; watched.n_watched]);
        for &(cell, index) in &watched.cells {
            if let (Some(sum), Some(mass)) = (sums.get_mut(index as usize), mass.get(cell as usize)) {
                *sum += mass;
            }
        }
    }
}

impl Watched {
    /// Whether a watched token came, went or moved since the last positions. A step of decoding fills one cell, with none.
    fn changed(&self, positions: &[sys::llama_pos]) -> bool {
        let is_watched = |position: &[sys::llama_pos]| self.index_of.contains_key(position);
        let mut cells = self.last_positions.chunks_exact(3).zip(positions.chunks_exact(3));
        self.last_positions.len() != positions.len()
            || cells.any(|(last, now)| last != now && (is_watched(last) || is_watched(now)))
    }

    /// Looks every cell up.
    fn find(&mut self, positions: &[sys::llama_pos]) {
        let cells = positions.chunks_exact(3).zip(0..);
        self.cells = cells.filter_map(|(position, cell)| Some((cell, *self.index_of.get(position)?))).collect();
    }
}

/// The callback that llama.cpp calls during `llama_process`; `data` is the context's [`Tap`].
pub(super) unsafe extern "C" fn on_mass(mass: *const sys::llama_attn_mass, data: *mut c_void) {
    // SAFETY: llama.cpp passes a valid struct whose arrays have the lengths it states, valid during the call; `data` is
    // the boxed tap of the context that is decoding, which no one else touches while `llama_process` runs.
    unsafe {
        let (Some(mass), Some(tap)) = (mass.as_ref(), data.cast::<Tap>().as_mut()) else { return };
        let n_kv = usize::try_from(mass.n_kv).unwrap_or(0);
        let values = slice::from_raw_parts(mass.mass, n_kv);
        let positions = slice::from_raw_parts(mass.pos, 3 * n_kv);
        tap.add(mass.seq_id, u32::try_from(mass.il).unwrap_or(0), values, positions);
    }
}
