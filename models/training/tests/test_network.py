"""DeepID2's topology layer by layer, its folding, and a training run of a few steps."""

import json
import tempfile
import unittest
from argparse import Namespace
from pathlib import Path

from . import ROOT

try:
    import cv2  # noqa: F401
    import numpy as np
    import torch
    import augment
    import export
    import faces
    import network
    import tflite_weights
    import train
    import weights_file
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None

# The paper's table (arXiv 1406.4773, figure 1): output height, width, channels, kernel.
TABLE = {
    "conv1": (52, 44, 20, (4, 4, 3)), "pool1": (26, 22, 20, None),
    "conv2": (24, 20, 40, (3, 3, 20)), "pool2": (12, 10, 40, None),
    "conv3": (10, 8, 60, (3, 3, 40)), "pool3": (5, 4, 60, None),
    "conv4": (4, 3, 80, (2, 2, 60)), "fc11": (1, 1, 160, (5, 4, 60)), "fc12": (1, 1, 160, (4, 3, 80)),
}  # fmt: skip


def some(count: int) -> "torch.Tensor":
    return torch.from_numpy(np.random.default_rng(count).uniform(-1, 1, (count, 3, 55, 47)).astype(np.float32))


def trained() -> "network.DeepID2":
    """A network whose batch norms are not at rest."""
    torch.manual_seed(4)
    made = network.DeepID2()
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, network.PositiveNorm):
                module.weight.normal_(0, 0.5)
                module.bias.normal_(0, 0.5)
                module.running_mean.normal_(0, 0.5)
                module.running_var.uniform_(0.5, 2.0)
    return made.eval()


class Topology(unittest.TestCase):
    def test_layer_by_layer(self):
        made, seen = network.DeepID2().eval(), {}
        hooks = [m.register_forward_hook(lambda _m, _i, out, n=n: seen.__setitem__(n, tuple(out.shape[1:]))) for n, m in made.named_modules() if n]
        features = made(some(1))
        for hook in hooks:
            hook.remove()
        for name, (height, width, channels, kernel) in TABLE.items():
            if kernel:
                self.assertEqual(seen[name], (channels, height, width), name)
                self.assertEqual(tuple(getattr(made, name).weight.shape), (channels, kernel[2], *kernel[:2]), name)
            else:
                self.assertEqual(seen[name.replace("pool", "conv") + "_norm"], (channels, height, width), name)
        self.assertEqual(tuple(features.shape), (1, 160))
        self.assertGreaterEqual(float(features.detach().min()), 0.0)

    def test_size(self):
        self.assertEqual(network.size(network.folded(network.DeepID2())), (395_080, 7_956_480))

    def test_folding_changes_nothing(self):
        made = trained()
        with torch.no_grad():
            torch.testing.assert_close(network.folded(made).features(some(8)), made(some(8)), rtol=1e-4, atol=1e-4)

    def test_starting_from_plain_weights_computes_the_same(self):
        plain, other = network.folded(trained()), network.DeepID2()
        network.start_from(other, plain, some(64))
        with torch.no_grad():
            torch.testing.assert_close(other.eval()(some(8)), plain.features(some(8)), rtol=1e-3, atol=1e-3)

    def test_the_weights_file_keeps_them(self):
        layout = export.keras_layout(network.folded(trained()))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.npz"
            weights_file.write(path, layout)
            self.assertTrue(np.array_equal(weights_file.read(path)["fc12.kernel"], layout["fc12.kernel"]))
            del layout["conv2.bias"]
            with self.assertRaisesRegex(weights_file.WeightsError, "conv2.bias"):
                weights_file.write(path, layout)

    def test_weights_of_a_tflite_compute_what_it_does(self):
        model = next(iter(sorted((ROOT / "models").glob("deepid2*.tflite"))), None)
        if model is None:
            self.skipTest("no models/deepid2*.tflite")
        from embedder import Embedder

        frame = np.random.default_rng(6).integers(0, 256, (55, 47, 3), dtype=np.uint8)
        with torch.no_grad():
            ours = tflite_weights.read(model).features(train.tensor([frame]))[0].numpy()
        theirs = Embedder(model).features(frame)
        cosine = ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs)
        self.assertGreater(cosine, 0.99)


