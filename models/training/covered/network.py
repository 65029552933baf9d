"""The network: which part of an aligned face is covered, a few plain convolutions.

in   pictures: RGB 0 … 255, batch × 3 × 64 × 64 (crops.py)
out  logits: batch × regions (regions.NAMES)

8.2 M multiply-accumulates. It is not averaged over places: the crop is aligned, so a place is a part of the face.
"""

from __future__ import annotations

import torch
from covered import crops, regions
from torch import Tensor, nn
from torch.nn import functional

# Kernel, stride, channels of each convolution in turn; all pad so that the size is halved or kept.
LAYERS = ((3, 2, 16), (3, 1, 16), (3, 2, 32), (3, 1, 32), (3, 2, 64), (3, 2, 64))
HIDDEN = 64


def size_after() -> tuple[int, int]:
    height, width = crops.HEIGHT, crops.WIDTH
    for _, stride, _ in LAYERS:
        height, width = -(-height // stride), -(-width // stride)
    return height, width


class Covered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        given, convolutions, norms = 3, [], []
        for kernel, stride, channels in LAYERS:
            convolutions.append(nn.Conv2d(given, channels, kernel, stride, 0, bias=False))
            norms.append(nn.BatchNorm2d(channels))
            given = channels
        self.convolutions, self.norms = nn.ModuleList(convolutions), nn.ModuleList(norms)
        height, width = size_after()
        self.hidden = nn.Linear(given * height * width, HIDDEN)
        self.out = nn.Linear(HIDDEN, len(regions.NAMES))

    def forward(self, pictures: Tensor) -> Tensor:
        values = pictures / 127.5 - 1.0
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            values = functional.pad(values, padding(values, convolution.stride[0]))
            values = functional.relu(norm(convolution(values)))
        values = functional.dropout(values.flatten(1), 0.2, self.training)
        return self.out(functional.relu(self.hidden(values)))


def padding(values: Tensor, stride: int) -> tuple[int, int, int, int]:
    """Left, right, top, bottom for kernels of 3, as TensorFlow's "SAME" has it."""
    sides = []
    for size in (values.shape[3], values.shape[2]):
        total = max((-(-size // stride) - 1) * stride + 3 - size, 0)
        sides += [total // 2, total - total // 2]
    return sides[0], sides[1], sides[2], sides[3]


def folded(network: Covered) -> dict[str, Tensor]:
    """Kernels and biases with the batch norms in them, named as convert.py takes them; the normalisation of the input is the card's."""
    made: dict[str, Tensor] = {}
    for number, (convolution, norm) in enumerate(zip(network.convolutions, network.norms, strict=True)):
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        made[f"conv{number}.kernel"] = (convolution.weight * scale[:, None, None, None]).permute(2, 3, 1, 0)
        made[f"conv{number}.bias"] = norm.bias - norm.running_mean * scale
    channels = LAYERS[-1][2]
    height, width = size_after()
    # Flattened, TensorFlow's order is height, width, channels.
    made["hidden.kernel"] = network.hidden.weight.view(HIDDEN, channels, height, width).permute(2, 3, 1, 0).reshape(-1, HIDDEN)
    made["hidden.bias"] = network.hidden.bias
    made["out.kernel"], made["out.bias"] = network.out.weight.T, network.out.bias
    return {name: value.detach().float().contiguous() for name, value in made.items()}
