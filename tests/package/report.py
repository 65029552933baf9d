"""What a test says that takes a while: a line for each check, and how many failed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class TestImpossible(Exception):
    """The test could not be held: that is no finding about what it tests."""


class Report:
    """Counts checks and prints them."""

    def __init__(self, name: str = "package") -> None:
        self.name = name
        self.passed = 0
        self.failed: list[str] = []
        self.skipped = 0

    def check(self, what: str, holds: bool, found: object) -> None:
        """One check: the sentence that must hold, whether it does, and what was found instead."""
        print(f"  {'ok    ' if holds else 'FAILED'} {what}", flush=True)
        if holds:
            self.passed += 1
        else:
            self.failed.append(what)
            print("         found: " + str(found).strip().replace("\n", "\n         "))

    def skip(self, what: str, why: str) -> None:
        """A check that this machine cannot hold."""
        self.skipped += 1
        print(f"  SKIPPED {what}: {why}", flush=True)

    @contextlib.contextmanager
    def phase(self, title: str) -> Iterator[None]:
        """A heading, and how long what stands under it took."""
        print(f"{title}:", flush=True)
        began = time.monotonic()
        yield
        print(f"  ({time.monotonic() - began:.0f} s)")

    def close(self) -> int:
        """The last lines; the exit code."""
        for what in self.failed:
            print(f"FAILED: {what}")
        print(f"{self.name}: {self.passed} passed, {len(self.failed)} failed, {self.skipped} skipped")
        return 1 if self.failed else 0
