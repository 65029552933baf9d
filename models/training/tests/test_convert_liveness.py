"""Conversion of the liveness network with TensorFlow: float32 as the table says, int8 near it."""

import json
import tempfile
import unittest
from pathlib import Path

from . import TRAINING  # noqa: F401

try:
    import numpy as np
    import tensorflow as tf
    import convert as writer
    from liveness import convert, convert_minifasnet, plan
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


def some_weights() -> dict:
    rng = np.random.default_rng(12)
    weights = {}
    for name, shape in plan.shapes().items():
        layer = next((la for la in plan.LAYERS if name.startswith(f"{la.name}.")), None)
        many = np.prod(shape[:2]) if layer is not None and layer.deep else np.prod(shape[:-1])
        spread = 0.05 if name.endswith("bias") else (1.5 / many) ** 0.5
        weights[name] = rng.normal(0, spread, shape).astype(np.float32)
    return weights


def in_numpy(weights: dict, values: "np.ndarray") -> float:
    """The network once more, by the table's own definition."""
    inputs = {}
    for layer in plan.LAYERS:
        inputs[layer.name] = values
        edge = layer.side // 2 if layer.padded else 0
        padded = np.pad(values, ((edge, edge), (edge, edge), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (layer.side, layer.side), axis=(0, 1))[:: layer.stride, :: layer.stride]
        kernel = weights[f"{layer.name}.kernel"]
        made = np.einsum("yxcij,ijcm->yxc" if layer.deep else "yxcij,ijcm->yxm", windows, kernel, optimize=True) + weights[f"{layer.name}.bias"]
        values = np.maximum(made, 0) if layer.relu else made
        values = values + inputs[layer.adds] if layer.adds else values
    return float(values.reshape(-1) @ weights["prob.kernel"][:, 0] + weights["prob.bias"][0])


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
    def test_float_is_the_table_and_int8_is_near(self):
        weights, rng = some_weights(), np.random.default_rng(4)
        pictures = rng.integers(0, 256, (24, plan.SIDE, plan.SIDE, 3), dtype=np.uint8)
        function = convert.network(weights)
        values = pictures[0].astype(np.float32) / 127.5 - 1.0
        wanted = in_numpy(weights, values)
        self.assertAlmostEqual(run(writer.converter(function).convert(), values), wanted, delta=1e-2 + 1e-3 * abs(wanted))
        int8 = writer.quantised(function, pictures, "signed")
        self.assertLess(len(int8), 600_000)
        self.assertAlmostEqual(run(int8, values), wanted, delta=0.15 + 0.1 * abs(wanted))

    def test_plain_layers_are_compared_before_they_are_written(self):
        rng = np.random.default_rng(1)
        constants = {"v1.kernel": rng.normal(0, 1, (3, 3, 3, 4)), "v1.bias": np.zeros(4), "v2": np.full(4, 0.25), "prob.kernel": rng.normal(0, 1, (64, 3)), "prob.bias": np.zeros(3)}
        steps = [["conv", "picture", "v1", "v1", 2, 1, False], ["prelu", "v1", "v2", "v2"], ["dense", "v2", "logits", "prob"]]
        picture = rng.uniform(0, 1, (1, 8, 8, 3)).astype(np.float32)
        as_written = {name: value.astype(np.float32) for name, value in constants.items()}
        wanted = convert_minifasnet.computed(steps, as_written, tf.constant(picture)).numpy()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "plain.npz"
            np.savez(path, plan=json.dumps(steps), check_input=picture, check_output=wanted, **as_written)
            self.assertGreater(len(convert_minifasnet.convert(path)), 100)
            np.savez(path, plan=json.dumps(steps), check_input=picture, check_output=wanted + 1.0, **as_written)
            with self.assertRaisesRegex(ValueError, "differs from PyTorch"):
                convert_minifasnet.convert(path)


if __name__ == "__main__":
    unittest.main()
