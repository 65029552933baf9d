#!/usr/bin/env python3
"""The trained network as kernels and biases with the batch norms folded in, for convert.py.

in   --weights trained.pt, --cache FOLDER of prepare.py
out  OUT/plain.npz (kernels, biases, and one picture with the logits that PyTorch gives),
     OUT/representative.npz: `pictures`, the network's input, uint8
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from covered.drawn import Drawn
from covered.network import LAYERS, Covered, folded

PICTURES = 500


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("weights", "cache", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    network = Covered()
    network.load_state_dict(torch.load(options.weights, map_location="cpu", weights_only=True))
    network.eval()
    data = Drawn(options.cache / "validation")
    chosen = np.sort(np.random.default_rng(80).choice(count := data.refresh(), min(PICTURES, count), replace=False))
    pictures = data.plain(chosen)
    with torch.inference_mode():
        logits = network(torch.from_numpy(pictures[:1]).permute(0, 3, 1, 2).float()).numpy()
    options.out.mkdir(parents=True, exist_ok=True)
    np.savez(options.out / "representative.npz", pictures=pictures)
    constants = {name: value.numpy() for name, value in folded(network).items()}
    np.savez(options.out / "plain.npz", strides=json.dumps([stride for _, stride, _ in LAYERS]), check_input=pictures[:1], check_output=logits, **constants)
    return 0


if __name__ == "__main__":
    sys.exit(main())
