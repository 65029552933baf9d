#!/usr/bin/env python3
"""The packages' life, from installing to purging, with the real dpkg in root file systems of their own.

in   target/debian/*.deb (`make deb`, and `make deb-arm64` where that was made too), the opener's in
     target/deb-opener (`make deb-opener`); root, mmdebstrap, lintian; assets/photographs
out  a line for each check; exit 1 when one failed, 2 when the test could not be held

What the package holds is checked for every architecture that is there; it is installed only where
this machine can run it, on each release of Debian that it is for. A bare one with systemd's tools is
made once into assets/roots and copied for each run; systemd of that release judges the units; at the
end it is booted as a container, where systemd-nspawn can do that. A real
kernel with a camera is for the virtual machine's test, what the unit says for tests/service.rs.

The older version is this very package with a lower number, another default configuration and a file
that the newer one lacks; its database is brought back to schema version 1 by the project's own SQL.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import sealed
from contents import check_contents, check_needs, fields_of
from report import Report, TestImpossible

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from releases import RELEASES, add_release, chosen  # noqa: E402

PACKAGES = ROOT / "target/debian"
OPENERS = ROOT / "target/deb-opener"
BARE = ROOT / "assets/roots"
PHOTOGRAPHS = ROOT / "assets/photographs"
NAME = "deepid-edge"
CONFIG = "etc/deepid-edge/config.toml"
STATE = "var/lib/deepid-edge"
UNIT = "deepid-edge.service"
OPENER = "deepid-opener"
# What `systemd-analyze security` may give a service at most, of 10, tests/service.rs holds the daemon's too.
EXPOSURE_MAX = {NAME: 1.5, OPENER: 1.5}
# As systemd would: the program itself, in place of a shell that passes signals on.
AS_USER = ("setpriv", f"--reuid={NAME}", f"--regid={NAME}", "--init-groups", "--no-new-privs", "--")
OLD_VERSION = "0.0.9-1"
# How well the network tells people apart is not asked here: the one that was enrolled must come back
# out of the database, and somebody quite different must not.
ENROLLED, STRANGER = "obama.jpg", "astronaut.png"
# Ends the container when the checks are over, however they ended.
CHECKS_UNIT = """\
[Unit]
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
ExecStart=/under_systemd.sh
TimeoutStartSec=280

