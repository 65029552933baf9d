#!/usr/bin/env python3
"""The same work as one frame of the daemon, as it is usually written: OpenCV, NumPy, TFLite's Python.

in   frames of 640×480 with one face: a recording (MJPEG, Y4M, any video) or folder by --frames, else
     the astronaut's portrait on grey, moving a little from frame to frame
out  JSON: milliseconds a stage and a frame (p50, p95), for YUYV and MJPG input, and their ratio to
     the two bare model invocations of the same run. With --in-turns: after a first line, for each
     line of the input one with the milliseconds of a frame and of its two networks, so that another
     program can take turns with this one (benches/peers.rs)

Everything on one thread, both networks the same files as the daemon's. Stages: input to RGB,
letterbox, BlazeFace full range, decode and suppress, align, DeepID2, cosine against the gallery.
Deliberately absent: following on a crop, quality, decisions: the daemon does more in its time.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/golden"))
from alignment import HEIGHT, TEMPLATE, WIDTH, similarity  # noqa: E402
from blazeface import Detector, Letterbox, in_picture, suppress  # noqa: E402
from portrait import SIZE, portrait_frames  # noqa: E402

FINDER = "face_detection_full_range_sparse"
WARM_UP_FRAMES = 20
PACKAGES = ("opencv-python-headless", "ai-edge-litert", "numpy")


def frames_from(path: Path | None, count: int) -> list[np.ndarray]:
    """BGR pictures of SIZE."""
    if path is None:
        return portrait_frames(count)
    if path.is_dir():
        pictures = [cv2.imread(str(file)) for file in sorted(path.iterdir())]
    else:
        video = cv2.VideoCapture(str(path))
        pictures = []
        while len(pictures) < count and (read := video.read())[0]:
            pictures.append(read[1])
    pictures = [cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA) for picture in pictures if picture is not None]
    if not pictures:
        raise SystemExit(f"{path}: holds no picture that OpenCV can read")
    return pictures[:count]


def yuyv(bgr: np.ndarray) -> np.ndarray:
    """Packed 4:2:2 with BT.601 video range, as a USB camera sends it: height × width × 2."""
    luma, cr, cb = cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb).astype(np.float32))
    packed = np.empty((*bgr.shape[:2], 2), np.float32)
    packed[..., 0] = 16 + luma * 219 / 255
    for at, chroma in ((0, cb), (1, cr)):
        mean = (chroma[:, 0::2] + chroma[:, 1::2]) / 2
        packed[:, at::2, 1] = 128 + (mean - 128) * 224 / 255
    return np.clip(np.round(packed), 0, 255).astype(np.uint8)


class Peer:
    """The whole path; each stage's time is kept."""

    def __init__(self, references: int) -> None:
        self.detector = Detector(str(ROOT / "assets/models" / f"{FINDER}.tflite"), FINDER)
        self.embedder = Interpreter(model_path=str(ROOT / "models/deepid2.tflite"), num_threads=1)
        self.embedder.allocate_tensors()
        self.given = self.embedder.get_input_details()[0]["index"]
        wanted = self.embedder.get_output_details()[0]
        self.wanted, (self.scale, self.zero) = wanted["index"], wanted["quantization"]
        gallery = np.random.default_rng(1).normal(size=(references, 160)).astype(np.float32)
        self.gallery = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
        self.times: dict[str, list[float]] = {}

    def stage(self, name: str, began: float) -> float:
        now = time.perf_counter()
        self.times.setdefault(name, []).append((now - began) * 1e3)
        return now

    def letterbox(self, rgb: np.ndarray) -> tuple[np.ndarray, Letterbox]:
        height, width = rgb.shape[:2]
        side, size = self.detector.head.side, max(height, width)
        small = cv2.resize(rgb, (width * side // size, height * side // size), interpolation=cv2.INTER_AREA)
        top, left = (side - small.shape[0]) // 2, (side - small.shape[1]) // 2
        bottom, right = side - small.shape[0] - top, side - small.shape[1] - left
        square = cv2.copyMakeBorder(small, top, bottom, left, right, cv2.BORDER_CONSTANT)
        unit = size / side
        return square.astype(np.float32) / 127.5 - 1.0, Letterbox(-left * unit, -top * unit, float(size))

    def frame(self, camera: np.ndarray, compressed: bool) -> int | None:
        """The nearest reference, or none where no face is."""
        began = now = time.perf_counter()
        if compressed:
            rgb = cv2.cvtColor(cv2.imdecode(camera, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        else:
            rgb = cv2.cvtColor(camera, cv2.COLOR_YUV2RGB_YUYV)
        now = self.stage("to_rgb", now)
        tensor, box = self.letterbox(rgb)
        now = self.stage("letterbox", now)
        offsets, logits = self.detector.raw(tensor)
        now = self.stage("detector_invoke", now)
        faces = [in_picture(found, box) for found in suppress(*self.detector.decode(offsets, logits))]
        now = self.stage("decode", now)
        if not faces:
            return None
        matrix, offset = similarity(TEMPLATE, faces[0]["keypoints"][: len(TEMPLATE)])
        # warpAffine counts pixel centres as whole numbers, the template pixel edges.
        shift = offset + matrix @ np.array([0.5, 0.5]) - 0.5
        affine = np.column_stack([matrix, shift])
        crop = cv2.warpAffine(rgb, affine, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        now = self.stage("align", now)
        self.embedder.set_tensor(self.given, (crop.astype(np.int16) - 128).astype(np.int8)[None])
        self.embedder.invoke()
        output = self.embedder.get_tensor(self.wanted)[0]
        now = self.stage("embedder_invoke", now)
        feature = (output.astype(np.float32) - self.zero) * self.scale
        feature /= max(float(np.linalg.norm(feature)), 1e-9)
        nearest = int(np.argmax(self.gallery @ feature))
        self.stage("compare", now)
        self.stage("frame", began)
        return nearest


def summary(times: dict[str, list[float]]) -> dict:
    table = {}
    for name, values in times.items():
        ordered = sorted(values[WARM_UP_FRAMES:])
        table[name] = {"p50_ms": round(statistics.median(ordered), 4), "p95_ms": round(ordered[int(len(ordered) * 0.95)], 4)}
    models = table["detector_invoke"]["p50_ms"] + table["embedder_invoke"]["p50_ms"]
    table["frame_over_models"] = round(table["frame"]["p50_ms"] / models, 3)
    return table


# Frames in one reading.
PIECES = 4


def take_turns(peer: Peer, cameras: list[np.ndarray], compressed: bool) -> None:
    """Does a few frames whenever it is asked to, until the input ends."""
    print(f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in PACKAGES), flush=True)
    for number, _ in enumerate(sys.stdin):
        peer.times.clear()
        for piece in range(PIECES):
            if peer.frame(cameras[(number * PIECES + piece) % len(cameras)], compressed) is None:
                raise SystemExit("no face was found in a frame that has one")
        frame, finder, embedder = (
            sum(peer.times[stage]) / PIECES for stage in ("frame", "detector_invoke", "embedder_invoke")
        )
        print(f"{frame:.6f} {finder + embedder:.6f}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, help="recording or folder of pictures")
    parser.add_argument("--repeat", type=int, default=300, help="frames to time")
    parser.add_argument("--references", type=int, default=1000, help="size of the gallery")
    parser.add_argument("--in-turns", choices=["yuyv", "mjpg"], help="do frames of this kind when asked to on standard input")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pictures = frames_from(options.frames, options.repeat)
    inputs = {
        "yuyv": [yuyv(picture) for picture in pictures],
        "mjpg": [cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1] for picture in pictures],
    }
    if options.in_turns:
        take_turns(Peer(options.references), inputs[options.in_turns], options.in_turns == "mjpg")
        return 0
    report: dict = {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "frames": options.repeat,
        "references": options.references,
    }
    for name, cameras in inputs.items():
        peer = Peer(options.references)
        found = [peer.frame(cameras[i % len(cameras)], name == "mjpg") for i in range(options.repeat + WARM_UP_FRAMES)]
        report[name] = {"faces_found": sum(f is not None for f in found[WARM_UP_FRAMES:]), **summary(peer.times)}
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
