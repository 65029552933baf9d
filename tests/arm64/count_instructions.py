#!/usr/bin/env python3
"""Counts the instructions of every stage and of whole frames on the boards' processors.

in   the sources, what `tools/fetch_assets.py --target aarch64` brings, the packages that
     `tools/setup_debian.sh bench-arm64` names; QEMU's plugin header comes by `apt-get source`
out  a table: millions of instructions for each kind of work (benches/work.rs), by whose they are

Each kind is run N and 2N times under emulation; the difference, divided by N, is one piece of work
without start, warm-up and the reading of models. The counts are those of the real processor: it is
told to the TFLite library, which chooses its code by it. How long a processor takes for them, the
counts do not say. Two runs give the same counts but for a few thousand instructions, because hash
tables are seeded at random.

  python3 tests/arm64/count_instructions.py                     # all, about a quarter of an hour
  python3 tests/arm64/count_instructions.py --kind stage/align --processor cortex-a72 --functions 20
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from check import HERE, PROCESSORS, ROOT, Failed, build, emulated, succeeded

# Fetched and made things lie where git ignores them.
PLACE = ROOT / "assets/qemu"
# Pieces of work of the shorter run, at least: as many whole cycles of benches/work.rs.
PIECES_MIN = 3
WHOSE = ("ours", "TFLite library", "C libraries")


def command(arguments: list[str | Path], what: str, **options: object) -> str:
    """What a command says on stdout."""
    done = subprocess.run(list(map(str, arguments)), stdout=subprocess.PIPE, text=True, check=False, **options)
    if done.returncode != 0:
        raise Failed(f"{what}: exit code {done.returncode} of {arguments[0]}")
    return done.stdout


def plugin_header() -> Path:
    """The folder of the qemu-plugin.h that fits the installed emulator."""
    query = ["dpkg-query", "--show", "--showformat", "${source:Version}", "qemu-user"]
    version = command(query, "qemu-user is missing: tools/setup_debian.sh bench-arm64")
    folder = PLACE / version
    if (folder / "qemu-plugin.h").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PLACE) as name:
        # The machine's own package sources, asked for sources instead of binaries, for this once.
        place = Path(name)
        (place / "lists/partial").mkdir(parents=True)
        (place / "parts").mkdir()
        for known in Path("/etc/apt/sources.list.d").glob("*.sources"):
            text = known.read_text(encoding="utf-8")
            (place / "parts" / known.name).write_text(text.replace("Types: deb\n", "Types: deb-src\n"), encoding="utf-8")
        known = Path("/etc/apt/sources.list")
        lines = known.read_text(encoding="utf-8").splitlines() if known.exists() else []
        sources = "".join(f"deb-src {line.removeprefix('deb ')}\n" for line in lines if line.startswith("deb "))
        (place / "sources.list").write_text(sources, encoding="utf-8")
        settings = {
            "Dir::Etc::SourceList": place / "sources.list",
            "Dir::Etc::SourceParts": place / "parts",
            "Dir::State::Lists": place / "lists",
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "APT::Sandbox::User": "root",
        }
        apt = ["apt-get", "--quiet=2", *(word for key, to in settings.items() for word in ("-o", f"{key}={to}"))]
        command([*apt, "update"], "the list of source packages", cwd=place)
        source = ["source", "--download-only", "--only-source", f"qemu={version}"]
        command([*apt, *source], f"the source of qemu {version}", cwd=place)
        archive = next(place.glob("qemu_*.orig.tar.xz"))
        inside = "*/include/qemu/qemu-plugin.h"
        command(["tar", "xf", archive, "-C", folder, "--wildcards", "--strip-components=3", inside], "qemu-plugin.h")
    return folder


def plugin() -> Path:
    """The compiled plugin."""
    header = plugin_header()
    made = header / "count_instructions.so"
    source = HERE / "count_instructions.c"
    if not made.exists() or made.stat().st_mtime < source.stat().st_mtime:
        compiler = ["cc", "-O2", "-Wall", "-shared", "-fPIC", "-I", header, "-o", made, source]
        command(compiler, "the plugin does not compile")
    return made


def count(processor: str, program: Path, made: Path, kind: str, pieces: int) -> Counter[tuple[str, str]]:
    """Instructions of one run by file and function."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counts"
        emulator = f"qemu-aarch64 -plugin file={made},out={out} -d plugin -D /dev/null"
        said = succeeded(emulated(processor, program, kind, pieces, emulator=emulator), kind)
        if "SKIPPED" in said:
            raise Failed(f"{kind}: {said.strip()}")
        counts: Counter[tuple[str, str]] = Counter()
        for line in out.read_text(encoding="utf-8").splitlines():
            number, file, function = line.split("\t")
            counts[file, function] += int(number)
    return counts


def piece(processor: str, program: Path, made: Path, kind: str, cycle: int) -> dict[tuple[str, str], float]:
    """Instructions of one piece of work, of which so many make a cycle, by file and function."""
    pieces = -(-PIECES_MIN // cycle) * cycle
    once = count(processor, program, made, kind, pieces)
    twice = count(processor, program, made, kind, 2 * pieces)
    return {place: (twice[place] - once[place]) / pieces for place in twice}


def whose(file: str, program: Path) -> str:
    """Who wrote the code of a file."""
    if Path(file).name == program.name:
        return WHOSE[0]
    return WHOSE[1] if Path(file).name == "libLiteRt.so" else WHOSE[2]


def show(kind: str, processor: str, costs: dict[tuple[str, str], float], program: Path, functions: int) -> None:
    """Prints one piece of work, and its costliest functions of ours."""
    sums = Counter({name: 0.0 for name in WHOSE})
    for (file, _), number in costs.items():
        sums[whose(file, program)] += number
    cells = " | ".join(f"{sums[name] / 1e6:.3f}" for name in WHOSE)
    print(f"| {kind} | {processor} | {cells} | {sums.total() / 1e6:.3f} |", flush=True)
    ours = [(number, function) for (file, function), number in costs.items() if whose(file, program) == WHOSE[0]]
    for number, function in sorted(ours, reverse=True)[:functions]:
        print(f"    {number / 1e6:10.3f}  {function}")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", action="append", help="only this one; benches/work.rs has them")
    parser.add_argument("--processor", action="append", choices=PROCESSORS, help="only this one")
    parser.add_argument("--functions", type=int, default=0, metavar="N", help="and the N costliest functions of ours")
    options = parser.parse_args(arguments)
    try:
        made = plugin()
        # With its symbols, which the release profile would strip.
        program = build("rustc", "bench", "work", "--", "-C", "strip=none")
        listed = command([HERE / "emulate.sh", "cortex-a72", program], "the benchmark's program").splitlines()[1:]
        kinds = {kind: int(cycle) for kind, cycle in (line.split("\t") for line in listed)}
        unknown = set(options.kind or ()) - set(kinds)
        if unknown:
            raise Failed(f"no such kind: {', '.join(sorted(unknown))}; there are {', '.join(kinds)}")
        print("millions of instructions\n")
        print(f"| work | processor | {' | '.join(WHOSE)} | all |\n|---|---|---|---|---|---|")
        works = list(product(options.kind or kinds, options.processor or PROCESSORS))
        # What is counted does not depend on what runs beside it.
        with ThreadPoolExecutor(os.cpu_count()) as runs:
            counted = runs.map(lambda work: piece(work[1], program, made, work[0], kinds[work[0]]), works)
            for (kind, processor), costs in zip(works, counted, strict=True):
                show(kind, processor, costs, program, options.functions)
    except Failed as failure:
        print(f"arm64: FAILED: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