[Install]
WantedBy=multi-user.target
"""
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive",
}
# A guard against hanging; it measures nothing.
PATIENCE_S = 120
# prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN): what MemoryDenyWriteExecute= asks of newer kernels.
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1


class Door:
    """A root file system in which the package lives."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *command: str, **options) -> subprocess.CompletedProcess:
        """Runs a command in the root, as root; never raises for its exit code."""
        return subprocess.run(
            ["chroot", str(self.path), *command],
            env=ENVIRONMENT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=PATIENCE_S, check=False, **options,
        )

    def dpkg(self, *arguments: str) -> str:
        """Runs dpkg, which must succeed; what it and the maintainer scripts said."""
        done = self.run("dpkg", *arguments)
        if done.returncode != 0:
            raise TestImpossible(f"dpkg {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}")
        return done.stdout

    def install(self, package: Path) -> str:
        """Installs a package file, as unattended upgrades do: what a person changed is kept."""
        shutil.copy(package, self.path / "tmp/package.deb")
        return self.dpkg("--force-confdef", "--force-confold", "--install", "/tmp/package.deb")

    def as_user(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        """Runs the program as the service's user."""
        return self.run(*AS_USER, f"/usr/bin/{NAME}", *arguments, **options)

    def identify(self, photograph: str, **options) -> str:
        """What one picture says, as JSON text."""
        return self.as_user("--json", "identify", f"/photographs/{photograph}", **options).stdout

    def status(self, name: str = NAME) -> str:
        """dpkg's word for the state of a package; empty when it knows none."""
        return self.run("dpkg-query", "--show", "--showformat", "${db:Status-Status}", name).stdout.strip()

    def forgotten(self, name: str = NAME) -> bool:
        """Whether dpkg knows nothing of a package any longer."""
        status = self.status(name)
        return status in ("", "not-installed") or "no packages found" in status

    def files(self) -> set[str]:
        """Every path but those that dpkg, systemd's user database and the machine itself keep."""
        kept = ("var/lib/dpkg", "var/cache", "var/log", "tmp", "run", "proc", "dev", "sys", "photographs")
        accounts = {f"etc/{name}{mark}" for name in ("passwd", "group", "shadow", "gshadow") for mark in ("", "-")}
        found = set()
        for folder, folders, names in os.walk(self.path):
            inside = Path(folder).relative_to(self.path).as_posix()
            folders[:] = [f for f in folders if (Path(inside) / f).as_posix() not in kept]
            found |= {(Path(inside) / name).as_posix() for name in [*folders, *names]}
        return found - accounts

    def start_and_stop(self) -> tuple[bool, str]:
        """Runs the daemon as the service's user until it says READY, then asks it to stop.

        Whether it did both, and what it logged."""
        heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        heard.settimeout(PATIENCE_S)
        heard.bind(str(self.path / "tmp/notify"))
        os.chmod(self.path / "tmp/notify", 0o666)
        daemon = subprocess.Popen(
            ["chroot", str(self.path), *AS_USER, f"/usr/bin/{NAME}", "--set", "mqtt.enabled=false", "run"],
            env=ENVIRONMENT | {"NOTIFY_SOCKET": "/tmp/notify"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        try:
            while "READY=1" not in heard.recv(4096).decode():
                pass
        except TimeoutError:
            daemon.kill()
            return False, f"never READY: {daemon.communicate()[0]}"
        finally:
            heard.close()
            (self.path / "tmp/notify").unlink()
        daemon.terminate()
        said, _ = daemon.communicate(timeout=PATIENCE_S)
        return daemon.returncode == 0, f"exit {daemon.returncode}\n{said}"


def older(package: Path, into: Path) -> Path:
    """The same package with a lower number, an older default configuration and a file more."""
    unpacked = into / "older"
    subprocess.run(["dpkg-deb", "--raw-extract", package, unpacked], check=True)
    number(unpacked, OLD_VERSION)
    config = unpacked / CONFIG
    config.write_text("# The default of an older version.\n" + config.read_text(encoding="utf-8"), encoding="utf-8")
    (unpacked / "usr/share/deepid-edge/models/of-an-older-version.toml").write_text("# gone in the next version\n", encoding="utf-8")
    sums = subprocess.run(
        "find . -path ./DEBIAN -prune -o -type f -printf '%P\\0' | sort -z | xargs -0 md5sum",
        shell=True, cwd=unpacked, check=True, text=True, stdout=subprocess.PIPE,
    ).stdout
    (unpacked / "DEBIAN/md5sums").write_text(sums, encoding="utf-8")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", unpacked, into], check=True, stdout=subprocess.DEVNULL)
    return next(into.glob(f"{NAME}_{OLD_VERSION}_*.deb"))


def to_schema_1(database: Path) -> None:
    """Brings a database back to what the first schema was, by the project's own first step.

    Names and references were in plain then, and there was no store key.
    """
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.row_factory = sqlite3.Row
    rows = {t: connection.execute(f"SELECT * FROM {t}").fetchall() for t in ("subjects", "subject_references", "audit", "outbox")}
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    connection.close()
    plain = in_plain(database.with_name("store.key"), rows)
    owner = database.stat()
    database.unlink()
    connection = sqlite3.connect(database)
    connection.executescript((ROOT / "src/store/schema/step-1.sql").read_text(encoding="utf-8"))
    for table, many in rows.items():
        # What later versions have added is not there yet.
        columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
        values = ", ".join(f":{name}" for name in columns)
        for row in many:
            known = dict(row) | plain.get((table, row[0]), {})
            connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})", known)
    connection.execute(f"PRAGMA application_id = {application}")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    os.chown(database, owner.st_uid, owner.st_gid)
    database.chmod(0o600)


def in_plain(store_key: Path, rows: dict[str, list[sqlite3.Row]]) -> dict[tuple[str, object], dict[str, object]]:
    """What was sealed, by table and id; the key is gone then."""
    key = bytes.fromhex(store_key.read_text(encoding="ascii").strip())
    store_key.unlink()
    keys = {row["id"]: sealed.opened(key, row["data_key"]) for row in rows["subjects"]}
    names = {("subjects", row["id"]): {"name": sealed.name(keys[row["id"]], row["name"])} for row in rows["subjects"]}
    numbers = {
        ("subject_references", row["id"]): {"vector": sealed.opened(keys[row["subject"]], row["vector"])}
        for row in rows["subject_references"]
    }
    return names | numbers


def schema_of(database: Path) -> int:
    """The schema version that a database states."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute("PRAGMA user_version").fetchone()[0]
    finally:
        connection.close()


def refuse_new_code() -> None:
    """In the child: memory that was written can no longer become executable."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_MDWE")


