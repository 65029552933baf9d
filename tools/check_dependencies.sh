#!/usr/bin/env bash
# Checks what comes in with the dependencies: licences, bans, sources, advisories (cargo-deny),
# dependencies that nothing uses (cargo-machete), and the Rust version that they ask for.
#
# in   Cargo.toml, Cargo.lock, deny.toml
# out  exit 0, or the first tool's complaint and exit 1
#
# The two tools are taken from PATH where they are, else built once by tools/cargo_tool.sh (about
# three minutes on two cores). Advisories need the RustSec database; where it cannot be had
# they are skipped, and the last lines say so.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/cargo_tool.sh cargo-deny 0.20.2
tools/cargo_tool.sh cargo-machete 0.9.2
export PATH=$PATH:$PWD/assets/cargo/bin

cargo-machete .
cargo-deny --workspace --log-level warn check licenses bans sources
python3 tools/check_rust_version.py

# The database first, by itself: a failure to fetch is not a finding.
if said=$(timeout 120 cargo-deny --log-level error fetch db 2>&1); then
    cargo-deny --workspace --log-level warn --offline check advisories
else
    echo "dependencies: advisories NOT CHECKED, the RustSec database cannot be fetched:"
    echo "    $(tail -n 1 <<<"$said")"
fi
