#!/usr/bin/env python3
"""Where the people are in photographs: mattes by MediaPipe's selfie segmentation, in an environment of its own.

in   --photographs FOLDER (looked through to its depths), --out FOLDER; --listing subjects.json: of those
     photographs alone
out  OUT/NAME.png for each photograph: 256 × 256 uint8, the photograph stretched to a square, 255 where
     a person is; OUT/complete at the end

Drawings put people before other backgrounds with these, and cut masks out of paper. Resumable: what
is there is not made again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np

ENDINGS = (".jpg", ".jpeg", ".png")
SIDE = 256


def name_of(path: Path, folder: Path) -> str:
    """One name for a photograph however deep it lies."""
    return "-".join(path.relative_to(folder).with_suffix("").parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--listing", type=Path)
    options = parser.parse_args()
    from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

    cv2.setNumThreads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    paths = sorted(p for p in options.photographs.rglob("*") if p.suffix.lower() in ENDINGS)
    if options.listing:
        wanted = {Path(entry["path"]).name for entry in json.loads(options.listing.read_text(encoding="utf-8"))}
        paths = [path for path in paths if path.name in wanted]
    if not paths:
        print(f"cut: {options.photographs}: no photograph in it or below it", file=sys.stderr)
        return 1
    with SelfieSegmentation(model_selection=0) as segmentation:
        for number, path in enumerate(paths, start=1):
            out = options.out / f"{name_of(path, options.photographs)}.png"
            pixels = None if out.exists() else cv2.imread(str(path), cv2.IMREAD_COLOR)
            if pixels is not None:
                small = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
                mask = segmentation.process(cv2.cvtColor(small, cv2.COLOR_BGR2RGB)).segmentation_mask
                cv2.imwrite(str(out), (np.clip(mask, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))
            if number % 1000 == 0 or number == len(paths):
                print(f"cut: {number}/{len(paths)}", flush=True)
    (options.out / "complete").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
