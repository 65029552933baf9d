#!/usr/bin/env python3
"""The trained network as a list of plain layers (export_minifasnet.py), with one logit for RGB pictures.

in   --view around | close, --weights trained.pt, --data FOLDER, --cache FOLDER of prepare.py, --shares
out  OUT/plain.npz, OUT/representative.npz: `pictures`, the network's input, uint8
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from liveness.drawn import Drawn, shrunk
from liveness.export_minifasnet import Writer, trunk
from liveness.network import SIDE, VIEWS, Liveness, trained
from liveness.teachers import NAMES as TEACHERS

PICTURES = 500


def written(network: Liveness, shares: np.ndarray) -> Writer:
    writer = Writer()
    value = trunk(writer, network.network)
    # For RGB: the first kernel's input channels the other way around.
    first = f"{writer.steps[0][3]}.kernel"
    writer.constants[first] = writer.constants[first][:, :, ::-1]
    norm = network.network.bn
    assert norm.running_var is not None and norm.running_mean is not None
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).double()
    heads = torch.cat([network.label.weight, network.teach.weight]).double()
    biases = torch.cat([network.label.bias, network.teach.bias]).double()
    mixed = torch.from_numpy(shares).double()
    kernel = (mixed @ heads) @ (scale[:, None] * network.network.linear.weight.double())
    bias = mixed @ (biases + heads @ (norm.bias.double() - norm.running_mean.double() * scale))
    writer.constants |= {"prob.kernel": kernel.detach().numpy()[:, None], "prob.bias": np.array([float(bias.detach())])}
    writer.steps.append(["dense", value, "logits", "prob"])
    return writer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--view", choices=tuple(VIEWS), default="around")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--shares", type=float, nargs=1 + len(TEACHERS), help="in place of the view's")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    view = VIEWS[options.view]
    network = trained(options.weights, view, options.data)
    shares = np.array(options.shares or view.shares)
    writer = written(network, shares)
    data = Drawn(options.cache / "validation", view.key)
    chosen = np.sort(np.random.default_rng(80).choice(count := data.refresh(), min(PICTURES, count), replace=False))
    pictures = shrunk(data.pictures(chosen), SIDE)
    options.out.mkdir(parents=True, exist_ok=True)
    np.savez(options.out / "representative.npz", pictures=pictures)
    picture = pictures[:1].astype(np.float32)
    with torch.inference_mode():
        label, teach = network(torch.from_numpy(picture[..., ::-1].transpose(0, 3, 1, 2).copy()))
        logit = shares[0] * label.numpy() + teach.numpy() @ shares[1:]
    constants = {name: value.astype(np.float32) for name, value in writer.constants.items()}
    np.savez(options.out / "plain.npz", plan=json.dumps(writer.steps), check_input=picture, check_output=logit[:, None], **constants)
    return 0


if __name__ == "__main__":
    sys.exit(main())
