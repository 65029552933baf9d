"""Two embedders weighed and calibrated, groups counted, adults drawn: on made-up scores and vectors."""

import argparse
import json
import tempfile
import tomllib
import unittest
from pathlib import Path
from unittest import mock

try:
    import numpy as np
    import adults
    import balanced
    import for_whom
    import fuse
    import groups
    import scores
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
        both = fuse.fused(pairs.first, pairs.second, gate, weight)
        self.assertLess((both[pairs.same] == fuse.NO_MATCH).mean(), 2 * fuse.GATE_MISSES)
        self.assertTrue((both[pairs.first < gate] == fuse.NO_MATCH).all())


def strangers(count: int) -> "fuse.Strangers":
    """Two groups by two embedders that err independently; one group looks alike to both."""
    rng = np.random.default_rng(8)
    spreads = {"near": 0.3, "far": 1.0}
    both = [np.concatenate([np.eye(24)[0] + rng.normal(0, s, (count, 24)) for s in spreads.values()]) for _ in range(2)]
    groups = np.repeat(np.arange(2), count)
    people = balanced.People(np.arange(2 * count), groups, list(spreads), groups)
    return fuse.Strangers(people, *(scores.unit(of) for of in both))


class Card(unittest.TestCase):
    def card(self, them: "fuse.Strangers", pairs: "fuse.Compared") -> dict:
        options = argparse.Namespace(cache=None, id="both", date="2026-11-30")
        first, second = (argparse.Namespace(id=name, sha256=64 * name) for name in "ab")
        with mock.patch.object(fuse, "compared", lambda *_: pairs):
            return tomllib.loads(fuse.card(options, first, second, them))

    def test_thresholds_are_those_of_the_group_that_fares_worst(self):
        them = strangers(500)
        told = self.card(them, compared(0.1, 0.2))
        self.assertEqual((told["id"], told["second"]["id"]), ("both", "b"))
        self.assertEqual(len(told["calibration"]), 1)
        table = told["calibration"][0]
        self.assertEqual((table["metric"], table["mirrored"], table["worst_group"]), ("cosine", True, "near"))
        self.assertEqual([rate for rate, _ in table["points"]], [1e-1, 1e-2, 1e-3, 1e-4])
        groups = fuse.impostors(them, told["gate"], told["weights"][1])
        for (rate, threshold), (_, average) in zip(table["points"], table["average"], strict=True):
            rates = [float((of >= threshold).mean()) for of in groups]
            self.assertLessEqual(max(rates), 1.05 * rate)
            self.assertGreater(max(rates), 0.8 * rate)
            self.assertLess(average, threshold)
        self.assertIn("FairFace", table["source"])
        self.assertIn("true matches", told["provenance"]["source"])

    def test_two_see_fewer_strangers_alike_than_one(self):
        them = strangers(300)
        alone, both = (balanced.calibrated(fuse.impostors(them, -1.0, weight), them.people.names, "cosine")["calibration"][2] for weight in (0.0, 0.5))
        self.assertEqual(alone["rate"], 1e-3)
        self.assertLess(both["threshold"], alone["threshold"])

    def test_too_few_strangers_are_named(self):
        with self.assertRaisesRegex(SystemExit, "435 pairs of near show no rate of 0.001"):
            self.card(strangers(30), compared(0.1, 0.2))

    def test_strangers_are_joined_by_file_and_who_lacks_one_vector_is_left_out(self):
        rng = np.random.default_rng(1)
        one, other = (balanced.Vectors(files, rng.normal(0, 1, (len(files), 3)), {}) for files in (["a", "b", "c"], ["c", "a"]))
        zero = np.zeros(3)
        them = fuse.strangers((one, other), (zero, zero), lambda files: balanced.People(np.arange(len(files)), np.zeros(2, int), ["g"], np.zeros(2, int)))
        self.assertTrue(np.allclose(them.first, scores.unit(one.features[[0, 2]]), atol=1e-6))
        self.assertTrue(np.allclose(them.second, scores.unit(other.features[[1, 0]]), atol=1e-6))


class ForWhom(unittest.TestCase):
    def test_a_door_asks_both(self):
        them = strangers(200)
        fusion = {"gate": -0.5, "weights": [0.5, 0.5]}
        both = for_whom.at_a_door(them, fusion, (0.2, 0.3))
        first = [of >= 0.2 for of in balanced.of_pairs(them.people, lambda members: them.first[members] @ them.first[members].T)]
        fused = [of >= 0.3 for of in fuse.impostors(them, -0.5, 0.5)]
        for two, one, other in zip(both, first, fused, strict=True):
            self.assertTrue(0 < two.sum() < min(one.sum(), other.sum()))

    def test_a_rate_without_a_threshold_is_refused(self):
        card = {"id": "m", "calibration": [{"metric": "cosine", "mirrored": True, "points": [[1e-3, 0.4]]}]}
        self.assertEqual(for_whom.threshold_of(card, 1e-3), 0.4)
        for wrong in (card, {"id": "m"}):
            with self.assertRaisesRegex(SystemExit, "m has no threshold"):
                for_whom.threshold_of(wrong, 1e-4)

    def test_two_photographs_of_one_person_of_london_are_no_strangers(self):
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "london_info.csv"
            table.write_text("face_id,face_eth\n001,black\n002,black\n003,east_asian\n", encoding="utf-8")
            files = [f"{person}/{look}.jpg" for person in ("001", "002", "003", "x") for look in ("neutral", "smiling")]
            them = for_whom.of_london(table, files)
        found = for_whom.alone(np.ones((6, 1)), them, 0.5)
        self.assertEqual(them.names, ["black", "east asian"])
        self.assertEqual([of.tolist() for of in found], [[True] * 4, []])
        self.assertEqual(for_whom.told(found[1]), "no two people")
        self.assertTrue(for_whom.told(found[0]).startswith("100.000 % (4 of 4;"))


class Adults(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.table = self.folder / "labels.csv"
        rows = [f"{i}.jpg,{age},Male,{'ab'[i % 2]},TRUE" for i, age in enumerate(["20-29"] * 20 + ["03-Sep", "Oct-19"])]
        self.table.write_text("\n".join(["file,age,gender,race,service_test", *rows]), encoding="utf-8")
        for i in range(22):
            (self.folder / f"{i}.jpg").touch()

    def test_children_stay_out_and_the_same_are_drawn_each_time(self):
        self.assertEqual(adults.laid_out(self.table, self.folder, self.folder / "all", None), 20)
        self.assertEqual(adults.laid_out(self.table, self.folder, self.folder / "some", 4), 8)
        drawn = (self.folder / "some" / adults.LABELS).read_text(encoding="utf-8").splitlines()[1:]
        self.assertEqual(sorted(line.split(",")[0] for line in drawn), sorted(path.name for path in (self.folder / "some").glob("*.jpg")))
        self.assertEqual([line.split(",")[3] for line in drawn].count("a"), 4)
        more = adults.laid_out(self.table, self.folder, self.folder / "more", 6)
        self.assertTrue({path.name for path in (self.folder / "some").glob("*.jpg")} < {path.name for path in (self.folder / "more").glob("*.jpg")}, more)

    def test_too_few_and_absent_photographs_are_named(self):
        with self.assertRaisesRegex(SystemExit, "has 10 adults of a"):
            adults.laid_out(self.table, self.folder, self.folder / "some", 11)
        (self.folder / "7.jpg").unlink()
        with self.assertRaisesRegex(SystemExit, "1 of the 20 adults"):
            adults.laid_out(self.table, self.folder, self.folder / "all", None)


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
