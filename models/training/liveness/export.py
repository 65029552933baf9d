#!/usr/bin/env python3
"""Folds the trained liveness network into plain weights, and takes pictures to choose its int8 ranges by.

in   --weights averaged.pt, --cache FOLDER of prepare.py, --shares of the label's logit and of each teacher's
out  OUT/weights.npz (plan.py), OUT/representative.npz: `pictures`, the network's input, uint8
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from liveness import plan
from liveness.network import Liveness, folded
from liveness.prepare import NAMES
from liveness.teachers import NAMES as TEACHERS
from liveness.train import Drawn

PICTURES = 500
# Of the label's logit and of what each teacher would say: chosen on the held-out drawings (README.md).
SHARES = (1.0, 0.0, 0.0, 0.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--shares", type=float, nargs=1 + len(TEACHERS), default=SHARES)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    network = Liveness(len(NAMES), len(TEACHERS))
    network.load_state_dict(torch.load(options.weights, map_location="cpu", weights_only=True))
    options.out.mkdir(parents=True, exist_ok=True)
    plan.write(options.out / "weights.npz", folded(network.eval(), np.array(options.shares)))
    data = Drawn(options.cache / "validation")
    count = data.refresh()
    chosen = np.sort(np.random.default_rng(128).choice(count, min(PICTURES, count), replace=False))
    np.savez(options.out / "representative.npz", pictures=data.pictures(chosen))
    print(f"export: {options.out / 'weights.npz'}, {plan.parameters():,} numbers, {plan.multiplications() / 1e6:.1f} M multiplications")
    return 0


if __name__ == "__main__":
    sys.exit(main())
