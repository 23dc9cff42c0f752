//! What rustc links: the libraries that the native build left in one folder, dependents before what they depend on.

use crate::native::Build;
use crate::{Result, env, feature, io_error, user_env};
use std::fs;

const ORDER: [&str; 12] = [
    "llama-common",
    "llama-common-base",
    "mtmd",
    "llama",
    "vendor-hash",
    "ggml",
    "ggml-cuda",
    "ggml-metal",
    "ggml-vulkan",
    "ggml-blas",
    "ggml-cpu",
    "ggml-base",
];

pub fn emit(build: &Build) -> Result<()> {
    let kind = if feature("dynamic-link") { "dylib" } else { "static" };
    let lib_dir = build.lib_dir();
    let entries = fs::read_dir(&lib_dir).map_err(|error| io_error("list", &lib_dir, error))?;
    let built: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    println!("cargo::rustc-link-search=native={}", lib_dir.display());
    for name in ORDER {
        let is_file_of =
            |file: &String| file.split('.').next().is_some_and(|stem| stem.strip_prefix("lib").unwrap_or(stem) == name);
        if let Some(file) = built.iter().find(|file| is_file_of(file)) {
            let kind = if file.ends_with(".a") { "static" } else { kind };
            println!("cargo::rustc-link-lib={kind}={name}");
        }
    }
    system_libraries(kind == "static")
}

fn system_libraries(is_static: bool) -> Result<()> {
    let os = env("CARGO_CFG_TARGET_OS")?;
    let libraries: &[&str] = match os.as_str() {
        "macos" => {
            &["framework=Foundation", "framework=Metal", "framework=MetalKit", "framework=Accelerate", "dylib=c++"]
        }
        "linux" if feature("openmp") => &["dylib=stdc++", "dylib=gomp"],
        "linux" => &["dylib=stdc++"],
        _ => &[],
    };
    for library in libraries {
        println!("cargo::rustc-link-lib={library}");
    }
    if feature("vulkan") && is_static {
        println!("cargo::rustc-link-lib=dylib=vulkan");
    }
    if feature("cuda") && is_static {
        let root = user_env("CUDA_PATH").unwrap_or_else(|| "/usr/local/cuda".into());
        for dir in ["lib64", "lib64/stubs", "targets/x86_64-linux/lib", "targets/x86_64-linux/lib/stubs"] {
            println!("cargo::rustc-link-search=native={root}/{dir}");
        }
        for library in ["dylib=cudart", "dylib=cublas", "dylib=cublasLt"] {
            println!("cargo::rustc-link-lib={library}");
        }
        if !feature("cuda-no-vmm") {
            println!("cargo::rustc-link-lib=dylib=cuda");
        }
    }
    Ok(())
}
