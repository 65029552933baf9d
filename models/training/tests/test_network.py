"""The topologies layer by layer, their folding, and a training run of a few steps."""

import json
import tempfile
import unittest
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from . import ROOT

try:
    import cv2  # noqa: F401
    import numpy as np
    import torch
    import augment
    import batches
    import cached
    import export
    import faces
    import network
    import tflite_weights
    import topology
    import train
    import weights_file
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None

# The papers' tables: output height, width, channels, kernel. DeepID: CVPR 2014, figure 2; DeepID2:
# arXiv 1406.4773, figure 1; DeepID2+: arXiv 1412.1265, section 3, which has 128 maps everywhere.
DEEPID2 = {
    "conv1": (52, 44, 20, (4, 4, 3)), "pool1": (26, 22, 20, None),
    "conv2": (24, 20, 40, (3, 3, 20)), "pool2": (12, 10, 40, None),
    "conv3": (10, 8, 60, (3, 3, 40)), "pool3": (5, 4, 60, None),
    "conv4": (4, 3, 80, (2, 2, 60)), "fc11": (1, 1, 160, (5, 4, 60)), "fc12": (1, 1, 160, (4, 3, 80)),
}  # fmt: skip
DEEPID = {
    "conv1": (36, 28, 20, (4, 4, 1)), "pool1": (18, 14, 20, None),
    "conv2": (16, 12, 40, (3, 3, 20)), "pool2": (8, 6, 40, None),
    "conv3": (6, 4, 60, (3, 3, 40)), "pool3": (3, 2, 60, None),
    "conv4": (2, 1, 80, (2, 2, 60)), "fc11": (1, 1, 160, (3, 2, 60)), "fc12": (1, 1, 160, (2, 1, 80)),
}  # fmt: skip
DEEPID2_PLUS = {
    "conv1": (52, 44, 128, (4, 4, 3)), "pool1": (26, 22, 128, None),
    "conv2": (24, 20, 128, (3, 3, 128)), "pool2": (12, 10, 128, None),
    "conv3": (10, 8, 128, (3, 3, 128)), "pool3": (5, 4, 128, None),
    "conv4": (4, 3, 128, (2, 2, 128)), "fc11": (1, 1, 512, (5, 4, 128)), "fc12": (1, 1, 512, (4, 3, 128)),
}  # fmt: skip
TABLES = {"deepid": DEEPID, "deepid2": DEEPID2, "deepid2-plus": DEEPID2_PLUS}


def some(count: int, kind: str = "deepid2") -> "torch.Tensor":
    frame = topology.KINDS[kind].frame
    values = np.random.default_rng(count).uniform(-1, 1, (count, 3, frame.height, frame.width))
    return torch.from_numpy(values.astype(np.float32))


