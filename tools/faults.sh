#!/usr/bin/env bash
# Runs the fault matrix, or the part of it that is worth running for longer.
#
# in   document: every test that shows a row, then the table of docs/reliability.md from their results
#      torture COUNT, 1000 or more: that many kills of the real daemon before a real mosquitto, and as many kills and
#      power cuts of each kind below SQLite
# out  exit 0 when all has held; the figures are printed
set -euo pipefail
cd "$(dirname "$0")/.."

readonly cargo=${CARGO:-cargo}
export DEEPID_EDGE_REQUIRE_ALL=1
tools/cargo_tool.sh cargo-nextest 0.9.128 --no-default-features --features default-no-update
export PATH=$PATH:$PWD/assets/cargo/bin
run=("$cargo" nextest run --locked --workspace --features deepid-edge/demo --no-fail-fast)

case ${1:-} in
document)
    results=$PWD/target/faults
    rm -rf "$results"
    # The tests that rows name, each in the binary of its file.
    filter='binary(faults)'
    while IFS=: read -r file test; do
        filter="$filter or (binary($file) and test(=$test))"
    done < <(sed -nE 's|^ +"tests/([a-z_]+)\.rs::([a-z_0-9]+)",$|\1:\2|p' tests/support/fault_rows.rs)
    DEEPID_EDGE_FAULTS=$results "${run[@]}" -E "($filter) and not test(document)"
    DEEPID_EDGE_FAULTS_WRITE=$results "${run[@]}" -E 'binary(faults) and test(document)'
    ;;
torture)
    count=${2:?how many kills}
    # The tests hold each row to the number that docs/reliability.md states, of cuts 1,000.
    if [[ ! $count =~ ^[1-9][0-9]{3,8}$ ]]; then
        echo "faults: torture takes a whole number from 1000 on, and '$count' is none: docs/reliability.md states 1,000 cuts of each kind" >&2
        exit 2
    fi
    echo "torture: $count kills of the daemon, and $count of each kind below SQLite"
    DEEPID_EDGE_KILLS=$count DEEPID_EDGE_CUTS=$count "${run[@]}" --profile torture --success-output immediate \
        -E 'binary(faults) and (test(/killed_at_any_moment/) or test(/^power::/))'
    ;;
*) echo "faults: '${1:-}' must be document, or torture COUNT" >&2; exit 2 ;;
esac
