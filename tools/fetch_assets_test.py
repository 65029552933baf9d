"""Tests of fetch_assets.py: what is fetched, what is refused, and what it says. `make test` runs them.

Packages are made here and come through pip from a folder, so no network is needed. Each refusal
leaves the assets folder without a new file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

import fetch_assets

CONTENT = b"a model, as it were\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class FetchAssets(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.into = self.folder / "assets"
        self.packages = self.folder / "packages"
        self.packages.mkdir()
        self.wheel = self.packages / "tiny_asset-1.0-py3-none-any.whl"
        self.write_wheel()
        self.environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.packages), "PIP_NO_CACHE_DIR": "1"}

    def write_wheel(self, content: bytes = CONTENT) -> None:
        info = "tiny_asset-1.0.dist-info"
        with zipfile.ZipFile(self.wheel, "w") as pack:
            pack.writestr("tiny/model.bin", content)
            pack.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-asset\nVersion: 1.0\n")
            pack.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            pack.writestr(f"{info}/RECORD", "")

    def manifest(self, **changes: str) -> Path:
        keys = {
            "package_sha256": sha256(self.wheel.read_bytes()),
            "file_sha256": sha256(CONTENT),
            "inside": "tiny/model.bin",
            "to": "models/model.bin",
            "more": "",
        } | changes
        path = self.folder / "assets.toml"
        path.write_text(
            f'''schema = 1
[[package]]
name = "tiny-asset"
version = "1.0"
kind = "wheel"
python = "3.11"
abi = "cp311"
platform = "manylinux_2_28_x86_64"
sha256 = "{keys["package_sha256"]}"
licence = "MIT"
{keys["more"]}
[[package.file]]
from = "{keys["inside"]}"
to = "{keys["to"]}"
sha256 = "{keys["file_sha256"]}"
''',
            encoding="utf-8",
        )
        return path

    def run_tool(self, manifest: Path, *arguments: str) -> tuple[int, str]:
        said = io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            code = fetch_assets.main(["--manifest", str(manifest), "--into", str(self.into), *arguments])
        return code, said.getvalue()

    def files(self) -> list[str]:
        return sorted(p.name for p in self.into.rglob("*") if p.is_file() and p.name != ".lock")

    def test_what_is_missing_is_fetched_and_what_fits_is_left_alone(self) -> None:
        manifest = self.manifest()
        self.assertEqual(self.run_tool(manifest)[0], 0)
        target = self.into / "models/model.bin"
        self.assertEqual(target.read_bytes(), CONTENT)
        self.wheel.unlink()  # nothing can be fetched now
        code, said = self.run_tool(manifest)
        self.assertEqual((code, self.files()), (0, ["model.bin"]), said)
        self.assertEqual(self.run_tool(manifest, "--check")[0], 0)

    def test_a_damaged_file_is_fetched_again(self) -> None:
        manifest = self.manifest()
        self.run_tool(manifest)
        target = self.into / "models/model.bin"
        target.write_bytes(CONTENT[:5])
        self.assertEqual(self.run_tool(manifest, "--check")[0], 1)
        self.assertEqual(self.run_tool(manifest)[0], 0)
        self.assertEqual(target.read_bytes(), CONTENT)

    def test_another_package_than_pinned_is_refused(self) -> None:
        code, said = self.run_tool(self.manifest(package_sha256="0" * 64))
        self.assertEqual((code, self.files()), (1, []))
        self.assertIn("another sha256 than assets.toml pins", said)

    def test_another_file_than_pinned_is_refused(self) -> None:
        code, said = self.run_tool(self.manifest(file_sha256="0" * 64))
        self.assertEqual((code, self.files()), (1, []))
        self.assertIn(sha256(CONTENT), said)

    def test_a_file_that_the_package_lacks_is_named(self) -> None:
        code, said = self.run_tool(self.manifest(inside="tiny/other.bin"))
        self.assertEqual((code, self.files()), (1, []))
        self.assertIn("does not hold tiny/other.bin", said)

    def test_offline_says_how_to_go_on(self) -> None:
        self.wheel.unlink()
        self.write_wheel()
        manifest = self.manifest()
        self.wheel.unlink()
        code, said = self.run_tool(manifest)
        self.assertEqual((code, self.files()), (1, []))
        self.assertIn("PIP_FIND_LINKS=FOLDER make assets", said)

    def test_wrong_manifests_are_refused_with_the_place(self) -> None:
        cases = {
            "must stay inside": {"to": "../model.bin"},
            "64 hexadecimal digits": {"file_sha256": "abc"},
            "has unknown colour": {"more": 'colour = "red"'},
            "must be one of": {"more": 'machine = "vax"'},
        }
        for expected, change in cases.items():
            with self.subTest(expected):
                code, said = self.run_tool(self.manifest(**change))
                self.assertEqual(code, 2)
                self.assertIn(expected, said)
                self.assertIn("tiny-asset 1.0", said)

    def test_other_processors_are_fetched_only_when_asked(self) -> None:
        for machine in fetch_assets.MACHINES:
            manifest = self.manifest(more=f'machine = "{machine}"')
            with mock.patch("platform.machine", return_value="riscv64"):
                self.assertEqual((self.run_tool(manifest)[0], self.files()), (0, []))
                self.assertEqual(self.run_tool(manifest, "--target", machine)[0], 0)
            self.assertEqual(self.files(), ["model.bin"])
            (self.into / "models/model.bin").unlink()

    def test_the_real_manifest_can_be_read(self) -> None:
        packages = fetch_assets.read_manifest(fetch_assets.ROOT / "assets.toml")
        libraries = {p.machine for p in packages if p.name == "ai-edge-litert"}
        self.assertEqual(libraries, set(fetch_assets.MACHINES))


if __name__ == "__main__":
    unittest.main()
