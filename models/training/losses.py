"""What the features are asked to be: as the teacher's, alike for one person, far apart for two.

in   features (batch × their length), the teacher's vectors (unit length), persons' numbers (−1: unknown)
out  one number to make small, and its parts for the curves

Four signals, all of them on what the door compares: centred features, and where there is a teacher
their projection into its space, by which export.py weighs them (taught.py):
  feature         it points where the teacher's vector does
  similarity      the cosine of every two pictures of the batch is the teacher's; mated and
                  non-mated pairs weigh alike, though there are a thousand times more of these, and
                  those strangers once more whom the features confuse most
  identification  CosFace (Wang et al. 2018) in the teacher's space, against the teacher's mean of
                  each person; without a teacher, against learnt vectors in the features' own space
  verification    a mated pair is more alike than either is to anybody else in the batch (softmax
                  over the batch with a margin)
The DeepID2 paper (arXiv 1406.4773) has the names of the last two.
Invariant: the centre is a running mean, so that training compares as the card's mean does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CENTRE_MOMENTUM = 0.02
IDENTIFICATION_MARGIN, IDENTIFICATION_SCALE = 0.2, 32.0
VERIFICATION_MARGIN, VERIFICATION_SCALE = 0.1, 16.0
# Of the strangers' comparisons, the share that are too high by most; a door errs there.
CONFUSED, CONFUSED_WEIGHT = 0.02, 0.4
WEIGHTS = {"feature": 2.0, "similarity": 5.0, "identification": 1.0, "verification": 0.5}


def person_means(teacher: Tensor, persons: Tensor, people: int) -> Tensor:
    """The teacher's mean of each person, of unit length."""
    named = persons >= 0
    sums = torch.zeros(people, teacher.shape[1]).index_add_(0, persons[named], teacher[named])
    return functional.normalize(sums)


class Signals(nn.Module):
    """`means` is people × the teacher's features; without a teacher, `people` vectors are learnt."""

    def __init__(self, features: int, means: Tensor | None, people: int) -> None:
        super().__init__()
        if means is not None:
            self.projection = nn.Linear(features, means.shape[1], bias=False)
            self.register_buffer("people", means, persistent=False)
        else:
            self.projection = None
            self.people = nn.Parameter(torch.randn(people, features) * 0.05)
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("seen", torch.zeros(()))

    def centred(self, features: Tensor) -> Tensor:
        with torch.no_grad():
            # The first batches weigh more, so that the centre is right from the start.
            self.seen += 1
            share = max(CENTRE_MOMENTUM, 1.0 / float(self.seen))
            self.centre.lerp_(features.detach().mean(0), share)
        return functional.normalize(features - self.centre)

    def forward(self, features: Tensor, teacher: Tensor | None, persons: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        compared = self.centred(features)
        if self.projection is not None:
            compared = functional.normalize(self.projection(compared))
        cosines = compared @ compared.T
        apart = ~torch.eye(len(features), dtype=torch.bool, device=features.device)
        known = persons >= 0
        mated = (persons[:, None] == persons[None, :]) & known[:, None] & apart
        parts: dict[str, Tensor] = {}
        if teacher is not None:
            parts["feature"] = 1.0 - (compared * teacher).sum(1).mean()
            parts["similarity"] = similarity(cosines, teacher, mated, apart)
        if bool(known.any()):
            parts["identification"] = identification(compared[known], functional.normalize(self.people), persons[known])
        if bool(mated.any()):
            parts["verification"] = verification(cosines, mated, apart)
        total = sum((WEIGHTS[name] * value for name, value in parts.items()), torch.zeros(()))
        return total, {name: value.detach() for name, value in parts.items()}


def similarity(cosines: Tensor, teacher: Tensor, mated: Tensor, apart: Tensor) -> Tensor:
    wanted = teacher @ teacher.T
    strangers = apart & ~mated
    # Teachers put strangers around zero, but for a small offset that is theirs alone.
    apart_from = cosines - wanted + wanted[strangers].mean()
    errors, of_strangers = apart_from.square(), apart_from[strangers]
    confused = of_strangers.topk(max(1, int(CONFUSED * len(of_strangers)))).values
    loss = of_strangers.square().mean() + CONFUSED_WEIGHT * confused.clamp_min(0.0).square().mean()
    return loss + 0.2 * errors[mated].mean() if bool(mated.any()) else loss


def identification(features: Tensor, people: Tensor, persons: Tensor) -> Tensor:
    cosines = features @ people.T
    asked = functional.one_hot(persons, len(people)) * IDENTIFICATION_MARGIN
    return functional.cross_entropy(IDENTIFICATION_SCALE * (cosines - asked), persons) / IDENTIFICATION_SCALE * 4.0


def verification(cosines: Tensor, mated: Tensor, apart: Tensor) -> Tensor:
    """Mean over mated pairs of −log of the pair's share among itself and all non-mated ones of its row."""
    others = (VERIFICATION_SCALE * cosines).masked_fill(~apart | mated, -torch.inf).logsumexp(1)
    row, column = mated.nonzero(as_tuple=True)
    pairs = VERIFICATION_SCALE * (cosines[row, column] - VERIFICATION_MARGIN)
    return functional.softplus(others[row] - pairs).mean() / VERIFICATION_SCALE * 4.0
