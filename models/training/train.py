#!/usr/bin/env python3
"""Trains a network of topology.py from the prepared faces: resumable, seeded, with curves as it goes.

in   --cache FOLDER (prepare.py, people.py, blend.py), --out FOLDER, --network KIND, --pictures N (the
     schedule's length)
out  OUT/checkpoint.pt  everything that is needed to go on
     OUT/averaged.pt    the averaged weights, what convert.py takes
     OUT/curves.csv, OUT/curves.png  losses and validation as training goes
     OUT/run.json       what it was given and how long it took

The learning rate falls by a half cosine over N pictures, or over --minutes of training where these
are over sooner: a run on a slow machine then still ends well, only earlier.
Invariants: never looks at LFW, nor at the people held back for calibration; an interrupted run goes
on from its last checkpoint (the order of pictures depends on seed and step alone).
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
import time
from pathlib import Path

import cv2
import faces
import numpy as np
import torch
from batches import Batches, as_input, features_of, tensor
from cached import Data, load
from curves import draw
from losses import Signals, person_means
from network import build, start_from
from scores import comparisons, miss_rate_at
from topology import KINDS

AVERAGE_DECAY = 0.999
WARM_UP_STEPS = 200
# What the signals of a lower level, or of one network of an ensemble, weigh beside the features' own.
LEVELS_WEIGHT = 0.5
# What a run is made of, and goes on from.
STATES = ("network", "signals", "level_signals", "averaged", "optimiser")
CHECKPOINT_SECONDS = 120.0
# A schedule ends long before; the loader wants a number.
STEPS_MAX = 10**9


def checkpoint_of_kind(path: Path, kind: str) -> dict[str, dict[str, torch.Tensor]]:
    """Of another run's checkpoint.pt what a new one of the same kind may begin with: averaged weights, signals."""
    document = torch.load(path, map_location="cpu", weights_only=True)
    if not set(STATES) <= set(document):
        raise SystemExit(f"train: {path} is no checkpoint of a run, which has {', '.join(STATES)}; give OUT/checkpoint.pt, or a DeepID2 .tflite")
    averaged = {name.removeprefix("module."): value for name, value in document["averaged"].items() if name != "n_averaged"}
    if {name: value.shape for name, value in averaged.items()} != {name: value.shape for name, value in build(kind).state_dict().items()}:
        raise SystemExit(f"train: {path} is of another kind of network than '{kind}'; its run.json beside it says which")
    return {"averaged": averaged, "signals": document["signals"], "level_signals": document["level_signals"]}


class Run:
    """The state of one training run."""

    def __init__(self, options: argparse.Namespace, data: Data) -> None:
        torch.manual_seed(options.seed)
        self.options, self.data = options, data
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.kind = KINDS[options.network]
        self.network = build(options.network)
        known = checkpoint_of_kind(options.start_from, options.network) if options.start_from and options.start_from.suffix == ".pt" else None
        if known:
            self.network.load_state_dict(known["averaged"])
        elif options.start_from:
            from tflite_weights import read as read_weights

            some = np.random.default_rng(options.seed).choice(data.train, min(512, len(data.train)), replace=False)
            start_from(self.network, read_weights(options.start_from), tensor([faces.frame(data.crop(int(i)), self.kind.frame) for i in some]))
        self.network.to(self.device, memory_format=torch.channels_last)
        means = None
        if data.teacher is not None:
            of = data.persons[data.train]
            means = person_means(torch.from_numpy(data.teacher[data.train]), torch.from_numpy(of), data.people)
        self.signals = Signals(self.kind.features, means, data.people).to(self.device)
        levels = [Signals(self.kind.topology.features, means, data.people) for _ in range(self.kind.levels)]
        self.level_signals = torch.nn.ModuleList(levels).to(self.device)
        if known:
            self.signals.load_state_dict(known["signals"])
            self.level_signals.load_state_dict(known["level_signals"])
        self.averaged = torch.optim.swa_utils.AveragedModel(
            self.network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGE_DECAY), use_buffers=True
        )
        decayed = [p for p in self.network.parameters() if p.dim() > 1]
        plain = [p for p in self.network.parameters() if p.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": plain, "weight_decay": 0.0},
                  {"params": [*self.signals.parameters(), *self.level_signals.parameters()], "weight_decay": options.weight_decay}]  # fmt: skip
        self.optimiser = torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)
        self.step, self.seconds = 0, 0.0

    def progress(self) -> float:
        by_pictures = self.step * self.options.batch / self.options.pictures
        by_time = self.seconds / (60.0 * self.options.minutes) if self.options.minutes else 0.0
        return min(1.0, max(by_pictures, by_time))

    def learn(self, indices: np.ndarray, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        rate = self.options.learning_rate * 0.5 * (1.0 + math.cos(math.pi * self.progress()))
        for group in self.optimiser.param_groups:
            group["lr"] = rate * min(1.0, (self.step + 1) / WARM_UP_STEPS)
        self.network.train()
        wanted = None if self.data.teacher is None else torch.from_numpy(self.data.teacher[indices]).to(self.device)
        persons = torch.from_numpy(self.data.persons[indices]).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.precision == "bfloat16"):
            made = self.network.levels(as_input(pictures.to(self.device, non_blocking=True)))
        features, *levels = (vectors.float() for vectors in made)
        loss, parts = self.signals(features, wanted, persons)
        for signals, of_level in zip(self.level_signals, levels, strict=True):
            loss = loss + LEVELS_WEIGHT / len(levels) * signals(of_level, wanted, persons)[0]
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.averaged.update_parameters(self.network)
        self.step += 1
        return {"loss": loss.detach(), "rate": torch.tensor(rate), **parts}

    def validate(self) -> dict[str, float]:
        """Missed true matches among the people held back, one plain crop each, centred cosine, weighed as export.py does."""
        features = features_of(self.averaged.module.eval(), self.data, self.data.validation, self.kind.frame, self.device)
        if self.signals.projection is not None:
            features = features @ self.signals.projection.weight.detach().cpu().numpy().T
        mated, others = comparisons(features, self.data.persons[self.data.validation])
        return {f"miss_at_{rate:g}": miss_rate_at(mated, others, rate) for rate in (1e-2, 1e-3)}

    def save(self, path: Path) -> None:
        document = {
            **{name: getattr(self, name).state_dict() for name in STATES},
            "step": self.step, "seconds": self.seconds,
        }  # fmt: skip
        torch.save(document, path.with_suffix(".partial"))
        path.with_suffix(".partial").rename(path)
        torch.save(self.averaged.module.state_dict(), path.with_name("averaged.pt"))

    def resume(self, path: Path) -> None:
        document = torch.load(path, map_location=self.device, weights_only=True)
        for name in STATES:
            getattr(self, name).load_state_dict(document[name])
        self.step, self.seconds = document["step"], document["seconds"]


