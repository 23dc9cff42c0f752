//! The cmake build of the patched copy, shared by all cargo profiles of a target folder.

use crate::patches::Patch;
use crate::source::Upstream;
use crate::{Result, env, feature, io_error, parse, tools, user_env};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One native build, named by all that decides what comes out of it.
pub struct Build {
    dir: PathBuf,
    definitions: Vec<(String, String)>,
}

impl Build {
    pub fn new(upstream: &Upstream, patches: &[Patch]) -> Result<Self> {
        let definitions = definitions()?;
        let mut hasher = DefaultHasher::new();
        (&upstream.dir, &definitions, env("TARGET")?, feature("common")).hash(&mut hasher);
        // cmake drops all definitions where a compiler changes in a folder that it knows.
        (tools::compiler(false)?, tools::compiler(true)?).hash(&mut hasher);
        for (backend, name) in [("cuda", "CUDACXX"), ("vulkan", "VULKAN_SDK")] {
            feature(backend).then(|| user_env(name)).flatten().hash(&mut hasher);
        }
        patches.iter().for_each(|patch| patch.text.hash(&mut hasher));
        let dir = target_dir()?.join("llama.cpp").join(format!("{:016x}", hasher.finish()));
        Ok(Build { dir, definitions })
    }

    pub fn source_dir(&self) -> PathBuf {
        self.dir.join("source")
    }

    pub fn shim_dir(&self) -> PathBuf {
        self.dir.join("shim")
    }

    /// Where the libraries are left: archives where they are told to go, shared ones where llama.cpp puts them.
    pub fn lib_dir(&self) -> PathBuf {
        self.dir.join(if feature("dynamic-link") { "build/bin" } else { "lib" })
    }

    /// What cmake found on this machine.
    pub fn cache(&self) -> Result<String> {
        let path = self.dir.join("build/CMakeCache.txt");
        fs::read_to_string(&path).map_err(|error| io_error("read", &path, error))
    }

    /// Held while the folder is written: cargo may run this script for two profiles at once.
    pub fn lock(&self) -> Result<File> {
        fs::create_dir_all(&self.dir).map_err(|error| io_error("create", &self.dir, error))?;
        let path = self.dir.join("lock");
        let file = File::create(&path).map_err(|error| io_error("create", &path, error))?;
        file.lock().map_err(|error| io_error("lock", &path, error))?;
        Ok(file)
    }

    /// Configures and builds; with nothing to do it costs a second.
    pub fn run(&self) -> Result<()> {
        let mut config = cmake::Config::new(self.source_dir());
        config.out_dir(&self.dir).profile("Release").build_target("mtmd");
        for (name, value) in &self.definitions {
            config.define(name, value);
        }
        // With the configuration's name: generators of many configurations add a folder to the other variables.
        for (kind, dir) in [("ARCHIVE", "lib"), ("LIBRARY", "build/bin"), ("RUNTIME", "build/bin")] {
            config.define(format!("CMAKE_{kind}_OUTPUT_DIRECTORY_RELEASE"), self.dir.join(dir));
        }
        // Relative paths let a compiler cache serve every checkout on the machine.
        config.env("CCACHE_BASEDIR", &self.dir).env("CCACHE_NOHASHDIR", "1");
        config.build();
        if feature("common") {
            config.build_target("llama-common").build();
        }
        Ok(())
    }
}

/// The compute backends of this build, besides the CPU's plain one.
pub fn backends() -> Vec<&'static str> {
    let on_macos = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "macos");
    let mut backends = vec!["cpu"];
    backends.extend(["cuda", "vulkan"].into_iter().filter(|name| feature(name)));
    if feature("metal") || on_macos {
        backends.push("metal");
    }
    backends
}

