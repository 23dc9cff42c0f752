//! Profiles: guidance that was calibrated on a pair of models, and what it rests on. JSON files.

use crate::eval::calibrate::CrossValidation;
use crate::eval::settings::{FileId, ModelFiles};
use crate::geometry::Expectation;
use crate::guidance::{Consistency, Policy, Retain, Tiles};
use crate::pair::write_atomically;
use crate::pipeline::{ExitOptions, Request};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Version of the format.
const FORMAT: u64 = 1;

/// Calibrated guidance: the fields as in [`crate::pipeline::Request`], and where they come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// Visual tokens that the target reads.
    pub retain: Retain,
    /// What ranks them.
    pub policy: Policy,
    /// The part of its proportional share that each of several pictures keeps at least, 0 to 1.
    pub picture_floor: f64,
    /// Score from which the guide's answer is final, 0 to 1; `None`: never.
    pub exit_threshold: Option<f64>,
    /// How the consistency pass is summed up.
    pub consistency: Consistency,
    /// What the guide sees in the consistency pass.
    pub consistency_retain: Retain,
    /// What the guide's attention is expected to be whatever is asked, for [`Policy::GlobalDebias`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expectation: Option<Expectation>,
    /// What the promise rests on.
    pub origin: Origin,
}

/// A promise, and the run that it was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Name of the benchmark.
    pub benchmark: String,
    /// Name of the metric.
    pub metric: String,
    /// Whether answers were compared with the unpruned target's, and not with right ones.
    pub agreement: bool,
    /// Pictures.
    pub n: usize,
    /// Questions about them.
    pub n_questions: usize,
    /// The promise: no more mean loss of score than this,
    pub max_loss: f64,
    /// at this confidence.
    pub confidence: f64,
    /// Mean loss that was measured.
    pub loss: f64,
    /// The least limit that the same test would have established.
    pub bound: f64,
    /// Losses of choices made from a part of the pictures, on the other part.
    pub cross_validated: CrossValidation,
    /// The target.
    pub target: ModelFiles,
    /// The guide.
    pub guide: Option<ModelFiles>,
    /// sgl's version.
    pub version: String,
    /// llama.cpp's version.
    pub llama_cpp: String,
    /// Day of the run, `YYYY-MM-DD`, UTC.
    pub date: String,
}

/// Why a profile cannot be used.
#[allow(missing_docs, reason = "the message names each field")]
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The system refused.
    #[error("profile {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// No JSON, or none of ours.
    #[error("{} is no profile: {message}; name a file that `sgl calibrate` has written", path.display())]
    NoProfile { path: PathBuf, message: String },
    /// Of another version.
    #[error(
        "profile {} has version {found} of the format, and this sgl reads version {FORMAT}; make it anew with `sgl calibrate`",
        path.display()
    )]
    Version { path: PathBuf, found: Value },
    /// A field is missing, unknown or not what it should be.
    #[error("profile {}, field {field}: {message}; correct it, or make the profile anew with `sgl calibrate`", path.display())]
    Field { path: PathBuf, field: String, message: String },
}

impl Profile {
    /// The profile of the embedded pair.
    pub fn embedded() -> Self {
        let name = Path::new("models/profile.json");
        Self::parse(include_str!("../models/profile.json"), name).expect("a test reads it")
    }

