"""Covers on a face, and what only looks like one.

in   a Face (face.py), a random generator
out  the same Face, drawn on: COVERS hide a part of it, LEFT_FREE hide none that counts

Each draws its own shape, cloth, light and place anew. What is labelled is not the kind of the cover
but what it hides (regions.py): a mask below the chin covers nothing.
"""

from __future__ import annotations

import cv2
import numpy as np
from covered import cloth, regions
from covered.face import Face, rounded, shaken

Rng = np.random.Generator

# From one side of the face to the other below the eyes, and along the jaw back.
UPPER_RIGHT, UPPER_LEFT = (234, 227, 116, 117, 118, 119), (348, 347, 346, 345, 447, 454)
JAW = (454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234)
BRIDGE = (6, 197, 195, 5)
NOSE_FREE = 164


def lit(face: Face, layer: np.ndarray, rng: Rng) -> np.ndarray:
    return layer * face.light(rng)[..., None]


def swelling(alpha: np.ndarray, deep: float) -> np.ndarray:
    """Darker towards the edges of a shape, as on what is round: about 0.6 to 1."""
    inside = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 3) / max(deep, 1.0)
    return 0.6 + 0.4 * np.sqrt(np.clip(inside, 0.0, 1.0))


def line(face: Face, alpha: np.ndarray, points: np.ndarray, thick: float, value: float = 1.0) -> None:
    whole = np.round(points * 16).astype(np.int32)
    cv2.polylines(alpha, [whole], False, value, max(1, int(round(thick * face.apart))), cv2.LINE_AA, 4)


# ---------------------------------------------------------------- masks and scarves


def mask(face: Face, rng: Rng, nose_free: bool = False, low: bool = False) -> None:
    """Surgical, of cloth, or FFP2; from the bridge of the nose, or worn below it, or below the chin (`low`)."""
    marks, height_width = face.landmarks, face.shape
    jaw = marks[list(JAW)].astype(np.float32)
    mouth = marks[list(regions.LIPS)].mean(0)
    wide = rng.uniform(1.0, 1.16)
    jaw = mouth + (jaw - mouth) * np.float32([wide])
    jaw[6:15] += face.down * face.apart * rng.uniform(0.0, 0.18)
    if low:
        upper = [face.at(x, rng.uniform(1.5, 1.75)) for x in (-0.7, -0.3, 0.0, 0.3, 0.7)]
        outline = np.array([*upper, *face.points([(0.9, 1.4), (0.6, 2.4), (0.0, 2.6), (-0.6, 2.4), (-0.9, 1.4)])], np.float32)
    else:
        bridge = marks[NOSE_FREE] if nose_free else marks[int(rng.choice(BRIDGE))]
        drop = face.down * face.apart * (rng.uniform(0.3, 0.5) if nose_free else rng.uniform(0.0, 0.3))
        right, left = (marks[list(side[2:])] + drop for side in (UPPER_RIGHT, UPPER_LEFT))
        ends = [marks[234] + drop * rng.uniform(0.4, 1.2), marks[454] + drop * rng.uniform(0.4, 1.2)]
        outline = np.concatenate([[ends[0]], right, [bridge], left, [ends[1]], jaw[1:-1]]).astype(np.float32)
    outline = rounded(shaken(outline, 0.015 * face.apart, rng))
    alpha = regions.filled(outline, height_width)
    layer = cloth.cloth(*height_width, face.apart, rng)
    kind = rng.random()
    depth = along_face(face)
    if kind < 0.45:  # Pleats across.
        pleats = rng.uniform(2.5, 6.0)
        layer = layer * (1.0 - np.float32(rng.uniform(0.05, 0.3)) * np.clip(np.cos(2 * np.pi * pleats * depth), 0, 1) ** 6)[..., None]
    elif kind < 0.7:  # A ridge down the middle, as FFP2 masks have; one side is in shadow.
        side = across_face(face)
        layer = layer * (1.0 - np.float32(rng.uniform(0.05, 0.3)) * (side * rng.choice([-1, 1]) > 0))[..., None]
        layer = layer * (1.0 - np.float32(rng.uniform(0.1, 0.3)) * np.exp(-((side / 0.04) ** 2)))[..., None]
    if rng.random() < 0.15:  # A valve or a print.
        place = face.at(rng.uniform(-0.5, 0.5), rng.uniform(0.9, 1.4))
        cv2.circle(layer, tuple(int(v) for v in place), max(1, int(rng.uniform(0.08, 0.3) * face.apart)), [float(v) for v in cloth.any_colour(rng)], -1, cv2.LINE_AA)
    layer = lit(face, layer * swelling(alpha, 0.9 * face.apart)[..., None], rng)
    straps = np.zeros(height_width, np.float32)
    if rng.random() < 0.75:
        for x in (-1.0, 1.0):
            for y0, y1 in ((0.55, 0.15), (1.35, 0.55)):
                line(face, straps, face.points([(0.95 * x, y0), (1.25 * x, y1)]), rng.uniform(0.02, 0.06), 0.95)
        face.lay(layer, straps, hides=0.0)
    face.shade(alpha, rng.uniform(0.0, 0.4), rng.uniform(0.03, 0.12), (rng.uniform(-0.06, 0.06), rng.uniform(-0.06, 0.08)))
    face.lay(layer, alpha * np.float32(rng.uniform(0.93, 1.0)))


