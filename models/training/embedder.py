"""Runs an embedder's `.tflite` on aligned faces, as the daemon does.

in   wide crops (faces.py), or one crop of the network's own size; the model file; how a pixel
     becomes a number
out  features, faces × the network's length, float32: of the crop, and averaged with its mirror image

Pixels become int8 as `src/embed/mod.rs` makes them: ties go up, so that neighbours stay distinct.
"""

from __future__ import annotations

import sys
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import faces
import numpy as np
import scores
from ai_edge_litert.interpreter import Interpreter

# How a pixel becomes what a network was trained on: scale, offset (convert.py has the same).
SIGNED = (0.00784313725490196, -1.0)
NORMALISATIONS = {"signed": SIGNED, "unit": (1.0 / 255.0, 0.0)}


@dataclass(frozen=True)
class Facts:
    """What a card says of a tensor."""

    name: str
    shape: list[int]
    element_type: str
    scale: float
    zero_point: int


def facts(detail: dict) -> Facts:
    scale, zero = detail["quantization"]
    return Facts(detail["name"], [int(n) for n in detail["shape"]], np.dtype(detail["dtype"]).name, float(scale), int(zero))


class Embedder:
    def __init__(self, path: Path, normalisation: tuple[float, float] = SIGNED, keypoints_by: str | None = None) -> None:
        """`keypoints_by` names the card of a landmark network; without it the detector's keypoints count."""
        self.landmarker = faces.landmarker(keypoints_by) if keypoints_by else None
        self.interpreter = Interpreter(model_path=str(path), num_threads=1)
        self.interpreter.allocate_tensors()
        given, made = self.interpreter.get_input_details()[0], self.interpreter.get_output_details()[0]
        self.given, self.made = given["index"], made["index"]
        self.input, self.output = facts(given), facts(made)
        real = np.arange(256) * normalisation[0] + normalisation[1]
        if self.input.element_type == "int8":
            steps = np.floor(real / self.input.scale + 0.501) + self.input.zero_point
            self.values = np.clip(steps, -128, 127).astype(np.int8)
        else:
            self.values = real.astype(np.float32)

    def features(self, frame: np.ndarray) -> np.ndarray:
        self.interpreter.set_tensor(self.given, self.values[frame][None])
        self.interpreter.invoke()
        raw = self.interpreter.get_tensor(self.made)[0].astype(np.float32)
        return (raw - self.output.zero_point) * np.float32(self.output.scale) if self.output.scale else raw

    def crop(self, wide: np.ndarray) -> np.ndarray:
        """What the network sees. A face that the landmark network denies, which the daemon refuses,
        is cut by the detector's keypoints here, so that every face has features."""
        height, width = self.input.shape[1:3]
        finer = faces.finer_crop_of(wide, height, width, self.landmarker) if self.landmarker else None
        return faces.crop_of(wide, height, width) if finer is None else finer

    def both(self, wides: Iterable[np.ndarray], what: str) -> tuple[np.ndarray, np.ndarray]:
        """Features of the face in every wide crop, and the mean of each with its mirror image's."""
        plain, averaged, started = [], [], time.monotonic()
        for number, wide in enumerate(wides, start=1):
            frame = self.crop(wide)
            plain.append(self.features(frame))
            averaged.append((plain[-1] + self.features(frame[:, ::-1])) / 2.0)
            if number % 5000 == 0:
                print(f"{what}: {number} faces embedded, {number / (time.monotonic() - started):.0f}/s", file=sys.stderr, flush=True)
        return np.stack(plain), np.stack(averaged)


@dataclass
class Carded:
    """An embedder by its card."""

    id: str
    sha256: str
    model: Embedder
    mean: np.ndarray

    def averaged(self, wides: Iterable[np.ndarray]) -> np.ndarray:
        """Features averaged with the mirror image's, which is the daemon's default."""
        return self.model.both(wides, self.id)[1]

    def vectors(self, wides: Iterable[np.ndarray]) -> np.ndarray:
        """What the daemon compares by cosine: averaged, centred, of unit length."""
        return scores.prepared(self.averaged(wides), "cosine", self.mean)


def carded(path: Path) -> Carded:
    card = tomllib.loads(path.read_text(encoding="utf-8"))
    normalisation = (card["normalisation"]["scale"], card["normalisation"]["offset"])
    length = card["features"]["length"]
    mean = np.array(card["features"].get("mean", np.zeros(length)), dtype=np.float32)
    return Carded(card["id"], card["sha256"], Embedder(path.with_name(card["file"]), normalisation, card.get("keypoints_by")), mean)
