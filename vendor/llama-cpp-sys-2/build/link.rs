//! What rustc links: the libraries that the native build left in one folder, dependents before what they depend on.

use crate::native::Build;
use crate::{Result, env, feature, io_error, parse, user_env};
use std::fs;
use std::path::Path;
use std::process::Command;

const ORDER: [&str; 11] = [
    "llama-common",
    "llama-common-base",
    "mtmd",
    "llama",
    "vendor-hash",
    "ggml",
    "ggml-cuda",
    "ggml-metal",
    "ggml-vulkan",
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
    system_libraries(build, kind == "static")
}

fn system_libraries(build: &Build, is_static: bool) -> Result<()> {
    let os = env("CARGO_CFG_TARGET_OS")?;
    let libraries: &[&str] = match os.as_str() {
        "macos" => {
            &["framework=Foundation", "framework=Metal", "framework=MetalKit", "framework=Accelerate", "dylib=c++"]
        }
        "linux" => &["dylib=stdc++"],
        "windows" => &["dylib=advapi32"],
        _ => &[],
    };
    for library in libraries {
        println!("cargo::rustc-link-lib={library}");
    }
    if os == "macos" {
        clang_runtime();
    }
    if feature("vulkan") && is_static {
        match parse::library(&build.cache()?, "Vulkan_LIBRARY") {
            Some((name, dir)) => found(name, Some(dir)),
            None => found("vulkan", None),
        }
    }
    if feature("openmp") && os == "linux" {
        parse::openmp(&build.cache()?).into_iter().for_each(|(name, dir)| found(name, dir));
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

/// A shared library that cmake found, and where: SDKs and Homebrew keep theirs where no linker looks.
fn found(name: &str, dir: Option<&Path>) {
    if let Some(dir) = dir {
        println!("cargo::rustc-link-search=native={}", dir.display());
    }
    println!("cargo::rustc-link-lib=dylib={name}");
}

/// What `@available` of Objective-C calls. clang links it by itself, but rustc tells it to link nothing of its own.
fn clang_runtime() {
    let output = Command::new("clang").arg("--print-file-name=libclang_rt.osx.a").output();
    let Ok(path) = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()) else { return };
    // What clang does not have it prints as a bare name.
    let path = Path::new(&path);
    if let Some(dir) = path.parent().filter(|_| path.is_absolute() && path.is_file()) {
        println!("cargo::rustc-link-search=native={}", dir.display());
        println!("cargo::rustc-link-lib=clang_rt.osx");
    }
}