fn definitions() -> Result<Vec<(String, String)>> {
    let backends = backends();
    let cross = env("HOST")? != env("TARGET")?;
    let native = !cross && user_env("SGL_PORTABLE").is_none_or(|value| value == "0");
    let openmp = feature("openmp") && env("CARGO_CFG_TARGET_OS")? == "linux";
    let switches = [
        ("BUILD_SHARED_LIBS", feature("dynamic-link")),
        ("CMAKE_POSITION_INDEPENDENT_CODE", true),
        ("LLAMA_BUILD_COMMON", feature("common")),
        ("LLAMA_BUILD_MTMD", true),
        ("LLAMA_BUILD_APP", false),
        ("LLAMA_BUILD_EXAMPLES", false),
        ("LLAMA_BUILD_SERVER", false),
        ("LLAMA_BUILD_TESTS", false),
        ("LLAMA_BUILD_TOOLS", false),
        ("LLAMA_OPENSSL", false),
        ("MTMD_VIDEO", false),
        ("GGML_NATIVE", native),
        // On by default on Apple: it would compute products in another way for other batches, and without our patches.
        ("GGML_BLAS", false),
        ("GGML_OPENMP", openmp),
        ("GGML_METAL", backends.contains(&"metal")),
        ("GGML_METAL_EMBED_LIBRARY", backends.contains(&"metal")),
        ("GGML_CUDA", backends.contains(&"cuda")),
        ("GGML_CUDA_NCCL", false),
        ("GGML_CUDA_NO_VMM", feature("cuda-no-vmm")),
        ("GGML_VULKAN", backends.contains(&"vulkan")),
    ];
    let mut definitions: Vec<(String, String)> =
        switches.map(|(name, on)| (name.to_owned(), if on { "ON" } else { "OFF" }.to_owned())).into();
    // What packagers and users of unusual machines set for cmake reaches it.
    for name in [
        "CMAKE_CUDA_ARCHITECTURES",
        "CMAKE_CUDA_COMPILER",
        "CMAKE_OSX_DEPLOYMENT_TARGET",
        "CMAKE_C_FLAGS",
        "CMAKE_CXX_FLAGS",
        "GGML_CUDA_COMPRESSION_MODE",
    ] {
        definitions.extend(user_env(name).map(|value| (name.to_owned(), value)));
    }
    if env("CARGO_CFG_TARGET_OS")? == "macos" && user_env("CMAKE_OSX_DEPLOYMENT_TARGET").is_none() {
        definitions.extend(deployment_target(cross).map(|version| ("CMAKE_OSX_DEPLOYMENT_TARGET".to_owned(), version)));
    }
    // cmake looks for it on the PATH only.
    let is_named = |name: &&str| user_env(name).is_some();
    if feature("cuda") && !["CUDACXX", "CMAKE_CUDA_COMPILER"].iter().any(is_named) {
        let nvcc = tools::nvcc().filter(|nvcc| Path::new(nvcc).is_absolute());
        definitions.extend(nvcc.map(|nvcc| ("CMAKE_CUDA_COMPILER".to_owned(), nvcc)));
    }
    if let Some(cache) = tools::compiler_cache() {
        let languages = if feature("cuda") { &["C", "CXX", "CUDA"][..] } else { &["C", "CXX"] };
        definitions
            .extend(languages.iter().map(|language| (format!("CMAKE_{language}_COMPILER_LAUNCHER"), cache.to_owned())));
    }
    Ok(definitions)
}

/// The oldest macOS to run on: what the user says, else this one. The default is that of the SDK, which may be newer than the
/// system: such programs end in the loader.
fn deployment_target(cross: bool) -> Option<String> {
    user_env("MACOSX_DEPLOYMENT_TARGET").or_else(|| {
        let version = (!cross).then(|| Command::new("sw_vers").arg("-productVersion").output())?.ok()?;
        parse::major_minor(&String::from_utf8_lossy(&version.stdout))
    })
}

/// cargo's target folder: `OUT_DIR` is `<target>[/<triple>]/<profile>/build/<package>/out`.
fn target_dir() -> Result<PathBuf> {
    let out_dir = PathBuf::from(env("OUT_DIR")?);
    let build_dir = out_dir.ancestors().find(|dir| dir.ends_with("build"));
    match build_dir.and_then(|dir| dir.parent()?.parent()) {
        Some(dir) => Ok(dir.to_path_buf()),
        None => Ok(out_dir),
    }
}
