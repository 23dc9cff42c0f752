//! The C shim over llama.cpp's `common` library (feature `common`), taken from the registry package like llama.cpp itself.

use crate::native::Build;
use crate::source::Upstream;
use crate::{Result, io_error};
use std::fs;

/// Copies the shim beside the patched source, which its includes then name.
pub fn prepare(build: &Build, upstream: &Upstream) -> Result<()> {
    let Some(package_dir) = &upstream.package_dir else {
        return Err("feature `common` needs the pinned package; unset LLAMA_CPP_DIR".into());
    };
    let shim_dir = build.shim_dir();
    fs::create_dir_all(&shim_dir).map_err(|error| io_error("create", &shim_dir, error))?;
    for file in ["wrapper_common.cpp", "wrapper_common.h", "wrapper_utils.h"] {
        let from = package_dir.join(file);
        let text = fs::read_to_string(&from).map_err(|error| io_error("read", &from, error))?;
        let to = shim_dir.join(file);
        fs::write(&to, text.replace("\"llama.cpp/", "\"../source/")).map_err(|error| io_error("write", &to, error))?;
    }
    Ok(())
}

/// Compiles the shim; it must be linked before the libraries it calls.
pub fn compile(build: &Build) -> Result<()> {
    let source_dir = build.source_dir();
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .opt_level(3)
        .include(build.shim_dir())
        .includes(["common", "include", "ggml/include", "vendor"].map(|dir| source_dir.join(dir)))
        .file(build.shim_dir().join("wrapper_common.cpp"))
        .try_compile("llama_common_shim")
        .map_err(|error| format!("cannot compile the shim of feature `common`: {error}"))
}
