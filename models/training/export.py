#!/usr/bin/env python3
"""Folds a trained network, and takes the pictures by which its int8 ranges are chosen.

in   --weights averaged.pt, --cache FOLDER, --out FOLDER
out  OUT/weights.npz (weights_file.py), OUT/representative.npz: `pictures`, 55 × 47 × 3 uint8 each
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import augment
import faces
import numpy as np
import torch
import weights_file
from network import CONVOLUTIONS, DeepID2, Folded, folded
from train import load

PICTURES = 500


def keras_layout(plain: Folded) -> dict[str, np.ndarray]:
    weights = {}
    for name, kernel in plain.kernels.items():
        turned = kernel.permute(2, 3, 1, 0).numpy()
        is_convolution = name in {c[0] for c in CONVOLUTIONS}
        weights[f"{name}.kernel"] = turned if is_convolution else turned.reshape(-1, turned.shape[-1])
        weights[f"{name}.bias"] = plain.biases[name].numpy()
    return weights


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    network = DeepID2()
    network.load_state_dict(torch.load(options.weights, map_location="cpu", weights_only=True))
    weights_file.write(options.out / "weights.npz", keras_layout(folded(network.eval())))
    data = load(options.cache, [], in_memory=False)
    rng = np.random.default_rng(55)
    chosen = rng.choice(data.train, min(PICTURES, len(data.train)), replace=False)
    # Half as the door aligns them, half as training saw them: ranges must hold in bad light too.
    pictures = [
        faces.frame(data.crop(int(i))) if place % 2 else augment.augmented(data.crop(int(i)), rng)
        for place, i in enumerate(sorted(chosen))
    ]
    np.savez(options.out / "representative.npz", pictures=np.stack(pictures))
    print(f"export: wrote {options.out / 'weights.npz'} and {len(pictures)} pictures for the ranges")
    return 0


if __name__ == "__main__":
    sys.exit(main())