def along_face(face: Face) -> np.ndarray:
    """How far below the eyes each pixel is, in distances of the eyes."""
    y, x = np.mgrid[0 : face.shape[0], 0 : face.shape[1]].astype(np.float32)
    return ((x - face.middle[0]) * face.down[0] + (y - face.middle[1]) * face.down[1]) / np.float32(face.apart)


def across_face(face: Face) -> np.ndarray:
    """How far to the side of the nose each pixel is."""
    y, x = np.mgrid[0 : face.shape[0], 0 : face.shape[1]].astype(np.float32)
    nose = face.landmarks[4]
    return ((x - nose[0]) * face.across[0] + (y - nose[1]) * face.across[1]) / np.float32(face.apart)


def scarf(face: Face, rng: Rng, low: bool = False) -> None:
    """Wound around neck and chin; over mouth and nose, or (`low`) left below the mouth."""
    top = rng.uniform(1.55, 1.9) if low else rng.uniform(0.35, 0.95)
    sag = rng.uniform(-0.1, 0.35)
    upper = [(x, top + sag * (1 - (abs(x) / 1.5) ** 2) - (0.25 if low else rng.uniform(0.0, 0.3)) * (abs(x) / 1.5)) for x in (-1.6, -1.0, -0.5, 0.0, 0.5, 1.0, 1.6)]
    outline = rounded(shaken(face.points([*upper, (2.0, 2.4), (2.1, 3.6), (0.0, 4.2), (-2.1, 3.6), (-2.0, 2.4)]), 0.03 * face.apart, rng))
    alpha = regions.filled(outline, face.shape)
    layer = cloth.cloth(*face.shape, face.apart, rng)
    waves = rng.uniform(0.8, 3.0)
    layer = layer * (1.0 - np.float32(rng.uniform(0.1, 0.45)) * np.clip(np.cos(2 * np.pi * waves * (along_face(face) + rng.uniform(-0.2, 0.2) * across_face(face)) + rng.uniform(0, 6)), 0, 1) ** 3)[..., None]
    face.shade(alpha, rng.uniform(0.1, 0.5), rng.uniform(0.04, 0.15), (0.0, rng.uniform(-0.12, 0.0)))
    face.lay(lit(face, layer, rng), alpha)


