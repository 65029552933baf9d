#!/usr/bin/env python3
"""Measures what those who watch the camera on the page cost the path from frame to decision.

in   the release build for this machine, the assets, ffmpeg
out  the 95th percentile of a frame's time, with nobody and with five viewers in turns of one run, and
     their ratio; what the page adds to the daemon's memory, beside a run without the page

The daemon replays two visits again and again in real time (15 frames a second, 640 by 480). Each turn
lasts as long as the percentiles remember (512 frames); the figure is the median of the turns. Viewers
take their pictures over a WebSocket and throw them away; they share the processor with the daemon, as
they would not on a board. Deliberately absent: a browser.

  cargo build --release --locked && python3 benches/viewers.py
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/arm64"))

from visit import PHOTOGRAPHS, ROOT, Failed, record  # noqa: E402

PROGRAM = ROOT / "target/release/deepid-edge"
VIEWERS = 5
TURNS = 3
# 512 frames at 15 a second, and some.
TURN_S = 36.0
PASSWORD = "a password of this bench"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Viewer(threading.Thread):
    """Somebody who watches: takes whatever comes until told otherwise."""

    def __init__(self, port: int, token: str) -> None:
        super().__init__(daemon=True)
        self.bytes = 0
        self.stream = socket.create_connection(("127.0.0.1", port), timeout=10)
        key = base64.b64encode(os.urandom(16)).decode()
        request = [
            "GET /api/v1/live HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            f"Authorization: Bearer {token}",
        ]
        self.stream.sendall(("\r\n".join(request) + "\r\n\r\n").encode())
        answer = self.stream.recv(4096)
        if b" 101 " not in answer.split(b"\r\n", 1)[0]:
            raise Failed(f"a viewer was refused: {answer[:200]!r}")

    def run(self) -> None:
        try:
            while got := self.stream.recv(65536):
                self.bytes += len(got)
        except OSError:
            pass

    def leave(self) -> int:
        self.stream.shutdown(socket.SHUT_RDWR)
        self.join()
        self.stream.close()
        return self.bytes


def memory(process: int) -> float:
    """Memory of its own, in MiB: what is anonymous."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise Failed("the kernel tells no RssAnon")


@contextmanager
def daemon(program: Path, folder: Path, recording: Path, port: int | None) -> Iterator[tuple[int, str]]:
    """A daemon that replays: its process, and a token of its page."""
    settings = {
        "store.path": folder / "door.db",
        "mqtt.enabled": "false",
        "camera.replay.pace": "real-time",
        "camera.replay.repeat": "true",
        "detect.min_face_px": 20,
    }
    if port:
        settings["serve.listen"] = f"127.0.0.1:{port}"
    words = (word for key, value in settings.items() for word in ("--set", f"{key}={value}"))
    common = [str(program), "--config", "/dev/null", *words]

    def told(*arguments: str, said: str | None = None) -> str:
        done = subprocess.run([*common, *arguments], capture_output=True, text=True, check=False, input=said)
        if done.returncode != 0:
            raise Failed(f"{' '.join(arguments)}: {done.stderr}")
        return done.stdout

    told("enroll", "Somebody", "--image", *(str(PHOTOGRAPHS / name) for name in ("obama.jpg", "obama2.jpg")))
    told("accounts", "add", "bench", "--role", "administrator", "--password-file", "/dev/stdin", said=PASSWORD + "\n")
    token = told("accounts", "token", "bench").strip()
    with (folder / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen([*common, "run", "--replay", str(recording)], stderr=log, stdout=subprocess.DEVNULL)
    try:
        yield process.pid, token
        if process.poll() is not None:
            raise Failed(f"the daemon ended with exit code {process.returncode}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def frame_p95(port: int, token: str) -> float:
    """Of the last 512 frames, in milliseconds."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/health", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["now"]["stages"]["frame"]["p95"]


def until_there(port: int, token: str) -> None:
    for _ in range(100):
        try:
            frame_p95(port, token)
            return
        except (OSError, KeyError, urllib.error.URLError):
            time.sleep(0.2)
    raise Failed("the page did not come up within 20 s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=PROGRAM, help="the daemon to measure")
    program = parser.parse_args().program
    if not program.exists():
        print(f"viewers: {program} is absent: cargo build --release --locked", file=sys.stderr)
        return 1
    try:
        with tempfile.TemporaryDirectory() as name:
            visits = Path(name) / "visits.mjpeg"
            record(visits)
            (Path(name) / "off").mkdir()
            with daemon(program, Path(name) / "off", visits, None) as (process, _):
                time.sleep(TURN_S)
                off = memory(process)
            (Path(name) / "on").mkdir()
            port = free_port()
            with daemon(program, Path(name) / "on", visits, port) as (process, token):
                until_there(port, token)
                alone, watched, idle, most = [], [], 0.0, 0.0
                for turn in range(TURNS):
                    time.sleep(TURN_S)
                    alone.append(frame_p95(port, token))
                    idle = idle or memory(process)
                    viewers = [Viewer(port, token) for _ in range(VIEWERS)]
                    for viewer in viewers:
                        viewer.start()
                    time.sleep(TURN_S)
                    watched.append(frame_p95(port, token))
                    most = max(most, memory(process))
                    seen = [viewer.leave() for viewer in viewers]
                    if min(seen) == 0:
                        raise Failed("a viewer saw nothing")
                    print(f"turn {turn + 1}: p95 of a frame {alone[-1]:.2f} ms alone, {watched[-1]:.2f} ms with {VIEWERS} viewers, who took {sum(seen) / VIEWERS / TURN_S / 1024:.0f} KiB/s each")
            ratio = statistics.median(watched) / statistics.median(alone)
            print(f"p95 of a frame with {VIEWERS} viewers: {ratio:.2f} × that without")
            print(f"anonymous memory: {off:.1f} MiB without the page, {idle:.1f} with it, {most:.1f} while {VIEWERS} watch")
    except Failed as failure:
        print(f"viewers: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
