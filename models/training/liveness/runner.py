"""A liveness network as the daemon runs it: a `.tflite` and what its card says.

in   a picture and the box of a face in it
out  p(live), 0 … 1

Without a card (before there is one), a Judge is built from the facts themselves.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from liveness.crops import cut, square_of
from liveness.network import VIEWS


@dataclass(frozen=True)
class Facts:
    """What the card says that is needed to judge."""

    crop: float
    scale: float
    offset: float
    channels: str = "rgb"
    live: int = 0
    activation: str = "sigmoid"


def facts_of(card: Path) -> tuple[Facts, Path]:
    """Those of a card, and its file, which lies beside it."""
    document = tomllib.loads(card.read_text(encoding="utf-8"))
    part, normal = document["liveness"], document["normalisation"]
    facts = Facts(part["crop"], normal["scale"], normal["offset"], part["channels"], part["live"], part["activation"])
    return facts, card.parent / document["file"]


# Ours: RGB 0 … 255, one logit.
OURS = {name: Facts(view.crop, 1.0, 0.0) for name, view in VIEWS.items()}


class Judge:
    def __init__(self, file: Path, facts: Facts) -> None:
        self.facts = facts
        self.interpreter = Interpreter(model_path=str(file), num_threads=1)
        self.interpreter.allocate_tensors()
        self.input, self.output = self.interpreter.get_input_details()[0], self.interpreter.get_output_details()[0]
        self.side = int(self.input["shape"][1])

    def crop(self, picture: np.ndarray, box: np.ndarray) -> np.ndarray:
        return cut(picture, square_of(box, self.facts.crop, *picture.shape[:2]), self.side)

    def logits(self, crop: np.ndarray) -> np.ndarray:
        values = crop[..., ::-1] if self.facts.channels == "bgr" else crop
        values = values.astype(np.float32) * np.float32(self.facts.scale) + np.float32(self.facts.offset)
        scale, zero = self.input["quantization"]
        if self.input["dtype"] == np.int8:
            values = np.clip(np.round(values / scale) + zero, -128, 127).astype(np.int8)
        self.interpreter.set_tensor(self.input["index"], np.ascontiguousarray(values[None], self.input["dtype"]))
        self.interpreter.invoke()
        raw = self.interpreter.get_tensor(self.output["index"]).reshape(-1).astype(np.float64)
        scale, zero = self.output["quantization"]
        return (raw - zero) * scale if self.output["dtype"] == np.int8 else raw

    def live(self, crop: np.ndarray) -> float:
        """p(live) of a crop."""
        raw = self.logits(crop)
        if self.facts.activation == "softmax":
            raw = np.exp(raw - raw.max()) / np.exp(raw - raw.max()).sum()
        elif self.facts.activation == "sigmoid":
            raw = 1.0 / (1.0 + np.exp(-raw))
        return float(raw[self.facts.live])

    def __call__(self, picture: np.ndarray, box: np.ndarray) -> float:
        return self.live(self.crop(picture, box))
