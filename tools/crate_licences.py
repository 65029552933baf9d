#!/usr/bin/env python3
"""Writes the licences of every Rust crate that is compiled into the program.

in   the target's triple; the program's package, deepid-edge unless named; Cargo.lock; the crates'
     sources, which cargo fetched to build them
out  on standard output: every crate with its version and licence expression, then each licence file
     once, with the crates that it belongs to; exit 1 when a crate carries none and its licence is
     neither MIT nor Apache-2.0, whose texts stand in this repository

Crates of other targets, of tests, of build scripts and of features that the package is built without
are not compiled in and not listed. Which
licences may come in at all is for `deny.toml` to say. Deliberately absent: any guess at which licence
a file is. cargo-about writes such a text too, but takes longer to build than the package itself.

  python3 tools/crate_licences.py aarch64-unknown-linux-gnu
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "deepid-edge"
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice|copyright|unlicense)", re.IGNORECASE)
# Not prose: sources whose name begins like a licence's.
CODE = {".rs", ".py", ".toml", ".sh", ".json", ".yml", ".lock"}


def compiled_in(target: str, program: str = PROGRAM) -> set[str]:
    """The ids `name version` of the crates that end up in the binary, this one's own left out."""
    command = ["cargo", "tree", "--locked", "--quiet", "--edges", "normal", "--prefix", "none", "--target", target]
    command += ["--package", program]
    lines = subprocess.run([*command, "--format", "{p}"], cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE)
    found = set()
    for line in lines.stdout.splitlines():
        name, version, *rest = line.split(" ")
        # Macros run in the compiler; what they write is this project's, not theirs.
        if "(proc-macro)" not in rest:
            found.add(f"{name} {version.removeprefix('v')}")
    return found


def crates(target: str, program: str = PROGRAM) -> list[dict]:
    """What cargo knows of them, sorted by name."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    said = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE)
    wanted = compiled_in(target, program)
    packages = [p for p in json.loads(said.stdout)["packages"] if p["source"] is not None]
    packages = [p for p in packages if f"{p['name']} {p['version']}" in wanted]
    return sorted(packages, key=lambda p: (p["name"], p["version"]))


def licence_files(package: dict) -> list[Path]:
    """The licence files at the top of a crate, and those of what it carries one folder below."""
    folder = Path(package["manifest_path"]).parent
    files = [f for f in folder.glob("*") if LICENCE_FILE.match(f.name)]
    files += [f for f in folder.glob("*/*") if LICENCE_FILE.match(f.name)]
    files += [folder / package["license_file"]] if package["license_file"] else []
    return sorted({f for f in files if f.is_file() and f.suffix not in CODE})


def gather(packages: list[dict]) -> tuple[list[tuple[str, list[str]]], list[dict]]:
    """Each licence text and whose it is; and the crates that carry none."""
    # Copies of one licence differ in line breaks and indentation more often than in words.
    texts: dict[str, tuple[str, list[str]]] = {}
    without = []
    for package in packages:
        files = licence_files(package)
        if not files:
            without.append(package)
        for file in files:
            lines = [line.rstrip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
            text = "\n".join(lines).strip("\n")
            owners = texts.setdefault(" ".join(text.split()), (text, []))[1]
            if title(package) not in owners:
                owners.append(title(package))
    return list(texts.values()), without


def title(package: dict) -> str:
    """Name and version."""
    return f"{package['name']} {package['version']}"


def standard(package: dict) -> tuple[str, list[str]]:
    """The licence of a crate that carries no file, from this repository, with its authors."""
    expression = package["license"] or ""
    owner = f"{title(package)}, which carries no licence file; by {', '.join(package['authors']) or 'its authors'}"
    if "Apache-2.0" in expression:
        return (ROOT / "LICENSE-APACHE").read_text(encoding="utf-8").strip("\n"), [owner]
    if "MIT" in expression:
        text = (ROOT / "LICENSE-MIT").read_text(encoding="utf-8")
        return text[text.index("Permission is hereby granted"):].strip("\n"), [owner]
    raise ValueError(f"{title(package)} ({expression or 'no licence stated'}) carries no licence file: add its text here")


def render(packages: list[dict], texts: list[tuple[str, list[str]]], program: str = PROGRAM) -> str:
    """The whole text."""
    lines = [f"Rust crates compiled into {program}, with the licences under which their authors give them.", ""]
    lines += [f"  {title(p)}: {p['license'] or p['license_file']}" for p in packages]
    for text, owners in texts:
        lines += ["", "=" * 80, *owners, "-" * 80, text]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="the triple that the program is built for")
    parser.add_argument("program", nargs="?", default=PROGRAM, help="the package of this workspace that it is")
    given = parser.parse_args(arguments)
    packages = crates(given.target, given.program)
    texts, without = gather(packages)
    try:
        texts += [standard(package) for package in without]
    except ValueError as error:
        print(f"licences: {error}", file=sys.stderr)
        return 1
    sys.stdout.write(render(packages, texts, given.program))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
