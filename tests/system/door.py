"""A door in the machine: its service, its camera, its broker, and what is heard on MQTT.

in   a machine (machine.py) with the payload that run.py has put together
out  words that the checks are written in: `show`, `wait`, `next_grant`, `journal`…

Waiting is always for a condition. `PATIENCE` bounds it and measures nothing: on a busy host an
emulated second may last ten.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from feed import RATE
from machine import Answer, Machine

PATIENCE = 300
UNIT = "deepid-edge"
LOOPBACK = "/dev/video10"
HEARD = "/run/system-test/heard"
CONFIG = "/etc/deepid-edge/config.toml"

# The person of obama.jpg and obama2.jpg; a third photograph visits.
NAME = "The enrolled person"

# Where this differs from the defaults, it is for the emulated processor, which needs a second or more
# for a frame that a board judges in 30 ms: the detector is the cheaper of the two, on whole frames;
# frames are older when they are judged and further apart; a visit takes longer. What a grant must
# prove (agreeing frames, score, margin) is that of the defaults. Liveness is off, and not required: five looks at a
# second and more each take longer than a visit, and what is shown is rendered from photographs.
SETTINGS: dict[str, dict[str, object]] = {
    "door": {"id": "front"},
    "camera": {"device": LOOPBACK, "fps": 5},
    "detect": {"strategy": "follow-on-whole"},
    "visit": {"stale_ms": 10_000, "absence_ms": 4_000, "timeout_ms": 12_000, "cooldown_ms": 1_000},
    "live": {"mode": "off"},
    "policy": {"required_liveness": False},
    "mqtt": {"host": "127.0.0.1"},
}

T = TypeVar("T")


@dataclass(frozen=True)
class Message:
    """What was heard."""

    topic: str
    text: str
    retained: bool
    qos: int
    # In seconds since 1970, by the machine's clock.
    heard_at: float

    @property
    def json(self) -> dict:
        return json.loads(self.text)


def instant(stamp: str) -> float:
    """When mosquitto_sub heard something, in seconds since 1970.

    2.0.11 (Debian 12) writes `…33.315666Z+0000`, 2.0.21 (Debian 13) the same without Z."""
    return datetime.strptime(stamp.replace("Z", ""), "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()


class Door:
    """The door under test."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.heard: list[Message] = []
        self.must = machine.must
        self.run = machine.run

    # ---- The service -----------------------------------------------------------------------------

    def configure(self, **overrides: dict[str, object]) -> None:
        """Writes the configuration: that of all checks, with `overrides` by section."""
        sections = {name: dict(keys) for name, keys in SETTINGS.items()}
        for section, keys in overrides.items():
            sections.setdefault(section.replace("__", "."), {}).update(keys)
        lines = []
        for section, keys in sections.items():
            lines += ["", f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
        self.machine.write(CONFIG, "\n".join(lines) + "\n")

    def as_service_user(self, arguments: str, seconds: int = PATIENCE) -> Answer:
        """Runs the program as an administrator would, in the service's name."""
        return self.run(f"cd / && runuser -u deepid-edge -- deepid-edge {arguments}", seconds)

    def start(self) -> None:
        """Starts the service; systemctl returns when it says READY."""
        self.must(f"systemctl reset-failed {UNIT} 2>/dev/null; systemctl restart {UNIT}")

    def property(self, name: str) -> str:
        """A property of the unit."""
        return self.must(f"systemctl show --value --property {name} {UNIT}")

    def pid(self) -> int:
        """The daemon's process."""
        return int(self.property("MainPID"))

    def wait_restarted(self, before: int) -> None:
        """Waits until systemd runs another process than `before`, and it is ready."""

        def restarted() -> bool:
            state = self.must(f"systemctl show --property MainPID,ActiveState {UNIT}")
            facts = dict(line.split("=", 1) for line in state.splitlines())
            return facts["ActiveState"] == "active" and facts["MainPID"] not in ("0", str(before))

        self.wait("the daemon to be started again", restarted)

    def journal(self, since: str = "", arguments: str = "--output=cat") -> str:
        """The unit's journal, from a cursor of `cursor` on."""
        after = f"--after-cursor={shlex.quote(since)}" if since else ""
        return self.must(f"journalctl --no-pager --quiet --unit {UNIT} {after} {arguments}")

    def cursor(self) -> str:
        """The end of the unit's journal now.

        Of the unit's, not of the whole: journalctl 252 counts the entry at the cursor as the one to
        leave out, and where that one is not among those asked for, it leaves out the first that is."""
        text = self.must(f"journalctl --sync; journalctl --quiet --unit {UNIT} --lines=1 --show-cursor")
        return text.rsplit("cursor: ", 1)[1].strip()

    # ---- The camera ------------------------------------------------------------------------------

    def plug_in(self, part: str = "nobody", encoding: str = "yuyv") -> None:
        """Loads the loopback device, and lets ffmpeg play a part of the visit into it."""
        self.show(part)
        self.must(
            "modprobe v4l2loopback devices=1 video_nr=10 exclusive_caps=1 card_label='Door camera'"
            f" && udevadm settle && test -c {LOOPBACK}"
        )
        self.must(
            "systemctl reset-failed feed.service 2>/dev/null; systemd-run --quiet --unit=feed"
            f" sh /payload/player.sh {encoding} {RATE} {LOOPBACK}"
        )

        def captures() -> bool:
            # exclusive_caps: a capture device only once somebody writes to it.
            return "Video Capture" in self.run(f"v4l2-ctl -d {LOOPBACK} --info").text

        self.wait("the camera to be fed", captures)

    def pull_out(self) -> None:
        """Stops the feed and unloads the device; whoever has it open must notice first."""
        self.must("systemctl stop feed.service 2>/dev/null || true")
        self.wait(
            "the driver to be unloaded",
            lambda: bool(self.run("! lsmod | grep --quiet ^v4l2loopback || modprobe --remove v4l2loopback")),
        )

    def show(self, part: str) -> None:
        """Chooses what is played next: when the part that is being played is over."""
        self.must(f"echo {part} > /run/system-test/part")

    def show_alone(self, part: str) -> None:
        """Chooses what is played, and waits until the part before it is over."""
        self.show(part)
        self.wait(f"'{part}' to be played", lambda: self.must("cat /run/system-test/playing") == part)

    # ---- The broker ------------------------------------------------------------------------------

    def start_broker(self) -> None:
        """Starts mosquitto and whoever listens to it."""
        self.must("systemctl start mosquitto")
        listening = self.run("systemctl is-active --quiet listener")
        if not listening:
            # A session that the broker keeps: what is said while both reconnect is not lost.
            self.must(
                "systemctl reset-failed listener 2>/dev/null; touch " + HEARD + ";"
                "systemd-run --quiet --unit=listener --property=Restart=always --property=RestartSec=1"
                f" --property=StandardOutput=append:{HEARD}"
                " mosquitto_sub -V mqttv5 -h 127.0.0.1 -i listener -c -x 86400 -q 1"
                " -t 'deepid-edge/#' -F %j"
            )

    def listen(self) -> None:
        """Takes in what was heard since the last time."""
        text = self.must(f"tail --lines=+{len(self.heard) + 1} {HEARD}")
        for line in text.splitlines():
            fact = json.loads(line)
            self.heard.append(
                Message(fact["topic"], fact["payload"], bool(fact["retain"]), int(fact["qos"]), instant(fact["tst"]))
            )

    def mark(self) -> int:
        """The number of messages heard by now: what is asked for later comes after it."""
        self.listen()
        return len(self.heard)

    def messages(self, topic: str, after: int = 0) -> list[Message]:
        """Messages on `topic` of the door after a mark."""
        self.listen()
        wanted = f"deepid-edge/front/{topic}"
        return [message for message in self.heard[after:] if message.topic == wanted]

    def next(
        self, topic: str, after: int, fits: Callable[[Message], bool] = lambda _: True, seconds: int = PATIENCE
    ) -> Message:
        """Waits for a message on `topic` after a mark that `fits`."""
        return self.wait(
            f"a fitting message on '{topic}'",
            lambda: next(filter(fits, self.messages(topic, after)), None),
            seconds,
        )

    def next_access(self, after: int) -> dict:
        """Waits for the next decision."""
        message = self.next("access", after)
        assert not message.retained and message.qos == 1, f"retained or of another QoS: {message}"
        return message.json

    def next_grant(self, after: int, subject: str) -> dict:
        """Waits for a grant; every decision before it may be anything but another grant.

        A visit that was under way at the mark may end in something else: the camera began to show
        it in the middle."""

        def grant() -> dict | None:
            decisions = [message.json for message in self.messages("access", after)]
            return next((d for d in decisions if d["outcome"] == "granted"), None)

        granted = self.wait("a grant", grant)
        assert granted["subject"] == subject and granted["reason"] == "matched", granted
        return granted

    def camera_is(self, state: str, after: int) -> dict:
        """Waits until the door says that its camera is in `state`."""
        return self.next("camera", after, lambda message: message.json["state"] == state).json

    # ---- Waiting ---------------------------------------------------------------------------------

    def wait(self, what: str, condition: Callable[[], T], seconds: int = PATIENCE) -> T:
        """Asks again and again until there is an answer."""
        until = time.monotonic() + seconds
        while True:
            answer = condition()
            if answer:
                return answer
            if time.monotonic() > until:
                raise AssertionError(f"waited in vain ({seconds} s) for {what}")
            time.sleep(0.3)
