#!/usr/bin/env bash
# scripts/gpu-check.sh BUNDLE OUT: checks sgl on this machine's NVIDIA GPU and writes what was seen to the folder OUT.
#
# BUNDLE is what scripts/gpu-bundle.sh wrote from this commit. Needs a driver, libcublas, this checkout for its models and
# goldens, and nvcc and cmake for a bundle without kernels; neither Rust nor a network. One line per check on standard
# output and in OUT/summary.txt; fails if one does.
#
#   --build         build the libraries from the bundled source also where the bundle has kernels
#   --only A,B      of: devices, splits, fit, answers, tests, bench, mixed, graphs, large [default: all]
#   --seconds N     time for everything, a build included [default: 570]; what does not fit in is not a pass
#   --dry-run       the same on the CPU, to try this script where there is no GPU; without fit, bench, mixed and large
#
# Unpacked and built files stay in ${TMPDIR:-/tmp}/sgl-gpu-check, so that a second call does what the first had no time for.
set -uo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)

fail() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 2
}

build=no dry=no only= seconds=570 names=()
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=yes ;;
    --dry-run) dry=yes ;;
    --only) only=${2:-} && shift ;;
    --seconds) seconds=${2:-} && shift ;;
    -*) fail "there is no option $1" "scripts/gpu-check.sh [--build] [--only A,B] [--seconds N] [--dry-run] BUNDLE OUT" ;;
    *) names+=("$1") ;;
    esac
    shift
done
[ ${#names[@]} = 2 ] || fail "bundle and folder are wanted" "scripts/gpu-check.sh BUNDLE OUT"
bundle=$(realpath "${names[0]}") && [ -f "$bundle" ] || fail "there is no bundle ${names[0]}"
mkdir -p "${names[1]}" && out=$(cd "${names[1]}" && pwd) || fail "cannot create ${names[1]}"
root=${TMPDIR:-/tmp}/sgl-gpu-check
work=$root/$(sha256sum "$bundle" | cut -c1-16)
gpu=CUDA0
only=${only:-devices,splits,fit,answers,tests,bench,mixed,graphs,large}
if [ $dry = yes ]; then
    gpu=none only=$(printf '%s' ",$only," | sed -E ':a; s/,(fit|bench|mixed|large),/,/; ta')
fi

# Programs, libraries and source, with the models back in the programs.
unpack() {
    rm -rf "$work" "$work.partial" && mkdir -p "$work.partial" || return
    if command -v xz >/dev/null; then
        xz -dc "$bundle"
    else
        python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$bundle"
    fi | tar -C "$work.partial" -x || return
    while read -r program offset length model; do
        [ "$(stat -c %s "$here/$model")" = "$length" ] &&
            dd if="$here/$model" of="$work.partial/$program" bs=1M seek="$offset" oflag=seek_bytes conv=notrunc status=none
    done < "$work.partial/holes"
    (cd "$work.partial" && sha256sum --quiet -c sums) || fail "the models here are not those that the bundle was built with" \
        "check out the commit that the bundle is from"
    mv "$work.partial" "$work"
}

# Where CUDA's libraries of the release that the kernels were linked with may lie, PyTorch's copies included.
cuda_folders() {
    local pattern
    printf '%s\n' "${LD_LIBRARY_PATH:-}" | tr : '\n'
    for pattern in /usr/local/cuda*/lib64 /usr/local/cuda*/targets/x86_64-linux/lib /usr/lib/x86_64-linux-gnu; do
        printf '%s\n' "$pattern"
    done
    python3 -c 'import glob, site, sys
for root in dict.fromkeys(sys.path + site.getsitepackages()):
    print(*glob.glob(root + "/nvidia/*/lib"), sep="\n")' 2>/dev/null
}

missing_libraries() {
    LD_LIBRARY_PATH=$libraries ldd "$work/bin/sgl" "$work"/lib/*.so* 2>/dev/null | sed -n 's/^\s*\(\S*\) => not found.*/\1/p' | sort -u
}

# The bundled folder and whatever folders hold what its libraries miss.
find_libraries() {
    libraries=$work/lib
    local library folder
    for library in $(missing_libraries); do
        while read -r folder; do
            if [ -n "$folder" ] && [ -e "$folder/$library" ]; then
                libraries=$libraries:$folder
                break
            fi
        done < <(cuda_folders)
    done
    # Containers get the driver's folder mounted, which the loader does not always know.
    for folder in /usr/local/nvidia/lib64 /usr/local/nvidia/lib; do
        [ ! -e "$folder/libcuda.so.1" ] || libraries=$libraries:$folder
    done
}

# Builds the bundled source into lib/, with CUDA and the switches of the bundled libraries, for this processor and GPU.
build_libraries() {
    local generator=()
    ! command -v ninja >/dev/null || generator=(-G Ninja)
    cmake -S "$work/source" -B "$work/build" "${generator[@]}" -C "$work/source/switches.cmake" -DCMAKE_BUILD_TYPE=Release \
        -DGGML_NATIVE=ON -DGGML_CCACHE=OFF -DGGML_CUDA=ON -DGGML_CUDA_NO_VMM=ON -DGGML_CUDA_NCCL=OFF \
        -DGGML_CUDA_COMPRESSION_MODE=none -DCMAKE_CUDA_COMPILER="$nvcc" \
        -DCMAKE_CUDA_ARCHITECTURES="${SGL_CUDA_ARCHS:-native}" &&
        timeout "$(left)" cmake --build "$work/build" --target mtmd -j "$(nproc)" &&
        cp -L "$work"/build/bin/lib*.so.[0-9] "$work/lib"
}

left() { echo $((seconds > SECONDS ? seconds - SECONDS : 1)); }
failures=0

# line VERDICT NAME BEGUN DETAIL: one check's line; it began in that second of this script.
line() {
    printf '%-4s %-8s %4d s  %s\n' "$1" "$2" $((SECONDS - $3)) "$4" | tee -a "$out/summary.txt"
    [ "$1" = pass ] || failures=$((failures + 1))
}

# Runs check_NAME, whose standard output is the line's detail; all else belongs to OUT/log.txt.
check() {
    case ",$only," in *",$1,"*) ;; *) return ;; esac
    local begun detail
    begun=$SECONDS
    printf '\n== %s\n' "$1" >> "$out/log.txt"
    if [ "$(left)" -lt 5 ]; then
        line skip "$1" "$begun" "no time left"
    elif detail=$("check_$1" 2>> "$out/log.txt"); then
        line pass "$1" "$begun" "$detail"
    else
        line FAIL "$1" "$begun" "${detail:-see log.txt}"
    fi
}

