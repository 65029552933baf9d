"""The data list: which pictures there are, where they lie, whose face each one shows.

in   data.toml; a folder with one checkout for each repository (cloned there when absent)
out  Picture(path, person) in a fixed order; the person is a name that is the same in all sets of
     one source (CelebA's three parts share numbers), or None

A folder of anyone's faces works too: NAME/*.jpg, a folder for each person, or pictures alone.
Deliberately absent: reading pixels (faces.py), cleaning labels (people.py).
"""

from __future__ import annotations

import hashlib
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
IDENTITIES = ("prefix", "celeba", "folder", "none")
ENDINGS = (".jpg", ".jpeg", ".png")


class DataError(Exception):
    """The data list or a folder is not as it must be; the text says what to do."""


@dataclass(frozen=True)
class Source:
    """One entry of the data list."""

    name: str
    repository: str
    commit: str
    use: str
    terms: str
    pictures: str | None = None
    identity: str = "none"
    people: int | None = None
    file: str | None = None

    def checkout(self, data: Path) -> Path:
        return data / self.repository.split("/")[1]


@dataclass(frozen=True)
class Picture:
    path: Path
    person: str | None


def sources(path: Path = HERE / "data.toml") -> dict[str, Source]:
    """The data list by name, checked."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    found = {}
    for entry in document.get("set", []):
        try:
            source = Source(**entry)
        except TypeError as error:
            raise DataError(f"{path}: set '{entry.get('name')}': {error}; see README.md for the keys") from None
        if source.identity not in IDENTITIES:
            raise DataError(f"{path}: set '{source.name}': identity '{source.identity}' is not one of {IDENTITIES}")
        if (source.pictures is None) == (source.file is None):
            raise DataError(f"{path}: set '{source.name}': needs either 'pictures' or 'file'")
        if len(source.commit) != 40:
            raise DataError(f"{path}: set '{source.name}': commit must be all 40 digits")
        found[source.name] = source
    return found


def obtain(source: Source, data: Path) -> Path:
    """The checkout of a source, cloned at its commit when it is absent."""
    folder = source.checkout(data)
    if folder.is_dir() and any(folder.iterdir()):
        return folder
    url = f"https://github.com/{source.repository}"
    print(f"data: cloning {url} at {source.commit[:8]} into {folder}", flush=True)
    commands = (
        ["git", "init", "--quiet", str(folder)],
        ["git", "-C", str(folder), "fetch", "--quiet", "--depth", "1", url, source.commit],
        ["git", "-C", str(folder), "checkout", "--quiet", "FETCH_HEAD"],
    )
    for command in commands:
        if subprocess.run(command, check=False).returncode != 0:
            raise DataError(
                f"'{' '.join(command)}' failed: bring {url} at {source.commit} to {folder} by another way, or name a "
                "folder that has it by DATA=FOLDER"
            )
    return folder


def file_of(name: str, data: Path) -> Path:
    """The one file of a source of labels or of a teacher."""
    source = sources()[name]
    path = obtain(source, data) / (source.file or "")
    if not path.is_file():
        raise DataError(f"{path} is absent: {source.repository} is not at commit {source.commit}")
    return path


def pictures_of(source: Source, data: Path) -> list[Picture]:
    """The pictures of a set in a fixed order, files of the same content once: some sets have one for all who lack a picture."""
    folder = obtain(source, data)
    contents = {hashlib.sha256(path.read_bytes()).digest(): path for path in sorted(folder.glob(source.pictures or ""), reverse=True)}
    paths = sorted(contents.values())
    if not paths:
        raise DataError(f"{folder}: no '{source.pictures}': {source.repository} is not at commit {source.commit}")
    numbers = celeba_identities(data) if source.identity in ("prefix", "celeba") else {}
    return [Picture(path, person_of(path, source, numbers)) for path in paths]


def person_of(path: Path, source: Source, numbers: dict[str, str]) -> str | None:
    if source.identity == "prefix":
        # ID_IMAGE.jpg: the list of identities decides, so that all parts of CelebA agree.
        person, image = path.stem.split("_")
        return f"celeba/{numbers.get(image + '.jpg', person)}"
    if source.identity == "celeba":
        return f"celeba/{numbers[path.name]}" if path.name in numbers else None
    if source.identity == "folder":
        return f"{source.name}/{path.parent.name}"
    return None


def celeba_identities(data: Path) -> dict[str, str]:
    """File name of a CelebA picture → number of its person."""
    lines = file_of("celeba-identities", data).read_text(encoding="utf-8").splitlines()
    return dict(pair for line in lines if len(pair := line.split()) == 2 and pair[0].endswith(".jpg"))


def pictures_in(folder: Path) -> list[Picture]:
    """Anyone's folder: PERSON/picture.jpg gives people, pictures beside each other give none."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS)
    if not paths:
        raise DataError(f"{folder}: no picture ({', '.join(ENDINGS)}) in it or below it")
    return [Picture(p, None if p.parent == folder else f"{folder.name}/{p.parent.name}") for p in paths]
