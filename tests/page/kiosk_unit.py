"""The kiosk's unit under a real systemd: cage and Chromium as `deploy/kiosk/README.md` installs them.

in   root, mmdebstrap, systemd-nspawn; the program (--program); the photographs
out  a line for each check; exits with 1 where one failed, with 2 where the container cannot be had

A Debian 12 with the packages of the guide is made once into assets/roots and booted as a container,
before a real daemon of this machine (daemon.py), with which it shares the network. The files are put
where the guide puts them, and the unit runs as it is but for what a container has not: a console and a
graphics card. wlroots draws without a screen (`WLR_BACKENDS=headless`), by the processor. Chromium gets
one flag more, by /etc/chromium.d, and the policy against developer tools is left out, so that the test
can see and press what a person would.

    tools/in_venv.sh tests/page/requirements-kiosk.txt tests/page/kiosk_unit.py
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import websocket

from daemon import NAME, PASSWORD, PROGRAM, ROLES, ROOT, Daemon, Failed, free_port

KIOSK = ROOT / "deploy/kiosk"
BARE = ROOT / "assets/roots/kiosk-bookworm"
PACKAGES = ("systemd", "systemd-sysv", "dbus", "libpam-systemd", "cage", "xwayland", "chromium", "procps", "grim")
UNIT = "deepid-kiosk"
PATIENCE_S = 180
# What a container has not. The seat of the headless backend is nobody's.
CONTAINER = """\
[Unit]
ConditionPathExists=
[Service]
Environment=WLR_BACKENDS=headless WLR_RENDERER=pixman LIBSEAT_BACKEND=noop
TTYPath=
TTYReset=no
TTYVHangup=no
TTYVTDisallocate=no
StandardInput=null
"""


class Container:
    """A booted Debian; `run` runs a command in it, as root."""

    def __init__(self, root: pathlib.Path):
        self.root = root
        command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--directory", str(root)]
        self.console = (root.parent / "console").open("w", encoding="utf-8")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT)
        until("systemd runs in the container", lambda: self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"))

    def first(self) -> str:
        """The container's process 1, by its number here."""
        place = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        if self.process.poll() is not None:
            raise Failed(f"the container has ended: {(self.root.parent / 'console').read_text(errors='replace')[-2000:]}")
        return (place.read_text().split() or [""])[0]

    def run(self, *command: str) -> subprocess.CompletedProcess:
        first = self.first()
        words = ["nsenter", "--target", first, "--all", *command] if first else ["false"]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    def close(self) -> None:
        if self.process.poll() is None and self.first():
            self.run("systemctl", "poweroff", "--force", "--force")
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.console.close()


def until(about: str, holds, patience_s: float = PATIENCE_S):
    """What `holds` gives as soon as it is true."""
    end = time.monotonic() + patience_s
    last = None
    while True:
        try:
            if found := holds():
                return found
        except (websocket.WebSocketException, OSError, subprocess.TimeoutExpired) as error:
            last = error
        if time.monotonic() > end:
            raise Failed(f"within {patience_s} s: {about} ({last})")
        time.sleep(0.3)


def furnish(folder: pathlib.Path, daemon: Daemon, port: int) -> pathlib.Path:
    """A Debian with the kiosk's files in their places."""
    if not BARE.exists():
        new = BARE.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mmdebstrap", "--variant=minbase", "--quiet", f"--include={','.join(PACKAGES)}", "bookworm", str(new)], check=True)
        new.rename(BARE)
    root = folder / "root"
    for place in (root, folder / "upper", folder / "work"):
        place.mkdir()
    ways = f"lowerdir={BARE},upperdir={folder / 'upper'},workdir={folder / 'work'}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", ways, str(root)], check=True)
    url = f"{daemon.url}/kiosk"
    policies = json.loads((KIOSK / "policies.json").read_text(encoding="utf-8").replace("http://127.0.0.1:8480", daemon.url))
    # As they are, nobody may look into the page: not the test either.
    policies["DeveloperToolsAvailability"] = 1
    for name, text in (
        ("etc/sysusers.d/deepid-kiosk.conf", (KIOSK / "sysusers.conf").read_text(encoding="utf-8")),
        ("etc/systemd/system/deepid-kiosk.service", (KIOSK / "deepid-kiosk.service").read_text(encoding="utf-8")),
        ("etc/systemd/system/deepid-kiosk.service.d/container.conf", CONTAINER),
        ("etc/chromium/policies/managed/deepid-kiosk.json", json.dumps(policies)),
        ("etc/default/deepid-kiosk", f"DEEPID_KIOSK_URL={url}?lang=en\n"),
        ("etc/chromium.d/test", f'export CHROMIUM_FLAGS="$CHROMIUM_FLAGS --remote-debugging-port={port}"\n'),
    ):
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    for command in (["systemd-sysusers"], ["systemctl", "enable", UNIT]):
        subprocess.run(["chroot", str(root), *command], check=True, capture_output=True)
    return root


