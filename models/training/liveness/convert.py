#!/usr/bin/env python3
"""Makes a `.tflite` out of the plain layers of a MiniFASNet, with TensorFlow in its own environment.

in   --weights FILE.npz (export_minifasnet.py); --representative representative.npz for int8
out  --out NAME.tflite: 1 × 80 × 80 × 3, 0 … 255 → logits; float32, or fully int8 with --representative

Invariant: the result was compared with PyTorch's own on one picture; where they differ, nothing is written.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

# Logits are some units large.
ALIKE = 1e-3


def conv(value: tf.Tensor, kernel: np.ndarray, bias: np.ndarray, stride: int, padding: int, deep: bool) -> tf.Tensor:
    same = padding and stride == 1
    if padding and not same:
        value = tf.pad(value, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    how = "SAME" if same else "VALID"
    made = tf.nn.depthwise_conv2d(value, kernel, [1, stride, stride, 1], how) if deep else tf.nn.conv2d(value, kernel, stride, how)
    return tf.nn.bias_add(made, bias)


def prelu(value: tf.Tensor, slopes: np.ndarray) -> tf.Tensor:
    """As two depthwise convolutions of 1 × 1 and an addition: XNNPACK runs neither PReLU nor a product
    with one number for each channel in int8, and the kernels that then do are five times slower."""
    left, right = (tf.nn.depthwise_conv2d(value, v.reshape(1, 1, -1, 1), [1, 1, 1, 1], "VALID") for v in (slopes, 1.0 - slopes))
    return left + tf.nn.relu(right)


def computed(steps: list[list], constants: dict[str, np.ndarray], picture: tf.Tensor) -> tf.Tensor:
    values = {"picture": picture}
    for name, *parts in steps:
        if name == "conv":
            given, made, key, stride, padding, deep = parts
            values[made] = conv(values[given], constants[f"{key}.kernel"], constants[f"{key}.bias"], stride, padding, deep)
        elif name == "prelu":
            given, made, key = parts
            values[made] = prelu(values[given], constants[key])
        elif name == "dense":
            given, made, key = parts
            flat = tf.reshape(values[given], [1, -1])
            values[made] = tf.nn.bias_add(tf.matmul(flat, constants[f"{key}.kernel"]), constants[f"{key}.bias"])
        else:
            *given, made = parts
            values[made] = SIMPLE[name](*(values[g] for g in given))
    return values["logits"]


SIMPLE = {
    "add": tf.add,
    "mean": lambda value: tf.reduce_mean(value, [1, 2], keepdims=True),
    "multiply": tf.multiply,
    "relu": tf.nn.relu,
    "sigmoid": tf.sigmoid,
}


def convert(path: Path, pictures: np.ndarray | None = None) -> bytes:
    with np.load(path) as stored:
        constants = {name: stored[name] for name in stored.files}
    steps = json.loads(str(constants.pop("plan")))
    picture, wanted = constants.pop("check_input"), constants.pop("check_output")

    @tf.function(input_signature=[tf.TensorSpec(picture.shape, tf.float32, name="face")])
    def liveness(face: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"liveness": computed(steps, constants, face)}

    function = liveness.get_concrete_function()
    made = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    interpreter = tf.lite.Interpreter(model_content=made)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    apart = float(np.abs(found - wanted).max())
    if not apart <= ALIKE * max(1.0, float(np.abs(wanted).max())):
        raise ValueError(f"{path}: the result differs from PyTorch's own by {apart:.5f}; it was not written")
    print(f"convert: PyTorch's logits within {apart:.6f}")
    return made if pictures is None else quantised(function, pictures)


def quantised(function: tf.types.experimental.ConcreteFunction, pictures: np.ndarray) -> bytes:
    made = tf.lite.TFLiteConverter.from_concrete_functions([function])
    made.optimizations = [tf.lite.Optimize.DEFAULT]
    made.representative_dataset = lambda: ([p[None].astype(np.float32)] for p in pictures)
    made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    made.inference_input_type = made.inference_output_type = tf.int8
    return made.convert()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--representative", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    pictures = None
    if options.representative:
        with np.load(options.representative) as stored:
            pictures = stored["pictures"]
    try:
        made = convert(options.weights, pictures)
    except ValueError as error:
        print(f"convert: {error}", file=sys.stderr)
        return 1
    options.out.write_bytes(made)
    print(f"convert: wrote {options.out} ({len(made):,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
