"""The card holds what was measured, in the format that the daemon reads."""

import json
import tempfile
import tomllib
import unittest
from argparse import Namespace
from pathlib import Path

from . import ROOT

try:
    import numpy as np
    import card
    import evaluate
    import scores
    from embedder import Embedder
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None

MODEL = next(iter(sorted((ROOT / "models").glob("deepid2.tflite"))), None)


def measured() -> dict:
    """An evaluation of made-up people: 60 of them, four pictures each."""
    rng = np.random.default_rng(5)
    persons = np.repeat(np.arange(60), 4)
    features = np.maximum(0, rng.normal(1, 1, (60, 160))[persons] + rng.normal(0, 0.6, (240, 160)))
    mean = features.mean(0)
    found: dict = {"people": 60, "faces": 240}
    view2: dict = {}
    for crops in ("one_crop", "mirrored"):
        found[crops], view2[crops] = {}, {}
        for metric in scores.METRICS:
            mated, others = scores.comparisons(features, persons, metric, mean)
            found["mated"], found["non_mated"] = len(mated), len(others)
            rates = evaluate.rates_of(mated, others, (1e-2, 1e-3))
            found[crops][metric] = rates | {"calibration": evaluate.calibrated(others, metric)}
            view2[crops][metric] = rates | {"accuracy_mean": 0.9, "accuracy_standard_error": 0.004}
    return {"mean": [float(v) for v in mean], "view2": view2, "calibration": found}


@unittest.skipIf(MODEL is None, "no models/deepid2.tflite")
class Card(unittest.TestCase):
    def write(self, folder: Path, **changes) -> dict:
        files = {
            "evaluation": {"model": measured()},
            "run": {"teachers": ["mobilefacenet"], "passes": 3.0, "faces": 7, "people": 2, "seconds": 120, "start_from": None},
            "people": {"counts": {"people_shared_with_lfw": 5}, "sets": {"celeba-samples": {}, "own": {}}},
        }
        for name, document in files.items():
            (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
        options = {name: folder / f"{name}.json" for name in files}
        options |= {"model": MODEL, "id": "deepid2-test", "date": "2026-11", "converted_from": None, "normalisation": "signed"}
        options |= {"title": "t", "licence": "l", "limitation": ["slow"], "keypoints_by": None}
        return tomllib.loads(card.card(Namespace(**(options | changes))))

    def test_tells_of_the_file_what_the_file_tells(self):
        with tempfile.TemporaryDirectory() as folder:
            made = self.write(Path(folder))
        wanted = tomllib.loads(MODEL.with_suffix(".toml").read_text(encoding="utf-8"))
        for key in ("sha256", "input", "normalisation", "output", "alignment", "kind", "file"):
            self.assertEqual(made[key], wanted[key], key)
        self.assertEqual(len(made["features"]["mean"]), 160)

    def test_thresholds_get_stricter_for_each_metric_and_averaging(self):
        with tempfile.TemporaryDirectory() as folder:
            made = self.write(Path(folder))
        tables = {(c["metric"], c["mirrored"]): c["points"] for c in made["calibration"]}
        self.assertEqual(set(tables), {(m, f) for m in scores.METRICS for f in (False, True)})
        for (metric, _), points in tables.items():
            self.assertEqual([rate for rate, _ in points], [1e-1, 1e-2, 1e-3])
            steps = np.diff([threshold for _, threshold in points])
            self.assertTrue((steps > 0).all() if metric == "cosine" else (steps < 0).all() and points[-1][1] > 0, (metric, points))

    def test_a_converted_network_claims_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            made = self.write(Path(folder), converted_from="theirs.h5", normalisation="unit", evaluation=None, run=None, people=None)
        self.assertNotIn("calibration", made)
        self.assertNotIn("mean", made["features"])
        self.assertEqual(made["normalisation"]["offset"], 0.0)

    def test_landmarks_have_a_template_only_where_networks_were_trained_on_them(self):
        with tempfile.TemporaryDirectory() as folder, self.assertRaisesRegex(ValueError, "by landmarks"):
            self.write(Path(folder), keypoints_by="face-mesh")

    def test_a_converted_network_that_was_measured_says_what_it_was_measured_on(self):
        with tempfile.TemporaryDirectory() as folder:
            made = self.write(Path(folder), converted_from="theirs.onnx", normalisation="unit", run=None, people=None)
        self.assertEqual(len(made["calibration"]), 2 * len(scores.METRICS))
        self.assertIn("slow", made["provenance"]["limitations"])
        self.assertTrue(any("may have trained on" in words for words in made["provenance"]["limitations"]))


@unittest.skipIf(MODEL is None, "no models/deepid2.tflite")
class GoldenFeatures(unittest.TestCase):
    def test_embedder_gives_the_golden_bytes(self):
        """The daemon's golden file: the same crops, the same int8 output, bit by bit."""
        import faces

        golden = json.loads((ROOT / "tests/golden/deepid2.json").read_text(encoding="utf-8"))
        model = Embedder(ROOT / "models" / f"{golden['model']}.tflite")
        for name, wanted in golden["output_int8"].items():
            found = model.features(faces.read(ROOT / f"tests/golden/crops/{name}.png"))
            steps = found / model.output.scale + model.output.zero_point
            np.testing.assert_array_equal(np.round(steps).astype(int), wanted, name)


if __name__ == "__main__":
    unittest.main()
