//! Benchmarks, metrics and policies side by side.
//!
//! ```text
//! data ── samples ─┐
//!                  ├─ engine: one guide pass, one target pass for every distinct kept set ── journal (JSONL)
//! contenders ──────┘                                                              │
//!              report (HTML, CSV, JSON) ◄── summary (rows, overlap, exit curve) ◄─┤ metrics, stats
//!                                             profile ◄── calibrate ◄─────────────┘
//! ```

pub mod sample;
pub mod summary;
