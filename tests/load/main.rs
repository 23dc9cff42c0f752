//! Load and faults, as those who run a server meet them: `make test-load`. Everything goes over loopback, to servers of its own
//! on free ports.
//!
//! ```text
//! load [--clients 32] [--seconds 60] [--only PART]
//! ```
//!
//! Prints a table of what was done, what came and whether that is right; the exit code is 1 if something is not.

#[allow(dead_code, reason = "the tests of the program need more of it")]
#[path = "../cli/harness.rs"]
mod harness;
#[allow(dead_code, reason = "the tests of the server need more of it")]
#[path = "../cli/serve/server.rs"]
mod server;

mod bodies;
mod connections;
mod memory;
mod models;
mod pictures;
mod questions;
mod supervised;
mod traffic;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What is asked on the command line.
pub struct Options {
    pub n_clients: usize,
    pub duration: Duration,
    only: Option<String>,
}

/// What is checked: panics where something is not as it should be, and says what came otherwise.
type Check = fn(&Options) -> String;

const CHECKS: &[(&str, Check)] = &[
    ("load", traffic::load),
    ("clients killed mid-stream", connections::killed_mid_stream),
    ("slow reader", connections::slow_reader),
    ("half-sent bodies", connections::half_sent),
    ("a thousand idle connections", connections::idle),
    ("body of 100 MB", bodies::large),
    ("wrong types", bodies::wrong_types),
    ("invalid UTF-8", bodies::invalid_utf8),
    ("deep JSON", bodies::deep),
    ("hostile grammars", bodies::grammars),
    ("decompression bombs", pictures::bombs),
    ("truncated pictures", pictures::truncated),
    ("hostile pictures", pictures::hostile),
    ("worker killed under load", supervised::killed),
    ("SIGTERM under load", supervised::terminated),
    ("disk full for caches", models::disk_full),
    ("model file deleted", models::deleted),
    ("model file truncated", models::truncated),
];

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    let mut is_right = true;
    println!("| Check | What came | Seconds |\n|---|---|---|");
    for (name, check) in CHECKS.iter().filter(|(name, _)| options.only.as_ref().is_none_or(|only| name.contains(only)))
    {
        let start = Instant::now();
        let said = catch_unwind(AssertUnwindSafe(|| check(&options)));
        let seconds = start.elapsed().as_secs_f64();
        let said = said.unwrap_or_else(|problem| {
            is_right = false;
            format!("**WRONG**: {}", told(&*problem))
        });
        println!("| {name} | {said} | {seconds:.1} |");
    }
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a panic says, on a line.
fn told(problem: &(dyn std::any::Any + Send)) -> String {
    let text = problem.downcast_ref::<String>().map(String::as_str).or(problem.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").chars().take(300).collect::<String>().replace(['\n', '|'], " ")
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { n_clients: 32, duration: Duration::from_secs(60), only: None };
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
            let number = || value.parse().map_err(|_| format!("{value} is no whole number"));
            match flag.as_str() {
                "--clients" => options.n_clients = number()?,
                "--seconds" => options.duration = Duration::from_secs(number()? as u64),
                "--only" => options.only = Some(value),
                _ => return Err(format!("{flag} is unknown; use --clients, --seconds, --only")),
            }
        }
        Ok(options)
    }
}
