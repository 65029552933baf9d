"""Our crops are those of the reference, which the golden tests hold equal to the daemon's."""

import json
import unittest

from . import ROOT

try:
    import cv2
    import numpy as np
    import faces
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


def blurred_noise(height: int, width: int) -> "np.ndarray":
    noise = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 4)


class Crops(unittest.TestCase):
    def test_frame_of_wide_crop_is_the_reference_crop(self):
        picture = blurred_noise(260, 240)
        for scale in (1.3, 2.4, 3.2):
            keypoints = faces.alignment.TEMPLATE * scale + np.array([30.0, 20.0])
            ours = faces.frame(faces.wide_crop(picture, keypoints)).astype(int)
            error = np.abs(ours - faces.alignment.crop(picture, keypoints))
            self.assertLess(error.mean(), 1.5, scale)

    def test_warp_puts_points_where_it_says(self):
        """A white square at known pixels: edges are counted as whole numbers throughout."""
        picture = np.zeros((40, 40, 3), np.uint8)
        picture[10:20, 10:20] = 255
        crop = faces.warp(picture, np.eye(2), np.array([10.0, 10.0]), 10, 10)
        self.assertTrue((crop == 255).all())
        halved = faces.warp(picture, 2 * np.eye(2), np.array([10.0, 10.0]), 10, 10)
        self.assertTrue((halved[:5, :5] == 255).all() and (halved[5:, :] == 0).all())

    def test_keypoints_of_landmarks_have_arcfaces_own_places(self):
        np.testing.assert_array_equal(faces.template_of(112, 112, finer=True), faces.TEACHER_TEMPLATE)
        self.assertGreater(np.abs(faces.template_of(112, 112) - faces.TEACHER_TEMPLATE).max(), 1.0)

    def test_teachers_see_their_own_template(self):
        wide = np.zeros((faces.WIDE_HEIGHT, faces.WIDE_WIDTH, 3), np.uint8)
        for x, y in faces.WIDE_TEMPLATE:
            cv2.circle(wide, (int(x), int(y)), 2, (255, 255, 255), -1)
        crop = faces.teacher_crop(wide).max(2)
        for x, y in faces.TEACHER_TEMPLATE:
            self.assertGreater(crop[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].max(), 120)


class Detection(unittest.TestCase):
    def setUp(self):
        photograph = ROOT / "assets/photographs/astronaut.png"
        if not photograph.exists() or not (ROOT / f"assets/models/{faces.DETECTOR}.tflite").exists():
            self.skipTest("no photograph or detector in assets: run 'make assets'")
        self.picture = faces.read(photograph)

    def test_finds_what_the_reference_finds(self):
        finder = faces.Finder()
        ours, reference = finder.detect(self.picture), finder.detector.detect(self.picture)
        self.assertEqual(len(ours), len(reference))
        np.testing.assert_allclose(ours[0]["keypoints"], reference[0]["keypoints"], atol=0.05)

    def test_aligned_as_the_golden_crop(self):
        finder = faces.Finder()
        ours = faces.frame(faces.wide_crop(self.picture, finder.subject(self.picture)))
        golden = faces.read(ROOT / "tests/golden/crops/plain.png")
        self.assertLess(np.abs(ours.astype(int) - golden).mean(), 1.5)

    def test_landmarks_in_a_wide_crop_are_those_of_the_photograph(self):
        golden = json.loads((ROOT / "tests/golden/face-mesh.json").read_text(encoding="utf-8"))
        keypoints = faces.Finder().subject(self.picture)
        found = faces.finer_keypoints(faces.wide_crop(self.picture, keypoints), faces.landmarker("face-mesh"))
        matrix, offset = faces.alignment.similarity(faces.WIDE_TEMPLATE, keypoints[: len(faces.WIDE_TEMPLATE)])
        wanted = np.array(golden["faces"]["astronaut.png"]["keypoints"])
        np.testing.assert_allclose(found @ matrix.T + offset, wanted, atol=1.0)

    def test_what_is_no_face_has_no_landmarks(self):
        flat = np.full((faces.WIDE_HEIGHT, faces.WIDE_WIDTH, 3), 127, np.uint8)
        self.assertIsNone(faces.finer_crop_of(flat, 112, 112, faces.landmarker("face-mesh")))


if __name__ == "__main__":
    unittest.main()
