#!/usr/bin/env bash
# Builds a pinned cargo tool into assets/cargo, once, unless some version of it is on PATH already.
#
# in   NAME VERSION [ARGUMENT OF cargo install…]
# out  exit 0 when the tool can be run with assets/cargo/bin at the end of PATH; nothing printed but
#      that it is being built
#
# Unoptimised and without debug information: these tools run for seconds and are built for minutes, and
# nobody debugs them. Deliberately absent: any change
# to ~/.cargo, and any tool that is downloaded already built.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly name=${1:?name of the tool} version=${2:?its version} built=$PWD/assets/cargo
shift 2
PATH=$PATH:$built/bin
command -v "$name" >/dev/null && exit
echo "$name: building $version into assets/cargo (once)"
CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0 cargo install --quiet --debug --locked --root "$built" --target-dir "$built/target" "$@" "$name@$version"
rm -rf "$built/target"
