"""A visit at the door for a program that is tried from outside: what it sees, and what it says.

in   the photographs that `make assets` fetches; ffmpeg, mosquitto and its clients
out  a recording of two people who come to the door, a broker, and the decisions that it passed on

Used by check.py beside it and by benches/flash_writes.py. Deliberately absent: the program itself;
it is a stranger to all of this, as it would be in a household.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PHOTOGRAPHS = ROOT / "assets/photographs"


class Failed(Exception):
    """What was tried did not come out, or could not be tried."""


def record(into: Path, people: bool = True, width: int = 640) -> None:
    """A wall; the enrolled person in another photograph; the wall; a stranger; the wall.

    108 frames, 15 in a second: an emulator takes long over each, so that they just let two visits be
    decided and, while nobody is there, the last record be sent. Without `people` it is as long, and
    nobody comes. `width`: of a frame, whose sides are as 4 to 3 and whose faces are a ninth of it wide.
    """
    known, stranger = ("between(t,0.3,1.2)", "between(t,3.2,5.7)") if people else ("0", "0")
    walk = "x='150+30*t':y='40+4*sin(3*t)':shortest=1"
    scene = (
        "[1]scale=iw*0.16:-1[known];[2]scale=iw*0.19:-1[stranger];"
        f"[0][known]overlay={walk}:enable='{known}'[first];"
        f"[first][stranger]overlay={walk}:enable='{stranger}',noise=alls=4:allf=t:all_seed=1,scale={width}:-1"
    )
    command = ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "color=c=0x96918c:s=640x480:r=15:d=7.2"]
    for name in ("obama3.jpg", "biden.jpg"):
        command += ["-loop", "1", "-framerate", "15", "-i", str(PHOTOGRAPHS / name)]
    command += ["-filter_complex", scene, "-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p", "-y", str(into)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"the recording could not be made: {done.stderr.strip()[-1000:]}")


@contextmanager
def broker(folder: Path) -> Iterator[tuple[int, Path]]:
    """A mosquitto of its own: its port, and the file to which every message goes."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    program = shutil.which("mosquitto", path=path)
    if not program:
        raise Failed("mosquitto is missing: tools/setup_debian.sh test-arm64")
    socket = folder / "broker.sock"
    # A port is only known to be free once somebody listens on it: mosquitto tells by failing.
    for port in range(21883, 21983):
        configuration = folder / "mosquitto.conf"
        configuration.write_text(
            f"allow_anonymous true\nuser root\nlistener {port} 127.0.0.1\nlistener 0 {socket}\n", encoding="utf-8"
        )
        server = subprocess.Popen([program, "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while server.poll() is None and not socket.exists():
            time.sleep(0.05)
        if server.poll() is None:
            break
    else:
        raise Failed("mosquitto found no free port on 127.0.0.1")
    heard = folder / "heard"
    client = ["-V", "mqttv5", "-p", str(port), "-q", "1"]
    try:
        # A retained message comes back as soon as the subscription stands.
        subprocess.run(["mosquitto_pub", *client, "-t", "listening", "-m", "{}", "-r"], check=True)
        with heard.open("w", encoding="utf-8") as out:
            listener = subprocess.Popen(["mosquitto_sub", *client, "-t", "#", "-F", "%t\t%p"], stdout=out)
        try:
            while "listening" not in heard.read_text(encoding="utf-8"):
                if listener.poll() is not None:
                    raise Failed("mosquitto_sub ended before it had subscribed")
                time.sleep(0.05)
            yield port, heard
        finally:
            listener.terminate()
            listener.wait()
    finally:
        server.terminate()
        server.wait()


def decided(heard: Path) -> dict[str, list[str]]:
    """The decisions that were heard, as `outcome reason`, by topic."""
    decisions: dict[str, list[str]] = {"access": [], "audit": []}
    for line in heard.read_text(encoding="utf-8").splitlines():
        topic, _, payload = line.partition("\t")
        kind = topic.rsplit("/", 1)[-1]
        if kind not in decisions or not payload:
            continue
        message = json.loads(payload)
        message = message.get("decision") if kind == "audit" else message
        if message:
            decisions[kind].append(f"{message['outcome']} {message['reason']}")
    return decisions
