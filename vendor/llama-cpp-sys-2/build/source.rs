//! Where llama.cpp's source comes from, and the patched copy of it that is built.

use crate::patches::Patch;
use crate::{Error, Result, env, io_error, user_env};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the build reads of llama.cpp. A checkout has more, such as models and folders of builds.
const PARTS: [&str; 9] =
    ["CMakeLists.txt", "LICENSE", "cmake", "common", "ggml", "include", "src", "tools/mtmd", "vendor"];

/// An unpatched llama.cpp tree; it is only ever read.
pub struct Upstream {
    /// The folder with llama.cpp's `CMakeLists.txt`.
    pub dir: PathBuf,
    /// The registry package around it, which also holds the C++ shim of feature `common`.
    pub package_dir: Option<PathBuf>,
}

/// `LLAMA_CPP_DIR` if set, else the package that `upstream/Cargo.lock` pins, downloaded by cargo if need be.
pub fn locate(upstream_manifest_dir: &Path) -> Result<Upstream> {
    if let Some(dir) = user_env("LLAMA_CPP_DIR") {
        let dir = PathBuf::from(dir);
        if dir.is_relative() {
            return Err(format!(
                "LLAMA_CPP_DIR={} is relative, and cargo runs this in a folder of its own; use an absolute path",
                dir.display()
            ));
        }
        if !dir.join("include/llama.h").is_file() {
            return Err(format!(
                "LLAMA_CPP_DIR={} has no include/llama.h; point it at a llama.cpp checkout",
                dir.display()
            ));
        }
        let parts = PARTS.iter().map(|part| dir.join(part)).filter(|part| part.exists());
        parts.for_each(|part| println!("cargo::rerun-if-changed={}", part.display()));
        return Ok(Upstream { dir, package_dir: None });
    }
    for file in ["Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", upstream_manifest_dir.join(file).display());
    }
    let manifest = upstream_manifest_dir.join("Cargo.toml");
    // Offline first: cargo does not tell build scripts of its own --offline.
    let metadata = metadata(&manifest, true).or_else(|_| metadata(&manifest, false))?;
    let package = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == "llama-cpp-sys-2")
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or("cargo metadata does not list llama-cpp-sys-2; vendor/llama-cpp-sys-2/upstream/Cargo.toml should depend on it")?;
    let package_dir = Path::new(package).parent().unwrap_or(Path::new(".")).to_path_buf();
    Ok(Upstream { dir: package_dir.join("llama.cpp"), package_dir: Some(package_dir) })
}

fn metadata(manifest: &Path, offline: bool) -> Result<serde_json::Value> {
    let mut command = Command::new(env("CARGO")?);
    command.args(["metadata", "--locked", "--format-version", "1", "--filter-platform", &env("TARGET")?]);
    command.arg("--manifest-path").arg(manifest);
    if offline {
        command.arg("--offline");
    }
    let output = command.output().map_err(|error| format!("cannot run cargo metadata: {error}"))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cannot fetch llama.cpp's source through cargo; is there a network?\n{reason}"));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata printed no JSON: {error}"))
}

/// Makes `target` the patched copy of `upstream`. Files that are already as they should be are left untouched, so that
/// the native build recompiles only what changed.
pub fn sync(upstream: &Upstream, patches: &[Patch], target: &Path) -> Result<()> {
    let mut files = BTreeSet::new();
    for part in PARTS.map(Path::new) {
        let path = upstream.dir.join(part);
        if path.is_dir() {
            list(&upstream.dir, part, &mut files)?;
        } else if path.exists() {
            files.insert(part.to_path_buf());
        }
    }
    let mut present = BTreeSet::new();
    if target.is_dir() {
        list(target, Path::new(""), &mut present)?;
    }
    for path in present.difference(&files) {
        let path = target.join(path);
        fs::remove_file(&path).map_err(|error| io_error("remove", &path, error))?;
    }
    for patch in patches {
        if let Some(missing) = patch.files().find(|path| !files.contains(*path)) {
            return Err(format!(
                "patch {} changes {}, which this llama.cpp does not have",
                patch.name,
                missing.display()
            ));
        }
    }
    for path in &files {
        let from = upstream.dir.join(path);
        let mut content = fs::read(&from).map_err(|error| io_error("read", &from, error))?;
        for patch in patches {
            content = patch.apply(path, content)?;
        }
        write_if_changed(&target.join(path), &content)?;
    }
    Ok(())
}

/// llama.cpp's version as its top-level `CMakeLists.txt` states it.
pub fn version(source_dir: &Path) -> Result<String> {
    let path = source_dir.join("CMakeLists.txt");
    let text = fs::read_to_string(&path).map_err(|error| io_error("read", &path, error))?;
    let part = |name: &str| {
        let start = text.find(&format!("set(LLAMA_VERSION_{name} "))?;
        text[start..].split([' ', ')']).nth(1).map(str::to_owned)
    };
    match (part("MAJOR"), part("MINOR"), part("PATCH")) {
        (Some(major), Some(minor), Some(patch)) => Ok(format!("{major}.{minor}.{patch}")),
        _ => Ok("unknown".into()),
    }
}

fn list(root: &Path, below: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    let dir = root.join(below);
    for entry in fs::read_dir(&dir).map_err(|error| io_error("list", &dir, error))? {
        let entry = entry.map_err(|error| io_error("list", &dir, error))?;
        let path = below.join(entry.file_name());
        // Metadata follows links: a checkout may link folders.
        let kind = fs::metadata(entry.path()).map_err(|error| io_error("read", &entry.path(), error))?;
        if kind.is_dir() {
            if entry.file_name() != ".git" && entry.file_name() != "build" {
                list(root, &path, files)?;
            }
        } else {
            files.insert(path);
        }
    }
    Ok(())
}

fn write_if_changed(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::write(path, content)
    };
    write().map_err(|error: std::io::Error| -> Error { io_error("write", path, error) })
}