def installing(report: Report, door: Door, package: Path) -> None:
    said = door.install(package)
    report.check("after installing, the next steps are said", "systemctl start deepid-edge" in said, said)
    report.check("dpkg says installed", door.status() == "installed", door.status())
    user = door.run("getent", "passwd", NAME).stdout.strip()
    report.check("the service has a user of its own, without a shell", user.endswith("/usr/sbin/nologin"), user)
    groups = door.run("id", "--name", "--groups", NAME).stdout.split()
    report.check("the user may open cameras", "video" in groups, groups)
    folder = door.run("stat", "--format", "%U %G %a", f"/{STATE}").stdout.strip()
    report.check("the database's folder is the user's alone", folder == f"{NAME} {NAME} 700", folder)
    wanted = door.path / f"etc/systemd/system/multi-user.target.wants/{UNIT}"
    report.check("the service is enabled", wanted.is_symlink(), wanted)
    conffiles = door.run("dpkg-query", "--show", "--showformat", "${Conffiles}", NAME).stdout
    report.check("the configuration, and nothing else, is a conffile", [l.split()[0] for l in conffiles.split("\n") if l.strip()] == [f"/{CONFIG}"], conffiles)
    checked = door.as_user("config", "check")
    report.check("the configuration is right as it comes", checked.returncode == 0 and f"/{CONFIG}" in checked.stdout, checked.stdout)
    verified = door.run("dpkg", "--verify", NAME)
    report.check("every file is as the package says", verified.stdout == "" and verified.returncode == 0, verified.stdout)
    program = door.as_user("-V").stdout.split()
    report.check("program and package have one version", fields_of(package)["Version"].startswith(f"{program[1]}-"), program)


def recognising(report: Report, door: Door) -> None:
    enrolled = door.as_user("enroll", "Ada", "--image", f"/photographs/{ENROLLED}")
    report.check("a person can be enrolled before the first start", enrolled.returncode == 0, enrolled.stdout)
    known, stranger = door.identify(ENROLLED), door.identify(STRANGER)
    report.check("the person is recognised", '"recognised"' in known and '"Ada"' in known, known)
    report.check("another person is not", '"recognised"' not in stranger and '"no_match"' in stranger, stranger)
    without_new_code(report, door, known)
    ran, said = door.start_and_stop()
    report.check("the daemon starts as this user, says READY and stops when asked", ran, said)


def without_new_code(report: Report, door: Door, known: str) -> None:
    """The unit's MemoryDenyWriteExecute=, held against the real TFLite library."""
    what = "the TFLite library runs where no written memory may become code"
    writable_code = "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)"
    try:
        control = subprocess.run([sys.executable, "-c", writable_code], preexec_fn=refuse_new_code, stderr=subprocess.DEVNULL, check=False)
        if control.returncode == 0:
            raise TestImpossible("PR_SET_MDWE was accepted and refuses nothing")
        strict = door.identify(ENROLLED, preexec_fn=refuse_new_code)
    except subprocess.SubprocessError:
        report.skip(what, "needs Linux 6.3 (PR_SET_MDWE)")
    else:
        report.check(what, strict == known, strict)


