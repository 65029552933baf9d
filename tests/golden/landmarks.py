"""Keypoints by a landmark network in Python, as the card of the network says.

in   the card; a crop of the network's own size, side × side × 3 RGB uint8, in which the detector's
     keypoints lie on `template`
out  right eye, left eye, nose tip, mouth centre in the crop's pixels, and the presence, 0 to 1

Deliberately absent: how the crop is cut; the caller has a frame, or a wide crop.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

POINTS = ("right_eye", "left_eye", "nose_tip", "mouth_centre")


class Landmarker:
    def __init__(self, card: Path, folder: Path) -> None:
        """`folder` has the file that `card` names."""
        facts = tomllib.loads(card.read_text(encoding="utf-8"))
        if facts["kind"] != "landmarker":
            raise ValueError(f"{card}: kind is '{facts['kind']}'; a landmarker's card is needed")
        self.id, self.side = facts["id"], facts["input"]["shape"][1]
        self.template = np.array([facts["alignment"][name] for name in POINTS])
        self.head, self.normalisation = facts["landmarks"], facts["normalisation"]
        self.interpreter = Interpreter(model_path=str(folder / facts["file"]), num_threads=1)
        self.interpreter.allocate_tensors()
        self.given = self.interpreter.get_input_details()[0]["index"]
        found = [detail["index"] for detail in self.interpreter.get_output_details()]
        roles = [output["role"] for output in facts["output"]]
        self.landmarks, self.presence = found[roles.index("landmarks")], found[roles.index("presence")]

    def keypoints(self, crop: np.ndarray) -> tuple[np.ndarray, float]:
        values = crop.astype(np.float32) * np.float32(self.normalisation["scale"]) + np.float32(self.normalisation["offset"])
        self.interpreter.set_tensor(self.given, values[None])
        self.interpreter.invoke()
        places = self.interpreter.get_tensor(self.landmarks).reshape(-1, self.head["values"])[:, :2]
        logit = float(self.interpreter.get_tensor(self.presence).ravel()[0])
        points = np.stack([places[self.head[name]].mean(0) for name in POINTS])
        return points.astype(float), float(1.0 / (1.0 + np.exp(-logit)))
