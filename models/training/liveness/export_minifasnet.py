#!/usr/bin/env python3
"""A MiniFASNet's `.pth` as a list of plain layers, which needs no PyTorch: the way to TensorFlow.

in   FILE.pth (minifasnet.py)
out  --out FILE.npz: `plan`, JSON: operations in turn over named values; their constants by name; `check_input`
     and `check_output`, one picture and what PyTorch makes of it

Operations: ["conv", from, to, constant, stride, padding, deep], ["prelu", from, to, constant],
["sigmoid" | "relu" | "mean", from, to], ["multiply" | "add", from, other, to], ["dense", from, to, constant].
Batch norms are taken into the convolutions. The three logits stay logits: the card says softmax.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from liveness import minifasnet
from torch import nn


class Writer:
    def __init__(self) -> None:
        self.steps: list[list] = []
        self.constants: dict[str, np.ndarray] = {}
        self.count = 0

    def new(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def conv(self, value: str, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> str:
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        kernel = (conv.weight.double() * scale[:, None, None, None]).detach().numpy()
        deep = conv.groups > 1
        made = self.new()
        self.constants[f"{made}.kernel"] = kernel.transpose(2, 3, 0, 1) if deep else kernel.transpose(2, 3, 1, 0)
        self.constants[f"{made}.bias"] = (norm.bias.double() - norm.running_mean.double() * scale).detach().numpy()
        self.steps.append(["conv", value, made, made, conv.stride[0], conv.padding[0], deep])
        return made

    def unit(self, value: str, unit: minifasnet.Unit) -> str:
        value = self.conv(value, unit.conv, unit.bn)
        if hasattr(unit, "prelu"):
            made = self.new()
            self.constants[made] = unit.prelu.weight.detach().numpy()
            self.steps.append(["prelu", value, made, made])
            value = made
        return value

    def simple(self, name: str, *values: str) -> str:
        made = self.new()
        self.steps.append([name, *values, made])
        return made

    def block(self, value: str, block: minifasnet.Bottleneck) -> str:
        made = self.unit(self.unit(self.unit(value, block.conv), block.conv_dw), block.project)
        if hasattr(block, "se_module"):
            part = block.se_module
            weight = self.simple("relu", self.conv(self.simple("mean", made), part.fc1, part.bn1))
            made = self.simple("multiply", made, self.simple("sigmoid", self.conv(weight, part.fc2, part.bn2)))
        return self.simple("add", value, made) if block.residual else made


def trunk(writer: Writer, network: minifasnet.MiniFASNet) -> str:
    """Everything before the connected layers; the value that they are given."""
    value = writer.unit(writer.unit("picture", network.conv1), network.conv2_dw)
    for name, stride in minifasnet.STAGES:
        part = getattr(network, name)
        for block in [part] if stride == 2 else part.model:
            value = writer.block(value, block)
    return writer.unit(writer.unit(value, network.conv_6_sep), network.conv_6_dw)


def written(network: minifasnet.MiniFASNet) -> Writer:
    writer = Writer()
    value = trunk(writer, network)
    norm = network.bn
    assert norm.running_var is not None and norm.running_mean is not None
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).double()
    kernel = network.prob.weight.double() @ (scale[:, None] * network.linear.weight.double())
    bias = network.prob.weight.double() @ (norm.bias.double() - norm.running_mean.double() * scale)
    writer.constants |= {"prob.kernel": kernel.detach().numpy().T, "prob.bias": bias.detach().numpy()}
    writer.steps.append(["dense", value, "logits", "prob"])
    return writer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        network = minifasnet.read(options.file)
    except (minifasnet.WeightsError, OSError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 1
    writer = written(network)
    picture = np.random.default_rng(80).uniform(0, 255, (1, minifasnet.SIDE, minifasnet.SIDE, 3)).astype(np.float32)
    with torch.inference_mode():
        logits = network(torch.from_numpy(picture.transpose(0, 3, 1, 2).copy())).numpy()
    constants = {name: value.astype(np.float32) for name, value in writer.constants.items()}
    np.savez(options.out, plan=json.dumps(writer.steps), check_input=picture, check_output=logits, **constants)
    return 0


if __name__ == "__main__":
    sys.exit(main())
