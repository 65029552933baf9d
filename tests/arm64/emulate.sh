#!/usr/bin/env bash
# Runs a program built for 64-bit ARM on this machine, as the processor of one board would.
#
# in   PROCESSOR PROGRAM [ARGUMENT…]: cortex-a53 (Pi 3), cortex-a72 (Pi 4) or cortex-a76 (Pi 5)
# out  what the program says, and its exit code
#
# The TFLite library chooses its code by /proc/cpuinfo and crashes where it finds no ARM processor
# there, and the emulator shows this machine's own: so the file of that processor beside this script
# is mounted over it, in a namespace that nothing else sees. Without root this needs the kernel's
# leave for user namespaces, which Debian gives.
# DEEPID_EDGE_EMULATOR names another emulator (count_instructions.py has one that takes plugins).
# Deliberately absent: starting further ARM programs from the emulated one, which the kernel would
# have to be taught for the whole machine (binfmt_misc); `demo` starts itself and does not run here.
set -euo pipefail

readonly processor=${1:?a processor: cortex-a53, cortex-a72 or cortex-a76}
: "${2:?the program to run}"
cpuinfo=$(dirname "$(realpath "$0")")/$processor.cpuinfo
[ -e "$cpuinfo" ] || { echo "emulate: $cpuinfo is absent: no such processor here" >&2; exit 2; }

namespace=(unshare --mount)
[ "$(id -u)" -eq 0 ] || namespace=(unshare --mount --map-root-user)
export QEMU_CPU=$processor QEMU_LD_PREFIX=${QEMU_LD_PREFIX:-/usr/aarch64-linux-gnu}
# shellcheck disable=SC2016 # the inner shell expands them
exec "${namespace[@]}" sh -euc '
    mount --bind "$1" /proc/cpuinfo
    emulator=$2
    shift 2
    exec $emulator "$@"' sh "$cpuinfo" "${DEEPID_EDGE_EMULATOR:-qemu-aarch64-static}" "${@:2}"
