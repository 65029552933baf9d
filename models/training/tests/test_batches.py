"""What a batch shows: the same whoever asks, half of it people who look alike."""

import unittest

from . import TRAINING  # noqa: F401 (puts the project's folder on the path)

try:
    import batches
    import cached
    import cv2  # noqa: F401
    import equalise
    import faces
    import lookalikes
    import numpy as np
    import topology
    import torch
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


def some_data() -> "cached.Data":
    """Two kinds of people, eight of each with four pictures, and sixteen nameless faces of each kind."""
    rng = np.random.default_rng(9)
    kinds = np.repeat([0, 1], 48)
    vectors = rng.normal(0, 0.1, (96, 16)).astype(np.float32)
    vectors[np.arange(96), kinds] += 1.0
    persons = np.where(np.arange(96) % 48 < 32, np.arange(96) // 4, -1)
    train = np.arange(96)
    crops = rng.integers(0, 256, (96, faces.WIDE_HEIGHT, faces.WIDE_WIDTH, 3), dtype=np.uint8)
    groups = lookalikes.grouped(train, persons, vectors, 2)
    return cached.Data([crops], np.array([0]), train, np.array([], dtype=int), persons, 24, groups, vectors)


class Batch(unittest.TestCase):
    def test_it_is_the_same_however_one_came_to_it(self):
        data = some_data()
        straight, late = (batches.Batches(data, 16, 3, topology.FACE) for _ in range(2))
        for step in range(8):
            order = straight.indices(step)
        self.assertTrue(np.array_equal(late.indices(7), order))
        self.assertTrue(torch.equal(late[7][1], straight[7][1]))

    def test_half_of_it_shows_people_of_one_group_several_times_and_nameless_ones_of_it(self):
        data = some_data()
        of = batches.Batches(data, 32, 3, topology.FACE)
        for step in range(10):
            chosen = of.indices(step)
            self.assertEqual(len(chosen), 32)
            half = chosen[16:]
            rows = data.persons[half[:12]].reshape(3, batches.PICTURES_OF_A_PERSON)
            self.assertTrue((rows >= 0).all() and (rows == rows[:, :1]).all(), rows)
            self.assertTrue((data.persons[half[12:]] == -1).all())
            of_kind = {tuple(sorted({int(i) // 48 for i in people[0]})) for people, _ in data.groups}
            self.assertTrue(all(len(kinds) == 1 for kinds in of_kind), "a group mixes the kinds")
            self.assertEqual(len(set((half // 48).tolist())), 1, half)

    def test_groups_need_neither_names_nor_a_teacher(self):
        train = np.arange(8)
        self.assertEqual(lookalikes.grouped(train, np.full(8, -1), np.eye(8, dtype=np.float32)), [])
        ((people, nameless),) = lookalikes.grouped(train, np.array([0, 0, 1, 1, 2, -1, -1, -1]), None)
        self.assertEqual([p.tolist() for p in people], [[0, 1], [2, 3]])
        self.assertEqual(nameless.tolist(), [5, 6, 7])


class Equaliser(unittest.TestCase):
    def test_what_faces_have_in_common_weighs_no_more_than_the_rest(self):
        rng = np.random.default_rng(4)
        spread = np.array([9.0, 5.0, *[1.0] * 14])
        few, many = (rng.normal(0, spread, (count, 16)) + shift for count, shift in ((400, 0.5), (4000, 0.0)))
        learnt = equalise.learn([few, many], components=2)
        np.testing.assert_allclose(learnt.mean, np.full(16, 0.25), atol=0.8)
        deviations = np.sqrt(np.linalg.eigvalsh(np.cov(learnt(np.concatenate([few, many[:400]])).T)))
        self.assertLess(deviations[-1], 1.8)
        self.assertGreater(deviations[0], 0.7)
        np.testing.assert_allclose(learnt.matrix, learnt.matrix.T, atol=1e-6)

    def test_nothing_is_equalised_where_nothing_is_asked(self):
        vectors = np.random.default_rng(5).normal(0, 1, (50, 4))
        np.testing.assert_allclose(equalise.learn([vectors], components=0).matrix, np.eye(4), atol=1e-5)


if __name__ == "__main__":
    unittest.main()
