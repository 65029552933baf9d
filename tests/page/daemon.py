"""A real daemon with its page on this machine, for tests that ask it from outside.

in   the program, the photographs that `make assets` fetches
out  a daemon before a camera that a test directs (camera.py), somebody who is enrolled, an account of
     each role, and an administrator's token; all of it in a folder that goes with it

It is set as a door is, but for: no broker, liveness off (what the camera shows are photographs), names
on the kiosk's screen, and pictures that may be older, because the tests share the processor.
"""

import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import scenes

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROGRAM = ROOT / "target/debug/deepid-edge"
NAME = "Ada Lovelace"
PASSWORD = "a password of this test"
ROLES = {"administrator": "admin", "viewer": "viewer", "kiosk": "screen"}
PATIENCE_S = 60.0


class Failed(Exception):
    """The daemon does not do what a test needs before it begins."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Daemon:
    """Runs from its making until `close`."""

    def __init__(self, program: pathlib.Path = PROGRAM, **settings: object):
        if not program.exists():
            raise Failed(f"{program} is absent: cargo build --locked --features demo")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="deepid-page-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None
        scenes.make(self.folder / "scenes")
        self.pictures = scenes.sent(self.folder / "sent")
        command = [sys.executable, str(HERE / "camera.py"), str(self.folder / "scenes")]
        chosen = {
            "store.path": self.folder / "door.db",
            "serve.listen": f"127.0.0.1:{self.port}",
            "serve.kiosk_names": "true",
            "serve.language": "de",
            "camera.device": "command",
            "camera.command": json.dumps(command),
            "camera.fps": 10,
            "live.mode": "off",
            "policy.required_liveness": "false",
            "mqtt.enabled": "false",
            "visit.stale_ms": 2000,
            "visit.timeout_ms": 6000,
            "visit.cooldown_ms": 1000,
            "policy.lockout_visits": 0,
        } | {key.replace("__", "."): value for key, value in settings.items()}
        words = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
        self.command = [str(program), "--config", "/dev/null", *words]
        try:
            photographs = [str(scenes.PHOTOGRAPHS / name) for name in ("obama.jpg", "obama2.jpg")]
            self.told("enroll", NAME, "--image", *photographs)
            self.told("groups", "add", "family")
            for role, name in ROLES.items():
                self.told("accounts", "add", name, "--role", role, "--password-file", "/dev/stdin", said=PASSWORD + "\n")
            self.token = self.told("accounts", "token", ROLES["administrator"]).strip()
            self.start()
        except BaseException:
            self.close()
            raise

    def told(self, *arguments: str, said: str | None = None) -> str:
        """What the command line answers."""
        done = subprocess.run([*self.command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, input=said, timeout=PATIENCE_S)
        if done.returncode != 0:
            raise Failed(f"{' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def start(self) -> None:
        with (self.folder / "log").open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen([*self.command, "run"], cwd=ROOT, stderr=log, stdout=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE_S
        while not self.streams():
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed(f"the daemon does not come up: {self.log()[-2000:]}")
            time.sleep(0.1)

    def streams(self) -> bool:
        """Whether the page answers and the camera gives pictures."""
        try:
            return self.get("state")["camera"]["state"] == "streaming"
        except (OSError, urllib.error.URLError):
            return False

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise Failed("the daemon does not end by itself") from None

    def close(self) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, method: str, path: str) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def get(self, path: str):
        return json.loads(self.ask("GET", path))

    def show(self, scene: str) -> None:
        """Lets the camera see `scene` from its next picture on."""
        place = self.folder / "scenes/scene"
        new = place.with_suffix(".new")
        new.write_text(scene + "\n", encoding="utf-8")
        new.rename(place)

    def forget(self) -> None:
        """Removes whom a test has enrolled."""
        for subject in self.get("subjects"):
            if subject["name"] != NAME:
                self.ask("DELETE", f"subjects/{subject['id']}")

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")