class Augmentation(unittest.TestCase):
    def test_shape_type_and_seed(self):
        wide = np.random.default_rng(1).integers(0, 256, (faces.WIDE_HEIGHT, faces.WIDE_WIDTH, 3), dtype=np.uint8)
        for seed in range(40):
            one, again = (augment.augmented(wide, np.random.default_rng(seed)) for _ in range(2))
            self.assertEqual((one.shape, one.dtype), ((55, 47, 3), np.uint8))
            self.assertTrue(np.array_equal(one, again))

    def test_jitter_stays_near_the_frame(self):
        """A dot at the left eye stays within a few pixels of it, mirrored or not."""
        wide = np.zeros((faces.WIDE_HEIGHT, faces.WIDE_WIDTH, 3), np.uint8)
        for x, y in faces.WIDE_TEMPLATE[:2]:
            cv2.circle(wide, (round(x), round(y)), 3, (255, 255, 255), -1)
        for seed in range(60):
            picture = augment.jittered(wide, np.random.default_rng(seed)).max(2).astype(float)
            left = picture[:, :24]
            y, x = np.unravel_index(left.argmax(), left.shape)
            self.assertLess(abs(x - 15.5) + abs(y - 22.0), 9.0, seed)


class Training(unittest.TestCase):
    """Nine people, each a pattern of its own: a few steps run, resume, and lower the loss."""

    def cache(self, folder: Path) -> Path:
        rng = np.random.default_rng(9)
        patterns = rng.integers(0, 256, (9, 9, 8, 3), dtype=np.uint8)
        crops = np.stack([cv2.resize(patterns[i % 9], (faces.WIDE_WIDTH, faces.WIDE_HEIGHT)) for i in range(72)])
        np.save(folder / "own.wide.npy", crops)
        vectors = rng.normal(size=(9, 16))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        np.save(folder / "own.mobilefacenet.npy", vectors[np.arange(72) % 9].astype(np.float16))
        parts = ["validation" if i % 9 > 6 else "train" for i in range(72)]
        sets = {"own": {"parts": parts, "persons": [i % 9 for i in range(72)]}}
        (folder / "people.json").write_text(json.dumps({"counts": {}, "sets": sets}), encoding="utf-8")
        return folder

    def test_runs_resumes_and_learns(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = self.cache(Path(temporary))
            options = Namespace(
                cache=folder, out=folder / "out", pictures=16 * 30, minutes=None, batch=16, learning_rate=2e-3, weight_decay=0.0, seed=1,
                threads=1, teachers=["mobilefacenet"], start_from=None, report_steps=5, memory_mapped=True,
            )  # fmt: skip
            self.assertEqual(train.run(options), 0)
            rows = [r.split(",") for r in (folder / "out/curves.csv").read_text(encoding="utf-8").split()]
            losses = [float(value) for _, what, value in rows if what == "loss"]
            self.assertLess(losses[-1], losses[0])
            self.assertEqual(json.loads((folder / "out/run.json").read_text(encoding="utf-8"))["steps"], 30)
            self.assertGreater((folder / "out/curves.png").stat().st_size, 1000)
            options.pictures = 16 * 40
            train.run(options)
            self.assertEqual(json.loads((folder / "out/run.json").read_text(encoding="utf-8"))["steps"], 40)

    def test_a_batch_is_the_same_however_one_came_to_it(self):
        with tempfile.TemporaryDirectory() as temporary:
            data = train.load(self.cache(Path(temporary)), ["mobilefacenet"], True)
            straight, late = train.Batches(data, 16, 3), train.Batches(data, 16, 3)
            for step in range(8):
                order = straight.indices(step)
            self.assertTrue(np.array_equal(late.indices(7), order))
            self.assertTrue(torch.equal(late.make(7, order), straight.make(7, order)))

    def test_half_a_batch_shows_people_several_times(self):
        with tempfile.TemporaryDirectory() as temporary:
            data = train.load(self.cache(Path(temporary)), ["mobilefacenet"], True)
            chosen = train.Batches(data, 16, 3).indices(5)
            self.assertEqual(len(chosen), 16)
            groups = data.persons[chosen[8:]].reshape(2, train.PICTURES_OF_A_PERSON)
            self.assertTrue((groups >= 0).all() and (groups == groups[:, :1]).all(), groups)
            self.assertEqual(len(set(chosen[8:12])), 4)


if __name__ == "__main__":
    unittest.main()
