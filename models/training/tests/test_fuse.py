"""Two embedders weighed, groups counted: on made-up scores and vectors."""

import argparse
import json
import tempfile
import tomllib
import unittest
from pathlib import Path
from unittest import mock

try:
    import numpy as np
    import fuse
    import groups
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


def compared(first_spread: float, second_spread: float) -> "fuse.Compared":
    """Mated scores around 0.8, others around 0; a larger spread is a worse embedder."""
    rng = np.random.default_rng(3)
    same = np.arange(60_000) < 6_000
    middle = np.where(same, 0.8, 0.0)
    first, second = (middle + rng.normal(0, spread, len(same)) for spread in (first_spread, second_spread))
    return fuse.Compared(first, second, same, 400)


class Fusing(unittest.TestCase):
    def test_the_better_embedder_weighs_more(self):
        _, weight = fuse.chosen(compared(0.3, 0.1))
        self.assertGreater(weight, 0.7)
        _, weight = fuse.chosen(compared(0.1, 0.3))
        self.assertLess(weight, 0.3)

    def test_the_gate_loses_hardly_anybody(self):
        pairs = compared(0.2, 0.2)
        gate, weight = fuse.chosen(pairs)
        both = fuse.fused(pairs, gate, weight)
        self.assertLess((both[pairs.same] == -1.0).mean(), 2 * fuse.GATE_MISSES)
        self.assertTrue((both[pairs.first < gate] == -1.0).all())


    def test_the_card_is_toml_that_lists_its_thresholds(self):
        options = argparse.Namespace(cache=None, id="both", date="2026-11")
        first, second = (argparse.Namespace(id=name, sha256=64 * name) for name in "ab")
        with mock.patch.object(fuse, "compared", lambda *_: compared(0.1, 0.2)):
            told = tomllib.loads(fuse.card(options, first, second))
        self.assertEqual((told["id"], told["second"]["id"]), ("both", "b"))
        points = told["calibration"][0]["points"]
        self.assertEqual([rate for rate, _ in points], [1e-1, 1e-2, 1e-3])
        self.assertEqual([threshold for _, threshold in points], sorted(threshold for _, threshold in points))

    def test_too_few_strangers_are_named(self):
        few = compared(0.1, 0.2)
        few = fuse.Compared(few.first[:6050], few.second[:6050], few.same[:6050], 400)
        options = argparse.Namespace(cache=None, id="both", date="2026-11")
        carded = argparse.Namespace(id="a", sha256="a")
        with mock.patch.object(fuse, "compared", lambda *_: few), self.assertRaisesRegex(SystemExit, "50 comparisons of strangers show no rate"):
            fuse.card(options, carded, carded)


class Groups(unittest.TestCase):
    def test_each_group_is_counted_by_itself(self):
        table = [{"face_gender": "female" if i < 10 else "male", "face_eth": "a_b", "face_age": "NA" if i == 0 else "30"} for i in range(20)]
        axes = np.eye(20)
        # The men all look alike; each woman like herself alone.
        axes[10:] = axes[10]
        rows = {row.split("|")[1].strip(): row for row in groups.rows(table, np.stack([axes, axes], axis=1), 0.5)}
        self.assertIn("| 0 % (0 of 90;", rows["female"])
        self.assertIn("| 100 % (90 of 90;", rows["male"])
        self.assertIn("0 % (0 of 20;", rows["everybody"])
        self.assertIn("too few to tell", rows["age unknown"])
        self.assertIn("a b", rows)

    def test_utkface_tells_age_and_ethnicity_by_its_names(self):
        told = {"26_1_1_2017.jpg": "black", "26_0_3_2017.jpg": "indian", "9_1_0_2017.jpg": None, "26_1_4_2017.jpg": None, "26_1_2017.jpg": None, "a_0_1_2.jpg": None}
        self.assertEqual({name: groups.utkface_group(f"x/{name}") for name in told}, told)

    def test_two_pictures_of_one_person_are_no_strangers(self):
        with tempfile.TemporaryDirectory() as temporary:
            cache = Path(temporary)
            names = [f"30_0_{group}_{face}.jpg" for group in range(4) for face in range(4)]
            listing = {"faces": [{"picture": name, "person": None} for name in names]}
            (cache / "utkface.json").write_text(json.dumps(listing), encoding="utf-8")
            (cache / "people.json").write_text(json.dumps({"sets": {"utkface": {"parts": ["train"] * 16}}}), encoding="utf-8")
            teacher = np.eye(16)
            teacher[1] = teacher[0]
            np.save(cache / "utkface.mobilefacenet.npy", teacher)
            np.save(cache / "utkface.wide.npy", np.zeros((16, 1), dtype=np.uint8))

            class Alike:
                def vectors(self, wides):
                    return np.ones((len(list(wides)), 1))

            rows = list(groups.strangers_alike(Alike(), 0.5, cache))
        self.assertIn("| white | 4 | 100 % (5 of 5;", rows[0])
        self.assertIn("| indian | 4 | 100 % (6 of 6;", rows[3])


if __name__ == "__main__":
    unittest.main()