def upgrading(report: Report, door: Door, package: Path) -> None:
    report.check("the older version is there", door.run("dpkg-query", "--show", "--showformat", "${Version}", NAME).stdout == OLD_VERSION, "")
    config = door.path / CONFIG
    config.write_text(config.read_text(encoding="utf-8").replace('#id = "front"', 'id = "garden"'), encoding="utf-8")
    edited = config.read_text(encoding="utf-8")
    secret = door.path / "etc/deepid-edge/mqtt-password"
    secret.write_text("hidden\n", encoding="utf-8")
    database = door.path / STATE / "deepid-edge.db"
    to_schema_1(database)
    report.check("the older database has an older schema", schema_of(database) == 1, schema_of(database))
    door.install(package)
    report.check("the upgrade keeps a configuration that was edited", config.read_text(encoding="utf-8") == edited, config.read_text(encoding="utf-8")[:200])
    report.check("and lays the new default beside it", (door.path / f"{CONFIG}.dpkg-dist").is_file(), os.listdir(config.parent))
    shown = door.as_user("config", "show").stdout
    report.check("which is in force", 'id = "garden"' in shown, shown[:400])
    report.check("what the new version lacks is gone", not (door.path / "usr/share/deepid-edge/models/of-an-older-version.toml").exists(), "")
    ran, said = door.start_and_stop()
    report.check("the daemon brings the database up to date", ran and schema_of(database) > 1, f"{schema_of(database)} {said}")
    unknown = door.identify(ENROLLED)
    report.check("references of an unknown network are not compared", '"recognised"' not in unknown, unknown)
    adopted = door.as_user("subjects", "adopt", "--model", "deepid2", "--yes")
    report.check("an administrator can vouch for them", adopted.returncode == 0, adopted.stdout)
    known = door.identify(ENROLLED)
    report.check("who was enrolled before is recognised then", '"recognised"' in known and '"Ada"' in known, known)


def removing(report: Report, door: Door) -> None:
    said = door.dpkg("--remove", NAME)
    report.check("removing says that the enrolled people stay", "apt purge deepid-edge" in said, said)
    report.check("the program is gone", not (door.path / f"usr/bin/{NAME}").exists() and not (door.path / "usr/lib/deepid-edge").exists(), "")
    report.check("configuration, password and database stay", all((door.path / p).is_file() for p in (CONFIG, "etc/deepid-edge/mqtt-password", f"{STATE}/deepid-edge.db")), "")
    report.check("dpkg says that configuration remains", door.status() == "config-files", door.status())


def installing_again(report: Report, door: Door, package: Path) -> None:
    door.install(package)
    shown = door.as_user("config", "show").stdout
    report.check("installed again, the edited configuration is in force", 'id = "garden"' in shown, shown[:400])
    known = door.identify(ENROLLED)
    report.check("and the enrolled person is recognised", '"recognised"' in known, known)
    wanted = door.path / f"etc/systemd/system/multi-user.target.wants/{UNIT}"
    report.check("and the service is enabled and not masked", wanted.exists() or wanted.is_symlink(), "")
    report.check("no mask is left", not (door.path / f"etc/systemd/system/{UNIT}").is_symlink(), "")


def purging(report: Report, door: Door, before: set[str]) -> None:
    said = door.dpkg("--purge", NAME)
    report.check("purging says what was erased", f"erased /{STATE}" in said and "erased /etc/deepid-edge" in said, said)
    report.check("the enrolled people are gone", not (door.path / STATE).exists(), "")
    report.check("configuration and password are gone", not (door.path / "etc/deepid-edge").exists(), "")
    left = sorted(door.files() - before)
    report.check("nothing is left behind", not left, left)
    gone = sorted(before - door.files())
    report.check("nothing of others is gone", not gone, gone)
    report.check("dpkg has forgotten it", door.forgotten(), door.status())


def starting_anew(report: Report, door: Door, package: Path) -> None:
    door.install(package)
    report.check("installed after a purge, the configuration is the default", (door.path / CONFIG).read_bytes() == (ROOT / "deploy/config.toml").read_bytes(), "")
    nobody = door.identify(ENROLLED)
    report.check("and nobody is enrolled", '"recognised"' not in nobody, nobody)
    # The folder may be a link to another disk, and hold what belongs to nobody else.
    elsewhere = door.path / "srv/faces"
    shutil.move(door.path / STATE, elsewhere)
    (elsewhere / "deepid-edge.db").write_bytes(b"numbers of faces")
    (door.path / STATE).symlink_to("/srv/faces")
    door.dpkg("--purge", NAME)
    report.check("purging follows a link to where the people are kept", not list(elsewhere.glob("*")), list(elsewhere.glob("*")))


def judging(report: Report, door: Door, name: str) -> None:
    """What the release's own systemd says of a package's unit: another one knows other settings."""
    unit = f"/usr/lib/systemd/system/{name}.service"
    verified = door.run("systemd-analyze", "verify", "--man=no", unit)
    ours = [line for line in verified.stdout.splitlines() if name in line]
    report.check("its systemd understands the unit", verified.returncode == 0 and not ours, verified.stdout)
    said = door.run("systemd-analyze", "security", "--offline=true", "--no-pager", unit).stdout
    found = re.search(r"Overall exposure level for .*: ([0-9.]+) ", said)
    score = float(found[1]) if found else 10.0
    report.check(f"and finds it exposed by {EXPOSURE_MAX[name]} of 10 at most ({score})", score <= EXPOSURE_MAX[name], said[-1500:])


