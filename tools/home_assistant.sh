#!/usr/bin/env bash
# Runs a Python of Home Assistant's: one with its pinned packages, new enough for it.
#
# in   --check | SCRIPT or -m MODULE [ARGUMENTS…]; PYTHON names a Python 3.14.2 or newer, if there is one
# out  --check: exit 0 when all is installed, 77 with what is missing when it cannot be;
#      otherwise the program's output and exit code; signals reach it, because it takes this one's place
#
# Home Assistant wants a newer Python than Debian 12 or 13 has. Where PYTHON is none, a Debian testing
# with nothing but Python is made in assets/roots by mmdebstrap (root), and the program runs in it, in a
# mount namespace of its own: with this machine's network, and this checkout at its usual path.
# How this machine reaches its package sources is passed on, as tools/try_clean_debian.sh does.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly requirements=tests/home_assistant/live_requirements.txt
readonly release=forky python=python3.14
readonly bare=$PWD/assets/roots/home-assistant

cannot() {
    echo "home-assistant: $1" >&2
    exit 77
}

fits() { "$1" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 14, 2))' 2>/dev/null; }

make_root() {
    command -v mmdebstrap >/dev/null || cannot 'mmdebstrap is missing: apt-get install mmdebstrap'
    echo "home-assistant: making a Debian $release with $python in $bare" >&2
    rm -rf --one-file-system "$bare.new"
    mkdir -p "$(dirname "$bare")"
    # A mirror of testing that lags by some weeks still has what is signed, and will do for a test.
    mmdebstrap --quiet --variant=minbase --mode=root --include="ca-certificates,$python,$python-venv" \
        --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Check-Valid-Until "false"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$release" "$bare.new" >&2 ||
        cannot "mmdebstrap could not make a Debian $release with $python (above)"
    mv "$bare.new" "$bare"
}

if fits "${PYTHON:-python3}"; then
    export PYTHON=${PYTHON:-python3}
    enter=(env)
else
    [ "$(id -u)" -eq 0 ] || cannot "needs Python 3.14.2 or newer: name one with PYTHON=, or run this as root, which makes a Debian $release with it"
    [ -e "$bare/usr/bin/$python" ] || make_root
    cp --dereference /etc/resolv.conf /etc/hosts "$bare/etc/"
    cp --dereference /etc/ssl/certs/ca-certificates.crt "$bare/etc/ssl/certs/ca-certificates.crt"
    passed=(HOME=/root LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin "PYTHON=$python")
    while IFS= read -r -d '' pair; do
        case ${pair%%=*} in
        PIP_FIND_LINKS) ;; # a folder of this machine
        PIP_* | SSL_CERT_* | *_CA_BUNDLE | *_proxy | *_PROXY | TZ) passed+=("$pair") ;;
        esac
    done < <(env --null)
    # shellcheck disable=SC2016 # expanded inside
    enter=(env --ignore-environment "${passed[@]}" unshare --mount bash -euc '
        root=$1; here=$2; shift 2
        mount --make-rprivate /
        mount --types proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --types tmpfs tmpfs "$root/tmp"
        mkdir -p "$root$here"
        mount --bind "$here" "$root$here"
        exec chroot "$root" env --chdir "$here" "$@"' bash "$bare" "$PWD")
fi

if [ "${1:?--check, a script or -m}" = --check ]; then
    "${enter[@]}" tools/in_venv.sh "$requirements" -c '' || cannot "its packages cannot be installed (above): $requirements"
    exit 0
fi
exec "${enter[@]}" tools/in_venv.sh "$requirements" "$@"
