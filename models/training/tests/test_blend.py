"""Blends: of two faces that are trained on, never of others, and kept with what the teacher says."""

import json
import tempfile
import unittest
from pathlib import Path

from . import TRAINING  # noqa: F401 (puts the project's folder on the path)

try:
    import batches
    import blend
    import cached
    import faces
    import numpy as np
    import topology
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


def some_cache(folder: Path) -> Path:
    """Forty faces of plain grey, each of its own; every fourth one is held back."""
    rng = np.random.default_rng(3)
    shades = np.arange(40, dtype=np.uint8) * 6
    np.save(folder / "own.wide.npy", np.broadcast_to(shades[:, None, None, None], (40, faces.WIDE_HEIGHT, faces.WIDE_WIDTH, 3)))
    vectors = rng.normal(size=(40, 16))
    np.save(folder / "own.mobilefacenet.npy", (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16))
    sets = {"own": {"parts": ["validation" if i % 4 == 0 else "train" for i in range(40)], "persons": [i // 4 for i in range(40)]}}
    (folder / "people.json").write_text(json.dumps({"counts": {}, "sets": sets}), encoding="utf-8")
    return folder


def save(folder: Path, blends: "cached.Blends", vectors: "np.ndarray") -> None:
    np.savez(folder / cached.BLENDS, pairs=blends.pairs, shares=blends.shares)
    np.save(folder / "blends.mobilefacenet.npy", vectors.astype(np.float16))


class Blending(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.data = cached.load(some_cache(self.folder), ["mobilefacenet"], in_memory=True)
        self.blends = blend.chosen(self.data.train, self.data.teacher, 3, np.random.default_rng(1))

    def test_only_faces_that_are_trained_on_are_blended_each_with_another(self):
        self.assertGreater(len(self.blends.pairs), len(self.data.train))
        self.assertTrue(np.isin(self.blends.pairs, self.data.train).all())
        self.assertTrue((self.blends.pairs[:, 0] != self.blends.pairs[:, 1]).all())
        self.assertTrue((self.blends.shares > 0.3).all() and (self.blends.shares < 0.7).all())

    def test_a_blend_lies_between_its_two_faces_and_has_no_name(self):
        vectors = np.random.default_rng(2).normal(size=(len(self.blends.pairs), 16))
        save(self.folder, self.blends, vectors)
        data = cached.load(self.folder, ["mobilefacenet"], in_memory=True)
        self.assertEqual(data.blended.tolist(), list(range(40, 40 + len(vectors))))
        self.assertEqual(len(data.teacher), 40 + len(vectors))
        self.assertTrue((data.persons[data.blended] == -1).all())
        one, other = (6.0 * self.blends.pairs[5, side] for side in (0, 1))
        share = self.blends.shares[5]
        self.assertAlmostEqual(float(data.crop(45).mean()), share * one + (1 - share) * other, delta=0.6)

    def test_a_quarter_of_a_batch_are_blends_where_there_are_some(self):
        save(self.folder, self.blends, np.ones((len(self.blends.pairs), 16)))
        data = cached.load(self.folder, ["mobilefacenet"], in_memory=True)
        chosen, pictures = batches.Batches(data, 32, 5, topology.FACE)[3]
        self.assertEqual(int(np.isin(chosen, data.blended).sum()), 8)
        self.assertEqual(tuple(pictures.shape), (32, 55, 47, 3))

    def test_blends_of_other_faces_are_refused_with_the_remedy(self):
        save(self.folder, cached.Blends(self.blends.pairs + 40, self.blends.shares), np.ones((len(self.blends.pairs), 16)))
        with self.assertRaisesRegex(SystemExit, "run blend.py"):
            cached.load(self.folder, ["mobilefacenet"], in_memory=True)


if __name__ == "__main__":
    unittest.main()
