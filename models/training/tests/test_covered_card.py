"""The card of the judge of covered faces says what the file and the calibration say."""

import json
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

from . import TRAINING

try:
    from ai_edge_litert.interpreter import Interpreter  # noqa: F401
    from covered import crops, drawing, regions
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None

SHIPPED = TRAINING.parent / "covered.toml"


class Card(unittest.TestCase):
    @unittest.skipUnless(SHIPPED.is_file(), "no such network is shipped")
    def test_a_card_is_written_from_file_and_figures(self):
        point = {"probability": 0.5, "covered": 0.9, "kinds": dict.fromkeys(drawing.COVERS, 0.9)}
        calibration = {"free": 100, "covers": 90, "photographs": 100, "points": [point | {"uncovered": share, "probability": 1.0 - share} for share in (0.002, 0.02, 0.05)]}
        run = {"pictures": 1000, "drawings": 200, "photographs": 100}
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder)
            (made / "calibration.json").write_text(json.dumps(calibration), encoding="utf-8")
            (made / "run.json").write_text(json.dumps(run), encoding="utf-8")
            command = [sys.executable, "-m", "covered.card", "--model", SHIPPED.with_suffix(".tflite"), "--calibration", made / "calibration.json"]
            subprocess.run([*map(str, command), "--run", str(made / "run.json"), "--date", "2026-01", "--out", str(made / "covered.toml")], check=True, cwd=TRAINING)
            card, shipped = (tomllib.loads(path.read_text(encoding="utf-8")) for path in (made / "covered.toml", SHIPPED))
        for key in ("id", "kind", "file", "sha256", "input", "normalisation", "output", "alignment"):
            self.assertEqual(card[key], shipped[key], key)
        self.assertEqual(card["quality"]["parts"], list(regions.NAMES))
        self.assertEqual([one["uncovered"] for one in card["quality"]["threshold"]], [0.002, 0.02, 0.05])
        self.assertEqual(card["alignment"]["right_eye"], [round(float(v), 4) for v in crops.TEMPLATE[0]])
        self.assertIn("90.0 %", card["provenance"]["limitations"][0])


if __name__ == "__main__":
    unittest.main()
