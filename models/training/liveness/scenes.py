"""Live scenes: somebody in front of the camera, whole photographs or people before other backgrounds.

in   subjects (subjects.py), a random generator
out  Scene: RGB float32 0 … 1 as large as the frame, and the box of the face in it

Many live people stand before pictures, screens, doors and windows, and many attacks have the natural
surroundings of a photograph on them: a rectangle, or the edge of a cut-out, tells nothing alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from liveness.boxed import Boxed
from liveness.subjects import Subject

Rng = np.random.Generator
FACE_LOW, FACE_HIGH = 42.0, 260.0
ENLARGED_MAX = 1.3
VIEW = 2.4
FRAMES = (((480, 640), 0.62), ((360, 640), 0.14), ((640, 480), 0.14), ((360, 480), 0.10))
SKINS = np.array([(236, 200, 178), (224, 178, 150), (205, 154, 124), (178, 124, 92), (141, 92, 66), (104, 66, 47), (76, 49, 38)], np.float32) / 255.0


@dataclass(frozen=True)
class Scene(Boxed):
    pixels: np.ndarray
    box: np.ndarray


def frame_size(rng: Rng) -> tuple[int, int]:
    return FRAMES[int(rng.choice(len(FRAMES), p=[share for _, share in FRAMES]))][0]


def view_around(rng: Rng, face: float) -> tuple[int, int, tuple[float, float]]:
    """Height and width of what is drawn of a frame, and where the face is in it: a frame's parts that are
    more than VIEW faces away from the face are never seen by a network."""
    height, width = frame_size(rng)
    x, y = rng.uniform(0.25, 0.75) * width, rng.uniform(0.28, 0.72) * height
    reach = VIEW * face
    left, right, top, bottom = (int(v) for v in (max(0, x - reach), min(width, x + reach), max(0, y - reach), min(height, y + reach)))
    return bottom - top, right - left, (float(x - left), float(y - top))


def face_size(rng: Rng, most: float = FACE_HIGH) -> float:
    return float(np.exp(rng.uniform(np.log(FACE_LOW), np.log(max(FACE_LOW + 1.0, min(most, FACE_HIGH))))))


def moved(box: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """An upright box in the place of a box that a 2 × 3 or 3 × 3 matrix moved, of the same area as that."""
    corners = np.array([(box[x], box[y], 1.0) for x, y in ((0, 1), (2, 1), (2, 3), (0, 3))]) @ matrix.T
    points = corners[:, :2] / corners[:, 2:] if matrix.shape[0] == 3 else corners
    half = np.sqrt(cv2.contourArea(points.astype(np.float32))) / 2.0
    return np.concatenate([points.mean(0) - half, points.mean(0) + half])


def resized(pixels: np.ndarray, scale: float) -> tuple[np.ndarray, float]:
    """Shrunk by an area filter when `scale` asks for much less; the scale that is left to do."""
    if scale >= 0.75:
        return pixels, scale
    height, width = pixels.shape[:2]
    done = min(1.0, scale * 1.1)
    small = cv2.resize(pixels, (max(2, round(width * done)), max(2, round(height * done))), interpolation=cv2.INTER_AREA)
    return small, scale * width / small.shape[1]


def placing(subject: Subject, scale: float, roll: float, at: tuple[float, float]) -> np.ndarray:
    """2 × 3: the subject's pixels → the frame's, the middle of the face at `at`."""
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]) * scale
    return np.hstack([turn, (np.array(at) - turn @ subject.centre)[:, None]])


def warped(pixels: np.ndarray, matrix: np.ndarray, height: int, width: int, border: int = cv2.BORDER_REPLICATE) -> np.ndarray:
    """By a 2 × 3 matrix of the original's pixels; shrinks with an area filter first."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    small, _ = resized(pixels, scale)
    fit = matrix @ np.diag([pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0], 1.0])
    return cv2.warpAffine(small, fit, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)


def natural(subject: Subject, rng: Rng) -> Scene:
    """A part of the photograph around the face, as it is."""
    face = face_size(rng, subject.face * ENLARGED_MAX)
    scale, (height, width) = face / subject.face, frame_size(rng)
    tall, wide = (int(v * scale) for v in subject.pixels.shape[:2])
    height, width = (int(min(limit, size, 2 * VIEW * face)) for limit, size in ((height, tall), (width, wide)))
    centre = subject.centre * scale
    margin = 0.62 * face
    left = between(rng, centre[0] + margin - width, centre[0] - margin, wide - width)
    top = between(rng, centre[1] + margin - height, centre[1] - margin, tall - height)
    matrix = np.array([[scale, 0, -left], [0, scale, -top]])
    pixels = warped(subject.pixels, matrix, height, width).astype(np.float32) / 255.0
    return Scene(pixels, moved(subject.box, matrix))


def between(rng: Rng, low: float, high: float, most: float) -> float:
    """Somewhere in [low, high] that is also in [0, most]."""
    low, high = max(0.0, low), min(most, high)
    return float(rng.uniform(low, high)) if high > low else float(np.clip((low + high) / 2.0, 0.0, max(0.0, most)))


