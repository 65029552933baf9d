#!/usr/bin/env bash
# The public weights of MiniFASNet become a TFLite with a card: `make convert-liveness FILE=x.pth`.
#
# in   FILE=2.7_80x80_MiniFASNetV2.pth or 4_0_0_80x80_MiniFASNetV1SE.pth, whose name begins with the crop
#      (CROP= otherwise); ID=name of the model
# out  OUT/ID.tflite and OUT/ID.toml (default OUT=assets/converted), for `deepid-edge models add`.
#      The card has no threshold, because nothing was measured
set -euo pipefail
cd "$(dirname "$0")/../../.."

readonly file=${FILE:?give FILE=2.7_80x80_MiniFASNetV2.pth} out=${OUT:-assets/converted}
name=$(basename "${file%.pth}")
readonly id=${ID:-$(echo "${name##*_}" | tr '[:upper:]' '[:lower:]')}
readonly crop=${CROP:-$(echo "$name" | sed -n 's/^\([0-9]\)[._]\([0-9]\).*/\1.\2/p')}
readonly torch=models/training/requirements.txt tensorflow=models/training/requirements-convert.txt
: "${crop:?give CROP, in longer sides of the box of the face}"
export PYTHONPATH=models/training
mkdir -p "$out"

tools/in_venv.sh $torch -m liveness.export_minifasnet "$file" --out "$out/$id.npz"
tools/in_venv.sh $tensorflow -m liveness.convert --weights "$out/$id.npz" --out "$out/$id.tflite"
rm "$out/$id.npz"
tools/in_venv.sh $torch -m liveness.card --model "$out/$id.tflite" --id "$id" --out "$out/$id.toml" \
    --title "${TITLE:-$name of Silent-Face-Anti-Spoofing, converted}" --licence "${LICENCE:-Apache-2.0}" \
    --source "Converted by models/training/liveness from $(basename "$file"), which Minivision trained (minivision-ai/Silent-Face-Anti-Spoofing)" \
    --limitation "${LIMITATION:-Its makers do not say what it was trained on. They judge by the mean of two networks, of which this is one.}" \
    --crop "$crop" --channels bgr --live 1 --activation softmax --scale 1.0 --offset 0.0
