#!/usr/bin/env bash
# scripts/gpu-bundle.sh [--kernels] OUT.tar.xz: what scripts/gpu-check.sh needs on a machine with an NVIDIA GPU and without
# Rust: programs built here, and the patched source of the libraries under them, which the check builds with CUDA there.
#
# --kernels builds the libraries with CUDA here, for machines without nvcc; scripts/cuda-toolkit.sh sets up a compiler. They
# need the same major release of CUDA's libraries there. SGL_CUDA_ARCHS names the compute capabilities, as
# CMAKE_CUDA_ARCHITECTURES does [default: 90-real].
#
# The models stay out of the programs; the check puts them back from models/ of its own checkout.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

kernels=no features=dynamic-link
if [ "${1:-}" = --kernels ]; then
    kernels=yes features=dynamic-link,cuda,llama-cpp-sys-2/cuda-no-vmm
    shift
fi
[ $# = 1 ] || fail "no file was given" "scripts/gpu-bundle.sh [--kernels] OUT.tar.xz"
out=$(realpath "$1")
for tool in cargo python3 readelf strip xz; do
    command -v "$tool" >/dev/null || fail "$tool was not found" "install it with your system's package manager"
done

# Portable, since the processor there is another one. No driver is here to link with, so CUDA's memory pool goes without it.
# xz makes less of all kernels together than nvcc does of each.
export SGL_PORTABLE=1
if [ $kernels = yes ]; then
    "${CUDACXX:-nvcc}" --version >/dev/null 2>&1 || fail "nvcc was not found" 'eval "$(scripts/cuda-toolkit.sh DIR)"'
    export GGML_CUDA_COMPRESSION_MODE=none CMAKE_CUDA_ARCHITECTURES="${SGL_CUDA_ARCHS:-90-real}"
fi
build=(--release --locked --features "$features")
cargo build "${build[@]}" --bin sgl --example export_overhead
tests=$(cargo test "${build[@]}" --lib --no-run --message-format json-render-diagnostics |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work"/{bin,lib}
release=$(dirname "$(dirname "$tests")")
install -s "$release/sgl" "$release/examples/export_overhead" "$work/bin"
install -s "$tests" "$work/bin/sgl-tests"
printf '%s\n' "$PWD" > "$work/manifest-dir"

# The folder of the shared libraries is the one that the programs look in.
libraries=$(readelf -d "$work/bin/sgl" | sed -n 's/.*R.*PATH.*\[\(.*\)\]/\1/p')
for library in "$libraries"/lib*.so.[0-9]; do
    install -s "$(realpath "$library")" "$work/lib/$(basename "$library")"
done
for library in libcudart libgomp; do
    ldd "$work"/lib/*.so* | sed -n "s/.*$library.*=> \(.*\) (.*/\1/p" | head -n 1 | xargs -r cp -L -t "$work/lib"
done

# The patched source, without what these libraries are not made of, and the switches they were built with.
source=$libraries/../../source
mkdir -p "$work/source/ggml/src" "$work/source/tools"
cp -r "$source"/{CMakeLists.txt,LICENSE,cmake,include,src,vendor} "$work/source"
cp -r "$source/tools/mtmd" "$work/source/tools"
cp -r "$source/ggml"/{CMakeLists.txt,cmake,include} "$work/source/ggml"
find "$source/ggml/src" -mindepth 1 -maxdepth 1 ! -type d -exec cp {} "$work/source/ggml/src" \;
cp -r "$source"/ggml/src/ggml-{cpu,cuda} "$work/source/ggml/src"
sed -nE 's/^((BUILD_SHARED_LIBS|(LLAMA|GGML|MTMD)_[A-Z0-9_]+)):(BOOL|STRING)=(.*)$/set(\1 "\5" CACHE \4 "")/p' \
    "$libraries/../CMakeCache.txt" | grep -v -e GGML_CUDA -e _NATIVE -e _CCACHE > "$work/source/switches.cmake"

python3 - "$work" models/*.gguf <<'END'
"""Cuts the models out of the programs. `holes` says where: program, offset, length, model."""
import hashlib, pathlib, sys

work = pathlib.Path(sys.argv[1])
with open(work / "holes", "w") as holes, open(work / "sums", "w") as sums:
    for path in sorted((work / "bin").iterdir()):
        program = bytearray(path.read_bytes())
        sums.write(f"{hashlib.sha256(program).hexdigest()}  bin/{path.name}\n")
        for name in sys.argv[2:]:
            model = pathlib.Path(name).read_bytes()
            offset = program.find(model)
            if offset >= 0:
                program[offset : offset + len(model)] = bytes(len(model))
                holes.write(f"bin/{path.name} {offset} {len(model)} {name}\n")
        path.write_bytes(program)
END

# Instructions of a GPU are 16 bytes long, which tells xz where to look.
tar -C "$work" -c . | xz --lzma2=preset=9,dict=192MiB,lc=0,lp=4,pb=4 > "$out.partial"
mv "$out.partial" "$out"
glibc=$(readelf --dyn-syms -W "$work"/bin/* "$work"/lib/* | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1)
printf '%s: %s MB, needs glibc %s, kernels: %s\n' "$1" "$(($(stat -c %s "$out") / 1000000))" "${glibc#GLIBC_}" \
    "$([ $kernels = no ] && echo none || echo "$CMAKE_CUDA_ARCHITECTURES")"
