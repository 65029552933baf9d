#!/usr/bin/env python3
"""Writes the cohort of a model: feature vectors of strangers, by which a door is calibrated.

in   --card CARD.toml with its `.tflite` beside it; --cache FOLDER (prepare.py, people.py); --date
out  --out ID.cohort.safetensors (format: models/README.md): some faces of each person held back, one
     int8 for each number of a vector, with the scale that gives it back

Who is held back is neither in training nor in LFW. No picture and no name goes in, and the order is
drawn by chance; a vector still is a template of somebody's face, and is treated as the data list's
terms ask.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from pathlib import Path

import numpy as np
from embedder import carded
from evaluate import held_back

# Enough faces to show a rate of 1e-3, by the rule of three; fewer where vectors are so long that
# these would not fit into a megabyte.
FACES_OF_A_PERSON = 4
BYTES_MAX = 1_000_000


def some_of_each(persons: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of some faces of each person; `length` is that of a vector."""
    people = np.unique(persons)
    count = max(1, min(FACES_OF_A_PERSON, BYTES_MAX // (len(people) * length)))
    chosen = [rng.permutation(np.flatnonzero(persons == p))[:count] for p in people]
    return rng.permutation(np.concatenate(chosen))


def quantised(features: np.ndarray) -> tuple[np.ndarray, float, int]:
    """int8 numbers, scale and zero point: value = (number − zero point) · scale."""
    low, high = min(0.0, float(features.min())), max(0.0, float(features.max()))
    scale = (high - low) / 255.0 or 1.0
    zero = round(-128 - low / scale)
    return np.clip(np.round(features / scale) + zero, -128, 127).astype(np.int8), scale, zero


def packed(values: np.ndarray, metadata: dict[str, str]) -> bytes:
    """The safetensors format: the header's length, the header in JSON, the numbers."""
    header = {"__metadata__": metadata, "features": {"dtype": "I8", "shape": list(values.shape), "data_offsets": [0, values.nbytes]}}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + values.tobytes()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("card", "cache", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--date", required=True)
    options = parser.parse_args()
    rng = np.random.default_rng(21)
    model, wides, persons = carded(options.card), [], []
    for part in ("validation", "calibration"):
        found, of = held_back(options.cache, part)
        wides += found
        persons.append(of)
    numbers = np.concatenate(persons)
    chosen = some_of_each(numbers, len(model.mean), rng)
    values, scale, zero = quantised(model.averaged(wides[i] for i in chosen))
    people = len(np.unique(numbers))
    metadata = {
        "model": model.id, "sha256": model.sha256, "mirrored": "true", "scale": repr(scale), "zero_point": str(zero), "people": str(people),
        "source": f"{people} people of CelebA who are neither in training nor in LFW, {options.date}; research use, nobody in it was asked",
    }  # fmt: skip
    options.out.write_bytes(packed(values, metadata))
    print(f"cohort: {len(values)} faces of {people} people in {options.out} ({options.out.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
