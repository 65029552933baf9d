#!/usr/bin/env python3
"""Tests the package on a real kernel: a virtual machine with systemd, mosquitto and V4L2 devices.

Once for each release of Debian that the packages are for, in a machine of its own.

in   the package that `make deb` or `make deb-arm64` made, and the program for this machine, which
     renders what the camera shall see; for the opener, the package of `make deb-opener`, and the
     example that signs grants
out  a line for each check; exit status 0 when none of them failed, 1 when one did, 2 without
     package or program, 3 where no machine's Debian can be made. A check that cannot be had here is
     skipped, which is told, and is a failure where DEEPID_EDGE_REQUIRE_ALL is set

Images are made once for each release, list of packages and way of making them (build_image.sh) and
kept under target/system; what a failed run said is kept there too.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import feed
from checks import CHECKS, Check
from door import UNIT, Door
from machine import EMULATORS, Machine, MachineError
from wall import Skipped, Wall

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))
from releases import RELEASES, add_release, chosen  # noqa: E402

KEPT = ROOT / "target" / "system"

# Told of each machine: what its release brings along, and the package runs on.
TOLD = ["linux-image-{}", "libc6", "systemd", "mosquitto", "ffmpeg"]

# What an image is made of: another text is another image.
IMAGE_SOURCES = ["build_image.sh", "furnish.sh", "build_gpio_sim.sh", "packages.txt", "agent.sh", "agent.service"]


def main() -> int:
    """Runs the checks that were asked for, on each release."""
    arguments = parse()
    checks = [one for one in CHECKS if wanted(one, arguments)]
    groups = {one.group for one in checks}
    deb = arguments.deb or newest_package(arguments.architecture)
    opener = arguments.opener or newest(ROOT.glob("target/deb-opener/*_amd64.deb"))
    absent = [
        str(what)
        for group, what, there in (
            ("door", f"a package for {arguments.architecture}", deb is not None),
            ("door", arguments.program, arguments.program.is_file()),
            ("opener", "a package of the opener", opener is not None),
            ("opener", arguments.signer, arguments.signer.is_file()),
        )
        if group in groups and not there
    ]
    if absent:
        print(f"system-test: missing: {', '.join(absent)}: 'make system-test' makes them", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="system-payload-") as folder:
        payload = Path(folder)
        try:
            if "door" in groups:
                prepare_payload(deb.resolve(), arguments.program.resolve(), payload)
            if "opener" in groups:
                shutil.copy(opener, payload / "deepid-opener.deb")
                shutil.copy(HERE / "sample_line.pl", payload)
        except (OSError, feed.FeedError, subprocess.CalledProcessError) as error:
            print(f"system-test: {error}", file=sys.stderr)
            return 1
        packages = [("door", deb), ("opener", opener)]
        named = " and ".join(package.name for group, package in packages if group in groups)
        say(f"package    {named}; payload {size(payload)}")
        return worst([on(release, arguments, checks, payload) for release in chosen(arguments)])


def on(release: str, arguments: argparse.Namespace, checks: list[Check], payload: Path) -> int:
    """Runs the checks on one release; gives the exit status for it."""
    architecture = arguments.architecture
    began = time.monotonic()
    try:
        image = prepare_image(release, architecture, gpio=any(one.group == "opener" for one in checks))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"system-test: no machine with {RELEASES[release]} can be made here: {error}", file=sys.stderr)
        return 3
    logs = KEPT / "logs" / f"{release}-{architecture}"
    try:
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir(parents=True)
        started = time.monotonic()
        with Machine(architecture, image, payload, logs) as machine:
            say(f"machine    {RELEASES[release]} {architecture}, up in {time.monotonic() - started:.0f} s")
            passed, failed, skipped = run_checks(machine, checks, logs, arguments.signer.resolve())
    except (MachineError, OSError, subprocess.CalledProcessError) as error:
        print(f"system-test: {error}", file=sys.stderr)
        return 1
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    say(f"{RELEASES[release]}: {passed} of {len(checks)} checks passed in {minutes} min {seconds} s")
    if skipped:
        say(f"skipped: {'; '.join(skipped)}")
    if failed:
        say(f"failed: {'; '.join(failed)}")
        say(f"what the machine said: {logs}")
    return 1 if failed or (skipped and "DEEPID_EDGE_REQUIRE_ALL" in os.environ) else 0


def worst(statuses: list[int]) -> int:
    """The exit status for several releases: what failed on one is told before what could not be tried."""
    return 1 if 1 in statuses else max(statuses)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_release(parser)
    parser.add_argument("--architecture", choices=list(EMULATORS), default="amd64", help="of machine and package")
    parser.add_argument("--smoke", action="store_true", help="only the checks that every change must pass")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="only checks with this word in their title (and what they rest on)")
    parser.add_argument("--deb", type=Path, help="the package, in place of the newest under target")
    parser.add_argument("--program", type=Path, default=ROOT / "target/debug/deepid-edge", help="deepid-edge for this machine, with its demonstration (the package has none)")
    parser.add_argument("--opener", type=Path, help="the opener's package, in place of the newest under target")
    parser.add_argument("--signer", type=Path, default=ROOT / "target/debug/examples/sign_grant", help="the example of crates/grant that signs")
    return parser.parse_args()


def wanted(one: Check, arguments: argparse.Namespace) -> bool:
    """Whether a check belongs to the run that was asked for."""
    if arguments.only:
        asked = [other for other in CHECKS if any(word in other.title for word in arguments.only)]
        return one in asked or (one.needed and one.group in {other.group for other in asked})
    if arguments.smoke and not one.smoke:
        return False
    return one.foreign or arguments.architecture == "amd64"


def newest_package(architecture: str) -> Path | None:
    """The package that was made last for an architecture."""
    packages = [*ROOT.glob(f"target/debian/*_{architecture}.deb"), *ROOT.glob(f"target/*/debian/*_{architecture}.deb")]
    return newest(packages)


def newest(files: Iterable[Path]) -> Path | None:
    """The file that was written last."""
    return max(files, key=lambda file: file.stat().st_mtime, default=None)


def say(text: str) -> None:
    print(text, flush=True)


def size(folder: Path) -> str:
    return f"{sum(file.stat().st_size for file in folder.rglob('*') if file.is_file()) / 1e6:.0f} MB"


def prepare_image(release: str, architecture: str, gpio: bool) -> Path:
    """The image of a release for an architecture; made when there is none of this recipe. Without GPIO it
    is made in less time: for that the kernel's source is fetched."""
    recipe = hashlib.sha256()
    for name in IMAGE_SOURCES:
        recipe.update((HERE / name).read_bytes())
    kind = f"{release}-{architecture}"
    image = KEPT / "images" / f"{kind}-{recipe.hexdigest()[:12]}"
    without = []
    if not gpio and not image.is_dir():
        image = image.with_name(f"{image.name}-door")
        without = ["without-gpio-sim"]
    if not image.is_dir():
        for old in image.parent.glob(f"{kind}-*"):
            shutil.rmtree(old)
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        say(f"image      making one of {RELEASES[release]} for {architecture}{' with sudo' if as_root else ''}: some minutes")
        began = time.monotonic()
        subprocess.run([*as_root, str(HERE / "build_image.sh"), release, architecture, str(image), *without], check=True)
        say(f"image      made in {time.monotonic() - began:.0f} s")
    say(f"image      {image.name}: {versions(image, architecture)}")
    return image