sgl() { LD_LIBRARY_PATH=$libraries SGL_CACHE=$root/cache timeout "$(left)" "$work/bin/sgl" "$@"; }

check_devices() {
    nvidia-smi >&2
    sgl --version >&2
    sgl devices -v 2>&1 | tee -a /dev/stderr | tr -s ' ' | awk -v gpu=$gpu '
        /^ERROR/ { why = $0 }
        $1 == gpu && $3 == "yes" { print; found = 1 }
        END { if (!found) print "no GPU " why; exit !found }' || [ $dry = yes ]
}

# Passed and failed tests of the library, with so many layers on the GPU.
library_tests() {
    local found
    found=$(SGL_TEST_GPU_LAYERS=$1 LD_LIBRARY_PATH=$libraries timeout "$(left)" "$work/bin/sgl-tests" --test-threads 4 \
        --show-output llama:: 2>&1 | tee -a /dev/stderr | sed -n 's/^test result: [A-Za-z]*\. \([0-9]*\) passed; \([0-9]*\) failed.*/\1 \2/p')
    echo "${found:-0 0}"
}

# Oracle, export and families with all layers on the GPU; on the CPU first, so that a broken bundle is not taken for one.
check_tests() {
    local cpu device
    cpu=$(CUDA_VISIBLE_DEVICES='' library_tests 0)
    device=$(library_tests $([ $dry = yes ] && echo 0 || echo 999))
    printf 'GPU: %s passed, %s failed; CPU: %s passed, %s failed' $device $cpu
    [ "${cpu#* }${device#* }" = 00 ] && [ "${device% *}" -gt 0 ]
}

# Where guide and target are.
placement() {
    case $1 in
    cpu) echo -dev none --guide-device none ;;
    gpu) echo -dev $gpu --guide-device $gpu ;;
    guide-cpu) echo -dev $gpu --guide-device none ;;
    guide-gpu) echo -dev none --guide-device $gpu ;;
    esac
}

