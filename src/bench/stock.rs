//! A stock build of llama.cpp's own program for pictures, `llama-mtmd-cli`, as the baseline.
//!
//! It prints `encoded in N ms` or `encoding done in N ms` for each batch of tiles, `decoded (batch i/n) in N ms` for the
//! embeddings of each, and `llama_perf_context_print`'s lines at its end. The clock of `prompt eval time` starts with the
//! first prompt token and stops at the first drawn one, so it holds the decoding of pictures, and their encoding where text
//! stands before them, as in almost every chat template. Preparing the pictures is in none of these lines.

use super::times::{TIME_TO_FIRST_TOKEN, TOTAL, Times};
use crate::timing::Phase;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A program and how it is called.
#[derive(Debug, Clone)]
pub struct Stock {
    program: PathBuf,
    arguments: Vec<OsString>,
    n_predict: usize,
}

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct StockRun {
    /// Phases of the target, the time to the first token and the total of what is counted, loading apart.
    pub times: Times,
    /// Prompt tokens.
    pub n_prompt: usize,
}

/// Why the stock program cannot be compared with.
#[allow(missing_docs, reason = "the message names each field")]
#[derive(Debug, thiserror::Error)]
pub enum StockError {
    /// It could not be started.
    #[error("cannot run {program}: {source}; name llama.cpp's llama-mtmd-cli, built for this machine")]
    Start { program: PathBuf, source: std::io::Error },
    /// It failed.
    #[error("{program} failed with {status}: {last}")]
    Failed { program: PathBuf, status: String, last: String },
    /// It printed no times.
    #[error("{program} printed no line {missing:?}; name a llama-mtmd-cli of about llama.cpp {}", env!("SGL_LLAMA_VERSION"))]
    NoTimes { program: PathBuf, missing: &'static str },
}

impl Stock {
    /// The program with what every run is told. Flags that only some versions have are added if its help has them.
    ///
    /// # Errors
    /// [`StockError::Start`].
    pub fn new(
        program: &Path,
        arguments: impl IntoIterator<Item = OsString>,
        n_predict: usize,
    ) -> Result<Self, StockError> {
        let mut stock = Self { program: program.to_owned(), arguments: Vec::new(), n_predict };
        let help = stock.output(&["--help".into()])?;
        let help = String::from_utf8_lossy(&help.stdout).into_owned() + &String::from_utf8_lossy(&help.stderr);
        stock.arguments = arguments.into_iter().collect();
        // Newer versions print the library's times on request only.
        for (flag, value) in [("--ignore-eos", None), ("--log-verbosity", Some("4"))] {
            if help.contains(flag) {
                stock.arguments.extend([flag].into_iter().chain(value).map(OsString::from));
            }
        }
        Ok(stock)
    }

    /// Runs it once.
    ///
    /// # Errors
    /// [`StockError`].
    pub fn run(&self) -> Result<StockRun, StockError> {
        let Output { status, stderr, stdout } = self.output(&self.arguments)?;
        let log = String::from_utf8_lossy(&stderr).into_owned();
        let program = self.program.clone();
        if !status.success() {
            let last = log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim().to_owned();
            return Err(StockError::Failed { program, status: status.to_string(), last });
        }
        // Older versions log to standard output.
        let log = log + "\n" + &String::from_utf8_lossy(&stdout);
        parse(&log, self.n_predict).map_err(|missing| StockError::NoTimes { program, missing })
    }

    fn output(&self, arguments: &[OsString]) -> Result<Output, StockError> {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null());
        command.output().map_err(|source| StockError::Start { program: self.program.clone(), source })
    }
}

/// The times in a log, decoding scaled to the `n_predict - 1` tokens that have to be decoded for an answer of `n_predict`:
/// versions differ in whether the last one counts, and an answer may end early.
fn parse(log: &str, n_predict: usize) -> Result<StockRun, &'static str> {
    const PROMPT: &str = "prompt eval time =";
    const ANSWER: &str = " eval time =";
    const ENCODED: &str = "image slice encoded in";
    let encode = ["mtmd batch encoding done in", ENCODED, "slice encoded in", "image encoded in"]
        .iter()
        .find_map(|marker| sum_after(log, marker))
        .ok_or(ENCODED)?;
    let decoded: f64 =
        log.lines().filter(|line| line.contains("decoded (batch")).filter_map(|line| after(line, ") in")).sum();
    let of = |marker: &str, is_prompt: bool| {
        let mut lines = log.lines().filter(|line| line.contains(PROMPT) == is_prompt);
        let line = lines.rfind(|line| line.contains(marker))?;
        Some((after(line, marker)?, after(line, " ms /")?))
    };
    let (prompt, n_prompt) = of(PROMPT, true).ok_or(PROMPT)?;
    let (answer, n_answer) = of(ANSWER, false).ok_or(ANSWER)?;
    let prefill = if prompt + ROUNDING_MS >= encode + decoded { (prompt - encode).max(decoded) } else { prompt };
    let decode = if n_answer > 0.0 { answer / n_answer * n_predict.saturating_sub(1) as f64 } else { 0.0 };
    let mut times = Times::default();
    times.set_phase(Phase::TargetEncode, encode);
    times.set_phase(Phase::TargetPrefill, prefill);
    times.set_phase(Phase::TargetDecode, decode);
    times.set(TIME_TO_FIRST_TOKEN, encode + prefill);
    times.set(TOTAL, encode + prefill + decode);
    Ok(StockRun { times, n_prompt: n_prompt as usize })
}

