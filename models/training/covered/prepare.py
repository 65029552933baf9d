#!/usr/bin/env python3
"""Draws covered and uncovered faces, finds the face in each as the daemon does, and cuts the network's crop.

in   --data FOLDER of checkouts, --subjects FILE.npz (subjects.py), --part train | validation | calibration | report
     --rounds N: how often each photograph is used, --first and --step: this process draws shards FIRST, FIRST + STEP, …
out  --out FOLDER/NUMBER.npz: `crops` faces × HEIGHT × WIDTH × 3 uint8 with a margin (crops.py), `labels` faces × regions
     (regions.py), `kinds` (number in drawing.NAMES), `photographs` (number in the list)

Each photograph is drawn on once with a cover and once without, each time. The camera is the same for both
(liveness/camera.py), so no network can tell them apart by it. Resumable by whole shards; each depends on its
number alone. A face that the detector does not find any more is left out: the daemon does not see it either.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
import faces
import numpy as np
from covered import crops, drawing, regions
from covered.face import Face
from dataset import file_of
from liveness.camera import Camera

SHARD = 500
PARTS = {"train": 1, "validation": 2, "calibration": 3, "report": 4}
# Distance of the eyes in the drawn frames, in pixels.
APART = (13.0, 70.0)


# Covers are drawn no smaller than this, and shrunk then.
DRAWN = 26.0


def shrunk(picture: np.ndarray, landmarks: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    if scale >= 1.0:
        return picture, landmarks
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return small, landmarks * np.array([small.shape[1] / picture.shape[1], small.shape[0] / picture.shape[0]], np.float32)


def framed(face: Face, wanted: float, rng: np.random.Generator) -> np.ndarray:
    """The drawing through a camera, the eyes `wanted` pixels apart."""
    scale = min(1.0, wanted / face.apart)
    pixels = np.clip(face.pixels, 0, 1.3).astype(np.float32)
    if scale < 1.0:
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    frame = Camera.drawn(rng).take(pixels, rng)
    if rng.random() < 0.04:
        frame = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return frame


def drawn(picture: np.ndarray, landmarks: np.ndarray, kind: str, rng: np.random.Generator, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frame, and the label of each region."""
    wanted = float(np.exp(rng.uniform(np.log(APART[0]), np.log(APART[1]))))
    face = Face(*shrunk(picture, landmarks, max(wanted, DRAWN) / Face(picture, landmarks).apart))
    if kind in drawing.COVERS and rng.random() < 0.12:
        drawing.draw("shadow" if rng.random() < 0.5 else "spectacles" if kind != "sunglasses" else "hat above", face, rng, other)
        face.hidden[:] = 0.0
    drawing.draw(kind, face, rng, other)
    if kind in drawing.LEFT_FREE and kind != "shadow" and rng.random() < 0.1:
        drawing.draw("shadow", face, rng, other)
    if kind in drawing.LEFT_FREE:
        face.hidden[:] = 0.0
    return framed(face, wanted, rng), regions.labels(face.hidden, face.landmarks)


def shard(number: int, part: str, chosen: np.ndarray, paths: list[Path], landmarks: np.ndarray, finder: crops.Quick) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([PARTS[part], number])
    made: dict[str, list] = {"crops": [], "labels": [], "kinds": [], "photographs": []}
    other = faces.read(paths[int(chosen[0])])
    for at in chosen:
        picture = faces.read(paths[int(at)])
        for kinds in (drawing.LEFT_FREE, drawing.COVERS):
            kind = drawing.any_of(kinds, rng)
            frame, labels = drawn(picture, landmarks[at], kind, rng, other)
            found = finder.subject(frame)
            if found is None:
                continue
            made["crops"].append(crops.with_margin(*crops.surrounded(frame, found, other, rng)))
            made["labels"].append(labels)
            made["kinds"].append(drawing.NAMES.index(kind))
            made["photographs"].append(at)
        other = picture
    return {"crops": np.stack(made["crops"]), "labels": np.stack(made["labels"]), "kinds": np.array(made["kinds"], np.int16), "photographs": np.array(made["photographs"], np.int32)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--subjects", type=Path, required=True)
    parser.add_argument("--part", choices=tuple(PARTS), default="train")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--most", type=int, help="photographs in each round")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    root = file_of("fairface", options.data).parent
    with np.load(options.subjects) as stored:
        files, landmarks, parts = stored["files"], stored["landmarks"], stored["part"]
    paths, finder = [root / str(file) for file in files], crops.Quick()
    order = np.random.default_rng(PARTS[options.part]).permutation(np.flatnonzero(parts == options.part))
    order = np.tile(order[: options.most], options.rounds)
    options.out.mkdir(parents=True, exist_ok=True)
    for number in range(options.first, -(-len(order) // SHARD), options.step):
        path, began = options.out / f"{number:04}.npz", time.monotonic()
        if path.exists():
            continue
        made = shard(number, options.part, order[number * SHARD : (number + 1) * SHARD], paths, landmarks, finder)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **made)
        partial.rename(path)
        print(f"prepare: {options.part} {number}: {len(made['kinds'])} faces, {time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
