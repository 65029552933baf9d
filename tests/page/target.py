"""The door that is tested: the mock, or a real daemon.

in   the arguments of check.py
out  address, accounts and pictures; ways to let somebody come, and to stop and start the daemon

What a real daemon was not given a command for is not there (`None`), and its cases are skipped aloud.
"""

import dataclasses
import pathlib
import shlex
import subprocess
import tempfile

from mock import PASSWORD, Mock
from world import MARKUP, World

HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass
class Target:
    url: str
    accounts: dict[str, tuple[str, str]]
    pictures: list[pathlib.Path]
    no_face: pathlib.Path
    mock: Mock | None = None
    on_visit: str | None = None
    on_stop: str | None = None
    on_start: str | None = None
    at_door: str | None = None
    insecure: bool = False

    @property
    def world(self) -> World | None:
        return self.mock.world if self.mock else None

    def can(self, what: str) -> bool:
        return self.mock is not None or getattr(self, {"visit": "on_visit", "stop": "on_stop", "enrol": "at_door"}[what]) is not None

    def visit(self) -> None:
        """Somebody who is enrolled comes and is granted."""
        if self.world:
            self.world.come()
            self.world.decide("granted", "matched", next(iter(self.world.subjects.values())))
        else:
            run(self.on_visit)

    def leave(self) -> None:
        if self.world:
            self.world.go()

    def stop(self) -> None:
        if self.mock:
            self.mock.stop()
        else:
            run(self.on_stop)

    def start(self) -> None:
        if self.mock:
            old = self.mock
            self.mock = Mock(old.world, old.server_port, old.sessions)
        else:
            run(self.on_start)


def run(command: str | None) -> None:
    subprocess.run(shlex.split(command or ""), check=True, timeout=120)


def mocked() -> Target:
    mock = Mock(World())
    assert MARKUP in [one["name"] for one in mock.world.subjects.values()]
    accounts = {role: (name, PASSWORD) for role, name in (("administrator", "admin"), ("viewer", "viewer"), ("kiosk", "kiosk"))}
    pictures = [HERE / f"pictures/door-{index}.jpg" for index in (0, 2, 4)]
    return Target(mock.address, accounts, pictures, HERE / "pictures/no-face.png", mock)


def real(arguments) -> Target:
    accounts = {}
    for role in ("administrator", "viewer", "kiosk"):
        given = getattr(arguments, role)
        if given:
            name, _, password = given.partition(":")
            accounts[role] = (name, password or pathlib.Path(arguments.password_file).read_text().strip())
    if "administrator" not in accounts:
        raise SystemExit("check: a real daemon needs --administrator NAME:PASSWORD")
    return Target(
        arguments.url.rstrip("/"),
        accounts,
        [pathlib.Path(path).resolve() for path in arguments.picture],
        pathlib.Path(arguments.no_face or HERE / "pictures/no-face.png").resolve(),
        on_visit=arguments.on_visit,
        on_stop=arguments.on_stop,
        on_start=arguments.on_start,
        at_door=arguments.at_door,
        insecure=arguments.insecure,
    )


def broken_picture() -> pathlib.Path:
    """A file that says that it is a JPEG and is none."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="deepid-page-")) / "broken.jpg"
    path.write_bytes(b"not a picture at all")
    return path
