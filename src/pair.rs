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
    name.push(".");
    // No other writer has its name, also not one that was killed, or one in another container.
    let mut builder = tempfile::Builder::new();
    builder.prefix(&name).suffix(".part");
    // As of any other new file: what the umask leaves of it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut part = builder.tempfile_in(dir)?;
    let made = make(part.as_file_mut())?;
    part.as_file().sync_all()?;
    part.persist(path).map_err(|error| error.error)?;
    Ok(made)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_another_writer_left_neither_hinders_nor_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.gguf");
        let stale = format!("model.gguf.{}.part", std::process::id());
        fs::write(dir.path().join(&stale), "half").unwrap();
        write_atomically(&path, b"first").unwrap();
        write_atomically(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(dir.path()), ["model.gguf", &stale]);
    }

    #[test]
    fn two_writers_at_once_do_not_meet() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.gguf");
        write_atomically_with(&path, |outer| {
            outer.write_all(b"outer")?;
            write_atomically(&path, b"inner")?;
            assert_eq!(fs::read(&path)?, b"inner");
            Ok::<_, io::Error>(())
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"outer");
        assert_eq!(names(dir.path()), ["model.gguf"]);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.gguf");
        write_atomically(&path, b"whole").unwrap();
        let failed = write_atomically_with(&path, |file| {
            file.write_all(b"half")?;
            Err::<(), _>(io::Error::other("full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "full");
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(dir.path()), ["model.gguf"]);
        assert!(write_atomically(&dir.path().join("missing/model.gguf"), b"").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_what_they_may_read_of_any_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let [ours, plain] = ["ours", "plain"].map(|name| dir.path().join(name));
        write_atomically(&ours, b"").unwrap();
        fs::write(&plain, b"").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
