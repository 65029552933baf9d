#!/usr/bin/env bash
# From photographs to a carded int8 liveness network, every step once: `make liveness`.
#
# in   DATA=FOLDER of checkouts (cloned there when absent; default assets/training/data),
#      OUT=FOLDER for what is made on the way (default assets/training), SCENES=20000 to draw
#      (VALIDATION=1000 and CALIBRATION=1500) from PHOTOGRAPHS=number of photographs (default all),
#      TRAIN_OPTIONS='--minutes 40' for train.py, VIEWS='around close' for both networks of network.py
#      (default around), CLOSE_OPTIONS for train.py of the second
# out  OUT/liveness/VIEW/: liveness.tflite (around) or liveness-close.tflite (close), its card,
#      calibration.json, run.json; of both views OUT/liveness/around/liveness-pair.toml, the card by
#      which they judge together
#
# Resumable: a step that is done is not done again; to repeat one, delete what it made. Nothing is
# copied to models/: a person decides that.
set -euo pipefail
cd "$(dirname "$0")/../../.."

readonly base=${OUT:-assets/training} date=${DATE:-$(date +%Y-%m)}
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

step "$out/subjects.json" $torch liveness.subjects --data "$data" --out "$out/subjects.json" ${PHOTOGRAPHS:+--most "$PHOTOGRAPHS"}
step "$out/mattes/complete" $cut liveness.cut --photographs "$data/faceRecognition/Celeb" --listing "$out/subjects.json" --out "$out/mattes"
drawn train "${SCENES:-20000}"
drawn validation "${VALIDATION:-1000}"
drawn calibration "${CALIBRATION:-1500}"
for view in ${VIEWS:-around}; do
    made=$out/$view id=liveness
    [ "$view" = close ] && id=liveness-close
    mkdir -p "$made"
    train=${TRAIN_OPTIONS:-}
    [ "$view" = close ] && train=${CLOSE_OPTIONS:---upper conv_4 --minutes 6 --near 1e-2 --teachers 2}
    # shellcheck disable=SC2086 # options are words
    step "$made/run.json" $torch liveness.train --view "$view" --data "$data" --cache "$out" --out "$made" $train
    step "$made/plain.npz" $torch liveness.export --view "$view" --weights "$made/trained.pt" --data "$data" --cache "$out" --out "$made"
    step "$made/$id.tflite" $tensorflow liveness.convert --weights "$made/plain.npz" --representative "$made/representative.npz" --out "$made/$id.tflite"
    step "$made/calibration.json" $torch liveness.calibrate --view "$view" --model "$made/$id.tflite" --cache "$out" --out "$made/calibration.json"
    step "$made/$id.toml" $torch liveness.card --view "$view" --model "$made/$id.tflite" --calibration "$made/calibration.json" --run "$made/run.json" \
        --date "$date" --id "$id" --out "$made/$id.toml"
    echo "liveness: $made/$id.tflite and $made/$id.toml"
done
close=$out/close/liveness-close.tflite around=$out/around
if [ -e "$close" ] && [ -e "$around/liveness.tflite" ]; then
    step "$around/pair.json" $torch liveness.calibrate --model "$around/liveness.tflite" --closer "$close" --cache "$out" --out "$around/pair.json"
    step "$around/liveness-pair.toml" $torch liveness.card --model "$around/liveness.tflite" --calibration "$around/pair.json" --run "$around/run.json" \
        --date "$date" --id liveness-pair --closer liveness-close --out "$around/liveness-pair.toml"
fi
echo "liveness: times so far:"
cat "$out/times.txt"
