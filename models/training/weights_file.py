"""DeepID2's plain weights as a file that needs neither PyTorch nor TensorFlow to be read.

in/out  .npz: `NAME.kernel` and `NAME.bias` for conv1 … conv4, fc11, fc12, in Keras' layout:
        convolutions height × width × input × output; fully connected inputs × 160, the inputs
        flattened as height × width × channels

It lies between training (PyTorch) and conversion (TensorFlow), which live in environments of their
own. Keras' own files enter here too, by the layer names that deepface gave them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

SHAPES = {
    "conv1": (4, 4, 3, 20),
    "conv2": (3, 3, 20, 40),
    "conv3": (3, 3, 40, 60),
    "conv4": (2, 2, 60, 80),
    "fc11": (5 * 4 * 60, 160),
    "fc12": (4 * 3 * 80, 160),
}
KERAS_NAMES = {"Conv1": "conv1", "Conv2": "conv2", "Conv3": "conv3", "Conv4": "conv4", "fc11": "fc11", "fc12": "fc12"}


class WeightsError(Exception):
    """The file does not hold a DeepID2; the text says what it lacks."""


def checked(weights: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    for name, shape in SHAPES.items():
        for part, wanted in ((f"{name}.kernel", shape), (f"{name}.bias", shape[-1:])):
            if part not in weights:
                raise WeightsError(f"{path}: '{part}' is missing; a DeepID2 has {', '.join(SHAPES)}")
            if weights[part].shape != wanted:
                raise WeightsError(f"{path}: '{part}' has shape {weights[part].shape}, a DeepID2's is {wanted}")
            if not np.isfinite(weights[part]).all():
                raise WeightsError(f"{path}: '{part}' has numbers that are not finite")
    return weights


def read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as stored:
        return checked({name: stored[name] for name in stored.files}, path)


def write(path: Path, weights: dict[str, np.ndarray]) -> None:
    np.savez(path, **checked(weights, path))


def read_keras(path: Path) -> dict[str, np.ndarray]:
    """From Keras' HDF5 file of weights, or of a whole model: kernels and biases below each layer's group."""
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
    return checked(weights, path)
