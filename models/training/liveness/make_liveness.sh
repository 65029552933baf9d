#!/usr/bin/env bash
# From photographs to a carded int8 liveness network, every step once: `make liveness`.
#
# in   DATA=FOLDER of checkouts (cloned there when absent; default assets/training/data),
#      OUT=FOLDER for what is made on the way (default assets/training), SCENES=20000 to draw,
#      TRAIN_OPTIONS='--minutes 40' for train.py
# out  OUT/liveness/liveness.tflite and liveness.toml, calibration.json, run.json
#
# Resumable: a step that is done is not done again; to repeat one, delete what it made. Nothing is
# copied to models/: a person decides that.
set -euo pipefail
cd "$(dirname "$0")/../../.."

readonly base=${OUT:-assets/training} id=liveness date=${DATE:-$(date +%Y-%m)}
readonly out=$base/liveness data=${DATA:-$base/data}
readonly torch=models/training/requirements.txt tensorflow=models/training/requirements-convert.txt cut=models/training/liveness/requirements-cut.txt
export PYTHONPATH=models/training OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}
mkdir -p "$data" "$out"

step() { # step MADE REQUIREMENTS MODULE [ARGUMENT…]: unless MADE is there already
    local made=$1 began=$SECONDS
    [ -e "$made" ] && return
    echo "liveness: ${3#liveness.} …"
    tools/in_venv.sh "$2" -m "$3" "${@:4}"
    [ -e "$made" ] || { echo "liveness: $3 ended without $made" >&2; exit 1; }
    echo "liveness: ${3#liveness.} took $(((SECONDS - began + 30) / 60)) min" | tee -a "$out/times.txt"
}

drawn() { # drawn PART SCENES: all shards of a part, by two processes
    local done=$out/$1.complete
    [ -e "$done" ] && return
    tools/in_venv.sh $torch -m liveness.prepare --data "$data" --cache "$out" --part "$1" --scenes "$2" --first 0 --step 2 &
    tools/in_venv.sh $torch -m liveness.prepare --data "$data" --cache "$out" --part "$1" --scenes "$2" --first 1 --step 2
    wait $!
    touch "$done"
}

step "$out/subjects.json" $torch liveness.subjects --data "$data" --out "$out/subjects.json"
step "$out/mattes/complete" $cut liveness.cut --photographs "$data/faceRecognition/Celeb" --out "$out/mattes"
drawn train "${SCENES:-20000}"
drawn validation 1000
drawn calibration 1500
# shellcheck disable=SC2086 # options are words
step "$out/run.json" $torch liveness.train --data "$data" --cache "$out" --out "$out" ${TRAIN_OPTIONS:-}
step "$out/plain.npz" $torch liveness.export --weights "$out/trained.pt" --data "$data" --cache "$out" --out "$out"
step "$out/$id.tflite" $tensorflow liveness.convert --weights "$out/plain.npz" --representative "$out/representative.npz" --out "$out/$id.tflite"
step "$out/calibration.json" $torch liveness.calibrate --model "$out/$id.tflite" --cache "$out" --out "$out/calibration.json"
step "$out/$id.toml" $torch liveness.card --model "$out/$id.tflite" --calibration "$out/calibration.json" --run "$out/run.json" \
    --date "$date" --id "$id" --out "$out/$id.toml"
echo "liveness: $out/$id.tflite and $out/$id.toml; times so far:"
cat "$out/times.txt"
