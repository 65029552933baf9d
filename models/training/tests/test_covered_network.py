"""The network that judges covered faces: its shape, its plain layers, labels that somebody saw, thresholds."""

import tempfile
import unittest
from pathlib import Path

from . import TRAINING  # noqa: F401

try:
    import numpy as np
    import torch
    from covered import calibrate, crops, drawing, regions, seen, train
    from covered.drawn import Drawn
    from covered.network import LAYERS, Covered, folded, padding
    from torch.nn import functional
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


def shard(folder: Path, count: int = 8) -> Drawn:
    """Half of the drawings are free, half covered at the mouth."""
    rng = np.random.default_rng(2)
    labels = np.zeros((count, len(regions.NAMES)), np.int8)
    labels[count // 2 :, 1] = 1
    kinds = np.array([drawing.NAMES.index("bare")] * (count // 2) + [drawing.NAMES.index("mask")] * (count - count // 2), np.int16)
    np.savez(folder / "0000.npz", crops=rng.integers(0, 256, (count, crops.LARGE_HEIGHT, crops.LARGE_WIDTH, 3), dtype=np.uint8), labels=labels, kinds=kinds, photographs=np.arange(count, dtype=np.int32))
    data = Drawn(folder)
    data.refresh()
    return data


class Network(unittest.TestCase):
    def test_plain_layers_give_what_the_network_gives(self):
        torch.manual_seed(4)
        network = Covered()
        for norm in network.norms:
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
        network.eval()
        picture = torch.randint(0, 256, (1, 3, crops.HEIGHT, crops.WIDTH)).float()
        plain = folded(network)
        with torch.inference_mode():
            values = picture / 127.5 - 1.0
            for number, (_, stride, _) in enumerate(LAYERS):
                kernel = plain[f"conv{number}.kernel"].permute(3, 2, 0, 1)
                values = functional.relu(functional.conv2d(functional.pad(values, padding(values, stride)), kernel, plain[f"conv{number}.bias"], stride))
            # As TensorFlow flattens: height, width, channels.
            flat = values.permute(0, 2, 3, 1).flatten(1)
            hidden = functional.relu(flat @ plain["hidden.kernel"] + plain["hidden.bias"])
            logits = hidden @ plain["out.kernel"] + plain["out.bias"]
            self.assertLess(float((logits - network(picture)).abs().max()), 1e-4)
        self.assertEqual(logits.shape, (1, len(regions.NAMES)))

    def test_padding_is_tensorflows(self):
        self.assertEqual(padding(torch.zeros(1, 3, 64, 64), 2), (0, 1, 0, 1))
        self.assertEqual(padding(torch.zeros(1, 3, 64, 64), 1), (1, 1, 1, 1))
        self.assertEqual(padding(torch.zeros(1, 3, 5, 4), 2), (0, 1, 1, 1))


class Learning(unittest.TestCase):
    def test_what_somebody_saw_counts_beside_what_is_drawn(self):
        with tempfile.TemporaryDirectory() as folder:
            data = shard(Path(folder))
            files = np.array([f"fair_face/train/{n}.jpg" for n in range(8)])
            labels, out = train.taught(data, files, {"train/0.jpg": "eyes", "train/1.jpg": "doubtful", "train/2.jpg": "", "train/5.jpg": "eyes"})
        self.assertEqual(labels[0].tolist(), [1, 0, regions.NEITHER, regions.NEITHER])
        self.assertEqual(labels[5].tolist(), [1, 1, regions.NEITHER, regions.NEITHER])
        self.assertEqual(labels[2].tolist(), [0, 0, 0, 0])
        self.assertEqual(np.flatnonzero(out).tolist(), [1])

    def test_photographs_that_are_doubted_lose_their_uncovered_drawings_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            data = shard(Path(folder))
            out = train.doubted_drawings(data, data.labels, np.array([0, 5]))
        self.assertEqual(np.flatnonzero(out).tolist(), [0])

    def test_a_shaken_crop_is_as_the_network_wants_it(self):
        large = np.full((3, crops.LARGE_HEIGHT, crops.LARGE_WIDTH, 3), 128, np.uint8)
        made = train.shaken(large, np.random.default_rng(1))
        self.assertEqual(tuple(made.shape), (3, 3, crops.HEIGHT, crops.WIDTH))
        self.assertTrue(0 <= float(made.min()) and float(made.max()) <= 255)
        self.assertLess(abs(float(made.mean()) - 128), 60)


class Calibration(unittest.TestCase):
    def test_a_threshold_refuses_the_share_that_it_says(self):
        with tempfile.TemporaryDirectory() as folder:
            data = shard(Path(folder), 2000)
            found = np.concatenate([np.linspace(0.0, 0.9, 1000), np.linspace(0.5, 1.0, 1000)])
            report = calibrate.report(found, data, np.ones(2000, bool))
        for point in report["points"]:
            refused = (found[:1000] > point["probability"]).mean()
            self.assertAlmostEqual(refused, point["uncovered"], delta=0.0011)
            self.assertAlmostEqual((found[1000:] > point["probability"]).mean(), point["covered"], places=6)
        self.assertEqual(report["points"][0]["kinds"].keys(), {"bare", "mask"})

    def test_only_photographs_in_which_nobody_saw_a_cover_are_free(self):
        files = np.array(["fair_face/val/1.jpg", "fair_face/val/2.jpg", "fair_face/val/3.jpg"])
        self.assertEqual(seen.free(files, {"val/1.jpg": "eyes", "val/2.jpg": ""}).tolist(), [False, True, True])


if __name__ == "__main__":
    unittest.main()
