#!/usr/bin/env python3
"""Which probability supports which errors, on drawings of photographs that served nothing else.

in   --model FILE.tflite, --cache FOLDER with calibration/ (prepare.py), --subjects FILE.npz
out  --out calibration.json: for each share of refused uncovered faces the probability, and the share of
     covered ones that it refuses, in all and by kind; kinds of uncovered faces likewise

Photographs in which somebody saw real covers (seen.py) count for none.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from covered import drawing, seen
from covered.drawn import Drawn
from covered.runner import Judge

SHARES = (0.002, 0.005, 0.01, 0.02, 0.05)


def report(found: np.ndarray, data: Drawn, clean: np.ndarray) -> dict:
    """`found`: the largest probability of each drawing."""
    free, covers = data.free & clean, (data.labels == 1).any(1)
    points = []
    for share in SHARES:
        threshold = float(np.sort(found[free])[::-1][int(share * free.sum())])
        refused = found > threshold
        of = {name: float(refused[chosen & (data.kinds == number)].mean()) for number, name in enumerate(drawing.NAMES) for chosen in (free if name in drawing.LEFT_FREE else covers,) if (chosen & (data.kinds == number)).any()}
        points.append({"uncovered": share, "probability": threshold, "covered": float(refused[covers].mean()), "kinds": of})
    return {"free": int(free.sum()), "covers": int(covers.sum()), "photographs": len(np.unique(data.photographs)), "points": points}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("model", "cache", "subjects", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--part", default="calibration")
    options = parser.parse_args()
    data, judge = Drawn(options.cache / options.part), Judge(options.model)
    if not data.refresh():
        print(f"calibrate: {data.folder}: nothing drawn there: prepare.py --part {options.part}", file=sys.stderr)
        return 1
    with np.load(options.subjects) as stored:
        files = stored["files"]
    found = np.array([judge.parts(crop).max() for start in range(0, len(data.kinds), 500) for crop in data.plain(np.arange(start, min(start + 500, len(data.kinds))))])
    document = report(found, data, seen.free(files, seen.read())[data.photographs])
    options.out.write_text(json.dumps(document, indent=1), encoding="utf-8")
    for point in document["points"]:
        print(f"calibrate: {100 * point['uncovered']:.1f} % of uncovered: from {point['probability']:.3f} on, {100 * point['covered']:.1f} % of covered")
    return 0


if __name__ == "__main__":
    sys.exit(main())
