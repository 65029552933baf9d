#!/usr/bin/env python3
"""Measures a DeepID2 `.tflite`: LFW View 1 or View 2, people held back, and its calibration.

in   --model FILE, --cache FOLDER (prepare.py, people.py), --data FOLDER, --out FILE.json, and what:
       --view1        LFW's development pairs and the validation people: for choosing
       --view2        LFW's ten folds: for the report, once
       --calibration  the mean feature vector, and thresholds from the people held back for them
     --keypoints-by ID  crops by a landmark network
     --float FILE     the same network in float32, to see what int8 costs
out  JSON: `one_crop` and `mirrored`, in each the metrics with accuracy, rates and thresholds

Invariant: pairs of which a picture has no face count as errors in the accuracy, and are counted in
`failures_to_acquire`. Crops come from the cache: aligned by the daemon's detector and template.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import scores
from dataset import file_of
from embedder import NORMALISATIONS, Embedder

RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
# A rate is claimed only where this many non-mated comparisons reach its threshold: with 10, the
# 95 % interval spans from half to nearly twice the rate.
EVENTS_MIN = 10
MEAN_FACES_OF_A_SET = 1500


class Lfw:
    """LFW's faces in the cache by person and number."""

    def __init__(self, cache: Path) -> None:
        listing = json.loads((cache / "lfw.json").read_text(encoding="utf-8"))
        self.places = {Path(face["picture"]).stem: i for i, face in enumerate(listing["faces"])}
        self.crops = np.load(cache / "lfw.wide.npy", mmap_mode="r")

    def wide(self, stem: str) -> np.ndarray:
        return np.asarray(self.crops[self.places[stem]])


def read_pairs(path: Path) -> list[tuple[str, str, bool]]:
    """LFW's pair lists: NAME i j for one person, NAME i NAME j for two; other lines are counts."""
    pairs = []
    for line in path.read_text(encoding="utf-8").splitlines():
        parts = line.split()
        if len(parts) == 3:
            pairs.append((f"{parts[0]}_{int(parts[1]):04d}", f"{parts[0]}_{int(parts[2]):04d}", True))
        elif len(parts) == 4:
            pairs.append((f"{parts[0]}_{int(parts[1]):04d}", f"{parts[2]}_{int(parts[3]):04d}", False))
    if not pairs:
        raise SystemExit(f"evaluate: {path}: no pairs in it; LFW's lists have 'NAME i j' and 'NAME i NAME j'")
    return pairs


def of_pairs(model: Embedder, lfw: Lfw, pairs: list[tuple[str, str, bool]], mean: np.ndarray, folds: bool) -> dict:
    stems = sorted({s for one, other, _ in pairs for s in (one, other) if s in lfw.places})
    place = {stem: i for i, stem in enumerate(stems)}
    found = [(place[a], place[b], s) for a, b, s in pairs if a in place and b in place]
    same = np.array([s for *_, s in found])
    missing = len(pairs) - len(found)
    result: dict = {"pairs": len(pairs), "failures_to_acquire": missing}
    for name, features in zip(("one_crop", "mirrored"), model.both((lfw.wide(s) for s in stems), "lfw"), strict=True):
        by_metric = {}
        for metric in scores.METRICS:
            vectors = scores.prepared(features, metric, mean)
            values = scores.likeness(vectors[[a for a, *_ in found]], vectors[[b for _, b, _ in found]], metric)
            by_metric[metric] = rates_of(values[same], values[~same], (1e-2, 1e-3))
            if folds:
                everything, truth = np.full(len(pairs), -np.inf), np.array([s for *_, s in pairs])
                everything[[i for i, (a, b, _) in enumerate(pairs) if a in place and b in place]] = values
                by_metric[metric]["accuracy_mean"], by_metric[metric]["accuracy_standard_error"] = scores.tenfold(everything, truth)
            else:
                chosen = scores.best_threshold(values, same)
                by_metric[metric]["accuracy_best"] = float(((values >= chosen) == same).sum() / len(pairs))
        result[name] = by_metric
    return result


def rates_of(mated: np.ndarray, others: np.ndarray, rates: tuple[float, ...]) -> dict:
    result = {"eer": scores.equal_error_rate(mated, others), "auc": scores.area_under_curve(mated, others)}
    for rate in rates:
        if rate * len(others) >= 1:
            missed = scores.miss_rate_at(mated, others, rate)
            low, high = scores.wilson(round(missed * len(mated)), len(mated))
            result[f"fnmr_at_fmr_{rate:.0e}".replace("e-0", "e-")] = missed
            result[f"fnmr_at_fmr_{rate:.0e}_interval".replace("e-0", "e-")] = [low, high]
    return result


