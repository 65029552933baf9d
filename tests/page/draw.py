"""Draws the pictures that the mock door shows: somebody who does not exist steps before a camera.

in   nothing
out  pictures/door-N.jpg, and pictures/door.json with box and keypoints of each

Nobody's face is in them, so they may stand in documents. Deterministic; run it again after a change:

    tools/in_venv.sh tests/page/requirements.txt tests/page/draw.py
"""

import json
import pathlib
import random

from PIL import Image, ImageDraw, ImageFilter

OUT = pathlib.Path(__file__).parent / "pictures"
WIDE, HIGH, FINER = 640, 480, 3
FRAMES = 8
SKIN, SHADE, HAIR, COAT, LIP = "#d9a27e", "#c08a68", "#3b2a22", "#38566b", "#a8604f"


def scene() -> Image.Image:
    """A wall with a window and a hedge behind, before which somebody stands."""
    picture = Image.new("RGB", (WIDE * FINER, HIGH * FINER))
    draw = ImageDraw.Draw(picture)
    for y in range(HIGH * FINER):
        light = 1 - 0.35 * y / (HIGH * FINER)
        draw.line([(0, y), (WIDE * FINER, y)], fill=tuple(int(c * light) for c in (176, 190, 196)))
    box = lambda *at: [value * FINER for value in at]
    draw.rectangle(box(0, 300, WIDE, HIGH), fill="#6d7a70")
    draw.polygon([(x * FINER, y * FINER) for x, y in ((230, 300), (410, 300), (520, HIGH), (90, HIGH))], fill="#a39a8c")
    chance = random.Random(7)
    for x in range(-10, WIDE + 10, 9):
        if 215 < x < 420:
            continue
        y, size = 268 + chance.randint(-14, 14), chance.randint(16, 30)
        green = chance.choice(("#4d6b4f", "#567655", "#486349"))
        draw.ellipse(box(x - size, y - size, x + size, y + size + 26), fill=green)
    draw.rectangle(box(36, 60, 150, 200), fill="#8fa6b2", outline="#eef1f1", width=6 * FINER)
    draw.line(box(93, 60, 93, 200), fill="#eef1f1", width=4 * FINER)
    draw.rectangle(box(560, 0, WIDE, HIGH), fill="#5f4a3c")
    draw.rectangle(box(548, 0, 562, HIGH), fill="#e4ddd2")
    return picture.filter(ImageFilter.GaussianBlur(5 * FINER))


def visitor(picture: Image.Image, x: float, y: float, size: float, turn: float) -> dict:
    """A head with its middle at (x, y) and half its height `size`, turned by `turn`, -1 to 1."""
    draw = ImageDraw.Draw(picture)

    def oval(cx, cy, rx, ry, fill, start=None, end=None):
        at = [(cx - rx) * FINER, (cy - ry) * FINER, (cx + rx) * FINER, (cy + ry) * FINER]
        if start is None:
            draw.ellipse(at, fill=fill)
        else:
            draw.chord(at, start, end, fill=fill)

    def line(points, fill, width):
        scaled = [(px * FINER, py * FINER) for px, py in points]
        draw.line(scaled, fill=fill, width=int(width * FINER), joint="curve")

    oval(x, y + size * 3.05, size * 1.75, size * 1.7, COAT)
    oval(x, y + size * 1.35, size * 0.42, size * 0.62, SHADE)
    oval(x, y + size * 1.62, size * 0.5, size * 0.3, "#e9e4da")
    oval(x, y - size * 0.12, size * 0.86, size * 1.08, HAIR)
    oval(x, y, size * 0.74, size, SKIN)
    oval(x - size * 0.76, y + size * 0.04, size * 0.12, size * 0.2, SHADE)
    oval(x + size * 0.76, y + size * 0.04, size * 0.12, size * 0.2, SHADE)
    oval(x, y - size * 0.3, size * 0.8, size * 0.82, HAIR, 190, 350)
    shift = turn * size * 0.16
    eyes = [(x - size * 0.29 + shift, y - size * 0.08), (x + size * 0.29 + shift, y - size * 0.08)]
    for ex, ey in eyes:
        oval(ex, ey, size * 0.13, size * 0.075, "#f6f1ea")
        oval(ex + turn * size * 0.03, ey, size * 0.065, size * 0.07, "#37474f")
        line([(ex - size * 0.17, ey - size * 0.17), (ex, ey - size * 0.22), (ex + size * 0.17, ey - size * 0.17)], HAIR, size * 0.06)
    nose = (x + shift * 1.7, y + size * 0.22)
    line([(x + shift, y - size * 0.02), nose, (nose[0] - size * 0.08, nose[1] + size * 0.03)], SHADE, size * 0.05)
    mouth = (x + shift * 1.3, y + size * 0.52)
    oval(*mouth, size * 0.24, size * 0.08, LIP)
    ears = [(x - size * 0.76, y), (x + size * 0.76, y)]
    keypoints = [[round(v, 1) for v in point] for point in (*eyes, nose, mouth, *ears)]
    half = size * 0.98
    return {
        "x": round(x - half, 1),
        "y": round(y - half * 0.92, 1),
        "w": round(half * 2, 1),
        "h": round(half * 2, 1),
        "keypoints": keypoints,
    }


def main() -> None:
    OUT.mkdir(exist_ok=True)
    background, faces = scene(), []
    for index in range(FRAMES):
        # Somebody who sways a little and looks about.
        sway = (index if index < FRAMES / 2 else FRAMES - index) / (FRAMES / 2)
        picture = background.copy()
        faces.append(visitor(picture, 318 + 8 * sway, 196 + 3 * sway, 76 + 2 * sway, 0.8 * sway - 0.4))
        picture = picture.resize((WIDE, HIGH), Image.Resampling.LANCZOS)
        picture.save(OUT / f"door-{index}.jpg", quality=72, optimize=True)
    about = {"width": WIDE, "height": HIGH, "faces": faces}
    (OUT / "door.json").write_text(json.dumps(about, indent=1) + "\n")
    # What has no face in it, for an enrolment that is refused.
    background.resize((WIDE // 2, HIGH // 2)).quantize(64).save(OUT / "no-face.png", optimize=True)


if __name__ == "__main__":
    main()
