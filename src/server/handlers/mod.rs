//! One file per route.

pub mod chat;
pub mod health;
pub mod metrics;
pub mod models;
pub mod other;
pub mod props;
mod stream;
pub mod tokenize;
