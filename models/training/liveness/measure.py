#!/usr/bin/env python3
"""What a liveness network is worth on films and photographs, with others beside it.

in   --card NAME.toml… (or --model FILE.tflite, one of ours that sees the surroundings), --data FOLDER for the teachers (optional),
     --set NAME=FOLDER… (films.py), --boxes FILE.json, --thresholds NAME=VALUE for networks without one
out  --out FILE.json with every score, and for each set a table: AUC, and by kind how many visits pass

A visit's score is the median of p(live) over its looked-at frames. Sets without attacks give BPCER alone,
and the live ones of every set count against its attacks only. "mean" is the mean of both MiniFASNets.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from liveness import rates
from liveness.films import Boxes, Film, listed
from liveness.runner import OURS, Judge, facts_of
from liveness.teachers import NAMES as TEACHERS
from liveness.teachers import Teachers, crops_of

Ask = Callable[[list[tuple[np.ndarray, np.ndarray]]], dict[str, list[float]]]
FRAMES_MIN = 3


def judge(name: str, judge_: Judge) -> Ask:
    return lambda looks: {name: [judge_(picture, box) for picture, box in looks]}


def teachers(data: Path) -> Ask:
    asked = Teachers(data)

    def ask(looks: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, list[float]]:
        answers = asked.ask([crops_of(picture, box) for picture, box in looks])
        found = {name: answers[:, number].astype(float).tolist() for number, name in enumerate(TEACHERS)}
        return found | {"mean": answers[:, :2].mean(1).astype(float).tolist()}

    return ask


def scored(films: list[Film], boxes: Boxes, asked: list[Ask]) -> list[dict]:
    rows = []
    for number, film in enumerate(films, start=1):
        looks = list(boxes.of(film))
        row: dict = {"film": film.name, "kind": film.kind, "looks": len(looks), "faces": [round(float(max(b[2:] - b[:2])), 1) for _, b in looks], "scores": {}}
        for ask in asked:
            if looks:
                row["scores"] |= {name: [round(v, 5) for v in values] for name, values in ask(looks).items()}
        rows.append(row)
        if number % 50 == 0:
            print(f"measure: {number} of {len(films)}", flush=True)
    return rows


def medians(rows: list[dict], name: str, kind: str | None) -> np.ndarray:
    """Of films of a kind, or of all attacks for None, in which a face was seen."""
    return np.array([np.median(r["scores"][name]) for r in rows if name in r["scores"] and (r["kind"] == kind if kind else r["kind"] != "live")])


def table(rows: list[dict], names: list[str], thresholds: dict[str, float]) -> list[str]:
    kinds = sorted({r["kind"] for r in rows} - {"live"})
    lines = ["| network | threshold | AUC | frames' AUC | live refused | " + " | ".join(["attacks passed", *kinds]) + " |", "|" + "---|" * (6 + len(kinds))]
    for name in names:
        live, attack, threshold = medians(rows, name, "live"), medians(rows, name, None), thresholds.get(name, 0.5)
        each = [np.concatenate([r["scores"][name] for r in rows if name in r["scores"] and (r["kind"] == "live") == side] or [np.zeros(0)]) for side in (True, False)]
        cells = [f"{int((medians(rows, name, k) >= threshold).sum())} of {len(medians(rows, name, k))}" for k in kinds]
        lines.append(
            f"| {name} | {threshold:.3f} | {rates.auc(live, attack):.3f} | {rates.auc(*each):.3f} | {int((live < threshold).sum())} of {len(live)} "
            f"| {int((attack >= threshold).sum())} of {len(attack)} ({100 * rates.apcer(attack, threshold):.1f} %) | " + " | ".join(cells) + " |"
        )
    return lines


def threshold_of(card: Path, bpcer: float) -> float | None:
    listed_ = tomllib.loads(card.read_text(encoding="utf-8"))["liveness"].get("threshold", [])
    return next((t["median"] for t in listed_ if abs(t["bpcer"] - bpcer) < 1e-9), None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--card", type=Path, action="append", default=[])
    parser.add_argument("--model", type=Path, action="append", default=[])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--set", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--thresholds", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--bpcer", type=float, default=0.01, help="which of the card's thresholds")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    asked, names, thresholds = [], [], {}
    for card in options.card:
        facts, file = facts_of(card)
        asked.append(judge(card.stem, Judge(file, facts)))
        names.append(card.stem)
        thresholds[card.stem] = threshold_of(card, options.bpcer) or 0.5
    for file in options.model:
        asked.append(judge(file.stem, Judge(file, OURS["around"])))
        names.append(file.stem)
    if options.data:
        asked.append(teachers(options.data))
        names += [*TEACHERS, "mean"]
    thresholds |= {name: float(value) for name, value in (t.split("=") for t in options.thresholds)}
    boxes, document = Boxes(options.boxes), {}
    for name, folder in (s.split("=", 1) for s in options.set):
        films = listed(Path(folder))
        if not films:
            print(f"measure: {folder}: no film and no photograph in it or below it", file=sys.stderr)
            return 1
        document[name] = scored(films, boxes, asked)
        boxes.keep()
        few = sum(r["looks"] < FRAMES_MIN for r in document[name])
        print(f"\n{name}: {len(films)} films or photographs, {few} with fewer than {FRAMES_MIN} faces")
        print("\n".join(table(document[name], names, thresholds)), flush=True)
    if options.out:
        options.out.write_text(json.dumps(document), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
