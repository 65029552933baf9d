#!/usr/bin/env bash
# Installs the Debian packages that a make target needs and this machine lacks.
#
# in   demo | test | page | fuzz | arm64 | armv7 | deb | deb-arm64 | deb-test | system | system-arm64 |
#      test-arm64 | bench-arm64 | home-assistant: for what
# out  exit 0 when everything is there; exit 1 with the one command that a person must run
#
# As root, or where sudo asks no password, it installs by apt-get and says so; otherwise it changes
# nothing. Only what is missing: each row states how its presence is recognised, so that a clang or a
# python from elsewhere counts. Elsewhere than on Debian and its kin it only names what is missing.
# Rust's standard library for another processor comes through rustup, where that is how Rust came.
set -euo pipefail

readonly purpose=${1:?for what}
case $purpose in
demo | test | page | fuzz | deb | deb-test | system | system-arm64 | home-assistant) triple= ;;
arm64 | deb-arm64 | test-arm64 | bench-arm64) triple=aarch64-unknown-linux-gnu ;;
armv7) triple=armv7-unknown-linux-gnueabihf ;;
*) echo "setup: '$purpose' must be demo, test, page, fuzz, arm64, armv7, deb, deb-arm64, deb-test, system, system-arm64, test-arm64, bench-arm64 or home-assistant" >&2; exit 2 ;;
esac

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
chromium() { command_there chromium || command_there chromium-browser; }
libstdcxx() { compgen -G '/usr/lib/*/libstdc++.so.6' >/dev/null || compgen -G '/usr/lib*/libstdc++.so.6' >/dev/null; }

