#!/usr/bin/env python3
"""Draws live frames and attacks, finds the face in each as the daemon does, and asks the teachers.

in   --data FOLDER, --cache FOLDER with subjects.json and mattes/, --part train | validation | calibration
     --scenes N, --first and --step: this process draws shards FIRST, FIRST + STEP, …
out  CACHE/PART/NUMBER.npz: `crops` and `close` frames × SIDE × SIDE × 3 uint8 (crops.py at the crop of each
     view of network.py), `kinds` (0 is live,
     then recapture.KINDS in turn), `scenes` (number of the scene), `faces` (box in pixels of the frame),
     `teachers` frames × teachers: p(live)

A scene of "train" is taken by two cameras, one of "calibration" VISIT times by one camera that moves a
little: a visit. Resumable by whole shards; each depends on its number alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from liveness import crops, recapture, scenes
from liveness.camera import Camera
from liveness.covers import covered
from liveness.network import VIEWS
from liveness.subjects import Subjects
from liveness.teachers import Teachers, crops_of

SIDE = 128
SHARD = 250
LIVE_SHARE = 0.46
CAMERAS = {"train": 2, "validation": 1, "calibration": 1}
VISIT = 5
PARTS = {"train": 1, "validation": 2, "calibration": 3}
NAMES = ("live", *recapture.KINDS)


def one_scene(subjects: Subjects, rng: np.random.Generator) -> tuple[int, scenes.Scene]:
    """Its kind's number and the scene."""
    kind = "live" if rng.random() < LIVE_SHARE else recapture.any_kind(rng)

    def other() -> scenes.Subject:
        return subjects.any(rng)

    while True:
        subject = covered(subjects.read(int(rng.integers(len(subjects)))), rng)
        scene = scenes.live(subject, rng, other) if kind == "live" else recapture.attack(kind, subject, rng, other)
        if scene is not None and min(scene.pixels.shape[:2]) >= 32:
            return NAMES.index(kind), scene


def swayed(scene: scenes.Scene, rng: np.random.Generator) -> scenes.Scene:
    """The same a moment later: moved by some pixels, a little larger or smaller."""
    height, width = scene.pixels.shape[:2]
    scale = float(np.exp(rng.normal(0, 0.015)))
    shift = rng.normal(0, 0.03, 2) * scene.face
    matrix = np.array([[scale, 0, shift[0] + (1 - scale) * scene.centre[0]], [0, scale, shift[1] + (1 - scale) * scene.centre[1]]])
    pixels = cv2.warpAffine(scene.pixels, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return scenes.Scene(pixels, scenes.moved(scene.box, matrix))


def frames(scene: scenes.Scene, part: str, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, scenes.Scene]]:
    if part != "calibration":
        for _ in range(CAMERAS[part]):
            yield Camera.drawn(rng).take(scene.pixels, rng), scene
        return
    camera = Camera.drawn(rng)
    for _ in range(VISIT):
        moved = swayed(scene, rng)
        yield camera.take(moved.pixels, rng), moved


def shard(number: int, part: str, subjects: Subjects, looks: crops.Looks, teachers: Teachers, count: int) -> dict[str, np.ndarray]:
    subjects.kept.clear()
    rng = np.random.default_rng([PARTS[part], number])
    crops_made: dict[str, list] = {view.key: [] for view in VIEWS.values()}
    made: dict[str, list] = {"kinds": [], "scenes": [], "faces": []}
    asked = []
    for at in range(count):
        kind, scene = one_scene(subjects, rng)
        for frame, shown in frames(scene, part, rng):
            box = looks.around(frame, shown.box)
            if box is None:
                continue
            asked.append(crops_of(frame, box))
            sharp = part != "train" or rng.random() < 0.75
            seen = crops.jittered(box, rng) if part == "train" else box
            for view in VIEWS.values():
                crops_made[view.key].append(crops.cut(frame, crops.square_of(seen, view.crop, *frame.shape[:2]), SIDE, area=sharp))
            made["kinds"].append(kind)
            made["scenes"].append(number * SHARD + at)
            made["faces"].append(max(box[2:] - box[:2]))
    return {**{key: np.stack(cut) for key, cut in crops_made.items()}, "kinds": np.array(made["kinds"], np.int16), "scenes": np.array(made["scenes"], np.int32),
            "faces": np.array(made["faces"], np.float32), "teachers": teachers.ask(asked)}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--part", choices=tuple(PARTS), default="train")
    parser.add_argument("--scenes", type=int, default=SHARD)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    subjects = Subjects(options.cache / "subjects.json", options.data, options.cache / "mattes", options.part)
    looks, teachers = crops.Looks(), Teachers(options.data)
    folder = options.cache / options.part
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(options.first, -(-options.scenes // SHARD), options.step):
        path, began = folder / f"{number:04}.npz", time.monotonic()
        if path.exists():
            continue
        made = shard(number, options.part, subjects, looks, teachers, min(SHARD, options.scenes - number * SHARD))
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **made)
        partial.rename(path)
        print(f"prepare: {options.part} {number}: {len(made['kinds'])} frames, {time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
