#!/usr/bin/env python3
"""Trains the network (network.py) on what prepare.py drew.

in   --cache FOLDER with train/ and validation/, --subjects FILE.npz, --out FOLDER, --pictures N; photographs in which
     somebody saw real covers (seen.py), whose labels count beside what is drawn
out  OUT/trained.pt (averaged weights), OUT/run.json, progress. OUT/checkpoint.pt is written on the way: whoever is
     interrupted goes on from there

A part of the photographs show real sunglasses, hands and masks, although they are taken for uncovered. After a
third of the way those that the averaged network is sure of are left out, and listed in OUT/doubted.csv, so that
somebody can look at them.
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
from covered import crops, drawing, regions, seen
from covered.drawn import Drawn
from covered.network import Covered
from torch import Tensor
from torch.nn import functional

# Of what is drawn without a cover, what the network is so sure of is not learnt from.
DOUBTED = 0.8
MISTAKEN = 0.02
TESTED_EVERY = 25_000


def shaken(large: np.ndarray, rng: np.random.Generator) -> Tensor:
    """The network's crops, each turned, moved, resized, mirrored and recoloured a little; batch × 3 × HEIGHT × WIDTH, 0 … 255."""
    made = np.empty((len(large), crops.HEIGHT, crops.WIDTH, 3), np.uint8)
    middle = np.array([crops.LARGE_WIDTH, crops.LARGE_HEIGHT]) / 2.0
    for number, picture in enumerate(large):
        angle, scale = rng.normal(0, 0.07), crops.DETAIL * np.exp(rng.normal(0, 0.05))
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * np.array([rng.choice([-1.0, 1.0]), 1.0])
        # OpenCV counts pixel centres as whole numbers.
        offset = middle + rng.normal(0, 0.035, 2) * middle - turn @ np.array([crops.WIDTH / 2, crops.HEIGHT / 2]) + turn @ np.array([0.5, 0.5]) - 0.5
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(picture, np.hstack([turn, offset[:, None]]), (crops.WIDTH, crops.HEIGHT), made[number], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    gains = torch.from_numpy(np.exp(rng.normal(0, 0.12, (len(large), 1)) + rng.normal(0, 0.04, (len(large), 3)))).float()
    pictures = torch.from_numpy(made).permute(0, 3, 1, 2).float()
    pictures = pictures * gains[:, :, None, None] + torch.from_numpy(rng.normal(0, 6, (len(large), 1, 1, 1))).float()
    return pictures.clamp_(0, 255)


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


def taught(data: Drawn, files: np.ndarray, known: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Labels with what was seen in the photographs, and which drawings are left out."""
    labels, out = data.labels.copy(), np.zeros(len(data.kinds), bool)
    for number, photograph in enumerate(data.photographs):
        said = known.get(str(files[photograph]).removeprefix("fair_face/"))
        if not said:
            continue
        if said == "doubtful":
            out[number] = True
            continue
        for name in said.split():
            labels[number, regions.NAMES.index(name)] = 1
        for at, name in enumerate(regions.NAMES):
            # Of sunglasses the brows, of a mask the cheeks are told by nobody.
            if labels[number, at] == 0 and (name == "cheeks" or (name == "brows" and "eyes" in said)):
                labels[number, at] = regions.NEITHER
    return labels, out


def doubted_drawings(data: Drawn, labels: np.ndarray, photographs: np.ndarray) -> np.ndarray:
    """What is drawn without a cover on photographs that seem to show one."""
    return np.isin(data.photographs, photographs) & data.free & ~(labels == 1).any(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--subjects", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=600_000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--start-from", type=Path)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="bfloat16 is about twice as fast where the processor multiplies it")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(options.threads)
    torch.manual_seed(7)
    rng = np.random.default_rng(7)
    options.out.mkdir(parents=True, exist_ok=True)
    with np.load(options.subjects) as stored:
        files = stored["files"]
    known = seen.read()
    data, validation = Drawn(options.cache / "train"), Drawn(options.cache / "validation")
    validation.refresh()
    data.refresh()
    labels, out = taught(data, files, known)
    known_clean = seen.free(files, known)[validation.photographs]
    network = Covered().to(memory_format=torch.channels_last)
    if options.start_from:
        network.load_state_dict(torch.load(options.start_from, map_location="cpu", weights_only=True))
    averaged = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=0.02)
    count, running, step, at, cleaned = 0, 0.0, 0, 0, False
    kept = options.out / "checkpoint.pt"
    if kept.is_file():
        state = torch.load(kept, map_location="cpu", weights_only=False)
        network.load_state_dict(state["network"])
        averaged.load_state_dict(state["averaged"])
        optimiser.load_state_dict(state["optimiser"])
        count, step, rng, doubted = state["count"], state["step"], state["rng"], state["doubted"]
        cleaned = doubted is not None
        if doubted is not None:
            out |= doubted_drawings(data, labels, doubted)
    doubted = None if not kept.is_file() else doubted
    began, told, tested, since = time.monotonic(), time.monotonic(), count, count
    order = rng.permutation(np.flatnonzero(~out))
    while (passed := count / options.pictures) < 1.0:
        if at + options.batch > len(order):
            if data.refresh() != len(labels):
                labels, out = taught(data, files, known)
                if doubted is not None:
                    out |= doubted_drawings(data, labels, doubted)
            order, at = rng.permutation(np.flatnonzero(~out)), 0
        if not cleaned and passed > 0.35:
            cleaned = True
            free = np.flatnonzero(data.free & ~out & ~(labels == 1).any(1))
            found = asked(averaged, data, free)
            doubted = np.unique(data.photographs[free[found.max(1) > DOUBTED]])
            out |= doubted_drawings(data, labels, doubted)
            sure = [f"{files[data.photographs[number]]},{regions.NAMES[parts.argmax()]},{parts.max():.3f}" for number, parts in zip(free, found, strict=True) if parts.max() > DOUBTED]
            (options.out / "doubted.csv").write_text("file,covered,probability\n" + "\n".join(sorted(sure)) + "\n", encoding="utf-8")
            print(f"train: left out what shows {len(doubted)} of {len(np.unique(data.photographs))} photographs uncovered", flush=True)
            order, at = rng.permutation(np.flatnonzero(~out)), 0
        numbers, at = order[at : at + options.batch], at + options.batch
        for group in optimiser.param_groups:
            group["lr"] = options.rate * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * np.cos(np.pi * passed))
        network.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bfloat16"):
            logits = network(shaken(data.pictures(numbers), rng))
        logits = logits.float()
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
            print(f"train: {100 * passed:.0f} %, {count:,} pictures of {len(data.kinds):,}, {(count - since) / (told - began):.0f}/s, loss {running:.4f}", flush=True)
        if count - tested >= TESTED_EVERY:
            found = asked(averaged, validation, np.arange(len(validation.kinds)))
            print("train:", json.dumps(figures(found, validation, known_clean)), flush=True)
            torch.save(averaged.state_dict(), options.out / "trained.pt")
            state = {"network": network.state_dict(), "averaged": averaged.state_dict(), "optimiser": optimiser.state_dict(), "count": count, "step": step, "rng": rng, "doubted": doubted}
            torch.save(state, kept.with_suffix(".partial"))
            kept.with_suffix(".partial").rename(kept)
            tested = count
    torch.save(averaged.state_dict(), options.out / "trained.pt")
    found = asked(averaged, validation, np.arange(len(validation.kinds)))
    run = {"pictures": count, "drawings": len(data.kinds), "photographs": len(np.unique(data.photographs)), "left_out": int(out.sum()), "validation": figures(found, validation, known_clean)}
    kept.unlink(missing_ok=True)
    (options.out / "run.json").write_text(json.dumps(run, indent=1), encoding="utf-8")
    print("train: done,", json.dumps(run["validation"]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
