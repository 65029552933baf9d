"""Tests of the training project; `make test-training` runs them with everything installed.

in   a few synthetic pictures, made by seed; the detector in assets/models and models/*.tflite
out  unittest results; where a package or an asset is absent, the tests that need it skip and say so
"""

import sys
from pathlib import Path

TRAINING = Path(__file__).resolve().parent.parent
ROOT = TRAINING.parent.parent
sys.path.insert(0, str(TRAINING))
