//! Fetches the pinned llama.cpp through cargo, patches a copy, builds it and writes the bindings.
//!
//! The native build lives in one folder per feature set beside the cargo profiles (`target/llama.cpp/<key>`), so that
//! debug, release, clippy and doc builds share it; only the bindings go to `OUT_DIR`.

mod bindings;
mod link;
mod native;
mod parse;
mod patches;
mod shim;
mod source;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is wrong, with the fix; shown by cargo as the build script's error output.
type Error = String;
type Result<T> = std::result::Result<T, Error>;

fn main() -> ExitCode {
    // A sanitizer of Rust code is not one of C++: that is asked for by `CMAKE_CXX_FLAGS`.
    // SAFETY: no other thread reads the environment yet.
    unsafe { std::env::remove_var("CARGO_CFG_SANITIZE") };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    println!("cargo::rerun-if-changed=build");
    refuse_unsupported_features()?;
    tools::check()?;

    let manifest_dir = PathBuf::from(env("CARGO_MANIFEST_DIR")?);
    let patches = patches::load(&manifest_dir.join("../../patches"))?;
    let upstream = source::locate(&manifest_dir.join("upstream"))?;

    let build = native::Build::new(&upstream, &patches)?;
    let _lock = build.lock()?;
    source::sync(&upstream, &patches, &build.source_dir())?;
    if feature("common") {
        shim::prepare(&build, &upstream)?;
    }
    build.run()?;
    bindings::write(&build.source_dir(), Path::new(&env("OUT_DIR")?))?;
    if feature("common") {
        shim::compile(&build)?;
    }
    link::emit(&build)?;

    println!("cargo::metadata=version={}", source::version(&build.source_dir())?);
    println!("cargo::metadata=patches={}", patches.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(","));
    println!("cargo::metadata=backends={}", native::backends().join(","));
    println!("cargo::metadata=lib_dir={}", build.lib_dir().display());
    Ok(())
}

fn refuse_unsupported_features() -> Result<()> {
    for name in ["mkl", "opencl", "rocm", "webgpu", "system-ggml", "dynamic-backends", "static-openmp", "static-stdcxx"]
    {
        if feature(name) {
            return Err(format!(
                "feature `{name}` of llama-cpp-sys-2 is not supported here; use cuda, metal, vulkan or the CPU"
            ));
        }
    }
    Ok(())
}

/// Whether a cargo feature of this crate is on.
fn feature(name: &str) -> bool {
    std::env::var_os(format!("CARGO_FEATURE_{}", name.to_uppercase().replace('-', "_"))).is_some()
}

fn env(name: &str) -> Result<String> {
    std::env::var(name).map_err(|_| format!("{name} is not set; this program is run by cargo"))
}

/// Reads a user's variable and makes cargo rebuild when it changes.
fn user_env(name: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={name}");
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn io_error(what: &str, path: &Path, error: std::io::Error) -> Error {
    format!("cannot {what} {}: {error}", path.display())
}
