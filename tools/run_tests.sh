#!/usr/bin/env bash
# Runs the Rust tests, each with the limit of .config/nextest.toml; no test may skip.
#
# in   nothing: every test but those that take minutes; nightly: those alone
# out  exit 0 when all have passed
#
# cargo-nextest is taken from PATH where it is, else built once by tools/cargo_tool.sh (two minutes on
# two cores). 0.9.128 is the newest that the oldest Rust of Cargo.toml builds. It runs no documentation
# tests: those are cargo's own, without a limit.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly cargo=${CARGO:-cargo}
export DEEPID_EDGE_REQUIRE_ALL=1
tools/cargo_tool.sh cargo-nextest 0.9.128 --no-default-features --features default-no-update
export PATH=$PATH:$PWD/assets/cargo/bin
# All of crates/; the verbs `demo` and `evaluate` have tests, too, and `demo` brings both.
run=("$cargo" nextest run --locked --workspace --features deepid-edge/demo)

case ${1:-} in
'')
    "${run[@]}"
    "$cargo" test --doc --locked --workspace --features deepid-edge/demo
    ;;
nightly) "${run[@]}" --profile nightly --run-ignored only ;;
*) echo "run_tests: '$1' must be nightly, or nothing" >&2; exit 2 ;;
esac
