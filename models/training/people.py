#!/usr/bin/env python3
"""Who is who in the training data, who is left out, and who is held back for judging.

in   --cache FOLDER with the listings and one teacher's feature vectors (prepare.py)
out  CACHE/people.json: for every training set and face its part and, where known, its person's
     number; how many were removed and why

Parts: "train"; "validation" (people held back to choose between runs); "calibration" (people held
back for the card's thresholds); "lfw" (people who are in LFW too, by the teacher, left out of all);
"label" (the teacher does not believe the person's name: trained on without it).
Invariants: a person is in exactly one of the parts train, validation, calibration, lfw. Pictures
without a name are trained on only when the teacher finds them like nobody in LFW or held back.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Cosine of MobileFaceNet. Below SAME a picture is not its person's. From LFW_PERSON on two means of
# several pictures, and from LFW_PICTURE on a picture and such a mean, count as one person; they are
# low on purpose: a stranger lost costs little, an LFW person kept makes the report too good.
SAME = 0.25
LFW_PERSON = 0.60
LFW_PICTURE = 0.55
HELD_PEOPLE = 400
# A person held back needs this many believed pictures, for mated comparisons.
HELD_PICTURES_MIN = 4


@dataclass
class Faces:
    """The faces of some sets, in the order of the sets and their listings."""

    sets: list[str]
    counts: list[int]
    persons: list[str | None]
    vectors: np.ndarray


def load(cache: Path, sets: list[str], teacher: str) -> Faces:
    persons, vectors, counts = [], [], []
    for name in sets:
        listing = json.loads((cache / f"{name}.json").read_text(encoding="utf-8"))["faces"]
        found = np.load(cache / f"{name}.{teacher}.npy").astype(np.float32)
        if len(found) != len(listing):
            raise SystemExit(f"people: {name}: {len(listing)} faces, {len(found)} vectors: delete {name}.* and prepare again")
        persons += [face["person"] for face in listing]
        vectors.append(found)
        counts.append(len(listing))
    return Faces(sets, counts, persons, np.concatenate(vectors))


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def members_of(persons: list[str | None]) -> dict[str, np.ndarray]:
    members: dict[str, list[int]] = {}
    for index, person in enumerate(persons):
        if person is not None:
            members.setdefault(person, []).append(index)
    return {person: np.array(indices) for person, indices in members.items()}


def believed(vectors: np.ndarray) -> np.ndarray:
    """Which of one person's pictures are like the mean of the others; the odd ones leave one by one."""
    kept = np.ones(len(vectors), dtype=bool)
    while kept.sum() > 1:
        total = vectors[kept].sum(0)
        others = unit(total - vectors)
        likeness = np.where(kept, (others * vectors).sum(1), np.inf)
        worst = int(likeness.argmin())
        if likeness[worst] >= SAME:
            break
        kept[worst] = False
    return kept


def chance(person: str) -> int:
    """A fixed draw: the same people are held back on every machine, whatever else is in the data."""
    return int.from_bytes(hashlib.sha256(person.encode()).digest()[:8], "big")


def likest(vectors: np.ndarray, others: np.ndarray, block: int = 4096) -> np.ndarray:
    """For each vector the highest cosine to any of the others."""
    return np.concatenate([(vectors[i : i + block] @ others.T).max(1) for i in range(0, len(vectors), block)])


def sort_out(train: Faces, lfw: Faces) -> tuple[list[str], list[int], dict[str, int]]:
    """Part and person's number (−1: none) of every training face, and the counts for the report."""
    parts, numbers = ["train"] * len(train.persons), np.full(len(train.persons), -1)
    lfw_means = unit(np.stack([lfw.vectors[i].mean(0) for i in members_of(lfw.persons).values()]))
    people, means, doubted = {}, {}, 0
    for person, indices in members_of(train.persons).items():
        good = believed(train.vectors[indices])
        doubted += int((~good).sum())
        for index in indices[~good]:
            parts[index] = "label"
        people[person] = indices[good]
        means[person] = unit(train.vectors[indices[good]].mean(0))
    names = list(people)
    in_lfw = likest(np.stack([means[n] for n in names]), lfw_means) >= LFW_PERSON
    removed = {name for name, shared in zip(names, in_lfw, strict=True) if shared}
    enough = [n for n in names if n not in removed and len(people[n]) >= HELD_PICTURES_MIN and n.startswith("celeba/")]
    enough.sort(key=chance)
    held = HELD_PEOPLE if len(enough) >= 4 * HELD_PEOPLE else len(enough) // 4
    validation, calibration = set(enough[:held]), set(enough[held : 2 * held])
    number = 0
    for name in names:
        part = "lfw" if name in removed else "validation" if name in validation else "calibration" if name in calibration else "train"
        for index in people[name]:
            parts[index], numbers[index] = part, number
        number += 1
    # A doubted or nameless picture may show anyone: someone of LFW, or someone held back.
    loose = np.array([i for i, p in enumerate(parts) if numbers[i] < 0])
    apart = [lfw_means] + [means[n][None] for n in (*validation, *calibration)]
    dropped = 0
    if len(loose):
        for index in loose[likest(train.vectors[loose], np.concatenate(apart)) >= LFW_PICTURE]:
            parts[index] = "lfw"
            dropped += 1
    counts = {
        "faces": len(parts), "people": len(names), "labels_doubted": doubted,
        "people_shared_with_lfw": len(removed), "faces_of_people_shared_with_lfw": int(sum(len(people[n]) for n in removed)),
        "unnamed_faces_like_lfw_or_held_back": dropped, "validation_people": len(validation), "calibration_people": len(calibration),
        "training_people": len(names) - len(removed) - len(validation) - len(calibration),
        "training_faces": sum(p in ("train", "label") for p in parts),
    }  # fmt: skip
    return parts, numbers.tolist(), counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", required=True)
    parser.add_argument("--teacher", default="mobilefacenet")
    options = parser.parse_args()
    train = load(options.cache, options.sets, options.teacher)
    parts, numbers, counts = sort_out(train, load(options.cache, ["lfw"], options.teacher))
    document, start = {"counts": counts, "sets": {}}, 0
    for name, count in zip(train.sets, train.counts, strict=True):
        document["sets"][name] = {"parts": parts[start : start + count], "persons": numbers[start : start + count]}
        start += count
    (options.cache / "people.json").write_text(json.dumps(document), encoding="utf-8")
    for what, count in counts.items():
        print(f"people: {what.replace('_', ' ')}: {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
