"""Which faces a batch shows, and as what pictures.

in   the faces that are trained on: whose each is, and what a teacher says of it
out  indices of a batch; its pictures, augmented

One half of a batch goes through all faces in turn. The other is of one group of people who look
alike to the teacher: several pictures of each of some people (by chance alone a batch would hold no
two pictures of anybody), and faces of that group whose names are not known. Two people of different
sex, age or origin are told apart soon; a door must tell apart those who are alike.
Every group comes as often as any other, however few faces it has.
Invariant: batch k of a seed is always the same, whatever was trained before.
"""

from __future__ import annotations

from dataclasses import dataclass

import augment
import faces
import numpy as np
import torch
from scores import unit
from topology import Frame

PICTURES_OF_A_PERSON = 4
GROUPS = 24
# Of the half that is of one group, the share without names, where the group has such faces.
NAMELESS = 0.25
ROUNDS = 30
BLOCK = 250


@dataclass
class Data:
    """Crops of every set one after another, and what is known of each face that is trained on.

    `persons` is −1 where the name is not known; `groups` has for each group the faces of each of its
    people (two or more), and its nameless faces.
    """

    crops: list[np.ndarray]
    starts: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    persons: np.ndarray
    people: int
    groups: list[tuple[list[np.ndarray], np.ndarray]]
    teacher: np.ndarray | None

    def crop(self, index: int) -> np.ndarray:
        block = int(np.searchsorted(self.starts, index, side="right")) - 1
        return self.crops[block][index - self.starts[block]]


def by_set(places: np.ndarray, starts: np.ndarray) -> list[np.ndarray]:
    """Ascending indices of faces, those of each set by themselves."""
    return np.split(places, np.searchsorted(places, starts[1:]))


def lookalikes(vectors: np.ndarray, count: int) -> np.ndarray:
    """The number of the group that each vector falls into: k-means by the cosine, from a fixed start."""
    count = min(count, len(vectors))
    centred = unit(vectors - vectors.mean(0))
    centres = centred[np.random.default_rng(0).choice(len(centred), count, replace=False)]
    for _ in range(ROUNDS):
        nearest = (centred @ centres.T).argmax(1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, centred)
        centres = unit(np.where(np.bincount(nearest, minlength=count)[:, None] > 0, sums, centres))
    return nearest


def grouped(
    train: np.ndarray, persons: np.ndarray, vectors: np.ndarray | None, count: int = GROUPS
) -> list[tuple[list[np.ndarray], np.ndarray]]:
    """Groups of Data, without those of nobody; one group of all where there is no teacher."""
    named = train[persons[train] >= 0]
    order = named[np.argsort(persons[named], kind="stable")]
    people = [p for p in np.split(order, np.flatnonzero(np.diff(persons[order])) + 1) if len(p) > 1]
    nameless = train[persons[train] < 0]
    if not people:
        return []
    if vectors is None:
        return [(people, nameless)]
    means = np.stack([vectors[p].mean(0) for p in people])
    of = lookalikes(np.concatenate([means, vectors[nameless]]), count)
    groups = []
    for number in range(of.max() + 1):
        members = [p for p, n in zip(people, of, strict=False) if n == number]
        if members:
            groups.append((members, nameless[of[len(people) :] == number]))
    return groups


def tensor(pictures: list[np.ndarray]) -> torch.Tensor:
    values = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
    return (values / 127.5 - 1.0).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def features_of(network: torch.nn.Module, data: Data, places: np.ndarray, of: Frame, device: str | torch.device = "cpu") -> np.ndarray:
    """Of each face its plain crop's features, in blocks, so that memory does not grow with their number."""
    features = []
    for block in np.array_split(places, max(1, len(places) // BLOCK)):
        pictures = tensor([faces.frame(data.crop(int(i)), of) for i in block])
        features.append(network(pictures.to(device)).cpu().numpy())
    return np.concatenate(features)


class Batches:
    def __init__(self, data: Data, batch: int, seed: int, frame: Frame) -> None:
        self.data, self.batch, self.seed, self.frame = data, batch, seed, frame
        self.rows = batch // 2 // PICTURES_OF_A_PERSON if data.groups else 0
        self.in_turn = batch - self.rows * PICTURES_OF_A_PERSON
        self.per_pass = len(data.train) // self.in_turn
        if self.per_pass == 0:
            raise SystemExit(f"train: {len(data.train)} faces are fewer than a batch of {batch} needs")
        self.order: tuple[int, np.ndarray] | None = None

    def indices(self, step: int) -> np.ndarray:
        number, place = divmod(step, self.per_pass)
        if self.order is None or self.order[0] != number:
            self.order = (number, np.random.default_rng((self.seed, number)).permutation(self.data.train))
        in_turn = self.order[1][place * self.in_turn : (place + 1) * self.in_turn]
        return np.concatenate([in_turn, *self.alike(np.random.default_rng((self.seed, step, 2)))])

    def alike(self, rng: np.random.Generator) -> list[np.ndarray]:
        if self.rows == 0:
            return []
        people, nameless = self.data.groups[rng.integers(len(self.data.groups))]
        without = int(NAMELESS * self.rows) if len(nameless) else 0
        chosen = rng.choice(len(people), self.rows - without, replace=self.rows - without > len(people))
        pictures = [rng.choice(p, PICTURES_OF_A_PERSON, replace=len(p) < PICTURES_OF_A_PERSON) for p in (people[i] for i in chosen)]
        count = without * PICTURES_OF_A_PERSON
        return [*pictures, rng.choice(nameless, count, replace=count > len(nameless))] if count else pictures

    def make(self, step: int, indices: np.ndarray) -> torch.Tensor:
        rng = np.random.default_rng((self.seed, step, 1))
        return tensor([augment.augmented(self.data.crop(int(i)), rng, self.frame) for i in indices])
