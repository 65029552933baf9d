#!/usr/bin/env python3
"""Trains a liveness network that begins with the public weights of MiniFASNetV1SE, whose view is ours.

in   --data FOLDER (the weights), --cache FOLDER of prepare.py, --out FOLDER, --minutes M
     --upper: only what comes after the fourth stage learns, from maps that are made once and kept;
     --start-from adapted.pt: go on with an earlier run
out  OUT/adapted.pt (averaged weights of Adapted), OUT/run.json, progress

What those weights know of real attacks must not be lost to drawings: batch norms stay as they are,
weights are held near where they began, and heads go on saying what each teacher says. The one logit
that ships is a weighted sum of the label's head and the teachers' (`SHARES`).
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
from dataset import file_of
from liveness import minifasnet, rates
from liveness.prepare import NAMES
from liveness.teachers import NAMES as TEACHERS
from liveness.train import CLIP, SMOOTHING, Drawn
from torch import Tensor, nn
from torch.nn import functional

BEGUN_WITH = "minifasnet-v1se"
LOWER = ("conv1", "conv2_dw", "conv_23", "conv_3", "conv_34", "conv_4")
UPPER = ("conv_45", "conv_5", "conv_6_sep", "conv_6_dw")
# Of the label's logit and of what each teacher would say, in the logit that ships.
SHARES = (0.5, 0.25, 0.25, 0.0)


class Adapted(nn.Module):
    def __init__(self, network: minifasnet.MiniFASNet) -> None:
        super().__init__()
        self.network, self.dropout = network, 0.0
        features = network.prob.weight.shape[1]
        self.label, self.teach = nn.Linear(features, 1), nn.Linear(features, len(TEACHERS))
        with torch.no_grad():
            prob = network.prob.weight
            live = prob[minifasnet.LIVE] - (prob.sum(0) - prob[minifasnet.LIVE]) / (len(prob) - 1)
            for head in (self.label, self.teach):
                head.weight.copy_(live[None].expand_as(head.weight))
                head.bias.zero_()

    def lower(self, pictures: Tensor) -> Tensor:
        for name in LOWER:
            pictures = getattr(self.network, name)(pictures)
        return pictures

    def upper(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Logits: the label's, batch; and each teacher's."""
        for name in UPPER:
            maps = getattr(self.network, name)(maps)
        values = self.network.bn(self.network.linear(maps.flatten(1)))
        values = functional.dropout(values, self.dropout, self.dropout > 0.0)
        return self.label(values)[:, 0], self.teach(values)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return self.upper(self.lower(pictures))


def inputs(crops: np.ndarray) -> Tensor:
    """BGR 0 … 255, batch × 3 × 80 × 80, of drawn crops."""
    small = np.stack([cv2.resize(c, (minifasnet.SIDE,) * 2, interpolation=cv2.INTER_AREA) for c in crops])
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


def maps_of(network: Adapted, data: Drawn) -> np.ndarray:
    """What the lower part makes of every picture, as float16."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(data.kinds), 128):
            numbers = np.arange(start, min(start + 128, len(data.kinds)))
            parts.append(network.lower(inputs(data.pictures(numbers))).half().numpy())
            if start % 2560 == 0:
                print(f"adapt: maps {start} of {len(data.kinds)}", flush=True)
    return np.concatenate(parts)


def figures(label: np.ndarray, teach: np.ndarray, data: Drawn, shares: tuple[float, ...] = SHARES) -> dict[str, float]:
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


def judged(network: Adapted, data: Drawn, maps: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
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
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--upper", action="store_true")
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
    data, validation = Drawn(options.cache / "train"), Drawn(options.cache / "validation")
    data.refresh()
    validation.refresh()
    network = Adapted(minifasnet.read(file_of(BEGUN_WITH, options.data))).eval()
    begun = {name: value.detach().clone() for name, value in network.named_parameters()}
    if options.start_from:
        network.load_state_dict(torch.load(options.start_from, map_location="cpu", weights_only=True))
    maps = maps_of(network, data) if options.upper else None
    kept = maps_of(network, validation) if options.upper else None
    print("adapt: before,", json.dumps(figures(*judged(network, validation, kept), validation)), flush=True)
    learning = {n: p for n, p in network.named_parameters() if not n.startswith("network.prob") and not (options.upper and n.split(".")[1] in LOWER)}
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
        label, teach = network.upper(torch.from_numpy(maps[numbers]).float()) if maps is not None else network(shaken(inputs(data.pictures(numbers)), rng))
        live = torch.from_numpy((data.kinds[numbers] == 0).astype(np.float32)) * (1 - 2 * SMOOTHING) + SMOOTHING
        soft = torch.from_numpy(np.clip(data.teachers[numbers], CLIP, 1 - CLIP))
        loss = functional.binary_cross_entropy_with_logits(label, live) + options.teachers * functional.binary_cross_entropy_with_logits(teach, soft)
        away = sum(((p - begun[n]) ** 2).sum() for n, p in learning.items() if n.startswith("network"))
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
            print(f"adapt: {100 * passed:.0f} %, {count:,} pictures of {len(data.kinds):,}, {count / (told - began):.0f}/s, loss {running:.3f}, moved {float(away.detach()):.2f}", flush=True)
            torch.save(averaged.state_dict(), options.out / "adapted.pt")
        if time.monotonic() - tested > 150.0:
            tested = time.monotonic()
            print("adapt:", json.dumps(figures(*judged(averaged, validation, kept), validation)), flush=True)
    torch.save(averaged.state_dict(), options.out / "adapted.pt")
    end = figures(*judged(averaged, validation, kept), validation)
    run = {"minutes": options.minutes, "pictures": count, "frames": len(data.kinds), "scenes": len(np.unique(data.scenes)), "teachers": list(TEACHERS), "begun_with": BEGUN_WITH,
           "upper": options.upper, "start_from": str(options.start_from) if options.start_from else None, "validation": end}  # fmt: skip
    (options.out / "run.json").write_text(json.dumps(run, indent=1), encoding="utf-8")
    print("adapt: done,", json.dumps(end), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
