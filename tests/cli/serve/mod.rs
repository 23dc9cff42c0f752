//! `sgl serve`, spoken to over real connections.

mod answers;
mod config;
mod limits;
mod openapi;
mod pictures;
mod refusals;
mod server;
#[cfg(unix)]
mod supervisor;
