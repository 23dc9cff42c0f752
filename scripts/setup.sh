#!/bin/sh
# Makes sure that a cargo that is new enough, cmake, make, a C++ compiler and libclang are there. Installs the others with the system's package
# manager where that needs no question asked; otherwise says what to install.
set -eu

has() { command -v "$1" >/dev/null 2>&1; }

has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    for file in /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* /usr/lib64/libclang.so* \
        /usr/local/lib/libclang.so* /usr/lib64/llvm*/lib/libclang.so* /Library/Developer/CommandLineTools/usr/lib/libclang.dylib \
        /Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib/libclang.dylib \
        /opt/homebrew/opt/llvm/lib/libclang.dylib /usr/local/opt/llvm/lib/libclang.dylib; do
        # libclang-cpp is another library.
        case $file in *libclang-cpp*) continue ;; esac
        [ -e "$file" ] && return 0
    done
    return 1
}

# libclang reads no header without clang's own; distributions pack them apart.
has_clang_headers() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    for dir in /usr/lib/llvm-*/lib /usr/lib /usr/lib64 /usr/lib64/llvm*/lib /usr/local/lib /Library/Developer/CommandLineTools/usr/lib \
        /Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib \
        /opt/homebrew/opt/llvm/lib /usr/local/opt/llvm/lib; do
        for file in "$dir"/clang/*/include/stddef.h; do
            [ -e "$file" ] && return 0
        done
    done
    return 1
}

# Whether a release (1.88.0) comes before another (1.89).
is_older() {
    minor=${1#*.} other_minor=${2#*.}
    [ "${1%%.*}" -lt "${2%%.*}" ] || { [ "${1%%.*}" -eq "${2%%.*}" ] && [ "${minor%%.*}" -lt "${other_minor%%.*}" ]; }
}

missing() {
    has cmake || printf ' cmake'
    { has c++ || has g++ || has clang++; } || printf ' compiler'
    has make || printf ' make'
    { has_libclang && has_clang_headers; } || printf ' libclang'
}

if ! has cargo; then
    echo "error: cargo was not found" >&2
    echo "hint: install Rust, see https://rustup.rs" >&2
    exit 1
fi
wanted=$(sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' "$(dirname "$0")/../Cargo.toml")
present=$(cargo --version 2>/dev/null | cut -d ' ' -f 2)
case $present in
[0-9]*.[0-9]*) ;;
*)
    echo "error: cargo does not tell its version" >&2
    echo "hint: with rustup, run: rustup default stable" >&2
    exit 1
    ;;
esac
if is_older "$present" "$wanted"; then
    echo "error: cargo is of Rust $present, and this needs $wanted or newer" >&2
    if has rustup; then
        echo "hint: run: rustup update stable && rustup default stable" >&2
    else
        echo "hint: install Rust with rustup, see https://rustup.rs; the system's packages are too old" >&2
    fi
    exit 1
fi
[ -z "$(missing)" ] && exit 0
echo "missing:$(missing)" >&2

root=""
[ "$(id -u)" = 0 ] || root="sudo -n"
if has apt-get; then
    install="apt-get install -y --no-install-recommends cmake build-essential libclang-dev"
    $root apt-get update -q >&2 && $root $install >&2 || true
elif has dnf; then
    install="dnf install -y cmake gcc-c++ make clang-devel"
    $root $install >&2 || true
elif has brew; then
    root="" install="brew install cmake llvm"
    $install >&2 || true
else
    root="" install=""
fi

if [ -n "$(missing)" ]; then
    echo "error: still missing:$(missing)" >&2
    if [ -n "$install" ]; then
        echo "hint: run: ${root:+sudo }$install" >&2
    else
        echo "hint: install cmake, make, a C++ compiler and libclang with your system's package manager" >&2
    fi
    exit 1
fi
