#!/bin/sh
# sanitize.sh [FILTER...]: tests (default: all of llama::) on llama.cpp and our patches under AddressSanitizer and
# UndefinedBehaviorSanitizer (Linux, GCC). Rust code is not instrumented. What is found stands in target/sanitize/log.* and
# fails the run, leaks at its end.
set -eu
cd "$(dirname "$0")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
flags="-fsanitize=address,undefined -fno-omit-frame-pointer -g1"
export CMAKE_C_FLAGS="$flags" CMAKE_CXX_FLAGS="$flags" RUSTFLAGS="-Clink-arg=-lasan -Clink-arg=-lubsan"
export CARGO_TARGET_DIR=target/sanitize
# The runtime has to be there before all other libraries.
runner="CARGO_TARGET_$(echo "$host" | tr a-z- A-Z_)_RUNNER"
export "$runner=env LD_PRELOAD=$(cc -print-file-name=libasan.so)"
export ASAN_OPTIONS="${ASAN_OPTIONS:-log_path=$PWD/target/sanitize/log}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1:log_path=$PWD/target/sanitize/log}"
[ $# -gt 0 ] || set -- llama::
# With a target named, build scripts and macros are not linked so.
cargo test --locked --target "$host" --lib -- "$@"
