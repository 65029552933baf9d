#!/usr/bin/env python3
"""Writes the card of the network that judges covered faces, from the file itself and from what was measured of it.

in   --model FILE.tflite, --calibration calibration.json, --run run.json of each run in turn, --date, --id
out  --out ID.toml in the format of models/README.md
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

from covered import crops, drawing, regions
from covered.convert_facts import OFFSET, SCALE
from dataset import sources
from liveness.card import tensor, tensors
from tables import text

POINTS = ("right_eye", "left_eye", "nose_tip", "mouth_centre")
LIMITATIONS = (
    "Learnt from drawn covers: sunglasses, masks, scarves, veils, hands, things, hats and hair that were drawn on photographs by their landmarks. What covers otherwise may pass; models/RESULTS.md has what was measured on photographs of real covers.",
    "Says nothing of what covers less than most of both eyes, one eye, the mouth, the brows or a cheek, and nothing of beards, clear spectacles, headscarves around the face, make-up.",
    "Whoever always wears tinted glasses, or hair over the eyes, is refused at enrolment; raise or lower quality.uncovered_refused, or name no network.",
    "The photographs are web pictures from Flickr (FairFace, CC BY 4.0), and nobody in them was asked: whoever uses this commercially must clear that, or retrain.",
)


def measured(calibration: dict, share: float = 0.02) -> str:
    point = next(p for p in calibration["points"] if p["uncovered"] == share)
    of = ", ".join(f"{name} {100 * point['kinds'][name]:.1f} %" for name in drawing.COVERS if name in point["kinds"])
    return (
        f"The thresholds are of {calibration['free']:,} uncovered and {calibration['covers']:,} covered drawings of {calibration['photographs']:,} photographs held out of training. "
        f"Where {100 * share:.0f} % of the uncovered are refused, {100 * point['covered']:.1f} % of the covered are: {of}."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("model", "calibration", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--run", type=Path, action="append", required=True)
    parser.add_argument("--date", required=True)
    parser.add_argument("--id", default="covered")
    options = parser.parse_args()
    given, made = tensors(options.model)
    calibration = json.loads(options.calibration.read_text(encoding="utf-8"))
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in options.run]
    terms = sources()["fairface"].terms.split(";")[0]
    source = (
        f"Trained for this project by models/training/covered, {options.date}, from nothing: {sum(run['pictures'] for run in runs):,} pictures, of {runs[-1]['drawings']:,} drawings on "
        f"{runs[-1]['photographs']:,} photographs of FairFace's training part ({terms})"
    )
    thresholds = [f"    {{ uncovered = {p['uncovered']}, covered = {p['covered']:.4f}, probability = {p['probability']:.4f} }}," for p in calibration["points"]]
    lines = [
        "# Written by models/training/covered/card.py. Format: models/README.md",
        f"id = {text(options.id)}", 'kind = "quality"', f"file = {text(options.model.name)}",
        f"sha256 = {text(hashlib.sha256(options.model.read_bytes()).hexdigest())}", f"title = {text('Which part of a face is covered: eyes, mouth, brows, cheeks; int8')}", "",
        "[provenance]", f"licence = {text('MIT OR Apache-2.0 for the weights; trained on FairFace, CC BY 4.0 (see limitations)')}", f"source = {text(source)}",
        "limitations = [", *(f"    {text(words)}," for words in (measured(calibration), *LIMITATIONS)), "]", "",
        "[input]", *tensor(given), "", "[normalisation]", f"scale = {SCALE!r}", f"offset = {OFFSET!r}", "",
        "[[output]]", 'role = "covered"', *tensor(made), "",
        "[alignment]", *(f"{name} = [{round(float(x), 4)}, {round(float(y), 4)}]" for name, (x, y) in zip(POINTS, crops.TEMPLATE, strict=True)), "",
        "[quality]", f"parts = [{', '.join(text(name) for name in regions.NAMES)}]", 'activation = "sigmoid"', "threshold = [", *thresholds, "]",
    ]  # fmt: skip
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"card: wrote {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
