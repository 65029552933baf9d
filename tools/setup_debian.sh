#!/usr/bin/env bash
# Installs the Debian packages that `make demo` or `make test` needs and this machine lacks.
#
# in   demo | test: for what
# out  exit 0 when everything is there; exit 1 with the one command that a person must run
#
# As root, or where sudo asks no password, it installs by apt-get and says so; otherwise it changes
# nothing. Only what is missing: each row states how its presence is recognised, so that a clang or a
# python from elsewhere counts. Elsewhere than on Debian and its kin it only names what is missing.
set -euo pipefail

readonly purpose=${1:?demo or test}
case $purpose in demo | test) ;; *) echo "setup: '$purpose' must be demo or test" >&2; exit 2 ;; esac

# Daemons and administration tools live in sbin, which a user's PATH often lacks.
export PATH=$PATH:/usr/sbin:/sbin

command_there() { command -v "$1" >/dev/null; }
c_compiler() { command_there cc && echo 'int main(void) { return 0; }' | cc -x c -o /dev/null - 2>/dev/null; }
python() { python3 -c 'import tomllib' 2>/dev/null; }
pip() { python3 -m pip --version >/dev/null 2>&1; }
venv() { python3 -c 'import ensurepip, venv' 2>/dev/null; }
certificates() { [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ]; }
libclang() { # bindgen reads the kernel's V4L2 header with it: the library, and clang's own headers
    [ -n "${LIBCLANG_PATH:-}" ] && return
    compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || compgen -G '/usr/lib/*/libclang*.so*' >/dev/null || return 1
    compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null || compgen -G '/usr/lib/clang/*/include/stddef.h' >/dev/null
}
libstdcxx() { compgen -G '/usr/lib/*/libstdc++.so.6' >/dev/null || compgen -G '/usr/lib*/libstdc++.so.6' >/dev/null; }

missing=()
need() { # need PACKAGE 'why' TEST [ARGUMENT]
    local package=$1 why=$2
    shift 2
    "$@" && return
    missing+=("$package")
    echo "setup: $package is missing ($why)"
}

need ca-certificates 'pip and cargo check certificates' certificates
need gcc 'links the program, compiles SQLite and ring' c_compiler
need libc6-dev 'headers of the C library and the kernel' test -e /usr/include/stdio.h
need libclang-dev 'reads the V4L2 header for the camera' libclang
need libstdc++6 'the TFLite library needs it' libstdcxx
need python3 'fetches the assets; 3.11 or newer' python
need python3-pip 'fetches the assets' pip
if [ "$purpose" = test ]; then
    need age 'tests open a backup with it, as anybody could' command_there age
    need ffmpeg 'tests make recordings with it' command_there ffmpeg
    need git 'cargo-deny fetches the advisories with it' command_there git
    need mosquitto 'tests publish to a real broker' command_there mosquitto
    need mosquitto-clients 'tests subscribe as any client would' command_there mosquitto_sub
    need openssl 'tests make certificates with it' command_there openssl
    need python3-venv 'make golden and benches/peers use it' venv
    need systemd 'tests check the unit with systemd-analyze' command_there systemd-analyze
fi

if ! command_there cargo; then
    echo 'setup: cargo is missing: install Rust (rustup, or a package; Cargo.toml states the oldest version)' >&2
    exit 1
fi
[ ${#missing[@]} -eq 0 ] && exit 0

install="apt-get install --yes --no-install-recommends ${missing[*]}"
if ! command_there apt-get; then
    echo "setup: this is no Debian; install what these Debian packages hold: ${missing[*]}" >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=()
elif command_there sudo && sudo --non-interactive true 2>/dev/null; then
    as_root=(sudo)
else
    echo "setup: run this once, then the same make again:" >&2
    echo "    sudo sh -c 'apt-get update && $install'" >&2
    exit 1
fi
echo "setup: running ${as_root[*]:+sudo }$install"
case " ${missing[*]} " in *' mosquitto '*)
    echo 'setup: note: the mosquitto package starts its own broker on 127.0.0.1:1883; the tests do not use that one' ;;
esac
"${as_root[@]}" apt-get update --quiet=2
# shellcheck disable=SC2086 # the list is words
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive $install --quiet=2
