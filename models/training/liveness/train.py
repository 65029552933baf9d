#!/usr/bin/env python3
"""Trains the liveness network on what prepare.py drew, by its labels and by what the teachers say.

in   --cache FOLDER with train/ and validation/, --out FOLDER, --minutes M; --start-from averaged.pt
out  OUT/averaged.pt (weights averaged over steps; the form that is used), OUT/checkpoint.pt,
     OUT/run.json (the settings, validation figures, hours), a line of progress every half minute

Losses: the label (binary cross entropy), the kind (cross entropy, which keeps the kinds apart), each
teacher's p(live) (binary cross entropy with soft targets). The rate falls by a half cosine over the
minutes. Shards that prepare.py adds meanwhile join at the next pass.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from liveness import rates
from liveness.network import Liveness
from liveness.prepare import NAMES
from liveness.teachers import NAMES as TEACHERS
from torch import Tensor
from torch.nn import functional

SMOOTHING = 0.02
CLIP = 1e-3


@dataclass
class Drawn:
    """All shards of a part, one after another."""

    folder: Path
    seen: set[str] = field(default_factory=set)
    crops: list[np.ndarray] = field(default_factory=list)
    kinds: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    scenes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    faces: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    teachers: np.ndarray = field(default_factory=lambda: np.zeros((0, len(TEACHERS)), np.float32))
    starts: list[int] = field(default_factory=lambda: [0])

    def refresh(self) -> int:
        for path in sorted(self.folder.glob("*.npz")):
            if path.name in self.seen or ".partial." in path.name:
                continue
            with np.load(path) as stored:
                self.crops.append(stored["crops"])
                for name in ("kinds", "scenes", "faces", "teachers"):
                    setattr(self, name, np.concatenate([getattr(self, name), stored[name]]))
            self.starts.append(len(self.kinds))
            self.seen.add(path.name)
        return len(self.kinds)

    def pictures(self, numbers: np.ndarray) -> np.ndarray:
        blocks = np.searchsorted(self.starts, numbers, side="right") - 1
        return np.stack([self.crops[block][number - self.starts[block]] for block, number in zip(blocks, numbers, strict=True)])


def tensor_of(pictures: np.ndarray) -> Tensor:
    values = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    return values.contiguous(memory_format=torch.channels_last)


def augmented(pictures: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Mirrored or not; moved by up to three pixels; now and then brighter, darker, of another colour, or a part covered."""
    values = tensor_of(pictures)
    for number in range(len(values)):
        one = values[number]
        if rng.random() < 0.5:
            one = one.flip(2)
        if rng.random() < 0.5:
            one = torch.roll(one, tuple(int(v) for v in rng.integers(-3, 4, 2)), (1, 2))
        if rng.random() < 0.5:
            gains = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.04, 3)).astype(np.float32)
            one = ((one + 1.0) * torch.from_numpy(gains)[:, None, None] - 1.0 + float(rng.normal(0, 0.06))).clamp(-1.0, 1.0)
        if rng.random() < 0.12:
            side = [int(v) for v in rng.integers(16, 64, 2)]
            top, left = int(rng.integers(0, 128 - side[0])), int(rng.integers(0, 128 - side[1]))
            one = one.clone()
            one[:, top : top + side[0], left : left + side[1]] = float(rng.uniform(-1, 1))
        values[number] = one
    return values


