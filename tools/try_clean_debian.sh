#!/usr/bin/env bash
# Runs make targets in a bare Debian with nothing added but make and Rust.
#
# in   TARGET… (demo test, unless named); RELEASE, the release's name (bookworm, Debian 12, unless set);
#      the commit at HEAD, not the working tree; root, mmdebstrap
# out  exit 0 when every target passed; times on the last lines
#
# DEEPID_EDGE_CLEAN_ROOT names a folder to keep the root in and reuse (bare: made anew each time).
# How this machine reaches its package sources is passed on and never written into the project:
# resolv.conf, hosts, apt's settings, the CA bundle, and the environment of pip, cargo and proxies.
# Each root is mounted in a private namespace: nothing stays mounted when this ends or is killed.
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(id -u)" -eq 0 ] || { echo 'clean-machine: needs root (chroot)' >&2; exit 1; }
command -v mmdebstrap >/dev/null || { echo 'clean-machine: apt-get install mmdebstrap' >&2; exit 1; }

readonly release=${RELEASE:-bookworm}
targets=("$@")
[ $# -gt 0 ] || targets=(demo test)
bare=${DEEPID_EDGE_CLEAN_ROOT:-}
if [ -z "$bare" ]; then
    bare=$(mktemp --directory --tmpdir=/var/tmp deepid-edge-clean.XXXXXX)
    trap 'rm -rf --one-file-system "$bare"' EXIT
fi

if [ ! -e "$bare/etc/debian_version" ]; then
    echo "clean-machine: making a bare Debian ($release) in $bare"
    mmdebstrap --quiet --variant=minbase --mode=root --include=make,ca-certificates \
        --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$release" "$bare"
    # No service may start in a chroot.
    printf '#!/bin/sh\nexit 101\n' >"$bare/usr/sbin/policy-rc.d"
    chmod +x "$bare/usr/sbin/policy-rc.d"
    mkdir -p "$bare/opt/rust"
    cp --archive "$(rustc --print sysroot)/." "$bare/opt/rust/"
fi
grep --quiet "^VERSION_CODENAME=$release\$" "$bare/etc/os-release" || {
    echo "clean-machine: the root in $bare is of another release than $release" >&2
    exit 1
}
cp --dereference /etc/resolv.conf /etc/hosts "$bare/etc/"
cp --dereference /etc/ssl/certs/ca-certificates.crt "$bare/etc/ssl/certs/ca-certificates.crt"
find /etc/apt/apt.conf.d -name '*proxy*' -exec cp {} "$bare/etc/apt/apt.conf.d/" \;

rm -rf "$bare/root/deepid-edge"
git clone --quiet --no-local . "$bare/root/deepid-edge"
echo "clean-machine: commit $(git -C "$bare/root/deepid-edge" log -1 --format='%h %s')"

# Only what says how to reach package sources goes in; nothing else of this environment does.
passed=(HOME=/root USER=root LANG=C.UTF-8 PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
while IFS= read -r -d '' pair; do
    case ${pair%%=*} in
        PIP_FIND_LINKS) ;; # a folder of this machine
        PIP_* | CARGO_HTTP_* | CARGO_NET_* | CARGO_REGISTRIES_* | CARGO_BUILD_JOBS | SSL_CERT_* | *_CA_BUNDLE | *_proxy | *_PROXY) passed+=("$pair") ;;
    esac
done < <(env --null)

inside() { # inside COMMAND…: in the root, with proc, dev and sys of its own namespace
    env --ignore-environment "${passed[@]}" \
        unshare --mount --pid --fork --kill-child bash -euc '
            root=$1; shift
            mount --make-rprivate /
            mount --types proc proc "$root/proc"
            mount --rbind /dev "$root/dev"
            mount --rbind /sys "$root/sys"
            mount --types tmpfs tmpfs "$root/tmp"
            exec chroot "$root" bash -euc "cd /root/deepid-edge; exec \"\$@\"" bash "$@"' bash "$bare" "$@"
}

times=()
for target in "${targets[@]}"; do
    began=$SECONDS
    echo "clean-machine: make $target"
    inside make "$target"
    times+=("make $target: $((SECONDS - began)) s")
done
printf 'clean-machine: %s\n' "${times[@]}" 'all passed'
