"""Tests of tools/check_symbols.py: which packages it lets pass. `make test` runs them."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

import check_symbols
from check_symbols import depends_of, faults, needs_of

ROOT = Path(__file__).resolve().parents[1]

SAID = """\
 0x0000000000000001 (NEEDED)             Shared library: [libgcc_s.so.1]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
  0x0020:   Name: GLIBC_2.9  Flags: none  Version: 9
  0x0030:   Name: GLIBC_2.35  Flags: none  Version: 8
  0x0050:   Name: GCC_4.2.0  Flags: none  Version: 3
"""
DEPENDS = {"libc6": (2, 35), "libgcc-s1": (4, 2), "libstdc++6": (12,), "systemd": (252,)}


class Symbols(unittest.TestCase):
    def test_the_newest_is_by_number_and_not_by_letters(self) -> None:
        self.assertEqual(needs_of(SAID), ({"libgcc_s.so.1", "libc.so.6"}, {"GLIBC": (2, 35), "GCC": (4, 2)}))

    def test_a_field_is_read_with_and_without_versions(self) -> None:
        self.assertEqual(depends_of("libc6 (>= 2.35), libstdc++6"), {"libc6": (2, 35), "libstdc++6": ()})

    def test_what_both_releases_have_passes(self) -> None:
        newest = {"GLIBC": (2, 35), "GLIBCXX": (3, 4, 30), "CXXABI": (1, 3, 13), "GCC": (4, 2)}
        self.assertEqual(faults(DEPENDS, {"libc.so.6", "libstdc++.so.6"}, newest), [])

    def test_what_only_a_newer_debian_has_is_refused_whatever_depends_says(self) -> None:
        for family, version in (("GLIBC", (2, 39)), ("GLIBCXX", (3, 4, 33)), ("GCC", (14,))):
            found = faults(DEPENDS, set(), {family: version})
            self.assertRegex(" ".join(found), "Debian 12 has .* does not ask for")
        asked = faults(DEPENDS | {"libc6": (2, 39)}, set(), {"GLIBC": (2, 39)})
        self.assertEqual(len(asked), 2, asked)
        self.assertRegex(" ".join(asked), "build on Debian 12.*Depends asks for libc6 2.39")

    def test_a_depends_that_asks_for_too_little_is_refused(self) -> None:
        self.assertEqual(len(faults(DEPENDS | {"libc6": (2, 34)}, set(), {"GLIBC": (2, 35)})), 1)
        self.assertEqual(len(faults(DEPENDS | {"libstdc++6": (11,)}, set(), {"GLIBCXX": (3, 4, 29)})), 1)

    def test_a_library_of_another_package_is_refused(self) -> None:
        self.assertRegex(faults(DEPENDS, {"libssl.so.3"}, {})[0], "libssl.so.3 is of a package that is not known")
        without = {"libc6": (2, 35), "systemd": (252,)}
        self.assertRegex(faults(without, {"libgcc_s.so.1"}, {})[0], "Depends lacks libgcc-s1")
        self.assertRegex(faults(DEPENDS | {"libssl3t64": ()}, set(), {})[0], "not known here what Debian 12 has")

    def test_what_both_packages_depend_on_is_in_debian_12(self) -> None:
        for manifest in ("Cargo.toml", "crates/opener/Cargo.toml"):
            field = re.search(r'^depends = "(.+)"$', (ROOT / manifest).read_text(), re.MULTILINE)[1]
            depends = depends_of(field)
            self.assertEqual(faults(depends, set(), {}), [], manifest)
            self.assertLessEqual({"libc6", "systemd"}, set(depends))
            self.assertLessEqual(set(depends), set(check_symbols.OLDEST))


if __name__ == "__main__":
    unittest.main()
