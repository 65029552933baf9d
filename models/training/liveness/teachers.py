"""The networks of others that ours learns from, and beside which it is measured.

in   frames and boxes; DATA with their checkouts (data.toml)
out  what each says of each frame: probability of a live face

Each sees the crop that it was trained on, in BGR 0 … 255 (MiniFASNet) or RGB 0 … 1 (CelebA-Spoof's).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from dataset import file_of
from liveness import minifasnet
from liveness.crops import cut, square_of

# Name in data.toml → crop in longer sides of the box, side of the input.
INPUTS = {"minifasnet-v2": (2.7, 80), "minifasnet-v1se": (4.0, 80), "celeba-spoof-network": (1.5, 128)}
NAMES = tuple(INPUTS)


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def crops_of(frame: np.ndarray, box: np.ndarray) -> list[np.ndarray]:
    """What the teachers see of a frame, in the order of NAMES."""
    return [cut(frame, square_of(box, crop, *frame.shape[:2]), side) for crop, side in INPUTS.values()]


class Teachers:
    def __init__(self, data: Path, batch: int = 32) -> None:
        self.batch = batch
        self.ask_each: list[Callable[[np.ndarray], np.ndarray]] = [self._torch(minifasnet.read(file_of(name, data))) for name in NAMES[:2]]
        self.ask_each.append(self._onnx(file_of(NAMES[2], data)))

    @staticmethod
    def _torch(network: torch.nn.Module) -> Callable[[np.ndarray], np.ndarray]:
        def ask(pictures: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                bgr = torch.from_numpy(np.ascontiguousarray(pictures[..., ::-1].transpose(0, 3, 1, 2))).float()
                return softmax(network(bgr).numpy())[:, minifasnet.LIVE]

        return ask

    @staticmethod
    def _onnx(path: Path) -> Callable[[np.ndarray], np.ndarray]:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name

        def ask(pictures: np.ndarray) -> np.ndarray:
            values = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)).astype(np.float32) / 255.0
            return softmax(session.run(None, {name: values})[0])[:, 0]

        return ask

    def ask(self, crops: list[list[np.ndarray]]) -> np.ndarray:
        """frames × teachers, float32: probability of a live face; `crops` as `crops_of` makes them."""
        answers = []
        for number, ask in enumerate(self.ask_each):
            parts = [np.stack([c[number] for c in crops[i : i + self.batch]]) for i in range(0, len(crops), self.batch)]
            answers.append(np.concatenate([ask(part) for part in parts]) if parts else np.zeros(0))
        return np.stack(answers, axis=1).astype(np.float32)
