#!/usr/bin/env python3
"""Holds a Debian package to what its programs need: `Depends` must cover it, and Debian 12 must have it.

in   a .deb of any architecture; readelf, dpkg-deb
out  what is newest of each library's symbols, on one line; exit 1 with a line for each fault, 2 where
     there is nothing to judge

What is built on a newer Debian may ask for a symbol of its C library: the package is installed on the
older one all the same, and the program does not start. The names of the libraries' packages are the same
in Debian 12 and 13: of the three, none was renamed for 64-bit times (`t64`).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

Version = tuple[int, ...]

# The package that each shared library comes from.
PACKAGES = {
    **dict.fromkeys(("libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0"), "libc6"),
    **dict.fromkeys(("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"), "libc6"),
    "libgcc_s.so.1": "libgcc-s1",
    "libstdc++.so.6": "libstdc++6",
}
# Whose symbols are counted by the package's own versions.
OF_FAMILY = {"GLIBC": "libc6", "GCC": "libgcc-s1"}
# The C++ library counts otherwise: 12.1 is the first with these (gcc's manual of libstdc++, ABI policy).
OF_LIBSTDCXX = {(12,): {"GLIBCXX": (3, 4, 30), "CXXABI": (1, 3, 13)}}
# What Debian 12 has: of the libraries, and of what else the packages depend on.
OLDEST = {"libc6": (2, 36), "libgcc-s1": (12, 2), "libstdc++6": (12, 2), "systemd": (252,)}

SYMBOL = re.compile(r"\b(GLIBC|GLIBCXX|CXXABI|GCC)_(\d+(?:\.\d+)+)\b")
NEEDED = re.compile(r"\(NEEDED\).*\[(.+)\]")


def number(version: str) -> Version:
    """A version to compare: 4.2.0 is 4.2."""
    return tuple(int(part) for part in re.sub(r"(\.0)+$", "", version).split("."))


def text(version: Version) -> str:
    return ".".join(map(str, version))


def depends_of(field: str) -> dict[str, Version]:
    """The packages of a `Depends` field with their least versions; without one it is ()."""
    found = {}
    for one in field.split(","):
        name, least = re.fullmatch(r"\s*([a-z0-9+.-]+)(?: \(>= ([0-9.]+)\))?\s*", one).groups()
        found[name] = number(least) if least else ()
    return found


def needs_of(said: str) -> tuple[set[str], dict[str, Version]]:
    """The libraries and, of each family of symbols, the newest, in what readelf says of a program."""
    newest: dict[str, Version] = {}
    for family, version in SYMBOL.findall(said):
        newest[family] = max(newest.get(family, ()), number(version))
    return set(NEEDED.findall(said)), newest


def faults(depends: dict[str, Version], libraries: set[str], newest: dict[str, Version]) -> list[str]:
    """What is wrong with a package that depends on this and needs that."""
    wrong = []
    for library in sorted(libraries):
        package = PACKAGES.get(library)
        if package is None:
            wrong.append(f"{library} is of a package that is not known here")
        elif package not in depends:
            wrong.append(f"{library} is needed, and Depends lacks {package}")
    for family, symbol in sorted(newest.items()):
        if family in OF_FAMILY:
            package = OF_FAMILY[family]
            has, covers = OLDEST[package], depends.get(package, ())
        else:
            package = "libstdc++6"
            (oldest,) = OF_LIBSTDCXX.values()
            has = oldest[family]
            covers = OF_LIBSTDCXX.get(depends.get(package, ()), {}).get(family, ())
        if symbol > has:
            wrong.append(f"{family}_{text(symbol)} is needed, and Debian 12 has {text(has)}: build on Debian 12")
        if symbol > covers:
            wrong.append(f"{family}_{text(symbol)} is needed, and Depends does not ask for a {package} that has it")
    for package, least in sorted(depends.items()):
        if package not in OLDEST:
            wrong.append(f"Depends names {package}, of which is not known here what Debian 12 has")
        elif least > OLDEST[package]:
            wrong.append(f"Depends asks for {package} {text(least)}, and Debian 12 has {text(OLDEST[package])}")
    return wrong


def main() -> int:
    """Judges the package that is named."""
    package = Path(sys.argv[1])
    field = subprocess.run(["dpkg-deb", "--field", package, "Depends"], check=True, text=True, stdout=subprocess.PIPE).stdout
    libraries: set[str] = set()
    newest: dict[str, Version] = {}
    with tempfile.TemporaryDirectory(prefix="check-symbols.") as folder:
        subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
        files = [file for file in Path(folder).rglob("*") if file.is_file() and not file.is_symlink()]
        programs = [file for file in files if file.open("rb").read(4) == b"\x7fELF"]
        for program in programs:
            command = ["readelf", "--dynamic", "--version-info", "--wide", program]
            said = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
            of_program, symbols = needs_of(said)
            libraries |= of_program
            for family, version in symbols.items():
                newest[family] = max(newest.get(family, ()), version)
    if not programs or not libraries:
        print(f"check-symbols: {package.name} holds no program that needs a library", file=sys.stderr)
        return 2
    wrong = faults(depends_of(field.strip()), libraries, newest)
    for fault in wrong:
        print(f"check-symbols: {package.name}: {fault}", file=sys.stderr)
    needed = ", ".join(f"{family}_{text(version)}" for family, version in sorted(newest.items()))
    print(f"check-symbols: {package.name} needs {needed}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
