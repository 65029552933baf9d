#!/usr/bin/env bash
# Anyone's face embedder in ONNX becomes a TFLite with a card: `make convert-onnx FILE=x.onnx`.
#
# in   FILE=embedder.onnx (112 × 112, aligned as ArcFace does), ID=name of the model,
#      MEAN='R G B' and DEVIATION='R G B' of its training, TITLE, LICENCE, LIMITATION for the card;
#      CACHE=FOLDER and DATA=FOLDER of `make model`, where there are: the card then gets thresholds
#      KEYPOINTS_BY=face-mesh (the default; empty for the detector's): whose keypoints align its crops
# out  OUT/ID.tflite and OUT/ID.toml (default OUT=assets/converted), for `deepid-edge models add`;
#      beside them the landmark network with its card, which is to be added first.
#      Without CACHE the card has no calibration, and the daemon asks for recognise.threshold
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly file=${FILE:?give FILE=embedder.onnx}
readonly out=${OUT:-assets/converted} id=${ID:-$(basename "${FILE%.onnx}" | tr '[:upper:]' '[:lower:]')} date=${DATE:-$(date +%Y-%m)}
readonly keypoints_by=${KEYPOINTS_BY-face-mesh}
readonly torch=models/training/requirements.txt tensorflow=models/training/requirements-convert.txt
mkdir -p "$out"

# shellcheck disable=SC2086 # three numbers
tools/in_venv.sh $tensorflow models/training/convert_onnx.py --onnx "$file" --out "$out/$id.tflite" \
    --mean ${MEAN:-0.5 0.5 0.5} --deviation ${DEVIATION:-0.5 0.5 0.5}
measured=() placed=()
if [ -n "$keypoints_by" ]; then
    card=models/$keypoints_by.toml
    cp "$card" "assets/models/$(sed -n 's/^file = "\(.*\)"/\1/p' "$card")" "$out/"
    placed=(--keypoints-by "$keypoints_by")
fi
if [ -n "${CACHE:-}" ]; then
    tools/in_venv.sh $torch models/training/evaluate.py --model "$out/$id.tflite" --normalisation unit "${placed[@]}" \
        --cache "$CACHE" --data "${DATA:?give DATA, the checkouts of make model}" --calibration --out "$out/$id.json"
    measured=(--evaluation "$out/$id.json" --date "$date")
fi
tools/in_venv.sh $torch models/training/card.py --model "$out/$id.tflite" --converted-from "$(basename "$file")" \
    --normalisation unit --id "$id" --out "$out/$id.toml" "${measured[@]}" "${placed[@]}" \
    --title "${TITLE:-face embedder, converted from ONNX}" --licence "${LICENCE:-unknown: that of the file it was converted from}" \
    --limitation "${LIMITATION:-What it was trained on is not known here.}"
