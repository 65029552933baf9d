#!/usr/bin/env bash
# Visits that turn the head, drawn from a folder of faces: `make liveness-turns FACES=folder`.
#
# in   FACES=FOLDER with PERSON/*.jpg (frontal, plain behind), BACKGROUNDS=FOLDER of photographs without
#      people (optional), LIVE=51 and ATTACKS=280 visits, SEED=2026
# out  OUT/live/*.mjpeg, OUT/attack/KIND/*.mjpeg, each with its .json; OUT/turns.csv (default OUT=assets/turns)
set -euo pipefail
cd "$(dirname "$0")/../../.."

readonly faces=${FACES:?give FACES=folder of PERSON/*.jpg} out=${OUT:-assets/turns}
export PYTHONPATH=models/training
behind=()
[ -n "${BACKGROUNDS:-}" ] && behind=(--backgrounds "$BACKGROUNDS")
mkdir -p "$out"

tools/in_venv.sh models/training/liveness/requirements-cut.txt -m liveness.cut --photographs "$faces" --out "$out/mattes"
tools/in_venv.sh models/training/requirements.txt -m liveness.draw_turns --faces "$faces" --mattes "$out/mattes" "${behind[@]}" \
    --out "$out" --live "${LIVE:-51}" --attacks "${ATTACKS:-280}" --seed "${SEED:-2026}"
