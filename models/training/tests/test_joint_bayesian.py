"""Joint Bayesian: learnt on made-up people, whose distributions are known."""

import unittest

try:
    import joint_bayesian
    import numpy as np
    import scores
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


def people(count: int, pictures: int, seed: int) -> "tuple[np.ndarray, np.ndarray]":
    """Who somebody is lies on two axes of eight; what varies between pictures lies on the six others, and is larger."""
    rng = np.random.default_rng(seed)
    persons = np.repeat(np.arange(count), pictures)
    identities = rng.normal(0, 1, (count, 8)) * np.array([1.0, 1.0, 0, 0, 0, 0, 0, 0])
    varied = rng.normal(0, 1, (len(persons), 8)) * np.array([0.2, 0.2, 2, 2, 2, 2, 2, 2])
    return 3.0 + identities[persons] + varied, persons


class Learning(unittest.TestCase):
    def test_it_learns_which_axes_tell_people_apart(self):
        model = joint_bayesian.learnt(*people(300, 5, 1))
        vectors, persons = people(60, 4, 2)
        upper = np.triu_indices(len(persons), 1)
        same = (persons[:, None] == persons[None, :])[upper]
        found = model.all_scores(vectors)[upper]
        plain = scores.all_likenesses(scores.prepared(vectors, "cosine", np.full(8, 3.0)), "cosine")[upper]
        error, before = (scores.equal_error_rate(of[same], of[~same]) for of in (found, plain))
        self.assertLess(error, 0.15)
        self.assertGreater(before, 0.25)

    def test_its_score_is_the_ratio_of_two_normal_distributions(self):
        model = joint_bayesian.learnt(*people(2000, 5, 3))
        vectors, _ = people(2, 1, 4)
        between = np.diag([1.0, 1.0, 0, 0, 0, 0, 0, 0]) + 1e-9 * np.eye(8)
        within = np.diag(np.array([0.2, 0.2, 2, 2, 2, 2, 2, 2]) ** 2)

        def likelihood(joint: np.ndarray) -> float:
            covariance = np.block([[between + within, joint], [joint, between + within]])
            both = np.concatenate(vectors - 3.0)
            return float(-0.5 * both @ np.linalg.inv(covariance) @ both)

        pairs = [model.scores(vectors[[a]], vectors[[b]])[0] for a, b in ((0, 1), (0, 0))]
        self.assertLess(pairs[0], pairs[1])
        expected = 2.0 * (likelihood(between) - likelihood(np.zeros((8, 8))))
        self.assertAlmostEqual(pairs[0], expected, delta=0.2 * abs(expected) + 0.5)
        self.assertAlmostEqual(model.all_scores(vectors)[0, 1], pairs[0], places=6)

    def test_one_person_teaches_nothing(self):
        with self.assertRaisesRegex(SystemExit, "fewer than two people"):
            joint_bayesian.learnt(*people(1, 5, 1))


if __name__ == "__main__":
    unittest.main()
