#!/usr/bin/env python3
"""Makes a float32 `.tflite` out of anyone's ONNX face embedder that is made of convolutions.

in   --onnx FILE: one input 1 × 3 × height × width, one output of features; Conv, Relu, PRelu, Clip,
     Add, Reshape and Flatten, which is what MobileFaceNet and its kin are when exported
     --mean R G B, --deviation R G B: what the network wants is (pixel/255 − mean) / deviation
out  --out NAME.tflite: 1 × height × width × 3 float32, pixel/255, RGB → 1 × features float32; the
     mean and the deviation are inside

Invariant: the result was compared with ONNX's own reference on one picture; where they differ,
nothing is written. Deliberately absent: quantisation, and any other operator (it is named).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import tensorflow as tf  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

# Cosine below which the two disagree: float32 in another order of sums stays far above it.
ALIKE = 0.99999


class ConversionError(Exception):
    """The file cannot be converted; the text says why."""


class Network:
    """An ONNX graph, computed by TensorFlow with channels last."""

    def __init__(self, path: Path) -> None:
        try:
            self.model = onnx.load(str(path))
        except Exception as error:  # protobuf's own classes change with its version
            raise ConversionError(f"{path}: not an ONNX file that can be read: {error}") from None
        graph = self.model.graph
        self.values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        given = [i for i in graph.input if i.name not in self.values]
        if len(given) != 1 or len(graph.output) != 1:
            raise ConversionError(f"{path}: {len(given)} inputs and {len(graph.output)} outputs; an embedder has one of each")
        self.input, self.output = given[0].name, graph.output[0].name
        shape = [d.dim_value for d in given[0].type.tensor_type.shape.dim]
        if len(shape) != 4 or shape[1] != 3 or min(shape[2:]) < 1:
            raise ConversionError(f"{path}: input has shape {shape}; 1 × 3 × height × width is right, with a fixed size")
        self.height, self.width = shape[2:]

    def features(self, picture: tf.Tensor) -> tf.Tensor:
        """Of a normalised picture, 1 × height × width × 3."""
        made: dict[str, tf.Tensor] = {self.input: picture}
        for node in self.model.graph.node:
            if node.op_type == "Constant":
                self.values[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
                continue
            if node.op_type not in OPERATORS:
                raise ConversionError(f"operator {node.op_type} ({node.name}) is not among {', '.join(sorted(OPERATORS))}")
            settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            inputs = [made.get(name, self.values.get(name)) for name in node.input]
            made[node.output[0]] = OPERATORS[node.op_type](inputs, settings)
        return made[self.output]

    def reference(self, picture: np.ndarray) -> np.ndarray:
        """The same by ONNX's reference, which is slow."""
        return ReferenceEvaluator(self.model).run(None, {self.input: picture.transpose(0, 3, 1, 2)})[0].reshape(-1)


def convolution(inputs: list, settings: dict) -> tf.Tensor:
    values, kernel, *bias = inputs
    groups, strides = settings.get("group", 1), list(settings.get("strides", [1, 1]))
    top, left, bottom, right = settings.get("pads", [0, 0, 0, 0])
    if list(settings.get("dilations", [1, 1])) != [1, 1] or groups not in (1, values.shape[-1]):
        raise ConversionError(f"a convolution with {groups} groups or dilation is not supported")
    same = strides == [1, 1] and top == bottom == (kernel.shape[2] - 1) / 2 and left == right == (kernel.shape[3] - 1) / 2
    if not same and (top or left or bottom or right):
        values = tf.pad(values, [[0, 0], [top, bottom], [left, right], [0, 0]])
    padding = "SAME" if same else "VALID"
    if groups == 1:
        result = tf.nn.conv2d(values, kernel.transpose(2, 3, 1, 0), strides, padding)
    else:
        result = tf.nn.depthwise_conv2d(values, kernel.transpose(2, 3, 0, 1), [1, *strides, 1], padding)
    return tf.nn.bias_add(result, bias[0]) if bias else result


def clip(inputs: list, _settings: dict) -> tf.Tensor:
    low, high = (float(v) for v in inputs[1:3])
    return tf.nn.relu6(inputs[0]) if (low, high) == (0.0, 6.0) else tf.clip_by_value(inputs[0], low, high)


def flat(inputs: list, _settings: dict) -> tf.Tensor:
    if inputs[0].shape[1:3] != (1, 1):
        raise ConversionError(f"{inputs[0].shape} is flattened before its sides are 1 × 1: channels would be out of order")
    return tf.reshape(inputs[0], [1, -1])


OPERATORS: dict[str, Callable[[list, dict], tf.Tensor]] = {
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "Clip": clip,
    "Conv": convolution,
    "Flatten": flat,
    "PRelu": lambda inputs, _: tf.nn.relu(inputs[0]) - inputs[1].reshape(-1) * tf.nn.relu(-inputs[0]),
    "Relu": lambda inputs, _: tf.nn.relu(inputs[0]),
    "Reshape": flat,
}


def convert(path: Path, mean: list[float], deviation: list[float]) -> bytes:
    network = Network(path)
    shape = [1, network.height, network.width, 3]

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="face")])
    def features(face: tf.Tensor) -> dict[str, tf.Tensor]:
        normalised = (face - tf.constant(mean, tf.float32)) / tf.constant(deviation, tf.float32)
        return {"features": network.features(normalised)}

    function = features.get_concrete_function()
    picture = np.random.default_rng(112).uniform(0.0, 1.0, shape).astype(np.float32)
    ours = function(tf.constant(picture))["features"].numpy().reshape(-1)
    theirs = network.reference(((picture - mean) / deviation).astype(np.float32))
    cosine = float(ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs))
    if not cosine >= ALIKE:
        raise ConversionError(f"{path}: the result differs from ONNX's own (cosine {cosine:.6f}); it was not written")
    print(f"convert: cosine to ONNX's own result {cosine:.7f}")
    return tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--mean", type=float, nargs=3, default=[0.0, 0.0, 0.0])
    parser.add_argument("--deviation", type=float, nargs=3, default=[1.0, 1.0, 1.0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        made = convert(options.onnx, options.mean, options.deviation)
    except ConversionError as error:
        print(f"convert: {error}", file=sys.stderr)
        return 1
    options.out.write_bytes(made)
    print(f"convert: wrote {options.out} ({len(made):,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
