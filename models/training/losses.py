"""What the features are asked to be: as the teachers', and far apart between people.

in   features (batch × 160, ≥ 0), the teachers' vectors, persons' numbers (−1: nobody known)
out  one number to make small, and its parts for the curves

Three signals: the teachers' vector from a linear projection of the features; the teachers' cosine
between every two pictures of the batch from the centred cosine of the features, which is the score
that the door compares; CosFace (Wang et al. 2018) on the people. The first network's paper calls
the last two verification and identification.
Invariant: the centre is a running mean, so that training compares as the card's mean does.
"""

from __future__ import annotations

import torch
from network import FEATURES
from torch import Tensor, nn
from torch.nn import functional

CENTRE_MOMENTUM = 0.02


class Signals(nn.Module):
    def __init__(self, teacher_features: int, people: int, margin: float = 0.25, scale: float = 32.0) -> None:
        super().__init__()
        self.margin, self.scale = margin, scale
        self.projection = nn.Linear(FEATURES, teacher_features) if teacher_features else None
        self.people = nn.Parameter(torch.randn(people, FEATURES) * 0.05) if people else None
        self.register_buffer("centre", torch.zeros(FEATURES))
        self.register_buffer("seen", torch.zeros(()))

    def centred(self, features: Tensor) -> Tensor:
        with torch.no_grad():
            # The first batches weigh more, so that the centre is right from the start.
            self.seen += 1
            share = max(CENTRE_MOMENTUM, 1.0 / float(self.seen))
            self.centre.lerp_(features.detach().mean(0), share)
        return functional.normalize(features - self.centre)

    def forward(self, features: Tensor, teacher: Tensor | None, persons: Tensor, weights: dict[str, float]) -> tuple[Tensor, dict[str, float]]:
        centred = self.centred(features)
        parts: dict[str, Tensor] = {}
        if self.projection is not None and teacher is not None:
            imitation = functional.normalize(self.projection(centred))
            parts["feature"] = 1.0 - (imitation * teacher).sum(1).mean()
            # Teachers put strangers around zero, but for a small offset that is theirs alone.
            wanted = teacher @ teacher.T
            off = ~torch.eye(len(features), dtype=torch.bool)
            parts["similarity"] = ((centred @ centred.T - wanted + wanted[off].mean())[off]).square().mean() * 10.0
        known = persons >= 0
        if self.people is not None and bool(known.any()):
            cosine = centred[known] @ functional.normalize(self.people).T
            asked = functional.one_hot(persons[known], len(self.people)) * self.margin
            parts["identity"] = functional.cross_entropy(self.scale * (cosine - asked), persons[known]) / self.scale
        total = sum(weights[name] * value for name, value in parts.items())
        return total, {name: float(value.detach()) for name, value in parts.items()}
