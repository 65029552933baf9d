"""The networks of topology.py in PyTorch: the form that is trained, and its folding to a plain one.

in   pictures, batch × 3 × height × width of the kind's frame, pixel/127.5 − 1
out  features, batch × the kind's length; ≥ 0 but for an ensemble's, which are a projection

For training, batch norm comes after the pooling and ReLU after it, which is four times less work.
Its scale is positive (the exponential of a parameter), so that it commutes with maximum pooling:
`folded` gives plain convolutions with biases, ReLU and pooling that compute the same.
Deliberately absent: anything in the folded network that the papers' tables lack.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from topology import DEEPID2, GREY, KINDS, Patch, Topology
from torch import Tensor, nn
from torch.nn import functional

# Heads of the lower levels see their maps averaged to this size: only training needs them.
LEVEL = (5, 4)


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


def seen(pictures: Tensor, topology: Topology) -> Tensor:
    """What the first convolution is given: colours, or grey."""
    if topology.channels == 3:
        return pictures
    weights = torch.tensor(GREY, dtype=pictures.dtype, device=pictures.device)
    return (pictures * weights[None, :, None, None]).sum(1, keepdim=True)


class DeepID(nn.Module):
    """One network in the form that is trained."""

    def __init__(self, topology: Topology = DEEPID2, supervised_levels: bool = False) -> None:
        super().__init__()
        self.topology = topology
        for name, given, made, side, _ in topology.convolutions:
            self.add_module(name, nn.Conv2d(given, made, side, bias=False))
            self.add_module(name + "_norm", PositiveNorm(made))
        for name, (channels, height, width) in topology.connections.items():
            self.add_module(name, nn.Conv2d(channels, topology.features, (height, width), bias=False))
        self.norm = PositiveNorm(topology.features)
        levels = topology.maps[:3] if supervised_levels else ()
        self.heads = nn.ModuleList(nn.Linear(maps * LEVEL[0] * LEVEL[1], topology.features) for maps in levels)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.levels(pictures)[0]

    def levels(self, pictures: Tensor) -> list[Tensor]:
        """The features, and those of the heads."""
        values, pooled_3, heads = seen(pictures, self.topology), None, []
        for number, (name, _, _, _, pool) in enumerate(self.topology.convolutions):
            values = getattr(self, name)(values)
            if pool:
                values = functional.max_pool2d(values, 2)
            values = functional.relu(getattr(self, name + "_norm")(values))
            if name == "conv3":
                pooled_3 = values
            if self.training and number < len(self.heads):
                heads.append(self.heads[number](functional.adaptive_avg_pool2d(values, LEVEL).flatten(1)))
        return [functional.relu(self.norm(self.fc11(pooled_3) + self.fc12(values))).flatten(1), *heads]


def part(pictures: Tensor, patch: Patch, topology: Topology) -> Tensor:
    cut = pictures[:, :, patch.top : patch.top + patch.height, patch.left : patch.left + patch.width]
    return functional.interpolate(cut, (topology.height, topology.width), mode="bilinear", align_corners=False)


class Ensemble(nn.Module):
    """Networks of one topology on parts of a frame, and a linear projection of all their features."""

    def __init__(self, topology: Topology, patches: tuple[Patch, ...]) -> None:
        super().__init__()
        self.topology, self.patches = topology, patches
        self.networks = nn.ModuleDict({patch.name: DeepID(topology) for patch in patches})
        self.fuse = nn.Linear(len(patches) * topology.features, topology.features, bias=False)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.levels(pictures)[0]

    def levels(self, pictures: Tensor) -> list[Tensor]:
        """The fused features, and those of each network."""
        each = [self.networks[p.name](part(pictures, p, self.topology)) for p in self.patches]
        return [self.fuse(torch.cat(each, dim=1)), *each]


def build(kind: str) -> DeepID | Ensemble:
    of = KINDS[kind]
    return Ensemble(of.topology, of.patches) if of.patches else DeepID(of.topology, of.supervised_levels)


@dataclass(frozen=True)
class Folded:
    """Weights of the plain network: kernels output × input × height × width, biases.

    `equaliser` (equalise.py; features × features) multiplies the paper's features, where there is one.
    """

    topology: Topology
    kernels: dict[str, Tensor]
    biases: dict[str, Tensor]
    equaliser: Tensor | None = None

    def features(self, pictures: Tensor) -> Tensor:
        """The plain network as the paper draws it, convolution, ReLU, pooling, and the equaliser."""
        values = pooled_3 = seen(pictures, self.topology)
        for name, _, _, _, pool in self.topology.convolutions:
            values = functional.relu(functional.conv2d(values, self.kernels[name], self.biases[name]))
            if pool:
                values = functional.max_pool2d(values, 2)
            if name == "conv3":
                pooled_3 = values
        added = functional.conv2d(pooled_3, self.kernels["fc11"], self.biases["fc11"])
        added = added + functional.conv2d(values, self.kernels["fc12"], self.biases["fc12"])
        features = functional.relu(added).flatten(1)
        return features if self.equaliser is None else features @ self.equaliser


def folded(network: DeepID) -> Folded:
    """The same function without batch norms. The last one's offset goes to fc12, fc11 keeps zeros."""
    kernels, biases = {}, {}
    with torch.no_grad():
        for name, *_ in network.topology.convolutions:
            scale, offset = getattr(network, name + "_norm").scale_and_offset()
            kernels[name] = (getattr(network, name).weight.double() * scale[:, None, None, None]).float()
            biases[name] = offset.float()
        scale, offset = network.norm.scale_and_offset()
        for name in network.topology.connections:
            kernels[name] = (getattr(network, name).weight.double() * scale[:, None, None, None]).float()
        biases["fc11"], biases["fc12"] = torch.zeros(network.topology.features), offset.float()
    return Folded(network.topology, kernels, biases)


