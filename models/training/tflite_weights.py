"""Reads the weights of a DeepID2 out of a `.tflite`, so that training can start from them.

in   a fully quantised or float DeepID2 `.tflite`, told apart by the shapes of its constants alone
out  network.Folded; the two fully connected biases come as one sum, of which the network is made

Deliberately absent: any other topology.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from network import Folded
from topology import DEEPID2


def real(interpreter: Interpreter, detail: dict) -> np.ndarray:
    """A constant as real numbers, by its quantisation (one scale, or one for each output channel)."""
    values = interpreter.get_tensor(detail["index"]).astype(np.float64)
    scales, zeros = (detail["quantization_parameters"][k] for k in ("scales", "zero_points"))
    if len(scales) == 0:
        return values
    shape = [-1] + [1] * (values.ndim - 1)
    return (values - zeros.reshape(shape)) * scales.astype(np.float64).reshape(shape)


def read(path: Path) -> Folded:
    interpreter = Interpreter(model_path=str(path))
    inputs = {d["index"] for d in (*interpreter.get_input_details(), *interpreter.get_output_details())}
    by_shape: dict[tuple[int, ...], list[np.ndarray]] = {}
    for detail in interpreter.get_tensor_details():
        if detail["index"] in inputs:
            continue
        try:
            by_shape.setdefault(tuple(detail["shape"]), []).append(real(interpreter, detail))
        except ValueError:
            continue  # not a constant: it has no value before a run
    kernels, biases = {}, {}
    try:
        for name, given, made, side, _ in DEEPID2.convolutions:
            kernel = by_shape[made, side, side, given][0]
            kernels[name] = torch.from_numpy(kernel.transpose(0, 3, 1, 2).copy()).float()
            biases[name] = torch.from_numpy(sum(by_shape.get((made,), [np.zeros(made)]))).float()
        for name, (channels, height, width) in DEEPID2.connections.items():
            kernel = by_shape[DEEPID2.features, channels * height * width][0].reshape(DEEPID2.features, height, width, channels)
            kernels[name] = torch.from_numpy(kernel.transpose(0, 3, 1, 2).copy()).float()
    except KeyError as error:
        raise ValueError(f"{path}: no constant of shape {error.args[0]}: it is not a DeepID2") from None
    biases["fc11"] = torch.zeros(DEEPID2.features)
    biases["fc12"] = torch.from_numpy(sum(by_shape.get((DEEPID2.features,), [np.zeros(DEEPID2.features)]))).float()
    equalisers = by_shape.get((DEEPID2.features, DEEPID2.features), [])
    return Folded(DEEPID2, kernels, biases, torch.from_numpy(equalisers[0].T.copy()).float() if equalisers else None)
