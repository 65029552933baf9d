"""The script behind `make model`: every step once, in order, and thresholds of the worst group at the end.

The steps that train are played by a stand-in that makes their files; adults.py and balanced.py are the real
ones, on made-up vectors.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

from . import TRAINING

try:
    import coding
    import numpy as np
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None

CARD = """id = "deepid2"
sha256 = "aa"

[[calibration]]
metric = "cosine"
points = [[1e-1, 0.1]]

[features]
length = 24
"""

PEOPLE, DRAWN = 700, 300

# in_venv.sh's stand-in: REQUIREMENTS SCRIPT [ARGUMENT…]. It writes down what it was asked for.
STAND_IN = f"#!{sys.executable}\n" + """
import os, subprocess, sys
from pathlib import Path
script, arguments = sys.argv[2], sys.argv[3:]
with open(os.environ["ASKED"], "a") as asked:
    print(Path(script).name, *arguments, file=asked)
if Path(script).name == os.environ.get("FAILING"):
    sys.exit(3)
if Path(script).name in ("adults.py", "balanced.py"):
    sys.exit(subprocess.run([sys.executable, script, *arguments]).returncode)
value = lambda name: Path(arguments[arguments.index(name) + 1])
made = {"prepare.py": lambda: value("--cache") / (value("--sets").name + ".mobilefacenet.npy"), "people.py": lambda: value("--cache") / "people.json",
        "blend.py": lambda: value("--cache") / "blends.npz", "train.py": lambda: value("--out") / "run.json",
        "export.py": lambda: value("--out") / "weights.npz"}
path = made.get(Path(script).name, lambda: value("--out"))()
path.write_text(os.environ["CARD"] if path.suffix == ".toml" else "file_x,file_y,teacher\\n")
"""

# deepid-edge's: vectors of the folder that it is given.
PROGRAM = f"#!{sys.executable}\n" + """
import os, shutil, sys
from pathlib import Path
with open(os.environ["ASKED"], "a") as asked:
    print("deepid-edge", *sys.argv[1:], file=asked)
