"""The teachers: larger networks whose feature vectors DeepID2 learns to imitate.

in   112 × 112 RGB crop, uint8 (faces.teacher_crop); the teachers' files (data.toml)
out  feature vector of unit length

Deliberately absent: fine-tuning them. They are used while training, never shipped.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from dataset import file_of

# Name in the data list → mean and scale of its input, value = (pixel/255 − mean) / deviation.
TEACHERS = {
    "mobilefacenet": (np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])),
}


class Teacher:
    def __init__(self, name: str, data: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.mean, self.deviation = TEACHERS[name]
        self.session = onnxruntime.InferenceSession(str(file_of(name, data)), options)
        self.input = self.session.get_inputs()[0].name

    def raw(self, crop: np.ndarray) -> np.ndarray:
        values = ((crop / 255.0 - self.mean) / self.deviation).astype(np.float32)
        return self.session.run(None, {self.input: np.ascontiguousarray(values.transpose(2, 0, 1)[None])})[0][0]

    def embed(self, crop: np.ndarray) -> np.ndarray:
        values = self.raw(crop)
        return values / np.linalg.norm(values)
