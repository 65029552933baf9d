#!/usr/bin/env python3
"""What the network refuses of whole photographs: a table for models/RESULTS.md.

in   --card ID.toml (its .tflite beside it), --share S (which of its thresholds), --set NAME=FOLDER as often as wanted
     (every picture below the folder; of a .csv the column `file`), --list FILE of pictures to leave out
out  a line for each set: pictures, faces found, refused, by region; --refused FILE: which ones, to be looked at

The face is found as the daemon does, by the short range on the picture. Nothing is trained or chosen here.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path

import cv2
import faces
import numpy as np
from covered import crops, regions
from covered.runner import Judge
from liveness.rates import interval

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".jfif")


def threshold_of(card: dict, share: float) -> float:
    points = card["quality"]["threshold"]
    within = [point for point in points if point["uncovered"] <= share] or points[:1]
    return float(within[-1]["probability"])


def judged(paths: list[Path], finder: crops.Quick, judge: Judge) -> list[tuple[Path, np.ndarray]]:
    """Of each picture with a face the probability of each region."""
    found = []
    for path in paths:
        try:
            picture = faces.read(path)
        except ValueError:
            continue
        keypoints = finder.subject(picture)
        if keypoints is not None:
            found.append((path, judge.picture(picture, keypoints)))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.02)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--without", type=Path, help="a list of pictures that do not count, one on a line")
    parser.add_argument("--refused", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    card = tomllib.loads(options.card.read_text(encoding="utf-8"))
    judge, finder, threshold = Judge(options.card.with_name(card["file"])), crops.Quick(), threshold_of(card, options.share)
    without = set(options.without.read_text(encoding="utf-8").splitlines()) if options.without else set()
    refused_ones = []
    print(f"measure: {card['id']} from {threshold:.3f} on\n| pictures | faces | refused | by region |\n|---|---|---|---|")
    for one in options.set:
        name, folder = one.split("=", 1)
        paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in ENDINGS and str(path) not in without)
        found = judged(paths, finder, judge)
        values = np.array([parts for _, parts in found]).reshape(-1, len(regions.NAMES))
        refused = values.max(1) > threshold if len(values) else np.zeros(0, bool)
        low, high = interval(int(refused.sum()), max(1, len(refused)))
        where = ", ".join(f"{region} {int((values[refused].argmax(1) == number).sum())}" for number, region in enumerate(regions.NAMES))
        print(f"| {name} ({len(paths)}) | {len(found)} | {int(refused.sum())}: {100 * refused.mean() if len(refused) else 0:.1f} % ({100 * low:.1f} to {100 * high:.1f}) | {where} |", flush=True)
        refused_ones += [f"{parts.max():.3f} {regions.NAMES[int(parts.argmax())]} {path}" for (path, parts), r in zip(found, refused, strict=True) if r]
    if options.refused:
        options.refused.write_text("\n".join(refused_ones) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
