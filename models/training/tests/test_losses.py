"""The signals: each is small where it should be, and asks for what its name says."""

import unittest

from . import TRAINING  # noqa: F401 (puts the project's folder on the path)

try:
    import losses
    import torch
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None

PERSONS = torch.tensor([0, 0, 1, 1, -1])
APART = ~torch.eye(5, dtype=torch.bool)
MATED = (PERSONS[:, None] == PERSONS[None, :]) & (PERSONS >= 0)[:, None] & APART


def of_angles(degrees: list[float]) -> "torch.Tensor":
    angles = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


class Signals(unittest.TestCase):
    def test_similarity_is_nothing_where_the_teacher_agrees(self):
        vectors = of_angles([0, 10, 90, 100, 200])
        cosines = vectors @ vectors.T
        offset = cosines[APART & ~MATED].mean()
        agreeing = losses.similarity(cosines - offset, vectors, MATED, APART)
        self.assertAlmostEqual(float(agreeing), 0.0, places=6)
        other = of_angles([0, 80, 90, 170, 200])
        self.assertGreater(float(losses.similarity(other @ other.T, vectors, MATED, APART)), 0.05)

    def test_mated_pairs_weigh_however_few_they_are(self):
        vectors = of_angles([0, 0, 90, 90, 180])
        wrong = (vectors @ vectors.T).clone()
        wrong[0, 1] = wrong[1, 0] = 0.0
        right = losses.similarity(vectors @ vectors.T, vectors, MATED, APART)
        self.assertGreater(float(losses.similarity(wrong, vectors, MATED, APART) - right), 0.05)

    def test_strangers_taken_for_one_another_weigh_more_than_those_who_are_too_far(self):
        vectors = of_angles([0, 0, 120, 120, 240])
        cosines = vectors @ vectors.T
        near, far = (cosines - cosines[APART & ~MATED].mean() for _ in range(2))
        for wrong, error in ((near, 0.3), (far, -0.3)):
            wrong[0, 4] = wrong[4, 0] = wrong[0, 4] + error
        self.assertGreater(*(float(losses.similarity(wrong, vectors, MATED, APART)) for wrong in (near, far)))

    def test_verification_falls_as_a_pair_comes_nearer_than_the_strangers(self):
        near, far = (of_angles([0, turn, 120, 120 + turn, 240]) for turn in (5, 60))
        self.assertLess(*(float(losses.verification(v @ v.T, MATED, APART)) for v in (near, far)))

    def test_identification_falls_towards_the_persons_mean(self):
        people = of_angles([0, 90])
        right, wrong = of_angles([0, 0, 90, 90]), of_angles([90, 90, 0, 0])
        self.assertLess(*(float(losses.identification(v, people, PERSONS[:4])) for v in (right, wrong)))

    def test_means_leave_nameless_faces_out(self):
        means = losses.person_means(of_angles([0, 20, 90, 90, 200]), PERSONS, 2)
        torch.testing.assert_close(means, of_angles([10, 90]))

    def test_all_of_them_teach_the_network(self):
        torch.manual_seed(3)
        features = torch.rand(5, 160, requires_grad=True)
        teacher = of_angles([0, 10, 90, 100, 200])
        for given in (teacher, None):
            signals = losses.Signals(160, None if given is None else losses.person_means(given, PERSONS, 2), 2)
            total, parts = signals(features, given, PERSONS)
            wanted = {"identification", "verification"} | ({"feature", "similarity"} if given is not None else set())
            self.assertEqual(set(parts), wanted)
            total.backward()
            self.assertGreater(float(features.grad.abs().max()), 0.0)


if __name__ == "__main__":
    unittest.main()
