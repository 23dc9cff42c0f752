//! Reads `patches/*.patch` and applies them to file contents.

use crate::{Result, io_error};
use diffy::patch_set::{FileOperation, ParseOptions, PatchKind, PatchSet};
use std::fs;
use std::path::{Path, PathBuf};

/// One patch file of the series.
pub struct Patch {
    /// File name without its extension, such as `0001-attention-export`.
    pub name: String,
    /// The file as it is, for the build key.
    pub text: String,
    files: Vec<PathBuf>,
}

/// All patches of the folder in the order of their names.
pub fn load(dir: &Path) -> Result<Vec<Patch>> {
    println!("cargo::rerun-if-changed={}", dir.display());
    let entries = fs::read_dir(dir).map_err(|error| io_error("list", dir, error))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
    paths.sort();
    paths.iter().map(|path| Patch::read(path)).collect()
}

impl Patch {
    fn read(path: &Path) -> Result<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).map_err(|error| io_error("read", path, error))?;
        let files = parse(&name, &text)?.into_iter().map(|(file, _)| file).collect();
        Ok(Patch { name, text, files })
    }

    /// The files that the patch changes, relative to llama.cpp's folder.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    /// Applies what the patch holds for `path`; a hunk that does not fit is an error that names patch, file and hunk.
    pub fn apply(&self, path: &Path, content: Vec<u8>) -> Result<Vec<u8>> {
        if !self.files().any(|changed| changed == path) {
            return Ok(content);
        }
        let at = || format!("patch {}, file {}", self.name, path.display());
        let mut content = String::from_utf8(content).map_err(|_| format!("{}: the file is not UTF-8", at()))?;
        for (_, diff) in parse(&self.name, &self.text)?.iter().filter(|(changed, _)| changed == path) {
            content = diffy::apply(&content, diff).map_err(|error| {
                format!(
                    "{}: {error}; this llama.cpp is not the one the patches were made for, see patches/README.md",
                    at()
                )
            })?;
        }
        Ok(content.into_bytes())
    }
}

fn parse<'a>(name: &str, text: &'a str) -> Result<Vec<(PathBuf, diffy::Patch<'a, str>)>> {
    let mut files = Vec::new();
    for file in PatchSet::parse(text, ParseOptions::gitdiff()) {
        let file = file.map_err(|error| format!("patch {name} cannot be parsed: {error}"))?;
        let path = match file.operation().strip_prefix(1) {
            FileOperation::Modify { modified, .. } => PathBuf::from(modified.as_ref()),
            _ => return Err(format!("patch {name} adds, removes or renames a file; only changes are supported")),
        };
        match file.into_patch() {
            PatchKind::Text(diff) => files.push((path, diff)),
            PatchKind::Binary(_) => return Err(format!("patch {name} changes the binary file {}", path.display())),
        }
    }
    if files.is_empty() {
        return Err(format!("patch {name} changes nothing"));
    }
    Ok(files)
}
