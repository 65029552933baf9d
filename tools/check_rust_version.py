#!/usr/bin/env python3
"""Holds the stated minimum Rust version against what the dependencies ask for.

in   `rust-version` in Cargo.toml; `cargo metadata` for the supported targets
out  exit 0 and one line, or exit 1 and every dependency that asks for a newer Rust

With clippy's `incompatible_msrv`, which denies newer parts of the standard library in our own code,
this checks the stated version without that toolchain. Deliberately absent: a build with it; where
rustup has it, `cargo +VERSION check --locked` is the proof.
"""

from __future__ import annotations

import json
import subprocess
import sys

TARGETS = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")


def numbers(version: str) -> tuple[int, ...]:
    """"1.89" and "1.89.0" are the same version."""
    parts = [int(part) for part in version.split(".")]
    return tuple(parts + [0] * (3 - len(parts)))


def metadata(target: str) -> dict:
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features", "--filter-platform", target]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def main() -> int:
    newer: set[str] = set()
    stated = ""
    for target in TARGETS:
        document = metadata(target)
        root = document["resolve"]["root"]
        built = {node["id"] for node in document["resolve"]["nodes"]}
        packages = [package for package in document["packages"] if package["id"] in built]
        stated = next(package["rust_version"] for package in packages if package["id"] == root)
        newer |= {
            f"{package['name']} {package['version']} asks for Rust {package['rust_version']}"
            for package in packages
            if package["rust_version"] and numbers(package["rust_version"]) > numbers(stated)
        }
    if newer:
        print(f"rust-version: Cargo.toml states {stated}, but:", *sorted(newer), sep="\n    ", file=sys.stderr)
        print("state the newer version, or hold the dependency back with cargo update --precise", file=sys.stderr)
        return 1
    print(f"rust-version: {stated} suffices for every dependency on {', '.join(TARGETS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
