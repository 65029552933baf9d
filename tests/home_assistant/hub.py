"""Home Assistant as a process, and its own interfaces as a person's browser uses them.

in   a folder for its configuration; tools/home_assistant.sh, which runs it
out  states, registries, what a service did; everything is asked by REST and by its websocket

What a test awaits is awaited for `PATIENCE_S` seconds, which measures nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN = ROOT / "tools/home_assistant.sh"
T = TypeVar("T")
PATIENCE_S = 90
CONFIGURATION = """\
# As a new installation's, without what looks for devices on the network.
frontend:
config:
history:
logbook:
automation: !include automations.yaml
http:
  server_host: 127.0.0.1
  server_port: {port}
"""


def until(question: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """Asks again and again until the answer is true; the last answer."""
    end = time.monotonic() + patience_s
    while not (answer := question()) and time.monotonic() < end:
        time.sleep(0.1)
    return answer


class Hub:
    """One Home Assistant, which can be stopped and started again."""

    def __init__(self, folder: pathlib.Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.address = f"http://127.0.0.1:{port}"
        self.token: str | None = None
        self.process: subprocess.Popen | None = None
        self.socket: Any = None
        self.answers: dict[int, dict] = {}
        self.changes: list[dict] = []
        self.asked = 0
        folder.mkdir(parents=True)
        (folder / "configuration.yaml").write_text(CONFIGURATION.format(port=port))
        (folder / "automations.yaml").write_text("[]\n")

    # ---- The process -----------------------------------------------------------------------------

    def start(self) -> None:
        """Starts it, and returns when it says that it runs."""
        command = [RUN, "-m", "homeassistant", "--config", self.folder, "--skip-pip", "--log-no-color"]
        log = open(self.folder.parent / "home-assistant.stdout", "a")
        self.process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        if not until(lambda: self.process.poll() is not None or self.answers_http()) or self.process.poll() is not None:
            raise AssertionError(f"Home Assistant does not start: see {log.name}")
        if self.token:
            self.open_socket()
            until(lambda: self.get("/api/config")["state"] == "RUNNING")

    def stop(self) -> None:
        """Ends it as a service manager does."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def pause(self) -> None:
        """Lets it stand still, as an overloaded machine would; its connections stay open."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def answers_http(self) -> bool:
        with contextlib.suppress(OSError):
            self.request("GET", "/api/onboarding", None, None)
            return True
        return False

    def log(self) -> str:
        """What it logged since its last start."""
        return (self.folder / "home-assistant.log").read_text()

    # ---- REST ------------------------------------------------------------------------------------

    def request(self, method: str, path: str, body: bytes | None, kind: str | None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if kind:
            headers["Content-Type"] = kind
        request = urllib.request.Request(self.address + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            if error.code == 404 and path.startswith("/api/states/"):
                return None
            if path == "/api/onboarding":
                return None
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def get(self, path: str) -> Any:
        return self.request("GET", path, None, None)

    def post(self, path: str, value: object) -> Any:
        return self.request("POST", path, json.dumps(value).encode(), "application/json")

    # ---- The first evening -----------------------------------------------------------------------

    def onboard(self) -> None:
        """Makes the owner's account as the first visitor of the page does, and a lasting token."""
        client = self.address + "/"
        owner = {"name": "Owner", "username": "owner", "password": os.urandom(12).hex()}
        code = self.post("/api/onboarding/users", owner | {"client_id": client, "language": "en"})["auth_code"]
        form = {"grant_type": "authorization_code", "code": code, "client_id": client}
        body = urllib.parse.urlencode(form).encode()
        self.token = self.request("POST", "/auth/token", body, "application/x-www-form-urlencoded")["access_token"]
        self.post("/api/onboarding/analytics", {})
        self.post("/api/onboarding/integration", {"client_id": client, "redirect_uri": client})
        self.open_socket()
        if self.ask("http/config").get("pending"):
            # The address of configuration.yaml is on trial for five minutes, until somebody who has reached
            # the page confirms it.
            self.ask("http/config/promote")
        self.token = self.ask("auth/long_lived_access_token", client_name="test", lifespan=1)
        self.open_socket()

    def add_mqtt(self, port: int, username: str, password: str) -> dict:
        """Adds the integration by its own form, as a person would."""
        form = self.post("/api/config/config_entries/flow", {"handler": "mqtt"})
        if form["type"] == "menu":
            form = self.post(f"/api/config/config_entries/flow/{form['flow_id']}", {"next_step_id": "broker"})
        assert form["type"] == "form" and form["step_id"] == "broker", form
        values = {"broker": "127.0.0.1", "port": port, "username": username, "password": password}
        # Fields that must be filled in and have a default: as the page would send them.
        for field in form["data_schema"]:
            if field.get("required") and "default" in field:
                values.setdefault(field["name"], field["default"])
        values["other_settings"] = {"set_client_cert": False, "set_ca_cert": "off", "transport": "tcp"}
        done = self.post(f"/api/config/config_entries/flow/{form['flow_id']}", values)
        assert done["type"] == "create_entry", done
        return values

    def automate(self, name: str, blueprint: str, inputs: dict) -> None:
        """Makes an automation out of a blueprint, as the page's editor saves it."""
        value = {"alias": name, "use_blueprint": {"path": f"deepid-edge/{blueprint}", "input": inputs}}
        self.post(f"/api/config/automation/config/{name}", value)
        if not until(lambda: (self.state(f"automation.{name}") or {}).get("state") == "on"):
            raise AssertionError(f"automation {name} is not on: {self.state(f'automation.{name}')}")

    # ---- The websocket ---------------------------------------------------------------------------

    def open_socket(self) -> None:
        """A new connection, which also hears every change of a state from now on."""
        if self.socket:
            self.socket.close()
        # A hub that was paused for long (`pause`) is not to lose its listener: nothing is pinged.
        socket = connect(self.address.replace("http", "ws") + "/api/websocket", max_size=None, ping_interval=None)
        assert json.loads(socket.recv())["type"] == "auth_required"
        socket.send(json.dumps({"type": "auth", "access_token": self.token}))
        assert json.loads(socket.recv())["type"] == "auth_ok"
        self.socket = socket
        threading.Thread(target=self.hear, args=[socket], daemon=True).start()
        self.ask("subscribe_events", event_type="state_changed")

    def hear(self, socket: Any) -> None:
        with contextlib.suppress(ConnectionClosed):
            for text in socket:
                message = json.loads(text)
                if message["type"] == "event":
                    self.changes.append(message["event"]["data"])
                else:
                    self.answers[message["id"]] = message

    def ask(self, kind: str, **fields: object) -> Any:
        """One question by the websocket, and the result."""
        self.asked += 1
        number = self.asked
        self.socket.send(json.dumps({"id": number, "type": kind} | fields))
        answer = until(lambda: self.answers.pop(number, None))
        assert answer and answer["success"], f"{kind}: {answer}"
        return answer["result"]

    # ---- What it shows ---------------------------------------------------------------------------

    def state(self, entity: str) -> dict | None:
        return self.get(f"/api/states/{entity}")

    def value(self, entity: str) -> str | None:
        state = self.state(entity)
        return state and state["state"]

    def becomes(self, entity: str, *values: str, patience_s: float = PATIENCE_S) -> bool:
        """Whether an entity comes to show one of these values."""
        return until(lambda: self.value(entity) in values, patience_s)

    def events(self, entity: str) -> list[dict]:
        """The new states of an event entity, one for each event: its state is the time of the last one."""
        changes = [change for change in list(self.changes) if change["entity_id"] == entity]
        fired, last = [], None
        for change in changes:
            new, old = change["new_state"] or {}, change["old_state"] or {}
            last = old.get("state") if last is None else last
            state = new.get("state")
            if state in (None, "unavailable", "unknown"):
                continue
            if state != last:
                fired.append(new)
            last = state
        return fired

    def device(self, identifier: str) -> dict | None:
        devices = self.ask("config/device_registry/list")
        return next((one for one in devices if ["mqtt", identifier] in one["identifiers"]), None)

    def entities(self, device: dict) -> list[dict]:
        return [one for one in self.ask("config/entity_registry/list") if one["device_id"] == device["id"]]

    def service(self, domain: str, service: str, **data: object) -> None:
        self.post(f"/api/services/{domain}/{service}", data)
