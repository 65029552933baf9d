#!/usr/bin/env python3
"""Draws a set of short films of visits to measure by: live ones and attacks of nine kinds, from a folder of faces.

in   --faces FOLDER with PERSON/*.jpg (one frontal photograph each, plain behind), --mattes FOLDER (cut.py),
     --backgrounds FOLDER of any photographs without people (optional), --out FOLDER, --live N, --attacks N
out  OUT/live/NAME.mjpeg, OUT/attack/KIND/NAME.mjpeg: 640 × 480, 15 frames/s, 1.6 to 2.4 s, JPEGs one
     after another; OUT/visits.csv: file, kind, person, width of the face in the first frame

Nothing here is taken from recapture.py, scenes.py or camera.py, which training draws by: media have
real rasters of sub-pixels and ink dots that the frame then samples, rooms are drawn in perspective,
the camera counts photons, and all parameters are others. A live head is a shallow ellipsoid that
turns: its nose moves against its outline, and its eyes close now and then. Somebody is drawn anew until
the daemon's detector sees a face in the first, the middle and the last frame.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import faces
import numpy as np
from liveness import crops
from liveness.boxed import Boxed
from liveness.cut import name_of

Rng = np.random.Generator
HEIGHT, WIDTH, RATE = 480, 640, 15
# Scenes are drawn so much finer than the frame, which then averages; a medium's raster is averaged anyway.
FINE = 1.0
KINDS = ("print", "print-bent", "print-close", "mask", "telephone", "tablet", "laptop", "screen-close", "video-tablet")
TRIES = 8


@dataclass(frozen=True)
class Person(Boxed):
    name: str
    pixels: np.ndarray
    matte: np.ndarray
    box: np.ndarray
    eyes: np.ndarray
    mouth: np.ndarray


def people(folder: Path, mattes: Path) -> list[Person]:
    finder, found = faces.Finder(), []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png")):
        pixels = faces.read(path)
        name = name_of(path, folder)
        matte = cv2.imread(str(mattes / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
        seen = finder.detect(pixels)
        if not seen or matte is None:
            print(f"draw: {path}: no face seen, or no matte; left out", file=sys.stderr)
            continue
        face = max(seen, key=lambda f: float(f["box"][2] - f["box"][0]))
        grey = cv2.resize(matte, (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255.0
        found.append(Person(name, pixels, sided(np.clip((grey - 0.4) / 0.35, 0, 1)), face["box"], face["keypoints"][:2], face["keypoints"][3]))
    return found


def sided(matte: np.ndarray) -> np.ndarray:
    """A body that the photograph's sides cut ends there, softly and rounder towards the shoulders."""
    height, width = matte.shape
    x = np.abs(np.linspace(-1, 1, width, dtype=np.float32))[None]
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    limit = 0.97 - 0.12 * np.clip(1.0 - y, 0, 1)
    return (matte * np.clip((limit - x) / 0.02, 0, 1)).astype(np.float32)


# ---- Movement -------------------------------------------------------------------------------------


def wander(rng: Rng, count: int, reach: float, slow: float = 1.0) -> np.ndarray:
    """A smooth path through 0 as hands and heads make it: three waves of a few seconds."""
    t = np.arange(count) / RATE
    path = sum(rng.normal(0, 1) * np.sin(2 * np.pi * (t * rng.uniform(0.25, 1.3) * slow + rng.random())) / (i + 1) for i in range(3))
    return np.asarray(path) * reach / 1.3


# ---- Rooms ----------------------------------------------------------------------------------------


