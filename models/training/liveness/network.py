"""The liveness network: MiniFASNetV1SE, begun with its public weights, with heads of ours.

in   pictures: BGR 0 … 255, batch × 3 × 80 × 80, the square around the face at 4 sides of its box
out  logits: the label's, and what each teacher says

The one logit that ships is a weighted sum of the label's head and the teachers' (SHARES), which is
again one linear layer.
"""

from __future__ import annotations

from pathlib import Path

import torch
from dataset import file_of
from liveness import minifasnet
from liveness.teachers import NAMES as TEACHERS
from torch import Tensor, nn
from torch.nn import functional

BEGUN_WITH = "minifasnet-v1se"
CROP, SIDE = 4.0, minifasnet.SIDE
LOWER = ("conv1", "conv2_dw", "conv_23", "conv_3", "conv_34", "conv_4")
UPPER = ("conv_45", "conv_5", "conv_6_sep", "conv_6_dw")
# Of the label's logit and of what each teacher would say, in the logit that ships.
SHARES = (0.5, 0.25, 0.25, 0.0)


class Liveness(nn.Module):
    def __init__(self, network: minifasnet.MiniFASNet) -> None:
        super().__init__()
        self.network, self.dropout = network, 0.0
        features = network.prob.weight.shape[1]
        self.label, self.teach = nn.Linear(features, 1), nn.Linear(features, len(TEACHERS))
        with torch.no_grad():
            prob = network.prob.weight
            live = prob[minifasnet.LIVE] - (prob.sum(0) - prob[minifasnet.LIVE]) / (len(prob) - 1)
            for head in (self.label, self.teach):
                head.weight.copy_(live[None].expand_as(head.weight))
                head.bias.zero_()

    def lower(self, pictures: Tensor) -> Tensor:
        for name in LOWER:
            pictures = getattr(self.network, name)(pictures)
        return pictures

    def upper(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Logits: the label's, batch; and each teacher's."""
        for name in UPPER:
            maps = getattr(self.network, name)(maps)
        values = self.network.bn(self.network.linear(maps.flatten(1)))
        values = functional.dropout(values, self.dropout, self.dropout > 0.0)
        return self.label(values)[:, 0], self.teach(values)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return self.upper(self.lower(pictures))


def begun(data: Path) -> Liveness:
    """The network with the public weights, ready to learn."""
    return Liveness(minifasnet.read(file_of(BEGUN_WITH, data))).eval()


def trained(weights: Path, data: Path) -> Liveness:
    network = begun(data)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network
