"""Tests of crate_licences.py: which files count, which texts are one, and what is refused.

Crates are made here, as folders; cargo is not asked.
"""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import crate_licences


class Licences(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def crate(self, name: str, files: dict[str, str], licence: str = "MIT") -> dict:
        place = self.folder / name
        place.mkdir()
        for path, text in files.items():
            (place / path).parent.mkdir(exist_ok=True)
            (place / path).write_text(text, encoding="utf-8")
        manifest = str(place / "Cargo.toml")
        return {"name": name, "version": "1.0.0", "license": licence, "license_file": None, "authors": ["Ada"], "manifest_path": manifest}

    def test_licences_of_what_a_crate_carries_count_and_sources_do_not(self) -> None:
        crate = self.crate("one", {"LICENSE-MIT": "a", "third/COPYING": "b", "licence.rs": "c", "README": "d"})
        self.assertEqual([f.name for f in crate_licences.licence_files(crate)], ["LICENSE-MIT", "COPYING"])

    def test_a_text_stands_once_whatever_its_line_breaks(self) -> None:
        crates = [self.crate("one", {"LICENSE": "the same\n  words"}), self.crate("two", {"LICENSE": "the\nsame words\n"})]
        texts, without = crate_licences.gather(crates)
        self.assertEqual(texts, [("the same\n  words", ["one 1.0.0", "two 1.0.0"])])
        self.assertEqual(without, [])

    def test_a_crate_without_a_file_gets_the_standard_text_and_its_authors(self) -> None:
        crate = self.crate("bare", {})
        self.assertEqual(crate_licences.gather([crate])[1], [crate])
        text, owners = crate_licences.standard(crate)
        self.assertTrue(text.startswith("Permission is hereby granted"))
        self.assertIn("Ada", owners[0])

    def test_a_licence_whose_text_is_not_here_is_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "odd 1.0.0"):
            crate_licences.standard(self.crate("odd", {}, "BSD-3-Clause"))


if __name__ == "__main__":
    unittest.main()
