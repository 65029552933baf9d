"""Holds a real daemon to the document that it serves of its own API.

in   the program (--program), the photographs that `make assets` fetches
out  what schemathesis tells: requests by the form of each operation, and beside it, judged by status,
     media type, schema, and by who may ask; a line of figures; exits with 1 where anything failed

    tools/in_venv.sh tests/page/requirements-contract.txt tests/page/contract.py

Asked of `/api/v1/events`, which never ends, and of `/api/v1/live`, which is a WebSocket, is by hand what
the document says of them. Bounded by SECONDS, whatever is found. Deliberately absent: the roles of
accounts, which tests/page.rs asks of every route.
"""

import argparse
import base64
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import urllib.request

from daemon import PROGRAM, Daemon

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = 120
ENDLESS = "/api/v1/events"


def heads(daemon: Daemon, path: str, *lines: str) -> tuple[int, str, socket.socket]:
    """Status and media type of an answer that does not end, and the stream that it comes by."""
    stream = socket.create_connection(("127.0.0.1", daemon.port), timeout=30)
    head = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{daemon.port}", *lines]
    stream.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
    said = b""
    while b"\r\n\r\n" not in said:
        more = stream.recv(4096)
        if not more:
            break
        said += more
    text = said.decode("latin-1")
    kind = re.search(r"(?im)^content-type: *([^;\r\n]+)", text)
    return int(text.split(" ")[1]), kind.group(1) if kind else "", stream


def by_hand(daemon: Daemon, document: dict) -> list[str]:
    """What the two operations answer that schemathesis cannot judge, against the document."""
    token = f"Authorization: Bearer {daemon.token}"
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")
    wrong = []
    for path, lines, wanted in (
        (ENDLESS, (token,), 200),
        (ENDLESS, (), 401),
        ("/api/v1/live", (token, *upgrade), 101),
        ("/api/v1/live", upgrade, 401),
        ("/api/v1/live", (token,), 400),
    ):
        status, kind, stream = heads(daemon, path, *lines)
        stream.close()
        stated = document["paths"][path]["get"]["responses"].get(str(status))
        if status != wanted or stated is None or (kind or None) not in (stated.get("content") or {None: {}}):
            wrong.append(f"{path} is answered {status} {kind!r}; {wanted} was expected, the document states {stated}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, default=PROGRAM)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    asked = parser.parse_args()
    daemon = Daemon(asked.program)
    try:
        address = f"{daemon.url}/api/v1/openapi.json"
        headers = {"Authorization": f"Bearer {daemon.token}"}
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as answer:
            document = json.load(answer)
        wrong = by_hand(daemon, document)
        place = daemon.folder / "openapi.json"
        place.write_text(json.dumps(document), encoding="utf-8")
        program = [str(pathlib.Path(sys.executable).with_name("schemathesis")), "--config-file", str(HERE / "contract.toml")]
        options = ["--url", daemon.url, "--exclude-path", ENDLESS, "--max-time", str(asked.seconds), "--no-color"]
        ways = {"DEEPID_PAGE_TOKEN": daemon.token, "SCHEMATHESIS_HOOKS": "formats", "PYTHONPATH": str(HERE)}
        done = subprocess.run(
            [*program, "run", str(place), *options],
            env=os.environ | ways, cwd=daemon.folder, capture_output=True, text=True, check=False, timeout=asked.seconds * 3,
        )
        print(done.stdout + done.stderr)
        operations = sum(len(methods) for methods in document["paths"].values())
        cases = re.search(r"([\d,]+) generated", done.stdout)
        failed = sum(int(count) for count in re.findall(r"❌ ST\d+ .*?: (\d+)", done.stdout)) + len(wrong)
        alive = daemon.process is not None and daemon.process.poll() is None
        for line in [*wrong, *(() if alive else ("the daemon has ended",))]:
            print(f"FAILED   {line}")
        errors = [line for line in daemon.log().splitlines() if " ERROR " in line or "panicked" in line]
        for line in errors:
            print(f"FAILED   the daemon's log: {line}")
        print(f"contract: {operations} operations, {cases.group(1) if cases else 'no'} cases, {failed} failures")
        return 1 if done.returncode or wrong or errors or not alive or not cases else 0
    finally:
        daemon.close()


sys.exit(main())