shutil.copytree(os.environ["VECTORS"], sys.argv[sys.argv.index("--out") + 1])
"""


def program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


class Making(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = Path(temporary.name)
        for folder in ("models/training", "assets/models", "tools", "data/EthnicityDetection/fair_face/train"):
            (self.root / folder).mkdir(parents=True)
        for path in TRAINING.iterdir():
            if path.suffix in (".py", ".sh", ".toml", ".csv"):
                shutil.copy(path, self.root / "models/training")
        (self.root / "models/blazeface-short-range.toml").write_text("", encoding="utf-8")
        (self.root / "assets/models/face_detection_short_range.tflite").write_text("", encoding="utf-8")
        program(self.root / "tools/in_venv.sh", STAND_IN)
        program(self.root / "deepid-edge", PROGRAM)
        self.strangers()
        self.asked = self.root / "asked"

    def strangers(self):
        """Adults of two groups, one of which looks alike; and a child."""
        rng, checkout = np.random.default_rng(5), self.root / "data/EthnicityDetection"
        rows = [(f"train/{i}.jpg", "20-29", "Male", "far" if i % 2 else "near") for i in range(PEOPLE)] + [("train/child.jpg", "03-Sep", "Male", "near")]
        with (checkout / "fairface_label_train.csv").open("w", encoding="utf-8", newline="") as stored:
            csv.writer(stored).writerows([("file", "age", "gender", "race"), *rows])
        for file, *_ in rows:
            (checkout / "fair_face" / file).touch()
        spread = np.array([0.3 if race == "near" else 1.0 for *_, race in rows[:PEOPLE]])
        features = (np.eye(24)[0] + rng.normal(0, 1, (PEOPLE, 24)) * spread[:, None]).astype(np.float32)
        (self.root / "vectors").mkdir()
        for name, averaged in (("mirrored", "true"), ("one-crop", "false")):
            metadata = {"files": json.dumps([file for file, *_ in rows[:PEOPLE]]), "model": "deepid2", "sha256": "aa", "procedure": averaged, "mirrored": averaged}
            (self.root / f"vectors/deepid2.{name}.safetensors").write_bytes(coding.safetensors({"features": features}, metadata))

    def make(self, **also) -> subprocess.CompletedProcess:
        environment = os.environ | {
            "DATA": "data", "OUT": "out", "DATE": "2026-11-30", "DEEPID_EDGE": str(self.root / "deepid-edge"), "CARD": CARD,
            "ASKED": str(self.asked), "VECTORS": str(self.root / "vectors"), "PYTHONDONTWRITEBYTECODE": "1", "ADULTS": str(DRAWN),
        }  # fmt: skip
        self.asked.write_text("", encoding="utf-8")
        return subprocess.run([self.root / "models/training/make_model.sh"], env=environment | also, capture_output=True, text=True, check=False)

    def steps(self) -> list[str]:
        return [line.split()[0] for line in self.asked.read_text(encoding="utf-8").splitlines()]

    def test_what_it_makes_holds_for_the_worst_group_and_has_a_cohort(self):
        done = self.make()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.steps()[-5:], ["card.py", "adults.py", "deepid-edge", "same_person.py", "balanced.py"])
        card = tomllib.loads((self.root / "out/deepid2/deepid2.toml").read_text(encoding="utf-8"))
        self.assertEqual({table["worst_group"] for table in card["calibration"]}, {"near"})
        self.assertEqual(len(card["calibration"]), 6, "three metrics, averaged and not")
        cohort = (self.root / "out/deepid2/deepid2.cohort.safetensors").read_bytes()
        self.assertLessEqual(len(cohort), 600_000)
        facts = json.loads(cohort[8 : 8 + int.from_bytes(cohort[:8], "little")])["__metadata__"]
        self.assertEqual((facts["people"], json.loads(facts["groups"])), (str(2 * DRAWN), ["far", "near"]))
        laid_out = {path.name for path in (self.root / "out/adults/train").iterdir()}
        self.assertEqual((len(laid_out), "child.jpg" in laid_out), (2 * DRAWN, False), "a child is no adult")

    def test_a_step_that_is_done_is_not_done_again(self):
        self.assertEqual(self.make().returncode, 0)
        made = (self.root / "out/deepid2/deepid2.toml").read_bytes()
        self.assertEqual(self.make().returncode, 0)
        self.assertEqual(self.steps(), [])
        (self.root / "out/deepid2/deepid2.cohort.safetensors").unlink()
        self.assertEqual(self.make().returncode, 0)
        self.assertEqual(self.steps(), ["balanced.py"])
        self.assertEqual((self.root / "out/deepid2/deepid2.toml").read_bytes(), made)

    def test_a_step_that_fails_ends_it_and_the_next_call_goes_on_there(self):
        for failing, then in (("same_person.py", ["same_person.py", "balanced.py"]), ("balanced.py", ["balanced.py"])):
            shutil.rmtree(self.root / "out", ignore_errors=True)
            self.assertNotEqual(self.make(FAILING=failing).returncode, 0)
            self.assertFalse((self.root / "out/deepid2/deepid2.cohort.safetensors").exists())
            self.assertEqual(self.make().returncode, 0)
            self.assertEqual(self.steps(), then)

    def test_every_option_is_known_to_its_script(self):
        self.assertEqual(self.make().returncode, 0)
        for script, *arguments in (line.split() for line in self.asked.read_text(encoding="utf-8").splitlines()):
            if script == "deepid-edge":
                self.assertEqual(arguments[2:5], ["evaluate", "vectors", "out/adults"])
                continue
            text = (TRAINING / script).read_text(encoding="utf-8")
            for option in (word.removeprefix("--") for word in arguments if word.startswith("--")):
                self.assertTrue(f'"{option}"' in text or f'"--{option}"' in text, f"{script} --{option}")


if __name__ == "__main__":
    unittest.main()
