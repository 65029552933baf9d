#!/usr/bin/env bash
# From photographs to a carded int8 network that judges covered faces, every step once: `make covered`.
#
# in   DATA=FOLDER of checkouts (cloned there when absent; default assets/training/data),
#      OUT=FOLDER for what is made on the way (default assets/training), PHOTOGRAPHS=number of photographs
#      (default all), ROUNDS=2 how often each is drawn on, TRAIN_OPTIONS='--pictures 240000' for train.py
# out  OUT/covered/covered.tflite, its card, calibration.json, run.json, report.json (FairFace's val)
#
# Resumable: a step that is done is not done again; to repeat one, delete what it made. Nothing is
# copied to models/: a person decides that.
set -euo pipefail
cd "$(dirname "$0")/../../.."

readonly base=${OUT:-assets/training} date=${DATE:-$(date +%Y-%m)}
readonly out=$base/covered data=${DATA:-$base/data}
readonly torch=models/training/requirements.txt tensorflow=models/training/requirements-convert.txt
export PYTHONPATH=models/training OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}
mkdir -p "$data" "$out"

step() { # step MADE REQUIREMENTS MODULE [ARGUMENT…]: unless MADE is there already
    local made=$1 began=$SECONDS
    [ -e "$made" ] && return
    echo "covered: ${3#covered.} …"
    tools/in_venv.sh "$2" -m "$3" "${@:4}"
    [ -e "$made" ] || { echo "covered: $3 ended without $made" >&2; exit 1; }
    echo "covered: ${3#covered.} took $(((SECONDS - began + 30) / 60)) min" | tee -a "$out/times.txt"
}

drawn() { # drawn PART SUBJECTS ROUNDS: all shards of a part, by two processes
    local done=$out/$1.complete options=(--data "$data" --subjects "$2" --part "$1" --out "$out/$1" --rounds "$3" --step 2)
    [ -e "$done" ] && return
    tools/in_venv.sh $torch -m covered.prepare "${options[@]}" --first 0 &
    tools/in_venv.sh $torch -m covered.prepare "${options[@]}" --first 1
    wait $!
    touch "$done"
}

step "$out/subjects.npz" $torch covered.subjects --data "$data" --out "$out/subjects.npz" ${PHOTOGRAPHS:+--most "$PHOTOGRAPHS"}
step "$out/report.npz" $torch covered.subjects --data "$data" --part val --out "$out/report.npz" ${PHOTOGRAPHS:+--most "$PHOTOGRAPHS"}
drawn train "$out/subjects.npz" "${ROUNDS:-2}"
drawn validation "$out/subjects.npz" 1
drawn calibration "$out/subjects.npz" 1
drawn report "$out/report.npz" 1
# shellcheck disable=SC2086 # options are words
step "$out/run.json" $torch covered.train --cache "$out" --subjects "$out/subjects.npz" --out "$out" ${TRAIN_OPTIONS:-}
step "$out/plain.npz" $torch covered.export --weights "$out/trained.pt" --cache "$out" --out "$out"
step "$out/covered.tflite" $tensorflow covered.convert --weights "$out/plain.npz" --representative "$out/representative.npz" --out "$out/covered.tflite"
step "$out/calibration.json" $torch covered.calibrate --model "$out/covered.tflite" --cache "$out" --subjects "$out/subjects.npz" --out "$out/calibration.json"
step "$out/report.json" $torch covered.calibrate --model "$out/covered.tflite" --cache "$out" --subjects "$out/report.npz" --part report --out "$out/report.json"
step "$out/covered.toml" $torch covered.card --model "$out/covered.tflite" --calibration "$out/calibration.json" --run "$out/run.json" --date "$date" --out "$out/covered.toml"
echo "covered: $out/covered.tflite and $out/covered.toml; times so far:"
cat "$out/times.txt"
