"""What the camera shall see: parts of the demonstration's visit, as files that ffmpeg plays.

in   the visit as the program renders it (MJPEG), and its script (tests/data)
out  NAME.mjpeg and NAME.yuyv for each name of `PARTS`: a third of its frames, then an empty room

The photographs are those that assets.toml names; nobody else's face is in any test.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

# The files of the script, in their order.
SCRIPTS = ("visit.toml", "tablet.toml")

# Our names for the parts of the visit, by theirs.
PARTS = {
    "nobody": "nobody",
    "enrolled": "the enrolled person, another photograph",
    "stranger": "a stranger",
    "newcomer": "a cleaner, in the evening of another day",
}

# The visit has 15 frames a second. Every third of them is shown, at a quarter of its pace: what an
# emulated processor can follow, also on a host that has other things to do.
EVERY = 3
RATE = 1.25
# Between two visits, so that the first one ends: longer than visit.absence_ms (door.py).
EMPTY_S = 7


class FeedError(Exception):
    """The visit cannot be rendered or cut."""


def split_jpeg(recording: bytes) -> list[bytes]:
    """The pictures of an MJPEG stream. Within a picture FF is always followed by 00 or a marker
    that is not the start of an image, so each FF D8 FF begins one."""
    starts = [match.start() for match in re.finditer(rb"\xff\xd8\xff", recording)]
    return [recording[a:b] for a, b in zip(starts, [*starts[1:], len(recording)])]


def frames_of(script: dict, part: dict) -> int:
    """How many frames a part has; halves are rounded up, as the program does."""
    return int(part["seconds"] * script["picture"]["rate"] + 0.5)


def part_frames(script: dict, name: str) -> range:
    """The numbers of the frames of the part that is called `name`."""
    first = 0
    for part in script["part"]:
        frames = frames_of(script, part)
        if part["name"] == name:
            return range(first, first + frames)
        first += frames
    raise FeedError(f"the script of the visit has no part '{name}'")


def script_of(root: Path) -> dict:
    """The script of the demonstration, as the program reads it: its files one behind the other."""
    return tomllib.loads("\n".join((root / "tests/data" / name).read_text() for name in SCRIPTS))


def make(program: Path, root: Path, folder: Path) -> None:
    """Renders the visit and cuts it into the files of `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    recording = folder / "visit.mjpeg"
    command = [str(program), "demo", "--recording", str(recording)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FeedError(f"{' '.join(command)}: {done.stderr.strip()}")
    script = script_of(root)
    pictures = split_jpeg(recording.read_bytes())
    expected = sum(frames_of(script, part) for part in script["part"])
    if len(pictures) != expected:
        raise FeedError(f"{recording} has {len(pictures)} pictures, its script says {expected}")
    empty = [pictures[number] for number in part_frames(script, PARTS["nobody"])][::EVERY]
    for name, part in PARTS.items():
        frames = [pictures[number] for number in part_frames(script, part)][::EVERY]
        if name != "nobody":
            frames += [empty[number % len(empty)] for number in range(round(EMPTY_S * RATE))]
        compressed = folder / f"{name}.mjpeg"
        compressed.write_bytes(b"".join(frames))
        raw = folder / f"{name}.yuyv"
        subprocess.run(
            ["ffmpeg", "-loglevel", "error", "-y", "-f", "mjpeg", "-i", str(compressed)]
            + ["-f", "rawvideo", "-pix_fmt", "yuyv422", str(raw)],
            check=True,
            stdin=subprocess.DEVNULL,
        )
