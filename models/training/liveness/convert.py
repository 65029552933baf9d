#!/usr/bin/env python3
"""Makes the int8 `.tflite` of the liveness network, with TensorFlow in its own environment.

in   --weights weights.npz (plan.py), --representative representative.npz
out  --out NAME.tflite: 1 × SIDE × SIDE × 3 int8 → 1 × 1 int8, one logit; --float NAME.tflite, the same in float32

Weights are quantised for each output channel, activations by the pictures' ranges; convolutions, ReLU
and additions only.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import convert as writer  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from liveness import plan  # noqa: E402


def network(weights: dict[str, np.ndarray]) -> tf.types.experimental.ConcreteFunction:
    constants = {name: tf.constant(value, tf.float32) for name, value in weights.items()}

    @tf.function(input_signature=[tf.TensorSpec([1, plan.SIDE, plan.SIDE, 3], tf.float32, name="face")])
    def liveness(face: tf.Tensor) -> dict[str, tf.Tensor]:
        values, inputs = face, {}
        for layer in plan.LAYERS:
            inputs[layer.name] = values
            values = convolution(values, layer, constants[f"{layer.name}.kernel"], constants[f"{layer.name}.bias"])
            if layer.adds:
                values = values + inputs[layer.adds]
        flat = tf.reshape(values, [1, plan.FEATURES])
        return {"liveness": tf.nn.bias_add(tf.matmul(flat, constants["prob.kernel"]), constants["prob.bias"])}

    return liveness.get_concrete_function()


def convolution(values: tf.Tensor, layer: plan.Layer, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    edge = layer.side // 2 if layer.padded else 0
    padding = "SAME" if layer.padded and layer.stride == 1 else "VALID"
    if layer.padded and layer.stride > 1 and edge:
        # PyTorch pads both ends alike; TensorFlow's own padding would shift the stride by a pixel.
        values = tf.pad(values, [[0, 0], [edge, edge], [edge, edge], [0, 0]])
    if layer.deep:
        made = tf.nn.depthwise_conv2d(values, kernel, [1, layer.stride, layer.stride, 1], padding)
    else:
        made = tf.nn.conv2d(values, kernel, layer.stride, padding)
    made = tf.nn.bias_add(made, bias)
    return tf.nn.relu(made) if layer.relu else made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--representative", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--float", type=Path)
    options = parser.parse_args()
    try:
        function = network(plan.read(options.weights))
    except (plan.WeightsError, OSError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 1
    with np.load(options.representative) as stored:
        pictures = stored["pictures"]
    options.out.write_bytes(writer.quantised(function, pictures, "signed"))
    print(f"convert: wrote {options.out} ({options.out.stat().st_size:,} bytes)")
    if options.float:
        options.float.write_bytes(writer.converter(function).convert())
    return 0


if __name__ == "__main__":
    sys.exit(main())
