//! An OpenAI-compatible HTTP server for one pair of models.
//!
//! ```text
//! edge: connections, headers, body limits ─► router: keys, CORS ─► handlers ─► request (parse) ─► picture ─► engine
//!  └ or, supervised, in the parent process:  edge ─► proxy ─► a worker process with all of that behind a socket
//! ```
//!
//! [`request`] turns bytes into what the models are asked and touches nothing else, so that it can be fuzzed.

mod app;
mod auth;
pub mod edge;
mod error;
mod explained;
mod handlers;
pub mod metrics;
pub mod openapi;
mod page;
mod picture;
pub mod request;
mod response;
mod router;
mod run;
mod schema;
#[cfg(unix)]
pub mod supervisor;
mod usage;

pub use app::{App, RequestLimits, ServerOptions};
pub use auth::ApiKeys;
pub use error::{ApiError, ErrorBody};
pub use picture::{PictureOptions, PictureSource, RemoteLimits};
pub use request::Defaults;
pub use router::router;
pub use run::serve;
