"""Which faces a batch shows, and as what pictures.

in   the faces that are trained on: whose each is, and what a teacher says of it
out  indices of a batch; its pictures, augmented

One half of a batch goes through all faces in turn, and, where there are blends (blend.py), through as
many of these. The other is of one group of people who look alike to the teacher: several pictures of
each of some people (by chance alone a batch would hold no two pictures of anybody), and faces of that
group whose names are not known. Two people of different sex, age or origin are told apart soon; a door
must tell apart those who are alike.
Every group comes as often as any other, however few faces it has.
Invariant: batch k of a seed is always the same, whatever was trained before.
"""

from __future__ import annotations

import augment
import faces
import numpy as np
import torch
from cached import Data
from topology import Frame

PICTURES_OF_A_PERSON = 4
# Of the half that is of one group, the share without names, where the group has such faces.
NAMELESS = 0.25
BLOCK = 250


def as_input(pictures: torch.Tensor) -> torch.Tensor:
    """What networks are given of pictures, batch × height × width × 3 uint8, wherever these are."""
    return (pictures.permute(0, 3, 1, 2).float() / 127.5 - 1.0).contiguous(memory_format=torch.channels_last)


def tensor(pictures: list[np.ndarray]) -> torch.Tensor:
    return as_input(torch.from_numpy(np.stack(pictures)))


@torch.no_grad()
def features_of(network: torch.nn.Module, data: Data, places: np.ndarray, of: Frame, device: str | torch.device = "cpu") -> np.ndarray:
    """Of each face its plain crop's features, in blocks, so that memory does not grow with their number."""
    features = []
    for block in np.array_split(places, max(1, len(places) // BLOCK)):
        pictures = tensor([faces.frame(data.crop(int(i)), of) for i in block])
        features.append(network(pictures.to(device)).cpu().numpy())
    return np.concatenate(features)


class Batches(torch.utils.data.Dataset):
    """Batch k at the place k: faces' numbers, and pictures of them, batch × height × width × 3 uint8."""

    def __init__(self, data: Data, batch: int, seed: int, frame: Frame) -> None:
        self.data, self.batch, self.seed, self.frame = data, batch, seed, frame
        self.rows = batch // 2 // PICTURES_OF_A_PERSON if data.groups else 0
        others = batch - self.rows * PICTURES_OF_A_PERSON
        blends = others // 2 if len(data.blended) else 0
        self.turns = [Turn(data.train, others - blends, (seed,)), Turn(data.blended, blends, (seed, 3))]

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        indices = self.indices(step)
        return torch.from_numpy(indices), self.pictures(step, indices)

    def indices(self, step: int) -> np.ndarray:
        return np.concatenate([*(turn.of(step) for turn in self.turns), *self.alike(np.random.default_rng((self.seed, step, 2)))])

    def alike(self, rng: np.random.Generator) -> list[np.ndarray]:
        if self.rows == 0:
            return []
        people, nameless = self.data.groups[rng.integers(len(self.data.groups))]
        without = int(NAMELESS * self.rows) if len(nameless) else 0
        chosen = rng.choice(len(people), self.rows - without, replace=self.rows - without > len(people))
        pictures = [rng.choice(p, PICTURES_OF_A_PERSON, replace=len(p) < PICTURES_OF_A_PERSON) for p in (people[i] for i in chosen)]
        count = without * PICTURES_OF_A_PERSON
        return [*pictures, rng.choice(nameless, count, replace=count > len(nameless))] if count else pictures

    def pictures(self, step: int, indices: np.ndarray) -> torch.Tensor:
        rng = np.random.default_rng((self.seed, step, 1))
        return torch.from_numpy(np.stack([augment.augmented(self.data.crop(int(i)), rng, self.frame) for i in indices]))


class Turn:
    """All of some faces one after another, `count` in each step, in another order with each pass."""

    def __init__(self, faces: np.ndarray, count: int, seed: tuple[int, ...]) -> None:
        if len(faces) < count:
            raise SystemExit(f"train: {len(faces)} faces are fewer than the {count} that a batch shows in turn; give a smaller --batch")
        self.faces, self.count, self.seed = faces, count, seed
        self.order: tuple[int, np.ndarray] | None = None

    def of(self, step: int) -> np.ndarray:
        if self.count == 0:
            return self.faces[:0]
        number, place = divmod(step, len(self.faces) // self.count)
        if self.order is None or self.order[0] != number:
            self.order = (number, np.random.default_rng((*self.seed, number)).permutation(self.faces))
        return self.order[1][place * self.count : (place + 1) * self.count]
