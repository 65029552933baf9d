"""The door that is tested: the mock, a real daemon of this machine's own, or one that runs elsewhere.

in   the arguments of check.py
out  address, accounts and pictures; ways to let somebody come, and to stop and start the daemon

What a daemon elsewhere was not given a command for is not there (`None`), and its cases are skipped aloud.
"""

import dataclasses
import pathlib
import shlex
import subprocess
import tempfile

import daemon as real_daemon
from daemon import Daemon
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
    # One that this machine started for the test.
    daemon: Daemon | None = None
    on_visit: str | None = None
    on_stop: str | None = None
    on_start: str | None = None
    at_door: str | None = None
    insecure: bool = False

    @property
    def world(self) -> World | None:
        return self.mock.world if self.mock else None

    def can(self, what: str) -> bool:
        given = {"visit": "on_visit", "stop": "on_stop", "enrol": "at_door"}
        return self.mock is not None or self.daemon is not None or getattr(self, given[what]) is not None

    @property
    def known(self) -> str | None:
        """Who is granted when somebody visits; nobody knows that of a daemon elsewhere."""
        if self.world:
            return next(iter(self.world.subjects.values()))["name"]
        return real_daemon.NAME if self.daemon else None

    def visit(self) -> None:
        """Somebody who is enrolled comes and is granted."""
        if self.world:
            self.world.come()
            self.world.decide("granted", "matched", next(iter(self.world.subjects.values())))
        elif self.daemon:
            self.daemon.show("known")
        else:
            run(self.on_visit)

    def leave(self) -> None:
        if self.world:
            self.world.go()
        elif self.daemon:
            self.daemon.show("nobody")

    def pose(self, step: str) -> None:
        """Somebody stands before the camera as an enrolment asks for it."""
        if self.daemon:
            self.daemon.show(step)
        elif self.at_door and step == "straight":
            run(self.at_door)

    def tidy(self) -> None:
        """As before the first case: nobody stands there, and who was enrolled by a case is gone."""
        if self.daemon:
            self.daemon.show("nobody")
            self.daemon.forget()

    def close(self) -> None:
        if self.daemon:
            self.daemon.close()

    def stop(self) -> None:
        if self.mock:
            self.mock.stop()
        elif self.daemon:
            self.daemon.stop()
        else:
            run(self.on_stop)

    def start(self) -> None:
        if self.mock:
            old = self.mock
            self.mock = Mock(old.world, old.server_port, old.sessions)
        elif self.daemon:
            self.daemon.start()
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


def started(program: str) -> Target:
    """A real daemon of `program`, which `close` ends."""
    daemon = Daemon(pathlib.Path(program).resolve())
    accounts = {role: (name, real_daemon.PASSWORD) for role, name in real_daemon.ROLES.items()}
    return Target(daemon.url, accounts, daemon.pictures, HERE / "pictures/no-face.png", daemon=daemon)


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
