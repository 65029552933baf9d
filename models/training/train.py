#!/usr/bin/env python3
"""Trains a network of topology.py from the prepared faces: resumable, seeded, with curves as it goes.

in   --cache FOLDER (prepare.py, people.py), --out FOLDER, --network KIND, --pictures N (the
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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import augment
import cv2
import faces
import numpy as np
import torch
from curves import draw
from losses import Signals, person_means
from network import build, start_from
from scores import comparisons, miss_rate_at
from topology import KINDS, Frame

# Of a batch, one half goes through all faces in turn, the other shows several pictures of each of
# some people: by chance alone a batch would hold no two pictures of anybody.
PICTURES_OF_A_PERSON = 4
AVERAGE_DECAY = 0.999
WARM_UP_STEPS = 200
# What the signals of a lower level, or of one network of an ensemble, weigh beside the features' own.
LEVELS_WEIGHT = 0.5
# What a run is made of, and goes on from.
STATES = ("network", "signals", "level_signals", "averaged", "optimiser")
CHECKPOINT_SECONDS = 120.0
VALIDATION_FACES_MAX = 3000


@dataclass
class Data:
    """Crops of every set one after another, and what is known of each face that is trained on."""

    crops: list[np.ndarray]
    starts: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    persons: np.ndarray
    people: int
    members: list[np.ndarray]
    teacher: np.ndarray | None

    def crop(self, index: int) -> np.ndarray:
        block = int(np.searchsorted(self.starts, index, side="right")) - 1
        return self.crops[block][index - self.starts[block]]


def load(cache: Path, teachers: list[str], in_memory: bool) -> Data:
    sets = json.loads((cache / "people.json").read_text(encoding="utf-8"))["sets"]
    parts = np.concatenate([np.array(s["parts"]) for s in sets.values()])
    persons = np.concatenate([np.array(s["persons"]) for s in sets.values()])
    counts = [len(s["parts"]) for s in sets.values()]
    # np.load without mmap keeps pages that a busy machine would otherwise read again and again.
    crops = [np.load(cache / f"{name}.wide.npy", mmap_mode=None if in_memory else "r") for name in sets]
    vectors = [np.concatenate([np.load(cache / f"{s}.{t}.npy") for s in sets]).astype(np.float32) for t in teachers]
    # Several teachers side by side: the cosine of the whole is the mean of their cosines.
    teacher = np.concatenate(vectors, axis=1) / np.float32(len(vectors) ** 0.5) if vectors else None
    train = np.flatnonzero((parts == "train") | (parts == "label"))
    labels = np.full(len(parts), -1)
    named = np.flatnonzero((parts == "train") & (persons >= 0))
    classes, labels[named] = np.unique(persons[named], return_inverse=True)
    members = np.split(named[np.argsort(labels[named], kind="stable")], np.cumsum(np.bincount(labels[named]))[:-1]) if len(named) else []
    validation = np.flatnonzero(parts == "validation")[:VALIDATION_FACES_MAX]
    labels[validation] = persons[validation]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return Data(crops, starts, train, validation, labels, len(classes), [m for m in members if len(m) > 1], teacher)


def tensor(pictures: list[np.ndarray]) -> torch.Tensor:
    values = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
    return (values / 127.5 - 1.0).contiguous(memory_format=torch.channels_last)


class Batches:
    """Batch k of a seed is always the same, whatever was trained before."""

    def __init__(self, data: Data, batch: int, seed: int, frame: Frame) -> None:
        self.data, self.batch, self.seed, self.frame = data, batch, seed, frame
        self.groups = batch // 2 // PICTURES_OF_A_PERSON if data.members else 0
        self.in_turn = batch - self.groups * PICTURES_OF_A_PERSON
        self.per_pass = len(data.train) // self.in_turn
        if self.per_pass == 0:
            raise SystemExit(f"train: {len(data.train)} faces are fewer than a batch of {batch} needs")
        self.order: tuple[int, np.ndarray] | None = None

    def indices(self, step: int) -> np.ndarray:
        number, place = divmod(step, self.per_pass)
        if self.order is None or self.order[0] != number:
            self.order = (number, np.random.default_rng((self.seed, number)).permutation(self.data.train))
        rng = np.random.default_rng((self.seed, step, 2))
        chosen = rng.choice(len(self.data.members), self.groups, replace=self.groups > len(self.data.members)) if self.groups else []
        pictures = [rng.choice(m, PICTURES_OF_A_PERSON, replace=len(m) < PICTURES_OF_A_PERSON) for m in (self.data.members[i] for i in chosen)]
        return np.concatenate([self.order[1][place * self.in_turn : (place + 1) * self.in_turn], *pictures])

    def make(self, step: int, indices: np.ndarray) -> torch.Tensor:
        rng = np.random.default_rng((self.seed, step, 1))
        return tensor([augment.augmented(self.data.crop(int(i)), rng, self.frame) for i in indices])


class Run:
    """The state of one training run."""

    def __init__(self, options: argparse.Namespace, data: Data) -> None:
        torch.manual_seed(options.seed)
        self.options, self.data = options, data
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.kind = KINDS[options.network]
        self.network = build(options.network)
        if options.start_from:
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
        self.averaged = torch.optim.swa_utils.AveragedModel(
            self.network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGE_DECAY), use_buffers=True
        )
        decayed = [p for p in self.network.parameters() if p.dim() > 1]
        plain = [p for p in self.network.parameters() if p.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": plain, "weight_decay": 0.0},
                  {"params": [*self.signals.parameters(), *self.level_signals.parameters()], "weight_decay": options.weight_decay}]  # fmt: skip
        self.optimiser = torch.optim.AdamW(groups, lr=options.learning_rate)
        self.step, self.seconds = 0, 0.0

    def progress(self) -> float:
        by_pictures = self.step * self.options.batch / self.options.pictures
        by_time = self.seconds / (60.0 * self.options.minutes) if self.options.minutes else 0.0
        return min(1.0, max(by_pictures, by_time))

    def learn(self, pictures: torch.Tensor, indices: np.ndarray) -> dict[str, float]:
        rate = self.options.learning_rate * 0.5 * (1.0 + math.cos(math.pi * self.progress()))
        for group in self.optimiser.param_groups:
            group["lr"] = rate * min(1.0, (self.step + 1) / WARM_UP_STEPS)
        self.network.train()
        wanted = None if self.data.teacher is None else torch.from_numpy(self.data.teacher[indices]).to(self.device)
        persons = torch.from_numpy(self.data.persons[indices]).to(self.device)
        features, *levels = self.network.levels(pictures.to(self.device))
        loss, parts = self.signals(features, wanted, persons)
        for signals, of_level in zip(self.level_signals, levels, strict=True):
            loss = loss + LEVELS_WEIGHT / len(levels) * signals(of_level, wanted, persons)[0]
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.averaged.update_parameters(self.network)
        self.step += 1
        return {"loss": float(loss.detach()), "rate": rate, **parts}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Missed true matches among the people held back, one plain crop each, centred cosine."""
        network = self.averaged.module.eval()
        features = []
        for block in np.array_split(self.data.validation, max(1, len(self.data.validation) // 250)):
            pictures = tensor([faces.frame(self.data.crop(int(i)), self.kind.frame) for i in block])
            features.append(network(pictures.to(self.device)).cpu().numpy())
        mated, others = comparisons(np.concatenate(features), self.data.persons[self.data.validation])
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
    with ThreadPoolExecutor(1) as ahead, (options.out / "curves.csv").open("a", encoding="utf-8", newline="") as table:
        writer = csv.writer(table)
        follow(state, batches, ahead, writer, table, checkpoint)
    state.save(checkpoint)
    draw(options.out / "curves.csv", options.out / "curves.png")
    facts = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()}
    facts |= {"steps": state.step, "seconds": round(state.seconds), "pictures_seen": state.step * options.batch,
              "faces": len(data.train), "people": data.people, "passes": round(state.step * options.batch / len(data.train), 1)}  # fmt: skip
    (options.out / "run.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(f"train: done: {facts['passes']} passes, {state.seconds / 60:.0f} min of training")
    return 0


def follow(state: Run, batches: Batches, ahead: ThreadPoolExecutor, writer, table, checkpoint: Path) -> None:
    """Trains to the end; every so often a line, a row of the curves, a checkpoint."""
    options, sums, count = state.options, {}, 0
    indices = batches.indices(state.step)
    coming = ahead.submit(batches.make, state.step, indices)
    saved = reported = time.monotonic()
    while state.progress() < 1.0:
        began = time.monotonic()
        pictures, now = coming.result(), indices
        indices = batches.indices(state.step + 1)
        coming = ahead.submit(batches.make, state.step + 1, indices)
        for name, value in state.learn(pictures, now).items():
            sums[name] = sums.get(name, 0.0) + value
        count += 1
        state.seconds += time.monotonic() - began
        if state.step % options.report_steps == 0 or state.progress() >= 1.0:
            means = {name: value / count for name, value in sums.items()} | state.validate()
            speed = count * options.batch / (time.monotonic() - reported)
            text = ", ".join(f"{n} {v:.4g}" for n, v in means.items())
            print(f"train: {100 * state.progress():.1f} %, step {state.step}, {speed:.0f} pictures/s, {text}", flush=True)
            for name, value in means.items():
                writer.writerow([state.step * options.batch, name, f"{value:.6g}"])
            table.flush()
            draw(options.out / "curves.csv", options.out / "curves.png")
            sums, count, reported = {}, 0, time.monotonic()
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            state.save(checkpoint)
            saved = time.monotonic()
    coming.cancel()


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
    parser.add_argument("--teachers", nargs="*", default=["mobilefacenet"])
    parser.add_argument("--start-from", type=Path, help="a DeepID2 .tflite instead of random weights, for one network or each of an ensemble")
    parser.add_argument("--report-steps", type=int, default=500)
    parser.add_argument("--memory-mapped", action="store_true", help="leave the crops on the disk")
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
