"""Attacks: somebody's photograph on paper, on a screen or as a mask, held before the camera.

in   a kind of KINDS, subjects (subjects.py), a random generator
out  Scene (scenes.py): what stands before the camera; the camera itself is camera.py's, as for live ones

A medium is drawn flat (`Medium`: picture, outline, where the face is), tilted into the frame by a
pinhole camera, and lit there. Its grid of pixels or of printing dots is a wave along the medium that
is sampled at the frame's pixels, so that moiré comes of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from liveness.camera import Camera, compressed
from liveness.scenes import SKINS, VIEW, Scene, background, colour, composed, face_size, frame_size, furnished, live, moved, room, view_around, warped, windowed
from liveness.subjects import Subject

Rng = np.random.Generator
Other = Callable[[], Subject]
KINDS = {"sheet": 0.15, "glossy": 0.08, "mask": 0.2, "telephone": 0.12, "tablet": 0.1, "monitor": 0.09, "close-print": 0.12, "close-screen": 0.14}
SCREENS = ("telephone", "tablet", "monitor", "close-screen")
CLOSE = ("close-print", "close-screen")
# A medium is drawn with so many pixels for each of the frame.
DETAIL = 1.2


@dataclass(frozen=True)
class Medium:
    """`pixels` RGB float32; `alpha` 0 … 1; the face's box; `picture` is the part [left, top, right, bottom] that shows it."""

    pixels: np.ndarray
    alpha: np.ndarray
    box: np.ndarray
    picture: np.ndarray


def shown(subject: Subject, rng: Rng, other: Other, face: float, aspect: float, closest: float = 1.25) -> tuple[np.ndarray, np.ndarray]:
    """A picture of the subject, width : height = aspect, the face `face` pixels wide, and its box in it.

    Where the photograph is narrower than the medium, bars fill the rest, or the picture is closer.
    """
    usable = subject.matte is not None and subject.alone
    if usable and rng.random() < 0.35:
        wide = face * rng.uniform(1.6, 4.5)
        size = (int(wide / aspect), int(wide))
        scene = composed(subject, rng, other, size=size, face=min(face, 0.55 * min(size)))
        return scene.pixels, scene.box
    scale = face / subject.face
    tall, wide = (v * scale for v in subject.pixels.shape[:2])
    width = float(rng.uniform(closest, max(closest + 0.4, min(4.8, wide / face)))) * face
    height = width / aspect
    if height < 1.45 * face:
        height, width = 1.45 * face, 1.45 * face * aspect
    centre = subject.centre * scale
    left = float(np.clip(centre[0] - width * rng.uniform(0.35, 0.65), min(0.0, wide - width), max(0.0, wide - width)))
    top = float(np.clip(centre[1] - height * rng.uniform(0.3, 0.6), min(0.0, tall - height), max(0.0, tall - height)))
    matrix = np.array([[scale, 0, -left], [0, scale, -top]])
    tone = [(0, 0, 0), (255, 255, 255), (30, 30, 34)][int(rng.choice(3, p=[0.6, 0.3, 0.1]))]
    pixels = warped(subject.pixels, matrix, int(height), int(width), cv2.BORDER_CONSTANT).astype(np.float32)
    inside = warped(np.ones(subject.pixels.shape[:2], np.float32), matrix, int(height), int(width), cv2.BORDER_CONSTANT)
    pixels += (1.0 - inside[..., None]) * np.array(tone, np.float32)
    return pixels / 255.0, moved(subject.box, matrix)


def stored(pixels: np.ndarray, rng: Rng) -> np.ndarray:
    """The picture as a file of the attacker: a camera took it, and it was compressed, perhaps small."""
    if rng.random() < 0.3:
        return Camera.drawn(rng).take(pixels, rng).astype(np.float32) / 255.0
    height, width = pixels.shape[:2]
    if rng.random() < 0.3:
        share = rng.uniform(0.35, 0.9)
        small = cv2.resize(pixels, (max(24, int(width * share)), max(24, int(height * share))), interpolation=cv2.INTER_AREA)
        small = compressed((np.clip(small, 0, 1) * 255).astype(np.uint8), int(rng.integers(40, 96)))
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255.0
    return compressed((np.clip(pixels, 0, 1) * 255).astype(np.uint8), int(rng.integers(50, 98))).astype(np.float32) / 255.0


# ---- What media do to colours ---------------------------------------------------------------------


