#!/usr/bin/env python3
"""Tries the 64-bit ARM build on this machine, as the processor of each board would run it.

in   the package that `make deb-arm64` made, the sources and assets that it was made of, the Debian
     packages that `tools/setup_debian.sh test-arm64` names
out  a line for each check; exit 0 when all hold

On each processor, with the real TFLite library for ARM under QEMU's user emulation (emulate.sh):
  the golden tests   deepid2's int8 embeddings bit for bit, its ensemble's within a step, boxes and keypoints within half a pixel
  a visit            the package's own program, with its library and models, enrols a person from
                     photographs, replays a recording in which that person and a stranger come to
                     the door, and says over MQTT what it decided
Numbers and decisions are those of the processor; times are the emulator's and mean nothing.
Deliberately absent: kernel, camera and systemd, which user emulation does not have.

  python3 tests/arm64/check.py                          # the newest package, all processors
  python3 tests/arm64/check.py --package FILE.deb
  python3 tests/arm64/check.py --processor cortex-a72   # only this one
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from visit import PHOTOGRAPHS, ROOT, Failed, broker, decided, record

HERE = Path(__file__).resolve().parent
TARGET = "aarch64-unknown-linux-gnu"
PROCESSORS = {"cortex-a53": "Raspberry Pi 3", "cortex-a72": "Raspberry Pi 4", "cortex-a76": "Raspberry Pi 5"}
# Guards against hanging, and measures nothing.
PATIENCE_S = 1200


class Installed(NamedTuple):
    """Where the package's files lie."""

    program: Path
    library: Path
    models: Path


def unpack(package: Path | None, into: Path) -> Installed:
    """Takes the package apart, without installing it."""
    made = sorted(ROOT.glob("target/**/debian/deepid-edge_*_arm64.deb"), key=lambda file: file.stat().st_mtime)
    if package is None and not made:
        raise Failed("there is no package under target: make deb-arm64")
    chosen = package or made[-1]
    done = subprocess.run(["dpkg-deb", "--extract", chosen, into], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{chosen}: {done.stderr.strip()}")
    print(f"package {chosen.name}", flush=True)
    share = into / "usr/share/deepid-edge/models"
    return Installed(into / "usr/bin/deepid-edge", into / "usr/lib/deepid-edge/libLiteRt.so", share)


def build(verb: str, kind: str, name: str, *arguments: str) -> Path:
    """Builds the test or benchmark `name` for ARM as the package's program is built; where it lies."""
    command = [os.environ.get("CARGO", "cargo"), verb, "--release", "--locked", "--no-default-features"]
    command += ["--target", TARGET, "--message-format", "json-render-diagnostics", f"--{kind}", name, *arguments]
    # What the package was built with, or cargo would compile the library anew.
    describe = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    environment = {**os.environ, "DEEPID_EDGE_COMMIT": describe.stdout.strip() or "commit not recorded"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"could not be built: {' '.join(command)}")
    # The program itself is built too, before or after.
    built = map(json.loads, done.stdout.splitlines())
    return next(Path(one["executable"]) for one in built if one.get("executable") and one["target"]["name"] == name)


def emulated(
    processor: str, program: Path, *arguments: object, emulator: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a program for ARM to its end, by another emulator than emulate.sh's if one is named."""
    command = [str(HERE / "emulate.sh"), processor, str(program), *map(str, arguments)]
    # Settings of whoever starts this are none of the program's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DEEPID_EDGE__")}
    if emulator:
        environment["DEEPID_EDGE_EMULATOR"] = emulator
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def succeeded(done: subprocess.CompletedProcess[str], what: str) -> str:
    """What it said, on both ways."""
    said = f"{done.stdout}{done.stderr}"
    if done.returncode != 0:
        raise Failed(f"{what}: exit code {done.returncode}\n{said[-3000:]}")
    return said


def golden(processor: str, tests: Path) -> str:
    """The golden tests, none of them skipped."""
    said = succeeded(emulated(processor, tests, "--nocapture", "--test-threads=1"), "golden tests")
    if "SKIPPED" in said or "3 passed; 0 failed" not in said:
        raise Failed(f"golden tests: expected 3 that pass and none that skips\n{said[-3000:]}")
    differences = [float(line.split()[-2]) for line in said.splitlines() if line.endswith(" px")]
    if not differences:
        raise Failed(f"golden tests: no box was compared\n{said[-3000:]}")
    return f"deepid2 bit-identical, its ensemble within a step, {len(differences)} photographs at most {max(differences):.3f} px off"


def visit(processor: str, installed: Installed, recording: Path) -> str:
    """Enrolment, recording, decisions over MQTT."""
    with tempfile.TemporaryDirectory(prefix="deepid-edge-arm64.") as name, broker(Path(name)) as (port, heard):
        folder = Path(name)
        settings = [
            f"store.path={folder / 'door.db'}",
            f"models.library={installed.library}",
            f"models.directory={installed.models}",
            "mqtt.host=127.0.0.1",
            f"mqtt.port={port}",
            "camera.replay.pace=fast",
        ]
        common = ["--config", "/dev/null", *(word for setting in settings for word in ("--set", setting))]
        pictures = [PHOTOGRAPHS / "obama.jpg", PHOTOGRAPHS / "obama2.jpg"]
        succeeded(emulated(processor, installed.program, *common, "enroll", "Somebody", "--image", *pictures), "enroll")
        said = succeeded(emulated(processor, installed.program, *common, "run", "--replay", recording), "run")
        # The broker has what the program has sent; what it still passes on comes within a moment.
        expected = ["granted matched", "unknown no_match"]
        for _ in range(100):
            decisions = decided(heard)
            if len(decisions["audit"]) >= len(expected):
                break
            time.sleep(0.1)
        if decisions["audit"] != expected:
            raise Failed(f"visit: expected {expected}, came {decisions['audit']}\n{said[-3000:]}")
        # An access message lives five seconds, and an emulated frame may take longer: then the decision
        # is in the audit alone, as it must be.
        if any(access not in expected for access in decisions["access"]):
            raise Failed(f"visit: access says {decisions['access']}, the audit {expected}")
        if "Somebody" in heard.read_text(encoding="utf-8") or "Somebody" in said:
            raise Failed("visit: a name came out")
    return f"{', '.join(expected)} over MQTT, {len(decisions['access'])} of them in time for access"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, help="the package, in place of the newest under target")
    parser.add_argument("--processor", action="append", choices=PROCESSORS, help="only this one")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="deepid-edge-arm64.") as name:
            folder = Path(name)
            installed = unpack(options.package, folder / "package")
            tests = build("build", "test", "golden")
            recording = folder / "visit.mjpeg"
            record(recording)
            for processor in options.processor or PROCESSORS:
                checks = {
                    "golden": lambda cpu=processor: golden(cpu, tests),
                    "visit": lambda cpu=processor: visit(cpu, installed, recording),
                }
                for what, check in checks.items():
                    began = time.monotonic()
                    result = check()
                    board = f"{processor} ({PROCESSORS[processor]})"
                    print(f"ok  {board:28} {what:8} {result}; {time.monotonic() - began:.0f} s emulated", flush=True)
    except Failed as failure:
        print(f"arm64: FAILED: {failure}", file=sys.stderr)
        return 1
    except subprocess.TimeoutExpired as hung:
        print(f"arm64: FAILED: no end within {PATIENCE_S} s: {' '.join(map(str, hung.cmd))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
