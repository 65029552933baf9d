"""A door that speaks the contract of the page's API, for tests of the page in a browser.

in   src/serve/assets as it is, world.py
out  the page and its API on 127.0.0.1; with --port it stays until it is stopped:

    python3 tests/page/mock.py --port 8080      administrator 'admin', viewer 'viewer', kiosk 'kiosk';
                                                the password of each is 'correct horse'

Only the standard library. Deliberately absent: TLS, and everything of a door but its face.
"""

import argparse
import base64
import email.parser
import email.policy
import hashlib
import http.cookies
import http.server
import io
import json
import pathlib
import queue
import secrets
import socket
import struct
import threading
import time
import urllib.parse

from world import GROUPS, THRESHOLD, Problem, World

HERE = pathlib.Path(__file__).resolve().parent
ASSETS = HERE.parents[1] / "src/serve/assets"
PASSWORD = "correct horse"
ROLES = {"admin": "administrator", "viewer": "viewer", "kiosk": "kiosk"}
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".json": "application/json"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KIOSK_AGE_S = 400 * 86_400
FAILURES_MAX = 5
WRONG_PINS_MAX = 3
COOKIE = "deepid_edge_session"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Mock"

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self):
        self.server.connections.discard(self.connection)
        super().finish()

    # Answers

    def answer(self, status: int, body: bytes, kind: str, **headers) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def give(self, value, status: int = 200, **headers) -> None:
        if value is None:
            self.send_response(204)
            self.end_headers()
            return
        self.answer(status, json.dumps(value).encode(), "application/json", Cache_Control="no-store", **headers)

    def file(self, name: str) -> None:
        path = (ASSETS / name).resolve()
        if not path.is_relative_to(ASSETS) or not path.is_file():
            raise Problem(404, "Not found", f"there is no {name!r}")
        headers = {"Content_Security_Policy": POLICY, "X_Content_Type_Options": "nosniff", "Cache_Control": "no-cache"}
        self.answer(200, path.read_bytes(), TYPES[path.suffix], **headers)

    # Requests

    def do_GET(self):
        self.serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def serve(self) -> None:
        self.requested = urllib.parse.urlsplit(self.path)
        self.asked = dict(urllib.parse.parse_qsl(self.requested.query))
        self.sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self.route(self.requested.path)
        except Problem as problem:
            more = {"Retry_After": "30"} if problem.status == 429 else {}
            self.answer(problem.status, json.dumps(problem.body).encode(), "application/problem+json", **more)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def route(self, path: str) -> None:
        if path in ("/", "/kiosk"):
            return self.file("index.html" if path == "/" else "kiosk.html")
        if path.startswith("/assets/"):
            return self.file(path.removeprefix("/assets/"))
        if path == "/healthz":
            return self.answer(200, b"ok", "text/plain")
        if not path.startswith("/api/v1/"):
            raise Problem(404, "Not found", f"there is nothing at {path}")
        parts = [urllib.parse.unquote(part) for part in path.removeprefix("/api/v1/").split("/")]
        if parts == ["session"] and self.command == "POST":
            return self.log_in()
        if self.server.world.busy:
            raise Problem(503, "Busy", "the door is busy", "try again")
        session = self.session()
        if self.command != "GET" and self.headers.get("X-CSRF-Token") != session["csrf"]:
            raise Problem(403, "Forbidden", "the request lacks the session's CSRF token")
        return self.api(session, *parts)

    def key(self) -> str:
        cookie = http.cookies.SimpleCookie(self.headers.get("Cookie", ""))
        return cookie[COOKIE].value if COOKIE in cookie else ""

    @staticmethod
    def cookie(key: str, role: str) -> str:
        age = f"; Max-Age={KIOSK_AGE_S}" if role == "kiosk" else ""
        return f"{COOKIE}={key}; HttpOnly; SameSite=Strict; Path=/{age}"

    def session(self) -> dict:
        key = self.key()
        if key not in self.server.sessions:
            raise Problem(401, "No session", "nobody is signed in", "sign in")
        return self.server.sessions[key]

    def log_in(self) -> None:
        asked = json.loads(self.sent)
        if self.server.failures >= FAILURES_MAX:
            raise Problem(429, "Too many failures", "too many wrong passwords")
        if asked.get("name") not in ROLES or asked.get("password") != PASSWORD:
            self.server.failures += 1
            raise Problem(401, "Not signed in", "name or password is wrong", "look at both again; after five failures one must wait")
        self.server.failures = 0
        role, key = ROLES[asked["name"]], secrets.token_urlsafe(24)
        session = {"name": asked["name"], "role": role, "csrf": secrets.token_urlsafe(16)}
        self.server.sessions[key] = session
        self.give(session, Set_Cookie=self.cookie(key, role))

    def log_out(self, session: dict) -> None:
        for key in [key for key, one in self.server.sessions.items() if one is session]:
            del self.server.sessions[key]
        self.give(None, Set_Cookie=f"{COOKIE}=; Max-Age=0; Path=/")

    def pin(self) -> None:
        world, asked = self.server.world, json.loads(self.sent)
        if not world.awaited:
            raise Problem(409, "Conflict", "nobody's second factor is waited for")
        # As in src/serve/pin.rs: a visit has but a few, and a right one then is not compared either.
        if world.wrong_pins >= WRONG_PINS_MAX:
            raise Problem(429, "Too Many Requests", "too many wrong PINs in this visit")
        if asked["pin"] != world.pin:
            world.wrong_pins += 1
            raise Problem(422, "Unprocessable Content", "the PIN is wrong")
        self.give(None)

    def api(self, session: dict, *parts: str) -> None:
        world, role = self.server.world, session["role"]
        kiosk_may = {("session",), ("events",), ("kiosk",), ("pin",)}
        if role == "kiosk" and parts not in kiosk_may:
            raise Problem(403, "Forbidden", "a kiosk may not see this")
        writes = self.command != "GET" and parts != ("session",)
        if parts == ("pin",):
            if role != "kiosk":
                raise Problem(403, "Forbidden", "only a screen at the door may do this")
            return self.pin()
        if role != "administrator" and (writes or parts in {("live",), ("enrolments",), ("visits",)}):
            raise Problem(403, "Forbidden", "only an administrator may do this")
        match (self.command, *parts):
            case ("GET", "session"):
                more = {"Set_Cookie": self.cookie(self.key(), role)} if role == "kiosk" else {}
                self.give(session, **more)
            case ("DELETE", "session"):
                self.log_out(session)
            case ("GET", "events"):
                self.events(role)
            case ("GET", "live"):
                self.live()
            case ("GET", "kiosk"):
                self.give({"door": "Front door", "language": world.language, "sound": world.sound, "names": world.names_at_kiosk, "keypad": world.pin is not None, "time_zone": "Europe/Berlin"})
            case ("GET", "state" | "health" | "doctor" | "config" | "calibration" as what):
                self.give(getattr(world, what)())
            case ("GET", "subjects"):
                q = self.asked.get("q", "").lower()
                found = [one for one in world.subjects.values() if q in one["name"].lower()]
                self.give(sorted(found, key=lambda one: one["name"].lower()))
            case ("GET", "groups"):
                members = lambda name: sum(name in one["groups"] for one in world.subjects.values())
                self.give([{"id": f"g-{name}", "name": name, "schedules": hours, "members": members(name)} for name, hours in GROUPS.items()])
            case ("POST", "subjects", "pictures"):
                fields, pictures = self.form()
                self.give(world.pictures(fields.get("name", ""), pictures))
            case ("POST", "subjects", key, "pictures"):
                self.give(world.pictures(world.subject(key), self.form()[1]))
            case ("POST", "identify"):
                self.give(world.identify(self.form()[1][0][1]))
            case ("PATCH", "subjects", key):
                self.give(world.change(key, json.loads(self.sent)))
            case ("DELETE", "subjects", key):
                self.give(world.remove(key))
            case ("PUT" | "DELETE", "subjects", key, "groups", group):
                if group not in GROUPS:
                    raise Problem(404, "Not found", f"there is no group {group!r}")
                world.subject(key)["groups"] = [group] if self.command == "PUT" else []
                self.give(None)
            case ("GET", "enrolments"):
                self.give(world.enrolment)
            case ("POST", "enrolments"):
                asked = json.loads(self.sent)
                subject = world.subject(asked["subject"]) if "subject" in asked else None
                self.give({"id": world.enrol(asked.get("name"), subject)}, 201)
            case ("DELETE", "enrolments", key):
                self.give(world.end_enrolment(key, write=False))
            case ("POST", "enrolments", key, "finish"):
                self.give(world.end_enrolment(key, write=True))
            case ("GET", "visits"):
                self.give(world.remembered())
            case ("POST", "visits", key, "enrol"):
                self.give(world.enrol_visit(key, json.loads(self.sent)))
            case ("GET", "records"):
                self.page(world)
            case ("GET", "records.csv" | "records.jsonl" as name):
                found = world.select(self.asked)
                lines = [json.dumps(one) if name.endswith("l") else f"{one['seq']},{one['at']},{one['kind']}" for one in found]
                self.answer(200, "\n".join(lines).encode(), "text/plain", Content_Disposition=f"attachment; filename={name}")
            case _:
                raise Problem(404, "Not found", f"there is nothing for {self.command} at {self.requested.path}")

    def page(self, world: World) -> None:
        limit, found = int(self.asked.get("limit") or 50), world.select(self.asked)
        answer = {"records": found[:limit]}
        if len(found) > limit:
            answer["next_before"] = found[limit - 1]["seq"]
        self.give(answer)

    def form(self) -> tuple[dict, list]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parse(io.BytesIO(head + self.sent))
        fields, pictures = {}, []
        for part in message.iter_parts():
            name, file = part.get_param("name", header="Content-Disposition"), part.get_filename()
            if file is None:
                fields[name] = part.get_payload(decode=True).decode()
            else:
                pictures.append((file, part.get_payload(decode=True)))
        return fields, pictures

    # Streams

    def events(self, role: str) -> None:
        world, listener = self.server.world, self.server.world.listen()
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            while True:
                try:
                    name, data, seq = listener.get(timeout=15)
                except queue.Empty:
                    self.wfile.write(b": still here\n\n")
                    continue
                if role == "kiosk":
                    if name not in ("guidance", "decision", "presence", "health"):
                        continue
                    if name == "decision":
                        named = world.names_at_kiosk and data.get("subject")
                        data = {key: data[key] for key in ("seq", "at", "outcome", "reason")} | ({"subject": {"name": data["subject"]["name"]}} if named else {})
                    if name == "health":
                        data = {"status": data["status"], "presence": data["presence"]}
                head = f"id: {seq}\n" if seq else ""
                self.wfile.write(f"{head}event: {name}\ndata: {json.dumps(data)}\n\n".encode())
        except OSError:
            pass
        finally:
            with world.lock:
                world.listeners.discard(listener)

    def live(self) -> None:
        self.close_connection = True
        digest = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + WEBSOCKET).encode()).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()
        number = 0
        while True:
            number += 1
            observation, picture = self.server.look(number)
            try:
                self.frame(1, json.dumps(observation).encode())
                self.frame(2, picture)
            except OSError:
                return
            time.sleep(0.15)

    def frame(self, opcode: int, data: bytes) -> None:
        size = len(data)
        head = bytes([size]) if size < 126 else struct.pack("!BH", 126, size)
        self.wfile.write(bytes([0x80 | opcode]) + head + data)