def toned(pixels: np.ndarray, gamma: float, gains: np.ndarray, saturation: float, black: float, white: float) -> np.ndarray:
    values = cv2.pow(np.clip(pixels, 0.0, 1.0), float(gamma))
    grey = values @ np.array([0.299, 0.587, 0.114], np.float32)
    values = grey[..., None] + (values - grey[..., None]) * np.float32(saturation)
    return ((black + (white - black) * np.clip(values, 0.0, 1.0)) * gains).astype(np.float32)


def printed(pixels: np.ndarray, rng: Rng, glossy: bool) -> np.ndarray:
    """Ink on paper: few dark tones, little saturation, perhaps grey, perhaps stripes of the printer."""
    good = rng.random() < 0.4
    black = rng.uniform(0.01, 0.08) if good else rng.uniform(0.02, 0.12) if glossy else rng.uniform(0.05, 0.25)
    saturation = rng.uniform(0.85, 1.2) if good else 0.0 if rng.random() < 0.08 else rng.uniform(0.75, 1.2) if glossy else rng.uniform(0.5, 1.05)
    gains = np.exp(rng.normal(0, 0.02 if good else 0.05, 3)).astype(np.float32)
    values = toned(pixels, np.exp(rng.normal(0, 0.08 if good else 0.2)), gains, saturation, black, rng.uniform(0.8, 1.0))
    height, width = values.shape[:2]
    if rng.random() < 0.5:
        grain = rng.standard_normal((height, width, 1), dtype=np.float32)
        values = values + grain * np.float32(rng.uniform(0.005, 0.04)) * (1.1 - values)
    if rng.random() < 0.2:
        stripes = np.sin(np.linspace(0, rng.uniform(10, 120), height, dtype=np.float32) + rng.uniform(0, 6))
        values = values * (1.0 + rng.uniform(0.01, 0.06) * stripes[:, None, None]).astype(np.float32)
    return values


def lit(pixels: np.ndarray, rng: Rng) -> np.ndarray:
    """A screen's light: another gamma, often blueish, black that the room's light lifts, a fall-off to one side."""
    good = rng.random() < 0.4
    cold = rng.normal(0.02, 0.03) if good else rng.normal(0.05, 0.08)
    gains = np.array([1.0 - cold, 1.0 + rng.normal(0, 0.02), 1.0 + cold], np.float32)
    black = rng.uniform(0.0, 0.05) if good else rng.uniform(0.0, 0.16) if rng.random() < 0.7 else 0.0
    saturation, gamma = (rng.uniform(0.9, 1.2), np.exp(rng.normal(0, 0.1))) if good else (rng.uniform(0.65, 1.45), rng.uniform(0.7, 1.5))
    values = toned(pixels, gamma, gains, saturation, black, rng.uniform(0.7, 1.3))
    height, width = values.shape[:2]
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :, None]
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None, None]
    return values * (1.0 + rng.normal(0, 0.12) * x + rng.normal(0, 0.12) * y).astype(np.float32)


# ---- Flat media -----------------------------------------------------------------------------------


def rounded(height: int, width: int, radius: float) -> np.ndarray:
    alpha = np.zeros((height, width), np.float32)
    radius = int(min(radius, height / 2 - 1, width / 2 - 1))
    cv2.rectangle(alpha, (radius, 0), (width - 1 - radius, height - 1), 1.0, -1)
    cv2.rectangle(alpha, (0, radius), (width - 1, height - 1 - radius), 1.0, -1)
    for x, y in ((radius, radius), (width - 1 - radius, radius), (radius, height - 1 - radius), (width - 1 - radius, height - 1 - radius)):
        cv2.circle(alpha, (x, y), radius, 1.0, -1, cv2.LINE_AA)
    return alpha


def bordered(pixels: np.ndarray, box: np.ndarray, edges: tuple[int, int, int, int], tone: np.ndarray, radius: float) -> Medium:
    """A picture within a frame of plain colour: left, top, right, bottom."""
    left, top, right, bottom = edges
    height, width = pixels.shape[0] + top + bottom, pixels.shape[1] + left + right
    whole = np.broadcast_to(tone, (height, width, 3)).astype(np.float32).copy()
    whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    picture = np.array([left, top, left + pixels.shape[1], top + pixels.shape[0]], float)
    return Medium(whole, rounded(height, width, radius), box + np.array([left, top] * 2), picture)


