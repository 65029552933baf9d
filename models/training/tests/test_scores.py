"""Rates and the LFW protocol on scores whose answer is known."""

import unittest

from . import TRAINING

try:
    import numpy as np
    import people
    import scores
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


class Rates(unittest.TestCase):
    def test_threshold_admits_at_most_the_rate(self):
        others = np.arange(1000) / 1000.0
        for rate in (0.1, 0.01, 0.001, 0.0):
            threshold = scores.threshold_at(others, rate)
            self.assertEqual(int((others >= threshold).sum()), round(rate * 1000))
        tied = np.array([0.5] * 10)
        self.assertEqual((tied >= scores.threshold_at(tied, 0.3)).sum(), 0)

    def test_equal_error_rate_and_area(self):
        rng = np.random.default_rng(1)
        mated, others = rng.normal(1.0, 0.5, 4000), rng.normal(0.0, 0.5, 4000)
        # Two normals one unit apart, deviation one half: errors are equal at one deviation, 15.87 %.
        self.assertAlmostEqual(scores.equal_error_rate(mated, others), 0.1587, delta=0.01)
        self.assertAlmostEqual(scores.area_under_curve(mated, others), 0.9214, delta=0.01)
        self.assertEqual(scores.area_under_curve(others, others), 0.5)

    def test_tenfold_chooses_each_threshold_without_its_fold(self):
        same = np.tile(np.r_[np.ones(30, bool), np.zeros(30, bool)], 10)
        values = np.where(same, 1.0, 0.0)
        self.assertEqual(scores.tenfold(values, same)[0], 1.0)
        values[:60] = np.where(same[:60], 0.4, 0.3)  # one fold whose scores lie elsewhere
        self.assertAlmostEqual(scores.tenfold(values, same)[0], 0.95)

    def test_metrics_agree_with_their_definitions(self):
        rng = np.random.default_rng(2)
        features, mean = rng.random((6, 160)).astype(np.float32), np.full(160, 0.4, np.float32)
        for metric in scores.METRICS:
            vectors = scores.prepared(features, metric, mean)
            every = scores.all_likenesses(vectors, metric)
            np.testing.assert_allclose(every[0, 1:], scores.likeness(vectors[0], vectors[1:], metric), atol=1e-3)

    def test_interval_of_nothing_counted_is_not_nothing(self):
        low, high = scores.wilson(0, 100)
        self.assertEqual(low, 0.0)
        self.assertAlmostEqual(high, 0.037, delta=0.001)


class People(unittest.TestCase):
    def setUp(self):
        rng = np.random.default_rng(3)
        self.centres = people.unit(rng.normal(size=(40, 128)).astype(np.float32))
        near = lambda who: people.unit(self.centres[who] + rng.normal(0, 0.03, 128).astype(np.float32))
        names = [f"celeba/{i}" for i in range(40) for _ in range(5)]
        vectors = np.stack([near(i // 5) for i in range(200)])
        vectors[3] = near(17)  # the fourth picture of person 0 shows person 17
        self.train = people.Faces(["a"], [202], [*names, None, None], np.vstack([vectors, near(5), people.unit(rng.normal(size=128))]))
        self.lfw = people.Faces(["lfw"], [2], ["lfw/x", "lfw/x"], np.stack([near(5), near(5)]))

    def test_people_of_lfw_leave_and_wrong_names_go(self):
        parts, numbers, counts = people.sort_out(self.train, self.lfw)
        self.assertEqual(counts["people_shared_with_lfw"], 1)
        self.assertEqual({parts[i] for i in range(25, 30)}, {"lfw"})
        self.assertEqual(numbers[3], -1)
        self.assertIn(parts[3], ("label", "lfw"))
        self.assertEqual(parts[200], "lfw", "an unnamed picture of somebody in LFW")
        self.assertEqual((parts[201], numbers[201]), ("train", -1), "an unnamed picture of nobody known")

    def test_a_person_is_held_back_whole(self):
        parts, numbers, counts = people.sort_out(self.train, self.lfw)
        self.assertGreater(counts["validation_people"], 0)
        self.assertGreater(counts["calibration_people"], 0)
        where: dict[int, set] = {}
        for part, number in zip(parts, numbers):
            if number >= 0:
                where.setdefault(number, set()).add(part)
        self.assertTrue(all(len(found) == 1 for found in where.values()), where)


if __name__ == "__main__":
    unittest.main()
