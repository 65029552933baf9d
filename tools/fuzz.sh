#!/usr/bin/env bash
# Runs each fuzz target for a while, one after the other, with what is kept in fuzz/corpus.
#
# in   SECONDS for each target [TARGET…]: all of fuzz/fuzz_targets unless some are named
# out  exit 0 when none has found anything; else the input that did lies in fuzz/artifacts/TARGET, to be
#      mended and then kept in fuzz/corpus/TARGET under a name that says what it is
#
# New inputs that reach new code go to fuzz/found, which is not in the repository. cargo-fuzz needs flags of
# the compiler that are not stable; RUSTC_BOOTSTRAP lets the stable one take them, here alone.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly seconds=${1:?how many seconds for each target}
shift
tools/cargo_tool.sh cargo-fuzz 0.13.2
export PATH=$PATH:$PWD/assets/cargo/bin RUSTC_BOOTSTRAP=1
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(find fuzz/fuzz_targets -name '*.rs' -printf '%f\n' | sed 's/\.rs$//' | sort)

# The code is safe Rust: a sanitizer of memory would cost half of the speed and find what C libraries do.
status=0
for target in "${targets[@]}"; do
    mkdir -p "fuzz/found/$target"
    echo "fuzz: $target for $seconds s"
    nice -n 19 cargo fuzz run --sanitizer none "$target" "fuzz/found/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=20 -print_final_stats=1 -verbosity=0 || status=1
done
exit $status