def clouds(rng: Rng, height: int, width: int, octaves: int = 6) -> np.ndarray:
    """Noise of all sizes, −1 … 1: plaster, foliage, cloth."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cells = 2 ** (octave + 1)
        coarse = rng.random((cells * 3 // 4 + 2, cells + 2), dtype=np.float32) * 2 - 1
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * 0.62**octave
    return total / np.abs(total).max()


def corridor(rng: Rng) -> np.ndarray:
    """A passage seen along: floor, ceiling, two walls, doors in them, the far end."""
    scene = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    end = np.array([rng.uniform(0.3, 0.7) * WIDTH, rng.uniform(0.3, 0.55) * HEIGHT])
    half = np.array([rng.uniform(0.05, 0.25) * WIDTH, rng.uniform(0.1, 0.3) * HEIGHT])
    far = np.array([end - half, [end[0] + half[0], end[1] - half[1]], end + half, [end[0] - half[0], end[1] + half[1]]])
    near = np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], float)
    wall = rng.uniform(0.35, 0.85) + rng.normal(0, 0.06, 3)
    for side, shade in enumerate((1.15, 0.8, 0.6, 0.95)):
        quad = np.array([near[side], near[(side + 1) % 4], far[(side + 1) % 4], far[side]])
        tone = wall if side % 2 else (rng.uniform(0.2, 0.9) + rng.normal(0, 0.05, 3))
        cv2.fillPoly(scene, [quad.astype(np.int32)], np.clip(tone * shade, 0, 1).tolist())
    cv2.fillPoly(scene, [far.astype(np.int32)], (rng.uniform(0.1, 1.0) + rng.normal(0, 0.05, 3)).clip(0, 1).tolist())
    for _ in range(int(rng.integers(1, 4))):
        left, a, b = bool(rng.random() < 0.5), *sorted(rng.uniform(0.1, 0.95, 2))
        top, bottom = ((near[0], far[0]), (near[3], far[3])) if left else ((near[1], far[1]), (near[2], far[2]))
        points = [top[0] + (top[1] - top[0]) * a, top[0] + (top[1] - top[0]) * b, bottom[0] + (bottom[1] - bottom[0]) * b, bottom[0] + (bottom[1] - bottom[0]) * a]
        points[0], points[1] = points[0] + (points[3] - points[0]) * 0.2, points[1] + (points[2] - points[1]) * 0.2
        cv2.fillPoly(scene, [np.array(points).astype(np.int32)], (rng.uniform(0.1, 0.7) + rng.normal(0, 0.08, 3)).clip(0, 1).tolist())
    return scene


def street(rng: Rng) -> np.ndarray:
    """Out of doors: sky above, leaves or stone below, a post."""
    line = int(rng.uniform(0.2, 0.6) * HEIGHT)
    scene = np.empty((HEIGHT, WIDTH, 3), np.float32)
    scene[:line] = np.array([0.7, 0.8, 0.92]) * rng.uniform(0.7, 1.1)
    ground = np.array([rng.uniform(0.15, 0.5), rng.uniform(0.2, 0.5), rng.uniform(0.1, 0.4)])
    scene[line:] = ground
    scene *= 1.0 + rng.uniform(0.1, 0.5) * clouds(rng, HEIGHT, WIDTH, 7)[..., None]
    for _ in range(int(rng.integers(0, 3))):
        x = int(rng.uniform(0, WIDTH))
        scene[:, x : x + int(rng.uniform(5, 40))] = rng.uniform(0.1, 0.7)
    return scene


def wall(rng: Rng) -> np.ndarray:
    """Plaster with a lamp's light, a socket, a notice."""
    scene = np.broadcast_to((rng.uniform(0.35, 0.9) + rng.normal(0, 0.05, 3)), (HEIGHT, WIDTH, 3)).astype(np.float32).copy()
    scene *= 1.0 + 0.06 * clouds(rng, HEIGHT, WIDTH, 8)[..., None]
    for _ in range(int(rng.integers(0, 4))):
        x, y, w, h = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), rng.uniform(20, 200), rng.uniform(20, 200)
        cv2.rectangle(scene, (int(x), int(y)), (int(x + w), int(y + h)), (rng.uniform(0.1, 1.0) + rng.normal(0, 0.1, 3)).clip(0, 1).tolist(), -1)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    lamp = np.exp(-((x - rng.uniform(0, WIDTH)) ** 2 + (y - rng.uniform(-200, HEIGHT)) ** 2) / (2 * rng.uniform(150, 500) ** 2))
    return scene * (rng.uniform(0.5, 0.9) + rng.uniform(0.2, 0.8) * lamp[..., None])