def versions(image: Path, architecture: str) -> str:
    """Which versions of what is told of a machine an image has."""
    lines = (line.split("\t") for line in (image / "versions.txt").read_text().splitlines())
    held = {name.partition(":")[0]: version for name, version in lines}
    told = [name.format(architecture) for name in TOLD]
    return ", ".join(f"{name} {held[name]}" for name in told if name in held)


def prepare_payload(deb: Path, program: Path, payload: Path) -> None:
    """What the machine sees: the package, a newer one, photographs, and what the camera shall see."""
    shutil.copy(deb, payload / "deepid-edge.deb")
    make_newer(deb, payload / "deepid-edge-newer.deb")
    shutil.copytree(ROOT / "assets" / "photographs", payload / "photographs")
    for name in ("player.sh", "hold_thread.pl"):
        shutil.copy(HERE / name, payload)
    feed.make(program, ROOT, payload)


def make_newer(deb: Path, newer: Path) -> None:
    """The same package with a higher version."""
    with tempfile.TemporaryDirectory(prefix="system-newer-") as folder:
        content = Path(folder) / "content"
        subprocess.run(["dpkg-deb", "--raw-extract", str(deb), str(content)], check=True)
        control = content / "DEBIAN" / "control"
        lines = control.read_text().splitlines()
        lines = [f"{line}+newer" if line.startswith("Version:") else line for line in lines]
        control.write_text("\n".join(lines) + "\n")
        options = ["--root-owner-group", "-Zgzip", "-z1"]
        subprocess.run(["dpkg-deb", *options, "--build", str(content), str(newer)], check=True, stdout=subprocess.DEVNULL)


