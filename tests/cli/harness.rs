//! A folder of its own for every test, and the program in it.

use assert_cmd::Command as Program;
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;
use tempfile::TempDir;

/// A question whose answer takes one token, and its picture.
pub const LABEL: [&str; 4] = ["--image", FLAT, "-p", "Read the label of the white circle."];
/// The guide is unsure, and wrong.
pub const UNSURE: [&str; 4] = ["--image", FLAT, "-p", "Does the image contain a white square?"];
/// A question whose answer takes many.
pub const LIST: [&str; 4] = ["--image", FLAT, "-p", "List every object."];
pub const FLAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/pictures/flat.png");
pub const NOISE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/pictures/noise.png");

macro_rules! model {
    ($name:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/models/", $name, ".gguf")
    };
}
pub const GUIDE: [&str; 2] = [model!("guide"), model!("mmproj-guide")];
pub const TARGET: [&str; 2] = [model!("target"), model!("mmproj-target")];

/// The current folder of the programs that a test runs; removed with it.
pub struct Folder {
    dir: TempDir,
}

/// What a program left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Folder {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The path of a file here.
    pub fn at(&self, name: &str) -> String {
        self.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path().join(name), bytes).unwrap();
        self.at(name)
    }

    /// A picture of one colour.
    pub fn picture(&self, name: &str, width: u32, height: u32) -> String {
        RgbImage::from_pixel(width, height, Rgb([9, 120, 30]))
            .save_with_format(self.path().join(name), ImageFormat::Png)
            .unwrap();
        self.at(name)
    }

    /// Names of the files here, sorted.
    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The program, here, knowing nothing of the environment but where the embedded pair lies and what its guidance is: the
    /// tests that are not about calibration do not depend on what came of it.
    pub fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sgl"));
        command.current_dir(self.path()).env("SGL_CACHE", cache());
        let is_ours = |name: &str| ["LLAMA_", "SGL_", "RUST_LOG", "MTMD_"].iter().any(|ours| name.starts_with(ours));
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(is_ours) && name != "SGL_CACHE" {
                command.env_remove(name);
            }
        }
        command.envs([("SGL_RETAIN", "0.25"), ("SGL_EXIT_THRESHOLD", "0.9")]);
        command
    }

    /// Runs a subcommand under the profile of the models, or one that it is given.
    pub fn run_profiled(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, |command| command.env_remove("SGL_RETAIN").env_remove("SGL_EXIT_THRESHOLD"))
    }

    /// Runs a subcommand that computes, on one thread so that tests do not fight for cores.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, |command| command)
    }

    pub fn run_with(&self, arguments: &[&str], adjust: impl FnOnce(&mut Program) -> &mut Program) -> Ran {
        let mut command = self.command();
        let (subcommand, rest) = arguments.split_first().unwrap();
        command.arg(subcommand);
        let computes = ["run", "explain", "demo", "chat", "eval", "study", "calibrate", "bench"].contains(subcommand);
        if computes && rest.first() != Some(&"merge") {
            command.args(["-t", "1"]);
        }
        command.args(rest);
        let mut command = Program::from_std(command);
        command.timeout(Duration::from_secs(300));
        adjust(&mut command);
        Ran::from(command.output().unwrap())
    }
}

/// Shared by all tests: the program writes into it atomically.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// Runs the program in a folder of its own.
pub fn sgl(arguments: &[&str]) -> Ran {
    Folder::new().run(arguments)
}

/// `sgl run` with flags before a question.
pub fn ask(flags: &[&str], question: &[&str]) -> Ran {
    sgl(&[&["run"], flags, question].concat())
}

/// The report of `sgl run --json`.
pub fn report(flags: &[&str], question: &[&str]) -> Value {
    ask(&[flags, &["--json", "-q"]].concat(), question).ok().json()
}

impl Ran {
    /// The program succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// The program ended with this code, said this in its one error, and wrote nothing to standard output.
    #[track_caller]
    pub fn failed(self, code: i32, message: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        assert!(self.stderr.contains(message), "no {message:?} in {self:?}");
        for (index, line) in self.stderr.lines().enumerate() {
            assert!(index == 0 || !line.starts_with("error: "), "{self:?}");
        }
        self
    }

    /// The one object on the one line of standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        let line = self.stdout.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {self:?}"));
        assert!(!line.contains('\n'), "{self:?}");
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The hint under the error.
    pub fn hint(&self) -> &str {
        self.stderr.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap_or_default()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// The indices in a report.
pub fn kept(report: &Value) -> Vec<u64> {
    report["visual"]["kept_indices"].as_array().unwrap().iter().map(|index| index.as_u64().unwrap()).collect()
}
