"""The liveness network and MiniFASNet in PyTorch: what the public file's keys tell, and plain layers."""

import tempfile
import unittest
from pathlib import Path

from . import TRAINING  # noqa: F401

try:
    import numpy as np
    import torch
    from liveness import minifasnet
    from liveness.export import written as written_ours
    from liveness.export_minifasnet import written
    from liveness.network import SIDE, STAGES, VIEWS, Liveness, parted
    from liveness.teachers import NAMES as TEACHERS
except ImportError as absent:
    raise unittest.SkipTest(f"{absent}: run 'make test-training'") from None


def unit(weights: dict, prefix: str, made: int, each: int, side: int, prelu: bool = True) -> None:
    weights[f"{prefix}.conv.weight"] = torch.randn(made, each, side, side) * (2.0 / (each * side * side)) ** 0.5
    norm(weights, f"{prefix}.bn", made)
    if prelu:
        weights[f"{prefix}.prelu.weight"] = torch.rand(made) * 0.3


def norm(weights: dict, prefix: str, count: int) -> None:
    weights |= {f"{prefix}.weight": torch.rand(count) + 0.5, f"{prefix}.bias": torch.randn(count) * 0.1, f"{prefix}.running_mean": torch.randn(count) * 0.1,
                f"{prefix}.running_var": torch.rand(count) + 0.5, f"{prefix}.num_batches_tracked": torch.tensor(1)}  # fmt: skip


def bottleneck(weights: dict, prefix: str, given: int, wide: int, made: int, excited: bool) -> None:
    unit(weights, f"{prefix}.conv", wide, given, 1)
    unit(weights, f"{prefix}.conv_dw", wide, 1, 3)
    unit(weights, f"{prefix}.project", made, wide, 1, prelu=False)
    if excited:
        weights |= {f"{prefix}.se_module.fc1.weight": torch.randn(2, made, 1, 1), f"{prefix}.se_module.fc2.weight": torch.randn(made, 2, 1, 1)}
        norm(weights, f"{prefix}.se_module.bn1", 2)
        norm(weights, f"{prefix}.se_module.bn2", made)


def small_minifasnet(excited: bool) -> dict:
    """A MiniFASNet of eight channels, with the public file's names."""
    torch.manual_seed(3)
    weights: dict = {}
    unit(weights, "conv1", 8, 3, 3)
    unit(weights, "conv2_dw", 8, 1, 3)
    for name, stride in minifasnet.STAGES:
        for number in range(1 if stride == 2 else 2):
            prefix = name if stride == 2 else f"{name}.model.{number}"
            bottleneck(weights, prefix, 8, 12, 8, excited and stride == 1 and number == 1)
    unit(weights, "conv_6_sep", 16, 8, 1)
    unit(weights, "conv_6_dw", 16, 1, 5, prelu=False)
    weights["linear.weight"] = torch.randn(6, 16)
    norm(weights, "bn", 6)
    weights["prob.weight"] = torch.randn(3, 6)
    return weights


class Ours(unittest.TestCase):
    def test_begins_as_the_public_network_and_its_plain_layers_take_rgb(self):
        base = minifasnet.MiniFASNet(small_minifasnet(True))
        base.load_state_dict(small_minifasnet(True))
        network = Liveness(base.eval()).eval()
        picture = torch.rand(3, 3, SIDE, SIDE) * 255
        with torch.inference_mode():
            logits = base(picture)
            label, teach = network(picture)
            live = logits[:, minifasnet.LIVE] - (logits.sum(1) - logits[:, minifasnet.LIVE]) / 2
            np.testing.assert_allclose(label.numpy(), live.numpy(), rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(teach[:, 2].numpy(), live.numpy(), rtol=1e-3, atol=1e-3)
            network.label.weight.normal_()
            network.teach.bias.normal_()
            label, teach = network(picture[:1])
        shares = np.array([0.5, 0.2, 0.2, 0.1])
        found = in_torch(written_ours(network, shares), picture[:1].flip(1))
        np.testing.assert_allclose(found[:, 0], shares[0] * label.numpy() + teach.numpy() @ shares[1:], rtol=1e-3, atol=1e-3)

    def test_the_upper_part_goes_on_where_the_lower_ends(self):
        network = Liveness(minifasnet.MiniFASNet(small_minifasnet(False)).eval()).eval()
        picture = torch.rand(2, 3, SIDE, SIDE) * 255
        with torch.inference_mode():
            whole = network(picture)
            for first in STAGES[1:]:
                network.lower_stages, network.upper_stages = parted(first)
                for one, other in zip(whole, network.upper(network.lower(picture)), strict=True):
                    np.testing.assert_array_equal(one.numpy(), other.numpy())

    def test_the_shares_of_each_view_are_a_mean_of_the_label_and_every_teacher(self):
        for view in VIEWS.values():
            self.assertEqual(len(view.shares), 1 + len(TEACHERS))
            self.assertAlmostEqual(sum(view.shares), 1.0)
            self.assertIn(view.begun_with, TEACHERS)


class MiniFASNet(unittest.TestCase):
    def test_its_file_tells_the_widths_and_the_plain_layers_compute_the_same(self):
        for excited in (False, True):
            weights = small_minifasnet(excited)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "small.pth"
                torch.save({f"module.{k}": v for k, v in weights.items()}, path)
                network = minifasnet.read(path)
                (Path(folder) / "no.pth").write_bytes(b"no such thing")
                with self.assertRaisesRegex(minifasnet.WeightsError, "not a PyTorch file"):
                    minifasnet.read(Path(folder) / "no.pth")
                torch.save({"a": torch.zeros(1)}, path)
                with self.assertRaisesRegex(minifasnet.WeightsError, "not a MiniFASNet"):
                    minifasnet.read(path)
            picture = torch.rand(1, 3, minifasnet.SIDE, minifasnet.SIDE) * 255
            with torch.inference_mode():
                wanted = network(picture).numpy()
            self.assertEqual(wanted.shape, (1, 3))
            writer = written(network)
            np.testing.assert_allclose(in_torch(writer, picture), wanted, rtol=1e-3, atol=1e-3)


def in_torch(writer, picture: "torch.Tensor") -> "np.ndarray":
    """The plain layers once more, by their definition."""
    from torch.nn import functional

    values = {"picture": picture}
    simple = {"add": torch.add, "multiply": torch.mul, "relu": torch.relu, "sigmoid": torch.sigmoid, "mean": lambda v: v.mean((2, 3), keepdim=True)}
    constant = {name: torch.from_numpy(np.ascontiguousarray(value)).float() for name, value in writer.constants.items()}
    for name, *parts in writer.steps:
        if name == "conv":
            given, made, key, stride, padding, deep = parts
            kernel = constant[f"{key}.kernel"]
            turned = kernel.permute(2, 3, 0, 1) if deep else kernel.permute(3, 2, 0, 1)
            values[made] = functional.conv2d(values[given], turned, constant[f"{key}.bias"], stride, padding, groups=turned.shape[0] if deep else 1)
        elif name == "prelu":
            values[parts[1]] = functional.prelu(values[parts[0]], constant[parts[2]])
        elif name == "dense":
            values[parts[1]] = values[parts[0]].flatten(1) @ constant["prob.kernel"] + constant["prob.bias"]
        else:
            *given, made = parts
            values[made] = simple[name](*(values[g] for g in given))
    return values["logits"].detach().numpy()


if __name__ == "__main__":
    unittest.main()
