"""Thresholds of the group that fares worst, and strangers packed small: on made-up vectors."""

import csv
import json
import struct
import tempfile
import tomllib
import unittest
from pathlib import Path

try:
    import balanced
    import coding
    import numpy as np
    import tables
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


def people(count: int, spreads: dict[str, float]) -> tuple[np.ndarray, "balanced.People"]:
    """Vectors around one direction: a group of a small spread looks alike."""
    rng = np.random.default_rng(8)
    features = np.concatenate([np.eye(24)[0] + rng.normal(0, spread, (count, 24)) for spread in spreads.values()])
    groups = np.repeat(np.arange(len(spreads)), count)
    return features, balanced.People(np.arange(len(features)), groups, list(spreads), groups)


class Calibrating(unittest.TestCase):
    def setUp(self):
        features, them = people(500, {"near": 0.3, "far": 1.0})
        self.groups = balanced.impostors(features, them, "cosine", np.zeros(24))
        self.found = balanced.calibrated(self.groups, them.names, "cosine")

    def test_the_threshold_is_that_of_the_group_that_fares_worst(self):
        self.assertEqual(self.found["worst_group"], "near")
        for point in self.found["calibration"]:
            rates = [balanced.rate_at(g, point["threshold"]) for g in self.groups]
            self.assertLessEqual(max(rates), point["rate"])
            self.assertGreater(max(rates), 0.8 * point["rate"])
            self.assertLess(point["average"], point["threshold"])
            self.assertAlmostEqual(np.mean([balanced.rate_at(g, point["average"]) for g in self.groups]) / point["rate"], 1.0, delta=0.1)

    def test_a_rate_that_too_few_pairs_show_is_not_claimed(self):
        # 124,750 pairs of each group: 12 at 1e-4, 1 at 1e-5; of both 2.
        self.assertEqual([p["rate"] for p in self.found["calibration"]], [1e-1, 1e-2, 1e-3, 1e-4])

    def test_where_no_group_has_enough_pairs_all_together_go_on(self):
        features, them = people(150, {"near": 0.3, "far": 1.0})
        found = balanced.calibrated(balanced.impostors(features, them, "cosine", np.zeros(24)), them.names, "cosine")["calibration"]
        # 11,175 pairs of each: 11 at 1e-3; at 1e-4 not even of both.
        self.assertEqual([(p["rate"], p["group"]) for p in found], [(1e-1, "near"), (1e-2, "near"), (1e-3, "near")])
        rates = balanced.RATES
        balanced.RATES = (1e-1, 1e-2, 1e-3, 5e-4)
        try:
            found = balanced.calibrated(balanced.impostors(features, them, "cosine", np.zeros(24)), them.names, "cosine")["calibration"]
        finally:
            balanced.RATES = rates
        last, before = found[-1], found[-2]
        self.assertEqual((last["rate"], last["group"]), (5e-4, None))
        self.assertAlmostEqual(last["threshold"] - before["threshold"], last["average"] - before["average"])

    def test_a_card_names_a_group_also_where_its_rate_goes_on_by_the_slope(self):
        # 4,950 pairs of each group: 49 at 1e-2, 4 at 1e-3; of both together 9.
        features, them = people(100, {"near": 0.3, "far": 1.0})
        found = balanced.calibrated(balanced.impostors(features, them, "cosine", np.zeros(24)), them.names, "cosine")
        self.assertEqual([p["group"] for p in found["calibration"]], ["near", "near", None])
        self.assertEqual(found["worst_group"], "near")

    def test_too_few_pairs_and_a_group_without_any_are_named(self):
        features, them = people(30, {"near": 0.3, "far": 1.0})
        with self.assertRaisesRegex(SystemExit, "435 pairs of near show no rate of 0.001"):
            balanced.calibrated(balanced.impostors(features, them, "cosine", np.zeros(24)), them.names, "cosine")
        alone = balanced.People(them.places[:31], them.groups[:31], them.names, them.alike[:31])
        with self.assertRaisesRegex(SystemExit, "nobody of far has another"):
            balanced.calibrated(balanced.impostors(features, alone, "cosine", np.zeros(24)), them.names, "cosine")

    def test_distances_are_positive_and_the_average_is_the_lenient_one(self):
        features, them = people(200, {"near": 0.3, "far": 1.0})
        found = balanced.calibrated(balanced.impostors(features, them, "euclidean", np.zeros(24)), them.names, "euclidean")
        for point in found["calibration"]:
            self.assertTrue(0 < point["threshold"] < point["average"])

    def test_only_people_who_are_alike_are_compared(self):
        features, them = people(10, {"a": 1.0, "b": 1.0})
        alike = balanced.People(them.places, them.groups, them.names, np.arange(20) // 5)
        self.assertEqual([len(g) for g in balanced.impostors(features, alike, "cosine", np.zeros(24))], [20, 20])

    def test_two_pictures_of_one_person_are_not_counted(self):
        features, them = people(10, {"a": 1.0, "b": 1.0})
        known = balanced.People(them.places, them.groups, them.names, them.alike, frozenset([(0, 3), (4, 15)]))
        every, counted = (balanced.impostors(features, p, "cosine", np.zeros(24)) for p in (them, known))
        self.assertEqual([len(g) for g in counted], [44, 45], "a pair of two groups was never one")
        gone = set(every[0].tolist()) - set(counted[0].tolist())
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        self.assertAlmostEqual(gone.pop(), float(unit[0] @ unit[3]), places=5)

    def test_the_card_keeps_everything_else(self):
        text = 'id = "m"\n\n[alignment]\nx = 1\n\n[[calibration]]\nmetric = "cosine"\n\n[[calibration]]\nmetric = "euclidean"\n\n[features]\nlength = 2\n'
        measured = {crops: {"cosine": self.found} for crops in ("one_crop", "mirrored")}
        lines = tables.calibrations({"source": "made up", "non_mated": 7} | measured, "2026-11")
        told = tomllib.loads(balanced.rewritten(text, lines))
        self.assertEqual((told["id"], told["alignment"], told["features"]), ("m", {"x": 1}, {"length": 2}))
        self.assertEqual([table["mirrored"] for table in told["calibration"]], [False, True])
        table = told["calibration"][0]
        self.assertEqual((table["worst_group"], len(table["points"]), len(table["average"])), ("near", 4, 4))
        self.assertIn("made up: 7 pairs of the same group", table["source"])


class Reading(unittest.TestCase):
    def test_children_and_who_has_no_vector_are_left_out(self):
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "labels.csv"
            with table.open("w", encoding="utf-8", newline="") as stored:
                rows = csv.writer(stored)
                rows.writerow(["file", "race", "gender", "age"])
                for i, (race, age) in enumerate([("b", "20-29"), ("a", "0-2"), ("a", "60-69"), ("a", "more than 70"), ("a", "30-39")]):
                    rows.writerow([f"{i}.jpg", race, "Male", age])
            them = balanced.of_table(table, ["3.jpg", "2.jpg", "0.jpg", "1.jpg"], {("2.jpg", "3.jpg"): "0.8", ("0.jpg", "4.jpg"): "eye"})
        self.assertEqual((them.places.tolist(), them.names), ([2, 1, 0], ["a", "b"]))
        self.assertEqual(them.alike[1], them.alike[2], "60 and more are one band")
        self.assertEqual(them.same, {(1, 2)})

    def test_what_the_program_wrote_is_read(self):
        features = np.arange(6, dtype=np.float32).reshape(2, 3)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "v.safetensors"
            path.write_bytes(coding.safetensors({"features": features, "usable": np.array([0, 1], dtype=np.uint8)}, {"files": '["a", "b"]'}))
            found = balanced.read(path)
        self.assertEqual((found.files, found.features.tolist()), (["a", "b"], features.tolist()))

    def test_every_group_has_equal_parts(self):
        features, them = people(20, {"a": 1.0, "b": 1.0, "c": 1.0})
        vectors = balanced.Vectors([], features, {})
        drawn, groups = balanced.strangers(vectors, them, 7, np.random.default_rng(1))
        self.assertEqual((np.bincount(groups).tolist(), drawn.shape), ([7, 7, 7], (21, 24)))
        with self.assertRaises(SystemExit):
            balanced.strangers(vectors, them, 21, np.random.default_rng(1))


class Packing(unittest.TestCase):
    def setUp(self):
        rng = np.random.default_rng(4)
        self.features = 3.0 + rng.normal(0, 1, (3000, 40)) * np.geomspace(2.0, 0.05, 40)
        self.mean = self.features.mean(0)

    def test_bits_go_where_the_spread_is(self):
        tensors = coding.coded(self.features, self.mean, 80)
        self.assertTrue(70 <= tensors["bits"].sum() <= 80)
        self.assertTrue((np.diff(tensors["bits"].astype(int)) <= 0).all(), tensors["bits"])
        self.assertEqual(tensors["codes"].shape, (3000, -(-int(tensors["bits"].sum()) // 8)))

    def test_vectors_come_back_nearly_as_they_were(self):
        # 320 bits: more than a byte counts.
        for budget, least in ((40, 0.93), (80, 0.985), (200, 0.9995), (320, 0.9998)):
            again = coding.decoded(coding.coded(self.features, self.mean, budget), self.mean)
            self.assertGreater(coding.fidelity(self.features, again, self.mean), least)

    def test_the_file_is_safetensors_within_its_limit(self):
        stored = coding.packed(self.features, np.zeros(3000), self.mean, {"schema": "2"}, 40_000)
        self.assertLessEqual(len(stored), 40_000)
        self.assertGreater(len(stored), 33_000)
        length = struct.unpack("<Q", stored[:8])[0]
        header = json.loads(stored[8 : 8 + length])
        self.assertEqual(length % 8, 0)
        self.assertEqual(header["groups"], {"dtype": "U8", "shape": [3000], "data_offsets": header["groups"]["data_offsets"]})
        self.assertGreater(float(header["__metadata__"]["fidelity"]), 0.97)
        with self.assertRaises(SystemExit):
            coding.packed(self.features, np.zeros(3000), self.mean, {}, 3000)


if __name__ == "__main__":
    unittest.main()
