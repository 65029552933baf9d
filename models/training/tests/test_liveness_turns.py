"""Drawings of heads that turn, sheets that bend, and films of people who turn by themselves."""

import unittest

from . import TRAINING  # noqa: F401

try:
    import cv2  # noqa: F401
    import numpy as np
    from liveness import draw_turns, turning
    from liveness.draw_visits import Person
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None

EYES, NOSE = np.array([[90.0, 120.0], [150.0, 120.0]]), np.array([120.0, 152.0])


def somebody() -> "Person":
    """A grey oval with bright eyes and a bright nose, its eyes 60 pixels apart."""
    pixels, matte = np.full((320, 240, 3), 90, np.uint8), np.zeros((320, 240), np.float32)
    cv2.ellipse(matte, (120, 140), (78, 110), 0, 0, 360, 1.0, -1)
    for number, at in enumerate([*EYES, NOSE]):
        cv2.circle(pixels, tuple(int(v) for v in at), 4, [255 * (number == channel) for channel in range(3)], -1)
    return Person("a", pixels, matte, np.array([55.0, 75.0, 185.0, 205.0]), EYES, np.array([120.0, 182.0]))


def found(pixels: "np.ndarray", channel: int) -> float:
    """The column of the mark of that colour."""
    weights = np.clip(pixels[..., channel].astype(float) - pixels[..., (channel + 1) % 3] - 40.0, 0.0, None)
    return float((weights.sum(0) * np.arange(weights.shape[1])).sum() / weights.sum())


class Turning(unittest.TestCase):
    def test_the_nose_moves_against_the_line_of_the_eyes_to_the_side_of_the_turn(self):
        head = turning.TurningHead.of(somebody())
        for degrees in (-36, -16, 16, 36):
            pixels, _ = head.turned(np.radians(degrees), 0.0, 0.0)
            right, left, nose = (found(pixels, channel) for channel in range(3))
            yaw = (nose - (right + left) / 2.0) / (left - right)
            slope = yaw / np.tan(np.radians(degrees))
            self.assertTrue(0.2 < slope < 0.6, f"{degrees}: {slope}")
            self.assertLess(left - right, 60.5, "eyes come closer together")

    def test_a_head_that_looks_ahead_is_the_photograph(self):
        person = somebody()
        pixels, matte = turning.TurningHead.of(person).turned(0.0, 0.0, 0.0)
        self.assertLess(np.abs(pixels.astype(int) - person.pixels).max(), 3)
        self.assertLess(np.abs(matte - person.matte).max(), 0.02)

    def test_what_is_flat_only_narrows_and_what_is_hidden_is_not_seen(self):
        x = (np.arange(101.0) - 50.0)[None]
        seen = turning.columns(x, np.zeros_like(x), np.radians(60.0))[0]
        self.assertAlmostEqual(float(seen[60]), 20.0, delta=0.01)
        ridge = np.where(np.abs(x) < 5, 60.0, 0.0)
        for angle in (0.7, -0.7):
            seen = turning.columns(x, ridge, angle)[0]
            self.assertTrue((np.diff(seen) >= -1e-3).all(), "columns keep their order")

    def test_a_bent_sheet_narrows(self):
        pixels, alpha = np.full((20, 100, 3), 0.5, np.float32), np.ones((20, 100), np.float32)
        for half in (0.6, -0.6):
            widths = [turning.bent(pixels, alpha, half, angle)[1][10].sum() for angle in (0.0, 0.7)]
            self.assertGreater(widths[0], 95.0)
            self.assertLess(widths[1], 82.0)


class Films(unittest.TestCase):
    def test_neighbouring_poses_are_alike_and_those_ahead_sway(self):
        poses = draw_turns.poses()
        self.assertTrue(all(abs(a[0] - b[0]) <= draw_turns.TURN_STEP for a, b in zip(poses, poses[1:])))
        self.assertEqual(sum(degrees == 0 for degrees, _ in poses), 4)
        self.assertEqual({degrees for degrees, _ in poses}, set(range(-44, 45, 4)))

    def test_films_last_their_time_and_turn_as_their_kind_says(self):
        for kind in draw_turns.FILMS:
            for seed in range(10):
                film = np.array(draw_turns.script(kind, np.random.default_rng(seed)))
                self.assertEqual((len(film), film[0]), (300, 0.0))
                self.assertTrue(30 < np.abs(film).max() <= 44, kind)
                sides = np.sign(film[np.abs(film) > 30])
                turns = 1 + int((np.diff(np.flatnonzero(np.abs(film) > 30)) > 1).sum())
                if kind == "film-slow":
                    self.assertLessEqual(turns, 2)
                elif kind == "film-rhythm":
                    self.assertTrue({-1.0, 1.0} == set(sides), kind)


if __name__ == "__main__":
    unittest.main()
