//! All that decides what a run answers: two runs with equal settings have equal answers.

use super::sample::{Gold, PictureSource, Sample};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::str::FromStr;

/// What a journal's answers depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Name of the benchmark.
    pub benchmark: String,
    /// Name of the metric.
    pub metric: String,
    /// The prompt's template.
    pub prompt: String,
    /// Samples that are asked, over all shards.
    pub n_samples: usize,
    /// Samples in the benchmark.
    pub n_all: usize,
    /// Fingerprint of the samples that are asked, questions and right answers and all.
    pub samples: String,
    /// The target.
    pub target: ModelFiles,
    /// The guide.
    pub guide: Option<ModelFiles>,
    /// Text forms of the contenders.
    pub policies: Vec<String>,
    /// Shares of visual tokens.
    pub retain: Vec<f64>,
    /// What the guide sees in the consistency pass.
    pub consistency_retain: String,
    /// Least part of its share that each of several pictures keeps.
    pub picture_floor: f64,
    /// Most tokens of an answer.
    pub n_predict: usize,
    /// Seed of every draw.
    pub seed: u64,
    /// Samples from which the expected attention of `global+debias` was measured.
    pub n_expected: usize,
    /// What llama.cpp was told, as (flag, value).
    pub llama: Vec<(String, String)>,
    /// sgl's version.
    pub version: String,
    /// llama.cpp's version.
    pub llama_cpp: String,
}

/// A model and its projector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFiles {
    /// The text model.
    pub model: FileId,
    /// The projector.
    pub mmproj: FileId,
}

/// A file, as far as can be told without reading gigabytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileId {
    /// Its name, without folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Hash of its first and last MiB and its size.
    pub hash: String,
}

impl ModelFiles {
    /// Looks at both files.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn of(model: &Path, mmproj: &Path) -> io::Result<Self> {
        Ok(Self { model: FileId::of(model)?, mmproj: FileId::of(mmproj)? })
    }
}

impl FileId {
    /// Looks at a file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        const PART: u64 = 1 << 20;
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&bytes.to_le_bytes());
        let mut part = Vec::new();
        (&mut file).take(PART).read_to_end(&mut part)?;
        hasher.update(&part);
        if bytes > PART {
            part.clear();
            file.seek(SeekFrom::Start(bytes - PART))?;
            file.take(PART).read_to_end(&mut part)?;
            hasher.update(&part);
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, bytes, hash: short(&hasher) })
    }
}

/// Fingerprint of samples: what is asked and what is right, not where the files lie.
pub fn fingerprint(samples: &[Sample]) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut add = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for sample in samples {
        add(&sample.id);
        add(&sample.question);
        add(sample.hint.as_deref().unwrap_or_default());
        sample.choices.iter().for_each(|choice| add(choice));
        for picture in &sample.pictures {
            match picture {
                PictureSource::File(path) => add(&path.file_name().unwrap_or_default().to_string_lossy()),
                PictureSource::Base64(text) => add(text),
                PictureSource::Cell(cell) => add(&format!("{:?} {:?}", cell.hash, cell.item)),
                PictureSource::Scene { seed, tiles } => add(&format!("{seed} {tiles:?}")),
            }
        }
        match &sample.gold {
            Gold::Answers(answers) => answers.iter().for_each(|answer| add(answer)),
            gold => add(&format!("{gold:?}")),
        }
    }
    short(&hasher)
}

impl Settings {
    /// A short name for these settings.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&serde_json::to_vec(self).unwrap_or_default());
        short(&hasher)
    }
}

/// A short name for a text.
pub fn hash_of(text: &str) -> String {
    short(blake3::Hasher::new().update(text.as_bytes()))
}

fn short(hasher: &blake3::Hasher) -> String {
    hasher.finalize().to_hex()[..16].to_owned()
}

/// One of `n` parts of the samples.
///
/// Text form: `2/4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which, from 1 on.
    pub part: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Self = Self { part: 1, of: 1 };
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (part, of) = text.split_once('/')?;
            Some(Self { part: part.parse().ok()?, of: of.parse().ok()? })
        };
        parse()
            .filter(|shard| (1..=shard.of).contains(&shard.part))
            .ok_or_else(|| "must be PART/PARTS, such as 2/4, the first part being 1".to_owned())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.part, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_parts_of_a_whole() {
        assert_eq!("2/4".parse(), Ok(Shard { part: 2, of: 4 }));
        assert_eq!(Shard { part: 2, of: 4 }.to_string(), "2/4");
        for text in ["", "1", "0/2", "3/2", "1/0", "a/b", "1/2/3"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    #[test]
    fn files_of_one_size_and_other_bytes_differ() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            FileId::of(&path).unwrap()
        };
        let mut bytes = vec![7; 3 << 20];
        let one = file("one", &bytes);
        *bytes.last_mut().unwrap() = 8;
        let other = file("other", &bytes);
        assert_eq!((one.bytes, other.bytes), (3 << 20, 3 << 20));
        assert_ne!(one.hash, other.hash);
    }
}
