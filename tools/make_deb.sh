#!/usr/bin/env bash
# Packs the Debian package for this machine's processor or for another one.
#
# in   [x86_64 | aarch64], this machine's unless named; assets.toml, deploy/, systemd/, models/
# out  target/debian/deepid-edge_VERSION_ARCHITECTURE.deb, its size on the last line; exit 1 when it
#      is larger than it may be, or needs a newer C library than Debian 12 has (check_symbols.py)
#
# The program is built for the target first, without the features `lab` and `demo`, of which no board
# needs anything; its own verbs write manual pages and completions, under user emulation where the
# target is another processor, which also shows that the binary runs.
# Two runs over one commit with the same tools make the same bytes: files are dated by the commit.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly machine=${1:-$(uname -m)} bytes_max=12000000
case $machine in
x86_64) architecture=amd64 ;;
aarch64) architecture=arm64 ;;
*) echo "deb: '$machine' must be x86_64 or aarch64: the TFLite library is built for no other" >&2; exit 2 ;;
esac
readonly triple=$machine-unknown-linux-gnu files=target/deb-files
cargo=${CARGO:-cargo}

target=() runner=() built=${CARGO_TARGET_DIR:-target}
if [ "$machine" != "$(uname -m)" ]; then
    target=(--target "$triple")
    built=$built/$triple
    runner=("qemu-$machine-static" -L "/usr/$machine-linux-gnu")
fi

tools/cargo_tool.sh cargo-deb 3.8.0 --no-default-features
export PATH=$PATH:$PWD/assets/cargo/bin
python3 tools/fetch_assets.py --target "$machine"
DEEPID_EDGE_COMMIT=$(git describe --always --dirty 2>/dev/null || echo 'commit not recorded')
export DEEPID_EDGE_COMMIT
"$cargo" build --release --locked "${target[@]}"
program() { "${runner[@]}" "$built/release/deepid-edge" "$@"; }

rm -rf "$files"
mkdir -p "$files"/{man,completions,licences}
cp "assets/lib/$machine/libLiteRt.so" "$files/"
program man --out "$files/man"
program completions bash >"$files/completions/deepid-edge"
program completions zsh >"$files/completions/_deepid-edge"
program completions fish >"$files/completions/deepid-edge.fish"
python3 tools/crate_licences.py "$triple" | gzip -9n >"$files/licences/crates.txt.gz"
gzip -9nc "assets/lib/$machine/LICENSE" >"$files/licences/litert.txt.gz"
gzip -9nc assets/models/LICENSE >"$files/licences/mediapipe.txt.gz"
gzip -9nc CHANGELOG.md >"$files/changelog.gz"

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
# The profile strips the program already; the library stays the bytes that assets.toml states.
cargo-deb --no-build --no-strip --quiet --locked "${target[@]}" --output target/debian/ >/dev/null

package=$(ls -t target/debian/deepid-edge_*_"$architecture".deb | head -n 1)
python3 tools/check_symbols.py "$package"
size=$(stat --format=%s "$package")
echo "deb: $package: $size bytes, installed $(dpkg-deb --field "$package" Installed-Size) KiB"
if [ "$size" -gt "$bytes_max" ]; then
    echo "deb: more than the $bytes_max bytes that it may have" >&2
    exit 1
fi