def run(options: argparse.Namespace) -> int:
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True
    cv2.setNumThreads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    data = load(options.cache, options.teachers, not options.memory_mapped)
    state = Run(options, data)
    kind = state.kind
    print(f"train: {kind.title}: {kind.parameters():,} parameters, {kind.operations():,} multiply-accumulates, on {state.device}")
    print(f"train: {len(data.train)} faces, {data.people} people, {len(data.validation)} faces held back, teachers {options.teachers}")
    checkpoint = options.out / "checkpoint.pt"
    if checkpoint.exists():
        state.resume(checkpoint)
        print(f"train: goes on from step {state.step} ({100 * state.progress():.1f} %)")
    batches = Batches(data, options.batch, options.seed, kind.frame)
    with (options.out / "curves.csv").open("a", encoding="utf-8", newline="") as table:
        writer = csv.writer(table)
        follow(state, batches, writer, table, checkpoint)
    state.save(checkpoint)
    draw(options.out / "curves.csv", options.out / "curves.png")
    facts = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()}
    facts |= {"steps": state.step, "seconds": round(state.seconds), "pictures_seen": state.step * options.batch,
              "faces": len(data.train), "people": data.people, "passes": round(state.step * options.batch / len(data.train), 1)}  # fmt: skip
    (options.out / "run.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(f"train: done: {facts['passes']} passes, {state.seconds / 60:.0f} min of training")
    return 0


def follow(state: Run, batches: Batches, writer, table, checkpoint: Path) -> None:
    """Trains to the end; every so often a line, a row of the curves, a checkpoint."""
    options, sums, count = state.options, {}, 0
    coming = torch.utils.data.DataLoader(
        batches, batch_size=None, sampler=range(state.step, STEPS_MAX), num_workers=options.workers, pin_memory=state.device.type == "cuda"
    )
    began = saved = reported = time.monotonic()
    for indices, pictures in coming:
        for name, value in state.learn(indices.numpy(), pictures).items():
            sums[name] = sums.get(name, 0.0) + value
        count += 1
        state.seconds, began = state.seconds + time.monotonic() - began, time.monotonic()
        if state.step % options.report_steps == 0 or state.progress() >= 1.0:
            means = {name: float(value) / count for name, value in sums.items()} | state.validate()
            speed = count * options.batch / (time.monotonic() - reported)
            text = ", ".join(f"{n} {v:.4g}" for n, v in means.items())
            print(f"train: {100 * state.progress():.1f} %, step {state.step}, {speed:.0f} pictures/s, {text}", flush=True)
            for name, value in means.items():
                writer.writerow([state.step * options.batch, name, f"{value:.6g}"])
            table.flush()
            draw(options.out / "curves.csv", options.out / "curves.png")
            sums, count = {}, 0
            began = reported = time.monotonic()
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            state.save(checkpoint)
            saved = time.monotonic()
        if state.progress() >= 1.0:
            return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--network", choices=tuple(KINDS), default="deepid2")
    parser.add_argument("--pictures", type=int, default=8_000_000, help="pictures shown in all")
    parser.add_argument("--minutes", type=float, help="of training at most; the schedule ends then")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--weight-decay", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that augment pictures, each 5,000 to 8,000 a second")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of the network's forward and backward pass; signals and weights stay float32. bfloat16 is about twice as fast where processor or GPU multiply it (AMX, Ampere), and slower elsewhere")
    parser.add_argument("--teachers", nargs="*", default=["mobilefacenet"])
    parser.add_argument("--start-from", type=Path, help="instead of random weights: the averaged weights and the signals of a checkpoint.pt of the same kind, or a DeepID2 .tflite for one network or each of an ensemble")
    parser.add_argument("--report-steps", type=int, default=500)
    parser.add_argument("--memory-mapped", action="store_true", help="leave the crops on the disk")
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
