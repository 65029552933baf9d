"""DeepID2 (Sun, Wang, Tang 2014, arXiv 1406.4773), its exact topology.

in   pictures, batch × 3 × 55 × 47, pixel/127.5 − 1
out  160 features, ≥ 0

For training, batch norm comes after the pooling and ReLU after it, which is four times less work.
Its scale is positive (the exponential of a parameter), so that it commutes with maximum pooling:
`folded` gives plain convolutions with biases, ReLU and pooling that compute the same.
Deliberately absent: anything in the folded network that the paper's table lacks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH, HEIGHT = 47, 55
FEATURES = 160
# Name, input channels, output channels, kernel side, whether 2 × 2 pooling follows.
CONVOLUTIONS = (
    ("conv1", 3, 20, 4, True),
    ("conv2", 20, 40, 3, True),
    ("conv3", 40, 60, 3, True),
    ("conv4", 60, 80, 2, False),
)
POOLED_3 = (60, 5, 4)
CONVOLVED_4 = (80, 4, 3)


class PositiveNorm(nn.BatchNorm2d):
    """Batch norm whose scale is exp(`weight`): always positive."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        nn.init.zeros_(self.weight)

    def forward(self, values: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        return functional.batch_norm(
            values, self.running_mean, self.running_var, self.weight.exp(), self.bias,
            self.training, self.momentum, self.eps,
        )  # fmt: skip

    def scale_and_offset(self) -> tuple[Tensor, Tensor]:
        """Scale and offset that it applies after training, in double precision."""
        scale = self.weight.double().exp() / torch.sqrt(self.running_var.double() + self.eps)
        return scale, self.bias.double() - self.running_mean.double() * scale


class DeepID2(nn.Module):
    """The form that is trained."""

    def __init__(self) -> None:
        super().__init__()
        for name, given, made, side, _ in CONVOLUTIONS:
            self.add_module(name, nn.Conv2d(given, made, side, bias=False))
            self.add_module(name + "_norm", PositiveNorm(made))
        self.fc11 = nn.Conv2d(POOLED_3[0], FEATURES, POOLED_3[1:], bias=False)
        self.fc12 = nn.Conv2d(CONVOLVED_4[0], FEATURES, CONVOLVED_4[1:], bias=False)
        self.norm = PositiveNorm(FEATURES)

    def forward(self, pictures: Tensor) -> Tensor:
        values, pooled_3 = pictures, None
        for name, _, _, _, pool in CONVOLUTIONS:
            values = getattr(self, name)(values)
            if pool:
                values = functional.max_pool2d(values, 2)
            values = functional.relu(getattr(self, name + "_norm")(values))
            if name == "conv3":
                pooled_3 = values
        return functional.relu(self.norm(self.fc11(pooled_3) + self.fc12(values))).flatten(1)


@dataclass(frozen=True)
class Folded:
    """Weights of the plain network: kernels output × input × height × width, biases."""

    kernels: dict[str, Tensor]
    biases: dict[str, Tensor]

    def features(self, pictures: Tensor) -> Tensor:
        """The plain network as the paper draws it: convolution, ReLU, pooling."""
        values, pooled_3 = pictures, pictures
        for name, _, _, _, pool in CONVOLUTIONS:
            values = functional.relu(functional.conv2d(values, self.kernels[name], self.biases[name]))
            if pool:
                values = functional.max_pool2d(values, 2)
            if name == "conv3":
                pooled_3 = values
        added = functional.conv2d(pooled_3, self.kernels["fc11"], self.biases["fc11"])
        added = added + functional.conv2d(values, self.kernels["fc12"], self.biases["fc12"])
        return functional.relu(added).flatten(1)


def folded(network: DeepID2) -> Folded:
    """The same function without batch norms. The last one's offset goes to fc12, fc11 keeps zeros."""
    kernels, biases = {}, {}
    with torch.no_grad():
        for name, *_ in CONVOLUTIONS:
            scale, offset = getattr(network, name + "_norm").scale_and_offset()
            kernels[name] = (getattr(network, name).weight.double() * scale[:, None, None, None]).float()
            biases[name] = offset.float()
        scale, offset = network.norm.scale_and_offset()
        for name in ("fc11", "fc12"):
            kernels[name] = (getattr(network, name).weight.double() * scale[:, None, None, None]).float()
        biases["fc11"], biases["fc12"] = torch.zeros(FEATURES), offset.float()
    return Folded(kernels, biases)


@torch.no_grad()
def start_from(network: DeepID2, plain: Folded, pictures: Tensor) -> None:
    """Makes `network` compute what `plain` does: batch norms are set to undo the statistics of `pictures`."""

    def undo(norm: PositiveNorm, values: Tensor, bias: Tensor) -> Tensor:
        variance, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(0.5 * torch.log(variance + norm.eps))
        norm.bias.copy_(mean + bias)
        return functional.relu(values + bias[:, None, None])

    values, pooled_3 = pictures, pictures
    for name, _, _, _, pool in CONVOLUTIONS:
        getattr(network, name).weight.copy_(plain.kernels[name])
        values = functional.conv2d(values, plain.kernels[name])
        if pool:
            values = functional.max_pool2d(values, 2)
        values = undo(getattr(network, name + "_norm"), values, plain.biases[name])
        if name == "conv3":
            pooled_3 = values
    network.fc11.weight.copy_(plain.kernels["fc11"])
    network.fc12.weight.copy_(plain.kernels["fc12"])
    added = functional.conv2d(pooled_3, plain.kernels["fc11"]) + functional.conv2d(values, plain.kernels["fc12"])
    undo(network.norm, added, plain.biases["fc11"] + plain.biases["fc12"])


def size(plain: Folded) -> tuple[int, int]:
    """Parameters and multiply-accumulates of one inference."""
    parameters = sum(t.numel() for t in (*plain.kernels.values(), *plain.biases.values()))
    height, width, operations = HEIGHT, WIDTH, 0
    for name, given, made, side, pool in CONVOLUTIONS:
        height, width = height - side + 1, width - side + 1
        operations += height * width * given * made * side * side
        if pool:
            height, width = height // 2, width // 2
    return parameters, operations + sum(plain.kernels[n].numel() for n in ("fc11", "fc12"))
