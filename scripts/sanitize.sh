#!/bin/sh
# sanitize.sh [FILTER...]: tests (default: all of llama::) on llama.cpp and our patches under AddressSanitizer and
# UndefinedBehaviorSanitizer. Rust code is not instrumented. What is found ends the run, and stands in target/sanitize/log.*
set -eu
cd "$(dirname "$0")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
flags="-fsanitize=address,undefined -fno-omit-frame-pointer -g1"
export CMAKE_C_FLAGS="$flags" CMAKE_CXX_FLAGS="$flags" RUSTFLAGS="-Clink-arg=-fsanitize=address,undefined"
export CARGO_TARGET_DIR=target/sanitize
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0:log_path=$PWD/target/sanitize/log}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1:log_path=$PWD/target/sanitize/log}"
[ $# -gt 0 ] || set -- llama::
# With a target named, build scripts and macros are not linked so.
cargo test --locked --target "$host" --lib -- "$@"
