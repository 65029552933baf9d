#!/usr/bin/env python3
"""Trains a liveness network (network.py) on what prepare.py drew, by its labels and by what the teachers say.

in   --view around | close, --data FOLDER (the weights that it begins with), --cache FOLDER of prepare.py, --out FOLDER, --minutes M
     --upper [STAGE]: only the stages from conv_45 (or STAGE) on learn, from maps that are made once and
     kept, of each picture and its mirror image: a tenth of the work; --start-from trained.pt: go on with
     an earlier run
out  OUT/trained.pt (averaged weights), OUT/run.json, progress

What those weights know of real attacks must not be lost to drawings: batch norms stay as they are,
weights are held near where they began, and heads go on saying what each teacher says.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from liveness import rates
from liveness.drawn import Drawn, shrunk
from liveness.network import SIDE, STAGES, UPPER, VIEWS, Liveness, begun, parted
from liveness.prepare import NAMES
from liveness.teachers import NAMES as TEACHERS
from torch import Tensor
from torch.nn import functional

# Teachers' probabilities are kept from 0 and 1 by so much, and labels by SMOOTHING.
CLIP = 1e-3
SMOOTHING = 0.02


def inputs(crops: np.ndarray) -> Tensor:
    """BGR 0 … 255, batch × 3 × 80 × 80, of drawn crops."""
    small = shrunk(crops, SIDE)
    return torch.from_numpy(np.ascontiguousarray(small[..., ::-1].transpose(0, 3, 1, 2))).float()


def shaken(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirrored or not, a little brighter or darker, of a slightly other colour."""
    for number in range(len(pictures)):
        if rng.random() < 0.5:
            pictures[number] = pictures[number].flip(2)
        if rng.random() < 0.5:
            gains = np.exp(rng.normal(0, 0.1) + rng.normal(0, 0.03, 3)).astype(np.float32)
            pictures[number] = (pictures[number] * torch.from_numpy(gains)[:, None, None]).clamp(0, 255)
    return pictures


