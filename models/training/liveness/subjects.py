#!/usr/bin/env python3
"""The photographs that drawings are made of: whose, which part they serve, where the face is, its matte.

in   --data FOLDER with the checkout of the set `celeba-wild` (data.toml) and CelebA's identities;
     --out subjects.json, --most N: of about so many photographs, evenly chosen, in place of all
out  a list of {path, person, part, box, keypoints, faces, height, width}; `part` is "train", "validation"
     or "calibration", told by the person's name alone

Subject is one of them with its pixels: shrunk so that no face is wider than FACE_MAX.
Photographs without a face that the daemon's detector sees, or with a small one, are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import faces
import numpy as np
from dataset import Source, celeba_identities, obtain, sources
from liveness.boxed import Boxed

SET = "celeba-wild"
FACE_MIN = 60.0
FACE_MAX = 240.0
LONG_SIDE_MAX = 1000
# Of each hundred people.
VALIDATION, CALIBRATION = 10, 15
KEPT = 120


@dataclass(frozen=True)
class Subject(Boxed):
    """A photograph of somebody: RGB uint8, box and keypoints in its pixels, matte 0 … 1 or None."""

    pixels: np.ndarray
    box: np.ndarray
    keypoints: np.ndarray
    matte: np.ndarray | None
    alone: bool


def part_of(person: str) -> str:
    number = int(hashlib.sha256(f"liveness/{person}".encode()).hexdigest(), 16) % 100
    return "validation" if number < VALIDATION else "calibration" if number < VALIDATION + CALIBRATION else "train"


def subject_of(pixels: np.ndarray, box: np.ndarray, keypoints: np.ndarray, matte: np.ndarray | None, alone: bool) -> Subject:
    height, width = pixels.shape[:2]
    shrink = min(1.0, FACE_MAX / float(max(box[2:] - box[:2])), LONG_SIDE_MAX / max(height, width))
    if shrink < 1.0:
        pixels = cv2.resize(pixels, (round(width * shrink), round(height * shrink)), interpolation=cv2.INTER_AREA)
    scale = np.array([pixels.shape[1] / width, pixels.shape[0] / height])
    if matte is not None:
        matte = cv2.resize(matte, (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_LINEAR)
    return Subject(pixels, box * np.tile(scale, 2), keypoints * scale, matte, alone)


def found(pixels: np.ndarray, finder: faces.Finder) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Box and keypoints of the largest face, and how many there are."""
    seen = finder.detect(pixels)
    if not seen:
        return None
    best = max(seen, key=lambda f: float(f["box"][2] - f["box"][0]))
    return best["box"], best["keypoints"], len(seen)


class Subjects:
    """Reads subjects of one part, by number."""

    def __init__(self, listing: Path, data: Path, mattes: Path, part: str) -> None:
        self.entries = [e for e in json.loads(listing.read_text(encoding="utf-8")) if e["part"] == part]
        self.folder, self.mattes = sources()[SET].checkout(data), mattes
        self.kept: list[Subject] = []

    def __len__(self) -> int:
        return len(self.entries)

    def read(self, number: int) -> Subject:
        entry = self.entries[number]
        pixels = faces.read(self.folder / entry["path"])
        matte = cv2.imread(str(self.mattes / f"{Path(entry['path']).stem}.png"), cv2.IMREAD_GRAYSCALE)
        matte = None if matte is None else matte.astype(np.float32) / 255.0
        return subject_of(pixels, np.array(entry["box"]), np.array(entry["keypoints"]), matte, entry["faces"] == 1)

    def any(self, rng: np.random.Generator) -> Subject:
        """Somebody for the background: of some that are kept in memory, one of which is exchanged now and then."""
        if len(self.kept) < KEPT:
            self.kept.append(self.read(int(rng.integers(len(self.entries)))))
            return self.kept[-1]
        at = int(rng.integers(KEPT))
        if rng.random() < 0.1:
            self.kept[at] = self.read(int(rng.integers(len(self.entries))))
        return self.kept[at]


def listed(source: Source, data: Path, most: int | None = None) -> list[dict]:
    folder, numbers, finder, entries = obtain(source, data), celeba_identities(data), faces.Finder(), []
    paths = sorted(folder.glob(source.pictures or ""))
    for path in paths[:: max(1, len(paths) // most)] if most else paths:
        try:
            pixels = faces.read(path)
        except ValueError:
            continue
        seen = found(pixels, finder)
        if seen is None or path.name not in numbers or max(seen[0][2:] - seen[0][:2]) < FACE_MIN:
            continue
        person = f"celeba/{numbers[path.name]}"
        entries.append({
            "path": str(path.relative_to(folder)), "person": person, "part": part_of(person), "box": [round(float(v), 2) for v in seen[0]],
            "keypoints": [[round(float(v), 2) for v in p] for p in seen[1]], "faces": seen[2], "height": pixels.shape[0], "width": pixels.shape[1],
        })  # fmt: skip
    return entries


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--most", type=int)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    entries = listed(sources()[SET], options.data, options.most)
    options.out.write_text(json.dumps(entries), encoding="utf-8")
    counts = {part: (sum(e["part"] == part for e in entries), len({e["person"] for e in entries if e["part"] == part})) for part in ("train", "validation", "calibration")}
    print("subjects: photographs and people:", ", ".join(f"{part} {n} of {p}" for part, (n, p) in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
