#!/usr/bin/env bash
# Short films of live visits and attacks, drawn from a folder of faces: `make liveness-visits FACES=folder`.
#
# in   FACES=FOLDER with PERSON/*.jpg (frontal, plain behind), BACKGROUNDS=FOLDER of photographs without
#      people (optional), LIVE=102 and ATTACKS=306 visits, SEED=2026
# out  OUT/live/*.mjpeg, OUT/attack/KIND/*.mjpeg, OUT/visits.csv (default OUT=assets/visits)
set -euo pipefail
cd "$(dirname "$0")/../../.."

readonly faces=${FACES:?give FACES=folder of PERSON/*.jpg} out=${OUT:-assets/visits}
export PYTHONPATH=models/training
behind=()
[ -n "${BACKGROUNDS:-}" ] && behind=(--backgrounds "$BACKGROUNDS")
mkdir -p "$out"

tools/in_venv.sh models/training/liveness/requirements-cut.txt -m liveness.cut --photographs "$faces" --out "$out/mattes"
tools/in_venv.sh models/training/requirements.txt -m liveness.draw_visits --faces "$faces" --mattes "$out/mattes" "${behind[@]}" \
    --out "$out" --live "${LIVE:-102}" --attacks "${ATTACKS:-306}" --seed "${SEED:-2026}"
