"""The releases of Debian that the packages are for, oldest first; each is tried by itself.

Raspberry Pi OS is made of them. The oldest is what the programs are built for: `tools/check_symbols.py`
holds them to its libraries.
"""

from __future__ import annotations

import argparse

# By the names that apt knows them by.
RELEASES = {"bookworm": "Debian 12", "trixie": "Debian 13"}


def add_release(parser: argparse.ArgumentParser) -> None:
    """Lets a test be asked for one release; `chosen` says which it shall run on."""
    parser.add_argument("--release", action="append", choices=list(RELEASES), help="of Debian, in place of each of them")


def chosen(arguments: argparse.Namespace) -> list[str]:
    """The releases that were asked for, or all of them."""
    return arguments.release or list(RELEASES)
