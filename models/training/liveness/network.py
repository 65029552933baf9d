"""The liveness networks: MiniFASNets, begun with their public weights, with heads of ours.

in   a View: which square around the face the network sees, and which public weights it begins with;
     pictures: BGR 0 … 255, batch × 3 × 80 × 80
out  logits: the label's, and what each teacher says

The one logit that ships is a weighted sum of the label's head and the teachers' (View.shares), which is
again one linear layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from dataset import file_of
from liveness import minifasnet
from liveness.teachers import NAMES as TEACHERS
from torch import Tensor, nn
from torch.nn import functional

SIDE = minifasnet.SIDE
# The stages in turn; where only the upper part learns, it begins at UPPER unless another is named.
STAGES = ("conv1", "conv2_dw", "conv_23", "conv_3", "conv_34", "conv_4", "conv_45", "conv_5", "conv_6_sep", "conv_6_dw")
UPPER = "conv_45"


@dataclass(frozen=True)
class View:
    """What one network sees, and what it is made of."""

    # Its name in the cache of prepare.py.
    key: str
    # Side of the square, in longer sides of the face's box.
    crop: float
    # In data.toml.
    begun_with: str
    # Of the label's logit and of what each teacher would say, in the logit that ships.
    shares: tuple[float, ...]


# "around" sees the edge of a telephone or a sheet; "close" sees paper, ink and the edge of a mask.
VIEWS = {
    "around": View("crops", 4.0, "minifasnet-v1se", (0.5, 0.25, 0.25, 0.0)),
    "close": View("close", 2.0, "minifasnet-v2", (0.5, 0.5, 0.0, 0.0)),
}


def parted(first: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The stages before `first`, and those from it on."""
    at = STAGES.index(first)
    return STAGES[:at], STAGES[at:]


class Liveness(nn.Module):
    def __init__(self, network: minifasnet.MiniFASNet) -> None:
        super().__init__()
        self.network, self.dropout = network, 0.0
        self.lower_stages, self.upper_stages = parted(UPPER)
        features = network.prob.weight.shape[1]
        self.label, self.teach = nn.Linear(features, 1), nn.Linear(features, len(TEACHERS))
        with torch.no_grad():
            prob = network.prob.weight
            live = prob[minifasnet.LIVE] - (prob.sum(0) - prob[minifasnet.LIVE]) / (len(prob) - 1)
            for head in (self.label, self.teach):
                head.weight.copy_(live[None].expand_as(head.weight))
                head.bias.zero_()

    def lower(self, pictures: Tensor) -> Tensor:
        for name in self.lower_stages:
            pictures = getattr(self.network, name)(pictures)
        return pictures

    def upper(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Logits: the label's, batch; and each teacher's."""
        for name in self.upper_stages:
            maps = getattr(self.network, name)(maps)
        values = self.network.bn(self.network.linear(maps.flatten(1)))
        values = functional.dropout(values, self.dropout, self.dropout > 0.0)
        return self.label(values)[:, 0], self.teach(values)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return self.upper(self.lower(pictures))


def begun(view: View, data: Path) -> Liveness:
    """The network with the public weights, ready to learn."""
    return Liveness(minifasnet.read(file_of(view.begun_with, data))).eval()


def trained(weights: Path, view: View, data: Path) -> Liveness:
    network = begun(view, data)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network