def batches(data: Drawn, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Numbers of pictures, pass after pass."""
    while True:
        order = rng.permutation(data.refresh())
        for start in range(0, len(order) - size + 1, size):
            yield order[start : start + size]


def judged(network: Liveness, data: Drawn, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label's, kinds' and teachers' logits of each picture."""
    parts: list[list[np.ndarray]] = [[], [], []]
    with torch.inference_mode():
        for start in range(0, len(numbers), 128):
            for part, made in zip(parts, network.eval()(tensor_of(data.pictures(numbers[start : start + 128]))), strict=True):
                part.append(made.numpy())
    return tuple(np.concatenate(p) for p in parts)  # type: ignore[return-value]


def figures(network: Liveness, data: Drawn) -> dict[str, float]:
    label, _, teach = judged(network, data, np.arange(len(data.kinds)))
    live = data.kinds == 0
    wanted = np.log(np.clip(data.teachers, CLIP, 1 - CLIP) / (1 - np.clip(data.teachers, CLIP, 1 - CLIP)))
    found = {"auc": rates.auc(label[live], label[~live]), "apcer_at_5": rates.apcer(label[~live], rates.threshold_at(label[live], 0.05))}
    for number, name in enumerate(TEACHERS):
        found[f"auc {name}"] = rates.auc(data.teachers[live, number], data.teachers[~live, number])
        found[f"taught {name}"] = float(np.corrcoef(teach[:, number], wanted[:, number])[0, 1])
    for number, name in enumerate(NAMES[1:], start=1):
        found[f"auc {name}"] = rates.auc(label[live], label[data.kinds == number])
    return {name: round(value, 4) for name, value in found.items()}


def loss_of(network: Liveness, pictures: Tensor, data: Drawn, numbers: np.ndarray, share: float) -> Tensor:
    label, kind, teach = network(pictures)
    kinds = torch.from_numpy(data.kinds[numbers].astype(np.int64))
    live = (kinds == 0).float() * (1.0 - 2.0 * SMOOTHING) + SMOOTHING
    soft = torch.from_numpy(np.clip(data.teachers[numbers], CLIP, 1.0 - CLIP))
    return (
        functional.binary_cross_entropy_with_logits(label, live)
        + 0.2 * functional.cross_entropy(kind, kinds)
        + share * functional.binary_cross_entropy_with_logits(teach, soft) * teach.shape[1]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--rate", type=float, default=2.5e-3)
    parser.add_argument("--teachers", type=float, default=0.4, help="weight of what each teacher says")
    parser.add_argument("--start-from", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(7)
    rng = np.random.default_rng(7)
    options.out.mkdir(parents=True, exist_ok=True)
    data, validation = Drawn(options.cache / "train"), Drawn(options.cache / "validation")
    validation.refresh()
    network = Liveness(len(NAMES), len(TEACHERS))
    if options.start_from:
        network.load_state_dict(torch.load(options.start_from, map_location="cpu", weights_only=True))
    network = network.to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(network)
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.03}, {"params": plain, "weight_decay": 0.0}], lr=options.rate)
    began, told, count, running = time.monotonic(), 0.0, 0, 0.0
    for step, numbers in enumerate(batches(data, options.batch, rng)):
        passed = (time.monotonic() - began) / 60.0 / options.minutes
        if passed >= 1.0:
            break
        rate = options.rate * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * np.cos(np.pi * passed)) + 1e-6
        for group in optimiser.param_groups:
            group["lr"] = rate
        network.train()
        loss = loss_of(network, augmented(data.pictures(numbers), rng), data, numbers, options.teachers)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        keep = min(0.997, (step + 1) / (step + 20))
        with torch.no_grad():
            for mean, value in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
                mean.copy_(value if not value.is_floating_point() else mean * keep + value * (1.0 - keep))
        count += len(numbers)
        running = loss.item() if step == 0 else 0.98 * running + 0.02 * loss.item()
        if time.monotonic() - told > 30.0:
            told = time.monotonic()
            print(f"train: {100 * passed:.0f} %, {count:,} pictures, {count / len(data.kinds):.1f} passes of {len(data.kinds):,}, {count / (told - began):.0f}/s, loss {running:.3f}", flush=True)
            if step % 4 == 0 or passed > 0.9:
                torch.save(averaged.state_dict(), options.out / "averaged.pt")
        if step % 400 == 399:
            print("train:", json.dumps(figures(averaged, validation)), flush=True)
    torch.save(averaged.state_dict(), options.out / "averaged.pt")
    torch.save({"network": network.state_dict(), "optimiser": optimiser.state_dict()}, options.out / "checkpoint.pt")
    end = figures(averaged, validation)
    run = {"minutes": options.minutes, "pictures": count, "passes": round(count / max(1, len(data.kinds)), 1), "frames": len(data.kinds), "scenes": len(np.unique(data.scenes)),
           "teachers": list(TEACHERS), "teachers_weight": options.teachers, "start_from": str(options.start_from) if options.start_from else None, "validation": end}  # fmt: skip
    (options.out / "run.json").write_text(json.dumps(run, indent=1), encoding="utf-8")
    print("train: done,", json.dumps(end), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
