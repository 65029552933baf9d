"""What somebody saw in FairFace's photographs: which of them show real covers.

in   ../fairface-covered.csv: `file` as in FairFace's table, `covered`: regions (regions.NAMES) with blanks between,
     `doubtful`, or nothing where the face is free although a network doubted it
out  file → what was seen; which drawings show nothing but what was drawn
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

FILE = Path(__file__).resolve().parent.parent / "fairface-covered.csv"


def read(path: Path = FILE) -> dict[str, str]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as stored:
        return {row["file"]: row["covered"] for row in csv.DictReader(stored)}


def free(files: np.ndarray, said: dict[str, str]) -> np.ndarray:
    """Of each file whether nobody saw a cover in it."""
    return np.array([not said.get(str(file).removeprefix("fair_face/"), "") for file in files])