def opener_life(report: Report, door: Door, package: Path, into: Path) -> None:
    """The opener's package, from an older number to nothing: shorter, because it keeps only one number."""
    before = door.files()
    older_package = with_number(package, into / "older-opener", OLD_VERSION)
    config = door.path / "etc/deepid-opener/opener.toml"
    wanted = door.path / f"etc/systemd/system/multi-user.target.wants/{OPENER}.service"
    said = door.install(older_package)
    report.check("after installing, the next steps are said", "systemctl enable --now deepid-opener" in said, said)
    groups = door.run("id", "--name", "--groups", OPENER).stdout.split()
    report.check("the service has a user of its own, who may use chips", "gpio" in groups, groups)
    report.check("the service is not enabled: which key may open is a person's to say", not wanted.is_symlink(), wanted)
    config.write_text(config.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
    edited = config.read_text(encoding="utf-8")
    door.install(package)
    report.check("the upgrade keeps a configuration that was edited", config.read_text(encoding="utf-8") == edited, edited[-200:])
    program = door.run(OPENER, "--version").stdout.split()
    report.check("the program starts, and has the package's version", len(program) > 1 and fields_of(package)["Version"].startswith(f"{program[1]}-"), program)
    judging(report, door, OPENER)
    door.dpkg("--remove", OPENER)
    report.check("removed, its configuration stays", config.is_file() and door.status(OPENER) == "config-files", door.status(OPENER))
    door.install(package)
    report.check("installed again, it is in force", config.read_text(encoding="utf-8") == edited, "")
    door.dpkg("--purge", OPENER)
    left = sorted(door.files() - before)
    report.check("purged, nothing is left behind", not left, left)
    report.check("and dpkg has forgotten it", door.forgotten(OPENER), door.status(OPENER))


def with_number(package: Path, into: Path, version: str) -> Path:
    """The same package with another version."""
    unpacked = into / "content"
    into.mkdir()
    subprocess.run(["dpkg-deb", "--raw-extract", package, unpacked], check=True)
    number(unpacked, version)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", unpacked, into], check=True, stdout=subprocess.DEVNULL)
    return next(into.glob("*.deb"))


def number(unpacked: Path, version: str) -> None:
    """Gives a package that lies unpacked another version."""
    control = unpacked / "DEBIAN/control"
    lines = control.read_text(encoding="utf-8").splitlines()
    control.write_text("".join(f"Version: {version}\n" if l.startswith("Version:") else f"{l}\n" for l in lines), encoding="utf-8")


def make_bare(release: str) -> Path:
    """The bare root of a release, made once: half of one is never used."""
    bare = BARE / release
    if bare.exists():
        return bare
    if shutil.which("mmdebstrap") is None:
        raise TestImpossible("mmdebstrap is missing: 'make deb-test' installs it")
    print(f"package: making a bare {RELEASES[release]} in {bare.relative_to(ROOT)} (once)", flush=True)
    BARE.mkdir(parents=True, exist_ok=True)
    half = bare.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", "--include=systemd,libstdc++6,ca-certificates",
         '--aptopt=Acquire::Languages "none"', "--dpkgopt=path-exclude=/usr/share/locale/*", release, str(half)],
        check=True,
    )
    half.rename(bare)
    return bare


@contextlib.contextmanager
def mounted(root: Path) -> Iterator[None]:
    """What programs expect of a running system, and no more: no /sys, no devices but the plain ones."""
    places = (("proc", "proc"), ("tmpfs", "tmp"), ("tmpfs", "run"))
    for kind, place in places:
        subprocess.run(["mount", "-t", kind, kind, root / place], check=True)
    (root / "tmp").chmod(0o1777)
    try:
        yield
    finally:
        for _, place in places:
            subprocess.run(["umount", "--lazy", root / place], check=True)


