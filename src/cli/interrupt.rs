//! Ctrl-C: the first stops the computation at the next opportunity, the second stops the program.

use super::error::Exit;
use sgl::llama::end_process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the user has interrupted the program.
#[derive(Clone, Default)]
pub struct Interrupt {
    is_set: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over Ctrl-C for the rest of the program; `cancel` stops the computation. Before this, while nothing but
    /// loading happens, Ctrl-C just ends the program.
    pub fn install(cancel: Arc<AtomicBool>) -> Self {
        let interrupt = Self::default();
        let is_set = interrupt.is_set.clone();
        let handler = move || {
            if is_set.swap(true, Ordering::Relaxed) {
                end_process(Exit::Interrupted as u8);
            }
            cancel.store(true, Ordering::Relaxed);
        };
        // Without a handler Ctrl-C still ends the program.
        if let Err(error) = ctrlc::set_handler(handler) {
            tracing::warn!("no handler for Ctrl-C: {error}");
        }
        interrupt
    }

    /// A computation begins: the next Ctrl-C stops it.
    pub fn stops_computation(&self) {
        self.is_set.store(false, Ordering::Relaxed);
    }

    /// Nothing is computed: the next Ctrl-C ends the program.
    pub fn ends_program(&self) {
        self.is_set.store(true, Ordering::Relaxed);
    }

    pub fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Relaxed)
    }
}
