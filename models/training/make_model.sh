#!/usr/bin/env bash
# From the data list to a carded int8 network, every step once: `make model`.
#
# in   DATA=FOLDER of checkouts (cloned there when absent; default assets/training/data),
#      OUT=FOLDER for what is made on the way (default assets/training), NETWORK=KIND of
#      topology.py (default deepid2), MODEL=ID of the card (default: the kind),
#      TRAIN_OPTIONS='…' for train.py (models/training/README.md); DEEPID_EDGE=FILE: a program with the
#      verb `evaluate` (default: built from this checkout); COHORT_BYTES=N at most for the cohort;
#      ADULTS=N strangers of each group (default 1500)
# out  OUT/KIND/ID.tflite, ID.toml and ID.cohort.safetensors, evaluation.json, curves.png; how long each
#      step took. Crops and teachers lie in OUT/cache, strangers in OUT/adults, and serve all networks
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
# How many strangers of each of seven groups the thresholds are measured on. The package has a limit, and
# the cohort of the network that it carries a part of it.
readonly adults=${ADULTS:-1500}
case $network in deepid2) limit=600000 ;; *) limit=1000000 ;; esac
readonly limit=${COHORT_BYTES:-$limit}
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

program() { # program ARGUMENT…: deepid-edge with the verbs for measuring
    local built=${DEEPID_EDGE:-target/release/deepid-edge}
    [ -n "${DEEPID_EDGE:-}" ] || "${CARGO:-cargo}" build --release --locked --features lab
    "$built" "$@"
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

# From here on for the group that fares worst: the card has the average's thresholds until the last step.
step "$base/adults/labels.csv" $torch adults.py --data "$data" --each $adults --out "$base/adults"
if [ ! -e "$out/vectors/complete" ]; then
    began=$SECONDS
    rm -rf "$out/models"
    mkdir -p "$out/models"
    cp models/blazeface-*.toml assets/models/face_detection_*.tflite "$out/$id.toml" "$out/$id.tflite" "$out/models/"
    program --config /dev/null evaluate vectors "$base/adults" --out "$out/vectors" --model "$id" --models "$out/models" --set live.mode=off
    touch "$out/vectors/complete"
    echo "model: evaluate vectors took $(((SECONDS - began + 30) / 60)) min" | tee -a "$out/times.txt"
fi
step "$out/same.csv" $torch same_person.py --vectors "$out/vectors/$id.mirrored.safetensors" --card "$out/$id.toml" \
    --labels "$base/adults/labels.csv" --images "$base/adults" --data "$data" --known models/training/fairface-same.csv --out "$out/same.csv"
step "$out/$id.cohort.safetensors" $torch balanced.py --vectors "$out/vectors/$id.mirrored.safetensors" \
    --one-crop "$out/vectors/$id.one-crop.safetensors" --labels "$base/adults/labels.csv" --same "$out/same.csv" \
    --card "$out/$id.toml" --date "$date" --write --bytes "$limit" --cohort "$out/$id.cohort.safetensors"
echo "model: $out/$id.tflite, $out/$id.toml and $out/$id.cohort.safetensors; times so far:"
cat "$out/times.txt"
