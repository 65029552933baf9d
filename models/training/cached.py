"""The prepared faces as training reads them.

in   a cache that prepare.py, people.py and, if there are to be blends, blend.py have filled
out  Data: the crops, whose they are, which are trained on, what the teachers say of each
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import equalise
import numpy as np
from lookalikes import grouped
from scores import unit

VALIDATION_FACES_MAX = 3000
BLENDS = "blends.npz"


@dataclass(frozen=True)
class Blends:
    """Faces of nobody: `pairs` of faces, blends × 2, and the `shares` of the first of each, 0 … 1."""

    pairs: np.ndarray
    shares: np.ndarray

    def crop(self, number: int, crop_of: Callable[[int], np.ndarray]) -> np.ndarray:
        one, other = (crop_of(int(face)) for face in self.pairs[number])
        share = float(self.shares[number])
        return cv2.addWeighted(one, share, other, 1.0 - share, 0.0)


@dataclass
class Data:
    """Crops of every set one after another, and what is known of each face that is trained on.

    `persons` is −1 where the name is not known; `groups` has for each group the faces of each of its
    people (two or more), and its nameless faces. `blends` are further faces, numbered after all others:
    of which two each is, and how much of the first; `persons` and `teacher` go on for them.
    """

    crops: list[np.ndarray]
    starts: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    persons: np.ndarray
    people: int
    groups: list[tuple[list[np.ndarray], np.ndarray]]
    teacher: np.ndarray | None
    blends: Blends | None = None

    @property
    def photographs(self) -> int:
        return len(self.persons) - (0 if self.blends is None else len(self.blends.pairs))

    @property
    def blended(self) -> np.ndarray:
        """The numbers of the blends."""
        return np.arange(self.photographs, len(self.persons))

    def crop(self, index: int) -> np.ndarray:
        if self.blends is not None and index >= self.photographs:
            return self.blends.crop(index - self.photographs, self.crop)
        block = int(np.searchsorted(self.starts, index, side="right")) - 1
        return self.crops[block][index - self.starts[block]]


def by_set(places: np.ndarray, starts: np.ndarray) -> list[np.ndarray]:
    """Ascending indices of faces, those of each set by themselves."""
    return np.split(places, np.searchsorted(places, starts[1:]))


def load(cache: Path, teachers: list[str], in_memory: bool) -> Data:
    sets = json.loads((cache / "people.json").read_text(encoding="utf-8"))["sets"]
    parts = np.concatenate([np.array(s["parts"]) for s in sets.values()])
    numbers = np.concatenate([np.array(s["persons"]) for s in sets.values()])
    counts = [len(s["parts"]) for s in sets.values()]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    # np.load without mmap keeps pages that a busy machine would otherwise read again and again.
    crops = [np.load(cache / f"{name}.wide.npy", mmap_mode=None if in_memory else "r") for name in sets]
    train = np.flatnonzero((parts == "train") | (parts == "label"))
    validation = np.flatnonzero(parts == "validation")[:VALIDATION_FACES_MAX]
    persons = np.full(len(parts), -1)
    named = np.flatnonzero((parts == "train") & (numbers >= 0))
    classes, persons[named] = np.unique(numbers[named], return_inverse=True)
    raw = [np.concatenate([np.load(cache / f"{s}.{t}.npy") for s in sets]).astype(np.float32) for t in teachers]
    groups = grouped(train, persons, raw[0] if raw else None)
    persons[validation] = numbers[validation]
    blends, of_blends = blends_of(cache, teachers, len(parts)) if raw else (None, [])
    count = 0 if blends is None else len(blends.pairs)
    persons = np.concatenate([persons, np.full(count, -1)])
    taught = lessons(raw, of_blends, starts, train) if raw else None
    return Data(crops, starts, train, validation, persons, len(classes), groups, taught, blends)


def lessons(raw: list[np.ndarray], of_blends: list[np.ndarray], starts: np.ndarray, train: np.ndarray) -> np.ndarray:
    """What the teachers say of every face and blend, side by side, without what many faces have in common.

    The cosine of the whole is the mean of their cosines.
    """
    taught = []
    for number, vectors in enumerate(raw):
        equalised = equalise.learn([vectors[places] for places in by_set(train, starts)])
        taught.append(unit(equalised(np.concatenate([vectors, *of_blends[number : number + 1]]))))
    return np.concatenate(taught, axis=1) / np.float32(len(taught) ** 0.5)


def blends_of(cache: Path, teachers: list[str], count: int) -> tuple[Blends | None, list[np.ndarray]]:
    """The blends of a cache with `count` faces, and what each teacher says of them; none where it has none."""
    if not (cache / BLENDS).exists():
        return None, []
    with np.load(cache / BLENDS) as stored:
        blends = Blends(stored["pairs"], stored["shares"])
    vectors = [np.load(cache / f"blends.{t}.npy").astype(np.float32) for t in teachers]
    if blends.pairs.max() >= count or any(len(v) != len(blends.pairs) for v in vectors):
        raise SystemExit(f"train: {cache / BLENDS} is of other faces than {cache / 'people.json'}: delete {cache / 'blends.*'} and run blend.py")
    return blends, vectors