    /// Reads a profile.
    ///
    /// # Errors
    /// [`ProfileError`], naming the file and the field.
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        let text = std::fs::read_to_string(path);
        Self::parse(&text.map_err(|source| ProfileError::Io { path: path.to_owned(), source })?, path)
    }

    /// The request under this guidance. Calibration measures what the policy ranks best, so nothing is given up to gather it
    /// in fewer tiles.
    pub fn guide(&self, request: Request) -> Request {
        let exit = |threshold| {
            let (consistency, retain) = (self.consistency, self.consistency_retain);
            ExitOptions { threshold, consistency, retain }
        };
        Request {
            retain: Some(self.retain),
            policy: self.policy,
            picture_floor: self.picture_floor,
            tiles: Tiles::ANY,
            exit: self.exit_threshold.map(exit),
            expectation: self.expectation.clone().map(Arc::new),
            ..request
        }
    }

    /// Writes it, under a temporary name first.
    ///
    /// # Errors
    /// [`ProfileError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), ProfileError> {
        let io = |source| ProfileError::Io { path: path.to_owned(), source };
        let versioned = Versioned { sgl_profile: FORMAT, profile: self };
        let mut json = serde_json::to_vec_pretty(&versioned).map_err(|error| io(error.into()))?;
        json.push(b'\n');
        write_atomically(path, &json).map_err(io)
    }

    /// How models differ from those that the profile was made for, in words; nothing of files that were only renamed.
    pub fn differences(&self, target: &ModelFiles, guide: Option<&ModelFiles>) -> Vec<String> {
        let mut files = vec![
            ("target", Some(&target.model), Some(&self.origin.target.model)),
            ("target's encoder", Some(&target.mmproj), Some(&self.origin.target.mmproj)),
        ];
        let made_for = self.origin.guide.as_ref();
        files.push(("guide", guide.map(|guide| &guide.model), made_for.map(|guide| &guide.model)));
        files.push(("guide's encoder", guide.map(|guide| &guide.mmproj), made_for.map(|guide| &guide.mmproj)));
        let is_same = |one: &FileId, other: &FileId| (one.bytes, &one.hash) == (other.bytes, &other.hash);
        let name = |file: &FileId| format!("{} of {} bytes", file.name, file.bytes);
        let difference = |(role, now, then): (&str, Option<&FileId>, Option<&FileId>)| match (now, then) {
            (Some(now), Some(then)) if !is_same(now, then) => {
                Some(format!("the {role} is {}, not {}", name(now), name(then)))
            }
            (Some(now), None) => Some(format!("the {role} is {}, and there was none", name(now))),
            (None, Some(then)) => Some(format!("there is no {role}, and it was {}", name(then))),
            _ => None,
        };
        files.into_iter().filter_map(difference).collect()
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ProfileError> {
        let no_profile = |message: String| ProfileError::NoProfile { path: path.to_owned(), message };
        let map: Map<String, Value> = serde_json::from_str(text).map_err(|error| no_profile(error.to_string()))?;
        let mut fields = Fields { path, map };
        match fields.map.remove("sgl_profile") {
            None => return Err(no_profile("it has no field sgl_profile".to_owned())),
            Some(found) if found.as_u64() != Some(FORMAT) => {
                return Err(ProfileError::Version { path: path.to_owned(), found });
            }
            Some(_) => {}
        }
        let profile = Self {
            retain: fields.take("retain")?,
            policy: fields.take("policy")?,
            picture_floor: fields.unit("picture_floor")?.ok_or_else(|| fields.wrong("picture_floor", MISSING))?,
            exit_threshold: fields.unit("exit_threshold")?,
            consistency: fields.take("consistency")?,
            consistency_retain: fields.take("consistency_retain")?,
            expectation: fields.take_if_there("expectation")?,
            origin: fields.take("origin")?,
        };
        match fields.map.keys().next() {
            Some(unknown) => Err(fields.wrong(unknown, "there is no such field")),
            None => Ok(profile),
        }
    }
}

#[derive(Serialize)]
struct Versioned<'a> {
    sgl_profile: u64,
    #[serde(flatten)]
    profile: &'a Profile,
}

/// Fields that have not been read yet.
struct Fields<'a> {
    path: &'a Path,
    map: Map<String, Value>,
}

const MISSING: &str = "it is missing";

