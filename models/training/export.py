#!/usr/bin/env python3
"""Folds a trained network, equalises its features, and takes pictures to choose its int8 ranges by.

in   --weights averaged.pt and --cache FOLDER, with --projection checkpoint.pt where the features are to
     be weighed by what they tell of the teacher's (taught.py); or --faces NAME.wide.npy alone; --out FOLDER
     --network KIND (topology.py)
out  OUT/weights.npz (weights_file.py), OUT/representative.npz: `pictures`, the network's input, uint8
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import augment
import equalise
import faces
import numpy as np
import taught
import torch
import weights_file
from batches import features_of
from cached import Data, by_set, load
from network import DeepID, Ensemble, Folded, build, folded
from topology import KINDS, Frame

PICTURES = 500
PICTURES_MIN = 20
# Of each set, to learn what many faces have in common.
EQUALISING_FACES = 3000


def keras_layout(plain: Folded) -> dict[str, np.ndarray]:
    weights = {}
    for name, kernel in plain.kernels.items():
        turned = kernel.permute(2, 3, 1, 0).numpy()
        connected = name in plain.topology.connections
        weights[f"{name}.kernel"] = turned.reshape(-1, turned.shape[-1]) if connected else turned
        weights[f"{name}.bias"] = plain.biases[name].numpy()
    if plain.equaliser is not None:
        weights[weights_file.EQUALISER] = plain.equaliser.numpy()
    return weights


def projection_of(checkpoint: Path) -> np.ndarray:
    """What training learnt to lead from the features to the teacher's space."""
    signals = torch.load(checkpoint, map_location="cpu", weights_only=True)["signals"]
    if "projection.weight" not in signals:
        raise SystemExit(f"export: {checkpoint}: trained without a teacher, so that there is no projection; leave --projection out")
    return signals["projection.weight"].numpy()


def comparing(network: DeepID | Ensemble, data: Data, of: Frame, projection: np.ndarray | None) -> np.ndarray:
    """The matrices of taught.py, where there is a projection, and equalise.py for the features of this
    network, from faces that it was trained on."""
    sets = by_set(data.train, data.starts)
    some = [places[np.linspace(0, len(places) - 1, min(EQUALISING_FACES, len(places))).astype(int)] for places in sets]
    first = np.eye(network.topology.features, dtype=np.float32) if projection is None else taught.matrix(projection)
    return first @ equalise.learn([features_of(network, data, places, of) @ first for places in some]).matrix


def plain_weights(network: DeepID | Ensemble, matrix: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """What weights_file.py writes of a trained network; an ensemble's projection takes the equaliser in."""
    equalising = None if matrix is None else torch.from_numpy(matrix)
    if not isinstance(network, Ensemble):
        return keras_layout(replace(folded(network), equaliser=equalising))
    fuse = network.fuse.weight.detach().T
    weights = {"fuse.kernel": (fuse if equalising is None else fuse @ equalising).numpy()}
    for name, part in network.networks.items():
        weights |= {f"{name}.{key}": value for key, value in keras_layout(folded(part)).items()}
    return weights


def representative(crops: list[np.ndarray], rng: np.random.Generator, of: Frame) -> np.ndarray:
    """Half as the door aligns them, half as training saw them: ranges must hold in bad light too."""
    return np.stack([augment.augmented(c, rng, of) if i % 2 else faces.frame(c, of) for i, c in enumerate(crops)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--projection", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--network", choices=tuple(KINDS), default="deepid2")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if (options.weights is None) != (options.cache is None) or (options.faces is None) == (options.weights is None):
        parser.error("give --weights with --cache, or --faces alone")
    rng = np.random.default_rng(55)
    if options.faces:
        listing = json.loads(options.faces.with_name(options.faces.name.replace(".wide.npy", ".json")).read_text(encoding="utf-8"))
        every = np.load(options.faces, mmap_mode="r")[: len(listing["faces"])]
        crops = [np.asarray(every[i]) for i in range(min(PICTURES, len(every)))]
    else:
        network = build(options.network)
        network.load_state_dict(torch.load(options.weights, map_location="cpu", weights_only=True))
        data = load(options.cache, [], in_memory=False)
        projection = projection_of(options.projection) if options.projection else None
        matrix = comparing(network.eval(), data, KINDS[options.network].frame, projection)
        weights_file.write(options.out / "weights.npz", options.network, plain_weights(network, matrix))
        chosen = rng.choice(data.train, min(PICTURES, len(data.train)), replace=False)
        crops = [np.asarray(data.crop(int(i))) for i in sorted(chosen)]
    if len(crops) < PICTURES_MIN:
        print(f"export: {len(crops)} faces are too few to choose int8 ranges by; give at least {PICTURES_MIN}", file=sys.stderr)
        return 1
    np.savez(options.out / "representative.npz", pictures=representative(crops, rng, KINDS[options.network].frame))
    print(f"export: {len(crops)} pictures for the ranges in {options.out / 'representative.npz'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
