#!/usr/bin/env python3
"""Measures how many bytes a decision costs the flash that the database lies on.

in   root (it mounts a file system of its own), the release build for this machine, the assets, and
     what `tools/setup_debian.sh test` names
out  bytes and write operations for each decision: what the program gave to the kernel, and what the
     kernel gave to the device, which the file system's own journal is part of

The daemon runs on a fresh ext4 with 4 KiB blocks, mounted noatime as on Raspberry Pi OS, in a file
behind a loop device, and replays two visits again and again in real time, for nine minutes, with a
broker that acknowledges every record. The oldest records are erased at the bound, as on a door that
has run for years. Afterwards it replays an empty room.
Deliberately absent: what the flash itself makes of it (a card rewrites larger units than it is
given), and the journal's own files, for which the bytes of the log stand.

  cargo build --release --locked && python3 benches/flash_writes.py
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/arm64"))

from visit import PHOTOGRAPHS, ROOT, Failed, broker, decided, record  # noqa: E402

PROGRAM = ROOT / "target/release/deepid-edge"
DECISIONS = 50
# Of a frame, a quarter of the pixels of the default: what is written does not depend on it.
WIDTH = 320
# Records kept, the least that the configuration allows: most decisions also erase one.
RECORDS_MAX = 100
# Two visits lie further apart than this, also the last and the first.
ABSENCE_MS = 600
IDLE_S = 60
SECTOR = 512


class Written(NamedTuple):
    """Counters that only grow."""

    decisions: int
    by_program: int
    to_device: int
    operations: int
    logged: int

    def since(self, earlier: Written) -> Written:
        return Written(*(now - then for now, then in zip(self, earlier, strict=True)))


@contextmanager
def card() -> Iterator[tuple[Path, Path]]:
    """A file system of its own: where it is mounted, and its device's counters."""
    with tempfile.TemporaryDirectory(prefix="deepid-edge-card.", dir="/var/tmp") as name:
        image, mounted = Path(name) / "image", Path(name) / "card"
        mounted.mkdir()
        with image.open("wb") as file:
            file.truncate(1 << 30)
        # Without laziness: the kernel would go on writing empty tables while we count.
        lazy = "lazy_itable_init=0,lazy_journal_init=0"
        subprocess.run(["mkfs.ext4", "-q", "-b", "4096", "-E", lazy, image], check=True)
        subprocess.run(["mount", "-o", "loop,noatime", image, mounted], check=True)
        try:
            source = ["findmnt", "--noheadings", "--output", "SOURCE", str(mounted)]
            device = subprocess.run(source, capture_output=True, text=True, check=True).stdout.strip()
            yield mounted, Path("/sys/block") / Path(device).name / "stat"
        finally:
            subprocess.run(["umount", mounted], check=True)


def arguments(program: Path, mounted: Path, port: int) -> list[str]:
    settings = {
        "store.path": mounted / "door.db",
        "store.records_max": RECORDS_MAX,
        "mqtt.host": "127.0.0.1",
        "mqtt.port": port,
        "camera.replay.pace": "real-time",
        "camera.replay.repeat": "true",
        "detect.min_face_px": 20,
        "visit.absence_ms": ABSENCE_MS,
    }
    words = (word for key, value in settings.items() for word in ("--set", f"{key}={value}"))
    return [str(program), "--config", "/dev/null", *words]


def counters(process: int, device: Path, heard: Path, log: Path) -> Written:
    """Where the counters stand once all that was written is on the device."""
    subprocess.run(["sync"], check=True)
    io = dict(line.split(": ") for line in Path(f"/proc/{process}/io").read_text(encoding="utf-8").splitlines())
    stat = device.read_text(encoding="utf-8").split()
    decisions = len(decided(heard)["audit"])
    return Written(decisions, int(io["write_bytes"]), int(stat[6]) * SECTOR, int(stat[4]), log.stat().st_size)


def measure(program: Path, recording: Path, wait) -> tuple[Written, float]:
    """Runs the daemon on a recording; what was written until `wait` had seen enough, and in what time."""
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as (port, heard), card() as (mounted, device):
        common = arguments(program, mounted, port)
        pictures = [str(PHOTOGRAPHS / picture) for picture in ("obama.jpg", "obama2.jpg")]
        enrol = subprocess.run([*common, "enroll", "Somebody", "--image", *pictures], capture_output=True, text=True, check=False)
        if enrol.returncode != 0:
            raise Failed(f"enroll: {enrol.stderr}")
        log = Path(name) / "log"
        with log.open("w", encoding="utf-8") as out:
            daemon = subprocess.Popen([*common, "run", "--replay", str(recording)], stderr=out, stdout=subprocess.DEVNULL)
        try:
            enough = wait(heard, daemon)
            next(enough)  # start and enrolment are over
            first, began = counters(daemon.pid, device, heard, log), time.monotonic()
            next(enough)
            took = time.monotonic() - began
            return counters(daemon.pid, device, heard, log).since(first), took
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()


def until(daemon: subprocess.Popen[bytes], reached) -> None:
    while not reached():
        if daemon.poll() is not None:
            raise Failed(f"the daemon ended with exit code {daemon.returncode}")
        time.sleep(0.2)


def many_decisions(heard: Path, daemon: subprocess.Popen[bytes]) -> Iterator[None]:
    """From the first erased record on."""
    until(daemon, lambda: len(decided(heard)["audit"]) > RECORDS_MAX)
    yield
    until(daemon, lambda: len(decided(heard)["audit"]) > RECORDS_MAX + DECISIONS)
    yield


def nothing(heard: Path, daemon: subprocess.Popen[bytes]) -> Iterator[None]:
    """A while in which nobody comes."""
    until(daemon, lambda: "started" in heard.read_text(encoding="utf-8"))
    time.sleep(5)
    yield
    time.sleep(IDLE_S)
    yield


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=PROGRAM, help="the daemon to measure")
    program = parser.parse_args().program
    if os.geteuid() != 0:
        print("flash_writes: needs root, to mount a file system of its own", file=sys.stderr)
        return 1
    if not program.exists():
        print(f"flash_writes: {program} is absent: cargo build --release --locked", file=sys.stderr)
        return 1
    try:
        with tempfile.TemporaryDirectory() as name:
            visits, empty = Path(name) / "visits.mjpeg", Path(name) / "empty.mjpeg"
            record(visits, width=WIDTH)
            record(empty, people=False, width=WIDTH)
            written, took = measure(program, visits, many_decisions)
            each = [number / written.decisions for number in written[1:]]
            print(f"{written.decisions} decisions in {took:.0f} s; for each of them:")
            print(f"  the program wrote      {each[0] / 1024:8.1f} KiB")
            print(f"  the device was given   {each[1] / 1024:8.1f} KiB in {each[2]:.1f} operations")
            print(f"  the log grew by        {each[3]:8.0f} bytes")
            written, took = measure(program, empty, nothing)
            print(f"nobody for {took:.0f} s: the program wrote {written.by_program} bytes, the device was given")
            print(f"  {written.to_device} bytes, the log grew by {written.logged} bytes; {written.decisions} decisions")
    except Failed as failure:
        print(f"flash_writes: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
