#!/usr/bin/env python3
"""Thresholds of the median of p(live) over a visit, on drawn visits of people held out for that.

in   --view around | close, --model FILE.tflite, --cache FOLDER with calibration/ (prepare.py);
     --closer FILE.tflite: the network of the view `close`, which the door asks in turn with the first
out  --out calibration.json: for each BPCER the threshold and the APCER there, by kind too; AUC of
     visits and of frames; the same for each teacher, whose p(live) the cache holds. With --closer also
     `pair`: the same of the middle of both medians' log-odds, by which the door judges then
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
# As many looks of each of two networks the door waits for (LivenessPolicy::in_turn).
LOOKS_IN_TURN = 4
# No network is surer than this in the middle of two (src/liveness/evidence.rs).
CERTAIN = 1e-4


def middle(scores: np.ndarray) -> float:
    """As the door has it: of an even number the lower of the two in the middle."""
    return float(np.sort(scores)[(len(scores) - 1) // 2])


def visits(scores: np.ndarray, data: Drawn, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The median of each scene with enough looks, of `most` looks, and its kind."""
    order = np.argsort(data.scenes, kind="stable")
    found, kinds = [], []
    for part in np.split(order, np.flatnonzero(np.diff(data.scenes[order])) + 1):
        if len(part) >= LOOKS_MIN:
            found.append(middle(scores[part][:most]))
            kinds.append(int(data.kinds[part[0]]))
    return np.array(found), np.array(kinds)


def by_visit(medians: np.ndarray, kinds: np.ndarray) -> dict:
    live, attack = medians[kinds == 0], medians[kinds != 0]
    points = []
    for rate in RATES:
        threshold = rates.threshold_at(live, rate)
        wrong = int((attack >= threshold).sum())
        points.append({
            "bpcer": rate, "median": threshold, "apcer": rates.apcer(attack, threshold), "interval": rates.interval(wrong, len(attack)),
            "kinds": {name: rates.apcer(medians[kinds == k], threshold) for k, name in enumerate(NAMES) if k},
        })  # fmt: skip
    return {"live": len(live), "attacks": len(attack), "auc": rates.auc(live, attack), "points": points}


def report(scores: np.ndarray, data: Drawn) -> dict:
    frames = data.kinds == 0
    return by_visit(*visits(scores, data)) | {"auc_frames": rates.auc(scores[frames], scores[~frames])}


def log_odds(medians: np.ndarray) -> np.ndarray:
    kept = np.clip(medians, CERTAIN, 1.0 - CERTAIN)
    return np.log(kept / (1.0 - kept))


def pair_report(around: np.ndarray, closer: np.ndarray, data: Drawn) -> dict:
    """Of both networks together, as Evidence::median has it."""
    (first, kinds), (second, _) = visits(around, data, LOOKS_IN_TURN), visits(closer, data, LOOKS_IN_TURN)
    return by_visit(1.0 / (1.0 + np.exp(-(log_odds(first) + log_odds(second)) / 2)), kinds)


def scores_of(model: Path, view: str, cache: Path) -> tuple[np.ndarray, Drawn]:
    data = Drawn(cache / "calibration", VIEWS[view].key)
    data.refresh()
    judge = Judge(model, OURS[view])
    return np.array([judge.live(crop) for block in data.crops for crop in shrunk(block, judge.side)]), data


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--view", choices=tuple(VIEWS), default="around")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--closer", type=Path, help="the network that looks closer")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    scores, data = scores_of(options.model, options.view, options.cache)
    if not len(scores):
        print(f"calibrate: {options.cache / 'calibration'}: nothing drawn there: prepare.py --part calibration", file=sys.stderr)
        return 1
    document = {"model": report(scores, data), **{name: report(data.teachers[:, i], data) for i, name in enumerate(TEACHERS)}, "mean": report(data.teachers[:, :2].mean(1), data)}
    if options.closer:
        document["pair"] = pair_report(scores, scores_of(options.closer, "close", options.cache)[0], data)
    options.out.write_text(json.dumps(document, indent=1), encoding="utf-8")
    for name, found in document.items():
        at = next(p for p in found["points"] if p["bpcer"] == 0.05)
        frames = f" (frames {found['auc_frames']:.4f})" if "auc_frames" in found else ""
        print(f"calibrate: {name}: {found['live']} live, {found['attacks']} attacks, AUC {found['auc']:.4f}{frames}, APCER at BPCER 5 % {100 * at['apcer']:.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