def hood(face: Face, rng: Rng, free: bool = False) -> None:
    """Around the head: a balaclava or veil that leaves a slit at the eyes, or (`free`) a headscarf that leaves the face."""
    oval = regions.polygon(face.landmarks, regions.OVAL)
    outside = rounded(shaken(regions.polygon(face.landmarks, regions.OVAL, rng.uniform(1.25, 1.6)) - face.down * face.apart * rng.uniform(0.0, 0.25), 0.03 * face.apart, rng))
    alpha = regions.filled(outside, face.shape)
    if rng.random() < 0.8:
        alpha = np.maximum(alpha, regions.filled(face.points([(-1.2, 1.2), (1.2, 1.2), (2.0, 3.2), (2.2, 5.0), (-2.2, 5.0), (-2.0, 3.2)]), face.shape))
    if free:
        hole = regions.filled(rounded(shaken(oval.mean(0) + (oval - oval.mean(0)) * np.float32(rng.uniform(0.94, 1.1)), 0.02 * face.apart, rng)), face.shape)
        # The brows and what is below stay free, also of a scarf that sits low.
        hole = np.maximum(hole, regions.filled(face.points([(-0.95, -0.45), (0.95, -0.45), (0.9, 0.9), (0.55, 1.8), (-0.55, 1.8), (-0.9, 0.9)]), face.shape))
    else:
        top, low, wide = rng.uniform(-0.6, -0.25), rng.uniform(0.2, 0.55), rng.uniform(0.85, 1.15)
        if rng.random() < 0.5:
            slit = [(-wide, top), (wide, top), (wide * 1.05, 0.0), (wide, low), (0.0, low + rng.uniform(-0.1, 0.2)), (-wide, low), (-wide * 1.05, 0.0)]
            hole = regions.filled(rounded(face.points(slit)), face.shape)
        else:
            holes = [face.points([(x + 0.38 * c, 0.28 * s) for c, s in ((np.cos(t), np.sin(t)) for t in np.linspace(0, 2 * np.pi, 12, endpoint=False))]) for x in (-0.5, 0.5)]
            hole = np.maximum(*(regions.filled(h, face.shape) for h in holes))
    alpha = np.clip(alpha - hole, 0, 1)
    layer = lit(face, cloth.cloth(*face.shape, face.apart, rng), rng)
    face.shade(alpha, rng.uniform(0.0, 0.45), rng.uniform(0.04, 0.12), (rng.uniform(-0.08, 0.08), rng.uniform(0.0, 0.12)))
    face.lay(layer, alpha)


# ---------------------------------------------------------------- spectacles


def lenses(face: Face, rng: Rng, shield: bool = False, large: float = 1.0, lower: float = 0.12) -> list[np.ndarray]:
    """Outlines of the lenses, in pixels: round, square, drooping, or one shield."""
    wide, tall = rng.uniform(0.3, 0.47) * large, rng.uniform(0.22, 0.42) * large
    power, droop, drop = rng.uniform(2.0, 6.0), rng.uniform(-0.12, 0.18), rng.uniform(-0.03, lower)
    gap = rng.uniform(0.0, 0.06)
    around = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    if shield:
        tall = rng.uniform(0.28, 0.5) * large
        places = [(1.08 * large * np.sign(np.cos(t)) * abs(np.cos(t)) ** (2 / power), drop + tall * np.sign(np.sin(t)) * abs(np.sin(t)) ** (2 / power)) for t in around]
        notch = [(x, y - (0.18 * np.exp(-((x / 0.2) ** 2)) if y > 0 else 0.0)) for x, y in places]
        return [face.points(notch)]
    made = []
    for eye, side in ((face.right_eye, -1.0), (face.left_eye, 1.0)):
        scale = max(0.45, (face.left_side if side > 0 else face.right_side) / 1.2)
        outline = []
        for t in around:
            x = wide * np.sign(np.cos(t)) * abs(np.cos(t)) ** (2 / power)
            y = drop + tall * np.sign(np.sin(t)) * abs(np.sin(t)) ** (2 / power) + droop * x
            outline.append(eye + face.across * float((x + gap) * side * face.apart * scale) + face.down * float(y * face.apart))
        made.append(np.array(outline, np.float32))
    return made


