#!/usr/bin/env python3
"""Thresholds of the median of p(live) over a visit, on drawn visits of people held out for that.

in   --view around | close, --model FILE.tflite, --cache FOLDER with calibration/ (prepare.py);
     --closer FILE.tflite: the network of the view `close`, which the door asks in turn with the first
out  --out calibration.json: for each BPCER the threshold and the APCER there, by kind too; AUC of
     visits and of frames; the same for each teacher, whose p(live) the cache holds. With --closer also
     `pair`: the thresholds of both medians, each of which refuses as many live visits as the other, and
     the errors of a door that wants both
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


def pair_report(around: np.ndarray, closer: np.ndarray, data: Drawn) -> dict:
    """The errors of a door that wants both medians."""
    (first, kinds), (second, _) = visits(around, data, LOOKS_IN_TURN), visits(closer, data, LOOKS_IN_TURN)
    live, attack = kinds == 0, kinds != 0
    points = []
    for rate in RATES:
        found = None
        # The largest share that each may refuse so that both together refuse no more than `rate`.
        for each in np.linspace(0.0, rate, 201):
            at = rates.threshold_at(first[live], each), rates.threshold_at(second[live], each)
            passed = (first >= at[0]) & (second >= at[1])
            if 1.0 - passed[live].mean() <= rate + 1e-9:
                found = at, passed
        (median, closer_median), passed = found
        wrong = int(passed[attack].sum())
        points.append({
            "bpcer": rate, "median": median, "closer": closer_median, "apcer": wrong / int(attack.sum()), "interval": rates.interval(wrong, int(attack.sum())),
            "kinds": {name: float(passed[kinds == k].mean()) if (kinds == k).any() else float("nan") for k, name in enumerate(NAMES) if k},
        })  # fmt: skip
    logits = [np.log(np.clip(s, 1e-6, 1 - 1e-6) / (1 - np.clip(s, 1e-6, 1 - 1e-6))) for s in (first, second)]
    both = logits[0] + logits[1]
    return {"live": int(live.sum()), "attacks": int(attack.sum()), "auc": rates.auc(both[live], both[attack]), "points": points}


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
        print(f"calibrate: {name}: {found['live']} live, {found['attacks']} attacks, AUC {found['auc']:.4f} (frames {found['auc_frames']:.4f}), APCER at BPCER 5 % {100 * at['apcer']:.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
