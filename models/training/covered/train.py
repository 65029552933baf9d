#!/usr/bin/env python3
"""Trains the network (network.py) on what prepare.py drew.

in   --cache FOLDER with train/ and validation/, --out FOLDER, --minutes M; --seen FILE: photographs in which
     somebody has seen real covers (seen.csv), whose labels count in place of none
out  OUT/trained.pt (averaged weights), OUT/run.json, progress

A part of the photographs show real sunglasses, hands and masks, although they are taken for uncovered. After a
third of the time those that the averaged network is sure of are left out.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from covered import crops, drawing, regions
from covered.drawn import Drawn
from covered.network import Covered
from torch import Tensor
from torch.nn import functional

# Of what is drawn without a cover, what the network is so sure of is not learnt from.
DOUBTED = 0.8
MISTAKEN = 0.02


def shaken(large: np.ndarray, rng: np.random.Generator) -> Tensor:
    """The network's crops, each turned, moved, resized, mirrored and recoloured a little; batch × 3 × HEIGHT × WIDTH, 0 … 255."""
    count = len(large)
    pictures = torch.from_numpy(large).permute(0, 3, 1, 2).float()
    angle = torch.from_numpy(rng.normal(0, 0.07, count)).float()
    scale = torch.from_numpy(np.exp(rng.normal(0, 0.05, count))).float()
    flip = torch.from_numpy(rng.choice([-1.0, 1.0], count)).float()
    inner = (crops.WIDTH / (crops.WIDTH + 2 * crops.MARGIN), crops.HEIGHT / (crops.HEIGHT + 2 * crops.MARGIN))
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = torch.cos(angle) * scale * inner[0] * flip, -torch.sin(angle) * scale * inner[1]
    theta[:, 1, 0], theta[:, 1, 1] = torch.sin(angle) * scale * inner[0] * flip, torch.cos(angle) * scale * inner[1]
    theta[:, :, 2] = torch.from_numpy(rng.normal(0, 0.035, (count, 2))).float()
    grid = functional.affine_grid(theta, [count, 3, crops.HEIGHT, crops.WIDTH], align_corners=False)
    made = functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
    gains = torch.from_numpy(np.exp(rng.normal(0, 0.12, (count, 1)) + rng.normal(0, 0.04, (count, 3)))).float()
    made = made * gains[:, :, None, None] + torch.from_numpy(rng.normal(0, 6, (count, 1, 1, 1))).float()
    return made.clamp(0, 255).to(memory_format=torch.channels_last)


def asked(network: Covered, data: Drawn, numbers: np.ndarray) -> np.ndarray:
    """Probabilities, pictures × regions."""
    network.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(numbers), 256):
            plain = torch.from_numpy(data.plain(numbers[start : start + 256])).permute(0, 3, 1, 2).float()
            parts.append(torch.sigmoid(network(plain)).numpy())
    return np.concatenate(parts)


def figures(found: np.ndarray, data: Drawn, clean: np.ndarray) -> dict[str, float]:
    """At the threshold that refuses a fiftieth of the uncovered: which share of each kind of cover is refused."""
    free, most = data.free & clean, found.max(1)
    covers = (data.labels == 1).any(1)
    threshold = float(np.quantile(most[free], 0.98)) if free.any() else 0.5
    named = {name: float((most[covers & (data.kinds == drawing.NAMES.index(name))] > threshold).mean()) for name in drawing.COVERS if (covers & (data.kinds == drawing.NAMES.index(name))).any()}
    return {name: round(value, 4) for name, value in {"threshold": threshold, "refused": float((most[covers] > threshold).mean()), **named}.items()}


def seen_labels(path: Path | None) -> dict[str, str]:
    """What somebody saw in a photograph: file → which regions, or "doubtful"."""
    if path is None:
        return {}
    with path.open(encoding="utf-8", newline="") as stored:
        return {row["file"]: row["covered"] for row in csv.DictReader(stored)}


