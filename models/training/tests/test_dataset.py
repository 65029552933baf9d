"""The data list is whole, and anyone's folder is read."""

import tempfile
import unittest
from pathlib import Path

from . import TRAINING
import dataset


class DataList(unittest.TestCase):
    def test_every_source_names_commit_terms_and_what_it_gives(self):
        found = dataset.sources()
        self.assertEqual([s.name for s in found.values() if s.use == "evaluation"], ["fairface-val", "deepface-pairs", "lfw"])
        for source in found.values():
            self.assertRegex(source.commit, r"^[0-9a-f]{40}$")
            self.assertTrue(source.terms, source.name)

    def test_a_wrong_entry_says_what_is_wrong(self):
        entry = '[[set]]\nname = "x"\nrepository = "a/b"\ncommit = "123"\nuse = "train"\nterms = "t"\npictures = "*"\n'
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "data.toml"
            for text, expected in ((entry, "all 40 digits"), (entry + "colour = 1\n", "colour")):
                path.write_text(text, encoding="utf-8")
                with self.assertRaisesRegex(dataset.DataError, expected):
                    dataset.sources(path)

    def test_a_checkout_gives_people_by_each_kind_of_identity(self):
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder)
            for path in ("AppliedMLFinalProject/identity_CelebA.txt", "CelebA_Samples/celeba_identity_samples/7_000002.jpg",
                         "validation/000003.jpg", "validation/999999.jpg", "SVDFaces/train/n000001/a.jpg", "SVDFaces/train/n000001/b.jpg"):  # fmt: skip
                (data / path).parent.mkdir(parents=True, exist_ok=True)
                (data / path).write_text(path.replace("b.jpg", "a.jpg"), encoding="utf-8")
            (data / "AppliedMLFinalProject/identity_CelebA.txt").write_text("path label\n000002.jpg 7\n000003.jpg 7\n", encoding="utf-8")
            listed = dataset.sources()
            people = {n: [p.person for p in dataset.pictures_of(listed[n], data)] for n in ("celeba-samples", "celeba-test-part", "vggface2-subset")}
        self.assertEqual(people["celeba-samples"], ["celeba/7"])
        self.assertEqual(people["celeba-test-part"], ["celeba/7", None])
        self.assertEqual(people["vggface2-subset"], ["vggface2-subset/n000001"], "a file that is there twice counts once")

    def test_own_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            own = Path(folder) / "own"
            for path in ("ann/1.jpg", "ann/2.PNG", "loose.jpeg", "notes.txt"):
                (own / path).parent.mkdir(parents=True, exist_ok=True)
                (own / path).touch()
            found = {p.path.name: p.person for p in dataset.pictures_in(own)}
            self.assertEqual(found, {"1.jpg": "own/ann", "2.PNG": "own/ann", "loose.jpeg": None})
            (Path(folder) / "empty").mkdir()
            with self.assertRaisesRegex(dataset.DataError, "no picture"):
                dataset.pictures_in(Path(folder) / "empty")


if __name__ == "__main__":
    unittest.main()
