#!/usr/bin/env bash
# Short films of live visits and attacks, drawn from a folder of faces: `make liveness-visits FACES=folder`; or
# visits that turn the head as the door asks: `make liveness-turns FACES=folder`.
#
# in   visits | turns
#      FACES=FOLDER with PERSON/*.jpg (frontal, plain behind), BACKGROUNDS=FOLDER of photographs without
#      people (optional), LIVE and ATTACKS, how many (102 and 306, of turns 51 and 280), SEED=2026
# out  OUT/live/*.mjpeg, OUT/attack/KIND/*.mjpeg, of turns each with its .json; OUT/visits.csv or
#      OUT/turns.csv (default OUT=assets/visits or assets/turns)
set -euo pipefail
cd "$(dirname "$0")/../../.."

readonly what=${1:?visits or turns} faces=${FACES:?give FACES=folder of PERSON/*.jpg}
readonly out=${OUT:-assets/$what}
export PYTHONPATH=models/training
options=()
[ -n "${BACKGROUNDS:-}" ] && options+=(--backgrounds "$BACKGROUNDS")
[ -n "${LIVE:-}" ] && options+=(--live "$LIVE")
[ -n "${ATTACKS:-}" ] && options+=(--attacks "$ATTACKS")
mkdir -p "$out"

tools/in_venv.sh models/training/liveness/requirements-cut.txt -m liveness.cut --photographs "$faces" --out "$out/mattes"
tools/in_venv.sh models/training/requirements.txt -m "liveness.draw_$what" --faces "$faces" --mattes "$out/mattes" \
    --out "$out" --seed "${SEED:-2026}" "${options[@]}"