def sheet(subject: Subject, rng: Rng, other: Other, face: float, glossy: bool) -> Medium:
    aspect = float(rng.choice([0.707, 1.414, 0.667, 1.5, 0.75, 1.0]) * rng.uniform(0.93, 1.07))
    pixels, box = shown(subject, rng, other, face, aspect)
    pixels = printed(stored(pixels, rng), rng, glossy)
    height, width = pixels.shape[:2]
    paper = np.clip(rng.uniform(0.82, 1.0) + rng.normal(0, 0.025, 3), 0.6, 1.0).astype(np.float32)
    wide = rng.uniform(0.0, 0.16) if rng.random() < 0.75 else 0.0
    edges = tuple(int(wide * min(height, width) * rng.uniform(0.6, 1.4)) for _ in range(4))
    if rng.random() < 0.2:
        edges = (edges[0], edges[1], edges[2], int(edges[3] + rng.uniform(0.2, 0.8) * height))
    medium = bordered(pixels, box, edges, paper, 1.0)  # type: ignore[arg-type]
    return bent(medium, rng) if rng.random() < (0.35 if glossy else 0.65) else medium


def bent(medium: Medium, rng: Rng) -> Medium:
    """Curved about one axis, which also shades it, perhaps with a fold."""
    height, width = medium.alpha.shape
    u = np.linspace(-1, 1, width, dtype=np.float32)[None]
    v = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    along, across = (u, v) if rng.random() < 0.6 else (v, u)
    depth = rng.normal(0, 0.05) * (along - rng.uniform(-0.5, 0.5)) ** 2
    shift = (depth * (height if along is u else width)).astype(np.float32)
    x = np.broadcast_to((u + 1) * (width - 1) / 2, (height, width)).astype(np.float32)
    y = np.broadcast_to((v + 1) * (height - 1) / 2, (height, width)).astype(np.float32)
    x, y = (x, y + shift) if along is u else (x + shift, y)
    shade = 1.0 + rng.normal(0, 0.16) * along + rng.normal(0, 0.06) * across
    if rng.random() < 0.25:
        at = rng.uniform(-0.8, 0.8)
        shade = shade * (1.0 + rng.uniform(-0.25, 0.25) * np.tanh((along - at) * 12.0) * np.exp(-np.abs(along - at) * 2.5))
    pixels = cv2.remap(medium.pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) * np.broadcast_to(shade, (height, width))[..., None]
    alpha = cv2.remap(medium.alpha, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return replace(medium, pixels=pixels.astype(np.float32), alpha=alpha)


def device(subject: Subject, rng: Rng, other: Other, face: float, kind: str) -> Medium:
    """A telephone, a tablet or a monitor with its bezel; players and galleries leave bars and buttons."""
    if kind == "telephone":
        aspect = 1.0 / rng.uniform(1.6, 2.2)
        aspect = 1.0 / aspect if rng.random() < 0.25 else aspect
        thick, ends, radius = rng.uniform(0.01, 0.07), rng.uniform(0.01, 0.16), rng.uniform(0.02, 0.14)
    elif kind == "tablet":
        aspect = float(rng.choice([0.75, 1.333, 0.625, 1.6]))
        thick, ends, radius = rng.uniform(0.025, 0.1), rng.uniform(0.03, 0.12), rng.uniform(0.0, 0.06)
    else:
        aspect = float(rng.choice([1.6, 1.78, 1.33]))
        thick, ends, radius = rng.uniform(0.006, 0.05), rng.uniform(0.01, 0.08), 0.0
    pixels, box = shown(subject, rng, other, face, aspect, closest=1.3)
    pixels = interface(stored(pixels, rng), rng)
    pixels = lit(pixels, rng)
    height, width = pixels.shape[:2]
    short = min(height, width)
    sides, tips = max(1, int(thick * short)), max(1, int(ends * short))
    edges = (sides, tips, sides, tips) if height >= width or kind == "monitor" else (tips, sides, tips, sides)
    tone = np.clip(rng.choice([0.02, 0.03, 0.06, 0.1, 0.35, 0.85], p=[0.3, 0.2, 0.2, 0.1, 0.08, 0.12]) + rng.normal(0, 0.015, 3), 0.0, 1.0)
    medium = bordered(pixels, box, edges, tone.astype(np.float32), radius * short)
    return cased(medium, rng) if kind != "monitor" and rng.random() < 0.4 else standing(medium, rng) if kind == "monitor" else medium


def interface(pixels: np.ndarray, rng: Rng) -> np.ndarray:
    """Bars with marks as galleries, players and calls show them, over the picture's ends."""
    if rng.random() > 0.45:
        return pixels
    pixels, (height, width) = pixels.copy(), pixels.shape[:2]
    for top in (True, False):
        if rng.random() < 0.6:
            deep = max(2, int(rng.uniform(0.02, 0.1) * height))
            rows = slice(0, deep) if top else slice(height - deep, height)
            tone, share = (0.0 if rng.random() < 0.6 else 1.0), rng.uniform(0.4, 1.0)
            pixels[rows] = pixels[rows] * (1.0 - share) + tone * share
            for _ in range(int(rng.integers(0, 6))):
                x, y = int(rng.uniform(0, width)), int(rows.start + rng.uniform(0.3, 0.7) * deep)
                cv2.line(pixels, (x, y), (x + int(rng.uniform(0, 0.2) * width), y), (float(1.0 - tone),) * 3, max(1, deep // 6))
    return pixels


def cased(medium: Medium, rng: Rng) -> Medium:
    """A case or a metal rim around the glass."""
    rim = max(1, int(rng.uniform(0.008, 0.04) * min(medium.alpha.shape)))
    height, width = (v + 2 * rim for v in medium.alpha.shape)
    alpha = rounded(height, width, 0.09 * min(height, width) + rim)
    pixels = np.broadcast_to(colour(rng, 0.03, 0.9, 0.3), (height, width, 3)).astype(np.float32).copy()
    inside = medium.alpha[..., None]
    part = pixels[rim:-rim, rim:-rim]
    pixels[rim:-rim, rim:-rim] = part * (1.0 - inside) + medium.pixels * inside
    return Medium(pixels, alpha, medium.box + rim, medium.picture + rim)


def standing(medium: Medium, rng: Rng) -> Medium:
    """Below a monitor its foot, below a laptop's screen the keyboard."""
    height, width = medium.alpha.shape
    deep = int(rng.uniform(0.1, 0.4) * height)
    pixels = np.concatenate([medium.pixels, np.broadcast_to(colour(rng, 0.05, 0.8), (deep, width, 3)).astype(np.float32)])
    alpha = np.concatenate([medium.alpha, np.zeros((deep, width), np.float32)])
    if rng.random() < 0.5:
        alpha[height:] = 1.0
        rows = np.arange(height + max(2, deep // 6), height + deep - 2, max(3, deep // 6))
        for y in rows:
            cv2.line(pixels, (int(0.08 * width), int(y)), (int(0.92 * width), int(y)), colour(rng, 0.02, 0.3).tolist(), max(1, deep // 9))
    else:
        half = int(rng.uniform(0.05, 0.15) * width)
        alpha[height : height + deep, width // 2 - half : width // 2 + half] = 1.0
    return Medium(pixels, alpha, medium.box, medium.picture)


# ---- Into the frame -------------------------------------------------------------------------------


def tilted(medium: Medium, rng: Rng, at: tuple[float, float], width: int, steep: float = 1.0) -> np.ndarray:
    """3 × 3: the medium's pixels → the frame's, held askew, the middle of the face at `at`."""
    yaw, pitch = np.clip(rng.normal(0, 0.17 * steep, 2), -0.6, 0.6)
    roll = rng.normal(0, 0.09 * steep)
    focal = max(width, 480) * rng.uniform(0.9, 1.4)
    return pose(medium.box, at, float(yaw), float(pitch), float(roll), focal, 1.0 / DETAIL)


def pose(box: np.ndarray, at: tuple[float, float], yaw: float, pitch: float, roll: float, focal: float, scale: float) -> np.ndarray:
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]]) @ np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    centre = (box[:2] + box[2:]) / 2.0
    plane = np.array([[scale, 0, -scale * centre[0]], [0, scale, -scale * centre[1]], [0, 0, 1]])
    # A point (X, Y, 0) of the plane, turned, at distance `focal`, so that its middle keeps its size.
    lens = np.array([[focal, 0, 0], [0, focal, 0], [0, 0, 1]]) @ np.column_stack([turn[:, 0], turn[:, 1], [0, 0, focal]])
    return np.array([[1, 0, at[0]], [0, 1, at[1]], [0, 0, 1]]) @ lens @ plane


@dataclass(frozen=True)
class Held:
    """A medium in the frame: colours, coverage, and where on the picture (0 … 1) each pixel of the frame lies."""

    pixels: np.ndarray
    alpha: np.ndarray
    picture: np.ndarray
    across: np.ndarray
    down: np.ndarray


def held(medium: Medium, matrix: np.ndarray, height: int, width: int) -> Held:
    size = (width, height)
    pixels = cv2.warpPerspective(medium.pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpPerspective(medium.alpha, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    inverse = np.linalg.inv(matrix)
    x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    depth = inverse[2, 0] * x + inverse[2, 1] * y + inverse[2, 2]
    left, top, right, bottom = medium.picture
    across = ((inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]) / depth - left) / (right - left)
    down = ((inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]) / depth - top) / (right - left)
    picture = ((across >= 0) & (across <= 1) & (down >= 0) & (down <= (bottom - top) / (right - left))).astype(np.float32)
    return Held(pixels, alpha, picture * alpha, across, down)


def wave(turns: np.ndarray) -> np.ndarray:
    """A cosine by full turns; whole turns are taken off before precision is."""
    return np.cos(np.float32(2 * np.pi) * (turns - np.floor(turns)).astype(np.float32))


def gridded(view: Held, rng: Rng, screen: bool) -> np.ndarray:
    """Stripes of sub-pixels or screens of printing dots, sampled by the frame's pixels."""
    strength = rng.uniform(0.01, 0.14) if rng.random() < 0.65 else rng.uniform(0.0, 0.02)
    pixels = view.pixels.copy()
    # The lens bends straight lines a little, and moiré magnifies that.
    bend = 1.0 + rng.normal(0, 0.004) * ((view.across - 0.5) ** 2 + (view.down - 0.5) ** 2)
    across, down = view.across * bend, view.down * bend
    if screen:
        lines = rng.uniform(250, 2000)
        row = wave(lines * down) * np.float32(rng.uniform(0.0, 0.8))
        for channel in range(3):
            pixels[..., channel] *= 1.0 + np.float32(strength) * (wave(lines * across + channel / 3.0) + row) * view.picture
        if rng.random() < 0.15:
            # The screen's refresh against the shutter.
            bands = np.sin(2 * np.pi * (np.arange(pixels.shape[0]) / rng.uniform(40, 400) + rng.random()))
            pixels *= (1.0 + rng.uniform(0.02, 0.12) * bands[:, None, None] * view.picture[..., None]).astype(np.float32)
        return pixels
    lines = rng.uniform(80, 700)
    for channel, angle in enumerate(rng.permutation(np.radians([15.0, 75.0, 45.0]))):
        u, v = (across * np.cos(angle) + down * np.sin(angle)) * lines, (down * np.cos(angle) - across * np.sin(angle)) * lines
        tone = np.clip(pixels[..., channel], 0, 1)
        pixels[..., channel] += np.float32(4.0 * strength) * wave(u) * wave(v) * tone * (1.0 - tone) * view.picture
    return pixels


def glared(pixels: np.ndarray, alpha: np.ndarray, rng: Rng, behind: np.ndarray, glossy: bool) -> np.ndarray:
    """Lamps and windows mirrored in glass or on glossy paper, and the room before it, faintly."""
    height, width = alpha.shape
    if glossy and rng.random() < 0.35:
        mirror = cv2.GaussianBlur(behind[:, ::-1], (0, 0), rng.uniform(1, 8))
        pixels = pixels + alpha[..., None] * mirror * np.float32(rng.uniform(0.02, 0.16))
    for _ in range(int(rng.integers(1, 4)) if rng.random() < (0.5 if glossy else 0.15) else 0):
        spot = np.zeros((height, width), np.float32)
        rows, columns = np.nonzero(alpha[::8, ::8] > 0.5)
        if not len(rows):
            break
        pick = int(rng.integers(len(rows)))
        centre = (int(columns[pick] * 8), int(rows[pick] * 8))
        size = (int(rng.uniform(3, 60)), int(rng.uniform(3, 45)))
        if rng.random() < 0.5:
            cv2.ellipse(spot, centre, size, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
        else:
            corners = cv2.boxPoints((centre, (2.0 * size[0], 2.0 * size[1]), float(rng.normal(0, 12))))
            cv2.fillPoly(spot, [corners.astype(np.int32)], 1.0)
        spot = cv2.GaussianBlur(spot, (0, 0), float(rng.uniform(1.0, 12.0)))
        pixels = pixels + (spot * alpha * np.float32(rng.uniform(0.05, 0.7) ** 1.3))[..., None]
    return pixels


def shadowed(scene: np.ndarray, alpha: np.ndarray, rng: Rng) -> np.ndarray:
    if rng.random() < 0.4:
        return scene
    shift = np.array([[1, 0, rng.normal(0, 9)], [0, 1, rng.normal(4, 9)]])
    dark = cv2.warpAffine(alpha, shift, alpha.shape[::-1])
    dark = cv2.GaussianBlur(dark, (0, 0), float(rng.uniform(2, 14)))
    return scene * (1.0 - dark * np.float32(rng.uniform(0.05, 0.5)))[..., None]


def fingers(scene: np.ndarray, corners: np.ndarray, face: float, rng: Rng) -> np.ndarray:
    """Some fingers over an edge of the medium, from outside; corners in the frame, in turn."""
    scene = scene.astype(np.float32)
    height, width = scene.shape[:2]
    skin = SKINS[int(rng.integers(len(SKINS)))] * rng.uniform(0.55, 1.1)
    for _ in range(int(rng.integers(1, 3))):
        side = int(rng.choice(4, p=[0.1, 0.3, 0.3, 0.3]))
        one, other = corners[side], corners[(side + 1) % 4]
        inward = corners.mean(0) - (one + other) / 2.0
        inward = inward / (np.linalg.norm(inward) + 1e-6)
        thick = face * rng.uniform(0.09, 0.2)
        start = one + (other - one) * rng.uniform(0.1, 0.9)
        along = (other - one) / (np.linalg.norm(other - one) + 1e-6)
        for number in range(int(rng.integers(1, 5))):
            root = start + along * number * thick * 1.08 - inward * thick * rng.uniform(2.0, 6.0)
            tip = start + along * (number * thick * 1.08 + rng.normal(0, 0.3) * thick) + inward * thick * rng.uniform(0.2, 2.2)
            reach = thick + 3.0
            low = np.clip(np.minimum(root, tip) - reach, 0, [width, height]).astype(int)
            high = np.clip(np.maximum(root, tip) + reach, 0, [width, height]).astype(int)
            if min(high - low) < 2:
                continue
            mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.float32)
            cv2.line(mask, tuple(int(v) for v in root - low), tuple(int(v) for v in tip - low), 1.0, max(2, int(thick)), cv2.LINE_AA)
            inner = cv2.GaussianBlur(mask, (0, 0), max(0.8, thick * 0.25))
            mask = cv2.GaussianBlur(mask, (0, 0), 0.8)[..., None]
            part = scene[low[1] : high[1], low[0] : high[0]]
            part[...] = part * (1.0 - mask) + skin * (0.55 + 0.5 * inner[..., None]) * mask
    return scene


def present(medium: Medium, matrix: np.ndarray, behind: np.ndarray, rng: Rng, screen: bool, glossy: bool, by_hand: bool) -> Scene:
    height, width = behind.shape[:2]
    view = held(medium, matrix, height, width)
    pixels = gridded(view, rng, screen)
    if not screen:
        # Paper is lit by the room, from one side; a screen is not.
        x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :, None]
        y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None, None]
        pixels = pixels * (rng.uniform(0.55, 1.1) * (1.0 + rng.normal(0, 0.2) * x + rng.normal(0, 0.2) * y)).astype(np.float32)
    pixels = glared(pixels, view.alpha, rng, behind, glossy)
    scene = shadowed(behind, view.alpha, rng) if by_hand else behind
    if screen:
        scene = scene * np.float32(rng.uniform(0.3, 1.1))
    edge = cv2.GaussianBlur(view.alpha, (0, 0), 0.5)[..., None]
    scene = scene * (1.0 - edge) + pixels * edge
    box = moved(medium.box, matrix)
    if by_hand and rng.random() < 0.75:
        tall, wide = medium.alpha.shape
        corners = np.array([(0, 0, 1), (wide, 0, 1), (wide, tall, 1), (0, tall, 1)], float) @ matrix.T
        scene = fingers(scene, corners[:, :2] / corners[:, 2:], float(max(box[2:] - box[:2])), rng)
    return Scene(scene.astype(np.float32), box)


def behind_it(rng: Rng, height: int, width: int, other: Other) -> np.ndarray:
    """The room behind an attack, often with the attacker in it."""
    if rng.random() < 0.45:
        for _ in range(3):
            attacker = other()
            if attacker.matte is not None and attacker.alone:
                return composed(attacker, rng, other, size=(height, width)).pixels
    scene = background(rng, height, width, other)
    box = np.array([0.4 * width, 0.4 * height, 0.6 * width, 0.6 * height])
    scene = furnished(scene, rng, other, box) if rng.random() < 0.4 else scene
    return cv2.GaussianBlur(scene, (0, 0), float(rng.uniform(0.4, 4.0))) if rng.random() < 0.6 else scene


def flat(kind: str, subject: Subject, rng: Rng, other: Other, face: float) -> Medium:
    if kind in ("sheet", "glossy"):
        return sheet(subject, rng, other, face * DETAIL, kind == "glossy")
    return device(subject, rng, other, face * DETAIL, kind)


def near(kind: str, subject: Subject, rng: Rng, other: Other) -> Scene | None:
    """So close that no edge is seen: the frame shows a part of the picture."""
    screen = kind == "close-screen"
    height, width = frame_size(rng)
    face = face_size(rng, subject.face * 1.8)
    tall, wide = (v * face / subject.face for v in subject.pixels.shape[:2])
    height, width = (int(min(limit, 0.92 * size, 2 * VIEW * face)) for limit, size in ((height, tall), (width, wide)))
    if min(height, width) < 1.45 * face:
        return None
    scale = face * DETAIL / subject.face
    whole = cv2.resize(subject.pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR).astype(np.float32) / 255.0
    pixels = stored(whole, rng)
    pixels = lit(pixels, rng) if screen else printed(pixels, rng, rng.random() < 0.5)
    medium = Medium(pixels, np.ones(pixels.shape[:2], np.float32), subject.box * scale, np.array([0, 0, pixels.shape[1], pixels.shape[0]], float))
    if not screen and rng.random() < 0.4:
        medium = bent(medium, rng)
    centre = subject.centre * face / subject.face
    slack = [np.clip(rng.uniform(-0.5, 0.5) * (size - limit), -centre[i] + 0.6 * face, None) for i, (size, limit) in enumerate(((wide, width), (tall, height)))]
    at = (float(np.clip(centre[0] - (wide - width) / 2 + slack[0], 0.6 * face, width - 0.6 * face)), float(np.clip(centre[1] - (tall - height) / 2 + slack[1], 0.6 * face, height - 0.6 * face)))
    matrix = tilted(medium, rng, at, width, 0.5)
    empty = room(rng, height, width)
    return present(medium, matrix, empty, rng, screen, screen or rng.random() < 0.5, by_hand=False)


def by_scissors(subject: Subject, rng: Rng) -> np.ndarray:
    """The outline of a face, N × 2 whole pixels, along which hands cut it out: rounder or squarer, uneven, some straight cuts."""
    wide, tall = subject.face * rng.uniform(0.48, 0.68), subject.face * rng.uniform(0.62, 0.88)
    round_ = float(rng.uniform(1.6, 3.2))
    cuts = int(rng.integers(9, 26)) if rng.random() < 0.4 else 72
    turns = (np.arange(cuts) + rng.uniform(-0.35, 0.35, cuts)) * (2 * np.pi / cuts)
    slip = rng.uniform(0.0, 0.05)
    uneven = sum(rng.normal(0, 1) * np.sin(n * turns + rng.uniform(0, 6)) / n for n in range(2, 7)) * slip
    x, y = np.cos(turns), np.sin(turns)
    away = (1.0 + uneven) / (np.abs(x) ** round_ + np.abs(y) ** round_) ** (1.0 / round_)
    chin = np.where(y > 0, 1.0 - rng.uniform(0.0, 0.25) * y, 1.0)
    centre = subject.centre - np.array([0.0, 0.06 * subject.face])
    return np.stack([centre[0] + wide * away * x * chin, centre[1] + tall * away * y], axis=1).astype(np.int32)


def masked(subject: Subject, rng: Rng, other: Other) -> Scene | None:
    """A face cut out of paper, worn by somebody else, or the whole head held on its own."""
    wearer = other()
    base = live(wearer, rng, other) if rng.random() < 0.75 else None
    if base is None:
        face = face_size(rng, subject.face * 1.5)
        height, width, at = view_around(rng, face)
        base = Scene(behind_it(rng, height, width, other), np.array([-face, -face, face, face]) / 2 + np.tile(at, 2))
    height, width = base.pixels.shape[:2]
    scale = base.face / subject.face * rng.uniform(1.0, 1.2)
    if scale > 2.2:
        return None
    tall, wide = subject.pixels.shape[:2]
    cut = np.zeros((tall, wide), np.float32)
    if subject.matte is not None and subject.alone and rng.random() < 0.35:
        cut = np.clip((subject.matte - 0.3) / 0.4, 0, 1)
        cut[int(min(tall, subject.box[3] + rng.uniform(0.0, 0.5) * subject.face)) :] = 0.0
        cut = cut.astype(np.float32)
    else:
        cv2.fillPoly(cut, [by_scissors(subject, rng)], 1.0)
    holes = np.zeros_like(cut)
    if rng.random() < 0.35:
        for eye in subject.keypoints[:2]:
            cv2.ellipse(holes, (int(eye[0]), int(eye[1])), (int(subject.face * rng.uniform(0.09, 0.13)), int(subject.face * rng.uniform(0.05, 0.09))), 0, 0, 360, 1.0, -1)
        if rng.random() < 0.3:
            mouth = subject.keypoints[3]
            cv2.ellipse(holes, (int(mouth[0]), int(mouth[1])), (int(subject.face * 0.16), int(subject.face * 0.06)), 0, 0, 360, 1.0, -1)
    rim = max(1, int(subject.face * (rng.uniform(0.0, 0.03) if rng.random() < 0.5 else rng.uniform(0.02, 0.1))))
    paper = cv2.dilate(cut, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1,) * 2))
    glossy = rng.random() < 0.3
    ink = printed(stored(subject.pixels.astype(np.float32) / 255.0, rng), rng, glossy)
    ink = ink * cut[..., None] + rng.uniform(0.75, 1.0) * (1.0 - cut[..., None])
    medium = Medium(ink.astype(np.float32), (paper * (1.0 - holes)).astype(np.float32), subject.box, np.array([0, 0, wide, tall], float))
    if rng.random() < 0.6:
        medium = bent(medium, rng)
    yaw, pitch, roll = rng.normal(0, (0.15, 0.12, 0.07))
    at = tuple(base.centre + rng.normal(0, 0.04, 2) * base.face)
    matrix = pose(medium.box, at, yaw, pitch, roll, max(width, 480) * 1.1, scale)
    # Large photographs on small faces: shrink first, as `warped` does.
    if scale < 0.7:
        share = scale * 1.2
        small = tuple(cv2.resize(v, None, fx=share, fy=share, interpolation=cv2.INTER_AREA) for v in (medium.pixels, medium.alpha))
        fit = np.diag([wide / small[1].shape[1], tall / small[1].shape[0], 1.0])
        shrunk = 1.0 / np.array([fit[0, 0], fit[1, 1]] * 2)
        medium, matrix = Medium(small[0], small[1], medium.box * shrunk, medium.picture * shrunk), matrix @ fit
    return present(medium, matrix, base.pixels, rng, False, glossy, by_hand=True) if rng.random() < 0.3 else present(medium, matrix, shadowed(base.pixels, held(medium, matrix, height, width).alpha, rng), rng, False, glossy, by_hand=False)


def attack(kind: str, subject: Subject, rng: Rng, other: Other) -> Scene | None:
    """One attack of a kind; None where this photograph does not serve for it."""
    if kind in CLOSE:
        scene = near(kind, subject, rng, other)
    elif kind == "mask":
        scene = masked(subject, rng, other)
    else:
        face = face_size(rng, subject.face * 2.0)
        height, width, at = view_around(rng, face)
        medium = flat(kind, subject, rng, other, face)
        matrix = tilted(medium, rng, at, width, 0.6 if kind == "monitor" else 1.0)
        scene = present(medium, matrix, behind_it(rng, height, width, other), rng, kind in SCREENS, kind != "sheet", by_hand=kind != "monitor")
    if scene is None:
        return None
    return windowed(scene, rng) if rng.random() < 0.25 else scene


def any_kind(rng: Rng) -> str:
    names = list(KINDS)
    return names[int(rng.choice(len(names), p=[KINDS[n] for n in names]))]
