#!/usr/bin/env python3
"""Aligns every picture of the data list once, and asks the teachers about it.

in   --data FOLDER of checkouts, --cache FOLDER, --sets NAME… (default: all), or --folder ANY --name NAME
out  CACHE/NAME.wide.npy    faces × 144 × 128 × 3 uint8 (faces.py)
     CACHE/NAME.TEACHER.npy faces × features float16, of unit length
     CACHE/NAME.json        for each face its picture (relative) and person; pictures without a face

Resumable: a set that is complete is not made again, and a teacher only where it is missing.
Invariant: no file of the cache is seen half-written: each is renamed when complete.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import cv2
import faces
import numpy as np
from dataset import DataError, Picture, obtain, pictures_in, pictures_of, sources
from teachers import TEACHERS, Teacher

FINDER: faces.Finder | None = None
TEACHER: Teacher | None = None


def start_finder() -> None:
    global FINDER
    cv2.setNumThreads(1)
    FINDER = faces.Finder()


def find(picture: Picture) -> np.ndarray | None:
    assert FINDER is not None
    try:
        pixels = faces.read(picture.path)
    except ValueError as error:
        print(f"prepare: left out: {error}", file=sys.stderr)
        return None
    keypoints = FINDER.subject(pixels)
    return None if keypoints is None else faces.wide_crop(pixels, keypoints)


def start_teacher(name: str, data: Path) -> None:
    global TEACHER
    cv2.setNumThreads(1)
    TEACHER = Teacher(name, data)


def ask(wide: np.ndarray) -> np.ndarray:
    assert TEACHER is not None
    return TEACHER.embed(faces.teacher_crop(wide))


def progress(what: str, done: int, count: int, started: float) -> None:
    if done % 1000 == 0 or done == count:
        rate = done / max(1e-9, time.monotonic() - started)
        print(f"prepare: {what}: {done}/{count}, {rate:.0f}/s, {(count - done) / rate / 60:.0f} min left", flush=True)


def align_set(name: str, pictures: list[Picture], root: Path, cache: Path, workers: int) -> None:
    listing = cache / f"{name}.json"
    if listing.exists():
        return
    partial = cache / f"{name}.wide.partial.npy"
    shape = (len(pictures), faces.WIDE_HEIGHT, faces.WIDE_WIDTH, 3)
    crops = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
    kept, without, started = [], [], time.monotonic()
    with multiprocessing.Pool(workers, start_finder) as pool:
        for index, crop in enumerate(pool.imap(find, pictures, chunksize=16)):
            picture = pictures[index]
            relative = str(picture.path.relative_to(root))
            if crop is None:
                without.append(relative)
            else:
                crops[len(kept)] = crop
                kept.append({"picture": relative, "person": picture.person})
            progress(f"{name}: aligned", index + 1, len(pictures), started)
    crops.flush()
    partial.rename(cache / f"{name}.wide.npy")
    listing.write_text(json.dumps({"faces": kept, "without_face": without}), encoding="utf-8")
    print(f"prepare: {name}: {len(kept)} faces, {len(without)} pictures without one", flush=True)


def ask_teacher(what: str, teacher: str, data: Path, wides: Iterable[np.ndarray], count: int, workers: int) -> np.ndarray:
    """Faces × features float16: what a teacher says of `count` wide crops, with progress."""
    answers, started = [], time.monotonic()
    with multiprocessing.Pool(workers, start_teacher, (teacher, data)) as pool:
        for answer in pool.imap(ask, wides, chunksize=16):
            answers.append(answer)
            progress(f"{what}: {teacher}", len(answers), count, started)
    return np.array(answers, dtype=np.float16)


def ask_about_set(name: str, teacher: str, data: Path, cache: Path, workers: int) -> None:
    path = cache / f"{name}.{teacher}.npy"
    if path.exists():
        return
    count = len(json.loads((cache / f"{name}.json").read_text(encoding="utf-8"))["faces"])
    crops = np.load(cache / f"{name}.wide.npy", mmap_mode="r")
    partial = cache / f"{name}.{teacher}.partial.npy"
    np.save(partial, ask_teacher(name, teacher, data, (crops[i] for i in range(count)), count, workers))
    partial.rename(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--folder", type=Path, help="anyone's faces instead of the data list's")
    parser.add_argument("--name", default="own", help="what the folder's set is called in the cache")
    parser.add_argument("--teachers", nargs="*", default=list(TEACHERS))
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    try:
        if options.folder:
            listed = {options.name: (pictures_in(options.folder), options.folder)}
        else:
            chosen = [s for s in sources().values() if s.pictures and (s.name in options.sets if options.sets else s.use != "liveness")]
            listed = {s.name: (pictures_of(s, options.data), obtain(s, options.data)) for s in chosen}
        for name, (pictures, root) in listed.items():
            align_set(name, pictures, root, options.cache, options.workers)
        for name in listed:
            for teacher in options.teachers:
                ask_about_set(name, teacher, options.data, options.cache, options.workers)
    except DataError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