class Screen:
    """What the container's browser shows, by its debugger."""

    def __init__(self, port: int):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=10) as answer:
            pages = json.load(answer)
        page = next((one for one in pages if urllib.parse.urlsplit(one["url"]).path == "/kiosk"), None)
        if page is None:
            raise OSError(f"no page of the door: {[one['url'] for one in pages]}")
        self.socket = websocket.create_connection(page["webSocketDebuggerUrl"], timeout=30, suppress_origin=True)
        self.number = 0

    def does(self, method: str, **parameters) -> dict:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.number:
                if "result" not in answer:
                    raise OSError(f"{method}: {answer.get('error')}")
                return answer["result"]

    def tells(self, expression: str):
        return self.does("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def text(self) -> str:
        return self.tells("document.body.innerText") or ""

    def shows(self, mark: str) -> bool:
        return bool(self.tells(f"document.querySelector({json.dumps(mark)}) !== null"))

    def types(self, field: str, text: str) -> None:
        """As by a keyboard, into the field of this name."""
        self.tells(f"document.querySelector('input[name={field}]').select()")
        self.does("Input.insertText", text=text)


def check(container: Container, daemon: Daemon, port: int) -> None:
    said = container.run("systemd-analyze", "verify", "--man=no", f"/etc/systemd/system/{UNIT}.service")
    if said.returncode or "deepid-kiosk" in said.stderr:
        raise Failed(f"systemd-analyze verify: {said.stderr}")
    print("ok       systemd-analyze finds nothing in the unit", flush=True)
    state = lambda what: container.run("systemctl", "show", "--value", "--property", what, UNIT).stdout.strip()
    until("the unit is active", lambda: state("ActiveState") == "active")
    screen = until("the browser answers", lambda: Screen(port))
    until("the login is shown", lambda: screen.shows("input[name=password]"))
    slice_of = container.run("sh", "-c", f"systemctl show --value --property MemoryMax user-$(id -u {UNIT}).slice").stdout.strip()
    if slice_of != str(900 << 20):
        raise Failed(f"the screen's memory has no bound: {slice_of!r}")
    user = container.run("ps", "-o", "user=", "-C", "cage").stdout.split()
    if set(user) != {"deepid-+"} and set(user) != {"deepid-kiosk"}:
        raise Failed(f"cage runs as {user}")
    print("ok       the unit starts cage and Chromium, and the screen asks for its login", flush=True)
    screen.types("name", ROLES["kiosk"])
    screen.types("password", PASSWORD)
    screen.tells("document.querySelector('form').requestSubmit()")
    until("the clock is shown", lambda: screen.shows("body.idle #clock"))
    print("ok       it is signed in and shows the clock", flush=True)
    daemon.show("known")
    until("the visitor is greeted", lambda: screen.shows("body.granted") and NAME in screen.text())
    daemon.show("nobody")
    until("the clock is shown again", lambda: screen.shows("body.idle"))
    print("ok       a grant of the daemon is on the screen", flush=True)
    screen.does("Page.navigate", url=f"{daemon.url}/healthz")
    until("the browser refuses to go elsewhere", lambda: "blocked" in screen.text().lower())
    screen.does("Page.navigate", url=f"{daemon.url}/kiosk?lang=en")
    until("the clock is shown again", lambda: screen.shows("body.idle #clock"))
    print("ok       the policies let the browser go nowhere else", flush=True)
    for victim in ("cage", "chromium"):
        # Chromium keeps its cookies in a file, which it writes every 30 s and at its end.
        time.sleep(35)
        before = state("NRestarts")
        pids = container.run("pgrep", "-o", victim).stdout.split()
        container.run("kill", "-KILL", *pids)
        until(f"the unit is started again after {victim} was killed", lambda: int(state("NRestarts")) > int(before))
        screen = until("the browser answers", lambda: Screen(port))
        until("the screen is signed in still", lambda: screen.shows("body.idle #clock"))
        print(f"ok       {victim} is killed: the unit comes back, and the screen is signed in still", flush=True)
    daemon.stop()
    until("the screen says so", lambda: screen.shows("body.gone") and "No connection to the door" in screen.text())
    daemon.start()
    until("the screen goes on", lambda: screen.shows("body.idle #clock"))
    print("ok       the daemon goes: the screen says so, and goes on by itself when it is back", flush=True)
    container.run("systemctl", "stop", UNIT)
    until("nothing of it is left", lambda: state("ActiveState") == "inactive" and not container.run("pgrep", "cage|chromium").stdout)
    print("ok       the unit is stopped: no browser is left behind", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, default=PROGRAM)
    asked = parser.parse_args()
    if os.geteuid() != 0 or not shutil.which("systemd-nspawn"):
        print("skipped  the kiosk's unit: root and systemd-nspawn are needed (tools/setup_debian.sh deb-test)")
        return 2
    daemon, port, container = Daemon(asked.program.resolve()), free_port(), None
    try:
        container = Container(furnish(daemon.folder, daemon, port))
        check(container, daemon, port)
        return 0
    except (Failed, OSError, websocket.WebSocketException) as why:
        print(f"FAILED   {why}")
        if container:
            print(container.run("journalctl", "--no-pager", "--lines=80", f"UNIT={UNIT}.service", "+", "SYSLOG_IDENTIFIER=cage").stdout)
        return 1
    finally:
        if container:
            container.close()
        subprocess.run(["umount", str(daemon.folder / "root")], check=False, stderr=subprocess.DEVNULL)
        daemon.close()


sys.exit(main())
