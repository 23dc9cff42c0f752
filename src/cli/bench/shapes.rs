//! Models with random weights: the list of presets, and their files in the cache folder.

use super::columns::{bytes, table};
use crate::cli::args::{ModelArgs, ShapeArgs, Towers};
use crate::cli::error::{Exit, Failure};
use crate::cli::output::{Console, json_line, print};
use crate::cli::resolve::usage;
use serde::Serialize;
use sgl::bench::Shapes;
use sgl::fixtures::{FixtureError, FixturePair, PRESETS, Preset, ShapePair};
use sgl::gguf::WeightType;
use sgl::pair::cache_dirs;
use std::path::{Path, PathBuf};
use std::{fs, io};

const GUIDE_SEED: u64 = 1;
const TARGET_SEED: u64 = 2;

/// Prints the presets.
pub fn list(args: &ShapeArgs, json: bool) -> Result<(), Failure> {
    let listed = PRESETS.iter().map(|preset| Listed {
        name: preset.name,
        guide_bytes: preset.n_bytes(args.guide_type, args.mmproj_type),
        target_bytes: preset.n_bytes(args.target_type, args.mmproj_type),
    });
    let presets: Vec<Listed> = listed.collect();
    if json {
        return print(&json_line(&List { presets })?);
    }
    let titles = ["preset", &format!("as guide ({})", args.guide_type), &format!("as target ({})", args.target_type)];
    let row = |of: &Listed| [of.name.to_owned(), bytes(of.guide_bytes), bytes(of.target_bytes)];
    let rows: Vec<_> = presets.iter().map(row).collect();
    print(&format!("{}\nvision encoders in {} included\n", table(titles, &rows), args.mmproj_type))
}

#[derive(Serialize)]
struct List {
    presets: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    guide_bytes: u64,
    target_bytes: u64,
}

/// What a measurement records of them.
pub fn told(pair: &ShapePair, args: &ShapeArgs) -> Shapes {
    Shapes {
        pair: pair.to_string(),
        guide_type: args.guide_type.to_string(),
        target_type: args.target_type.to_string(),
        mmproj_type: args.mmproj_type.to_string(),
        shared_tower: args.towers == Towers::Shared,
    }
}

/// Writes what is not there yet. Equal seeds give vision encoders of one shape equal weights.
pub fn install(pair: &ShapePair, args: &ShapeArgs, console: &Console) -> Result<ModelArgs, Failure> {
    if args.towers == Towers::Shared && pair.guide.shape.vision != pair.target.shape.vision {
        let (guide, target) = (pair.guide.name, pair.target.name);
        return Err(usage(format!(
            "{guide} and {target} have vision encoders of other sizes, so they share none; leave --towers out"
        )));
    }
    let dir = folder(args)?;
    let seed = if args.towers == Towers::Shared { GUIDE_SEED } else { TARGET_SEED };
    let one = |preset, text, seed| Wanted { preset, text, vision: args.mmproj_type, seed }.install(&dir, console);
    let guide = one(pair.guide, args.guide_type, GUIDE_SEED)?;
    let target = one(pair.target, args.target_type, seed)?;
    Ok(ModelArgs {
        model: Some(target.model),
        mmproj: Some(target.mmproj),
        guide: Some(guide.model),
        guide_mmproj: Some(guide.mmproj),
    })
}

fn folder(args: &ShapeArgs) -> Result<PathBuf, Failure> {
    let dirs = match &args.cache {
        Some(dir) => vec![dir.clone()],
        None => cache_dirs().into_iter().map(|dir| dir.join("shapes")).collect(),
    };
    let mut failed = None;
    for dir in dirs {
        match fs::create_dir_all(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) => failed = failed.or(Some(cannot_write(&dir, &error))),
        }
    }
    Err(failed.unwrap_or_else(|| Failure::new(Exit::Output, "there is no cache folder; name one with --cache")))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Output,
        format!("cannot write models to {}: {error}; name another folder with --cache", path.display()),
    )
}

/// A preset with the types of its weights.
struct Wanted<'a> {
    preset: &'a Preset,
    text: WeightType,
    vision: WeightType,
    seed: u64,
}

impl Wanted<'_> {
    /// In a folder of its own, so that other seeds do not replace it.
    fn install(&self, dir: &Path, console: &Console) -> Result<FixturePair, Failure> {
        let Self { preset, text, vision, seed } = *self;
        let name = format!("{}-{text}-{vision}-{seed}", preset.name);
        let place = dir.join(&name);
        fs::create_dir_all(&place).map_err(|error| cannot_write(&place, &error))?;
        let n_bytes = preset.n_bytes(text, vision);
        let missing = n_bytes.saturating_sub(present_bytes(&place));
        if missing > 0 {
            check_room(&place, missing)?;
            console.say(format_args!("writing {name} to {}: {}", dir.display(), bytes(missing)));
        }
        let progress = console.progress();
        let mut show = |done: u64, all: u64| {
            let mib = |n: u64| (n >> 20) as usize;
            progress.counting(&name, mib(done), mib(all), "MiB");
        };
        let pair = preset.install(text, vision, seed, &place, &mut show);
        progress.clear();
        pair.map_err(|error| {
            let exit = if matches!(error, FixtureError::Shape { .. }) { Exit::Usage } else { Exit::Output };
            Failure::new(exit, error)
        })
    }
}

/// Bytes of the models in a folder.
fn present_bytes(place: &Path) -> u64 {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let models = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "gguf"));
    models.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

/// Before gigabytes are written in vain.
fn check_room(dir: &Path, n_bytes: u64) -> Result<(), Failure> {
    match free_bytes(dir) {
        Some(free) if free < n_bytes => Err(Failure::new(
            Exit::Output,
            format!(
                "{} has room for {}, and the model takes {}; name another folder with --cache, or a smaller --shape",
                dir.display(),
                bytes(free),
                bytes(n_bytes)
            ),
        )),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn free_bytes(dir: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(dir).ok()?;
    system.f_bavail.checked_mul(system.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_known_before_it_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        assert!(check_room(dir.path(), 1).is_ok());
        if free_bytes(dir.path()).is_some() {
            let failure = check_room(dir.path(), u64::MAX).unwrap_err();
            assert_eq!(failure.exit, Exit::Output);
            assert!(failure.hint.unwrap().contains("--cache"));
        }
    }

    #[test]
    fn only_models_count_as_present() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(present_bytes(&dir.path().join("missing")), 0);
        for (name, text) in [("x.gguf", "12"), ("mmproj-x.gguf", "345"), ("x.1.part", "6789")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        assert_eq!(present_bytes(dir.path()), 5);
    }
}
