#!/usr/bin/env bash
# From the data list to a carded int8 network, every step once: `make model`.
#
# in   DATA=FOLDER of checkouts (cloned there when absent; default assets/training/data),
#      OUT=FOLDER for what is made on the way (default assets/training), NETWORK=KIND of
#      topology.py (default deepid2), MODEL=ID of the card (default: the kind),
#      TRAIN_OPTIONS='…' for train.py (models/training/README.md)
# out  OUT/KIND/ID.tflite and ID.toml, evaluation.json, curves.png; how long each step took. Crops and
#      teachers lie in OUT/cache and serve all networks
#
# Resumable: a step that is done is not done again; training goes on from its last checkpoint. To
# repeat a step, delete what it made. Nothing is copied to models/: a person decides that.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly network=${NETWORK:-deepid2}
readonly id=${MODEL:-$network} base=${OUT:-assets/training}
readonly out=$base/$network data=${DATA:-$base/data} cache=$base/cache date=${DATE:-$(date +%Y-%m)}
readonly sets=(celeba-samples celeba-test-part utkface all-age-faces vggface2-subset league-portraits nba-portraits)
readonly torch=models/training/requirements.txt tensorflow=models/training/requirements-convert.txt
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}
mkdir -p "$data" "$cache" "$out"

step() { # step MADE REQUIREMENTS SCRIPT [ARGUMENT…]: unless MADE is there already
    local made=$1 began=$SECONDS
    [ -e "$made" ] && return
    echo "model: $(basename "$3") …"
    tools/in_venv.sh "$2" "models/training/$3" "${@:4}"
    [ -e "$made" ] || { echo "model: $3 ended without $made" >&2; exit 1; }
    echo "model: $3 took $(((SECONDS - began + 30) / 60)) min" | tee -a "$out/times.txt"
}

for set in lfw "${sets[@]}"; do
    step "$cache/$set.mobilefacenet.npy" $torch prepare.py --data "$data" --cache "$cache" --sets "$set"
done
step "$cache/people.json" $torch people.py --cache "$cache" --sets "${sets[@]}"
step "$cache/blends.npz" $torch blend.py --data "$data" --cache "$cache"
# A step of training makes the same large tensors again and again: glibc must keep their memory
# rather than return it and have the system clear it anew, which takes nearly half of the time.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=$((1 << 40)) MALLOC_TOP_PAD_=$((1 << 30))
# shellcheck disable=SC2086 # options are words
step "$out/run.json" $torch train.py --cache "$cache" --out "$out" --network "$network" ${TRAIN_OPTIONS:-}
unset MALLOC_MMAP_MAX_ MALLOC_TRIM_THRESHOLD_ MALLOC_TOP_PAD_
step "$out/weights.npz" $torch export.py --network "$network" --weights "$out/averaged.pt" \
    --projection "$out/checkpoint.pt" --cache "$cache" --out "$out"
step "$out/$id.tflite" $tensorflow convert.py --weights "$out/weights.npz" \
    --representative "$out/representative.npz" --out "$out/$id.tflite" --float "$out/$id-float.tflite"
step "$out/choice.json" $torch evaluate.py --model "$out/$id.tflite" --float "$out/$id-float.tflite" \
    --cache "$cache" --data "$data" --view1 --out "$out/choice.json"
step "$out/evaluation.json" $torch evaluate.py --model "$out/$id.tflite" --float "$out/$id-float.tflite" \
    --cache "$cache" --data "$data" --view2 --calibration --out "$out/evaluation.json"
step "$out/$id.toml" $torch card.py --model "$out/$id.tflite" --evaluation "$out/evaluation.json" \
    --run "$out/run.json" --people "$cache/people.json" --id "$id" --date "$date" --out "$out/$id.toml"
echo "model: $out/$id.tflite and $out/$id.toml; times so far:"
cat "$out/times.txt"
