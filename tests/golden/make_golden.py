#!/usr/bin/env python3
"""Makes the golden files that `detect` and `embed` are tested against. Run it by `make golden`.

in   assets/photographs, assets/models, models/MODEL.tflite of each embedder that is ours
out  blazeface.json: faces of each photograph by both detectors, in its pixels
     face-mesh.json: finer keypoints of the first face that the short range finds in each
     crops/NAME.png (47×55 RGB, of the astronaut and of nobody) and MODEL.json: the raw int8
     output of DeepID2 for each crop

Both come from ai-edge-litert's Python interpreter with one thread, on x86-64. BlazeFace and
Face Mesh results are for comparison within 0.5 px; the outputs of DeepID2 are bit-exact, on aarch64 too.
Deliberately absent: photographs themselves, which `make assets` fetches; sha256 values name them.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from alignment import HEIGHT, TEMPLATE, crop, similarity
from blazeface import HEADS, KEYPOINTS, Detector
from landmarks import POINTS, Landmarker
from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PHOTOGRAPHS = ("astronaut.png", "biden.jpg", "obama.jpg", "obama2.jpg", "obama3.jpg")
# The one photograph whose crops may lie in the repository (tests/data/README.md).
CROPPED = "astronaut.png"
EMBEDDERS = ("deepid2", "deepid2-ensemble", "deepid2-plus")


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def crops_of(picture: np.ndarray, keypoints: np.ndarray) -> dict[str, np.ndarray]:
    """Crops that reach different parts of the network's range: one face five ways, and noise."""
    plain = crop(picture, keypoints)
    centre = keypoints[: len(TEMPLATE)].mean(0)
    cos, sin = np.cos(np.radians(20)), np.sin(np.radians(20))
    turned = (keypoints - centre) @ np.array([[cos, sin], [-sin, cos]]) + centre
    return {
        "plain": plain,
        "mirrored": plain[:, ::-1].copy(),
        "dark": (plain * 0.3).astype(np.uint8),
        "bright": np.clip(plain * 1.8 + 20, 0, 255).astype(np.uint8),
        "turned": crop(picture, turned),
        "noise": np.random.default_rng(7).integers(0, 256, plain.shape, dtype=np.uint8),
    }


def faces_of(photographs: dict[str, np.ndarray]) -> dict:
    models = {}
    for name in HEADS:
        path = ROOT / "assets/models" / f"{name}.tflite"
        detector = Detector(str(path), name)
        found = {file: [rounded(face) for face in detector.detect(p)] for file, p in photographs.items()}
        models[name] = {"sha256": sha256_of(path), "faces": found}
    return models


def finer_keypoints(photographs: dict[str, np.ndarray], found: dict[str, list[dict]]) -> dict:
    mesh = Landmarker(ROOT / "models/face-mesh.toml", ROOT / "assets/models")
    faces = {}
    for file, picture in photographs.items():
        keypoints = np.array(found[file][0]["keypoints"])
        points, presence = mesh.keypoints(crop(picture, keypoints, mesh.template, (mesh.side, mesh.side)))
        matrix, offset = similarity(mesh.template, keypoints[: len(mesh.template)])
        faces[file] = {"keypoints": np.round(points @ matrix.T + offset, 3).tolist(), "presence": round(presence, 5)}
    return faces


def rounded(face: dict) -> dict:
    return {
        "score": round(face["score"], 5),
        "box": np.round(face["box"], 3).tolist(),
        "keypoints": np.round(face["keypoints"], 3).tolist(),
    }


def features_of(model: str, crops: dict[str, np.ndarray]) -> dict[str, list[int]]:
    interpreter = Interpreter(model_path=str(ROOT / "models" / f"{model}.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    given, wanted = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    # A network with a larger input gets each pixel several times: the crops stay small files.
    times = interpreter.get_input_details()[0]["shape"][1] // HEIGHT
    features = {}
    for name, crop_pixels in crops.items():
        pixels = crop_pixels.repeat(times, 0).repeat(times, 1)
        interpreter.set_tensor(given, (pixels.astype(np.int16) - 128).astype(np.int8)[None])
        interpreter.invoke()
        features[name] = interpreter.get_tensor(wanted)[0].tolist()
    return features


def write(path: Path, document: dict) -> None:
    text = json.dumps(document, indent=1)
    # Number lists on one line each: a golden file is read by people, too.
    path.write_text(flat_lists(text) + "\n", encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT)}")


def flat_lists(text: str) -> str:
    return re.sub(r"\[\s+((?:-?[\d.e]+,?\s+)+)\]", lambda m: "[" + " ".join(m[1].split()) + "]", text)


def main() -> int:
    photographs = {file: read(ROOT / "assets/photographs" / file) for file in PHOTOGRAPHS}
    made_with = {package: version(package) for package in ("ai-edge-litert", "numpy", "pillow")}
    sources = {
        file: {
            "sha256": sha256_of(ROOT / "assets/photographs" / file),
            "width": pixels.shape[1],
            "height": pixels.shape[0],
        }
        for file, pixels in photographs.items()
    }
    models = faces_of(photographs)
    write(
        HERE / "blazeface.json",
        {
            "made_by": "tests/golden/make_golden.py",
            "made_with": made_with,
            "units": "box is left, top, right, bottom; points are x, y; pixels of the photograph, "
            "0 at the outer edge of the first pixel; best score first",
            "keypoints": list(KEYPOINTS),
            "photographs": sources,
            "models": models,
        },
    )
    write(
        HERE / "face-mesh.json",
        {
            "made_by": "tests/golden/make_golden.py",
            "made_with": made_with,
            "units": "x, y in pixels of the photograph, 0 at the outer edge of the first pixel; presence 0 to 1",
            "keypoints": list(POINTS),
            "sha256": sha256_of(ROOT / "assets/models/face_landmark.tflite"),
            "faces": finer_keypoints(photographs, models["face_detection_short_range"]["faces"]),
        },
    )
    face = models["face_detection_short_range"]["faces"][CROPPED][0]
    crops = crops_of(photographs[CROPPED], np.array(face["keypoints"]))
    (HERE / "crops").mkdir(exist_ok=True)
    for name, pixels in crops.items():
        Image.fromarray(pixels).save(HERE / "crops" / f"{name}.png", optimize=True)
    for model in EMBEDDERS:
        write(
            HERE / f"{model}.json",
            {
                "made_by": "tests/golden/make_golden.py",
                "made_with": made_with,
                "model": model,
                "sha256": sha256_of(ROOT / "models" / f"{model}.tflite"),
                "input": "int8 = pixel - 128: (pixel/127.5 - 1)/scale + zero_point is pixel - 128.5 for these "
                "models, a tie for every pixel, and ties go up; a larger input gets each pixel several times",
                "photograph": CROPPED,
                "keypoints": face["keypoints"][: len(TEMPLATE)],
                "output_int8": features_of(model, crops),
            },
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
