#!/usr/bin/env bash
# Anyone's DeepID2 in Keras becomes an int8 TFLite with a card: `make convert-keras FILE=x.h5 FACES=folder`.
#
# in   FILE=deepid_keras_weights.h5 (layers Conv1 … Conv4, fc11, fc12), FACES=FOLDER of some hundred
#      photographs of faces, by which the int8 ranges are chosen; ID=name of the model,
#      CHANNELS=bgr|rgb and NORMALISATION=unit|signed of its training (deepface: bgr, unit)
# out  OUT/ID.tflite and OUT/ID.toml (default OUT=assets/converted). The card has no calibration:
#      the daemon then asks for recognise.threshold, because nobody measured what a score is worth
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly file=${FILE:?give FILE=deepid_keras_weights.h5} faces=${FACES:?give FACES=folder of photographs of faces}
readonly out=${OUT:-assets/converted} id=${ID:-deepid2-keras}
readonly channels=${CHANNELS:-bgr} normalisation=${NORMALISATION:-unit}
readonly torch=models/training/requirements.txt tensorflow=models/training/requirements-convert.txt
mkdir -p "$out/cache"
rm -f "$out"/cache/faces.*

tools/in_venv.sh $torch models/training/prepare.py --folder "$faces" --name faces --data "$out" --cache "$out/cache" --teachers
tools/in_venv.sh $torch models/training/export.py --faces "$out/cache/faces.wide.npy" --out "$out"
tools/in_venv.sh $tensorflow models/training/convert.py --keras "$file" --channels "$channels" \
    --normalisation "$normalisation" --representative "$out/representative.npz" --out "$out/$id.tflite"
tools/in_venv.sh $torch models/training/card.py --model "$out/$id.tflite" --converted-from "$(basename "$file")" \
    --normalisation "$normalisation" --id "$id" --out "$out/$id.toml"
