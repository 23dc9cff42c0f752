//! The embedded demo pair: two small models, trained on rendered scenes, that need no download.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// One embedded file.
struct File {
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! embedded {
    ($name:literal) => {
        File { name: $name, bytes: include_bytes!(concat!("../models/", $name)) }
    };
}

const GUIDE: File = embedded!("guide.gguf");
const GUIDE_MMPROJ: File = embedded!("mmproj-guide.gguf");
const TARGET: File = embedded!("target.gguf");
const TARGET_MMPROJ: File = embedded!("mmproj-target.gguf");

/// Where the embedded pair lies as files.
#[derive(Debug, Clone)]
pub struct DemoPair {
    /// The guide's text model.
    pub guide: PathBuf,
    /// Its projector.
    pub guide_mmproj: PathBuf,
    /// The target's text model.
    pub target: PathBuf,
    /// Its projector.
    pub target_mmproj: PathBuf,
}

/// No folder could take the embedded models.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the embedded models to {dir}: {source}; set SGL_CACHE to a folder that can be written")]
pub struct DemoPairError {
    /// The folder tried last.
    pub dir: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl DemoPair {
    /// Writes the models, if they are not there yet, to `SGL_CACHE` or the user's cache folder, else to the folder for
    /// temporary files. llama.cpp reads models from files only.
    ///
    /// # Errors
    /// [`DemoPairError`] when no folder can be written.
    pub fn install() -> Result<Self, DemoPairError> {
        let mut failed = None;
        for dir in cache_dirs() {
            let dir = dir.join(concat!("demo-pair-", env!("SGL_DEMO_PAIR")));
            match Self::install_in(&dir) {
                Ok(pair) => return Ok(pair),
                Err(source) => failed = failed.or(Some(DemoPairError { dir, source })),
            }
        }
        Err(failed.unwrap_or_else(|| DemoPairError { dir: PathBuf::new(), source: io::ErrorKind::NotFound.into() }))
    }

    fn install_in(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self {
            guide: GUIDE.write_to(dir)?,
            guide_mmproj: GUIDE_MMPROJ.write_to(dir)?,
            target: TARGET.write_to(dir)?,
            target_mmproj: TARGET_MMPROJ.write_to(dir)?,
        })
    }
}

impl File {
    /// Atomically: another process never sees half a model.
    fn write_to(&self, dir: &Path) -> io::Result<PathBuf> {
        let path = dir.join(self.name);
        if fs::metadata(&path).is_ok_and(|present| present.len() == self.bytes.len() as u64) {
            return Ok(path);
        }
        write_atomically(&path, self.bytes)?;
        Ok(path)
    }
}

/// Writes a file under a temporary name beside its place and renames it.
///
/// # Errors
/// What the system says; nothing is left behind then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// The same for what is made while it is written.
///
/// # Errors
/// What the system or `make` says; nothing is left behind then.
pub fn write_atomically_with<T, E: From<io::Error>>(
    path: &Path,
    make: impl FnOnce(&mut fs::File) -> Result<T, E>,
) -> Result<T, E> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let write = || {
        let mut file = fs::File::create_new(&part)?;
        let made = make(&mut file)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        Ok(made)
    };
    write().inspect_err(|_| drop(fs::remove_file(&part)))
}

/// Folders for what can be made again, the first that can be written being the one: `SGL_CACHE`, or the user's cache folder and
/// the folder for temporary files.
pub fn cache_dirs() -> Vec<PathBuf> {
    if let Some(dir) = std::env::var_os("SGL_CACHE").filter(|dir| !dir.is_empty()) {
        return vec![dir.into()];
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let user_cache = if cfg!(target_os = "macos") {
        home.map(|home| home.join("Library/Caches"))
    } else {
        std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
            .or(home.map(|home| home.join(".cache")))
    };
    user_cache.into_iter().chain([std::env::temp_dir()]).map(|dir| dir.join("sgl")).collect()
}
