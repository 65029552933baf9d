"""The network of plan.py in PyTorch: the form that is trained, and its folding to plain weights.

in   pictures, batch × 3 × SIDE × SIDE, pixel/127.5 − 1
out  features; from these `heads`: the label's logit, the kinds', and one for each teacher

Each convolution has a batch norm, which `folded` takes into it. The one logit that ships is a weighted
sum of the label's and the teachers' logits, which is one linear layer again.
"""

from __future__ import annotations

import numpy as np
import torch
from liveness.plan import FEATURES, LAYERS, Layer
from torch import Tensor, nn


class Step(nn.Module):
    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer
        groups = layer.made if layer.deep else 1
        self.conv = nn.Conv2d(layer.given, layer.made, layer.side, layer.stride, layer.side // 2 if layer.padded else 0, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(layer.made)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out" if not layer.deep else "fan_in", nonlinearity="relu")
        if layer.adds:
            nn.init.constant_(self.norm.weight, 0.3)

    def forward(self, values: Tensor) -> Tensor:
        values = self.norm(self.conv(values))
        return torch.relu(values) if self.layer.relu else values


class Liveness(nn.Module):
    def __init__(self, kinds: int, teachers: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.steps = nn.ModuleList(Step(layer) for layer in LAYERS)
        self.drop = nn.Dropout(dropout)
        self.label = nn.Linear(FEATURES, 1)
        self.kind = nn.Linear(FEATURES, kinds)
        self.teach = nn.Linear(FEATURES, teachers)

    def features(self, pictures: Tensor) -> Tensor:
        values, inputs = pictures, {}
        for step in self.steps:
            inputs[step.layer.name] = values
            values = step(values)
            if step.layer.adds:
                values = values + inputs[step.layer.adds]
        return values.flatten(1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the label, batch; of the kinds; of each teacher's p(live)."""
        values = self.drop(self.features(pictures))
        return self.label(values)[:, 0], self.kind(values), self.teach(values)


def folded(network: Liveness, shares: np.ndarray) -> dict[str, np.ndarray]:
    """Plain weights in the layout of plan.py; `shares` of the label's logit and of each teacher's in the one that ships."""
    weights: dict[str, np.ndarray] = {}
    for step in network.steps:
        norm = step.norm
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        kernel = (step.conv.weight.double() * scale[:, None, None, None]).detach().numpy()
        # PyTorch has output × input × height × width; a depthwise one channels × 1 × height × width.
        turned = kernel.transpose(2, 3, 0, 1) if step.layer.deep else kernel.transpose(2, 3, 1, 0)
        weights[f"{step.layer.name}.kernel"] = turned.astype(np.float32)
        weights[f"{step.layer.name}.bias"] = (norm.bias.double() - norm.running_mean.double() * scale).detach().numpy().astype(np.float32)
    kernels = torch.cat([network.label.weight, network.teach.weight]).detach().numpy()
    biases = torch.cat([network.label.bias, network.teach.bias]).detach().numpy()
    weights["prob.kernel"] = (shares @ kernels)[:, None].astype(np.float32)
    weights["prob.bias"] = np.array([shares @ biases], np.float32)
    return weights
