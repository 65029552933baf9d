#!/usr/bin/env python3
"""Makes the int8 `.tflite` out of kernels and biases (export.py), with TensorFlow in its own environment.

in   --weights plain.npz, --representative representative.npz
out  --out NAME.tflite: 1 × 64 × 64 × 3 → a logit for each region, fully int8

Invariant: the float result was compared with PyTorch's own on one picture; where they differ, nothing is written.
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
from covered.convert_facts import OFFSET, SCALE  # noqa: E402

ALIKE = 1e-3


def computed(constants: dict[str, np.ndarray], strides: list[int], values: tf.Tensor) -> tf.Tensor:
    for number, stride in enumerate(strides):
        values = tf.nn.conv2d(values, constants[f"conv{number}.kernel"], stride, "SAME")
        values = tf.nn.relu(tf.nn.bias_add(values, constants[f"conv{number}.bias"]))
    values = tf.reshape(values, [1, -1])
    values = tf.nn.relu(tf.nn.bias_add(tf.matmul(values, constants["hidden.kernel"]), constants["hidden.bias"]))
    return tf.nn.bias_add(tf.matmul(values, constants["out.kernel"]), constants["out.bias"])


def convert(path: Path, pictures: np.ndarray) -> bytes:
    with np.load(path) as stored:
        constants = {name: stored[name] for name in stored.files}
    strides = json.loads(str(constants.pop("strides")))
    picture, wanted = constants.pop("check_input").astype(np.float32) * SCALE + OFFSET, constants.pop("check_output")

    @tf.function(input_signature=[tf.TensorSpec(picture.shape, tf.float32, name="face")])
    def covered(face: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"covered": computed(constants, strides, face)}

    function = covered.get_concrete_function()
    apart = float(np.abs(function(tf.constant(picture))["covered"].numpy() - wanted).max())
    if not apart <= ALIKE * max(1.0, float(np.abs(wanted).max())):
        raise ValueError(f"{path}: the result differs from PyTorch's own by {apart:.5f}; it was not written")
    print(f"convert: PyTorch's logits within {apart:.6f}")
    made = tf.lite.TFLiteConverter.from_concrete_functions([function])
    made.optimizations = [tf.lite.Optimize.DEFAULT]
    made.representative_dataset = lambda: ([p[None].astype(np.float32) * SCALE + OFFSET] for p in pictures)
    made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    made.inference_input_type = made.inference_output_type = tf.int8
    return made.convert()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("weights", "representative", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
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
