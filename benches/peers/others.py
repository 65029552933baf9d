#!/usr/bin/env python3
"""What people would take instead: detectors and face recognition from packages, frame by frame.

in   the name of a peer. Frames are those of opencv_python.py: 640×480 with one face
out  a line with the versions and the peer's memory, or one that begins with "skipped:" and says why;
     then, for each line of the input, the milliseconds of a frame, so that another program can take
     turns with this one (benches/peers.rs). With --rate DIR: how often it finds the face in the
     photographs and clips of that folder (`docs/performance.md`), as JSON

Everything on one thread. A recogniser's frame is: find, then describe one face, which face_recognition
aligns by five points and the others cut out at a fixed place, as long as one was found. Weights come
with the packages; those of files.toml are fetched, checked, and kept under assets/peers. Where weights
can be had from nowhere, random ones are used, because the time does not depend on them: such a peer
recognises nobody.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

# Before anything that reads them.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[variable] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from portrait import portrait_frames  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# The daemon's least width of a face, in pixels.
LEAST = 48
STILL_SCALES, CLIP_SCALES, EACH_FRAME = (0.25, 0.125), (1.0, 0.5), 5

# A frame in BGR in, the width of the largest face in pixels out, or none.
Frame = Callable[[np.ndarray], float | None]


class Absent(Exception):
    """Something that the peer needs is not there."""


def fetched(name: str) -> Path:
    """A file of files.toml, checked."""
    facts = tomllib.loads((HERE / "files.toml").read_text())[name]
    place = ROOT / "assets/peers" / Path(facts["path"]).name
    if not place.exists():
        address = f"https://raw.githubusercontent.com/{facts['repository']}/{facts['commit']}/{facts['path']}"
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                read = answer.read()
        except OSError as error:
            raise Absent(f"{address}: {error}; put the file at {place}") from error
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(read)
    if hashlib.sha256(place.read_bytes()).hexdigest() != facts["sha256"]:
        raise Absent(f"{place} is another file than files.toml names: remove it")
    return place


def scaled(picture: np.ndarray, scale: float) -> np.ndarray:
    return picture if scale == 1.0 else cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def widest(widths: list[float]) -> float | None:
    return max(widths, default=None)


def haar() -> Frame:
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    def frame(bgr: np.ndarray) -> float | None:
        grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        return widest([float(width) for _, _, width, _ in cascade.detectMultiScale(grey, 1.1, 5, minSize=(LEAST, LEAST))])

    return frame


def dlib_hog() -> Frame:
    import dlib

    detector = dlib.get_frontal_face_detector()

    def frame(bgr: np.ndarray) -> float | None:
        # Once doubled, as face_recognition does: without, faces below 80 pixels are not seen.
        return widest([float(box.width()) for box in detector(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), 1)])

    return frame


def dlib_mmod() -> Frame:
    import dlib
    import face_recognition_models as models

    detector = dlib.cnn_face_detection_model_v1(models.cnn_face_detector_model_location())

    def frame(bgr: np.ndarray) -> float | None:
        return widest([float(found.rect.width()) for found in detector(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), 0)])

    return frame


def face_recognition() -> Frame:
    import dlib
    import face_recognition_models as models

    detector = dlib.get_frontal_face_detector()
    place = dlib.shape_predictor(models.pose_predictor_five_point_model_location())
    network = dlib.face_recognition_model_v1(models.face_recognition_model_location())

    def frame(bgr: np.ndarray) -> float | None:
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        boxes = detector(rgb, 1)
        if not boxes:
            return None
        largest = max(boxes, key=lambda box: box.width())
        network.compute_face_descriptor(rgb, place(rgb, largest), 1)
        return float(largest.width())

    return frame


def yunet(side: int = 640) -> Frame:
    # Wants its own size and no other; the dynamic file is not read by this OpenCV.
    file = fetched("yunet" if side == 640 else "yunet-320")
    network = cv2.FaceDetectorYN.create(str(file), "", (side, side), 0.7)
    square = np.zeros((side, side, 3), np.uint8)

    def frame(bgr: np.ndarray) -> float | None:
        scale = side / max(bgr.shape[:2])
        small = scaled(bgr, scale)
        square[:] = 0
        square[: small.shape[0], : small.shape[1]] = small[:side, :side]
        _, faces = network.detect(square)
        return None if faces is None else widest([float(face[2]) / scale for face in faces])

    return frame


def yunet_mobilefacenet() -> Frame:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    network = onnxruntime.InferenceSession(str(fetched("mobilefacenet")), options, providers=["CPUExecutionProvider"])
    given = network.get_inputs()[0].name
    find = yunet(320)

    def frame(bgr: np.ndarray) -> float | None:
        width = find(bgr)
        if width is not None:
            crop = cv2.resize(bgr[100:320, 200:420], (112, 112)).astype(np.float32) / 255.0
            network.run(None, {given: crop.transpose(2, 0, 1)[None]})
        return width

    return frame


def ssd() -> Frame:
    network = cv2.dnn.readNetFromTensorflow(str(fetched("ssd")), str(fetched("ssd-graph")))

    def frame(bgr: np.ndarray) -> float | None:
        network.setInput(cv2.dnn.blobFromImage(bgr, 1.0, (300, 300), (104.0, 177.0, 123.0)))
        found = network.forward()[0, 0]
        return widest([float((box[5] - box[3]) * bgr.shape[1]) for box in found if box[2] > 0.5])

    return frame


def ssd_deepid() -> Frame:
    """The detector and the network that deepface runs as "ssd" and "DeepID", without its other code.

    Its weights for DeepID are in no package: random ones take as long.
    """
    from tensorflow import constant
    from tensorflow.keras import Model, layers

    given = layers.Input(shape=(55, 47, 3))
    maps = given
    for channels, side in ((20, 4), (40, 3), (60, 3)):
        maps = layers.MaxPooling2D(2)(layers.Conv2D(channels, side, activation="relu")(maps))
    last = layers.Conv2D(80, 2, activation="relu")(maps)
    parts = [layers.Dense(160)(layers.Flatten()(part)) for part in (maps, last)]
    network = Model(given, layers.Activation("relu")(layers.Add()(parts)))
    find = ssd()

    def frame(bgr: np.ndarray) -> float | None:
        width = find(bgr)
        if width is not None:
            crop = cv2.resize(bgr[100:320, 200:420], (47, 55)).astype(np.float32) / 255.0
            network(constant(crop[None]), training=False).numpy()
        return width

    return frame


def mtcnn() -> Frame:
    import tensorflow  # noqa: F401 its threads are set by the environment
    from mtcnn import MTCNN
    from mtcnn.stages import stage_pnet

    def scales(width: int, height: int, min_face_size: int, scale_factor: float, min_size: int = 12) -> np.ndarray:
        """The package's own goes on to pictures smaller than its first network takes, which Keras refuses
        since version 3.15; wider faces than 20 pixels, its default, lead it there."""
        largest = min_size / min_face_size
        steps = np.log(largest * min(width, height) / min_size) / -np.log(scale_factor)
        return largest * scale_factor ** np.arange(max(0, int(steps) + 1))

    stage_pnet.build_scale_pyramid = scales
    detector = MTCNN(device="CPU:0")

    def frame(bgr: np.ndarray) -> float | None:
        if min(bgr.shape[:2]) < LEAST:
            return None
        found = detector.detect_faces(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), min_face_size=LEAST)
        return widest([float(face["box"][2]) for face in found or []])

    return frame


PEERS: dict[str, tuple[Callable[[], Frame], tuple[str, ...]]] = {
    "haar": (haar, ("opencv-python-headless",)),
    "dlib-hog": (dlib_hog, ("dlib-bin",)),
    "dlib-mmod": (dlib_mmod, ("dlib-bin", "face_recognition_models")),
    "face_recognition": (face_recognition, ("dlib-bin", "face_recognition_models")),
    "yunet": (yunet, ("opencv-python-headless",)),
    "yunet-320": (lambda: yunet(320), ("opencv-python-headless",)),
    "yunet-320+mobilefacenet": (yunet_mobilefacenet, ("opencv-python-headless", "onnxruntime")),
    "ssd": (ssd, ("opencv-python-headless",)),
    "ssd+deepid": (ssd_deepid, ("opencv-python-headless", "tensorflow-cpu")),
    "mtcnn": (mtcnn, ("mtcnn", "tensorflow-cpu")),
}


def resident_mb() -> float:
    """Memory of this process, Python and all that it has loaded."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def take_turns(frame: Frame, packages: tuple[str, ...]) -> None:
    """Does a frame whenever it is asked to, until the input ends."""
    pictures = portrait_frames()
    for picture in pictures[:2]:
        frame(picture)
    print(f"{', '.join(f'{name} {version(name)}' for name in packages)}; {resident_mb():.0f} MB", flush=True)
    for number, _ in enumerate(sys.stdin):
        began = time.perf_counter()
        frame(pictures[number % len(pictures)])
        print(f"{(time.perf_counter() - began) * 1e3:.6f}", flush=True)


