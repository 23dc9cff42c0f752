//! The programs the native build needs, and what to install when one is missing.

use crate::{Result, feature, user_env};
use std::path::PathBuf;
use std::process::Command;

struct Tool {
    name: &'static str,
    debian: &'static str,
    fedora: &'static str,
    macos: &'static str,
}

const CMAKE: Tool = Tool {
    name: "cmake",
    debian: "sudo apt install cmake",
    fedora: "sudo dnf install cmake",
    macos: "brew install cmake",
};

const COMPILER: Tool = Tool {
    name: "a C++ compiler",
    debian: "sudo apt install build-essential",
    fedora: "sudo dnf install gcc-c++ make",
    macos: "xcode-select --install",
};

const LIBCLANG: Tool = Tool {
    name: "libclang (it reads llama.cpp's headers)",
    debian: "sudo apt install libclang-dev",
    fedora: "sudo dnf install clang-devel",
    macos: "xcode-select --install  (or: brew install llvm)",
};

const NVCC: Tool = Tool {
    name: "nvcc (the CUDA compiler)",
    debian: "sudo apt install nvidia-cuda-toolkit",
    fedora: "install the CUDA toolkit from NVIDIA's repository",
    macos: "not available; build without the feature `cuda`",
};

const GLSLC: Tool = Tool {
    name: "glslc (the compiler of Vulkan's shaders)",
    debian: "sudo apt install libvulkan-dev glslc spirv-headers",
    fedora: "sudo dnf install vulkan-loader-devel vulkan-headers glslc spirv-headers-devel",
    macos: "brew install vulkan-loader vulkan-headers shaderc spirv-headers molten-vk  (or LunarG's SDK, with VULKAN_SDK set)",
};

/// Fails with installation hints at the first tool that is missing.
pub fn check() -> Result<()> {
    if !runs(Command::new(user_env("CMAKE").unwrap_or_else(|| "cmake".into()))) {
        return Err(CMAKE.missing(""));
    }
    match cc::Build::new().cpp(true).try_get_compiler() {
        Ok(compiler) if compiler.is_like_msvc() || runs(compiler.to_command()) => {}
        Ok(compiler) => return Err(COMPILER.missing(&format!(" (tried {})", compiler.path().display()))),
        Err(error) => return Err(COMPILER.missing(&format!(" ({error})"))),
    }
    if let Err(reason) = clang_sys::load() {
        let reason = reason.lines().next().unwrap_or_default().to_owned();
        return Err(format!(
            "{}\n  If it is installed, point LIBCLANG_PATH at its folder.",
            LIBCLANG.missing(&format!(" ({reason})"))
        ));
    }
    if feature("cuda") && nvcc().is_none() {
        return Err(NVCC.missing(""));
    }
    let has_glslc = || {
        let named = user_env("VULKAN_SDK").map(|dir| format!("{dir}/bin/glslc")).into_iter();
        named.chain(["glslc".into()]).any(|glslc| runs(Command::new(glslc)))
    };
    if feature("vulkan") && !has_glslc() {
        return Err(GLSLC.missing(""));
    }
    Ok(())
}

/// The path of the C or C++ compiler, as cmake is told it.
pub fn compiler(cpp: bool) -> Result<PathBuf> {
    let compiler = cc::Build::new().cpp(cpp).try_get_compiler();
    Ok(compiler.map_err(|error| COMPILER.missing(&format!(" ({error})")))?.path().to_path_buf())
}

/// The CUDA compiler: one that is named, or the first that answers.
pub fn nvcc() -> Option<String> {
    let toolkit = user_env("CUDA_PATH").map(|dir| format!("{dir}/bin/nvcc"));
    let named = user_env("CUDACXX").or_else(|| user_env("CMAKE_CUDA_COMPILER")).or(toolkit).into_iter();
    named.chain(["nvcc".into(), "/usr/local/cuda/bin/nvcc".into()]).find(|nvcc| runs(Command::new(nvcc)))
}

/// A compiler cache on the PATH, if there is one.
pub fn compiler_cache() -> Option<&'static str> {
    ["ccache", "sccache"].into_iter().find(|name| runs(Command::new(name)))
}

fn runs(mut command: Command) -> bool {
    command.arg("--version").output().is_ok_and(|output| output.status.success())
}

impl Tool {
    fn missing(&self, detail: &str) -> String {
        format!(
            "{} was not found{detail}; building llama.cpp needs it.\n  Debian, Ubuntu: {}\n  Fedora:         {}\n  macOS:          {}",
            self.name, self.debian, self.fedora, self.macos
        )
    }
}
