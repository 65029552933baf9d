"""What a camera at the door sees, for a real daemon that is tested: nobody, and people of photographs.

in   the photographs that `make assets` fetches
out  folders of pictures (640 by 480, JPEG), one for each scene, for camera.py

No two pictures of a scene are equal, as from a real sensor. A head that turns is a photograph whose
nose was moved within the face (BENT): what the door tells a turn by, and no picture of one. Deliberately
absent: anything by which a network for liveness could be judged.
"""

import functools
import pathlib
import random

from PIL import Image

PHOTOGRAPHS = pathlib.Path(__file__).resolve().parents[2] / "assets/photographs"
SIZE = (640, 480)
STEPS = 24
# The face of biden.jpg: the nose's tip and the distance between the eyes, in its pixels.
NOSE, EYES = (560, 440), 130
# By how many distances between the eyes the nose is moved: across, down.
BENT = {"straight": (0.0, 0.0), "left": (0.24, 0.0), "right": (-0.24, 0.0), "up": (0.0, -0.16)}
# Which share of the light is left in the dark, where the door asks for more.
DARK = 0.22


def photograph(name: str) -> Image.Image:
    return Image.open(PHOTOGRAPHS / name).convert("RGB")


@functools.cache
def wall() -> Image.Image:
    picture = Image.new("RGB", SIZE)
    picture.putdata([(150 + x // 40, 145 + y // 60, 140) for y in range(SIZE[1]) for x in range(SIZE[0])])
    return picture


def grained(picture: Image.Image, chance: random.Random) -> Image.Image:
    noise = Image.frombytes("L", (80, 60), chance.randbytes(80 * 60)).resize(SIZE, Image.Resampling.NEAREST)
    return Image.blend(picture, Image.merge("RGB", [noise] * 3), 0.02)


def bent(picture: Image.Image, across: float, down: float) -> Image.Image:
    """The photograph with its nose moved, least at the eyes and the mouth."""
    (x0, y0), reach, step = NOSE, EYES * 0.55, 10
    moved = lambda x, y: max(0.0, 1 - ((x - x0) ** 2 + (y - y0) ** 2) / (2 * reach) ** 2) ** 2
    source = lambda x, y: (x - across * EYES * moved(x, y), y - down * EYES * moved(x, y))
    left, top, right, bottom = (int(x0 - 2 * reach), int(y0 - 2 * reach), int(x0 + 2 * reach), int(y0 + 2 * reach))
    mesh = []
    for x in range(left, right, step):
        for y in range(top, bottom, step):
            corners = ((x, y), (x, y + step), (x + step, y + step), (x + step, y))
            mesh.append(((x, y, x + step, y + step), tuple(value for corner in corners for value in source(*corner))))
    patch = picture.transform(picture.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    box = (left, top, left + len(range(left, right, step)) * step, top + len(range(top, bottom, step)) * step)
    whole = picture.copy()
    whole.paste(patch.crop(box), box[:2])
    return whole


def walk(picture: Image.Image, scale: float, begin: tuple[int, int]) -> list[Image.Image]:
    """Somebody who sways a little to the right and back."""
    small = picture.resize((int(picture.width * scale), int(picture.height * scale)), Image.Resampling.BILINEAR)
    chance, shown = random.Random(7), []
    for step in range(STEPS):
        scene = wall().copy()
        scene.paste(small, (begin[0] + min(step, STEPS - step), begin[1] + step % 5))
        shown.append(grained(scene, chance))
    return shown


def make(folder: pathlib.Path) -> None:
    chance = random.Random(3)
    scenes = {
        "nobody": [grained(wall(), chance) for _ in range(STEPS)],
        "known": walk(photograph("obama3.jpg"), 0.16, (150, 40)),
        "dark": [picture.point(lambda value: int(value * DARK)) for picture in walk(photograph("obama3.jpg"), 0.16, (150, 40))],
        "stranger": walk(photograph("astronaut.png"), 0.5, (180, 60)),
    }
    for name, (across, down) in BENT.items():
        scenes[name] = walk(bent(photograph("biden.jpg"), across, down), 0.19, (150, 20))
    for name, pictures in scenes.items():
        place = folder / name
        place.mkdir(parents=True)
        for number, picture in enumerate(pictures):
            picture.save(place / f"{number:03}.jpg", quality=88)
    (folder / "scene").write_text("nobody\n", encoding="utf-8")


def sent(folder: pathlib.Path) -> list[pathlib.Path]:
    """Pictures of one person, as somebody sends them: no two the same file."""
    folder.mkdir(parents=True)
    original = photograph("biden.jpg")
    paths = [folder / f"portrait-{number}.jpg" for number in range(3)]
    for number, path in enumerate(paths):
        side = int(original.width * (1 - 0.1 * number))
        original.resize((side, int(original.height * side / original.width))).save(path, quality=90)
    return paths
