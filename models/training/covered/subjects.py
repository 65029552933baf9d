#!/usr/bin/env python3
"""Photographs of faces, with the landmarks by which covers are drawn on them.

in   --data FOLDER of checkouts (data.toml); --part train | val of FairFace
out  --out FILE.npz: `files`, relative to the checkout; `landmarks` photographs × 468 × 2 in pixels;
     `part` of each: train, validation, calibration; of FairFace's val: report

Which part a photograph serves is told by its name alone. FairFace's `val` is for the report alone.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import cv2
import faces
import numpy as np
from alignment import similarity
from dataset import file_of
from landmarks import Landmarker

TABLES = {"train": "fairface", "val": "fairface-val"}
# Thousandths of the photographs.
VALIDATION, CALIBRATION = 40, 60
PRESENCE = 0.7


class Places:
    """The landmarks of the face that a picture is of."""

    def __init__(self) -> None:
        self.finder, self.mesh = faces.Finder(), faces.landmarker("face-mesh")

    def of(self, picture: np.ndarray) -> np.ndarray | None:
        found = self.finder.subject(picture)
        return None if found is None else landmarks_of(picture, found, self.mesh)


def landmarks_of(picture: np.ndarray, keypoints: np.ndarray, mesh: Landmarker) -> np.ndarray | None:
    """All landmarks, 468 × 2, in pixels of the picture; None where the network sees no face."""
    matrix, offset = similarity(mesh.template, keypoints[:4])
    values = faces.warp(picture, matrix, offset, mesh.side, mesh.side).astype(np.float32) * np.float32(mesh.normalisation["scale"]) + np.float32(mesh.normalisation["offset"])
    mesh.interpreter.set_tensor(mesh.given, values[None])
    mesh.interpreter.invoke()
    points = mesh.interpreter.get_tensor(mesh.landmarks).reshape(-1, mesh.head["values"])[:, :2]
    logit = float(mesh.interpreter.get_tensor(mesh.presence).ravel()[0])
    if 1.0 / (1.0 + np.exp(-logit)) < PRESENCE:
        return None
    return (points @ matrix.T + offset).astype(np.float32)


def part_of(file: str) -> str:
    at = int.from_bytes(hashlib.sha256(file.encode()).digest()[:4], "big") % 1000
    return "validation" if at < VALIDATION else "calibration" if at < VALIDATION + CALIBRATION else "train"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=tuple(TABLES), default="train")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--most", type=int, help="photographs, every so many-th of them")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    root = file_of(TABLES[options.part], options.data).parent
    paths = sorted((root / "fair_face" / options.part).glob("*.jpg"))
    places, files, landmarks = Places(), [], []
    for path in paths[:: max(1, len(paths) // options.most)] if options.most else paths:
        found = places.of(faces.read(path))
        if found is not None:
            files.append(str(path.relative_to(root)))
            landmarks.append(found)
        if len(files) % 2000 == 1999:
            print(f"subjects: {len(files)}", flush=True)
    parts = ["report" if options.part == "val" else part_of(file) for file in files]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(options.out, files=np.array(files), landmarks=np.array(landmarks, np.float32), part=np.array(parts))
    print("subjects:", ", ".join(f"{parts.count(name)} {name}" for name in sorted(set(parts))), f"of {len(paths)} photographs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
