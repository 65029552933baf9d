#!/usr/bin/env python3
"""Writes the card of a liveness network, from the file itself and from what was measured of it.

in   --model FILE.tflite, --id, --out; for ours --view around | close, --calibration, --run and --date; for one of others
     --source, --title, --licence, --limitation, --crop, --channels, --live, --activation, --scale, --offset
out  ID.toml in the format of models/README.md
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter
from dataset import sources
from liveness.runner import OURS as FACTS
from liveness.subjects import SET
from tables import text

# What every network of ours says besides its figures.
OURS = [
    "The thresholds are those of drawn visits. A camera, a light or a background of another kind moves them: check at the door how many live visitors are refused.",
    "The photographs are web pictures of public figures under non-commercial research terms, and nobody in them was asked: whoever uses this commercially must retrain on cleared data, or clear it. The data is unbalanced: mostly light-skinned adults; figures by group were not measured.",
]
BEGUN = "Begun with weights whose makers do not name their data, and trained further on drawn attacks only: photographs of a face on drawn paper, screens and masks, through a drawn camera. What it makes of attacks that were not drawn so, three-dimensional masks above all, is not known; models/RESULTS.md has the little that was measured on real films."


@dataclass(frozen=True)
class Words:
    """What the card of a view says in words."""

    title: str
    begun_with: str
    limitations: tuple[str, ...]


WORDS = {
    "around": Words(
        "Liveness of the face in a square of four faces, MiniFASNetV1SE trained further, int8",
        "MiniFASNetV1SE",
        (
            "A picture that fills the view, so that no edge of paper or screen is seen, and a mask cut out of paper are found least often.",
            "Judges one frame by its surroundings and its texture; it knows nothing of movement. Not to be relied on as the only defence of a door that matters.",
        ),
    ),
    "close": Words(
        "Liveness of the face in a square of two faces, MiniFASNetV2 trained further, int8",
        "MiniFASNetV2",
        (
            "Sees little of what is around the face, and so no edge of a telephone or a sheet: it is the second look beside a network that does, never the only one.",
            "Judges one frame by ink, light and the edge of a mask; it knows nothing of movement. A good picture of a small or blurred face has none of these.",
        ),
    ),
}


def tensors(file: Path) -> tuple[dict, dict]:
    interpreter = Interpreter(model_path=str(file))
    return interpreter.get_input_details()[0], interpreter.get_output_details()[0]


def tensor(detail: dict) -> list[str]:
    kind = {"int8": "int8", "float32": "float32"}[detail["dtype"].__name__]
    lines = [f"name = {text(detail['name'].split(':')[0])}", f"shape = {[int(v) for v in detail['shape']]}", f"element_type = {text(kind)}"]
    if kind == "int8":
        scale, zero = detail["quantization"]
        lines.append(f"quantisation = {{ scale = {float(scale)!r}, zero_point = {int(zero)} }}")
    return lines


def thresholds(calibration: dict) -> list[str]:
    lines: list[str] = []
    for point in calibration["points"]:
        lines += ["", "[[liveness.threshold]]", f"bpcer = {point['bpcer']}", f"apcer = {point['apcer']:.4f}", f"median = {point['median']:.4f}"]
    return lines


def measured(calibration: dict, closer: str | None) -> str:
    looks = f"four looks of each of two networks, this one and {closer}" if closer else "five looks"
    one = next(p for p in calibration["points"] if p["bpcer"] == 0.01)
    kinds = ", ".join(f"{name} {100 * rate:.1f} %" for name, rate in one["kinds"].items())
    low, high = one["interval"]
    return (
        f"The thresholds are of the median over {looks}, on {calibration['live']} live and {calibration['attacks']} attack visits drawn of people held out of training "
        f"(AUC {calibration['auc']:.4f}); at BPCER 1 % the APCER is {100 * one['apcer']:.1f} % ({100 * low:.1f} to {100 * high:.1f}): {kinds}."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--id", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--view", choices=tuple(WORDS), default="around", help="which network of ours")
    parser.add_argument("--calibration", type=Path)
    parser.add_argument("--closer", metavar="ID", help="the network that looks closer; the calibration has a pair then")
    parser.add_argument("--run", type=Path, action="append", default=[], help="run.json of each run in turn")
    parser.add_argument("--date")
    parser.add_argument("--source")
    parser.add_argument("--title", default="liveness network")
    parser.add_argument("--licence", default="unknown: that of the file it was converted from")
    parser.add_argument("--limitation", action="append", default=[])
    parser.add_argument("--crop", type=float, help="in longer sides of the box; ours have that of their view")
    parser.add_argument("--channels", choices=("rgb", "bgr"), default="rgb")
    parser.add_argument("--live", type=int, default=0)
    parser.add_argument("--activation", choices=("softmax", "sigmoid", "none"), default="sigmoid")
    parser.add_argument("--scale", type=float, default=FACTS["around"].scale)
    parser.add_argument("--offset", type=float, default=FACTS["around"].offset)
    options = parser.parse_args()
    given, made = tensors(options.model)
    crop = FACTS[options.view].crop if options.crop is None else options.crop
    if options.calibration:
        if not options.run or not options.date:
            parser.error("--calibration needs --run and --date: a card says of what and when")
        calibration = json.loads(options.calibration.read_text(encoding="utf-8"))["pair" if options.closer else "model"]
        runs = [json.loads(path.read_text(encoding="utf-8")) for path in options.run]
        words = WORDS[options.view]
        title = f"Liveness of the face in a square of four faces, judged together with {options.closer}, int8" if options.closer else words.title
        licence = "Apache-2.0: begun with weights of Minivision's, changed; trained on drawings of research photographs (see limitations)"
        terms = sources()[SET].terms.split(":")[0]
        source = (
            f"Trained for this project by models/training/liveness, {options.date}, from the weights of {words.begun_with} (minivision-ai/Silent-Face-Anti-Spoofing, Apache-2.0, (c) Minivision, training data undisclosed): "
            f"{sum(r['pictures'] for r in runs):,} pictures, of {runs[-1]['frames']:,} drawn frames of {runs[-1]['scenes']:,} scenes; "
            f"taught by {', '.join(runs[-1]['teachers'])} besides the labels. Data: {SET} ({terms})"
        )
        limitations, points = [measured(calibration, options.closer), BEGUN, *words.limitations, *OURS], thresholds(calibration)
    else:
        title, licence, source = options.title, options.licence, options.source or "not known"
        limitations, points = [*options.limitation, "Not calibrated here: set the threshold yourself, and check it at the door."], []
    lines = [
        "# Written by models/training/liveness/card.py. Format: models/README.md",
        f"id = {text(options.id)}", 'kind = "liveness"', f"file = {text(options.model.name)}",
        f"sha256 = {text(hashlib.sha256(options.model.read_bytes()).hexdigest())}", f"title = {text(title)}", "",
        "[provenance]", f"licence = {text(licence)}", f"source = {text(source)}", "limitations = [", *(f"    {text(words)}," for words in limitations), "]", "",
        "[input]", *tensor(given), "", "[normalisation]", f"scale = {options.scale!r}", f"offset = {options.offset!r}", "",
        "[[output]]", 'role = "liveness"', *tensor(made), "",
        "[liveness]", f"crop = {crop}", f"channels = {text(options.channels)}", f"live = {options.live}", f"activation = {text(options.activation)}",
        *([f"closer = {text(options.closer)}"] if options.closer else []), *points,
    ]  # fmt: skip
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"card: wrote {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
