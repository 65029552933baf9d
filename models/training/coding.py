"""Packs feature vectors small: what most of them differ in gets most bits.

in   features (faces × length), the mean that a card subtracts, a group's number for each, metadata
out  the bytes of a cohort in the safetensors format (models/README.md), and back

Transform coding: principal axes of the centred vectors; on each a uniform quantiser for a normal
distribution, whose bits follow the axis's spread (reverse water-filling: Cover and Thomas, 10.3.3).
Quantisation makes vectors a little less alike to everything: `fidelity` says how much, as the mean
cosine of a vector and what comes back of it.
"""

from __future__ import annotations

import json
import struct

import numpy as np

# Steps of the best uniform quantiser of 1 to 8 bits for a standard normal distribution (Max 1960).
STEPS = np.array([0.0, 1.596, 0.9957, 0.5860, 0.3352, 0.1881, 0.1041, 0.0569, 0.0308])
BITS_MAX = 8
TYPES = {"I8": "i1", "U8": "u1", "F32": "<f4"}


def allotted(variances: np.ndarray, budget: int) -> np.ndarray:
    """Bits of each axis, together at most `budget`."""
    low, high = -60.0, 60.0
    bits = np.zeros(len(variances), dtype=np.uint8)
    for _ in range(60):
        middle = (low + high) / 2.0
        wanted = np.round(0.5 * (np.log2(np.maximum(variances, 1e-30)) - middle))
        candidate = np.clip(wanted, 0, BITS_MAX).astype(np.uint8)
        if candidate.sum() > budget:
            low = middle
        else:
            high, bits = middle, candidate
    return bits


def coded(features: np.ndarray, mean: np.ndarray, budget: int) -> dict[str, np.ndarray]:
    """Basis (int8), steps, bits of each axis and the codes of each vector, in at most `budget` bits."""
    centred = features.astype(np.float64) - mean
    variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    order = np.argsort(-variances)
    bits = allotted(variances[order], budget)
    used = order[bits > 0]
    bits = bits[bits > 0]
    spread = np.sqrt(variances[used])
    scales = np.abs(axes[:, used]).max(0) / 127.0
    basis = np.round(axes[:, used].T / scales[:, None]).astype(np.int8)
    steps = STEPS[bits] * spread
    middle = (2.0**bits - 1.0) / 2.0
    codes = np.clip(np.round(centred @ axes[:, used] / steps + middle), 0, 2.0**bits - 1.0).astype(np.uint8)
    planes = [(codes[:, axis] >> bit) & 1 for axis, count in enumerate(bits) for bit in range(count)]
    packed_bits = np.packbits(np.stack(planes, axis=1), axis=1, bitorder="little")
    return {"basis": basis, "steps": (steps * scales).astype(np.float32), "bits": bits, "codes": packed_bits}


def decoded(tensors: dict[str, np.ndarray], mean: np.ndarray) -> np.ndarray:
    """The vectors, as `deepid-edge calibrate` reads them."""
    planes = np.unpackbits(tensors["codes"], axis=1, bitorder="little").astype(np.float64)
    values, begin = [], 0
    for count in tensors["bits"].tolist():
        code = planes[:, begin : begin + count] @ 2.0 ** np.arange(count)
        values.append(code - (2.0**count - 1.0) / 2.0)
        begin += count
    return mean + np.stack(values, axis=1) * tensors["steps"] @ tensors["basis"].astype(np.float64)


def fidelity(features: np.ndarray, again: np.ndarray, mean: np.ndarray) -> float:
    one, other = features - mean, again - mean
    return float(((one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)).mean())


def safetensors(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """The format: the header's length, the header in JSON, the numbers."""
    header: dict = {"__metadata__": metadata}
    types = {np.dtype(kind).str: name for name, kind in TYPES.items()}
    body = b""
    for name, values in tensors.items():
        stored = values.tobytes()
        header[name] = {"dtype": types[values.dtype.str], "shape": list(values.shape), "data_offsets": [len(body), len(body) + len(stored)]}
        body += stored
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def packed(features: np.ndarray, groups: np.ndarray, mean: np.ndarray, metadata: dict[str, str], bytes_max: int) -> bytes:
    """The largest cohort of these vectors that `bytes_max` hold; whole bytes for each vector."""
    length = features.shape[1]
    each = min(length, bytes_max // len(features))
    while each > 0:
        tensors = coded(features, mean, 8 * each)
        words = metadata | {"fidelity": f"{fidelity(features, decoded(tensors, mean), mean):.4f}"}
        stored = safetensors({"steps": tensors.pop("steps"), **tensors, "groups": groups.astype(np.uint8)}, words)
        if len(stored) <= bytes_max:
            return stored
        each -= -(-(len(stored) - bytes_max) // len(features))
    raise SystemExit(f"coding: {len(features)} vectors of {length} numbers do not fit into {bytes_max:,} bytes: take fewer")