def live(report: Report, release: str, package: Path, opener: Path | None) -> None:
    """The whole life, in a copy of a release's bare root."""
    bare = make_bare(release)
    with tempfile.TemporaryDirectory(prefix="deepid-edge-package.", dir="/var/tmp") as folder:
        door = Door(Path(folder) / "root")
        subprocess.run(["cp", "--archive", "--reflink=auto", bare, door.path], check=True)
        (door.path / "photographs").mkdir()
        for photograph in (ENROLLED, STRANGER):
            shutil.copy(PHOTOGRAPHS / photograph, door.path / "photographs")
        with mounted(door.path):
            go_through(report, door, package, older(package, Path(folder)))
            if opener is None:
                report.skip("the opener's package", "there is none; 'make deb-opener' makes it")
            else:
                with report.phase("the opener's package"):
                    opener_life(report, door, opener, Path(folder))
        # systemd mounts what it needs by itself.
        with report.phase("the service under systemd"):
            under_systemd(report, door, package)


def go_through(report: Report, door: Door, package: Path, older_package: Path) -> None:
    """Every phase, in the order of a life."""
    before = door.files()
    with report.phase("installing"):
        installing(report, door, package)
        judging(report, door, NAME)
    with report.phase("purging what was never used"):
        purging(report, door, before)
    with report.phase("recognising"):
        door.install(older_package)
        recognising(report, door)
    with report.phase("upgrading from an older version"):
        upgrading(report, door, package)
    with report.phase("removing"):
        removing(report, door)
    with report.phase("installing again"):
        installing_again(report, door, package)
    with report.phase("purging"):
        purging(report, door, before)
    with report.phase("starting anew"):
        starting_anew(report, door, package)


def under_systemd(report: Report, door: Door, package: Path) -> None:
    """Boots the root in a container, with a systemd of its own, which runs under_systemd.sh."""
    if shutil.which("systemd-nspawn") is None:
        report.skip("the service under systemd", "systemd-nspawn is missing; 'make deb-test' installs it")
        return
    door.install(package)
    shutil.copy(package, door.path / "package.deb")
    shutil.copy(ROOT / "tests/package/under_systemd.sh", door.path / "under_systemd.sh")
    checks = door.path / "checks"
    (door.path / "etc/systemd/system/checks.service").write_text(CHECKS_UNIT, encoding="utf-8")
    # The broker's name must be one; a bare root has no /etc/hosts.
    (door.path / "etc/hosts").write_text("127.0.0.1 localhost\n", encoding="utf-8")
    for command in (("enable", "checks.service"), ("disable", UNIT)):
        door.run("systemctl", *command)
    booted = subprocess.run(
        ["timeout", "300", "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--directory", door.path],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )
    lines = checks.read_text(encoding="utf-8").splitlines() if checks.exists() else []
    for number, line in enumerate(lines):
        state, _, sentence = line.partition(" ")
        if state in ("ok", "FAILED"):
            found = [l for l in lines[number + 1 :] if l.startswith("    ")]
            report.check(sentence, state == "ok", "\n".join(found[:14]))
    report.check("every check under systemd was reached", lines[-1:] == ["end"], booted.stdout[-2000:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_release(parser)
    releases = chosen(parser.parse_args())
    machine = subprocess.run(["dpkg", "--print-architecture"], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    version = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["package"]["version"]
    packages = sorted(PACKAGES.glob(f"{NAME}_{version}-*.deb"))
    here = [p for p in packages if p.stem.endswith(f"_{machine}")]
    openers = sorted(OPENERS.glob(f"{OPENER}_*_{machine}.deb"), key=lambda file: file.stat().st_mtime)
    opener = openers[-1] if openers else None
    report = Report()
    try:
        if not here:
            raise TestImpossible(f"no package for {machine} in {PACKAGES}: 'make deb' makes it")
        for package in packages:
            with report.phase(f"what {package.name} holds"):
                check_contents(report, package, ROOT)
        if opener is not None:
            with report.phase(f"what {opener.name} holds"):
                check_needs(report, opener, ROOT)
        for release in releases:
            print(f"{RELEASES[release]} ({release})", flush=True)
            live(report, release, here[0], opener)
    except (TestImpossible, subprocess.CalledProcessError) as error:
        print(f"package: {error}", file=sys.stderr)
        return 2
    return report.close()


if __name__ == "__main__":
    # What is mounted here is mounted for this process alone, and goes with it, however it ends.
    if os.environ.get("DEEPID_EDGE_OWN_MOUNTS") != "1":
        if os.getuid() != 0:
            sys.exit("package: needs root (chroot, dpkg)")
        os.environ["DEEPID_EDGE_OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    sys.exit(main())
