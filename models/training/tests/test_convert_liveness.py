"""Conversion of plain layers with TensorFlow: float32 as they say, int8 near it."""

import json
import tempfile
import unittest
from pathlib import Path

from . import TRAINING  # noqa: F401

try:
    import numpy as np
    import tensorflow as tf
    from liveness import convert
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


def run(model: bytes, values: "np.ndarray") -> float:
    interpreter = tf.lite.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero = given["quantization"]
    if given["dtype"] == np.int8:
        values = np.clip(np.round(values / scale) + zero, -128, 127).astype(np.int8)
    interpreter.set_tensor(given["index"], values[None])
    interpreter.invoke()
    raw = interpreter.get_tensor(made["index"]).reshape(-1).astype(np.float64)
    scale, zero = made["quantization"]
    return float(((raw - zero) * scale if scale else raw)[0])


class Conversion(unittest.TestCase):
    def test_plain_layers_are_compared_before_they_are_written(self):
        rng = np.random.default_rng(1)
        steps = [
            ["conv", "picture", "a", "a", 2, 1, False], ["prelu", "a", "b", "b"], ["conv", "b", "c", "c", 1, 1, True], ["mean", "c", "d"], ["conv", "d", "e", "e", 1, 0, False],
            ["relu", "e", "f"], ["sigmoid", "f", "g"], ["multiply", "c", "g", "h"], ["add", "b", "h", "i"], ["dense", "i", "logits", "prob"],
        ]  # fmt: skip
        shapes = {"a.kernel": (3, 3, 3, 4), "c.kernel": (3, 3, 4, 1), "e.kernel": (1, 1, 4, 4), "prob.kernel": (64, 1)}
        constants = {name: rng.normal(0, (1.0 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
        constants |= {"b": np.array([0.25, -0.3, 0.1, 0.5], np.float32), **{f"{name}.bias": np.zeros(1 if name == "prob" else 4, np.float32) for name in ("a", "c", "e", "prob")}}
        picture = rng.uniform(0, 255, (1, 8, 8, 3)).astype(np.float32)
        wanted = convert.computed(steps, constants, tf.constant(picture)).numpy()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "plain.npz"
            np.savez(path, plan=json.dumps(steps), check_input=picture, check_output=wanted, **constants)
            self.assertAlmostEqual(run(convert.convert(path), picture[0]), float(wanted[0, 0]), delta=1e-2)
            pictures = rng.uniform(0, 255, (30, 8, 8, 3)).astype(np.uint8)
            int8 = convert.convert(path, pictures)
            floats = [float(convert.computed(steps, constants, tf.constant(p[None].astype(np.float32))).numpy()[0, 0]) for p in pictures]
            found = [run(int8, p.astype(np.float32)) for p in pictures]
            self.assertGreater(np.corrcoef(found, floats)[0, 1], 0.99)
            np.savez(path, plan=json.dumps(steps), check_input=picture, check_output=wanted + 100.0, **constants)
            with self.assertRaisesRegex(ValueError, "differs from PyTorch"):
                convert.convert(path)


if __name__ == "__main__":
    unittest.main()