def maps_of(network: Liveness, data: Drawn, mirrored: bool = False) -> np.ndarray:
    """What the lower part makes of every picture, or of its mirror image, as float16."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(data.kinds), 128):
            numbers = np.arange(start, min(start + 128, len(data.kinds)))
            pictures = inputs(data.pictures(numbers))
            parts.append(network.lower(pictures.flip(3) if mirrored else pictures).half().numpy())
            if start % 2560 == 0:
                print(f"train: maps {start} of {len(data.kinds)}", flush=True)
    return np.concatenate(parts)


def figures(label: np.ndarray, teach: np.ndarray, data: Drawn, shares: tuple[float, ...]) -> dict[str, float]:
    live = data.kinds == 0
    clipped = np.clip(data.teachers, CLIP, 1 - CLIP)
    wanted = np.log(clipped / (1 - clipped))
    both = wanted[:, :2].mean(1)
    shipped = label * shares[0] + teach @ np.array(shares[1:])
    found = {}
    for name, scores in (("label", label), ("teach", teach[:, :2].mean(1)), ("shipped", shipped), ("teachers", both)):
        found[f"{name} auc"] = rates.auc(scores[live], scores[~live])
        found[f"{name} agrees"] = float(np.corrcoef(scores, both)[0, 1])
        found[f"{name} apcer_at_5"] = rates.apcer(scores[~live], rates.threshold_at(scores[live], 0.05))
    for number, name in enumerate(NAMES[1:], start=1):
        found[name] = rates.auc(shipped[live], shipped[data.kinds == number])
    return {name: round(value, 4) for name, value in found.items()}


def judged(network: Liveness, data: Drawn, maps: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    labels, taught = [], []
    with torch.inference_mode():
        for start in range(0, len(data.kinds), 128):
            numbers = np.arange(start, min(start + 128, len(data.kinds)))
            made = network(inputs(data.pictures(numbers))) if maps is None else network.upper(torch.from_numpy(maps[numbers]).float())
            labels.append(made[0].numpy())
            taught.append(made[1].numpy())
    return np.concatenate(labels), np.concatenate(taught)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--view", choices=tuple(VIEWS), default="around")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--upper", nargs="?", const=UPPER, choices=STAGES[1:])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--teachers", type=float, default=1.0, help="weight of what the teachers say")
    parser.add_argument("--near", type=float, default=2e-3, help="weight of the distance from where the weights began")
    parser.add_argument("--dropout", type=float, default=0.4)
    parser.add_argument("--start-from", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(options.threads)
    torch.manual_seed(7)
    rng = np.random.default_rng(7)
    options.out.mkdir(parents=True, exist_ok=True)
    view = VIEWS[options.view]
    data, validation = Drawn(options.cache / "train", view.key), Drawn(options.cache / "validation", view.key)
    data.refresh()
    validation.refresh()
    network = begun(view, options.data)
    first = {name: value.detach().clone() for name, value in network.named_parameters()}
    if options.start_from:
        network.load_state_dict(torch.load(options.start_from, map_location="cpu", weights_only=True))
    if options.upper:
        network.lower_stages, network.upper_stages = parted(options.upper)
    maps = [maps_of(network, data), maps_of(network, data, mirrored=True)] if options.upper else None
    kept = maps_of(network, validation) if options.upper else None
    print("train: before,", json.dumps(figures(*judged(network, validation, kept), validation, view.shares)), flush=True)
    learning = {n: p for n, p in network.named_parameters() if not n.startswith("network.prob") and not (options.upper and n.split(".")[1] in network.lower_stages)}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in learning)
    averaged = copy.deepcopy(network)
    network.dropout = options.dropout
    optimiser = torch.optim.AdamW(learning.values(), lr=options.rate, weight_decay=0.0)
    began, told, count, running, step, order, at = time.monotonic(), time.monotonic(), 0, 0.0, 0, rng.permutation(len(data.kinds)), 0
    tested = time.monotonic()
    while (passed := (time.monotonic() - began) / 60.0 / options.minutes) < 1.0:
        if at + options.batch > len(order):
            if maps is None:
                data.refresh()
            order, at = rng.permutation(len(data.kinds)), 0
        numbers, at = order[at : at + options.batch], at + options.batch
        for group in optimiser.param_groups:
            group["lr"] = options.rate * min(1.0, (step + 1) / 50) * (0.5 + 0.5 * np.cos(np.pi * passed))
        label, teach = network.upper(torch.from_numpy(maps[int(rng.integers(2))][numbers]).float()) if maps is not None else network(shaken(inputs(data.pictures(numbers)), rng))
        live = torch.from_numpy((data.kinds[numbers] == 0).astype(np.float32)) * (1 - 2 * SMOOTHING) + SMOOTHING
        soft = torch.from_numpy(np.clip(data.teachers[numbers], CLIP, 1 - CLIP))
        loss = functional.binary_cross_entropy_with_logits(label, live) + options.teachers * functional.binary_cross_entropy_with_logits(teach, soft)
        away = sum(((p - first[n]) ** 2).sum() for n, p in learning.items() if n.startswith("network"))
        optimiser.zero_grad(set_to_none=True)
        (loss + options.near * away).backward()
        torch.nn.utils.clip_grad_norm_(learning.values(), 5.0)
        optimiser.step()
        step, count = step + 1, count + len(numbers)
        keep = min(0.995, step / (step + 10))
        with torch.no_grad():
            for mean, value in zip(averaged.parameters(), network.parameters(), strict=True):
                mean.lerp_(value, 1.0 - keep)
        running = loss.item() if step == 1 else 0.97 * running + 0.03 * loss.item()
        if time.monotonic() - told > 20.0:
            told = time.monotonic()
            print(f"train: {100 * passed:.0f} %, {count:,} pictures of {len(data.kinds):,}, {count / (told - began):.0f}/s, loss {running:.3f}, moved {float(away.detach()):.2f}", flush=True)
            torch.save(averaged.state_dict(), options.out / "trained.pt")
        if time.monotonic() - tested > 150.0:
            tested = time.monotonic()
            print("train:", json.dumps(figures(*judged(averaged, validation, kept), validation, view.shares)), flush=True)
    torch.save(averaged.state_dict(), options.out / "trained.pt")
    end = figures(*judged(averaged, validation, kept), validation, view.shares)
    run = {"minutes": options.minutes, "pictures": count, "frames": len(data.kinds), "scenes": len(np.unique(data.scenes)), "teachers": list(TEACHERS), "view": options.view, "begun_with": view.begun_with,
           "upper": options.upper, "start_from": str(options.start_from) if options.start_from else None, "validation": end}  # fmt: skip
    (options.out / "run.json").write_text(json.dumps(run, indent=1), encoding="utf-8")
    print("train: done,", json.dumps(end), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