def backdrop(rng: Rng, photographs: list[Path]) -> np.ndarray:
    if photographs and rng.random() < 0.45:
        pixels = faces.read(photographs[int(rng.integers(len(photographs)))])
        scale = max(HEIGHT / pixels.shape[0], WIDTH / pixels.shape[1])
        pixels = cv2.resize(pixels, None, fx=scale * 1.02, fy=scale * 1.02, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        top, left = (int(rng.integers(0, max(1, a - b))) for a, b in ((pixels.shape[0], HEIGHT), (pixels.shape[1], WIDTH)))
        scene = pixels[top : top + HEIGHT, left : left + WIDTH].astype(np.float32) / 255.0
    else:
        scene = (corridor, street, wall, corridor, wall)[int(rng.integers(5))](rng)
    return cv2.GaussianBlur(np.clip(scene, 0, 1.2).astype(np.float32), (0, 0), float(rng.uniform(0.8, 3.0)))


# ---- Live people ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Walk:
    """How a visitor moves: for each frame the face's width, its place, and how the head is turned."""

    face: np.ndarray
    x: np.ndarray
    y: np.ndarray
    yaw: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray
    shut: np.ndarray

    @staticmethod
    def drawn(rng: Rng, count: int, low: float = 58.0, high: float = 185.0) -> Walk:
        end = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        begin = end * rng.uniform(0.75, 1.0)
        growth = begin + (end - begin) * (1 - np.cos(np.linspace(0, np.pi, count))) / 2
        shut = np.zeros(count)
        if rng.random() < 0.6:
            at = int(rng.integers(3, count - 3))
            shut[at - 1 : at + 2] = (0.5, 1.0, 0.6)
        return Walk(
            growth, rng.uniform(0.35, 0.65) * WIDTH + wander(rng, count, 0.18 * end, 0.6), (rng.uniform(0.38, 0.58) if end > 110 else rng.uniform(0.48, 0.72)) * HEIGHT + wander(rng, count, 0.06 * end),
            rng.normal(0, 0.12) + wander(rng, count, 0.28), rng.normal(0, 0.05) + wander(rng, count, 0.1), wander(rng, count, 0.06), shut,
        )  # fmt: skip


@dataclass
class Head:
    """Where each pixel of somebody's photograph lies, how near it is to the camera, and how much of a lid it is."""

    person: Person
    x: np.ndarray
    y: np.ndarray
    depth: np.ndarray
    lids: np.ndarray

    @staticmethod
    def of(person: Person) -> Head:
        height, width = person.matte.shape
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        u = (x - person.centre[0]) / (0.85 * person.face)
        v = (y - person.centre[1]) / (1.05 * person.face)
        round_ = np.sqrt(np.clip(1.0 - u * u - v * v, 0.0, 1.0))
        nose = np.exp(-((x - person.centre[0]) ** 2 + (y - person.centre[1] - 0.12 * person.face) ** 2) / (2 * (0.13 * person.face) ** 2))
        lids = sum(np.exp(-((((x - eye[0]) / (0.13 * person.face)) ** 4) + (((y - eye[1]) / (0.075 * person.face)) ** 4))) for eye in person.eyes)
        depth = (0.42 * round_ + 0.16 * nose) * person.face
        return Head(person, x, y, depth.astype(np.float32), np.asarray(lids, np.float32))

    def turned(self, yaw: float, pitch: float, shut: float) -> tuple[np.ndarray, np.ndarray]:
        """The photograph with the head turned: nearer points of an ellipsoid move further; lids may close."""
        x, y = self.x - self.depth * np.float32(np.sin(yaw)), self.y - self.depth * np.float32(np.sin(pitch))
        if shut > 0.05:
            y = y - self.lids * np.float32(shut * 0.11 * self.person.face)
        maps = cv2.convertMaps(x, y, cv2.CV_16SC2)
        parts = (self.person.pixels, self.person.matte)
        return tuple(cv2.remap(part, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for part in parts)  # type: ignore[return-value]


def standing(head: Head, scene: np.ndarray, walk: Walk, at: int, light: np.ndarray, scale: float = FINE) -> np.ndarray:
    """The person before a scene `scale` times as fine as the frame, at one moment."""
    person = head.person
    pixels, matte = head.turned(float(walk.yaw[at]), float(walk.pitch[at]), float(walk.shut[at]))
    size = walk.face[at] / person.face * scale
    cos, sin = np.cos(walk.roll[at]) * size, np.sin(walk.roll[at]) * size
    turn = np.array([[cos, -sin], [sin, cos]])
    matrix = np.hstack([turn, (np.array([walk.x[at], walk.y[at]]) * scale - turn @ person.centre)[:, None]])
    if size < 0.9:
        soft = 0.45 / size
        pixels, matte = cv2.GaussianBlur(pixels, (0, 0), soft), cv2.GaussianBlur(matte, (0, 0), soft)
    shape = scene.shape[1::-1]
    seen = cv2.warpAffine(pixels, matrix, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32) / 255.0
    alpha = cv2.warpAffine(matte, matrix, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    top = walk.y[at] * scale - person.centre[1] * size
    alpha[: max(0, int(top))] = 0.0
    alpha = alpha[..., None]
    return (seen * light * alpha + scene * (1.0 - alpha)).astype(np.float32)


# ---- Media ----------------------------------------------------------------------------------------


def raster(picture: np.ndarray, triads: int, rng: Rng) -> np.ndarray:
    """A screen's own pixels: each a red, a green and a blue stripe with dark between, three texels wide and high."""
    tall = round(triads * picture.shape[0] / picture.shape[1])
    small = cv2.resize(picture, (triads, tall), interpolation=cv2.INTER_AREA if triads < picture.shape[1] else cv2.INTER_CUBIC)
    big = cv2.resize(small, (3 * triads, 3 * tall), interpolation=cv2.INTER_NEAREST)
    leak = np.float32(rng.uniform(0.35, 0.8))
    mask = np.full((3, 3, 3), leak, np.float32)
    for channel in range(3):
        mask[:, channel, channel] = 1.0
    mask[2] *= rng.uniform(0.7, 1.0)
    mask /= mask.mean()
    return big * np.tile(mask, (tall, triads, 1))


def dots(picture: np.ndarray, columns: int, rng: Rng) -> np.ndarray:
    """Ink: each colour in round dots of four texels, whose size is its darkness."""
    width = 4 * columns
    big = cv2.resize(picture, (width, round(width * picture.shape[0] / picture.shape[1])), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[0 : big.shape[0], 0:width].astype(np.float32)
    made = np.empty_like(big)
    for channel, angle in enumerate((0.26, 1.31, 0.0)):
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        screen = 0.5 + 0.25 * (np.cos(np.pi / 2 * u) + np.cos(np.pi / 2 * v))
        made[..., channel] = np.clip((big[..., channel] - screen) * 3.0 + 0.5, 0, 1)
    share = np.float32(rng.uniform(0.15, 0.6))
    return cv2.GaussianBlur(big * (1 - share) + made * share, (0, 0), 0.8)


def ink(picture: np.ndarray, rng: Rng) -> np.ndarray:
    """Through a printer: colours mixed into each other, darkest tone grey, on tinted paper."""
    mix = np.eye(3) + rng.uniform(0.0, 0.14, (3, 3))
    mixed = np.clip(picture, 0, 1) @ (mix / mix.sum(1, keepdims=True)).T.astype(np.float32)
    low = rng.uniform(0.03, 0.2)
    paper = np.array([1.0, rng.uniform(0.96, 1.0), rng.uniform(0.88, 1.02)], np.float32)
    return (low + (rng.uniform(0.85, 0.98) - low) * mixed ** np.float32(rng.uniform(0.85, 1.2))) * paper


def glass(picture: np.ndarray, rng: Rng) -> np.ndarray:
    """Through a screen: S-shaped tones, a colder white, vivid colours."""
    values = np.clip(picture, 0, 1)
    bend = rng.uniform(-0.15, 0.45)
    values = values + np.float32(bend) * values * (1 - values) * (2 * values - 1) * 2
    grey = values.mean(2, keepdims=True)
    values = grey + (values - grey) * np.float32(rng.uniform(0.85, 1.35))
    return np.clip(values, 0, 1.1) * np.array([rng.uniform(0.88, 1.0), 1.0, rng.uniform(0.98, 1.16)], np.float32) * np.float32(rng.uniform(0.8, 1.25))


def crop_to(person: Person, aspect: float, closeness: float, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """The photograph cut to `closeness` widths of the face, as high as the aspect asks; and the face's box."""
    wide = min(closeness * person.face, person.pixels.shape[1])
    tall = min(wide / aspect, person.pixels.shape[0])
    wide = min(wide, tall * aspect)
    left = np.clip(person.centre[0] - wide / 2 + rng.normal(0, 0.04) * wide, 0, person.pixels.shape[1] - wide)
    top = np.clip(person.centre[1] - 0.45 * tall, 0, person.pixels.shape[0] - tall)
    part = person.pixels[int(top) : int(top + tall), int(left) : int(left + wide)]
    return part.astype(np.float32) / 255.0, person.box - np.tile([int(left), int(top)], 2)


@dataclass
class Thing:
    """What is held up: texture with coverage, the face's box in it, whether it shines by itself."""

    texture: np.ndarray
    alpha: np.ndarray
    box: np.ndarray
    shines: bool
    glossy: float
    soft: tuple[float, np.ndarray] | None = None

    def softened(self, reach: float) -> np.ndarray:
        """The texture blurred so far; that of the frame before serves again when it asks for the same."""
        if self.soft is None or self.soft[0] != reach:
            self.soft = (reach, cv2.GaussianBlur(self.texture, (0, 0), reach))
        return self.soft[1]


def framed(texture: np.ndarray, box: np.ndarray, edges: list[float], tone: np.ndarray, corner: float, shines: bool, glossy: float) -> Thing:
    """With an edge of paper or plastic: left, top, right, bottom in shares of the shorter side."""
    tall, wide = texture.shape[:2]
    left, top, right, bottom = (int(e * min(tall, wide)) for e in edges)
    whole = np.empty((tall + top + bottom, wide + left + right, 3), np.float32)
    whole[:] = tone
    whole[top : top + tall, left : left + wide] = texture
    alpha = np.ones(whole.shape[:2], np.float32)
    reach = int(corner * min(tall, wide))
    if reach > 2:
        y, x = np.mgrid[0:reach, 0:reach]
        cut = ((x - reach) ** 2 + (y - reach) ** 2 > reach * reach).astype(np.float32)
        alpha[:reach, :reach] -= cut
        alpha[:reach, -reach:] -= cut[:, ::-1]
        alpha[-reach:, :reach] -= cut[::-1]
        alpha[-reach:, -reach:] -= cut[::-1, ::-1]
    return Thing(whole, alpha, box + np.tile([left, top], 2), shines, glossy)


def paper(person: Person, kind: str, rng: Rng) -> Thing:
    picture, box = crop_to(person, float(rng.choice([0.71, 0.67, 0.8, 1.0])), rng.uniform(1.6, 2.4), rng)
    texture = dots(ink(picture, rng), int(rng.uniform(110, 260)), rng)
    box = box * texture.shape[1] / picture.shape[1]
    margin = [0.0] * 4 if kind == "print-close" else list(rng.uniform(0.0, 0.12) * rng.uniform(0.8, 1.2, 4))
    thing = framed(texture, box, margin, np.array([0.95, 0.95, 0.92]) * rng.uniform(0.9, 1.03), 0.0, False, rng.choice([0.0, 0.3, 0.8]))
    return curled(thing, rng) if kind == "print-bent" else thing


def curled(thing: Thing, rng: Rng) -> Thing:
    """As a part of a cylinder: narrower at its ends, and shaded by the slope."""
    tall, wide = thing.alpha.shape
    half = rng.uniform(0.5, 1.1)
    t = np.linspace(-1, 1, wide)
    source = np.interp(t, np.sin(np.linspace(-half, half, wide)) / np.sin(half), np.linspace(0, wide - 1, wide))
    lift = (np.cos(np.linspace(-half, half, wide)) - np.cos(half)) * rng.uniform(-0.12, 0.12) * tall
    x = np.broadcast_to(source[None], (tall, wide)).astype(np.float32)
    y = (np.arange(tall, dtype=np.float32)[:, None] + lift[None]).astype(np.float32)
    shade = 1.0 + rng.uniform(-0.35, 0.35) * t
    texture = cv2.remap(thing.texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) * shade[None, :, None].astype(np.float32)
    alpha = cv2.remap(thing.alpha, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return Thing(texture, alpha, thing.box, False, thing.glossy)


def gadget(picture: np.ndarray, box: np.ndarray, kind: str, rng: Rng) -> Thing:
    triads = int({"telephone": rng.uniform(200, 420), "tablet": rng.uniform(260, 460), "laptop": rng.uniform(340, 520), "screen-close": rng.uniform(260, 520)}[kind])
    texture = raster(glass(picture, rng), triads, rng)
    box = box * texture.shape[1] / picture.shape[1]
    dark = np.full(3, rng.choice([0.015, 0.04, 0.08, 0.9], p=[0.4, 0.3, 0.2, 0.1]))
    if kind == "screen-close":
        return framed(texture, box, [0.0] * 4, dark, 0.0, True, rng.uniform(0.3, 1.0))
    if kind == "laptop":
        return framed(texture, box, [0.02, 0.03, 0.02, rng.uniform(0.05, 0.12)], dark, 0.01, True, rng.uniform(0.0, 0.7))
    side, end = (rng.uniform(0.015, 0.05), rng.uniform(0.03, 0.2)) if kind == "telephone" else (rng.uniform(0.04, 0.09), rng.uniform(0.04, 0.1))
    return framed(texture, box, [side, end, side, end], dark, rng.uniform(0.03, 0.1), True, rng.uniform(0.3, 1.0))


def shape_of(kind: str, rng: Rng) -> tuple[float, float]:
    """Width : height of a screen, and how many widths of the face it shows."""
    return {"telephone": (rng.choice([0.46, 0.5, 0.56]), rng.uniform(1.5, 2.0)), "tablet": (rng.choice([0.75, 0.7, 1.33]), rng.uniform(1.8, 2.4)),
            "laptop": (rng.choice([1.6, 1.78]), 2.6), "screen-close": (1.33, 2.6)}[kind]  # fmt: skip


def cut_out(person: Person, rng: Rng) -> Thing:
    """A face cut along its outline, on the edge a rim of white paper, perhaps with holes for the eyes."""
    texture = ink(person.pixels.astype(np.float32) / 255.0, rng)
    y, x = np.mgrid[0 : person.matte.shape[0], 0 : person.matte.shape[1]].astype(np.float32)
    wide, tall = rng.uniform(0.5, 0.62) * person.face, rng.uniform(0.68, 0.82) * person.face
    away = np.abs((x - person.centre[0]) / wide) ** 2.4 + np.abs((y - person.centre[1] + 0.05 * person.face) / tall) ** 2.4
    rim = rng.uniform(1.0, 1.1)
    alpha = (away < rim).astype(np.float32) * np.maximum(person.matte > 0.5, away < 0.8)
    texture = np.where((away < 1.0)[..., None], texture, np.float32(0.95))
    if rng.random() < 0.4:
        for eye in person.eyes:
            alpha[((x - eye[0]) / (0.1 * person.face)) ** 2 + ((y - eye[1]) / (0.06 * person.face)) ** 2 < 1.0] = 0.0
    return Thing(texture.astype(np.float32), alpha.astype(np.float32), person.box, False, 0.2)


def plane(thing: Thing, x: float, y: float, face: float, yaw: float, pitch: float, roll: float) -> np.ndarray:
    """3 × 3: texture → frame, by a camera with a field of view of about 60°."""
    focal = 560.0
    size = float(max(thing.box[2:] - thing.box[:2]))
    centre = (thing.box[:2] + thing.box[2:]) / 2.0
    move, _ = cv2.Rodrigues(np.array([pitch, yaw, 0.0]))
    spin, _ = cv2.Rodrigues(np.array([0.0, 0.0, roll]))
    axes = move @ spin
    depth = focal * size / face
    flat = np.column_stack([axes[:, 0], axes[:, 1], np.array([(x - WIDTH / 2) / focal * depth, (y - HEIGHT / 2) / focal * depth, depth])])
    lens = np.array([[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1]])
    return lens @ flat @ np.array([[1, 0, -centre[0]], [0, 1, -centre[1]], [0, 0, 1]])


def hand(scene: np.ndarray, low: np.ndarray, thick: float, skin: np.ndarray, over: bool, scale: float) -> np.ndarray:
    """A forearm from below and a palm behind the thing, or (`over`) the thumb before it."""
    at, thick = low * scale, thick * scale
    reach = np.array([3.5, 3.0]) * thick
    left, top = (max(0, int(v)) for v in at - reach)
    part = scene[top : int(at[1] + reach[1]) if over else None, left : max(left, int(at[0] + reach[0] + (0 if over else 60 * scale)))]
    if min(part.shape[:2]) < 4:
        return scene
    mask, at = np.zeros(part.shape[:2], np.float32), at - np.array([left, top])
    if over:
        cv2.ellipse(mask, (int(at[0]), int(at[1] - 0.5 * thick)), (int(thick * 0.5), int(thick * 1.3)), 12, 0, 360, 1.0, -1)
    else:
        cv2.ellipse(mask, (int(at[0]), int(at[1] + 0.6 * thick)), (int(1.9 * thick), int(1.5 * thick)), 0, 0, 360, 1.0, -1)
        cv2.line(mask, (int(at[0]), int(at[1] + thick)), (int(at[0] + 60 * scale), int((HEIGHT + 40) * scale) - top), 1.0, max(1, int(2.2 * thick)))
    # The round of it, from far fewer pixels.
    small = cv2.resize(mask, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    round_ = cv2.resize(cv2.GaussianBlur(small, (0, 0), max(0.5, thick * 0.1)), mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
    mask = cv2.blur(mask, (3, 3))[..., None]
    part[...] = part * (1 - mask) + skin * (0.35 + 0.75 * round_[..., None]) * mask
    return scene


# ---- The camera -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Webcam:
    photons: float
    gain: np.ndarray
    steep: float
    soft: float
    crisp: float
    quality: int
    drag: float

    @staticmethod
    def drawn(rng: Rng) -> Webcam:
        return Webcam(float(np.exp(rng.uniform(np.log(150), np.log(4000)))), np.exp(rng.normal(0, 0.06, 3)).astype(np.float32), float(rng.uniform(0.85, 1.2)),
                      float(rng.uniform(0.5, 1.6)), float(rng.uniform(0.0, 0.9)), int(rng.integers(60, 93)), float(rng.uniform(0.0, 0.35)))  # fmt: skip

    def film(self, scenes: Iterator[np.ndarray], rng: Rng) -> list[bytes]:
        """Frames of scenes that are FINE times as large; each keeps some of the one before, as a slow shutter does."""
        films, before, level = [], None, None
        for scene in scenes:
            scene = cv2.GaussianBlur(scene, (0, 0), self.soft) if self.soft > 0.6 else scene
            light = cv2.resize(scene, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)
            light = np.clip(light, 0, 2)
            light = light * light * self.gain
            now = 0.21 / (float(np.median(light[::4, ::4])) + 0.03)
            level = now if level is None else 0.9 * level + 0.1 * now
            light = light * np.float32(np.clip(level, 0.4, 3.0) ** 0.7)
            before = light if before is None else self.drag * before + (1 - self.drag) * light
            grain = rng.standard_normal(before.shape, dtype=np.float32)
            counted = before + grain * cv2.sqrt(np.clip(before, 1e-4, None) / np.float32(self.photons) + np.float32(1e-5))
            shown = 1.04 * (1 - cv2.exp(np.float32(-2.2 * self.steep) * cv2.sqrt(np.clip(counted, 0, None))))
            shown = shown * shown * (1.6 - 0.6 * shown)
            if self.crisp:
                shown = shown + np.float32(self.crisp) * (shown - cv2.boxFilter(shown, -1, (3, 3)))
            _, coded = cv2.imencode(".jpg", (np.clip(shown, 0, 1)[..., ::-1] * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, self.quality])
            films.append(coded.tobytes())
        return films


def live(person: Person, rng: Rng, photographs: list[Path]) -> list[bytes]:
    count = int(rng.integers(23, 33))
    walk = Walk.drawn(rng, count)
    scene = cv2.resize(backdrop(rng, photographs), (int(FINE * WIDTH), int(FINE * HEIGHT)), interpolation=cv2.INTER_LINEAR)
    light = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.04, 3)).astype(np.float32)
    head = Head.of(person)
    return Webcam.drawn(rng).film((standing(head, scene, walk, i, light) for i in range(count)), rng)


def attack(person: Person, kind: str, rng: Rng, photographs: list[Path], others: list[Person]) -> list[bytes]:
    count = int(rng.integers(23, 33))
    close = kind.endswith("close")
    face = rng.uniform(190, 260) if close else np.exp(rng.uniform(np.log(62), np.log(190)))
    scene = cv2.resize(backdrop(rng, photographs), (int(FINE * WIDTH), int(FINE * HEIGHT)), interpolation=cv2.INTER_LINEAR)
    skin = np.array([(0.87, 0.68, 0.57), (0.72, 0.5, 0.38), (0.48, 0.31, 0.22)][int(rng.integers(3))], np.float32) * rng.uniform(0.8, 1.1)
    attacker, walk = Head.of(others[int(rng.integers(len(others)))]), Walk.drawn(rng, count, 60, 140)
    in_view = kind == "mask" or (not close and rng.random() < 0.4)
    light = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.04, 3)).astype(np.float32)
    things = media(person, kind, rng, count, photographs)
    x, y = rng.uniform(0.4, 0.6) * WIDTH + wander(rng, count, 0.1 * face), rng.uniform(0.4, 0.55) * HEIGHT + wander(rng, count, 0.08 * face)
    size = face * (1.0 + wander(rng, count, 0.04))
    yaw, pitch, roll = rng.normal(0, 0.12) + wander(rng, count, 0.12), rng.normal(0, 0.1) + wander(rng, count, 0.09), rng.normal(0, 0.04) + wander(rng, count, 0.05)
    if kind == "laptop":
        x, y, size, yaw, pitch, roll = (np.full(count, v.mean()) + (v - v.mean()) * 0.05 for v in (x, y, size, yaw, pitch, roll))
    spot = None if rng.random() < 0.5 else (rng.uniform(0.2, 0.8) * WIDTH, rng.uniform(0.1, 0.7) * HEIGHT, rng.uniform(15, 70))

    def moments() -> Iterator[np.ndarray]:
        for i in range(count):
            now = standing(attacker, scene, walk, i, light) if in_view else scene
            thing = things(i)
            if kind == "mask":
                place = (walk.x[i], walk.y[i], walk.face[i] * 1.08, walk.yaw[i] * 0.7 + yaw[i] * 0.3, pitch[i] * 0.5, walk.roll[i] + roll[i] * 0.3)
            else:
                place = (x[i], y[i], size[i], yaw[i], pitch[i], roll[i])
            yield held(now, thing, place, skin, light, spot, by_hand=kind not in ("mask", "laptop") and not close)

    return Webcam.drawn(rng).film(moments(), rng)


def media(person: Person, kind: str, rng: Rng, count: int, photographs: list[Path]) -> Callable[[int], Thing]:
    """What is held up in each frame: always the same, but for a film on a tablet."""
    if kind == "mask":
        thing = cut_out(person, rng)
    elif kind.startswith("print"):
        thing = paper(person, kind, rng)
    elif kind == "video-tablet":
        head, walk = Head.of(person), Walk.drawn(rng, count, 130, 190)
        scene = backdrop(rng, photographs)
        state = rng.bit_generator.state
        light = np.float32([1.0, 1.0, 1.0])

        def moment(i: int) -> Thing:
            picture = standing(head, scene, walk, i, light, scale=1.0)
            same = np.random.default_rng()
            same.bit_generator.state = state
            half = walk.face[i] / 2
            return gadget(picture.astype(np.float32), np.array([walk.x[i] - half, walk.y[i] - half, walk.x[i] + half, walk.y[i] + half]), "tablet", same)

        return moment
    else:
        picture, box = crop_to(person, *shape_of(kind, rng), rng)
        thing = gadget(picture, box, kind, rng)
    return lambda _: thing


def held(scene: np.ndarray, thing: Thing, place: tuple[float, ...], skin: np.ndarray, light: np.ndarray, spot: tuple[float, float, float] | None, by_hand: bool) -> np.ndarray:
    matrix = np.diag([FINE, FINE, 1.0]) @ plane(thing, *place)
    size = scene.shape[1::-1]
    tall, wide = thing.alpha.shape
    # Fine rasters are averaged by the pixels of the finer scene no further than these reach.
    step = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2])))) / matrix[2, 2]
    texture = thing.texture
    if step < 0.8:
        texture = thing.softened(min(3.0, round(4.0 * 0.33 / step) / 4.0))
    seen = cv2.warpPerspective(texture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpPerspective(thing.alpha, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    edge = np.array([wide / 2.0, tall, 1.0]) @ matrix.T
    low = edge[:2] / edge[2] / FINE
    if by_hand:
        scene = hand(scene.copy(), low, 0.22 * place[2], skin, False, FINE)
    if not thing.shines:
        seen = seen * light
    if spot is not None and thing.glossy:
        y, x = np.ogrid[0 : size[1], 0 : size[0]]
        shine = np.exp(-(((x / FINE - spot[0]) ** 2 + (y / FINE - spot[1]) ** 2) / (2 * spot[2] ** 2))).astype(np.float32)
        seen = seen + np.float32(0.7 * thing.glossy) * shine[..., None]
    alpha = cv2.GaussianBlur(alpha, (0, 0), 1.0)[..., None]
    scene = scene * (1 - alpha) + seen * alpha
    return hand(scene, low, 0.16 * place[2], skin, True, FINE) if by_hand else scene


# ---- The set --------------------------------------------------------------------------------------


def seen_in(film: list[bytes], looks: crops.Looks) -> float | None:
    """Width of the face in the first frame, when one is seen in the first, the middle and the last."""
    widths = []
    for at in (0, len(film) // 2, -1):
        picture = cv2.cvtColor(cv2.imdecode(np.frombuffer(film[at], np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        box = looks.largest(picture)
        if box is None:
            return None
        widths.append(float(max(box[2:] - box[:2])))
    return widths[0]


def asked(described: str, live: int, attacks: int) -> argparse.Namespace:
    """What the command line asks for, with `everyone` who may be drawn and the `photographs` to stand before;
    so many visits unless others are asked for."""
    parser = argparse.ArgumentParser(description=described.splitlines()[0])
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--mattes", type=Path, required=True)
    parser.add_argument("--backgrounds", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--live", type=int, default=live)
    parser.add_argument("--attacks", type=int, default=attacks)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    options.everyone = people(options.faces, options.mattes)
    if not options.everyone:
        sys.exit(f"draw: {options.faces}: no face with a matte")
    behind = options.backgrounds.rglob("*") if options.backgrounds else []
    options.photographs = sorted(path for path in behind if path.suffix.lower() in (".jpg", ".png"))
    return options


def placed(options: argparse.Namespace, kind: str, number: int) -> tuple[Person, Path]:
    """Who is drawn in a visit, and where its film lies."""
    everyone = options.everyone
    person = everyone[(number * 2 + (kind != "live") * (number // len(everyone) + 1)) % len(everyone)]
    folder = options.out / ("live" if kind == "live" else f"attack/{kind}")
    folder.mkdir(parents=True, exist_ok=True)
    return person, folder / f"{person.name}-{number}.mjpeg"


def main() -> int:
    options = asked(__doc__, live=102, attacks=306)
    cv2.setNumThreads(1)
    looks, rows = crops.Looks(), []
    wanted = [("live", i) for i in range(options.live)] + [(KINDS[i % len(KINDS)], i) for i in range(options.attacks)]
    for kind, number in wanted:
        person, path = placed(options, kind, number)
        for attempt in range(TRIES):
            rng = np.random.default_rng([options.seed, KINDS.index(kind) if kind in KINDS else 99, number, attempt])
            film = live(person, rng, options.photographs) if kind == "live" else attack(person, kind, rng, options.photographs, options.everyone)
            width = seen_in(film, looks)
            if width is not None:
                path.write_bytes(b"".join(film))
                rows.append((path.relative_to(options.out), kind, person.name, round(width)))
                break
        if len(rows) % 20 == 0:
            print(f"draw: {len(rows)} of {len(wanted)}", flush=True)
    with (options.out / "visits.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", "kind", "person", "face"), *rows])
    print(f"draw: {len(rows)} visits of {len(wanted)} in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
