"""The installation guide as somebody follows it: the commands of docs/install.md, one after another.

in   a door in whose machine nothing of the project is installed, and the guide's text
out  `follow`: how many commands were run; an AssertionError with the first that failed

Every command of the guide's shell blocks is run in its order, but for those that `LEFT_OUT` names
with a reason; where a person types something, looks at something or has brought something along, the
tables below say what. A command that the guide gains is run without being named here.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from door import PATIENCE, Door

TEXT = Path(__file__).resolve().parents[2] / "docs" / "install.md"

# Where the person stands in the machine, with what was copied to it.
DESK = "/root/guide"
PACKAGE = "sudo apt install ./deepid-edge_*_arm64.deb"
BACKUP = "/media/usb/front-2026-11-24.age"
SECRET = "sudo install -o deepid-edge -m 0600 /dev/stdin /etc/deepid-edge/mqtt-password"

LEFT_OUT = {
    "sudo apt update && sudo apt full-upgrade": "the machine has no network",
}

# Sections of the configuration that are examples, and why they are not set.
NOT_HERE = {
    "camera": "the machine's camera has no such identity",
}

# What a person answers; one line for each question.
TYPED = {
    "sudo mosquitto_passwd -c /etc/mosquitto/passwd door-front": ["of the door", "of the door"],
    "sudo mosquitto_passwd /etc/mosquitto/passwd homeassistant": ["of the house", "of the house"],
    "sudo mosquitto_passwd /etc/mosquitto/passwd admin": ["of the admin", "of the admin"],
    'sudo -u deepid-edge deepid-edge subjects remove "Ada"': ["y"],
    "sudo -u deepid-edge deepid-edge keys rotate": ["y"],
    f"sudo deepid-edge backup {BACKUP}": ["five words picked at random", "five words picked at random"],
    f"sudo deepid-edge restore --check {BACKUP}": ["five words picked at random"],
    f"sudo deepid-edge restore {BACKUP}": ["five words picked at random"],
    f"sudo deepid-edge restore --replace {BACKUP}": ["five words picked at random"],
    "sudo deepid-edge backup /media/usb/front-before-update.age": ["five words picked at random", "five words picked at random"],
    "sudo apt purge deepid-edge": ["y"],
}

# What is given on standard input until Ctrl-D.
PIPED = {
    SECRET: "of the door\n",
}

# The same command for an emulated processor, which looks at a frame in a second or more.
SLOWER = {
    'sudo -u deepid-edge deepid-edge enroll "Ada" --camera --count 5': " --seconds 300",
    "sudo -u deepid-edge deepid-edge doctor": " --patience 60",
}

# Numbers that the guide makes up, and what this machine has in their place.
MADE_UP = {
    "sudo -u deepid-edge deepid-edge records show 42": "sudo -u deepid-edge deepid-edge records show 1",
}

# sudo is in no minimal Debian; whoever runs this is root already.
SUDO = """#!/bin/sh
[ "$1" = -u ] || exec "$@"
user=$2
shift 2
exec runuser -u "$user" -- "$@"
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of the guide."""

    language: str
    lines: list[str]


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a Markdown text, in their order."""
    found: list[Block] = []
    within = False
    for line in text.splitlines():
        if line.startswith("```"):
            within = not within
            if within:
                found.append(Block(line.removeprefix("```"), []))
        elif within:
            found[-1].lines.append(line)
    return found


def commands(block: Block) -> list[str]:
    """The commands of a shell block, without what is said beside them."""
    return [line.split("  #", 1)[0].strip() for line in block.lines if line.strip() and not line.startswith("#")]


def configured(block: Block) -> dict[str, dict[str, object]]:
    """The sections that a block of configuration sets, `a.b` as `a__b`; without those of another board."""
    settings = {}
    for name, section in tomllib.loads("\n".join(block.lines)).items():
        if name in NOT_HERE:
            continue
        inner = {key: value for key, value in section.items() if isinstance(value, dict)}
        settings[name] = {key: value for key, value in section.items() if key not in inner}
        settings |= {f"{name}__{key}": value for key, value in inner.items()}
    return settings


