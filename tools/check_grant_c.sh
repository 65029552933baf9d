#!/usr/bin/env bash
# Checks the C interface of the verifier (crates/grant-c): its header, its build without Rust's
# standard library, and the table of forgeries in a C program.
#
# in   nothing: checks; header: writes include/deepid_grant.h anew; TARGET in the environment: a triple to
#      build for besides, such as thumbv7em-none-eabi
# out  exit 0 when the header is what the source says, the library builds without std for this machine,
#      and the C program, linked with that very library, says what the table says
#
# A bare-metal target is built as well where its core library is installed, else that is said. cbindgen
# is taken from PATH where it is, else built once by tools/cargo_tool.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly cargo=${CARGO:-cargo} place=crates/grant-c built=${CARGO_TARGET_DIR:-target}/grant-c
readonly header=$place/include/deepid_grant.h bare=${TARGET:-thumbv7em-none-eabi}
tools/cargo_tool.sh cbindgen 0.29.4
export PATH=$PATH:$PWD/assets/cargo/bin

mkdir -p "$built"
cbindgen --quiet --config $place/cbindgen.toml --output "$built/deepid_grant.h" $place/src/lib.rs
case ${1:-} in
header) cp "$built/deepid_grant.h" $header ;;
'') diff --unified $header "$built/deepid_grant.h" || { echo "grant-c: $header is not current: tools/check_grant_c.sh header" >&2; exit 1; } ;;
*) echo "grant-c: '$1' must be header, or nothing" >&2; exit 2 ;;
esac

# Without std a panic has nowhere to unwind to.
build=("$cargo" build --quiet --locked --release --package deepid-grant-c --features bare --target-dir "$built"
    --config 'profile.release.panic="abort"' --config 'profile.release.lto="fat"')
"${build[@]}"
python3 $place/tests/lines.py crates/grant/tests/forgeries.jsonl >"$built/table.tsv"
# This machine's core library was built to unwind and names what would do it; bare metal's does not.
cc -std=c99 -Wall -Wextra -Werror -pedantic -O1 -Wl,--defsym=rust_eh_personality=0 -o "$built/table" \
    $place/tests/table.c "$built/release/libdeepid_grant_c.a"
"$built/table" <"$built/table.tsv"
if nm --undefined-only "$built/release/libdeepid_grant_c.a" 2>/dev/null | grep -wE 'malloc|calloc|realloc|free'; then
    echo 'grant-c: the library asks for an allocator' >&2
    exit 1
fi
if compgen -G "$(rustc --print target-libdir --target "$bare")/libcore-*.rlib" >/dev/null; then
    "${build[@]}" --target "$bare"
    echo "grant-c: builds for $bare"
else
    echo "grant-c: NOT BUILT for $bare: its core library is not here (rustup target add $bare)"
fi