def trained(kind: str = "deepid2") -> "torch.nn.Module":
    """A network whose batch norms are not at rest."""
    torch.manual_seed(4)
    made = network.build(kind)
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
        for kind, table in TABLES.items():
            made, seen = network.build(kind).eval(), {}
            hooks = [m.register_forward_hook(lambda _m, _i, out, n=n, seen=seen: seen.__setitem__(n, tuple(out.shape[1:]))) for n, m in made.named_modules() if n]
            features = made(some(1, kind))
            for hook in hooks:
                hook.remove()
            for name, (height, width, channels, kernel) in table.items():
                if kernel:
                    self.assertEqual(seen[name], (channels, height, width), (kind, name))
                    self.assertEqual(tuple(getattr(made, name).weight.shape), (channels, kernel[2], *kernel[:2]), (kind, name))
                else:
                    self.assertEqual(seen[name.replace("pool", "conv") + "_norm"], (channels, height, width), (kind, name))
            self.assertEqual(tuple(features.shape), (1, topology.KINDS[kind].features))
            self.assertGreaterEqual(float(features.detach().min()), 0.0)

    def test_size(self):
        sizes = {kind: (of.parameters(), of.operations()) for kind, of in topology.KINDS.items()}
        self.assertEqual(sizes["deepid2"], (395_080, 7_956_480))
        fusion = 5 * 160 * 160
        self.assertEqual(sizes["deepid2-ensemble"], (5 * 395_080 + fusion, 5 * 7_956_480 + fusion))
        for kind in TABLES:
            plain = network.folded(network.build(kind))
            self.assertEqual(sum(t.numel() for t in (*plain.kernels.values(), *plain.biases.values())), sizes[kind][0], kind)

    def test_folding_changes_nothing(self):
        for kind in TABLES:
            made = trained(kind)
            with torch.no_grad():
                torch.testing.assert_close(network.folded(made).features(some(8, kind)), made(some(8, kind)), rtol=1e-4, atol=1e-4)

    def test_lower_levels_have_heads_only_while_training(self):
        made = network.build("deepid2-plus").train()
        self.assertEqual([tuple(t.shape) for t in made.levels(some(2, "deepid2-plus"))], [(2, 512)] * 4)
        self.assertEqual(len(made.eval().levels(some(2, "deepid2-plus"))), 1)

    def test_the_whole_face_of_an_ensemble_is_what_one_network_sees(self):
        wide = np.random.default_rng(7).integers(0, 256, (faces.WIDE_HEIGHT, faces.WIDE_WIDTH, 3), dtype=np.uint8)
        wide = cv2.GaussianBlur(wide, (0, 0), 2.0)
        of = topology.KINDS["deepid2-ensemble"]
        whole = network.part(batches.tensor([faces.frame(wide, of.frame)]), of.patches[0], of.topology)
        self.assertLess(float((whole - batches.tensor([faces.frame(wide)])).abs().max()), 1.5 / 127.5)
        for patch in of.patches:
            self.assertTrue(0 <= patch.left and patch.left + patch.width <= of.frame.width, patch)
            self.assertTrue(0 <= patch.top and patch.top + patch.height <= of.frame.height, patch)

    def test_starting_from_plain_weights_computes_the_same(self):
        plain, other = network.folded(trained()), network.build("deepid2")
        network.start_from(other, plain, some(64))
        with torch.no_grad():
            torch.testing.assert_close(other.eval()(some(8)), plain.features(some(8)), rtol=1e-3, atol=1e-3)

    def test_every_network_of_an_ensemble_starts_from_them(self):
        plain, ensemble = network.folded(trained()), network.build("deepid2-ensemble")
        network.start_from(ensemble, plain, some(64, "deepid2-ensemble"))
        pictures = some(8, "deepid2-ensemble")
        with torch.no_grad():
            _, *each = ensemble.eval().levels(pictures)
            for patch, features in zip(ensemble.patches, each, strict=True):
                torch.testing.assert_close(features, plain.features(network.part(pictures, patch, ensemble.topology)), rtol=1e-3, atol=1e-3)

    def test_a_wider_network_begins_with_what_a_narrower_one_knows(self):
        plain, wide = network.folded(trained()), network.build("deepid2-plus")
        network.start_from(wide, plain, some(64))
        with torch.no_grad():
            features = wide.eval()(some(8))
        torch.testing.assert_close(features[:, :160], plain.features(some(8)), rtol=1e-3, atol=1e-3)
        self.assertGreater(float(features[:, 160:].std()), 0.0)
        with self.assertRaisesRegex(ValueError, "conv1"):
            network.start_from(network.build("deepid"), plain, some(64))

    def test_the_weights_file_keeps_them(self):
        for kind in topology.KINDS:
            layout = export.plain_weights(trained(kind))
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "weights.npz"
                weights_file.write(path, kind, layout)
                found, weights = weights_file.read(path)
                self.assertEqual(found, kind)
                for name, value in layout.items():
                    self.assertTrue(np.array_equal(weights[name], value), (kind, name))
                missing = next(name for name in layout if name.endswith("conv2.bias"))
                del layout[missing]
                with self.assertRaisesRegex(weights_file.WeightsError, missing):
                    weights_file.write(path, kind, layout)

    def test_an_equaliser_follows_the_features(self):
        matrix = np.random.default_rng(2).normal(size=(160, 160)).astype(np.float32)
        for kind in ("deepid2", "deepid2-ensemble"):
            made = trained(kind)
            plain, equalised = export.plain_weights(made), export.plain_weights(made, matrix)
            if kind == "deepid2":
                np.testing.assert_array_equal(equalised.pop(weights_file.EQUALISER), matrix)
                folded = network.folded(made)
                both = [f.features(some(4)) for f in (folded, replace(folded, equaliser=torch.from_numpy(matrix)))]
                torch.testing.assert_close(both[0] @ torch.from_numpy(matrix), both[1])
            else:
                np.testing.assert_allclose(equalised["fuse.kernel"], plain["fuse.kernel"] @ matrix, rtol=1e-3, atol=1e-4)
            self.assertEqual(set(plain), set(equalised))

    def test_weights_of_a_tflite_compute_what_it_does(self):
        model = next(iter(sorted((ROOT / "models").glob("deepid2.tflite"))), None)
        if model is None:
            self.skipTest("no models/deepid2.tflite")
        from embedder import Embedder

        frame = np.random.default_rng(6).integers(0, 256, (55, 47, 3), dtype=np.uint8)
        with torch.no_grad():
            ours = tflite_weights.read(model).features(batches.tensor([frame]))[0].numpy()
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

    def test_every_kind_gets_its_frame(self):
        wide = np.random.default_rng(1).integers(0, 256, (faces.WIDE_HEIGHT, faces.WIDE_WIDTH, 3), dtype=np.uint8)
        for of in faces.FRAMES:
            for seed in range(20):
                picture = augment.augmented(wide, np.random.default_rng(seed), of)
                self.assertEqual((picture.shape, picture.dtype), ((of.height, of.width, 3), np.uint8))

    def test_frames_show_the_template_where_they_say(self):
        for of in faces.FRAMES:
            for place, wide_place in zip(faces.template_of(of.height, of.width), faces.WIDE_TEMPLATE, strict=True):
                wide = np.zeros((faces.WIDE_HEIGHT, faces.WIDE_WIDTH, 3), np.uint8)
                cv2.circle(wide, tuple(int(v) for v in wide_place), 4, (255, 255, 255), -1)
                spot = faces.frame(wide, of).max(2).astype(float)
                y, x = np.indices(spot.shape)
                middle = np.array([(x * spot).sum(), (y * spot).sum()]) / spot.sum() + 0.5
                self.assertLess(np.abs(middle - place).max(), 1.0, of)

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

    def options(self, folder: Path, kind: str, steps: int) -> Namespace:
        return Namespace(
            cache=folder, out=folder / kind, network=kind, pictures=16 * steps, minutes=None, batch=16, learning_rate=2e-3, weight_decay=0.0,
            seed=1, threads=1, teachers=["mobilefacenet"], start_from=None, workers=1, report_steps=5, memory_mapped=True, precision="float32",
        )  # fmt: skip

    def test_runs_resumes_and_learns(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = self.cache(Path(temporary))
            for kind, steps in (("deepid2", 30), ("deepid2-ensemble", 10), ("deepid", 10)):
                options = self.options(folder, kind, steps)
                self.assertEqual(train.run(options), 0)
                rows = [r.split(",") for r in (options.out / "curves.csv").read_text(encoding="utf-8").split()]
                losses = [float(value) for _, what, value in rows if what == "loss"]
                self.assertLess(losses[-1], losses[0], kind)
                self.assertEqual(json.loads((options.out / "run.json").read_text(encoding="utf-8"))["steps"], steps)
                self.assertGreater((options.out / "curves.png").stat().st_size, 1000)
                options.pictures += 16 * 10
                train.run(options)
                self.assertEqual(json.loads((options.out / "run.json").read_text(encoding="utf-8"))["steps"], steps + 10)

    def test_another_run_begins_with_averaged_weights_and_what_the_signals_learnt(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = self.cache(Path(temporary))
            options = self.options(folder, "deepid2-plus", 3)
            train.run(options)
            options.start_from = options.out / "checkpoint.pt"
            begun = train.Run(options, cached.load(folder, options.teachers, in_memory=True))
            averaged = torch.load(options.out / "averaged.pt", weights_only=True)
            for name, value in begun.network.state_dict().items():
                torch.testing.assert_close(value, averaged[name])
            learnt = torch.load(options.start_from, weights_only=True)
            torch.testing.assert_close(begun.signals.projection.weight, learnt["signals"]["projection.weight"])
            torch.testing.assert_close(begun.level_signals[2].projection.weight, learnt["level_signals"]["2.projection.weight"])
            self.assertEqual(begun.step, 0)

    def test_what_a_run_cannot_begin_with_is_refused(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = self.cache(Path(temporary))
            options = self.options(folder, "deepid2", 1)
            options.workers = 0
            train.run(options)
            data = cached.load(folder, options.teachers, in_memory=True)
            for name, kind, said in (("averaged.pt", "deepid2", "no checkpoint"), ("checkpoint.pt", "deepid2-ensemble", "another kind"), ("checkpoint.pt", "deepid", "another kind")):
                other = self.options(folder, kind, 1)
                other.start_from = options.out / name
                with self.assertRaisesRegex(SystemExit, said):
                    train.Run(other, data)

    def test_bfloat16_learns_too_and_keeps_its_weights_in_float32(self):
        with tempfile.TemporaryDirectory() as temporary:
            options = self.options(self.cache(Path(temporary)), "deepid2", 30)
            options.precision = "bfloat16"
            self.assertEqual(train.run(options), 0)
            rows = [r.split(",") for r in (options.out / "curves.csv").read_text(encoding="utf-8").split()]
            losses = [float(value) for _, what, value in rows if what == "loss"]
            self.assertLess(losses[-1], losses[0])
            weights = torch.load(options.out / "averaged.pt", weights_only=True)
            self.assertEqual({w.dtype for w in weights.values() if w.is_floating_point()}, {torch.float32})


if __name__ == "__main__":
    unittest.main()
