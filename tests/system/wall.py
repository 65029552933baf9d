"""The other side of the wall: deepid-opener in the machine, on the kernel's simulated GPIO chip.

in   a door (door.py) for its machine and its broker; sign_grant (crates/grant/examples), which signs
out  words that the checks are written in: `grant`, `say`, `press`, `timeline`…

The chip is gpio-sim with three lines: the relay, the contact, the button. What the relay's line does is
read from the kernel's trace, where three kinds of lines stand on one clock: what the kernel was told to
set (gpio_value), what a sampler has found in sysfs (sample_line.pl), and our own marks.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from door import PATIENCE, Door, Message

UNIT = "deepid-opener"
CONFIG = "/etc/deepid-opener/opener.toml"
LISTENER = "wall"
GRANT = "deepid-edge/front/grant"
RELAY, CONTACT, BUTTON = range(3)
TRACE = "/sys/kernel/tracing"
BANK, LIVE = "/sys/kernel/config/gpio-sim/wall/bank", "/sys/kernel/config/gpio-sim/wall/live"
# Why the image has no gpio-sim (furnish.sh).
WITHOUT = "/usr/share/system-test/no-gpio-sim"

# Of tests alone: whoever reads this can open such a door.
DOOR_SEED, STRANGER_SEED = "07" * 32, "08" * 32
# A nonce lives for 20 s; one that is older than this might be replaced on the way.
NONCE_AGE_S = 10


class Skipped(Exception):
    """What a check needs is not to be had here, and why."""


@dataclass(frozen=True)
class Event:
    """A line of the trace: `set` with a level, `level` with what was found, or a mark of ours."""

    at: float
    what: str
    level: int | None = None


class Wall:
    """The opener under test."""

    def __init__(self, door: Door, signer: Path) -> None:
        self.door = door
        self.must, self.run = door.must, door.run
        self._signer = signer
        self._seq = 1
        self._marks = 0
        self.chip = self._lines = ""
        self._number = 0

    # ---- The chip --------------------------------------------------------------------------------

    def make_chip(self) -> None:
        """Makes the simulated chip, and lets the kernel and a sampler write down what its relay does."""
        if not self.run("modprobe gpio-sim"):
            why = self.run(f"tail --lines=3 {WITHOUT}").text.strip()
            raise Skipped(f"the image has no gpio-sim: {why}; remove target/system/images to try again")
        self.must(
            "modprobe configfs; mountpoint --quiet /sys/kernel/config || mount -t configfs none /sys/kernel/config"
            f"; mkdir -p {BANK} && echo 3 > {BANK}/num_lines && echo 1 > {LIVE}"
        )
        self.find_chip()
        self.must(f"cd {TRACE} && echo mono > trace_clock && echo 1 > events/gpio/enable && echo 1 > tracing_on")
        self.sample()

    def find_chip(self) -> None:
        """Learns under which names the kernel has it now."""
        device, name = self.must(f"cat {BANK}/../dev_name {BANK}/chip_name").split()
        self.chip, self._lines = f"/dev/{name}", f"/sys/devices/platform/{device}/{name}"
        listed = self.must(f"grep '^{name}:' /sys/kernel/debug/gpio")
        self._number = int(re.search(r"GPIOs (\d+)-", listed)[1]) + RELAY

    def sample(self) -> None:
        """Starts the sampler."""
        self.must(
            "systemctl reset-failed sampler 2>/dev/null; systemd-run --quiet --unit=sampler"
            f" perl /payload/sample_line.pl {self._file(RELAY, 'value')}"
        )

    def unplug(self) -> None:
        """Takes the chip away as if it hung on a cable; `plug` brings it back."""
        self.must(
            "systemctl stop sampler; systemctl reset-failed unplug 2>/dev/null"
            f"; systemd-run --quiet --unit=unplug --property=RemainAfterExit=yes sh -c 'echo 0 > {LIVE}'"
        )

    def plug(self) -> None:
        """Brings it back, once the kernel has let go of it."""
        gone = "systemctl show --value --property SubState unplug"
        self.door.wait("the chip to be gone", lambda: self.must(gone) == "exited")
        self.must(f"systemctl stop unplug; echo 1 > {LIVE}")
        self.find_chip()
        self.sample()

    def _file(self, line: int, name: str) -> str:
        return f"{self._lines}/sim_gpio{line}/{name}"

    def pull(self, line: int, level: int) -> str:
        """The command that pulls a line up or down: the level of an input, or of a line that nobody drives."""
        return f"echo {'pull-up' if level else 'pull-down'} > {self._file(line, 'pull')}"

    def until_level(self, level: int) -> str:
        """The command that waits until the relay's line is at a level."""
        return f"until grep --quiet {level} {self._file(RELAY, 'value')}; do sleep 0.05; done"

    # ---- What was seen ---------------------------------------------------------------------------

    def mark(self) -> int:
        """Writes a mark into the trace."""
        self._marks += 1
        self.must(f"echo mark {self._marks} > {TRACE}/trace_marker")
        return self._marks

    def timeline(self, mark: int) -> list[Event]:
        """What the trace says of the relay's line after a mark."""
        text = self.must(f"cat {TRACE}/trace")
        events, seen = [], False
        for line in text.splitlines():
            found = re.match(r"\s*\S.*\s\[\d+\]\s+\S+\s+([\d.]+): (\w+): (.*)$", line)
            if not found:
                continue
            at, kind, what = float(found[1]), found[2], found[3].strip()
            if kind == "tracing_mark_write" and what == f"mark {mark}":
                seen = True
            elif not seen:
                continue
            elif kind == "gpio_value" and what.startswith(f"{self._number} set "):
                events.append(Event(at, "set", int(what.split()[-1])))
            elif kind == "tracing_mark_write" and what.startswith("level "):
                events.append(Event(at, "level", int(what.split()[-1])))
            elif kind == "tracing_mark_write":
                events.append(Event(at, what))
        assert seen, f"mark {mark} is not in the trace: it holds {len(text)} characters"
        return events

    def changes(self, mark: int, what: str, unlocked: int = 1) -> list[Event]:
        """What was told (`set`) or found (`level`) after a mark, of a line that was locked there.

        A level that is told again is no change: a locked line is told so every second."""
        changes, before = [], 1 - unlocked
        for event in self.timeline(mark):
            if event.what == what and event.level != before:
                changes.append(event)
                before = event.level
        return changes

    def pulse(self, mark: int) -> float:
        """The length, in seconds, of the one pulse after a mark; told and sampled agree that it was one."""
        for what in ("set", "level"):
            changes = self.changes(mark, what)
            assert [event.level for event in changes] == [1, 0], f"not one pulse: {self.timeline(mark)}"
        told = self.changes(mark, "set")
        return told[1].at - told[0].at

    def no_pulse(self, mark: int) -> None:
        """The line was not told to unlock after a mark, and not found unlocked."""
        changes = self.changes(mark, "set") + self.changes(mark, "level")
        assert not changes, f"the line was moved: {changes}"

    # ---- The service -----------------------------------------------------------------------------

    def configure(self, pulse_ms: int = 3000, locked: str = "low", inputs: bool = True) -> None:
        """Writes the opener's configuration, with contact and button or without."""
        key = self._sign(DOOR_SEED)[0]
        text = f"""listener = "{LISTENER}"
[door]
id = "front"
[[door.keys]]
x = "{key}"
[broker]
host = "127.0.0.1"
[output]
pulse_ms = {pulse_ms}
[output.gpio]
chip = "{self.chip}"
line = {RELAY}
locked = "{locked}"
"""
        if inputs:
            text += f"""[contact]
chip = "{self.chip}"
line = {CONTACT}
open = "high"
held_open_s = 2
[button]
chip = "{self.chip}"
line = {BUTTON}
pressed = "low"
"""
        self.door.machine.write(CONFIG, text)

    def start(self) -> None:
        """Starts the opener before a closed door, and waits until it is ready."""
        after = self.door.mark()
        self.must(f"systemctl reset-failed {UNIT} 2>/dev/null; systemctl restart {UNIT}")
        self.close_door(after)

    def close_door(self, after: int) -> None:
        """Closes the door before an opener that has started after a mark, and waits until it is ready.

        It asks for a pull-up at its contact, which is an open door until something closes it."""

        def said(contact: str) -> bool:
            return any(state.json.get("contact") == contact for state in self.states(after)[-1:])

        self.door.wait("an open contact", lambda: said("open"))
        self.must(self.pull(CONTACT, 0))
        self.door.wait("a closed contact", lambda: said("closed"))

    def property(self, name: str) -> str:
        """A property of the unit."""
        return self.must(f"systemctl show --value --property {name} {UNIT}")

    def journal(self) -> str:
        """The unit's journal."""
        return self.must(f"journalctl --no-pager --quiet --unit {UNIT} --output=cat")

    def states(self, after: int) -> list[Message]:
        """What it said of itself after a mark of the door."""
        return self.door.messages(f"opener/{LISTENER}/state", after)

    def is_in(self, state: str, after: int) -> Message:
        """Waits until it says that it is in a state."""
        return self.door.next(f"opener/{LISTENER}/state", after, lambda message: message.json["state"] == state)

    # ---- The door's part -------------------------------------------------------------------------

    def _sign(self, seed: str, *claims: dict) -> list[str]:
        command = [str(self._signer), seed, *(json.dumps(one) for one in claims)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    def nonce(self) -> str:
        """The opener's latest nonce, young enough to be still the latest when it comes back."""

        def young() -> Message | None:
            now = float(self.must("date +%s.%N"))
            asked = self.door.messages("challenge")[-1:]
            return next((message for message in asked if now - message.heard_at < NONCE_AGE_S), None)

        return self.door.wait("a young nonce", young).json["nonce"]

    def claims(self, **others: object) -> dict:
        """The claims of the door's next grant, for the opener's latest nonce."""
        self._seq += 1
        issued = int(float(self.must("date +%s")))
        claims = {
            "iss": "front",
            "sub": "s-4f9a1c",
            "jti": f"0196f3c2-0a0b-7c0d-8e0f-{self._seq:012x}",
            "iat": issued,
            "exp": issued + 5,
            "seq": self._seq,
            "boot": "7c0d2f6a-1111-4222-8333-000000000001",
            "nonce": [self.nonce()],
        }
        return claims | others

    def grant(self, seed: str = DOOR_SEED, **others: object) -> str:
        """The door's next grant; with other claims, or by another key, a forged one."""
        return self._sign(seed, self.claims(**others))[1]

    def say(self, *messages: str) -> str:
        """The command that publishes messages as grants, all at once, and marks the moment as `said`."""
        lines = "".join(f" '{message}'" for message in messages)
        # The client connects while the second passes.
        return (
            f"{{ sleep 1; echo said > {TRACE}/trace_marker; printf '%s\\n'{lines}; }} |"
            f" mosquitto_pub -V mqttv5 -h 127.0.0.1 -q 1 -t {GRANT} -l"
        )

    def refused(self, message: str, reason: str) -> None:
        """Says it, and waits until the opener says why it takes it for none."""
        after = self.door.mark()
        # Refusals are told once a second.
        self.must(f"sleep 1; {self.say(message)}")
        topic = f"opener/{LISTENER}/state"
        self.door.next(topic, after, lambda heard: heard.json.get("last_refusal") == reason, PATIENCE)


def unsigned(claims: dict) -> str:
    """A grant that says of itself that it needs no signature."""
    header = {"alg": "none", "typ": "deepid-grant+jwt"}
    return ".".join(base64url(json.dumps(part).encode()) for part in (header, claims)) + "."


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
