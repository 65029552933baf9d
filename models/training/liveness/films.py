"""Reads films and photographs to measure by, and remembers where the faces in them are.

in   a folder: live/**, attack/KIND/** with .mjpeg, .mkv, .mp4, .jpg, .png; or any folder, all of it live
out  Film: what it shows, and of each looked-at frame the picture and the face's box

Boxes are kept in a JSON file, since finding them takes longer than everything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import faces
import numpy as np
from liveness.crops import Looks

STILLS = (".jpg", ".jpeg", ".png")
FILMS = (".mjpeg", ".mkv", ".mp4", ".mov", ".avi")
# Frames a second that are looked at, and of one film at most so many.
LOOKS_A_SECOND, LOOKS_MAX = 5.0, 12
START = b"\xff\xd8\xff"
RATE_OF_MJPEG = 15.0


@dataclass(frozen=True)
class Film:
    path: Path
    name: str
    kind: str


def listed(folder: Path) -> list[Film]:
    """Everything below a folder; what is not below attack/KIND is live."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in (*STILLS, *FILMS)):
        parts = path.relative_to(folder).parts
        kind = parts[parts.index("attack") + 1] if "attack" in parts[:-2] else "live"
        found.append(Film(path, str(path.relative_to(folder)), kind))
    return found


def frames(path: Path) -> Iterator[np.ndarray]:
    """The looked-at frames, RGB."""
    if path.suffix.lower() in STILLS:
        yield faces.read(path)
        return
    step, count = 1.0, 0
    if path.suffix.lower() == ".mjpeg":
        parts = path.read_bytes().split(START)[1:]
        wanted = np.arange(0, len(parts), RATE_OF_MJPEG / LOOKS_A_SECOND)[:LOOKS_MAX]
        for at in wanted:
            pixels = cv2.imdecode(np.frombuffer(START + parts[int(at)], np.uint8), cv2.IMREAD_COLOR)
            if pixels is not None:
                yield cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        return
    film = cv2.VideoCapture(str(path))
    step = max(1.0, (film.get(cv2.CAP_PROP_FPS) or RATE_OF_MJPEG) / LOOKS_A_SECOND)
    number, due = 0, 0.0
    while count < LOOKS_MAX:
        there, pixels = film.read()
        if not there:
            break
        if number >= due:
            yield cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
            due, count = due + step, count + 1
        number += 1
    film.release()


class Boxes:
    """Where the largest face is, by film and frame; kept in a file."""

    def __init__(self, store: Path) -> None:
        self.store, self.looks = store, Looks()
        self.known: dict[str, list[list[float] | None]] = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}

    def of(self, film: Film) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pictures in which a face is, with its box."""
        key, known, found = str(film.path), self.known.get(str(film.path)), []
        for number, picture in enumerate(frames(film.path)):
            if known is not None and number < len(known):
                box = None if known[number] is None else np.array(known[number])
            else:
                box = self.looks.largest(picture)
            found.append(None if box is None else [round(float(v), 2) for v in box])
            if box is not None:
                yield picture, box
        self.known[key] = found

    def keep(self) -> None:
        self.store.parent.mkdir(parents=True, exist_ok=True)
        self.store.write_text(json.dumps(self.known), encoding="utf-8")