# The same 60 questions of drawn scenes wherever the models are: at most one answer in fifty may be another one than on the
# CPU (rounding decides near ties), and the guide's confidence is the same to 0.02 on average.
check_answers() {
    local place journal=$root/answers n
    rm -rf "$journal" && mkdir -p "$journal"
    for place in cpu gpu guide-cpu guide-gpu; do
        # shellcheck disable=SC2046
        sgl eval -q --limit 60 --policy global,oracle --retain 25%,10% --journal "$journal/$place.jsonl" $(placement $place) >&2 ||
            return
        grep -o '"answer":"[^"]*"' "$journal/$place.jsonl" > "$journal/$place.answers"
        grep -o '"confidence":[0-9.e-]*' "$journal/$place.jsonl" | cut -d: -f2 > "$journal/$place.confidences"
    done
    n=$(wc -l < "$journal/cpu.answers")
    printf 'of %s answers, others than on the CPU:' "$n"
    local status=0 differing apart
    for place in gpu guide-cpu guide-gpu; do
        differing=$(paste "$journal/cpu.answers" "$journal/$place.answers" | awk -F '\t' '$1 != $2' | tee -a /dev/stderr | wc -l)
        apart=$(paste "$journal"/{cpu,$place}.confidences | awk '{ d = $1 - $2; sum += d < 0 ? -d : d } END { printf "%.4f", sum / NR }')
        printf ' %s %s (confidence %s apart)' "$place" "$differing" "$apart"
        [ "$n" -gt 0 ] && [ $((differing * 50)) -le "$n" ] && awk "BEGIN { exit !($apart <= 0.02) }" || status=1
    done
    return $status
}

# The scheduler's own list of what runs where (GGML_SCHED_DEBUG), since the export is not in the graph whose splits
# llama.cpp logs when a context is made. With the export, no graph of the guide has more splits or more nodes on the CPU than
# one without, and none of the export's own nodes is there. The target is the guide again, so that both graphs are alike.
check_splits() {
    local options status=0 detail models=$here/models
    for options in "-fa on" "-fa off" "-fa on -ctk q8_0 -ctv q8_0"; do
        # shellcheck disable=SC2046,SC2086
        detail=$(GGML_SCHED_DEBUG=2 sgl run -vv --no-exit -n 8 -m "$models/guide.gguf" --mmproj "$models/mmproj-guide.gguf" \
            --guide "$models/guide.gguf" --guide-mmproj "$models/mmproj-guide.gguf" --image "$models/pictures/flat.png" \
            -p "What is the label on the red square?" $(placement gpu) $options 2>&1 | grep -E '## SPLIT|node #' | awk '
            function close_graph() {
                if (is_text) {
                    graphs[exports]++
                    if (n_splits > splits[exports]) splits[exports] = n_splits
                    if (n_cpu > cpu[exports]) cpu[exports] = n_cpu
                }
                is_text = exports = n_splits = n_cpu = 0
            }
            / #0: / && /## SPLIT/ { close_graph() }
            /## SPLIT/ { n_splits++ }
            /node #/ {
                on_cpu = /\[ *CPU /
                if (on_cpu) n_cpu++
                if (/cache_k_l/) is_text = 1
                if (/attn_mass/) { exports = 1; if (on_cpu) stray++ }
            }
            END {
                close_graph()
                printf "%d splits, %d CPU nodes; with export %d, %d", splits[0], cpu[0], splits[1], cpu[1]
                exit !(graphs[0] && graphs[1] && splits[1] <= splits[0] && cpu[1] <= cpu[0] && !stray)
            }') || status=1
        printf '%s: %s; ' "$options" "$detail"
    done
    # On the CPU all nodes are there: only that graphs were found can be told.
    [ $dry = no ] || case $detail in "0 splits"* | *"export 0,"*) ;; *) status=0 ;; esac
    return $status
}

# What the export costs with CUDA graphs and without, on the guide that the bench wrote, else the embedded one.
check_graphs() {
    local disabled model
    model=$(ls "$root"/shapes/*-1b-*/*.gguf 2>/dev/null | grep -v /mmproj | head -n 1)
    printf '%s: ' "$(basename "${model:-embedded guide}")"
    for disabled in '' 1; do
        [ -n "$disabled" ] && export GGML_CUDA_DISABLE_GRAPHS=1 && printf 'without graphs: '
        # shellcheck disable=SC2086
        LD_LIBRARY_PATH=$libraries SGL_CACHE=$root/cache timeout "$(left)" "$work/bin/export_overhead" \
            ${model:+"$model" 1792} | tee -a /dev/stderr | sed -nE 's/^(prefill|decode): (.*)/\1 \2/p' | tr '\n' ';' || return
    done
}

