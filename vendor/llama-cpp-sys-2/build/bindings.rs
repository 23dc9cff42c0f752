//! Rust bindings of the patched headers, under the names that the registry crate gives them.

use crate::{Result, feature};
use std::path::Path;

pub fn write(source_dir: &Path, out_dir: &Path) -> Result<()> {
    let header = |path: &str| source_dir.join(path).to_string_lossy().into_owned();
    let mut builder = bindgen::Builder::default()
        .header(header("include/llama.h"))
        .header(header("ggml/include/gguf.h"))
        .clang_args(["include", "ggml/include", "tools/mtmd"].map(|dir| format!("-I{}", header(dir))))
        .allowlist_item("(ggml|gguf|llama)_.*")
        .allowlist_recursively(false)
        .raw_line("type FILE = ::std::os::raw::c_void;")
        .prepend_enum_name(false)
        .derive_partialeq(true)
        .generate_comments(false)
        .layout_tests(false);
    if feature("mtmd") {
        builder = builder
            .header(header("tools/mtmd/mtmd.h"))
            .header(header("tools/mtmd/mtmd-helper.h"))
            .allowlist_item("mtmd_.*");
    }
    if feature("common") {
        builder = builder.header(header("../shim/wrapper_common.h")).allowlist_item("llama_rs_.*");
    }
    let bindings = builder.generate().map_err(|error| {
        format!("bindgen cannot read llama.cpp's headers: {error}\n  If a standard header is missing, install clang's own (Debian: libclang-dev)")
    })?;
    bindings
        .write_to_file(out_dir.join("bindings.rs"))
        .map_err(|error| crate::io_error("write", &out_dir.join("bindings.rs"), error))
}