def held_back(cache: Path, part: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Wide crops of the people held back in `part`, and whose each one is."""
    wides, persons = [], []
    for name, known in json.loads((cache / "people.json").read_text(encoding="utf-8"))["sets"].items():
        crops = np.load(cache / f"{name}.wide.npy", mmap_mode="r")
        chosen = [i for i, p in enumerate(known["parts"]) if p == part]
        wides += [np.asarray(crops[i]) for i in chosen]
        persons += [known["persons"][i] for i in chosen]
    return wides, np.array(persons)


def of_people(model: Embedder, cache: Path, part: str, mean: np.ndarray) -> dict:
    """Every two faces of the people held back in `part`: rates and the thresholds that they support."""
    wides, numbers = held_back(cache, part)
    result: dict = {"people": len(set(numbers.tolist())), "faces": len(numbers)}
    for name, features in zip(("one_crop", "mirrored"), model.both(wides, part), strict=True):
        by_metric = {}
        for metric in scores.METRICS:
            mated, others = scores.comparisons(features, numbers, metric, mean)
            result["mated"], result["non_mated"] = len(mated), len(others)
            by_metric[metric] = rates_of(mated, others, RATES[1:4]) | {"calibration": calibrated(others, metric)}
        result[name] = by_metric
    return result


def calibrated(others: np.ndarray, metric: str) -> list[dict]:
    """Thresholds, with the interval of the rate behind each; distances are positive again."""
    points = []
    for rate in RATES:
        if rate * len(others) < EVENTS_MIN:
            break
        threshold = scores.threshold_at(others, rate)
        low, high = scores.wilson(int((others >= threshold).sum()), len(others))
        points.append({"rate": rate, "threshold": threshold if metric == "cosine" else -threshold, "interval": [low, high]})
    return points


def mean_features(model: Embedder, cache: Path) -> np.ndarray:
    """Over faces that were trained on, every set weighing the same."""
    means = []
    for name, known in json.loads((cache / "people.json").read_text(encoding="utf-8"))["sets"].items():
        crops = np.load(cache / f"{name}.wide.npy", mmap_mode="r")
        places = [i for i, p in enumerate(known["parts"]) if p in ("train", "label")]
        wides = (np.asarray(crops[i]) for i in places[:: max(1, len(places) // MEAN_FACES_OF_A_SET)])
        means.append(model.both(wides, name)[0].mean(0))
    return np.mean(means, axis=0)


def measure(path: Path, options: argparse.Namespace) -> dict:
    model = Embedder(path, NORMALISATIONS[options.normalisation], options.keypoints_by)
    mean = mean_features(model, options.cache)
    result: dict = {"model": path.name, "mean": [round(float(v), 6) for v in mean]}
    if options.view1:
        result["view1"] = of_pairs(model, Lfw(options.cache), read_pairs(file_of("lfw-view1-pairs", options.data)), mean, False)
        result["validation"] = of_people(model, options.cache, "validation", mean)
    if options.view2:
        result["view2"] = of_pairs(model, Lfw(options.cache), read_pairs(file_of("lfw-view2-pairs", options.data)), mean, True)
    if options.calibration:
        result["calibration"] = of_people(model, options.cache, "calibration", mean)
    return result


def summary(result: dict) -> None:
    for what in ("view1", "validation", "view2", "calibration"):
        for crops in ("one_crop", "mirrored"):
            for metric, rates in result.get(what, {}).get(crops, {}).items():
                numbers = [f"{k} {v:.4f}" for k, v in rates.items() if isinstance(v, float)]
                print(f"evaluate: {result['model']}: {what}, {crops}, {metric}: {', '.join(numbers)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("model", "cache", "data", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--float", type=Path)
    parser.add_argument("--normalisation", choices=tuple(NORMALISATIONS), default="signed")
    parser.add_argument("--keypoints-by", metavar="ID", help="card of a landmark network, in place of the detector")
    for what in ("view1", "view2", "calibration"):
        parser.add_argument(f"--{what}", action="store_true")
    options = parser.parse_args()
    document = {"model": measure(options.model, options)}
    if options.float:
        document["float"] = measure(options.float, options)
    for result in document.values():
        summary(result)
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
