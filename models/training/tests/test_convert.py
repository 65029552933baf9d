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
    from topology import KINDS
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


def some_weights(kind: str = "deepid2") -> dict:
    rng = np.random.default_rng(12)
    weights = {}
    for name, shape in weights_file.shapes(kind).items():
        spread = 0.1 if name.endswith("bias") else (2.0 / np.prod(shape[:-1])) ** 0.5
        weights[name] = rng.normal(0, spread, shape).astype(np.float32)
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


def pictures(count: int, kind: str = "deepid2") -> "np.ndarray":
    frame = KINDS[kind].frame
    return np.random.default_rng(count).integers(0, 256, (count, frame.height, frame.width, 3), dtype=np.uint8)


def in_numpy(kind: str, weights: dict, value: "np.ndarray") -> "np.ndarray":
    """The network once more, by the weights file's own definition."""
    of = KINDS[kind]

    def one(values: "np.ndarray", prefix: str) -> "np.ndarray":
        flat = []
        if of.topology.channels == 1:
            values = values @ np.array([[0.299], [0.587], [0.114]])
        for name, _, _, side, pool in of.topology.convolutions:
            windows = np.lib.stride_tricks.sliding_window_view(values, (side, side), axis=(0, 1))
            values = np.maximum(np.einsum("yxcij,ijcm->yxm", windows, weights[f"{prefix}{name}.kernel"]) + weights[f"{prefix}{name}.bias"], 0)
            if pool:
                height, width = (n // 2 * 2 for n in values.shape[:2])
                values = values[:height, :width].reshape(height // 2, 2, width // 2, 2, -1).max((1, 3))
            if name in ("conv3", "conv4"):
                flat.append(values.reshape(-1))
        parts = zip(flat, ("fc11", "fc12"), strict=True)
        return np.maximum(sum(v @ weights[f"{prefix}{n}.kernel"] + weights[f"{prefix}{n}.bias"] for v, n in parts), 0)

    if not of.patches:
        features = one(value, "")
        return features @ weights[weights_file.EQUALISER] if weights_file.EQUALISER in weights else features
    each = []
    for patch in of.patches:
        part = value[patch.top : patch.top + patch.height, patch.left : patch.left + patch.width]
        for axis, side in ((0, of.topology.height), (1, of.topology.width)):
            at = np.clip((np.arange(side) + 0.5) * part.shape[axis] / side - 0.5, 0, part.shape[axis] - 1)
            low = np.minimum(at.astype(int), part.shape[axis] - 2)
            share = (at - low).reshape([-1 if i == axis else 1 for i in range(3)])
            part = np.take(part, low, axis) * (1 - share) + np.take(part, low + 1, axis) * share
        each.append(one(part, f"{patch.name}."))
    return np.concatenate(each) @ weights["fuse.kernel"]


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
        function = convert.network(KINDS["deepid2"], weights)
        value = (pictures(1)[0] / 127.5 - 1.0).astype(np.float32)
        wanted = keras_model(weights)(value[None]).numpy()[0]
        np.testing.assert_allclose(run(convert.converter(function).convert(), value), wanted, rtol=1e-3, atol=1e-3)
        int8 = convert.quantised(function, pictures(50), "signed")
        found = run(int8, value)
        self.assertGreater(found @ wanted / np.linalg.norm(found) / np.linalg.norm(wanted), 0.99)
        interpreter = tf.lite.Interpreter(model_content=int8)
        for detail, shape in ((interpreter.get_input_details()[0], [1, 55, 47, 3]), (interpreter.get_output_details()[0], [1, 160])):
            self.assertEqual((detail["dtype"], detail["shape"].tolist()), (np.int8, shape))

    def test_every_kind_computes_what_its_weights_say(self):
        for kind, of in KINDS.items():
            weights = some_weights(kind)
            if not of.patches:
                weights[weights_file.EQUALISER] = np.random.default_rng(3).normal(0, of.features**-0.5, (of.features,) * 2).astype(np.float32)
            function = convert.network(of, weights)
            value = (pictures(1, kind)[0] / 127.5 - 1.0).astype(np.float32)
            wanted = in_numpy(kind, weights, value)
            np.testing.assert_allclose(run(convert.converter(function).convert(), value), wanted, rtol=2e-3, atol=2e-3, err_msg=kind)
            int8 = convert.quantised(function, pictures(20, kind), "signed")
            found = run(int8, value)
            self.assertGreater(found @ wanted / np.linalg.norm(found) / np.linalg.norm(wanted), 0.98, kind)

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
        turned = run(convert.converter(convert.network(KINDS["deepid2"], convert.for_rgb(weights, "bgr"))).convert(), picture)
        np.testing.assert_allclose(turned, bgr, rtol=1e-3, atol=1e-3)


if __name__ == "__main__":
    unittest.main()
