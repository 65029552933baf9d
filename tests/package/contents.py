"""What a package file holds, whatever architecture it is for: nothing of it is run.

in   the .deb; assets.toml and the model cards, which state what must be in it
out  checks: size, architecture of program and library, hashes, the symbols that `Depends` must
     cover (tools/check_symbols.py), manual pages, completions, licences, and lintian's word

Deliberately absent: what only an installed package shows.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from report import Report

BYTES_MAX = 12_000_000
# Debian's name, what assets.toml calls the machine, and ELF's e_machine (elf.h).
ARCHITECTURES = {"amd64": ("x86_64", 62), "arm64": ("aarch64", 183)}
PROGRAM = "usr/bin/deepid-edge"
LIBRARY = "usr/lib/deepid-edge/libLiteRt.so"
# Would make the package too large; people add it themselves (docs/decisions/0004).
LEFT_OUT = {
    "deepid2-ensemble.toml",
    "deepid2-pair.fusion.toml",
    "deepid2-plus.toml",
    "face-mesh.toml",
    "liveness-close.toml",
    "liveness-pair.toml",
}


def fields_of(package: Path) -> dict[str, str]:
    """The control fields, long ones cut to their first line."""
    said = subprocess.run(["dpkg-deb", "--field", package], check=True, text=True, stdout=subprocess.PIPE).stdout
    return dict(line.split(": ", 1) for line in said.splitlines() if ": " in line and not line.startswith(" "))


def check_contents(report: Report, package: Path, root: Path) -> None:
    """Every check of one package file."""
    fields = fields_of(package)
    size = package.stat().st_size
    report.check(f"the package has at most {BYTES_MAX / 1e6:.0f} MB ({size / 1e6:.2f})", size <= BYTES_MAX, size)
    with tempfile.TemporaryDirectory(prefix="deepid-edge-contents.") as folder:
        inside = Path(folder)
        subprocess.run(["dpkg-deb", "--extract", package, inside], check=True)
        _binaries(report, fields, inside, root)
        check_needs(report, package, root)
        _models(report, inside, root)
        _documents(report, inside)
    _policy(report, package)


def _binaries(report: Report, fields: dict[str, str], inside: Path, root: Path) -> None:
    machine, elf_machine = ARCHITECTURES[fields["Architecture"]]
    found = [int.from_bytes((inside / path).read_bytes()[18:20], "little") for path in (PROGRAM, LIBRARY)]
    report.check(f"program and library are for {machine}", found == [elf_machine] * 2, found)
    manifest = tomllib.loads((root / "assets.toml").read_text(encoding="utf-8"))
    wanted = {f["to"]: f["sha256"] for p in manifest["package"] for f in p["file"]}[f"lib/{machine}/libLiteRt.so"]
    held = hashlib.sha256((inside / LIBRARY).read_bytes()).hexdigest()
    report.check("the library is the one that assets.toml states", held == wanted, held)


def check_needs(report: Report, package: Path, root: Path) -> None:
    """What the programs need of a system is in `Depends`, and in the oldest release."""
    command = [sys.executable, root / "tools/check_symbols.py", package]
    said = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    report.check("Depends covers every library and symbol that is needed, and Debian 12 has them", said.returncode == 0, said.stdout)


def _models(report: Report, inside: Path, root: Path) -> None:
    folder = inside / "usr/share/deepid-edge/models"
    cards = {path.name: tomllib.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.toml")}
    expected = {path.name for path in (root / "models").glob("*.toml")} - LEFT_OUT
    report.check("every card is there, but for what would make the package too large", set(cards) == expected, sorted(cards))
    cohorts = {path.name for path in folder.glob("*.cohort.safetensors")}
    report.check("and the cohort of the default embedder", cohorts == {"deepid2.cohort.safetensors"}, sorted(cohorts))
    wrong = [
        name for name, card in cards.items()
        if not (folder / card["file"]).is_file()
        or hashlib.sha256((folder / card["file"]).read_bytes()).hexdigest() != card["sha256"]
    ]
    report.check("and beside it the model that it was written for", not wrong, wrong)


def _documents(report: Report, inside: Path) -> None:
    pages = {path.name for path in (inside / "usr/share/man/man1").glob("*")}
    report.check("manual pages: the program's and one for each verb", {"deepid-edge.1.gz", "deepid-edge-run.1.gz", "deepid-edge-enroll.1.gz"} <= pages, pages)
    report.check("demonstration and figures over folders are not in it", not {"deepid-edge-demo.1.gz", "deepid-edge-evaluate.1.gz"} & pages, pages)
    shells = ["bash-completion/completions/deepid-edge", "zsh/vendor-completions/_deepid-edge", "fish/vendor_completions.d/deepid-edge.fish"]
    empty = [path for path in shells if "config" not in (inside / "usr/share" / path).read_text(encoding="utf-8")]
    report.check("completions for three shells know the verbs", not empty, empty)
    doc = inside / "usr/share/doc/deepid-edge"
    wanted = ["copyright", "NOTICE.gz", "changelog.Debian.gz", "changelog.gz", "examples/mosquitto-acl.example", "examples/home-assistant/open_on_grant.yaml", "examples/home-assistant/alert_duress.yaml", "examples/home-assistant/alert_strangers.yaml", "examples/kiosk/deepid-kiosk.service"]
    wanted += ["examples/systemd/libcamera.conf", "examples/systemd/network-camera.conf"]
    wanted += ["glossary.md.gz", "reliability.md.gz", "page.md.gz", "page/live.jpg", "page/enrolment.jpg", "page/kiosk.png", "models/RESULTS.md.gz", "decisions/0010-the-procedure-of-a-reference.md.gz"]
    wanted += [f"licences/{name}.txt.gz" for name in ("crates", "litert", "mediapipe")]
    absent = [name for name in wanted if not (doc / name).exists() and not (doc / name.removesuffix(".gz")).exists()]
    report.check("licences, changelogs and examples are there", not absent, absent)
    crates = subprocess.run(["zcat", doc / "licences/crates.txt.gz"], check=True, text=True, stdout=subprocess.PIPE).stdout
    report.check("the crates' licences name what is compiled in", all(f"\n  {name} " in crates for name in ("ring", "rusqlite", "tokio", "v4l")), crates[:300])


def _policy(report: Report, package: Path) -> None:
    if shutil.which("lintian") is None:
        report.skip("lintian finds no error", "it is not installed; 'make deb-test' installs it")
        return
    said = subprocess.run(
        ["lintian", "--no-cfg", "--allow-root", "--tag-display-limit", "0", package],
        check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ).stdout
    errors = [line for line in said.splitlines() if line.startswith("E:")]
    warnings = [line for line in said.splitlines() if line.startswith("W:")]
    report.check("lintian finds no error", not errors, "\n".join(errors))
    report.check("and nothing to warn of", not warnings, "\n".join(warnings))
