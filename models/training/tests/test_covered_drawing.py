"""Covers on faces: what they hide, by region, and that what people always wear hides nothing."""

import unittest

from . import TRAINING  # noqa: F401

try:
    import cv2
    import numpy as np
    from covered import crops, drawing, regions
    from covered.face import Face
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


def landmarks(apart: float = 50.0) -> "np.ndarray":
    """The landmarks that covers are drawn by, of a face that looks straight ahead, at rough places."""
    places = {
        "RIGHT_EYE": ((-0.5, 0.0), 0.22, 0.1), "LEFT_EYE": ((0.5, 0.0), 0.22, 0.1), "LIPS": ((0.0, 1.15), 0.4, 0.18),
        "RIGHT_BROW": ((-0.5, -0.25), 0.35, 0.12), "LEFT_BROW": ((0.5, -0.25), 0.35, 0.12),
        "RIGHT_CHEEK": ((-0.7, 0.75), 0.25, 0.35), "LEFT_CHEEK": ((0.7, 0.75), 0.25, 0.35), "OVAL": ((0.0, 0.55), 1.2, 1.5),
    }  # fmt: skip
    made = np.zeros((468, 2), np.float32)
    for name, ((x, y), wide, tall) in places.items():
        numbers = getattr(regions, name)
        around = np.linspace(-np.pi / 2, 1.5 * np.pi, len(numbers), endpoint=False)
        for number, angle in zip(numbers, around, strict=True):
            made[number] = x + wide * np.cos(angle), y + tall * np.sin(angle)
    single = {
        10: (0, -0.95), 152: (0, 2.05), 168: (0, 0), 6: (0, 0.15), 197: (0, 0.3), 195: (0, 0.45), 5: (0, 0.6), 4: (0, 0.72), 164: (0, 0.9), 127: (-1.2, 0.1), 356: (1.2, 0.1),
        234: (-1.2, 0.5), 454: (1.2, 0.5), 227: (-1.1, 0.45), 447: (1.1, 0.45), 116: (-0.95, 0.4), 345: (0.95, 0.4), 117: (-0.8, 0.4), 346: (0.8, 0.4), 118: (-0.6, 0.42), 347: (0.6, 0.42),
        119: (-0.45, 0.4), 348: (0.45, 0.4), 105: (-0.5, -0.4), 334: (0.5, -0.4),
    }  # fmt: skip
    for number, place in single.items():
        made[number] = place
    return made * apart + np.array([112, 90], np.float32)


def face() -> "Face":
    picture = np.full((224, 224, 3), 90, np.uint8)
    cv2.ellipse(picture, (112, 117), (60, 78), 0, 0, 360, (205, 165, 140), -1)
    return Face(picture, landmarks())


class Drawing(unittest.TestCase):
    def drawn(self, kind: str, seed: int) -> "Face":
        made = face()
        drawing.draw(kind, made, np.random.default_rng(seed), np.zeros((40, 40, 3), np.uint8))
        self.assertEqual(made.pixels.shape, (224, 224, 3), kind)
        self.assertTrue(np.isfinite(made.pixels).all(), kind)
        self.assertTrue(made.hidden.min() >= 0.0 and made.hidden.max() <= 1.0, kind)
        return made

    def test_every_cover_hides_what_it_is_said_to_hide(self):
        telling = {"sunglasses": "eyes", "mask": "mouth", "mask, nose free": "mouth", "balaclava or veil": "mouth"}
        for kind in drawing.COVERS:
            found = [regions.labels(made.hidden, made.landmarks) for made in (self.drawn(kind, seed) for seed in range(12))]
            if kind in telling:
                at = regions.NAMES.index(telling[kind])
                self.assertGreaterEqual(sum(labels[at] == 1 for labels in found), 9, (kind, found))
            else:
                self.assertGreaterEqual(sum((labels != 0).any() for labels in found), 6, (kind, found))

    def test_what_people_always_wear_hides_neither_eyes_nor_mouth(self):
        for kind in ("bare", "spectacles", "hat above", "hair above", "headscarf", "shadow", "mask below", "thing beside"):
            for seed in range(8):
                labels = regions.labels(self.drawn(kind, seed).hidden, landmarks())
                self.assertNotEqual(labels[0], 1, (kind, seed))
                self.assertNotEqual(labels[1], 1, (kind, seed))

    def test_the_same_seed_draws_the_same(self):
        one, other = self.drawn("hand", 3), self.drawn("hand", 3)
        self.assertTrue((one.pixels == other.pixels).all())

    def test_shares_are_of_the_region_that_is_hidden_more(self):
        made = face()
        half = np.zeros((224, 224), np.float32)
        half[:, 112:] = 1.0
        shares = regions.shares(half, made.landmarks)
        self.assertGreater(shares["eyes"], 0.95)
        self.assertGreater(shares["cheeks"], 0.95)
        self.assertAlmostEqual(shares["brows"], 0.5, delta=0.05)
        self.assertAlmostEqual(shares["mouth"], 0.5, delta=0.05)


class Crops(unittest.TestCase):
    def test_the_crop_has_the_keypoints_where_the_card_says(self):
        picture = np.zeros((200, 200, 3), np.uint8)
        keypoints = (crops.TEMPLATE - crops.TEMPLATE[0]) * 2.0 + np.array([60.0, 70.0])
        cv2.circle(picture, (60, 70), 6, (255, 255, 255), -1)
        crop = crops.cut(picture, keypoints)
        self.assertEqual(crop.shape, (crops.HEIGHT, crops.WIDTH, 3))
        rows, columns = np.nonzero(crop[..., 0] > 128)
        self.assertAlmostEqual(float(columns.mean()) + 0.5, float(crops.TEMPLATE[0, 0]), delta=0.6)
        self.assertAlmostEqual(float(rows.mean()) + 0.5, float(crops.TEMPLATE[0, 1]), delta=0.6)

    def test_a_crop_with_a_margin_holds_the_plain_one(self):
        rng = np.random.default_rng(1)
        picture = cv2.GaussianBlur(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8), (0, 0), 4)
        keypoints = crops.TEMPLATE * 2.0 + np.array([30.0, 40.0])
        apart = np.abs(crops.plain(crops.with_margin(picture, keypoints)).astype(int) - crops.cut(picture, keypoints).astype(int))
        self.assertLess(apart.mean(), 2.0)


if __name__ == "__main__":
    unittest.main()