def follow(door: Door, text: str) -> int:
    """Follows the guide to its end."""
    door.must(f"mkdir -p {DESK} /media/usb && cp /payload/deepid-edge.deb {DESK}/deepid-edge_0_arm64.deb")
    for name, photograph in (("ada-1.jpg", "obama.jpg"), ("ada-2.jpg", "obama2.jpg")):
        door.must(f"cp /payload/photographs/{photograph} {DESK}/{name}")
    door.machine.write("/usr/local/bin/sudo", SUDO)
    # The image does without documents; a board has them.
    door.must("rm -f /etc/dpkg/dpkg.cfg.d/*mmdebstrap*")
    # The broker's name, which a network would know.
    door.must("chmod +x /usr/local/bin/sudo && echo 127.0.0.1 broker.lan >> /etc/hosts")
    run = 0
    for block in blocks(text):
        if block.language == "text" and block.lines[0].startswith("# /etc/mosquitto/"):
            door.machine.write(block.lines[0].removeprefix("# "), "\n".join(block.lines) + "\n")
            door.must("systemctl restart mosquitto")
        elif block.language == "toml":
            settings = configured(block)
            if settings:
                door.configure(**settings)
        elif block.language == "sh":
            for command in commands(block):
                if command in LEFT_OUT:
                    continue
                before(door, command)
                do(door, command)
                run += 1
    return run


def before(door: Door, command: str) -> None:
    """What a person has done before a command that is not itself in a block."""
    if command == "sudo -u deepid-edge deepid-edge doctor" and not door.run(f"test -e {DESK}/configured"):
        # The first look: the configuration is edited once, for this camera and this processor.
        door.must(f"touch {DESK}/configured")
        door.configure()
    elif command.startswith("sudo install -d -o deepid-edge -m 0700 /run/enrol"):
        # From files instead of from the camera.
        door.must("runuser -u deepid-edge -- deepid-edge subjects remove Ada --yes")
    elif command == f"sudo deepid-edge backup {BACKUP}":
        # What was removed for good is enrolled again, or the backup would hold nobody.
        door.must(f"install -d -o deepid-edge /run/enrol && install -o deepid-edge {DESK}/ada-1.jpg /run/enrol/")
        door.must("runuser -u deepid-edge -- deepid-edge enroll Ada --image /run/enrol/ada-1.jpg")
    elif command == f"sudo deepid-edge restore {BACKUP}":
        # A new board: steps 1 and 2 are done, and nothing else.
        door.must(f"apt-get --yes purge deepid-edge && dpkg --install {DESK}/deepid-edge_0_arm64.deb", 900)
    elif command == "sudo systemctl stop deepid-edge":
        # What the restored door says is missing: the broker's password and the authority.
        for missing in (SECRET, "sudo install -m 0644 ca.pem /etc/deepid-edge/"):
            do(door, missing)
    elif command == PACKAGE and door.run("dpkg-query --show deepid-edge"):
        # An update: the newer package was copied to the board in place of the old one.
        door.must(f"rm {DESK}/*.deb && cp /payload/deepid-edge-newer.deb {DESK}/deepid-edge_1_arm64.deb")


def do(door: Door, command: str) -> None:
    """Does one command as it stands, and looks at what it came to where the guide says what to see."""
    if command.startswith("openssl "):
        on_another_machine(door, command)
        return
    if command.startswith("mosquitto_sub "):
        line = f"timeout {PATIENCE} {command} | grep --line-buffered --max-count=1 '\"outcome\":\"granted\"'"
    elif command.endswith(" --follow"):
        # A person looks at it and ends it by Ctrl-C.
        line = f"timeout --signal=INT 20 {command.removeprefix('sudo -u deepid-edge ')}; test $? -eq 124"
        line = f"runuser -u deepid-edge -- sh -c {shlex.quote(line)}" if command.startswith("sudo -u ") else line
    elif command in TYPED:
        answers = "".join(f"sleep 2; printf '%s\\n' {shlex.quote(answer)}; " for answer in TYPED[command])
        # A terminal, because passwords are asked for on one.
        line = f"({answers} sleep 1) | script --quiet --return --command {shlex.quote(command)} /dev/null"
    elif command in PIPED:
        line = f"printf %s {shlex.quote(PIPED[command])} | {command}"
    else:
        line = MADE_UP.get(command, command) + SLOWER.get(command, "")
    answer = door.run(f"cd {DESK} && {line}", 900)
    assert answer, f"the guide's command\n  {command}\nended with {answer.status}:\n{answer.text}"


def on_another_machine(door: Door, command: str) -> None:
    """Certificates are made elsewhere: the guide says to keep the authority's key off the board."""
    elsewhere = Path(tempfile.gettempdir()) / "deepid-edge-guide-certificates"
    elsewhere.mkdir(exist_ok=True)
    subprocess.run(shlex.split(command), cwd=elsewhere, check=True, capture_output=True)
    for name in ("ca.pem", "broker.pem", "broker.key"):
        if (elsewhere / name).exists():
            door.machine.write(f"{DESK}/{name}", (elsewhere / name).read_text())
