"""Runs the int8 network as the daemon does.

in   a `.tflite`; crops HEIGHT × WIDTH × 3 RGB uint8, or a picture with one face
out  the probability of each region (regions.NAMES)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from covered import crops
from covered.convert_facts import OFFSET, SCALE


class Judge:
    def __init__(self, file: Path) -> None:
        self.interpreter = Interpreter(model_path=str(file), num_threads=1)
        self.interpreter.allocate_tensors()
        self.given, self.made = self.interpreter.get_input_details()[0], self.interpreter.get_output_details()[0]

    def parts(self, crop: np.ndarray) -> np.ndarray:
        """Of the crop and its mirror image together."""
        return 1.0 / (1.0 + np.exp(-(self.logits(crop) + self.logits(crop[:, ::-1])) / 2.0))

    def logits(self, crop: np.ndarray) -> np.ndarray:
        scale, zero = self.given["quantization"]
        # Ties go up, as src/inference/pixels.rs has it.
        steps = np.floor((crop.astype(np.float64) * SCALE + OFFSET) / scale + 0.501) + zero
        self.interpreter.set_tensor(self.given["index"], np.clip(steps, -128, 127).astype(np.int8)[None])
        self.interpreter.invoke()
        scale, zero = self.made["quantization"]
        return (self.interpreter.get_tensor(self.made["index"])[0].astype(np.float64) - zero) * scale

    def picture(self, picture: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
        return self.parts(crops.cut(picture, keypoints))
