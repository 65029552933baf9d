"""Conversion with TensorFlow: weights to int8, and a Keras file that this test writes itself."""

import tempfile
import unittest
from pathlib import Path

from . import TRAINING

try:
    import numpy as np
    import tensorflow as tf
    import convert
    import weights_file
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


def some_weights() -> dict:
    rng = np.random.default_rng(12)
    weights = {}
    for name, shape in weights_file.SHAPES.items():
        weights[f"{name}.kernel"] = rng.normal(0, (2.0 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32)
        weights[f"{name}.bias"] = rng.normal(0, 0.1, shape[-1:]).astype(np.float32)
    return weights


def keras_model(weights: dict) -> "tf.keras.Model":
    """DeepID2 as deepface writes it."""
    layers = tf.keras.layers
    face = layers.Input((55, 47, 3))
    values = face
    for number, (maps, side) in enumerate(((20, 4), (40, 3), (60, 3)), start=1):
        values = layers.Conv2D(maps, side, activation="relu", name=f"Conv{number}")(values)
        values = layers.MaxPooling2D(2, name=f"Pool{number}")(values)
    first = layers.Dense(160, name="fc11")(layers.Flatten()(values))
    second = layers.Conv2D(80, 2, activation="relu", name="Conv4")(values)
    second = layers.Dense(160, name="fc12")(layers.Flatten()(second))
    model = tf.keras.Model(face, layers.ReLU()(layers.Add()([first, second])))
    for keras, ours in weights_file.KERAS_NAMES.items():
        model.get_layer(keras).set_weights([weights[f"{ours}.kernel"], weights[f"{ours}.bias"]])
    return model


def pictures(count: int) -> "np.ndarray":
    return np.random.default_rng(count).integers(0, 256, (count, 55, 47, 3), dtype=np.uint8)


def run(model: bytes, values: "np.ndarray") -> "np.ndarray":
    interpreter = tf.lite.Interpreter(model_content=model)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    if given["dtype"] == np.int8:
        scale, zero = given["quantization"]
        values = np.clip(np.floor(values / scale + 0.501) + zero, -128, 127).astype(np.int8)
    interpreter.set_tensor(given["index"], values[None])
    interpreter.invoke()
    raw = interpreter.get_tensor(made["index"])[0].astype(np.float32)
    scale, zero = made["quantization"]
    return (raw - zero) * scale if scale else raw


class Conversion(unittest.TestCase):
    def test_float_is_keras_and_int8_is_near(self):
        weights = some_weights()
        function = convert.network(weights)
        value = (pictures(1)[0] / 127.5 - 1.0).astype(np.float32)
        wanted = keras_model(weights)(value[None]).numpy()[0]
        np.testing.assert_allclose(run(convert.converter(function).convert(), value), wanted, rtol=1e-3, atol=1e-3)
        int8 = convert.quantised(function, pictures(50), "signed")
        found = run(int8, value)
        self.assertGreater(found @ wanted / np.linalg.norm(found) / np.linalg.norm(wanted), 0.99)
        interpreter = tf.lite.Interpreter(model_content=int8)
        for detail, shape in ((interpreter.get_input_details()[0], [1, 55, 47, 3]), (interpreter.get_output_details()[0], [1, 160])):
            self.assertEqual((detail["dtype"], detail["shape"].tolist()), (np.int8, shape))

    def test_a_keras_file_is_read_by_its_layers_names(self):
        weights = some_weights()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "deepid_keras_weights.h5"
            keras_model(weights).save(path)
            found = weights_file.read_keras(path)
            for name, value in weights.items():
                np.testing.assert_array_equal(found[name], value)
            (Path(folder) / "no.h5").write_bytes(b"no such thing")
            with self.assertRaisesRegex(weights_file.WeightsError, "not an HDF5 file"):
                weights_file.read_keras(Path(folder) / "no.h5")

    def test_bgr_networks_get_their_first_kernel_turned(self):
        weights = some_weights()
        picture = (pictures(1)[0] / 255.0).astype(np.float32)
        bgr = keras_model(weights)(picture[None, ..., ::-1]).numpy()[0]
        turned = run(convert.converter(convert.network(convert.for_rgb(weights, "bgr"))).convert(), picture)
        np.testing.assert_allclose(turned, bgr, rtol=1e-3, atol=1e-3)


if __name__ == "__main__":
    unittest.main()