impl Fields<'_> {
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, ProfileError> {
        self.take_if_there(name)?.ok_or_else(|| self.wrong(name, MISSING))
    }

    /// `None` also for null.
    fn take_if_there<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, ProfileError> {
        let value = self.map.remove(name).unwrap_or_default();
        serde_json::from_value(value).map_err(|error| self.wrong(name, error))
    }

    /// A number from 0 to 1.
    fn unit(&mut self, name: &str) -> Result<Option<f64>, ProfileError> {
        match self.take_if_there(name)? {
            Some(value) if !(0.0..=1.0).contains(&value) => {
                Err(self.wrong(name, format_args!("{value} is not from 0 to 1")))
            }
            value => Ok(value),
        }
    }

    fn wrong(&self, field: &str, message: impl ToString) -> ProfileError {
        ProfileError::Field { path: self.path.to_owned(), field: field.to_owned(), message: message.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::calibrate::Fold;

    fn files(name: &str) -> ModelFiles {
        let file = |name: String| FileId { bytes: 7, hash: format!("hash of {name}"), name };
        ModelFiles { model: file(format!("{name}.gguf")), mmproj: file(format!("mmproj-{name}.gguf")) }
    }

    fn profile() -> Profile {
        Profile {
            retain: Retain::Share(0.15),
            policy: Policy::Global,
            picture_floor: 0.25,
            exit_threshold: Some(0.95),
            consistency: Consistency::Product,
            consistency_retain: Retain::Share(0.05),
            expectation: None,
            origin: Origin {
                benchmark: "scenes".into(),
                metric: "exact".into(),
                agreement: false,
                n: 900,
                n_questions: 1800,
                max_loss: 0.01,
                confidence: 0.95,
                loss: 0.001,
                bound: 0.0087,
                cross_validated: CrossValidation {
                    loss: 0.002,
                    kept: 1,
                    folds: vec![Fold { retain: 0.15, exit_threshold: None, n: 450, loss: 0.002 }],
                },
                target: files("target"),
                guide: Some(files("guide")),
                version: "0.1.0".into(),
                llama_cpp: "b1".into(),
                date: "2026-01-31".into(),
            },
        }
    }

    #[test]
    fn the_embedded_pair_has_the_profile_that_was_made_for_it() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let files = |name: &str| {
            let [model, mmproj] =
                [name.to_owned(), format!("mmproj-{name}")].map(|name| models.join(format!("{name}.gguf")));
            ModelFiles::of(&model, &mmproj).unwrap()
        };
        let profile = Profile::embedded();
        assert_eq!(profile.differences(&files("target"), Some(&files("guide"))), [""; 0]);
        assert!(profile.origin.bound <= profile.origin.max_loss);
    }

    #[test]
    fn nothing_is_promised_of_fewer_tiles() {
        let request = Request::new(Vec::new(), Vec::new());
        assert_ne!(request.tiles, Tiles::ANY);
        assert_eq!(profile().guide(request).tiles, Tiles::ANY);
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.json");
        for profile in [profile(), Profile { exit_threshold: None, ..profile() }] {
            profile.write(&path).unwrap();
            assert_eq!(Profile::read(&path).unwrap(), profile);
        }
        assert!(
            std::fs::read_to_string(&path).unwrap().starts_with("{\n  \"sgl_profile\": 1,\n  \"retain\": \"0.15\",\n")
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn damage_has_a_file_a_field_and_a_fix() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.json");
        profile().write(&path).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        let check = |text: &str, expected: &[&str]| {
            std::fs::write(&path, text).unwrap();
            let error = Profile::read(&path).unwrap_err().to_string();
            for expected in [&["mine.json", "sgl calibrate"], expected].concat() {
                assert!(error.contains(expected), "no {expected:?} in {error}");
            }
        };
        check("", &["is no profile: EOF"]);
        check(&whole[..whole.len() / 2], &["is no profile: EOF"]);
        check("[]", &["is no profile: invalid type"]);
        check("{}", &["is no profile: it has no field sgl_profile"]);
        let changed = |from: &str, to: &str| {
            assert!(whole.contains(from), "{from}");
            whole.replace(from, to)
        };
        check(&changed("\"sgl_profile\": 1", "\"sgl_profile\": 2"), &["version 2 of the format", "reads version 1"]);
        check(&changed("\"sgl_profile\": 1", "\"sgl_profile\": \"1\""), &["version \"1\""]);
        check(&changed("  \"policy\": \"global\",\n", ""), &["field policy: it is missing"]);
        check(&changed("  \"picture_floor\": 0.25,\n", ""), &["field picture_floor: it is missing"]);
        check(&changed("\"global\"", "\"best\""), &["field policy: policy \"best\" is not understood"]);
        check(&changed("\"0.15\"", "\"15\""), &["field retain: retain \"15\""]);
        check(
            &changed("\"exit_threshold\": 0.95", "\"exit_threshold\": 1.5"),
            &["field exit_threshold: 1.5 is not from 0 to 1"],
        );
        check(
            &changed("\"exit_threshold\": 0.95", "\"exit_threshold\": \"no\""),
            &["field exit_threshold: invalid type"],
        );
        check(&changed("\"exit_threshold\"", "\"exit\""), &["field exit: there is no such field"]);
        check(&changed("\"n\": 900", "\"n\": -1"), &["field origin: invalid"]);

        let error = Profile::read(&dir.path().join("none.json")).unwrap_err().to_string();
        assert!(error.contains("none.json: No such file"), "{error}");
    }

    #[test]
    fn other_models_are_told() {
        let profile = profile();
        let differ = |target: &str, guide: Option<&str>| profile.differences(&files(target), guide.map(files).as_ref());
        assert_eq!(differ("target", Some("guide")), Vec::<String>::new());
        assert_eq!(
            differ("target", Some("small")),
            [
                "the guide is small.gguf of 7 bytes, not guide.gguf of 7 bytes",
                "the guide's encoder is mmproj-small.gguf of 7 bytes, not mmproj-guide.gguf of 7 bytes",
            ]
        );
        assert_eq!(differ("target", None)[0], "there is no guide, and it was guide.gguf of 7 bytes");
        let mut renamed = files("target");
        renamed.model.name = "other.gguf".into();
        assert!(profile.differences(&renamed, Some(&files("guide"))).is_empty());
    }
}
