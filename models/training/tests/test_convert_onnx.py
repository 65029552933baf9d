"""An ONNX embedder that this test writes itself becomes a `.tflite` that computes the same."""

import tempfile
import unittest
from pathlib import Path

from . import TRAINING  # noqa: F401 (puts the project's folder on the path)

try:
    import numpy as np
    import onnx
    import tensorflow as tf
    import convert_onnx
    from onnx import helper, numpy_helper
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None

MEAN, DEVIATION = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]


def write(path: Path, activation: str = "PRelu") -> "onnx.ModelProto":
    """Each kind of layer that MobileFaceNet has: a stride, a depthwise one, a sum, a whole-picture one."""
    rng = np.random.default_rng(7)
    constants = {
        "first": rng.normal(0, 0.3, (8, 3, 3, 3)), "bias": rng.normal(0, 0.1, 8), "slope": rng.uniform(0, 0.5, (8, 1, 1)),
        "deep": rng.normal(0, 0.3, (8, 1, 3, 3)), "point": rng.normal(0, 0.3, (8, 8, 1, 1)), "whole": rng.normal(0, 0.1, (16, 8, 8, 8)),
        "low": np.array(0.0), "high": np.array(6.0), "shape": np.array([1, -1], dtype=np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["face", "first", "bias"], ["a"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node(activation, ["a", "slope"] if activation == "PRelu" else ["a"], ["b"]),
        helper.make_node("Conv", ["b", "deep"], ["c"], group=8, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["c", "low", "high"], ["d"]),
        helper.make_node("Conv", ["d", "point"], ["e"], kernel_shape=[1, 1]),
        helper.make_node("Add", ["b", "e"], ["f"]),
        helper.make_node("Conv", ["f", "whole"], ["g"], kernel_shape=[8, 8]),
        helper.make_node("Reshape", ["g", "shape"], ["features"]),
    ]
    tensors = [numpy_helper.from_array(v if v.dtype == np.int64 else v.astype(np.float32), n) for n, v in constants.items()]
    given = helper.make_tensor_value_info("face", onnx.TensorProto.FLOAT, [1, 3, 16, 16])
    made = helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, [1, 16])
    graph = helper.make_graph(nodes, "embedder", [given], [made], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    onnx.save(model, str(path))
    return model


class Conversion(unittest.TestCase):
    def test_it_computes_what_onnx_says(self):
        picture = np.random.default_rng(3).uniform(0, 1, (1, 16, 16, 3)).astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "embedder.onnx"
            model = write(path)
            interpreter = tf.lite.Interpreter(model_content=convert_onnx.convert(path, MEAN, DEVIATION))
        normalised = ((picture - MEAN) / DEVIATION).astype(np.float32).transpose(0, 3, 1, 2)
        wanted = onnx.reference.ReferenceEvaluator(model).run(None, {"face": normalised})[0]
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)

    def test_what_cannot_be_converted_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "embedder.onnx"
            write(path, activation="Sigmoid")
            with self.assertRaisesRegex(convert_onnx.ConversionError, "Sigmoid"):
                convert_onnx.convert(path, MEAN, DEVIATION)
            path.write_bytes(b"no such thing")
            with self.assertRaisesRegex(convert_onnx.ConversionError, "not an ONNX file"):
                convert_onnx.convert(path, MEAN, DEVIATION)


if __name__ == "__main__":
    unittest.main()