/// Encoding and decoding are printed in whole milliseconds, batch by batch.
const ROUNDING_MS: f64 = 1.0;

/// Sum of the numbers that follow a text; `None` if it never occurs.
fn sum_after(log: &str, marker: &str) -> Option<f64> {
    let mut numbers = log.lines().filter_map(|line| after(line, marker)).peekable();
    numbers.peek()?;
    Some(numbers.sum())
}

/// The number that follows a text in a line.
fn after(line: &str, marker: &str) -> Option<f64> {
    let (_, rest) = line.split_once(marker)?;
    rest.split_whitespace().next()?.parse().ok().filter(|ms: &f64| ms.is_finite() && *ms >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
main: loading model: model.gguf
encoding mtmd batch, n_chunks = 1 (done = 1, total = 5)
mtmd batch encoding done in 40 ms
decoding image batch 1/1, n_tokens_batch = 256
image decoded (batch 1/1) in 30 ms
encoding mtmd batch, n_chunks = 1 (done = 3, total = 5)
mtmd batch encoding done in 42 ms
decoding image batch 1/1, n_tokens_batch = 256
image decoded (batch 1/1) in 31 ms
llama_perf_context_print:        load time =     900.12 ms
llama_perf_context_print: prompt eval time =     152.50 ms /   540 tokens (    0.28 ms per token,  3540.98 tokens per second)
llama_perf_context_print:        eval time =      64.00 ms /    32 runs   (    2.00 ms per token,   500.00 tokens per second)
llama_perf_context_print:       total time =     400.00 ms /   572 tokens
";

    fn times(log: &str) -> Vec<(String, f64)> {
        let run = parse(log, 32).unwrap();
        run.times.iter().map(|(name, ms)| (name.to_owned(), ms)).collect()
    }

    #[test]
    fn encoding_within_the_prompts_clock_counts_once() {
        let expected = [
            ("target_decode", 62.0),
            ("target_encode", 82.0),
            ("target_prefill", 70.5),
            ("time_to_first_token", 152.5),
            ("total", 214.5),
        ];
        assert_eq!(times(LOG), expected.map(|(name, ms)| (name.to_owned(), ms)));
        assert_eq!(parse(LOG, 32).unwrap().n_prompt, 540);
    }

    #[test]
    fn encoding_before_the_prompts_clock_counts_too() {
        let log = LOG.replace("152.50 ms /", "75.00 ms /");
        assert_eq!(parse(&log, 32).unwrap().times.phase(Phase::TargetPrefill), Some(75.0));
        assert_eq!(parse(&log, 32).unwrap().times.get(TIME_TO_FIRST_TOKEN), Some(157.0));
    }

    #[test]
    fn older_words_are_known() {
        let log = LOG.replace("mtmd batch encoding done in", "image slice encoded in");
        assert_eq!(times(&log), times(LOG));
    }

    #[test]
    fn missing_lines_are_named() {
        let without = |text: &str| {
            let lines: Vec<&str> = LOG.lines().filter(|line| !line.contains(text)).collect();
            parse(&lines.join("\n"), 32).unwrap_err()
        };
        assert_eq!(without("encoding done"), "image slice encoded in");
        assert_eq!(without("prompt eval"), "prompt eval time =");
        assert_eq!(without("  eval time"), " eval time =");
        assert!(parse(&LOG.replace("152.50", "-nan"), 32).is_err());
    }

    #[test]
    fn an_answer_of_one_token_decodes_nothing() {
        assert_eq!(parse(LOG, 1).unwrap().times.phase(Phase::TargetDecode), Some(0.0));
    }

    #[cfg(unix)]
    #[test]
    fn a_program_is_told_what_its_help_knows_and_its_failure_is_quoted() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let program = |name: &str, script: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        std::fs::write(dir.path().join("log"), LOG).unwrap();
        let log = dir.path().join("log");
        let script = format!(
            "[ \"$1\" = --help ] && echo \"--ignore-eos --log-verbosity N\" && exit; \
             [ \"$*\" = \"-m x --ignore-eos --log-verbosity 4\" ] || exit 9; cat {} >&2",
            log.display()
        );
        let works = Stock::new(&program("works", &script), ["-m", "x"].map(OsString::from), 32).unwrap();
        assert_eq!(works.run().unwrap(), parse(LOG, 32).unwrap());

        let fails = Stock::new(&program("fails", "echo a >&2; echo ' no such model ' >&2; echo >&2; exit 3"), [], 1);
        let message = fails.unwrap().run().unwrap_err().to_string();
        assert!(message.contains("failed with exit status: 3: no such model"), "{message}");
        let silent = Stock::new(&program("silent", "exit 0"), [], 1).unwrap();
        assert!(matches!(silent.run(), Err(StockError::NoTimes { .. })));
        let missing = Stock::new(&dir.path().join("missing"), [], 1);
        assert!(matches!(missing, Err(StockError::Start { .. })));
    }
}