# bench PLACEMENT SHAPE TYPE...: pairs of the sizes of published models, with random weights that are written here; JSON in
# bench.jsonl.
bench() {
    local place=$1 shape=$2 type status=0
    shift 2
    for type in "$@"; do
        # shellcheck disable=SC2046
        if sgl bench --shape "$shape" --guide-type "$type" --target-type "$type" --mmproj-type f16 --rounds 3 --json \
            --retain 9% --kept-tiles 3 --cache "$root/shapes" $(placement "$place") >> "$out/bench.jsonl"; then
            printf '%s %s done; ' "$shape" "$type"
        else
            printf '%s %s FAILED; ' "$shape" "$type"
            status=1
        fi
    done
    return $status
}

check_bench() { bench gpu internvl-1b+8b q4_k f16; }

check_mixed() { bench guide-cpu internvl-1b+8b q4_k; }

# The paper's sizes; only what is small stays of the files before, and what is left over makes room for 52 GB.
check_large() {
    local status=0 type
    for type in q4_k f16; do
        find "$root/shapes" -name '*.gguf' -size +3G -delete
        bench gpu internvl-2b+26b $type || status=1
    done
    return $status
}

# Both models of the embedded pair go onto the GPU whole, and answer as on the CPU.
check_fit() {
    local question said expected
    question=(--json --image "$here/models/pictures/flat.png" -p "What is the label on the red square?")
    said=$(sgl run --fit "${question[@]}" 2>&1) && expected=$(sgl run -dev none "${question[@]}" 2>&1) || return
    printf '%s\n%s\n' "$said" "$expected" >&2
    grep -o 'fits: guide whole, target whole; .* left on .*' <<< "$said" &&
        [ "$(grep -o '"answer":"[^"]*"' <<< "$said")" = "$(grep -o '"answer":"[^"]*"' <<< "$expected")" ]
}

rm -f "$out"/{summary,log}.txt "$out/bench.jsonl"
device=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | head -n 1)
printf '%s, %s cores, %s\n' "$(date +%F)" "$(nproc)" "${device:-no NVIDIA GPU}" | tee "$out/summary.txt"
[ -d "$work" ] || unpack || fail "cannot unpack $bundle into $work"
find_libraries
if [ $build = yes ] || { [ $dry = no ] && [ ! -e "$work/lib/libggml-cuda.so.0" ]; }; then
    nvcc=$(PATH=$PATH:/usr/local/cuda/bin command -v nvcc) || fail "nvcc was not found, and the bundle has no kernels" \
        "put nvcc on the PATH, or make the bundle with --kernels"
    command -v cmake >/dev/null || fail "cmake was not found, and the bundle has no kernels" \
        "install cmake, or make the bundle with --kernels"
    if ! build_libraries > "$out/build.log" 2>&1; then
        line FAIL build 0 "see build.log; the next call goes on with it"
        exit 1
    fi
    line pass build 0 "libggml-cuda.so has $(du -m "$work/lib/libggml-cuda.so.0" | cut -f1) MB"
    find_libraries
fi
[ -z "$(missing_libraries)" ] || fail "these libraries are not on this machine: $(missing_libraries | tr '\n' ' ')" \
    "name their folder in LD_LIBRARY_PATH; if CUDA here is another release than where the bundle was made: --build"
sgl --version >/dev/null || fail "the bundle's program does not run here" "does it need another glibc? $(ldd --version | head -n 1)"

# The tests look for models and goldens where they were compiled.
compiled_in=$(cat "$work/manifest-dir")
if [ ! -e "$compiled_in" ]; then
    mkdir -p "$(dirname "$compiled_in")" && ln -s "$here" "$compiled_in" || fail "cannot link $compiled_in to $here, where the tests look for models"
    trap 'rm -f "$compiled_in"' EXIT
fi

for name in devices splits fit answers tests bench mixed graphs large; do
    check "$name"
done
printf '%s\n' "$failures failed" | tee -a "$out/summary.txt"
[ "$failures" = 0 ]