class Mock(http.server.ThreadingHTTPServer):
    """The mock door; `stop` closes every connection, a later one on the same port takes them again."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, world: World, port: int = 0, sessions: dict | None = None):
        super().__init__(("127.0.0.1", port), Handler)
        self.world, self.sessions, self.failures = world, {} if sessions is None else sessions, 0
        self.connections: set[socket.socket] = set()
        about = json.loads((HERE / "pictures/door.json").read_text())
        self.about = about
        self.jpegs = [(HERE / f"pictures/door-{index}.jpg").read_bytes() for index in range(len(about["faces"]))]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def look(self, number: int) -> tuple[dict, bytes]:
        index = number % len(self.jpegs)
        subject = next(iter(self.world.subjects.values()), None)
        face = dict(self.about["faces"][index]) | {"primary": True, "score": 0.748 if self.world.recognised else 0.402}
        if self.world.recognised and subject:
            face["subject"] = {"id": subject["id"]}
        return {
            "sequence": number,
            "captured_at_ms": number * 150,
            "width": self.about["width"],
            "height": self.about["height"],
            "faces": [face],
            "score": face["score"],
            "threshold": THRESHOLD,
            "liveness": {"median": 0.91} if number % 40 > 12 else {"lacking": "looks"},
        }, self.jpegs[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8080)
    mock = Mock(World(), parser.parse_args().port)
    print(f"{mock.address}/: 'admin', 'viewer' or 'kiosk', password '{PASSWORD}'", flush=True)
    turn = 0
    while True:
        time.sleep(8)
        turn += 1
        people = list(mock.world.subjects.values())
        mock.world.come("come_closer")
        time.sleep(2)
        if turn % 3:
            mock.world.decide("granted", "matched", people[turn % len(people)])
        else:
            mock.world.decide("unknown", "no_match")
        time.sleep(3)
        mock.world.go()


if __name__ == "__main__":
    main()
