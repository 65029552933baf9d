#!/usr/bin/env python3
"""Writes a model's card from the file itself and from what was measured of it.

in   --model FILE.tflite, --evaluation FILE.json (evaluate.py --view2 --calibration), --run run.json,
     --people people.json, --id ID, --date YYYY-MM; or, for a network that others trained,
     --model, --converted-from NAME, --normalisation, --id: a card without calibration
out  --out ID.toml in the format of models/README.md

Every number comes from those files; nothing is typed in here but words. The template is told by
the network's input and by who places the keypoints (faces.py), because its crops were made with it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import faces
from dataset import sources
from embedder import NORMALISATIONS, SIGNED, Embedder, Facts
from tables import calibrations, text
from topology import KINDS

@dataclass(frozen=True)
class Words:
    """What a card says beyond what the file itself tells."""

    title: str
    licence: str
    source: str
    limitations: list[str]
    normalisation: tuple[float, float]
    calibrations: list[str]
    mean: list[float]


POINTS = ("right_eye", "left_eye", "nose_tip", "mouth_centre")
NUMBERS_IN_A_LINE = 10


def tensor(facts: Facts) -> list[str]:
    lines = [f"name = {text(facts.name)}", f"shape = {facts.shape}", f"element_type = {text(facts.element_type)}"]
    if facts.element_type == "int8":
        lines.append(f"quantisation = {{ scale = {facts.scale!r}, zero_point = {facts.zero_point} }}")
    return lines


def limitations(evaluation: dict, people: dict) -> list[str]:
    view2 = evaluation["view2"]
    words = []
    for crops, name in (("one_crop", "one crop"), ("mirrored", "crop and mirror image averaged")):
        cosine = view2[crops]["cosine"]
        low, high = cosine["fnmr_at_fmr_1e-3_interval"]
        words.append(
            f"{name}: {100 * cosine['accuracy_mean']:.2f} ± {100 * cosine['accuracy_standard_error']:.2f} %, "
            f"{100 * cosine['fnmr_at_fmr_1e-3']:.1f} % ({100 * low:.1f} to {100 * high:.1f}) of true matches missed at FMR 1e-3"
        )
    return [
        f"LFW View 2, cosine: {'; '.join(words)}. {people['people_shared_with_lfw']} people whom the teacher finds in LFW were left out of training.",
        "The training photographs are web pictures of public figures under research, non-commercial or unstated terms, and nobody in them was asked: whoever uses this commercially must retrain on cleared data, or clear it.",
        "Calibrated on web photographs. Pictures of one camera in one light, and portraits of one kind, make strangers more alike than the table says: check the threshold at the door itself.",
        "Not to be relied on for children, close relatives and twins, masks, low light, and faces turned by more than about 30°; nor as the only factor of a door that matters. It does not tell a photograph from a person.",
        "Training data is unbalanced: mostly light-skinned adult public figures. Thresholds by balanced.py are those of the group that fares worst of web photographs; pictures of one studio stay beyond them (models/README.md, for whom).",
    ]


def begun_with(weights: str | None) -> str:
    if weights in (None, "None"):
        return ""
    return ", from the weights of an earlier run" if weights.endswith(".pt") else f", from the weights of {Path(weights).stem}"


def trained(options: argparse.Namespace) -> Words:
    """What is known of a network that models/training made and measured."""
    evaluation = json.loads(options.evaluation.read_text(encoding="utf-8"))["model"]
    run = json.loads(options.run.read_text(encoding="utf-8"))
    document = json.loads(options.people.read_text(encoding="utf-8"))
    people, sets = document["counts"], document["sets"]
    teachers = " and ".join(run["teachers"]) or "no teacher"
    start = begun_with(run.get("start_from"))
    listed = ", ".join(f"{name} ({sources()[name].terms.split(':')[0]})" if name in sources() else name for name in sets)
    origin = (
        f"Trained for this project by models/training, {options.date}: {run['passes']} passes over {run['faces']:,} aligned faces, "
        f"{run['people']:,} named people{start}; distilled from {teachers}, with CosFace; {run['seconds'] // 60} minutes; features weighed by what they tell of the teacher's, and equalised. Data: {listed}"
    )
    return Words(
        f"{KINDS[run.get('network', 'deepid2')].title}, int8",
        "MIT OR Apache-2.0 for the file; trained on research and web photographs (see limitations)",
        origin, limitations(evaluation, people), SIGNED, calibrations(evaluation["calibration"], options.date), evaluation["mean"],
    )  # fmt: skip


def converted(options: argparse.Namespace) -> Words:
    """A network of others: what was not measured here, the card does not claim."""
    limitations = [*options.limitation, "Whether it was trained on faces aligned by this card's template is not known."]
    tables, mean = [], []
    if options.evaluation:
        evaluation = json.loads(options.evaluation.read_text(encoding="utf-8"))["model"]
        tables, mean = calibrations(evaluation["calibration"], options.date), evaluation["mean"]
        limitations.append(
            "Calibrated on people whom its makers may have trained on, since they did not say whom: thresholds may be too low. Check them at the door itself."
        )
    else:
        limitations.append("Not calibrated and not measured: set recognise.threshold yourself, and check it at the door.")
    source = f"Converted by models/training from {options.converted_from}, which others trained"
    return Words(options.title, options.licence, source, limitations, NORMALISATIONS[options.normalisation], tables, mean)


def card(options: argparse.Namespace) -> str:
    model = Embedder(options.model)
    words = converted(options) if options.converted_from else trained(options)
    hashed = hashlib.sha256(options.model.read_bytes()).hexdigest()
    template = faces.template_of(*model.input.shape[1:3], finer=bool(options.keypoints_by))
    placed = [f"keypoints_by = {text(options.keypoints_by)}"] if options.keypoints_by else []
    rows = [words.mean[i : i + NUMBERS_IN_A_LINE] for i in range(0, len(words.mean), NUMBERS_IN_A_LINE)]
    mean = ["mean = [", *("    " + ", ".join(f"{v:.6f}" for v in row) + "," for row in rows), "]"] if rows else []
    lines = [
        "# Written by models/training/card.py. Format: models/README.md",
        f"id = {text(options.id)}", 'kind = "embedder"', f"file = {text(options.model.name)}", f"sha256 = {text(hashed)}",
        f"title = {text(words.title)}", *placed, "",
        "[provenance]", f"licence = {text(words.licence)}", f"source = {text(words.source)}",
        "limitations = [", *(f"    {text(w)}," for w in words.limitations), "]", "",
        "[input]", *tensor(model.input), "",
        "[normalisation]", f"scale = {words.normalisation[0]!r}", f"offset = {words.normalisation[1]!r}", "",
        "[[output]]", 'role = "features"', *tensor(model.output), "",
        "[alignment]", *(f"{name} = [{round(x, 4)}, {round(y, 4)}]" for name, (x, y) in zip(POINTS, template.tolist(), strict=True)),
        *words.calibrations, "",
        "[features]", f"length = {model.output.shape[-1]}", *mean, "",
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("model", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--id", required=True)
    for name in ("evaluation", "run", "people"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--date")
    parser.add_argument("--converted-from", metavar="NAME")
    parser.add_argument("--normalisation", choices=tuple(NORMALISATIONS), default="signed")
    parser.add_argument("--keypoints-by", metavar="ID", help="card of the landmark network whose keypoints the template places")
    parser.add_argument("--title", default="DeepID2 (Sun, Wang, Tang 2014), 160 features, int8, converted from Keras")
    parser.add_argument("--licence", default="unknown: that of the file it was converted from")
    parser.add_argument("--limitation", action="append", default=[])
    options = parser.parse_args()
    if not options.converted_from and None in (options.evaluation, options.run, options.people, options.date):
        parser.error("give --evaluation, --run, --people and --date, or --converted-from")
    if options.evaluation and not options.date:
        parser.error("--evaluation needs --date: a calibration says when it was measured")
    options.out.write_text(card(options), encoding="utf-8")
    print(f"card: wrote {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
