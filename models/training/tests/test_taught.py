"""The matrix of taught.py: what the projection sees is kept, what it does not see is gone."""

import unittest

try:
    import numpy as np
    import taught
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


def cosines(vectors: "np.ndarray") -> "np.ndarray":
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


class Taught(unittest.TestCase):
    def setUp(self):
        rng = np.random.default_rng(8)
        self.projection, self.features = rng.normal(size=(6, 20)), rng.normal(size=(50, 20))

    def test_cosines_are_those_of_the_projection(self):
        weighed = self.features @ taught.matrix(self.projection)
        np.testing.assert_allclose(cosines(weighed), cosines(self.features @ self.projection.T), atol=1e-5)

    def test_what_the_projection_does_not_see_weighs_nothing(self):
        matrix = taught.matrix(self.projection)
        unseen = np.linalg.svd(self.projection)[2][-1]
        np.testing.assert_allclose(unseen @ matrix, 0.0 * unseen, atol=1e-5)
        self.assertAlmostEqual(float(np.linalg.norm(matrix, 2)), 1.0, places=5)
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)


if __name__ == "__main__":
    unittest.main()