qemu_fits() { # qemu-system refuses to be installed beside the qemu-utils of another release
    local utils system
    utils=$(dpkg-query --show --showformat='${Version}' qemu-utils 2>/dev/null) && [ -n "$utils" ] || return 0
    system=$(apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" { print $2 }')
    [ "$utils" = "$system" ] && return
    echo "setup: qemu-utils $utils is of another release than $1 $system; run this once, then the same make again:" >&2
    echo "    apt-get install --allow-downgrades qemu-utils=$system" >&2
    exit 1
}

missing=()
need() { # need PACKAGE 'why' TEST [ARGUMENT]
    local package=$1 why=$2
    shift 2
    "$@" && return
    missing+=("$package")
    echo "setup: $package is missing ($why)"
}

for_any() { # for_any PURPOSE…: whether this is one of them
    local one
    for one; do [ "$purpose" = "$one" ] && return; done
    return 1
}

need ca-certificates 'pip and cargo check certificates' certificates
if ! for_any page; then
    need gcc 'links the program, compiles SQLite and ring' c_compiler
    need libc6-dev 'headers of the C library and the kernel' test -e /usr/include/stdio.h
    need libclang-dev 'reads the V4L2 header for the camera' libclang
    need libstdc++6 'the TFLite library needs it' libstdcxx
fi
need python3 'fetches the assets; 3.11 or newer' python
need python3-pip 'fetches the assets' pip
if for_any arm64 test-arm64 bench-arm64 || { for_any deb-arm64 && [ "$(uname -m)" != aarch64 ]; }; then
    need gcc-aarch64-linux-gnu 'links the program for 64-bit ARM' command_there aarch64-linux-gnu-gcc
    need libc6-dev-arm64-cross 'headers of its C library and kernel' test -e /usr/aarch64-linux-gnu/include/stdio.h
fi
if for_any armv7; then
    need gcc-arm-linux-gnueabihf 'links the program for 32-bit ARM' command_there arm-linux-gnueabihf-gcc
    need libc6-dev-armhf-cross 'headers of its C library and kernel' test -e /usr/arm-linux-gnueabihf/include/stdio.h
fi
if for_any deb deb-arm64 deb-test; then
    need xz-utils 'compresses the package' command_there xz
fi
if for_any deb-arm64 && [ "$(uname -m)" != aarch64 ]; then
    need qemu-user-static 'lets the program write its manual pages here' command_there qemu-aarch64-static
fi
if for_any deb-test; then
    need lintian 'checks the package against the policy of Debian' command_there lintian
    need systemd-container 'boots that root to try the service' command_there systemd-nspawn
    need mmdebstrap 'makes the root file system that the package is installed in' command_there mmdebstrap
fi
if for_any test-arm64 bench-arm64; then
    need libstdc++6-arm64-cross 'the TFLite library for 64-bit ARM needs it' test -e /usr/aarch64-linux-gnu/lib/libstdc++.so.6
    need util-linux 'shows the emulated program another /proc/cpuinfo' command_there unshare
fi
if for_any test-arm64; then
    need ffmpeg 'makes the recording of a visit' command_there ffmpeg
    need mosquitto 'passes the decisions on' command_there mosquitto
    need mosquitto-clients 'listens to them' command_there mosquitto_sub
    need qemu-user-static 'runs the program' command_there qemu-aarch64-static
fi
if for_any bench-arm64; then
    need qemu-user-static 'tells which kinds of work there are' command_there qemu-aarch64-static
    need qemu-user 'runs the program; this one takes plugins, the static one does not' command_there qemu-aarch64
    need xz-utils "opens QEMU's sources" command_there xz
fi
if for_any test; then
    need age 'tests open a backup with it, as anybody could' command_there age
    need ffmpeg 'tests make recordings with it' command_there ffmpeg
    need git 'cargo-deny fetches the advisories with it' command_there git
    need mosquitto 'tests publish to a real broker' command_there mosquitto
    need mosquitto-clients 'tests subscribe as any client would' command_there mosquitto_sub
    need openssl 'tests make certificates with it' command_there openssl
    need python3-venv 'make golden and benches/peers use it' venv
    need strace 'a test delays randomness with it' command_there strace
    need systemd 'tests check the unit with systemd-analyze' command_there systemd-analyze
fi
if for_any home-assistant; then
    need mosquitto 'is the broker' command_there mosquitto
    need mosquitto-clients 'listens to it, and sends what an intruder would' command_there mosquitto_sub
    need python3-venv 'the client of the test has an environment of its own' venv
    [ "$(id -u)" -ne 0 ] || need mmdebstrap 'makes the root file system with a Python that is new enough' command_there mmdebstrap
fi

if for_any page; then
    need chromium 'shows the page' chromium
    need chromium-driver 'presses its buttons' command_there chromedriver
    need python3-venv 'the driver of the test has an environment of its own' venv
fi
if for_any fuzz; then
    need g++ 'compiles libFuzzer' command_there c++
fi

if for_any system system-arm64; then
    need e2fsprogs 'makes disk images' command_there mke2fs
    need ffmpeg 'makes what the camera shall see' command_there ffmpeg
    need mmdebstrap "installs the machine's Debian" command_there mmdebstrap
    need xz-utils "opens the kernel's source" command_there xz
fi
if for_any system; then
    need qemu-system-x86 'emulates the machine' command_there qemu-system-x86_64
    need swtpm 'is the TPM of the machine' command_there swtpm
    command_there qemu-system-x86_64 || qemu_fits qemu-system-x86
fi
if for_any system-arm64; then
    need qemu-system-arm 'emulates the machine' command_there qemu-system-aarch64
    need qemu-user-static "runs arm64 programs while the machine's Debian is installed" command_there qemu-aarch64-static
    command_there qemu-system-aarch64 || qemu_fits qemu-system-arm
fi

# The page is checked against a mock in Python.
if ! for_any page && ! command_there cargo; then
    echo 'setup: cargo is missing: install Rust (rustup, or a package; Cargo.toml states the oldest version)' >&2
    exit 1
fi
if [ -n "$triple" ] && ! compgen -G "$(rustc --print target-libdir --target "$triple")/libstd-*.rlib" >/dev/null; then
    if ! command_there rustup; then
        echo "setup: Rust's standard library for $triple is missing, and rustup is not here to add it:" >&2
        echo "    install Rust through rustup, then: rustup target add $triple" >&2
        exit 1
    fi
    echo "setup: running rustup target add $triple"
    rustup --quiet target add "$triple"
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