def composed(subject: Subject, rng: Rng, other: Callable[[], Subject], size: tuple[int, int] | None = None, face: float | None = None) -> Scene:
    """The person cut out of the photograph and put before a background."""
    face = face or face_size(rng, subject.face * ENLARGED_MAX)
    scale = face / subject.face
    roll = float(rng.normal(0, 0.05))
    if size is None:
        height, width, (x, y) = view_around(rng, face)
    else:
        (height, width), x, y = size, float(rng.uniform(0.3, 0.7) * size[1]), float(rng.uniform(0.28, 0.72) * size[0])
    top, bottom = subject.centre[1] * scale, (subject.pixels.shape[0] - subject.centre[1]) * scale
    if y + bottom < height and rng.random() < 0.5:
        y = min(0.8 * height, height - bottom)
    assert subject.matte is not None
    if float(subject.matte[:2].max(initial=0.0)) > 0.3:
        y = min(y, top)
    matrix = placing(subject, scale, roll, (x, y))
    person = warped(subject.pixels, matrix, height, width).astype(np.float32) / 255.0
    matte = warped(subject.matte, matrix, height, width)
    # Above the photograph is nobody; below it the body goes on.
    rows = np.arange(height, dtype=np.float32)[:, None]
    matte = np.where(rows < y - top, 0.0, matte)
    matte = np.clip((matte - 0.35) / 0.45, 0.0, 1.0)
    matte = cv2.GaussianBlur(matte.astype(np.float32), (0, 0), float(rng.uniform(0.5, 1.2)))[..., None]
    scene = background(rng, height, width, other)
    box = moved(subject.box, matrix)
    if rng.random() < 0.5:
        scene = furnished(scene, rng, other, box)
    if rng.random() < 0.6:
        scene = cv2.GaussianBlur(scene, (0, 0), float(rng.uniform(0.4, 4.0)))
    share = float(rng.uniform(0.0, 0.6))
    means = (scene.mean((0, 1)) + 0.08) / ((person * matte).sum((0, 1)) / (matte.sum() + 1.0) + 0.08)
    person = person * np.clip(1.0 + share * (means - 1.0), 0.55, 1.6).astype(np.float32)
    return Scene((person * matte + scene * (1.0 - matte)).astype(np.float32), box)


def without_people(subject: Subject, rng: Rng, height: int, width: int) -> np.ndarray | None:
    """A part of somebody's photograph in which nobody is."""
    if subject.matte is None:
        return None
    tall, wide = subject.pixels.shape[:2]
    for _ in range(12):
        part = rng.uniform(0.22, 0.7) * wide
        part = min(part, tall * width / height * 0.95)
        deep = part * height / width
        left, top = rng.uniform(0, wide - part), rng.uniform(0, max(1e-3, tall - deep))
        rows, columns = slice(int(top), max(int(top) + 1, int(top + deep))), slice(int(left), max(int(left) + 1, int(left + part)))
        if float(subject.matte[rows, columns].mean()) < 0.04:
            return cv2.resize(subject.pixels[rows, columns], (width, height), interpolation=cv2.INTER_LINEAR)
    return None


def background(rng: Rng, height: int, width: int, other: Callable[[], Subject]) -> np.ndarray:
    """What is behind: a part of a photograph, or a drawn room."""
    kind = rng.random()
    if kind < 0.6:
        for _ in range(2):
            part = without_people(other(), rng, height, width)
            if part is not None:
                part = part[:, ::-1] if rng.random() < 0.5 else part
                return textured(part.astype(np.float32) / 255.0, rng)
    if kind < 0.68:
        subject = other()
        scale = max(height / subject.pixels.shape[0], width / subject.pixels.shape[1]) * rng.uniform(1.0, 1.5)
        matrix = placing(subject, scale, 0.0, (rng.uniform(0, width), rng.uniform(0, height)))
        return warped(subject.pixels, matrix, height, width, cv2.BORDER_REFLECT).astype(np.float32) / 255.0
    return room(rng, height, width)


