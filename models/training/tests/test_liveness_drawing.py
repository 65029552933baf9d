"""Drawings of live scenes and attacks, the camera, the card's crop, error rates."""

import unittest

from . import TRAINING  # noqa: F401

try:
    import cv2  # noqa: F401
    import numpy as np
    from liveness import camera, covers, crops, rates, recapture, scenes
    from liveness.subjects import Subject, part_of, subject_of
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


def somebody(seed: int = 1, height: int = 500, width: int = 400) -> "Subject":
    """An oval before a wall, as large as a person of a photograph."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(60, 120, (height, width, 3), dtype=np.uint8)
    matte = np.zeros((height, width), np.float32)
    cv2.ellipse(pixels, (200, 200), (60, 80), 0, 0, 360, (210, 170, 150), -1)
    cv2.ellipse(matte, (200, 200), (70, 90), 0, 0, 360, 1.0, -1)
    cv2.rectangle(matte, (100, 300), (300, height), 1.0, -1)
    keypoints = np.array([(170, 180), (230, 180), (200, 210), (200, 245), (140, 190), (260, 190)], float)
    return Subject(pixels, np.array([140.0, 140.0, 260.0, 260.0]), keypoints, matte, True)


class Square(unittest.TestCase):
    def test_centred_moved_and_shrunk(self):
        inside = crops.square_of(np.array([90.0, 80.0, 110.0, 120.0]), 2.0, 300, 400)
        self.assertEqual((inside.left, inside.top, inside.side), (60.0, 60.0, 80.0))
        moved = crops.square_of(np.array([0.0, 270.0, 20.0, 290.0]), 4.0, 300, 400)
        self.assertEqual((moved.left, moved.top, moved.side), (0.0, 220.0, 80.0))
        shrunk = crops.square_of(np.array([100.0, 100.0, 200.0, 200.0]), 4.0, 300, 400)
        self.assertEqual((shrunk.left, shrunk.top, shrunk.side), (0.0, 0.0, 300.0))

    def test_cut_shows_the_square(self):
        picture = np.zeros((100, 200, 3), np.uint8)
        picture[20:60, 50:90] = 255
        whole = crops.cut(picture, crops.Square(50.0, 20.0, 40.0), 16)
        self.assertTrue((whole[1:-1, 1:-1] == 255).all(), "all but its edge, which is averaged with what is beyond")
        half = crops.cut(picture, crops.Square(30.0, 20.0, 40.0), 16)
        self.assertTrue((half[1:-1, :7] == 0).all() and (half[1:-1, 9:-1] == 255).all())


class Drawing(unittest.TestCase):
    def test_every_kind_gives_a_scene_with_the_face_in_it(self):
        subject = somebody()
        for kind in recapture.KINDS:
            rng = np.random.default_rng(5)
            made = [recapture.attack(kind, subject, rng, lambda: somebody(2)) for _ in range(6)]
            there = [scene for scene in made if scene is not None]
            self.assertTrue(there, kind)
            for scene in there:
                height, width = scene.pixels.shape[:2]
                self.assertEqual(scene.pixels.dtype, np.float32, kind)
                self.assertTrue(np.isfinite(scene.pixels).all(), kind)
                self.assertTrue(0 < scene.centre[0] < width and 0 < scene.centre[1] < height, kind)

    def test_live_scenes_have_the_face_where_the_box_says(self):
        subject, rng = somebody(), np.random.default_rng(3)
        for _ in range(12):
            scene = scenes.live(subject, rng, lambda: somebody(2))
            self.assertGreater(scene.face, scenes.FACE_LOW * 0.9)
            x, y = (int(v) for v in scene.centre)
            red, _, blue = scene.pixels[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].mean((0, 1))
            self.assertGreater(red, blue, "the oval is reddish")

    def test_the_camera_takes_any_scene_and_depends_on_the_seed_alone(self):
        scene = somebody().pixels.astype(np.float32) / 255.0
        for seed in range(8):
            taken = [camera.Camera.drawn(np.random.default_rng(seed)).take(scene, np.random.default_rng(9)) for _ in range(2)]
            self.assertEqual((taken[0].shape, taken[0].dtype), (scene.shape, np.uint8))
            np.testing.assert_array_equal(taken[0], taken[1])
            self.assertTrue(10 < taken[0].mean() < 245, "exposure is automatic")

    def test_a_plane_that_faces_the_camera_is_only_scaled(self):
        matrix = recapture.pose(np.array([100.0, 100.0, 200.0, 200.0]), (320.0, 240.0), 0.0, 0.0, 0.0, 600.0, 0.5)
        box = scenes.moved(np.array([100.0, 100.0, 200.0, 200.0]), matrix)
        np.testing.assert_allclose(box, [295.0, 215.0, 345.0, 265.0], atol=1e-6)

    def test_large_photographs_are_shrunk_with_their_boxes(self):
        pixels = np.zeros((1000, 800, 3), np.uint8)
        shrunk = subject_of(pixels, np.array([100.0, 100.0, 580.0, 580.0]), np.full((6, 2), 300.0), None, True)
        self.assertAlmostEqual(shrunk.face, 240.0, delta=1.0)
        np.testing.assert_allclose(shrunk.keypoints[0], [150.0, 150.0], atol=1.0)

    def test_a_cover_hides_mouth_and_nose_and_leaves_the_eyes_and_the_rest(self):
        subject = somebody()
        for seed in range(6):
            pixels = covers.worn(subject, np.random.default_rng(seed))
            changed = np.abs(pixels.astype(int) - subject.pixels).max(2) > 8
            self.assertTrue(changed[245, 200] and changed[212, 200], "the mouth, the nose")
            self.assertFalse(changed[165:190, 160:240].any(), "the eyes")
            self.assertFalse(changed[312:].any() or changed[:150].any(), "the body, the hair")
        worn = [covers.covered(subject, np.random.default_rng(n), 0.25).pixels is not subject.pixels for n in range(400)]
        self.assertTrue(0.17 < sum(worn) / 400 < 0.33)

    def test_scissors_cut_around_the_face(self):
        subject = somebody()
        for seed in range(20):
            cut = np.zeros(subject.pixels.shape[:2], np.uint8)
            cv2.fillPoly(cut, [recapture.by_scissors(subject, np.random.default_rng(seed))], 1)
            self.assertTrue(cut[200, 200], "the middle of the face")
            self.assertTrue(0.5 < cut.sum() / (subject.face**2) < 2.4, seed)

    def test_parts_depend_on_the_person_alone(self):
        parts = [part_of(f"celeba/{n}") for n in range(2000)]
        self.assertEqual(parts[7], part_of("celeba/7"))
        self.assertTrue(0.05 < parts.count("validation") / 2000 < 0.15)
        self.assertTrue(0.1 < parts.count("calibration") / 2000 < 0.2)


class Rates(unittest.TestCase):
    def test_auc_thresholds_and_rates(self):
        live, attack = np.array([0.9, 0.8, 0.7, 0.6]), np.array([0.5, 0.65, 0.1])
        self.assertAlmostEqual(rates.auc(live, attack), 11 / 12)
        self.assertAlmostEqual(rates.auc(np.ones(3), np.ones(2)), 0.5)
        threshold = rates.threshold_at(live, 0.25)
        self.assertEqual(threshold, 0.7)
        self.assertEqual((rates.bpcer(live, threshold), rates.apcer(attack, threshold)), (0.25, 0.0))
        self.assertEqual(rates.threshold_at(live, 0.0), 0.6)
        low, high = rates.interval(0, 100)
        self.assertTrue(low == 0.0 and 0.03 < high < 0.04)


if __name__ == "__main__":
    unittest.main()