def taught(data: Drawn, files: np.ndarray, seen: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Labels with what was seen in the photographs, and which drawings are left out."""
    labels, out = data.labels.copy(), np.zeros(len(data.kinds), bool)
    for number, photograph in enumerate(data.photographs):
        said = seen.get(str(files[photograph]))
        if said is None:
            continue
        if said == "doubtful":
            out[number] = True
            continue
        for name in said.split():
            labels[number, regions.NAMES.index(name)] = 1
        for at, name in enumerate(regions.NAMES):
            # Of sunglasses the brows, of a mask the cheeks are told by nobody.
            if labels[number, at] == 0 and ((name == "brows" and "eyes" in said) or (name == "cheeks" and said)):
                labels[number, at] = regions.NEITHER
    return labels, out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--subjects", type=Path, required=True)
    parser.add_argument("--seen", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--start-from", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(options.threads)
    torch.manual_seed(7)
    rng = np.random.default_rng(7)
    options.out.mkdir(parents=True, exist_ok=True)
    with np.load(options.subjects) as stored:
        files = stored["files"]
    seen = seen_labels(options.seen)
    data, validation = Drawn(options.cache / "train"), Drawn(options.cache / "validation")
    validation.refresh()
    data.refresh()
    labels, out = taught(data, files, seen)
    known_clean = ~np.isin(files[validation.photographs], list(seen)) if seen else np.ones(len(validation.kinds), bool)
    network = Covered().to(memory_format=torch.channels_last)
    if options.start_from:
        network.load_state_dict(torch.load(options.start_from, map_location="cpu", weights_only=True))
    averaged = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=0.02)
    began = told = tested = time.monotonic()
    count, running, step, at, cleaned = 0, 0.0, 0, 0, False
    order = rng.permutation(np.flatnonzero(~out))
    while (passed := (time.monotonic() - began) / 60.0 / options.minutes) < 1.0:
        if at + options.batch > len(order):
            if data.refresh() != len(labels):
                more, left = taught(data, files, seen)
                left[: len(out)] |= out
                labels, out = more, left
            order, at = rng.permutation(np.flatnonzero(~out)), 0
        if not cleaned and passed > 0.35:
            cleaned = True
            free = np.flatnonzero(data.free[: len(out)] & ~out & ~(labels == 1).any(1))
            doubtful = free[asked(averaged, data, free).max(1) > DOUBTED]
            out[np.isin(data.photographs[: len(out)], np.unique(data.photographs[doubtful])) & data.free[: len(out)] & ~(labels == 1).any(1)] = True
            print(f"train: left out {len(doubtful)} of {len(free)} uncovered drawings", flush=True)
            order, at = rng.permutation(np.flatnonzero(~out)), 0
        numbers, at = order[at : at + options.batch], at + options.batch
        for group in optimiser.param_groups:
            group["lr"] = options.rate * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * np.cos(np.pi * passed))
        network.train()
        logits = network(shaken(data.pictures(numbers), rng))
        wanted = torch.from_numpy(labels[numbers].astype(np.float32))
        counts = (wanted >= 0).float()
        losses = functional.binary_cross_entropy_with_logits(logits, wanted.clamp(0, 1) * (1 - 2 * MISTAKEN) + MISTAKEN, reduction="none")
        loss = (losses * counts).sum() / counts.sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        step, count = step + 1, count + len(numbers)
        keep = min(0.997, step / (step + 20))
        with torch.no_grad():
            for mean, value in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
                if mean.dtype.is_floating_point:
                    mean.lerp_(value, 1.0 - keep)
        running = loss.item() if step == 1 else 0.98 * running + 0.02 * loss.item()
        if time.monotonic() - told > 20.0:
            told = time.monotonic()
            print(f"train: {100 * passed:.0f} %, {count:,} pictures of {len(data.kinds):,}, {count / (told - began):.0f}/s, loss {running:.4f}", flush=True)
        if time.monotonic() - tested > 180.0:
            found = asked(averaged, validation, np.arange(len(validation.kinds)))
            print("train:", json.dumps(figures(found, validation, known_clean)), flush=True)
            torch.save(averaged.state_dict(), options.out / "trained.pt")
            tested = time.monotonic()
    torch.save(averaged.state_dict(), options.out / "trained.pt")
    found = asked(averaged, validation, np.arange(len(validation.kinds)))
    run = {"minutes": options.minutes, "pictures": count, "drawings": len(data.kinds), "photographs": len(np.unique(data.photographs)), "left_out": int(out.sum()), "validation": figures(found, validation, known_clean)}
    (options.out / "run.json").write_text(json.dumps(run, indent=1), encoding="utf-8")
    print("train: done,", json.dumps(run["validation"]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
