#!/bin/sh
# run.sh TARGET SECONDS: one fuzz target, from the seeds in corpus/ and what earlier runs left in found/
set -eu
cd "$(dirname "$0")"
target=$1 seconds=$2
# Coverage and sanitizer flags are not stable; the compiler that is installed has them.
export RUSTC_BOOTSTRAP=1
# Bytes of an input, and MiB that one may have the program take at once.
case $target in
    media) set -- -max_len=65536 -malloc_limit_mb=128 ;;
    gguf) set -- -max_len=16384 -malloc_limit_mb=160 -dict=dictionaries/gguf.dict ;;
    request) set -- -max_len=16384 -malloc_limit_mb=64 -dict=dictionaries/request.dict ;;
    *) set -- -max_len=4096 -malloc_limit_mb=64 ;;
esac
mkdir -p "found/$target"
cargo fuzz run --fuzz-dir . "$target" "found/$target" "corpus/$target" -- "$@" -timeout=20 -max_total_time="$seconds" -print_final_stats=1
