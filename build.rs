//! Facts about the build for `sgl --version`, and a name for the embedded models' folder.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fs;
use std::hash::{Hash, Hasher};

fn main() {
    // From the build script of vendor/llama-cpp-sys-2.
    for fact in ["VERSION", "PATCHES", "BACKENDS"] {
        let value = env::var(format!("DEP_LLAMA_{fact}")).unwrap_or_else(|_| "unknown".to_owned());
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
}
