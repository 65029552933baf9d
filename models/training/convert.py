#!/usr/bin/env python3
"""Makes the int8 `.tflite` out of a network's plain weights, with TensorFlow in its own environment.

in   --weights weights.npz | --keras FILE.h5; --representative representative.npz
out  --out NAME.tflite: 1 × height × width × 3 int8 → 1 × features int8, and --float NAME.tflite, the
     same in float32

Fully quantised: weights for each output channel, activations by the pictures' ranges, batch fixed at
1 (a model with an open batch cannot be run by LiteRT's compiled model).
Keras files by deepface take BGR pictures of 0 to 1: `--channels bgr --normalisation unit`.
Deliberately absent: the card (card.py), which is written after the model was measured.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import weights_file  # noqa: E402
from topology import GREY, KINDS, Kind  # noqa: E402

# How a pixel becomes what the network was trained on: scale, offset.
NORMALISATIONS = {"signed": (1.0 / 127.5, -1.0), "unit": (1.0 / 255.0, 0.0)}


def network(kind: Kind, weights: dict[str, np.ndarray]) -> tf.types.experimental.ConcreteFunction:
    """The network as its paper draws it. A grey one begins with a convolution that makes grey of
    colours; an ensemble with the parts of its frame, each resized to the topology's input."""
    constants = {name: tf.constant(value, tf.float32) for name, value in weights.items()}
    topology = kind.topology

    def convolution(values: tf.Tensor, name: str) -> tf.Tensor:
        made = tf.nn.conv2d(values, constants[f"{name}.kernel"], strides=1, padding="VALID")
        return tf.nn.relu(tf.nn.bias_add(made, constants[f"{name}.bias"]))

    def connected(values: tf.Tensor, name: str) -> tf.Tensor:
        flat = tf.reshape(values, [1, -1])
        return tf.nn.bias_add(tf.matmul(flat, constants[f"{name}.kernel"]), constants[f"{name}.bias"])

    def concatenated(third: tf.Tensor, fourth: tf.Tensor, prefix: str) -> tf.Tensor:
        """The first DeepID's own form; it computes what the sum of two halves does."""
        flat = tf.concat([tf.reshape(third, [1, -1]), tf.reshape(fourth, [1, -1])], axis=1)
        kernel = tf.concat([constants[f"{prefix}fc11.kernel"], constants[f"{prefix}fc12.kernel"]], axis=0)
        bias = constants[f"{prefix}fc11.bias"] + constants[f"{prefix}fc12.bias"]
        return tf.nn.bias_add(tf.matmul(flat, kernel), bias)

    def one(values: tf.Tensor, prefix: str) -> tf.Tensor:
        if topology.channels == 1:
            values = tf.nn.conv2d(values, tf.reshape(tf.constant(GREY, tf.float32), [1, 1, 3, 1]), strides=1, padding="VALID")
        for name in ("conv1", "conv2", "conv3"):
            values = tf.nn.max_pool2d(convolution(values, prefix + name), 2, 2, "VALID")
        fourth = convolution(values, prefix + "conv4")
        if topology.channels == 1:
            return tf.nn.relu(concatenated(values, fourth, prefix))
        return tf.nn.relu(connected(values, prefix + "fc11") + connected(fourth, prefix + "fc12"))

    def equalised(features: tf.Tensor) -> tf.Tensor:
        """As equalise.py learnt it; a network of others has no such layer."""
        kernel = constants.get(weights_file.EQUALISER)
        return features if kernel is None else tf.matmul(features, kernel)

    @tf.function(input_signature=[tf.TensorSpec([1, kind.frame.height, kind.frame.width, 3], tf.float32, name="face")])
    def features(face: tf.Tensor) -> dict[str, tf.Tensor]:
        if not kind.patches:
            return {"features": equalised(one(face, ""))}
        each = []
        for patch in kind.patches:
            part = face[:, patch.top : patch.top + patch.height, patch.left : patch.left + patch.width]
            part = tf.compat.v1.image.resize_bilinear(part, (topology.height, topology.width), half_pixel_centers=True)
            each.append(one(part, f"{patch.name}."))
        return {"features": tf.matmul(tf.concat(each, axis=1), constants["fuse.kernel"])}

    return features.get_concrete_function()


def converter(function: tf.types.experimental.ConcreteFunction) -> tf.lite.TFLiteConverter:
    return tf.lite.TFLiteConverter.from_concrete_functions([function])


def quantised(function: tf.types.experimental.ConcreteFunction, pictures: np.ndarray, normalisation: str) -> bytes:
    scale, offset = NORMALISATIONS[normalisation]
    made = converter(function)
    made.optimizations = [tf.lite.Optimize.DEFAULT]
    made.representative_dataset = lambda: ([p[None].astype(np.float32) * scale + offset] for p in pictures)
    made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    made.inference_input_type = made.inference_output_type = tf.int8
    return made.convert()


def for_rgb(weights: dict[str, np.ndarray], channels: str) -> dict[str, np.ndarray]:
    """The daemon gives RGB: a network for BGR gets its first kernel turned around instead."""
    if channels == "rgb":
        return weights
    return weights | {"conv1.kernel": weights["conv1.kernel"][:, :, ::-1]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--weights", type=Path)
    given.add_argument("--keras", type=Path)
    parser.add_argument("--channels", choices=("rgb", "bgr"), default="rgb")
    parser.add_argument("--normalisation", choices=tuple(NORMALISATIONS), default="signed")
    parser.add_argument("--representative", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--float", type=Path)
    options = parser.parse_args()
    try:
        kind, weights = weights_file.read(options.weights) if options.weights else ("deepid2", weights_file.read_keras(options.keras))
    except (weights_file.WeightsError, OSError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 1
    function = network(KINDS[kind], for_rgb(weights, options.channels))
    with np.load(options.representative) as stored:
        pictures = stored["pictures"]
    options.out.write_bytes(quantised(function, pictures, options.normalisation))
    print(f"convert: wrote {options.out} ({options.out.stat().st_size:,} bytes)")
    if options.float:
        options.float.write_bytes(converter(function).convert())
        print(f"convert: wrote {options.float}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