# What a new feature of a widened network weighs beside those that know something already.
NEW_FEATURE = 0.1


@torch.no_grad()
def widen(network: DeepID, narrow: DeepID) -> None:
    """The first maps and features of `network` compute what those of `narrow` do; its others stay drawn by chance.

    The known maps do not see the new ones yet, so that what `narrow` has learnt is kept until training changes it.
    """
    names = [name for name, *_ in network.topology.convolutions]
    for name in (*names, *network.topology.connections):
        weight, known = getattr(network, name).weight, getattr(narrow, name).weight
        made, given = known.shape[:2]
        if known.shape[2:] != weight.shape[2:] or made > weight.shape[0] or given > weight.shape[1]:
            raise ValueError(f"{name}: {tuple(known.shape)} does not fit into {tuple(weight.shape)}")
        weight[:made, given:] = 0.0
        weight[:made, :given] = known
    for name in (*(f"{name}_norm" for name in names), "norm"):
        norm, known_norm = getattr(network, name), getattr(narrow, name)
        for what in ("weight", "bias", "running_mean", "running_var"):
            of = getattr(known_norm, what)
            getattr(norm, what)[: len(of)] = of
    network.norm.weight[len(narrow.norm.weight) :] = torch.log(torch.tensor(NEW_FEATURE)) + narrow.norm.weight.mean()


@torch.no_grad()
def start_from(network: DeepID | Ensemble, plain: Folded, pictures: Tensor) -> None:
    """Makes every network compute what `plain` does before its equaliser, a wider one with its first features.

    Batch norms are set to undo the statistics of `pictures`.
    """
    if isinstance(network, Ensemble):
        for patch in network.patches:
            start_from(network.networks[patch.name], plain, part(pictures, patch, network.topology))
        return
    if network.topology != plain.topology:
        narrow = DeepID(plain.topology)
        start_from(narrow, plain, pictures)
        widen(network, narrow)
        return

    def undo(norm: PositiveNorm, values: Tensor, bias: Tensor) -> Tensor:
        variance, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(0.5 * torch.log(variance + norm.eps))
        norm.bias.copy_(mean + bias)
        return functional.relu(values + bias[:, None, None])

    values = pooled_3 = seen(pictures, network.topology)
    for name, _, _, _, pool in network.topology.convolutions:
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