def rims(face: Face, outlines: list[np.ndarray], thick: float, rng: Rng, half: bool) -> np.ndarray:
    """Frame, bridge and temples."""
    frame = np.zeros(face.shape, np.float32)
    for outline in outlines:
        shown = outline[len(outline) // 2 :] if half else np.concatenate([outline, outline[:1]])
        line(face, frame, shown, thick)
    if len(outlines) == 2:
        inner = [outline[int(np.argmin([np.linalg.norm(p - face.landmarks[168]) for p in outline]))] for outline in outlines]
        line(face, frame, np.array(inner), max(thick, 0.03))
    for outline, ear in zip((outlines[0], outlines[-1]), (127, 356), strict=True):
        outer = outline[int(np.argmin([np.linalg.norm(p - face.landmarks[ear]) for p in outline]))]
        line(face, frame, np.array([outer, face.landmarks[ear] + (face.landmarks[ear] - face.middle) * 0.06]), max(0.025, thick * rng.uniform(0.6, 1.4)), rng.uniform(0.6, 1.0))
    return frame


def frame_colour(rng: Rng) -> np.ndarray:
    kind = rng.random()
    if kind < 0.55:
        return rng.uniform(0.02, 0.18, 3).astype(np.float32)
    if kind < 0.75:  # Tortoise and brown.
        return np.array([0.35, 0.2, 0.1], np.float32) * np.float32(rng.uniform(0.5, 1.4))
    return np.array([0.75, 0.65, 0.4], np.float32) * np.float32(rng.uniform(0.6, 1.2)) if kind < 0.87 else cloth.any_colour(rng)


def glints(face: Face, alpha: np.ndarray, rng: Rng, most: float, count: int) -> None:
    """Reflections on the lenses: windows, lamps, streaks."""
    for _ in range(count):
        spot = np.zeros(face.shape, np.float32)
        inside = np.argwhere(alpha > 0.5)
        if not len(inside):
            return
        y, x = inside[int(rng.integers(len(inside)))]
        size = rng.uniform(0.03, 0.16) * face.apart
        if rng.random() < 0.5:
            cv2.ellipse(spot, (int(x), int(y)), (max(1, int(size)), max(1, int(size * rng.uniform(0.3, 1)))), rng.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_AA)
        else:
            angle = rng.uniform(0, np.pi)
            along = np.array([np.cos(angle), np.sin(angle)]) * size * rng.uniform(1, 3)
            cv2.line(spot, tuple(int(v) for v in np.array([x, y]) - along), tuple(int(v) for v in np.array([x, y]) + along), 1.0, max(1, int(size * 0.5)), cv2.LINE_AA)
        white = np.clip(np.array([1.0, 1.0, 1.0]) - rng.uniform(0, 0.3, 3), 0, 1).astype(np.float32)
        face.lay(np.broadcast_to(white, (*face.shape, 3)), spot * alpha * np.float32(rng.uniform(0.2, most)), hides=0.5)


def sunglasses(face: Face, rng: Rng) -> None:
    """Dark, graded, coloured, mirrored; two lenses, a shield, or goggles."""
    shield, goggles = rng.random() < 0.14, rng.random() < 0.06
    outlines = lenses(face, rng, shield or goggles, rng.uniform(1.1, 1.4) if goggles else rng.uniform(0.95, 1.2), lower=0.24)
    alpha = np.maximum.reduce([regions.filled(outline, face.shape) for outline in outlines])
    kind = rng.random()
    if kind < 0.62:
        colour = rng.uniform(0.01, 0.14, 3).astype(np.float32)
    elif kind < 0.8:
        colour = rng.uniform(0.02, 0.45, 3).astype(np.float32)
    else:
        colour = None
    layer = cloth.mirrored(*face.shape, face.apart, rng) if colour is None else np.broadcast_to(colour, (*face.shape, 3)).astype(np.float32)
    density = np.full(face.shape, np.float32(rng.uniform(0.72, 1.0) if rng.random() < 0.6 else rng.uniform(0.5, 0.75)))
    if colour is not None and rng.random() < 0.4:  # Lighter below.
        depth = np.clip(along_face(face) / rng.uniform(0.4, 0.8) + rng.uniform(0.3, 0.6), 0, 1)
        density = density * (1.0 - np.float32(rng.uniform(0.2, 0.7)) * depth)
    if rng.random() < 0.5:  # The room in the glass: sky above, or blots.
        room = np.clip(cloth.smooth(*face.shape, rng.uniform(3, 14), rng), 0, 2) if rng.random() < 0.5 else np.clip(0.5 - along_face(face) / rng.uniform(0.2, 0.6) + rng.normal(0, 0.3), 0, 1)
        light = np.clip(np.array([0.9, 0.95, 1.0]) * rng.uniform(0.15, 0.9) + rng.normal(0, 0.1, 3), 0, 1).astype(np.float32)
        share = np.clip(room * np.float32(rng.uniform(0.15, 0.7)), 0, 0.8)[..., None]
        layer = layer * (1.0 - share) + light * share
    if rng.random() < 0.6:
        face.shade(alpha, rng.uniform(0.05, 0.35), 0.06, (rng.uniform(-0.05, 0.05), rng.uniform(0.0, 0.12)))
    face.lay(layer, alpha * density, soft=0.01)
    glints(face, alpha, rng, 0.9, int(rng.integers(0, 4)))
    thick = rng.uniform(0.012, 0.1) if rng.random() < 0.85 else rng.uniform(0.1, 0.18)
    frame = rims(face, outlines, thick, rng, half=rng.random() < 0.15)
    face.lay(lit(face, np.broadcast_to(frame_colour(rng), (*face.shape, 3)).astype(np.float32), rng), frame, soft=0.01)


def spectacles(face: Face, rng: Rng) -> None:
    """Clear: rims of any thickness or none, a tint that is hardly seen, small reflections."""
    outlines = lenses(face, rng)
    alpha = np.maximum.reduce([regions.filled(outline, face.shape) for outline in outlines])
    if rng.random() < 0.5:
        tint = rng.uniform(0.1, 0.9, 3).astype(np.float32)
        face.lay(np.broadcast_to(tint, (*face.shape, 3)), alpha * np.float32(rng.uniform(0.02, 0.16)), hides=0.0)
    if rng.random() < 0.55:
        glints(face, alpha, rng, 0.6, int(rng.integers(1, 4)))
    thick = rng.uniform(0.01, 0.05) if rng.random() < 0.75 else rng.uniform(0.05, 0.1)
    frame = rims(face, outlines, thick, rng, half=rng.random() < 0.15)
    if rng.random() < 0.5:
        face.shade(frame, rng.uniform(0.1, 0.35), 0.05, (rng.uniform(-0.04, 0.04), rng.uniform(0.02, 0.1)))
    # Rims before an eye's edge are what people always wear.
    face.lay(lit(face, np.broadcast_to(frame_colour(rng), (*face.shape, 3)).astype(np.float32), rng), frame * np.float32(rng.uniform(0.7, 1.0)), hides=0.0, soft=0.01)


# ---------------------------------------------------------------- hands and things


def finger(face: Face, tip: np.ndarray, angle: float, long: float, thick: float, tone: np.ndarray, rng: Rng) -> None:
    """A rounded stroke from its tip along `angle`, bent a little, lighter in its middle, with joints and a nail."""
    bend = rng.normal(0, 0.12)
    places = [tip]
    for part in range(3):
        angle_here = angle + bend * part
        places.append(places[-1] + np.array([np.cos(angle_here), np.sin(angle_here)]) * long / 3)
    alpha = np.zeros(face.shape, np.float32)
    line(face, alpha, np.array(places, np.float32), thick)
    cv2.circle(alpha, tuple(int(v) for v in tip), max(1, int(thick * face.apart / 2)), 1.0, -1, cv2.LINE_AA)
    layer = np.broadcast_to(tone, (*face.shape, 3)) * swelling(alpha, thick * face.apart * 0.5)[..., None]
    layer = layer * (1.0 + np.float32(0.05) * cloth.smooth(*face.shape, 10, rng))[..., None]
    for place in places[1:3]:
        joint = np.zeros(face.shape, np.float32)
        across = np.array([-np.sin(angle), np.cos(angle)]) * thick * face.apart * 0.45
        line(face, joint, np.array([place - across, place + across], np.float32), 0.025)
        layer = layer * (1.0 - np.float32(rng.uniform(0.05, 0.25)) * joint)[..., None]
    if rng.random() < 0.5:
        nail = np.zeros(face.shape, np.float32)
        at = tip + np.array([np.cos(angle), np.sin(angle)]) * thick * face.apart * 0.1
        cv2.ellipse(nail, tuple(int(v) for v in at), (max(1, int(thick * face.apart * 0.32)), max(1, int(thick * face.apart * 0.22))), np.degrees(angle), 0, 360, 1.0, -1, cv2.LINE_AA)
        polish = cloth.any_colour(rng) if rng.random() < 0.3 else np.clip(tone * 1.15 + 0.05, 0, 1)
        layer = layer + (nail * np.float32(0.7))[..., None] * (polish - layer)
    face.shade(alpha, rng.uniform(0.1, 0.45), 0.05, (rng.uniform(-0.06, 0.06), rng.uniform(0.0, 0.08)))
    face.lay(layer.astype(np.float32), alpha)


def hand(face: Face, rng: Rng, beside: bool = False) -> None:
    """Fingers, often with the palm, before mouth, cheek or eye, from below or from a side; or (`beside`) below the chin."""
    tone = cloth.skin_tone(face.skin(), rng) * np.float32(np.exp(rng.normal(0, 0.1)))
    if beside:
        target, angle = face.at(rng.uniform(-0.8, 0.8), rng.uniform(1.75, 2.2)), np.pi / 2 + rng.normal(0, 0.4)
    else:
        places = {"mouth": (0.0, 1.15), "right eye": (-0.5, 0.0), "left eye": (0.5, 0.0), "both eyes": (0.0, 0.0), "right cheek": (-0.75, 0.75), "left cheek": (0.75, 0.75), "nose": (0.0, 0.7)}
        name = str(rng.choice(list(places), p=[0.34, 0.12, 0.12, 0.1, 0.1, 0.1, 0.12]))
        x, y = places[name]
        target = face.at(x + rng.normal(0, 0.12), y + rng.normal(0, 0.12))
        angle = np.pi / 2 + rng.normal(0, 0.8)
        if name.startswith(("right", "left")) or rng.random() < 0.3:
            angle = (np.pi if x < 0 or (x == 0 and rng.random() < 0.5) else 0.0) + rng.normal(0, 0.7)
        angle += np.arctan2(face.across[1], face.across[0])
    thick, count = rng.uniform(0.22, 0.36), int(rng.integers(1, 3)) if beside else int(rng.integers(2, 6))
    direction, sideways = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    long = rng.uniform(1.0, 1.7) * face.apart
    spread = rng.uniform(0.0, 0.12)
    reach = rng.uniform(0.2, 0.7) * face.apart * (0 if beside else 1)
    base = target - direction * reach
    if rng.random() < 0.7:  # The back of the hand, or its palm.
        knuckles = base + direction * long * rng.uniform(0.55, 0.8)
        half = thick * count * 0.55 * face.apart
        palm = np.array([knuckles - sideways * half, knuckles + sideways * half, knuckles + sideways * half * 0.85 + direction * 2.0 * face.apart, knuckles - sideways * half * 0.85 + direction * 2.0 * face.apart], np.float32)
        alpha = regions.filled(rounded(shaken(palm, 0.04 * face.apart, rng)), face.shape)
        layer = tone * (swelling(alpha, half * 0.8) * (1.0 + 0.06 * cloth.smooth(*face.shape, 6, rng)))[..., None]
        face.shade(alpha, rng.uniform(0.1, 0.4), 0.08)
        face.lay(lit(face, layer.astype(np.float32), rng) if rng.random() < 0.5 else layer.astype(np.float32), alpha)
    for number in range(count):
        off = (number - (count - 1) / 2) * thick * 1.02
        tip = base + sideways * off * face.apart + direction * abs(off) * face.apart * rng.uniform(0.0, 0.3)
        finger(face, tip, angle + spread * (number - (count - 1) / 2) * np.sign(off if off else 1), long, thick * rng.uniform(0.9, 1.05), tone * np.float32(np.exp(rng.normal(0, 0.03))), rng)


def thing(face: Face, rng: Rng, other: np.ndarray, beside: bool = False) -> None:
    """A telephone, a sheet, a cup, or a shape with any picture on it; or (`beside`) next to the face."""
    wide, tall = rng.uniform(0.6, 2.2), rng.uniform(0.5, 1.6)
    if beside:
        side = float(rng.choice([-1.0, 1.0]))
        centre = face.at(side * (1.35 + wide), rng.uniform(-1.0, 2.0)) if rng.random() < 0.5 else face.at(rng.uniform(-1, 1), 2.15 + tall)
    else:
        centre = face.at(*((0.0, rng.uniform(0.7, 1.6)), (rng.uniform(-0.5, 0.5), rng.uniform(-0.2, 0.2)), (rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.0), rng.uniform(0.0, 1.0)))[int(rng.integers(3))])
    angle, power = rng.normal(0, 0.35), rng.choice([2.0, 4.0, 8.0, 20.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    around = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    outline = np.stack([wide * np.sign(np.cos(around)) * np.abs(np.cos(around)) ** (2 / power), tall * np.sign(np.sin(around)) * np.abs(np.sin(around)) ** (2 / power)], axis=1) * face.apart
    if rng.random() < 0.25:
        outline = outline * (1.0 + 0.25 * rng.standard_normal((len(outline), 1)))
        outline = rounded(outline[:: int(rng.integers(3, 9))])
    alpha = regions.filled((outline @ turn.T + centre).astype(np.float32), face.shape)
    kind = rng.random()
    if kind < 0.3:
        layer = np.broadcast_to(rng.uniform(0.01, 0.2, 3).astype(np.float32), (*face.shape, 3)).copy()
        for _ in range(int(rng.integers(0, 4))):
            at = centre + rng.uniform(-0.8, 0.8, 2) * face.apart * np.array([wide, tall])
            cv2.circle(layer, tuple(int(v) for v in at), max(1, int(rng.uniform(0.05, 0.2) * face.apart)), [float(v) for v in rng.uniform(0, 0.6, 3)], -1, cv2.LINE_AA)
    elif kind < 0.5:
        layer = np.broadcast_to(np.float32(rng.uniform(0.75, 0.98)), (*face.shape, 3)).copy()
        if rng.random() < 0.6:
            rows = np.sin(along_face(face) * 2 * np.pi / rng.uniform(0.08, 0.3)) > 0.5
            words = cloth.smooth(*face.shape, rng.uniform(20, 60), rng) > -0.3
            layer *= 1.0 - np.float32(rng.uniform(0.2, 0.7)) * (rows & words)[..., None]
    elif kind < 0.75:
        shift = np.roll(cv2.resize(other, face.shape[::-1]), tuple(int(v) for v in rng.integers(0, 200, 2)), (0, 1))
        layer = shift.astype(np.float32) / 255.0
    else:
        layer = cloth.cloth(*face.shape, face.apart, rng)
    if rng.random() < 0.5:
        layer = lit(face, layer, rng)
    face.shade(alpha, rng.uniform(0.0, 0.4), 0.08, (rng.uniform(-0.1, 0.1), rng.uniform(0.0, 0.1)))
    face.lay(layer, alpha)


# ---------------------------------------------------------------- hats and hair


def hat(face: Face, rng: Rng, free: bool = False) -> None:
    """A cap with a brim or a hat of wool, pulled down over the brows to the eyes; `free`: above the brows."""
    brow = float((face.landmarks[[105, 334]].mean(0) - face.middle) @ face.down) / face.apart
    low = brow - rng.uniform(0.12, 0.5) if free else rng.uniform(-0.1, 0.3)
    bow, wide = rng.uniform(-0.12, 0.3), rng.uniform(1.25, 1.6)
    if free:
        bow = min(bow, 0.1)
    edge = [(x, low - bow * (x / 1.2) ** 2) for x in np.linspace(-wide, wide, 9)]
    top = [(1.0 * wide, -1.6), (0.7 * wide, -2.2), (0.0, rng.uniform(-2.7, -2.2)), (-0.7 * wide, -2.2), (-1.0 * wide, -1.6)]
    outline = rounded(shaken(face.points([*edge, *top]), 0.015 * face.apart, rng))
    alpha = regions.filled(outline, face.shape)
    layer = cloth.cloth(*face.shape, face.apart, rng)
    if rng.random() < 0.55:  # The brim, darker below than the crown.
        height = rng.uniform(0.15, 0.5)
        depth = along_face(face)
        brim = (depth > low - bow * (across_face(face) / 1.2) ** 2 - height).astype(np.float32)
        layer = layer * (1.0 - np.float32(rng.uniform(0.1, 0.6)) * cv2.GaussianBlur(brim, (0, 0), 1.0))[..., None]
    elif rng.random() < 0.7:  # Ribs of wool.
        layer = layer * (1.0 + np.float32(rng.uniform(0.05, 0.25)) * np.sin(across_face(face) * 2 * np.pi / rng.uniform(0.08, 0.25)))[..., None]
    face.shade(alpha, rng.uniform(0.1, 0.6), rng.uniform(0.05, 0.25), (rng.uniform(-0.1, 0.1), rng.uniform(0.05, 0.35)))
    face.lay(lit(face, layer, rng), alpha)


def hair(face: Face, rng: Rng, free: bool = False) -> None:
    """Strands from above over the eyes, or over one side of the face; `free`: they end on the forehead."""
    tone = np.array([0.12, 0.08, 0.06], np.float32) * np.float32(rng.uniform(0.3, 1.5)) if rng.random() < 0.7 else np.array([0.6, 0.42, 0.25], np.float32) * np.float32(rng.uniform(0.5, 1.4))
    side = 0.0 if rng.random() < 0.6 else float(rng.choice([-0.7, 0.7]))
    half = rng.uniform(0.9, 1.3) if side == 0.0 else rng.uniform(0.35, 0.6)
    low = rng.uniform(-0.75, -0.45) if free else rng.uniform(0.25, 0.7) if side == 0.0 else rng.uniform(0.4, 2.0)
    alpha, lights = np.zeros(face.shape, np.float32), np.ones(face.shape, np.float32)
    for _ in range(int(rng.integers(60, 160))):
        x = side + rng.uniform(-half, half)
        lean, end = rng.normal(0, 0.2), low + rng.normal(0, 0.12)
        strand = face.points([(x * 0.7 + lean, -1.7), (x * 0.9 + lean * 0.5, -0.8), (x, (end - 0.8) / 2), (x + rng.normal(0, 0.08), end)])
        thick = rng.uniform(0.03, 0.16)
        line(face, alpha, strand, thick)
        line(face, lights, strand, thick * 0.5, float(rng.uniform(0.5, 1.6)))
    layer = np.clip(tone * lights[..., None], 0, 1)
    face.shade(alpha, rng.uniform(0.05, 0.4), 0.08, (0.0, 0.1))
    face.lay(layer.astype(np.float32), alpha * np.float32(rng.uniform(0.85, 1.0)))


# ---------------------------------------------------------------- light


def shadow(face: Face, rng: Rng) -> None:
    """Of a hat, a pole, a window: any part of the face in shadow or in strong light."""
    half = rng.uniform(0.5, 3.0)
    centre, angle = face.at(rng.uniform(-1.5, 1.5), rng.uniform(-1.0, 2.0)), rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    box = np.array([(-4.0, -half), (4.0, -half), (4.0, half), (-4.0, half)]) * face.apart
    alpha = regions.filled((box @ turn.T + centre).astype(np.float32), face.shape)
    if rng.random() < 0.75:
        face.shade(alpha, rng.uniform(0.25, 0.75), rng.choice([0.03, 0.1, 0.4]))
    else:
        alpha = cv2.GaussianBlur(alpha, (0, 0), max(0.6, float(rng.choice([0.03, 0.2, 0.5])) * face.apart))
        face.pixels = np.clip(face.pixels * (1.0 + np.float32(rng.uniform(0.2, 1.2)) * alpha[..., None]), 0, 1.3)


COVERS = {
    "sunglasses": 0.25, "mask": 0.19, "mask, nose free": 0.04, "scarf": 0.09, "balaclava or veil": 0.05, "hand": 0.2, "thing": 0.09, "hat": 0.06, "hair": 0.03,
}  # fmt: skip
LEFT_FREE = {
    "bare": 0.4, "spectacles": 0.27, "hat above": 0.07, "hair above": 0.03, "headscarf": 0.05, "shadow": 0.08, "mask below": 0.03, "scarf below": 0.03, "hand below": 0.02, "thing beside": 0.02,
}  # fmt: skip
NAMES = (*LEFT_FREE, *COVERS)


def draw(kind: str, face: Face, rng: Rng, other: np.ndarray) -> None:
    """`other` is another photograph, for what shows pictures."""
    simple = {"sunglasses": sunglasses, "mask": mask, "scarf": scarf, "balaclava or veil": hood, "hand": hand, "hat": hat, "hair": hair, "spectacles": spectacles, "shadow": shadow}
    if kind in simple:
        simple[kind](face, rng)
    elif kind == "mask, nose free":
        mask(face, rng, nose_free=True)
    elif kind == "mask below":
        mask(face, rng, low=True)
    elif kind == "scarf below":
        scarf(face, rng, low=True)
    elif kind in ("hat above", "hair above"):
        (hat if kind.startswith("hat") else hair)(face, rng, free=True)
    elif kind == "headscarf":
        hood(face, rng, free=True)
    elif kind == "hand below":
        hand(face, rng, beside=True)
    elif kind.startswith("thing"):
        thing(face, rng, other, beside=kind.endswith("beside"))


def any_of(kinds: dict[str, float], rng: Rng) -> str:
    weights = np.array(list(kinds.values()))
    return str(rng.choice(list(kinds), p=weights / weights.sum()))
