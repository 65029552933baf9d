#!/usr/bin/env python3
"""Measures an embedder by groups of people: sex, ethnicity, age, as a set's own table has them.

in   --card CARD.toml with its `.tflite` beside it, and of which pictures:
       --photographs FOLDER of the Face Research Lab London Set (ID/neutral.jpg, ID/smiling.jpg), with
                     --data FOLDER of checkouts, for the set's table
       --cache FOLDER (prepare.py, people.py): UTKFace's adults by the ethnicity in its file names
out  a Markdown table on standard output: for each group how many true matches are missed (London
     alone), and how many comparisons of two people of the same group match, at the card's threshold
     for FMR 1e-3

UTKFace was trained on, without names: it compares networks trained alike, and flatters them all. Two
of its pictures that the teacher takes for one person are not counted.

Within a group people look more alike than at large, so that the rates are above the card's. Groups
here are small: the intervals say what can be said. The words for the groups are the table's.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import faces
import numpy as np
import scores
from dataset import file_of
from embedder import Carded, carded

FMR = 1e-3
GROUP_MIN = 8
UTKFACE = ("white", "black", "asian", "indian")
UTKFACE_AGES, UTKFACE_FACES = (18, 64), 500
TEACHER_SAME = 0.5
AGES = ((18, 24), (25, 34), (35, 60))


def threshold_of(path: Path) -> float:
    """The card's own, by cosine, averaged with the mirror image."""
    for table in tomllib.loads(path.read_text(encoding="utf-8")).get("calibration", []):
        if table["metric"] == "cosine" and table["mirrored"]:
            for rate, threshold in table["points"]:
                if rate == FMR:
                    return threshold
    raise SystemExit(f"groups: {path}: no calibration by cosine, mirrored, at {FMR:g}")


def age_group(row: dict[str, str]) -> str:
    age = int(row["face_age"]) if row["face_age"].isdigit() else 0
    return next((f"{low} to {high} years" for low, high in AGES if low <= age <= high), "age unknown")


def rows(table: list[dict[str, str]], vectors: np.ndarray, threshold: float) -> Iterator[str]:
    """`vectors`: people × 2 (neutral, smiling) × features, of unit length."""
    groups: tuple[Callable[[dict[str, str]], str], ...] = (lambda _: "everybody", lambda r: r["face_gender"], lambda r: r["face_eth"].replace("_", " "), age_group)
    for name_of in groups:
        names = np.array([name_of(row) for row in table])
        for name in sorted(set(names)):
            members = vectors[names == name]
            if len(members) < GROUP_MIN:
                yield f"| {name} | {len(members)} | too few to tell | |"
                continue
            mated = (members[:, 0] * members[:, 1]).sum(-1)
            crossed = members[:, 0] @ members[:, 1].T
            others = crossed[~np.eye(len(members), dtype=bool)]
            counts = ((int((mated < threshold).sum()), len(mated)), (int((others >= threshold).sum()), len(others)))
            missed, matched = (f"{100 * c / n:.3g} % ({c} of {n}; {100 * scores.wilson(c, n)[0]:.2g} to {100 * scores.wilson(c, n)[1]:.2g})" for c, n in counts)
            yield f"| {name} | {len(members)} | {missed} | {matched} |"


def utkface_group(picture: str) -> str | None:
    """Of an adult, by AGE_SEX_ETHNICITY_….jpg."""
    parts = Path(picture).name.split("_")
    if len(parts) < 4 or not (parts[0].isdigit() and parts[2].isdigit() and int(parts[2]) < len(UTKFACE)):
        return None
    return UTKFACE[int(parts[2])] if UTKFACE_AGES[0] <= int(parts[0]) <= UTKFACE_AGES[1] else None


def strangers_alike(model: Carded, threshold: float, cache: Path) -> Iterator[str]:
    """Rows of UTKFace: the same number of faces of each group, spread over the set."""
    listing = json.loads((cache / "utkface.json").read_text(encoding="utf-8"))["faces"]
    parts = json.loads((cache / "people.json").read_text(encoding="utf-8"))["sets"]["utkface"]["parts"]
    teacher = scores.unit(np.load(cache / "utkface.mobilefacenet.npy").astype(np.float32))
    crops = np.load(cache / "utkface.wide.npy", mmap_mode="r")
    groups = np.array([utkface_group(face["picture"]) or "" for face in listing])
    for name in UTKFACE:
        places = np.flatnonzero((groups == name) & (np.array(parts) == "train"))
        places = places[np.linspace(0, len(places) - 1, min(UTKFACE_FACES, len(places))).astype(int)]
        vectors = model.vectors(np.asarray(crops[i]) for i in places)
        upper = np.triu_indices(len(places), 1)
        counted = (teacher[places] @ teacher[places].T)[upper] < TEACHER_SAME
        matched = int(((vectors @ vectors.T)[upper][counted] >= threshold).sum())
        low, high = scores.wilson(matched, int(counted.sum()))
        yield f"| {name} | {len(places)} | {100 * matched / counted.sum():.3g} % ({matched:,} of {counted.sum():,}; {100 * low:.2g} to {100 * high:.2g}) |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--card", type=Path, required=True)
    for name in ("photographs", "data", "cache"):
        parser.add_argument(f"--{name}", type=Path)
    options = parser.parse_args()
    if (options.photographs is None) == (options.cache is None) or (options.photographs and options.data is None):
        parser.error("give --photographs with --data, or --cache")
    model, threshold = carded(options.card), threshold_of(options.card)
    print(f"{model.id}, cosine, mirrored average, threshold {threshold:.3f} (FMR {FMR:g} by the card); 95 % intervals by Wilson\n")
    if options.cache:
        print("| group of UTKFace | faces | two of the group match |\n|---|---|---|")
        for row in strangers_alike(model, threshold, options.cache):
            print(row, flush=True)
        return 0
    finder = faces.Finder()
    with file_of("london-people", options.data).open(encoding="utf-8", newline="") as stored:
        table = [row for row in csv.DictReader(stored) if (options.photographs / row["face_id"]).is_dir()]
    wides = []
    for row in table:
        for expression in ("neutral", "smiling"):
            path = options.photographs / row["face_id"] / f"{expression}.jpg"
            picture = faces.read(path)
            keypoints = finder.subject(picture)
            if keypoints is None:
                raise SystemExit(f"groups: {path}: no face found")
            wides.append(faces.wide_crop(picture, keypoints))
    vectors = model.vectors(wides).reshape(len(table), 2, -1)
    print("| group | people | true matches missed | two people of the group match |\n|---|---|---|---|")
    print("\n".join(rows(table, vectors, threshold)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
