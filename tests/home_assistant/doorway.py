"""The real daemon at a camera that a test steers, a real mosquitto, and whoever else is on the broker.

in   target/debug/deepid-edge (built with `demo`), mosquitto and its clients, deploy/mosquitto-acl.example
out  processes in a folder of their own, and every message that passed the broker
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from hub import PATIENCE_S, ROOT, until

sys.path.insert(0, str(ROOT / "tests/system"))
import feed  # noqa: E402

DOOR = "front"
BASE = f"deepid-edge/{DOOR}"
USERS = {"door-front": "door", "homeassistant": "hub", "listener": "listen", "intruder": "intrude"}
# Two of a test's own beside those of the example: one hears everything, one may forge everything.
MORE_RULES = "\nuser listener\ntopic read #\nuser intruder\ntopic readwrite #\n"
PARTS = {
    "nobody": "nobody",
    "enrolled": "the enrolled person, another photograph",
    "stranger": "a stranger",
    "two": "two people",
}
NAME = "Ada Example"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


class Broker:
    """mosquitto as an installation has it: users, the example's access rules, and a memory on disk."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True)
        self.process: subprocess.Popen | None = None
        self.listener: subprocess.Popen | None = None
        self.heard: list[dict] = []
        passwords = folder / "passwords"
        passwords.touch(0o600)
        for user, password in USERS.items():
            subprocess.run([program("mosquitto_passwd"), "-b", passwords, user, password], check=True)
        rules = (ROOT / "deploy/mosquitto-acl.example").read_text()
        switch = f"# topic write {BASE}/armed/set"
        assert switch in rules, "the example's line for Home Assistant's switch is gone"
        (folder / "acl").write_text(rules.replace(switch, switch[2:]) + MORE_RULES)
        (folder / "mosquitto.conf").write_text(
            # Started by root it would give itself up to a user who may not read this folder.
            f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\n"
            f"acl_file {folder}/acl\npersistence true\npersistence_location {folder}/\nautosave_interval 1\n"
            "autosave_on_changes true\n"
        )

    def start(self) -> None:
        log = open(self.folder / "log", "a")
        self.process = subprocess.Popen(
            [program("mosquitto"), "-c", self.folder / "mosquitto.conf"], stdout=log, stderr=log
        )
        assert until(self.accepts), f"mosquitto does not start: see {log.name}"
        if self.listener is None:
            command = self.client("mosquitto_sub", "listener") + ["-t", "#", "-q", "1", "-F", "%j"]
            self.listener = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            threading.Thread(target=self.hear, daemon=True).start()

    def accepts(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)

    def close(self) -> None:
        for process in (self.listener, self.process):
            if process is not None:
                process.kill()
                process.wait()

    def client(self, name: str, user: str) -> list[str]:
        who = ["-u", user, "-P", USERS[user], "-i", f"test-{user}"]
        return [program(name), "-V", "mqttv5", "-h", "127.0.0.1", "-p", str(self.port), *who]

    def hear(self) -> None:
        for line in self.listener.stdout:
            self.heard.append(json.loads(line))

    def messages(self, topic: str, since: int = 0) -> list[dict]:
        """Messages on a topic, but those that were only kept; `since` counts all that were heard."""
        return [one for one in self.heard[since:] if one["topic"] == topic and not one["retain"]]

    def publish(self, topic: str, payload: str, *options: str) -> None:
        """What somebody says who may say anything."""
        command = [*self.client("mosquitto_pub", "intruder"), "-q", "1", "-t", topic, "-m", payload, *options]
        subprocess.run(command, check=True)


class Door:
    """The daemon, in a folder with its configuration, database and camera."""

    def __init__(self, binary: pathlib.Path, folder: pathlib.Path, broker: Broker) -> None:
        self.binary, self.folder = binary, folder
        self.process: subprocess.Popen | None = None
        self.camera = folder / "camera"
        self.camera.mkdir(parents=True)
        self.film()
        (folder / "password").write_text(USERS["door-front"])
        (folder / "password").chmod(0o600)
        self.settings: dict[str, object] = {
            "door.id": DOOR,
            "store.path": str(folder / "door.db"),
            "camera.device": "command",
            "camera.command": [sys.executable, str(ROOT / "tests/home_assistant/camera.py"), str(self.camera)],
            "mqtt.host": "127.0.0.1",
            "mqtt.port": broker.port,
            "mqtt.username": "door-front",
            "mqtt.password_file": str(folder / "password"),
            "mqtt.home_assistant.discovery": True,
            # For a machine that has other things to do; what a grant has to prove is as by default.
            "visit.stale_ms": 5000,
            "visit.timeout_ms": 8000,
            "visit.absence_ms": 4000,
        }
        self.configure()

    def film(self) -> None:
        """Renders the demonstration's visit and cuts it into what the camera can be made to see."""
        recording = ROOT / "target/home-assistant-visit.mjpeg"
        scripts = [ROOT / "tests/data" / name for name in feed.SCRIPTS]
        # Rendering takes a minute with an unoptimised program, and gives the same each time.
        if not recording.exists() or recording.stat().st_mtime < max(one.stat().st_mtime for one in scripts):
            new = recording.with_suffix(".new")
            subprocess.run([self.binary, "demo", "--recording", new], cwd=ROOT, check=True, capture_output=True)
            new.rename(recording)
        pictures, script = feed.split_jpeg(recording.read_bytes()), feed.script_of(ROOT)
        for name, part in PARTS.items():
            frames = [pictures[number] for number in feed.part_frames(script, part)]
            (self.camera / f"{name}.mjpeg").write_bytes(b"".join(frames))

    def configure(self, **changes: object) -> None:
        """Writes the configuration; `mqtt__names=True` sets mqtt.names."""
        self.settings |= {key.replace("__", "."): value for key, value in changes.items()}
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in self.settings.items()]
        (self.folder / "config.toml").write_text("".join(lines))

    def reload(self, **changes: object) -> None:
        self.configure(**changes)
        self.process.send_signal(signal.SIGHUP)

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}

    def command(self, *arguments: str) -> subprocess.CompletedProcess:
        """A verb beside the daemon, as an administrator calls it."""
        call = [self.binary, "--config", self.folder / "config.toml", *arguments]
        return subprocess.run(call, cwd=ROOT, env=self.environment(), capture_output=True, text=True, check=False)

    def must(self, *arguments: str) -> str:
        done = self.command(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def enrol(self) -> str:
        """Enrols the one person of the test; the pseudonym."""
        faces = [str(ROOT / "assets/photographs" / name) for name in ("obama.jpg", "obama2.jpg")]
        told = self.must("enroll", NAME, "--json", "--image", faces[0], "--image", faces[1])
        return json.loads(told)["subject"]["id"]

    def start(self) -> None:
        log = open(self.folder / "log", "a")
        call = [self.binary, "--config", self.folder / "config.toml", "run"]
        self.process = subprocess.Popen(call, cwd=ROOT, env=self.environment(), stdout=log, stderr=log)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(PATIENCE_S)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def show(self, part: str) -> None:
        """Lets somebody come, and returns when nobody is there any more and the visit is over."""
        (self.camera / "shown").unlink(missing_ok=True)
        self.ask_camera(part)
        assert until(lambda: (self.camera / "shown").exists()), f"the camera never showed '{part}'"
        # Longer than visit.absence_ms: the next one is a visit of its own.
        time.sleep(5.0)

    def ask_camera(self, what: str) -> None:
        new = self.camera / "show.new"
        new.write_text(what)
        new.rename(self.camera / "show")
