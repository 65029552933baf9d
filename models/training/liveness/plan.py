"""The liveness network as a table, without PyTorch or TensorFlow, and its weights as a file.

in/out  .npz: `NAME.kernel` (height × width × input × output; depthwise: height × width × channels × 1)
        and `NAME.bias` for each layer of LAYERS in turn; `prob.kernel` (features × 1), `prob.bias`

Input: RGB, SIDE × SIDE, pixel/127.5 − 1, the square around the face at 4 sides of its box. Whole
convolutions first, which see the texture (stripes, dots, edges); depthwise ones later, whose last is
as large as the map, so that each place of the view counts by itself. Output: one logit, > 0 is live.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SIDE = 128
CROP = 4.0


class WeightsError(Exception):
    """The file does not hold the network; the text says what it lacks."""


@dataclass(frozen=True)
class Layer:
    """One convolution: `given` → `made` channels; `deep` is depthwise; `out` is the side of what it makes."""

    name: str
    given: int
    made: int
    side: int
    stride: int
    out: int
    deep: bool = False
    relu: bool = True
    # The layer whose input is added to what this one makes.
    adds: str | None = None
    padded: bool = True

    @property
    def kernel(self) -> tuple[int, int, int, int]:
        return (self.side, self.side, self.made, 1) if self.deep else (self.side, self.side, self.given, self.made)

    @property
    def multiplications(self) -> int:
        return int(np.prod(self.kernel)) * self.out * self.out


def fused(name: str, given: int, wide: int, made: int, out: int) -> list[Layer]:
    """A strided 3 × 3 convolution to many channels, then few."""
    return [Layer(f"{name}.wide", given, wide, 3, 2, out), Layer(f"{name}.narrow", wide, made, 1, 1, out, relu=False)]


def bottleneck(name: str, given: int, wide: int, made: int, out: int, stride: int = 1) -> list[Layer]:
    """Few channels to many, a depthwise 3 × 3, then few; what came in is added where it fits."""
    first = f"{name}.wide"
    return [
        Layer(first, given, wide, 1, 1, out * stride),
        Layer(f"{name}.deep", wide, wide, 3, stride, out, deep=True),
        Layer(f"{name}.narrow", wide, made, 1, 1, out, relu=False, adds=first if stride == 1 and given == made else None),
    ]


LAYERS: tuple[Layer, ...] = (
    Layer("stem", 3, 16, 3, 2, 64),
    *fused("a", 16, 48, 24, 32),
    *fused("b", 24, 64, 40, 16),
    *bottleneck("c1", 40, 144, 40, 16),
    *bottleneck("c2", 40, 144, 40, 16),
    *bottleneck("d0", 40, 160, 64, 8, stride=2),
    *bottleneck("d1", 64, 224, 64, 8),
    *bottleneck("d2", 64, 224, 64, 8),
    *bottleneck("d3", 64, 224, 64, 8),
    Layer("head", 64, 192, 1, 1, 8),
    Layer("whole", 192, 192, 8, 1, 1, deep=True, padded=False),
)
FEATURES = LAYERS[-1].made


def multiplications() -> int:
    return sum(layer.multiplications for layer in LAYERS) + FEATURES


def parameters() -> int:
    return sum(int(np.prod(layer.kernel)) + layer.made for layer in LAYERS) + FEATURES + 1


def shapes() -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for layer in LAYERS:
        found |= {f"{layer.name}.kernel": layer.kernel, f"{layer.name}.bias": (layer.made,)}
    return found | {"prob.kernel": (FEATURES, 1), "prob.bias": (1,)}


def checked(weights: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    for name, wanted in shapes().items():
        if name not in weights:
            raise WeightsError(f"{path}: '{name}' is missing")
        if weights[name].shape != wanted:
            raise WeightsError(f"{path}: '{name}' has shape {weights[name].shape}, and {wanted} is right")
        if not np.isfinite(weights[name]).all():
            raise WeightsError(f"{path}: '{name}' has numbers that are not finite")
    return weights


def read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as stored:
        return checked({name: stored[name] for name in stored.files}, path)


def write(path: Path, weights: dict[str, np.ndarray]) -> None:
    np.savez(path, **checked(weights, path))