def textured(pixels: np.ndarray, rng: Rng) -> np.ndarray:
    """Enlarged parts have lost their grain: some of it is given back."""
    height, width = pixels.shape[:2]
    for side, strength in ((4, 0.02), (2, 0.015), (1, 0.012)):
        grain = rng.standard_normal((height // side + 1, width // side + 1), dtype=np.float32) * np.float32(strength * rng.uniform(0, 1))
        pixels = pixels + cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    return pixels


def colour(rng: Rng, low: float = 0.1, high: float = 0.9, strength: float = 0.12) -> np.ndarray:
    return np.clip(rng.uniform(low, high) + rng.normal(0, strength * 0.6, 3), 0.02, 1.0).astype(np.float32)


def room(rng: Rng, height: int, width: int) -> np.ndarray:
    """A wall with light from one side, perhaps a floor, skirting, a door, a window, shelves."""
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :, None]
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None, None]
    light = 1.0 + rng.normal(0, 0.3) * x + rng.normal(0, 0.25) * y
    scene = np.broadcast_to(colour(rng, 0.15, 0.9), (height, width, 3)).astype(np.float32).copy()
    if rng.random() < 0.25:
        # Wallpaper, boards, tiles, bricks.
        period, angle = rng.uniform(8, 70), rng.choice([0.0, np.pi / 2])
        along = np.cos(angle) * x * width + np.sin(angle) * y * height
        scene = scene * (1.0 + rng.uniform(0.03, 0.25) * np.sign(np.sin(2 * np.pi * along / period)) * 0.5).astype(np.float32)
    for _ in range(int(rng.integers(0, 6))):
        left, top = int(rng.uniform(-0.2, 0.95) * width), int(rng.uniform(-0.3, 0.8) * height)
        right, bottom = left + int(rng.uniform(0.05, 0.5) * width), top + int(rng.uniform(0.1, 1.0) * height)
        tone = colour(rng, 0.05, 1.15)
        cv2.rectangle(scene, (left, top), (right, bottom), tone.tolist(), -1)
        if rng.random() < 0.5:
            cv2.rectangle(scene, (left, top), (right, bottom), colour(rng).tolist(), int(rng.integers(2, 12)))
    if rng.random() < 0.3:
        edge = int(rng.uniform(0.6, 0.95) * height)
        scene[edge:] = colour(rng, 0.1, 0.7)
    return textured(cv2.GaussianBlur((scene * light).astype(np.float32), (0, 0), float(rng.uniform(0.5, 2.5))), rng)


def furnished(scene: np.ndarray, rng: Rng, other: Callable[[], Subject], box: np.ndarray) -> np.ndarray:
    """Pictures, screens, doors and windows with plain edges behind the person, often right behind the head."""
    height, width = scene.shape[:2]
    scene = scene.copy()
    face = float(max(box[2:] - box[:2]))
    middle = (box[:2] + box[2:]) / 2.0
    for _ in range(int(rng.integers(1, 4))):
        near = rng.random() < 0.55
        wide = face * rng.uniform(1.3, 4.0) if near else width * rng.uniform(0.1, 0.5)
        tall = wide * rng.choice([0.6, 0.75, 1.33, 1.8, 2.2]) * rng.uniform(0.85, 1.2)
        at = middle + rng.normal(0, 0.6, 2) * face if near else np.array([rng.uniform(0, width), rng.uniform(0, 0.8 * height)])
        left, top = int(at[0] - wide / 2), int(at[1] - tall / 2)
        edge = int(rng.uniform(0.02, 0.09) * min(wide, tall)) + 1
        inside = panel(rng, max(4, int(tall)), max(4, int(wide)), other)
        inside[:edge], inside[-edge:], inside[:, :edge], inside[:, -edge:] = (colour(rng, 0.02, 0.95),) * 4
        rows, columns = slice(max(0, top), min(height, top + int(tall))), slice(max(0, left), min(width, left + int(wide)))
        if rows.stop > rows.start and columns.stop > columns.start:
            scene[rows, columns] = inside[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return scene


def panel(rng: Rng, tall: int, wide: int, other: Callable[[], Subject]) -> np.ndarray:
    """What a picture, a screen, a door or a window shows."""
    kind = rng.random()
    if kind < 0.4:
        subject = other()
        scale = max(tall / subject.pixels.shape[0], wide / subject.pixels.shape[1])
        matrix = placing(subject, scale, 0.0, (wide / 2, tall / 2))
        return warped(subject.pixels, matrix, tall, wide, cv2.BORDER_REFLECT).astype(np.float32) / 255.0 * np.float32(rng.uniform(0.6, 1.3))
    if kind < 0.7:
        return room(rng, tall, wide) * np.float32(rng.uniform(0.5, 1.5))
    return np.broadcast_to(colour(rng, 0.02, 1.1), (tall, wide, 3)).astype(np.float32).copy()


def windowed(scene: Scene, rng: Rng) -> Scene:
    """A smaller frame around the face: what a camera with a narrower view sees."""
    height, width = scene.pixels.shape[:2]
    wide, tall = (min(limit, scene.face * rng.uniform(1.7, 5.0)) for limit in (width, height))
    margin = 0.62 * scene.face
    left = between(rng, scene.centre[0] + margin - wide, scene.centre[0] - margin, width - wide)
    top = between(rng, scene.centre[1] + margin - tall, scene.centre[1] - margin, height - tall)
    rows, columns = slice(int(top), int(top + tall)), slice(int(left), int(left + wide))
    return Scene(np.ascontiguousarray(scene.pixels[rows, columns]), scene.box - np.array([int(left), int(top)] * 2))


def live(subject: Subject, rng: Rng, other: Callable[[], Subject]) -> Scene:
    usable = subject.matte is not None and subject.alone
    scene = composed(subject, rng, other) if usable and rng.random() < 0.6 else natural(subject, rng)
    return windowed(scene, rng) if rng.random() < 0.25 else scene
