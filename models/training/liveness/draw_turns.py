#!/usr/bin/env python3
"""Draws visits that turn the head, to measure `live.mode = "challenge"` by: people and attacks of ten kinds.

in   --faces FOLDER with PERSON/*.jpg (frontal, plain behind), --mattes FOLDER (cut.py), --backgrounds
     FOLDER (optional), --out FOLDER, --live N, --attacks N, --seed N
out  OUT/live/NAME.mjpeg and OUT/attack/KIND/NAME.mjpeg: JPEGs one after another, 640 × 480, each the visit in one
     pose; beside each NAME.json: {"poses": [degrees of each JPEG, positive to the visitor's left], "film": null, or for a
     film that was made before, how far its person is turned at each fifteenth of a second};
     OUT/turns.csv: file, kind, medium, person, width of the face

A visit that hears what the door asks is drawn once in every pose, and the evaluation takes from it what
fits the moment. Told are `live`, and attackers who turn what they hold as they are told: `print`, `print-bent`,
`print-close`, `tablet`, `telephone` and `mask`, which is worn and turned with the head. Films were
made before anybody asked and run on a tablet, or on a screen that fills the view: `film-rhythm` turns left and right in a
fixed rhythm, `film-random` at random times to random sides, `film-slow` twice, slowly, to alternating
sides, and `film-sped` is a random one at another speed. Rooms, media and camera are draw_visits.py's,
heads turning.py's.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from liveness import crops
from liveness.draw_visits import (
    HEIGHT,
    RATE,
    TRIES,
    WIDTH,
    Head,
    Person,
    Thing,
    Walk,
    Webcam,
    asked,
    backdrop,
    crop_to,
    cut_out,
    gadget,
    held,
    paper,
    placed,
    shape_of,
    standing,
)
from liveness.turning import TurningHead, bent, shrunk

Rng = np.random.Generator
TOLD = ("print", "print-bent", "print-close", "tablet", "telephone", "mask")
FILMS = ("film-rhythm", "film-random", "film-slow", "film-sped")
# Of so many attacks in a row each told kind is one, and each kind of films two.
KINDS = TOLD + FILMS + FILMS
FILM_S = 20.0
# Degrees: the furthest pose, and from one to the next.
TURN_MAX, TURN_STEP = 44, 4
SKINS = ((0.87, 0.68, 0.57), (0.72, 0.5, 0.38), (0.48, 0.31, 0.22))


def poses() -> list[tuple[int, int]]:
    """(degrees, which place of the sway), in an order in which neighbours are alike: there and back."""
    right, left = range(-TURN_MAX, 0, TURN_STEP), range(TURN_STEP, TURN_MAX + 1, TURN_STEP)
    there = [(at, 0) for at in right] + [(0, 0), (0, 1)] + [(at, 0) for at in left]
    back = [(at, 1) for at in reversed(left)] + [(0, 2), (0, 3)] + [(at, 1) for at in reversed(right)]
    return there + back


# ---- Films that were made before ------------------------------------------------------------------


def script(kind: str, rng: Rng) -> list[float]:
    """How far the person of a film is turned, in degrees, at each fifteenth of a second."""
    most, speed = rng.uniform(33, 44), rng.uniform(40, 90)
    rate = float(np.exp(rng.uniform(np.log(0.5), np.log(2.0)))) if kind == "film-sped" else 1.0
    side, ahead, held_for = (1 if rng.random() < 0.5 else -1), rng.uniform(0.6, 2.0), rng.uniform(0.3, 1.5)
    plan: list[tuple[float, float]] = [(0.0, rng.uniform(0.5, 1.5))]
    if kind == "film-slow":
        speed = rng.uniform(20, 40)
        for turn in (side, -side):
            plan += [(0.0, rng.uniform(1.5, 3.5)), (turn * most, rng.uniform(1.0, 2.5))]
        plan.append((0.0, FILM_S))
    while sum(stay for _, stay in plan) < rate * FILM_S:
        if kind == "film-rhythm":
            plan += [(side * most, held_for), (0.0, ahead)]
            side = -side
        else:
            side = 1 if rng.random() < 0.5 else -1
            plan.append((side * most, rng.uniform(0.2, 1.5)))
            plan.append((-side * most, rng.uniform(0.2, 1.5)) if rng.random() < 0.25 else (0.0, rng.uniform(0.4, 2.5)))
    yaw, made = 0.0, []
    for target, stay in plan:
        while abs(target - yaw) > 1e-6:
            yaw += float(np.clip(target - yaw, -speed / RATE, speed / RATE))
            made.append(yaw)
        made += [target] * round(stay * RATE)
    count = round(FILM_S * RATE)
    times = np.arange(count) * rate
    return [round(float(v), 1) for v in np.interp(times, np.arange(len(made)), made)]


# ---- What stands before the camera ----------------------------------------------------------------


def still_walk(rng: Rng, swayed: list[tuple[int, int]], low: float, high: float) -> Walk:
    """Somebody who stands, sways a little along a line and turns: for each pose."""
    face = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    x, y = rng.uniform(0.4, 0.6) * WIDTH, (rng.uniform(0.4, 0.55) if face > 110 else rng.uniform(0.48, 0.68)) * HEIGHT
    sway = np.array([at for _, at in swayed], float)
    way = rng.normal(0, 0.012, 2) * face
    return Walk(
        face * (1 + rng.normal(0, 0.003) * sway), x + way[0] * sway, y + way[1] * 0.5 * sway,
        np.radians([degrees for degrees, _ in swayed]) + rng.normal(0, 0.01) * sway,
        rng.normal(0, 0.05) + rng.normal(0, 0.01) * sway, rng.normal(0, 0.03) + rng.normal(0, 0.006) * sway, np.zeros(len(swayed)),
    )  # fmt: skip


def daylight(rng: Rng) -> np.ndarray:
    return np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.04, 3)).astype(np.float32)


def live(person: Person, rng: Rng, photographs: list[Path]) -> Iterator[np.ndarray]:
    walk, scene, light = still_walk(rng, poses(), 62, 185), backdrop(rng, photographs), daylight(rng)
    head = TurningHead.of(shrunk(person, float(walk.face.max())))
    return (standing(head, scene, walk, i, light) for i in range(len(poses())))


@dataclass(frozen=True)
class Held:
    """What is held up in each pose, and whether it is turned itself, as a flat thing is."""

    thing: Callable[[int], Thing]
    turns: bool


def media(person: Person, kind: str, medium: str, rng: Rng, photographs: list[Path]) -> Held:
    if kind in FILMS:
        walk = replace(still_walk(rng, [(degrees, 0) for degrees, _ in poses()], 130, 190))
        head, scene = TurningHead.of(shrunk(person, float(walk.face.max()))), backdrop(rng, photographs)
        state, light = rng.bit_generator.state, np.float32([1.0, 1.0, 1.0])

        def moment(i: int) -> Thing:
            picture = standing(head, scene, walk, i, light, scale=1.0)
            same = np.random.default_rng()
            same.bit_generator.state = state
            half = walk.face[i] / 2
            return gadget(picture, np.array([walk.x[i] - half, walk.y[i] - half, walk.x[i] + half, walk.y[i] + half]), medium, same)

        return Held(moment, False)
    if kind == "print-bent":
        flat, half = paper(person, "print", rng), rng.uniform(0.4, 1.1) * (1 if rng.random() < 0.7 else -1)

        def curved(i: int) -> Thing:
            texture, alpha = bent(flat.texture, flat.alpha, half, float(np.radians(poses()[i][0])))
            return replace(flat, texture=texture, alpha=alpha, soft=None)

        return Held(curved, False)
    if kind in ("tablet", "telephone"):
        thing = gadget(*crop_to(person, *shape_of(kind, rng), rng), kind, rng)
    else:
        thing = paper(person, kind, rng)
    return Held(lambda _: thing, True)


def attack(person: Person, kind: str, medium: str, rng: Rng, photographs: list[Path], others: list[Person]) -> Iterator[np.ndarray]:
    swayed, close = poses(), medium.endswith("close")
    face = rng.uniform(190, 260) if close else float(np.exp(rng.uniform(np.log(62), np.log(190))))
    scene, light = backdrop(rng, photographs), daylight(rng)
    skin = np.array(SKINS[int(rng.integers(len(SKINS)))], np.float32) * rng.uniform(0.8, 1.1)
    other = others[int(rng.integers(len(others)))]
    if kind == "mask":
        walk = still_walk(rng, swayed, 62, 150)
        cut = cut_out(person, rng)
        printed = replace(person, pixels=(np.clip(cut.texture, 0, 1) * 255).astype(np.uint8), matte=cut.alpha)
        worn, wearer = TurningHead.mask(shrunk(printed, float(walk.face.max()))), TurningHead.of(shrunk(other, float(walk.face.max())))
        before = replace(walk, face=walk.face * 1.08)
        return (standing(worn, standing(wearer, scene, walk, i, light), before, i, light) for i in range(len(swayed)))
    in_view = not close and rng.random() < 0.4
    attacker, walk = Head.of(shrunk(other, 140)), still_walk(rng, [(0, at) for _, at in swayed], 60, 140)
    shown = media(person, kind, medium, rng, photographs)
    sway = np.array([at for _, at in swayed], float)
    x, y = rng.uniform(0.4, 0.6) * WIDTH + rng.normal(0, 0.015) * face * sway, rng.uniform(0.4, 0.55) * HEIGHT + rng.normal(0, 0.012) * face * sway
    size = face * (1.0 + rng.normal(0, 0.004) * sway)
    yaw, pitch, roll = (rng.normal(0, wide) + rng.normal(0, 0.01) * sway for wide in (0.08, 0.08, 0.04))
    if shown.turns:
        yaw = yaw * 0.3 + np.radians([degrees for degrees, _ in swayed])
    spot = None if rng.random() < 0.5 else (rng.uniform(0.2, 0.8) * WIDTH, rng.uniform(0.1, 0.7) * HEIGHT, rng.uniform(15, 70))

    def moments() -> Iterator[np.ndarray]:
        for i in range(len(swayed)):
            now = standing(attacker, scene, walk, i, light) if in_view else scene
            yield held(now, shown.thing(i), (x[i], y[i], size[i], yaw[i], pitch[i], roll[i]), skin, light, spot, by_hand=not close)

    return moments()


# ---- The set --------------------------------------------------------------------------------------


def ahead(film: list[bytes], looks: crops.Looks) -> float | None:
    """Width of the face where it looks ahead, when one is seen in each such picture."""
    widths = []
    for at, (degrees, _) in enumerate(poses()):
        if degrees == 0:
            box = looks.largest(cv2.cvtColor(cv2.imdecode(np.frombuffer(film[at], np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))
            if box is None:
                return None
            widths.append(float(max(box[2:] - box[:2])))
    return widths[0]


def main() -> int:
    options = asked(__doc__, live=51, attacks=280)
    cv2.setNumThreads(1)
    looks, rows = crops.Looks(), []
    attacks = [(KINDS[i % len(KINDS)], i) for i in range(options.attacks)]
    # Live visits evenly among the attacks, so that a part of the set is a set.
    wanted = sorted([*attacks, *(("live", i) for i in range(options.live))], key=lambda w: w[1] / (options.live if w[0] == "live" else options.attacks))
    for done, (kind, number) in enumerate(wanted):
        person, path = placed(options, kind, number)
        for attempt in range(TRIES):
            rng = np.random.default_rng([options.seed, KINDS.index(kind) if kind in KINDS else 99, number, attempt])
            medium = ("tablet", "screen-close")[int(rng.integers(2))] if kind in FILMS else kind
            scenes = live(person, rng, options.photographs) if kind == "live" else attack(person, kind, medium, rng, options.photographs, options.everyone)
            film = Webcam.drawn(rng).film(scenes, rng)
            width = ahead(film, looks)
            if width is not None:
                path.write_bytes(b"".join(film))
                told = {"poses": [degrees for degrees, _ in poses()], "film": script(kind, rng) if kind in FILMS else None}
                path.with_suffix(".json").write_text(json.dumps(told), encoding="utf-8")
                rows.append((path.relative_to(options.out), kind, medium, person.name, round(width)))
                break
        if done % 20 == 19:
            print(f"draw: {done + 1} of {len(wanted)}", flush=True)
    with (options.out / "turns.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", "kind", "medium", "person", "face"), *rows])
    print(f"draw: {len(rows)} visits of {len(wanted)} in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