def run_checks(
    machine: Machine, chosen: list[Check], logs: Path, signer: Path
) -> tuple[int, list[str], list[str]]:
    """Runs them in their order; gives how many passed, and the titles of those that failed or were skipped."""
    door = Door(machine)
    subjects = {"door": door, "opener": Wall(door, signer)}
    passed, failed, skipped = 0, [], []
    # What the rest of a group rests on is missing, and why.
    missing: dict[str, str] = {}
    for one in chosen:
        began = time.monotonic()
        told, fault, why = "", None, missing.get(one.group)
        try:
            if why is None:
                told = one.run(subjects[one.group])
        except Skipped as reason:
            why = str(reason)
        except AssertionError as error:
            fault = str(error) or "no reason was given"
        except (MachineError, OSError):
            # Without a machine there is nothing to go on with.
            say(f"  FAILED  {time.monotonic() - began:6.1f} s  {one.title}")
            raise
        except Exception as error:  # noqa: BLE001 a surprise is a failure like any other
            fault = f"{type(error).__name__}: {error}"
        took = f"{time.monotonic() - began:6.1f} s"
        if why is not None:
            skipped.append(one.title)
            say(f"  skipped {took}  {one.title}{'' if one.group in missing else f' ({why})'}")
        elif fault is None:
            passed += 1
            say(f"  ok      {took}  {one.title}{f' ({told})' if told else ''}")
            continue
        else:
            failed.append(one.title)
            say(f"  FAILED  {took}  {one.title}")
            say("\n".join(f"            {line}" for line in fault.splitlines()))
            keep(door, logs)
        if one.needed and one.group not in missing:
            say("            the others of its group rest on this one")
            missing[one.group] = why or "it rests on what failed"
    return passed, failed, skipped


def keep(door: Door, logs: Path) -> None:
    """Keeps what helps to find the fault."""
    try:
        (logs / "journal.txt").write_text(door.run("journalctl --no-pager").text)
        (logs / "service.txt").write_text(door.run(f"systemctl status --no-pager --lines=50 {UNIT}").text)
        (logs / "config.toml").write_text(door.run("cat /etc/deepid-edge/config.toml").text)
        (logs / "opener.toml").write_text(door.run("cat /etc/deepid-opener/opener.toml").text)
        (logs / "trace.txt").write_text(door.run("cat /sys/kernel/tracing/trace").text)
        (logs / "heard.txt").write_text("\n".join(f"{m.topic} {m.text}" for m in door.heard))
    except (MachineError, OSError) as error:
        print(f"system-test: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
