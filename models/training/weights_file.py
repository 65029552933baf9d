"""Plain weights of a network of topology.py, as a file that needs neither PyTorch nor TensorFlow.

in/out  .npz: `kind`; `NAME.kernel` and `NAME.bias` for conv1 … conv4, fc11, fc12, in Keras' layout:
        convolutions height × width × input × output; fully connected inputs × features, the inputs
        flattened as height × width × channels. In an ensemble each name follows its patch's, as in
        `upper.conv1.kernel`, and `fuse.kernel` is all features × fused ones. `equalise.kernel`,
        features × features, may be there in the others: what their features are multiplied by

It lies between training (PyTorch) and conversion (TensorFlow), which live in environments of their
own. Keras' own files enter here too, by the layer names that deepface gave them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from topology import KINDS

EQUALISER = "equalise.kernel"
KERAS_NAMES = {"Conv1": "conv1", "Conv2": "conv2", "Conv3": "conv3", "Conv4": "conv4", "fc11": "fc11", "fc12": "fc12"}


class WeightsError(Exception):
    """The file does not hold the network; the text says what it lacks."""


def shapes(kind: str) -> dict[str, tuple[int, ...]]:
    of = KINDS[kind]
    one: dict[str, tuple[int, ...]] = {}
    for name, given, made, side, _ in of.topology.convolutions:
        one |= {f"{name}.kernel": (side, side, given, made), f"{name}.bias": (made,)}
    for name, (channels, height, width) in of.topology.connections.items():
        one |= {f"{name}.kernel": (height * width * channels, of.topology.features), f"{name}.bias": (of.topology.features,)}
    if not of.patches:
        return one
    fuse = {"fuse.kernel": (len(of.patches) * of.topology.features, of.features)}
    return {f"{patch.name}.{name}": shape for patch in of.patches for name, shape in one.items()} | fuse


def checked(weights: dict[str, np.ndarray], kind: str, path: Path) -> dict[str, np.ndarray]:
    wanted_shapes = shapes(kind)
    if EQUALISER in weights:
        wanted_shapes[EQUALISER] = (KINDS[kind].features,) * 2
    for name, wanted in wanted_shapes.items():
        if name not in weights:
            raise WeightsError(f"{path}: '{name}' is missing; a {kind} has {', '.join(shapes(kind))}")
        if weights[name].shape != wanted:
            raise WeightsError(f"{path}: '{name}' has shape {weights[name].shape}, a {kind}'s is {wanted}")
        if not np.isfinite(weights[name]).all():
            raise WeightsError(f"{path}: '{name}' has numbers that are not finite")
    return weights


def read(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    """The kind of the network and its weights."""
    with np.load(path) as stored:
        kind = str(stored["kind"]) if "kind" in stored.files else ""
        if kind not in KINDS:
            raise WeightsError(f"{path}: kind '{kind}' is not one of {', '.join(KINDS)}")
        return kind, checked({name: stored[name] for name in stored.files if name != "kind"}, kind, path)


def write(path: Path, kind: str, weights: dict[str, np.ndarray]) -> None:
    np.savez(path, kind=np.array(kind), **checked(weights, kind, path))


def read_keras(path: Path) -> dict[str, np.ndarray]:
    """A DeepID2 from Keras' HDF5 file of weights, or of a whole model: kernels and biases below each layer's group."""
    import h5py

    weights: dict[str, np.ndarray] = {}

    def take(name: str, entry: object) -> None:
        parts = name.split("/")
        layer = next((KERAS_NAMES[p] for p in parts if p in KERAS_NAMES), None)
        kind = parts[-1].split(":")[0]
        if layer and kind in ("kernel", "bias") and isinstance(entry, h5py.Dataset):
            weights[f"{layer}.{kind}"] = np.asarray(entry, dtype=np.float32)

    try:
        with h5py.File(path, "r") as stored:
            stored.visititems(take)
    except OSError as error:
        raise WeightsError(f"{path} is not an HDF5 file ({error}); give Keras' .h5 or .weights.h5") from None
    return checked(weights, "deepid2", path)
