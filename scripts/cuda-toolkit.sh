#!/usr/bin/env bash
# scripts/cuda-toolkit.sh DIR: a CUDA compiler in DIR from the Python package registry, for machines without CUDA's own
# installer. Prints the variables that point a build at it:
#
#     eval "$(scripts/cuda-toolkit.sh ~/cuda)" && cargo build --release --features cuda,llama-cpp-sys-2/cuda-no-vmm,dynamic-link
#
# No driver is needed to compile. About 1 GB on disk; nothing is done where DIR already holds it.
set -euo pipefail

# Compiler, headers and libraries of different releases do not compile together.
release=13.0
packages=(nvidia-cuda-nvcc nvidia-nvvm nvidia-cuda-crt nvidia-cuda-runtime nvidia-cuda-cccl nvidia-cublas)

fail() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

# Present and complete: the compiler answers with the release, and the libraries have the names that linkers look for.
is_ready() {
    "$root/bin/nvcc" --version 2>/dev/null | grep -q "release $release," &&
        [ -e "$root/lib/libcudart.so" ] && [ -e "$root/lib/libcublas.so" ] && [ -e "$root/lib/libcublasLt.so" ] &&
        [ -e "$root/include/cublas_v2.h" ] && [ -e "$root/include/crt/host_config.h" ] &&
        [ -e "$root/include/cccl/cub/cub.cuh" ]
}

# A pip that may install into a folder: the system's, or one of a virtual environment of our own.
pip() {
    if python3 -m pip --version >/dev/null 2>&1; then
        python3 -m pip "$@"
    else
        [ -x "$dir/venv/bin/pip" ] || python3 -m venv "$dir/venv" >&2 ||
            fail "Python has neither pip nor venv" "Debian, Ubuntu: sudo apt install python3-venv"
        "$dir/venv/bin/pip" "$@"
    fi
}

[ $# = 1 ] || fail "no folder was given" "scripts/cuda-toolkit.sh DIR"
[ "$(uname -sm)" = "Linux x86_64" ] || fail "these packages are for Linux on x86-64, this is $(uname -sm)"
command -v python3 >/dev/null || fail "python3 was not found" "Debian, Ubuntu: sudo apt install python3-venv"
command -v g++ >/dev/null || fail "g++ was not found; nvcc compiles host code with it" \
    "Debian, Ubuntu: sudo apt install build-essential"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
root=$dir/nvidia/cu13

if ! is_ready; then
    rm -rf "$dir/nvidia"
    pip install --quiet --no-deps --only-binary=:all: --upgrade --target "$dir" \
        "${packages[@]/%/==$release.*}" >&2 || fail "pip could not fetch CUDA $release" "is there a network?"
    # Wheels hold the libraries under the names that programs load, not under those that linkers look for.
    for library in "$root"/lib/lib*.so.*; do
        ln -sf "$(basename "$library")" "${library%%.so.*}.so"
    done
    ln -sfn lib "$root/lib64"
    is_ready || fail "what pip left in $root is no CUDA $release compiler" "remove $dir and run this again"
fi

cat <<END
export CUDA_PATH='$root'
export CUDAToolkit_ROOT='$root'
export CUDACXX='$root/bin/nvcc'
export CMAKE_CUDA_COMPILER='$root/bin/nvcc'
END
