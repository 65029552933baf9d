#!/usr/bin/env bash
# Packs the Debian package of the opener (crates/opener) for this machine's processor or for another one.
#
# in   [x86_64 | aarch64], this machine's unless named; deploy/opener, docs
# out  target/deb-opener/deepid-opener_VERSION_ARCHITECTURE.deb, its size on the last line;
#      exit 1 when it needs a newer C library than Debian 12 has (check_symbols.py)
#
# A folder of its own, because what takes target/debian takes the daemon's packages. Files are dated by
# the commit, as the daemon's are (tools/make_deb.sh).
set -euo pipefail
cd "$(dirname "$0")/.."

readonly machine=${1:-$(uname -m)} files=target/deb-opener
case $machine in
x86_64 | aarch64) ;;
*) echo "deb-opener: '$machine' must be x86_64 or aarch64" >&2; exit 2 ;;
esac
readonly triple=$machine-unknown-linux-gnu cargo=${CARGO:-cargo}
target=()
[ "$machine" = "$(uname -m)" ] || target=(--target "$triple")

tools/cargo_tool.sh cargo-deb 3.8.0 --no-default-features
export PATH=$PATH:$PWD/assets/cargo/bin
mkdir -p $files
"$cargo" build --release --locked --package deepid-opener "${target[@]}"
python3 tools/crate_licences.py "$triple" deepid-opener | gzip -9n >$files/crates.txt.gz
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
cargo-deb --package deepid-opener --no-build --no-strip --quiet --locked "${target[@]}" --output $files/ >/dev/null

package=$(ls -t $files/deepid-opener_*.deb | head -n 1)
python3 tools/check_symbols.py "$package"
echo "deb-opener: $package: $(stat --format=%s "$package") bytes"