def rates(frame: Frame, folder: Path) -> dict[str, list[int]]:
    """Found, of pictures, by part and scale: every picture shows somebody."""
    counted: dict[str, list[int]] = {}

    def count(part: str, scale: float, picture: np.ndarray) -> None:
        tally = counted.setdefault(f"{part} × {scale}", [0, 0])
        tally[0] += frame(scaled(picture, scale)) is not None
        tally[1] += 1

    stills = {"london": sorted(folder.glob("london/*/*.jpg")), "portraits": sorted(folder.glob("portraits/*.jpg"))}
    for part, paths in stills.items():
        for path in paths:
            picture = cv2.imread(str(path))
            for scale in STILL_SCALES:
                count(part, scale, picture)
    for path in sorted(folder.glob("visits/*.mkv")):
        video, number = cv2.VideoCapture(str(path)), 0
        while (read := video.read())[0]:
            if number % EACH_FRAME == 0:
                for scale in CLIP_SCALES:
                    count("visits", scale, read[1])
            number += 1
    return counted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--rate", type=Path, metavar="DIR", help="find the faces of this folder instead")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    make, packages = PEERS[options.peer]
    try:
        frame = make()
        if options.rate:
            print(json.dumps({"peer": options.peer, "found": rates(frame, options.rate)}))
        else:
            take_turns(frame, packages)
    except Absent as why:
        print(f"skipped: {why}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
