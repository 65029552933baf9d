#!/usr/bin/env bash
# Tests the training project in both of its environments: `make test-training`.
#
# in   nothing; installs PyTorch and TensorFlow under assets/venv when they are absent
# out  exit 0 when all tests of both pass
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly where=(--start-directory models/training/tests --top-level-directory models/training)
tools/in_venv.sh models/training/requirements.txt -m unittest discover "${where[@]}"
tools/in_venv.sh models/training/requirements-convert.txt -m unittest discover "${where[@]}" --pattern 'test_convert*.py'
