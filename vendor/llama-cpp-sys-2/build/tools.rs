//! The programs the native build needs, and what to install when one is missing.

use crate::{Result, feature};
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

/// Fails with installation hints at the first tool that is missing.
pub fn check() -> Result<()> {
    if !runs(Command::new(crate::user_env("CMAKE").unwrap_or_else(|| "cmake".into()))) {
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
    let has_nvcc = || {
        let toolkit = crate::user_env("CUDA_PATH").map(|dir| format!("{dir}/bin/nvcc"));
        let named = crate::user_env("CUDACXX").or(toolkit).into_iter();
        named.chain(["nvcc".into(), "/usr/local/cuda/bin/nvcc".into()]).any(|nvcc| runs(Command::new(nvcc)))
    };
    if feature("cuda") && !has_nvcc() {
        return Err(NVCC.missing(""));
    }
    Ok(())
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
