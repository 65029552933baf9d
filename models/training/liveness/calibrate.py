#!/usr/bin/env python3
"""Thresholds of the median of p(live) over a visit, on drawn visits of people held out for that.

in   --view around | close, --model FILE.tflite, --cache FOLDER with calibration/ (prepare.py)
out  --out calibration.json: for each BPCER the threshold and the APCER there, by kind too; AUC of
     visits and of frames; the same for each teacher, whose p(live) the cache holds
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from liveness import rates
from liveness.drawn import Drawn, shrunk
from liveness.network import VIEWS
from liveness.prepare import NAMES
from liveness.runner import OURS, Judge
from liveness.teachers import NAMES as TEACHERS

RATES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
LOOKS_MIN = 3


def visits(scores: np.ndarray, data: Drawn) -> tuple[np.ndarray, np.ndarray]:
    """The median of each scene with enough looks, and its kind."""
    order = np.argsort(data.scenes, kind="stable")
    found, kinds = [], []
    for part in np.split(order, np.flatnonzero(np.diff(data.scenes[order])) + 1):
        if len(part) >= LOOKS_MIN:
            found.append(float(np.median(scores[part])))
            kinds.append(int(data.kinds[part[0]]))
    return np.array(found), np.array(kinds)


def report(scores: np.ndarray, data: Drawn) -> dict:
    medians, kinds = visits(scores, data)
    live, attack = medians[kinds == 0], medians[kinds != 0]
    points = []
    for rate in RATES:
        threshold = rates.threshold_at(live, rate)
        wrong = int((attack >= threshold).sum())
        points.append({
            "bpcer": rate, "median": threshold, "apcer": rates.apcer(attack, threshold), "interval": rates.interval(wrong, len(attack)),
            "kinds": {name: rates.apcer(medians[kinds == k], threshold) for k, name in enumerate(NAMES) if k},
        })  # fmt: skip
    frames = data.kinds == 0
    return {"live": len(live), "attacks": len(attack), "auc": rates.auc(live, attack), "auc_frames": rates.auc(scores[frames], scores[~frames]), "points": points}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--view", choices=tuple(VIEWS), default="around")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    data = Drawn(options.cache / "calibration", VIEWS[options.view].key)
    if not data.refresh():
        print(f"calibrate: {options.cache / 'calibration'}: nothing drawn there: prepare.py --part calibration", file=sys.stderr)
        return 1
    judge = Judge(options.model, OURS[options.view])
    scores = np.array([judge.live(crop) for block in data.crops for crop in shrunk(block, judge.side)])
    document = {"model": report(scores, data), **{name: report(data.teachers[:, i], data) for i, name in enumerate(TEACHERS)}, "mean": report(data.teachers[:, :2].mean(1), data)}
    options.out.write_text(json.dumps(document, indent=1), encoding="utf-8")
    for name, found in document.items():
        at = next(p for p in found["points"] if p["bpcer"] == 0.05)
        print(f"calibrate: {name}: {found['live']} live, {found['attacks']} attacks, AUC {found['auc']:.4f} (frames {found['auc_frames']:.4f}), APCER at BPCER 5 % {100 * at['apcer']:.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
