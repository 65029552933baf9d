"""MiniFASNet, the network of Silent-Face-Anti-Spoofing, in PyTorch, for its public weights.

in   a `.pth` of that project: MiniFASNetV2 or MiniFASNetV1SE, told apart and sized by its own keys
out  a module: BGR pixels 0 … 255, batch × 3 × 80 × 80 → three logits; number 1 is live

The widths of all layers are those of the file's tensors; nothing is typed in but the order of layers:
a strided convolution, a depthwise one, stages of inverted bottlenecks (32 → 40² → … → 5²) whose last
block may weigh its channels (squeeze and excitation), a depthwise layer over the whole 5 × 5, two
connected layers.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

SIDE = 80
LIVE = 1
STAGES = (("conv_23", 2), ("conv_3", 1), ("conv_34", 2), ("conv_4", 1), ("conv_45", 2), ("conv_5", 1))


class WeightsError(Exception):
    """The file is not a MiniFASNet; the text says what it lacks."""


class Unit(nn.Module):
    """Convolution, batch norm, and PReLU where the weights have one."""

    def __init__(self, weights: dict[str, torch.Tensor], prefix: str, stride: int = 1, padding: int | None = None) -> None:
        super().__init__()
        kernel = weights[f"{prefix}.conv.weight"]
        made, each, side, _ = kernel.shape
        deep = each == 1 and made > 1
        self.conv = nn.Conv2d(made if deep else each, made, side, stride, side // 2 if padding is None else padding, groups=made if deep else 1, bias=False)
        self.bn = nn.BatchNorm2d(made)
        if f"{prefix}.prelu.weight" in weights:
            self.prelu = nn.PReLU(made)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        values = self.bn(self.conv(values))
        return self.prelu(values) if hasattr(self, "prelu") else values


class Excitation(nn.Module):
    """Each channel times a number between 0 and 1 that all channels' means decide."""

    def __init__(self, weights: dict[str, torch.Tensor], prefix: str) -> None:
        super().__init__()
        few, many = weights[f"{prefix}.fc1.weight"].shape[:2]
        self.fc1, self.bn1 = nn.Conv2d(many, few, 1, bias=False), nn.BatchNorm2d(few)
        self.fc2, self.bn2 = nn.Conv2d(few, many, 1, bias=False), nn.BatchNorm2d(many)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        means = values.mean((2, 3), keepdim=True)
        return values * torch.sigmoid(self.bn2(self.fc2(torch.relu(self.bn1(self.fc1(means))))))


class Bottleneck(nn.Module):
    def __init__(self, weights: dict[str, torch.Tensor], prefix: str, stride: int) -> None:
        super().__init__()
        self.conv = Unit(weights, f"{prefix}.conv")
        self.conv_dw = Unit(weights, f"{prefix}.conv_dw", stride)
        self.project = Unit(weights, f"{prefix}.project")
        self.residual = stride == 1
        if f"{prefix}.se_module.fc1.weight" in weights:
            self.se_module = Excitation(weights, f"{prefix}.se_module")

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        made = self.project(self.conv_dw(self.conv(values)))
        if hasattr(self, "se_module"):
            made = self.se_module(made)
        return values + made if self.residual else made


class Stage(nn.Module):
    def __init__(self, blocks: list[Bottleneck]) -> None:
        super().__init__()
        self.model = nn.Sequential(*blocks)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.model(values)


class MiniFASNet(nn.Module):
    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.conv1 = Unit(weights, "conv1", 2)
        self.conv2_dw = Unit(weights, "conv2_dw")
        for name, stride in STAGES:
            if stride == 2:
                setattr(self, name, Bottleneck(weights, name, 2))
            else:
                count = 1 + max(int(key.split(".")[2]) for key in weights if key.startswith(f"{name}.model."))
                setattr(self, name, Stage([Bottleneck(weights, f"{name}.model.{i}", 1) for i in range(count)]))
        self.conv_6_sep = Unit(weights, "conv_6_sep")
        self.conv_6_dw = Unit(weights, "conv_6_dw", padding=0)
        features, flat = weights["linear.weight"].shape
        self.linear = nn.Linear(flat, features, bias=False)
        self.bn = nn.BatchNorm1d(features)
        self.prob = nn.Linear(features, weights["prob.weight"].shape[0], bias=False)

    def features(self, picture: torch.Tensor) -> torch.Tensor:
        """What the last layer judges by, without training's dropout."""
        values = self.conv2_dw(self.conv1(picture))
        for name, _ in STAGES:
            values = getattr(self, name)(values)
        values = self.conv_6_dw(self.conv_6_sep(values)).flatten(1)
        return self.bn(self.linear(values))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return self.prob(self.features(picture))


def read(path: Path) -> MiniFASNet:
    """The network of a public `.pth`, ready to judge."""
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises for a wrong file changes with its version
        raise WeightsError(f"{path}: not a PyTorch file of weights: {error}") from None
    weights = {key.removeprefix("module."): value for key, value in stored.items()}
    lacking = [key for key in ("conv1.conv.weight", "conv_6_dw.conv.weight", "linear.weight", "prob.weight") if key not in weights]
    if lacking:
        raise WeightsError(f"{path}: no {', '.join(lacking)}: it is not a MiniFASNet")
    network = MiniFASNet(weights)
    network.load_state_dict(weights)
    return network.eval()
