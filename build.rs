//! Facts about the build for `sgl --version`, and a name for the embedded models' folder, and the page's files.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::Path;

/// Without the patches nothing of `sgl::llama` compiles, in ways that say nothing of the reason.
const UNPATCHED: &str = r#"llama-cpp-sys-2 is the one of the registry, without the patches that sgl needs.
Cargo reads `[patch]` in the manifest of the workspace that is built only; add to that one:

    [patch.crates-io]
    llama-cpp-sys-2 = { git = "<sgl's repository>" }    # or { path = "<sgl's folder>/vendor/llama-cpp-sys-2" }
"#;

fn main() {
    // From the build script of vendor/llama-cpp-sys-2.
    for fact in ["VERSION", "PATCHES", "BACKENDS"] {
        let value = env::var(format!("DEP_LLAMA_{fact}")).unwrap_or_else(|_| panic!("{UNPATCHED}"));
        println!("cargo::rustc-env=SGL_LLAMA_{fact}={value}");
    }
    if env::var_os("CARGO_FEATURE_DYNAMIC_LINK").is_some()
        && let Ok(dir) = env::var("DEP_LLAMA_LIB_DIR")
    {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{dir}");
    }

    let mut hasher = DefaultHasher::new();
    for name in ["guide", "mmproj-guide", "target", "mmproj-target"] {
        let path = format!("models/{name}.gguf");
        println!("cargo::rerun-if-changed={path}");
        fs::read(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}")).hash(&mut hasher);
    }
    println!("cargo::rustc-env=SGL_DEMO_PAIR={:016x}", hasher.finish());
    println!("cargo::rerun-if-changed=build.rs");
    page();
}

/// A table of the files of the server's page, for it to include.
fn page() {
    let dir = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("src/server/page");
    println!("cargo::rerun-if-changed={}", dir.display());
    let files = fs::read_dir(&dir).unwrap_or_else(|error| panic!("cannot read {}: {error}", dir.display()));
    let mut names: Vec<_> = files.map(|file| file.expect("a folder is read").file_name()).collect();
    names.sort();
    let line = |name: OsString| {
        let path = dir.join(&name);
        format!("    ({:?}, include_bytes!({:?})),\n", name.display().to_string(), path.display().to_string())
    };
    let table: String = names.into_iter().map(line).collect();
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("page.rs");
    fs::write(out, format!("const FILES: &[(&str, &[u8])] = &[\n{table}];\n"))
        .expect("the build folder can be written");
}
