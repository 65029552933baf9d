"""The networks of the DeepID family as tables: what training builds, folds, converts and cards.

A frame says what of an aligned face a network is given: `scale` pixels for each pixel of the
47 × 55 template, about the same middle. A topology is the paper's four convolutions and the fully
connected layer that the third and the fourth feed. An ensemble gives one frame to several networks
of one topology, each of which sees a part of it, and ends in one learnt linear projection.

Sources: DeepID, Sun, Wang, Tang, CVPR 2014; DeepID2, arXiv 1406.4773; DeepID2+, arXiv 1412.1265.
Deliberately absent: PyTorch and TensorFlow, whose environments both read this.
"""

from __future__ import annotations

from dataclasses import dataclass

# Sides of the four kernels; 2 × 2 pooling follows all but the last.
SIDES = (4, 3, 3, 2)
# Luma of ITU-R BT.601, for networks that see grey.
GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Frame:
    width: int
    height: int
    scale: float


@dataclass(frozen=True)
class Topology:
    width: int
    height: int
    channels: int
    maps: tuple[int, int, int, int]
    features: int

    @property
    def convolutions(self) -> tuple[tuple[str, int, int, int, bool], ...]:
        """Name, input channels, output channels, kernel side, whether pooling follows."""
        given = (self.channels, *self.maps)
        return tuple((f"conv{i + 1}", given[i], self.maps[i], SIDES[i], i < 3) for i in range(4))

    def sizes(self) -> list[tuple[int, int, int]]:
        """Channels, height, width after each convolution and its pooling."""
        height, width, made = self.height, self.width, []
        for _, _, channels, side, pool in self.convolutions:
            height, width = height - side + 1, width - side + 1
            if pool:
                height, width = height // 2, width // 2
            made.append((channels, height, width))
        return made

    @property
    def connections(self) -> dict[str, tuple[int, int, int]]:
        """What feeds each of the two halves of the fully connected layer: channels, height, width."""
        return {"fc11": self.sizes()[2], "fc12": self.sizes()[3]}

    def parameters(self) -> int:
        kernels = sum(given * made * side * side + made for _, given, made, side, _ in self.convolutions)
        return kernels + sum(c * h * w * self.features + self.features for c, h, w in self.connections.values())

    def operations(self) -> int:
        """Multiply-accumulates of one inference."""
        height, width, total = self.height, self.width, 0
        for (_, given, made, side, _), (_, after_height, after_width) in zip(self.convolutions, self.sizes(), strict=True):
            total += (height - side + 1) * (width - side + 1) * given * made * side * side
            height, width = after_height, after_width
        return total + sum(c * h * w * self.features for c, h, w in self.connections.values())


@dataclass(frozen=True)
class Patch:
    """A part of the ensemble's frame, in its pixels, which is resized to the topology's input."""

    name: str
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Kind:
    title: str
    frame: Frame
    topology: Topology
    patches: tuple[Patch, ...] = ()
    # Whether every level has a head of its own while training, as DeepID2+ asks.
    supervised_levels: bool = False

    @property
    def features(self) -> int:
        return self.topology.features

    @property
    def levels(self) -> int:
        """How many vectors have signals of their own while training, beside the features."""
        return len(self.patches) or (3 if self.supervised_levels else 0)

    def fusion(self) -> int:
        """Parameters of an ensemble's projection, each of which multiplies once."""
        return len(self.patches) * self.topology.features * self.features

    def parameters(self) -> int:
        return max(1, len(self.patches)) * self.topology.parameters() + self.fusion()

    def operations(self) -> int:
        """Without resizing, which multiplies at most four values for each input pixel."""
        return max(1, len(self.patches)) * self.topology.operations() + self.fusion()


DEEPID = Topology(31, 39, 1, (20, 40, 60, 80), 160)
DEEPID2 = Topology(47, 55, 3, (20, 40, 60, 80), 160)
DEEPID2_PLUS = Topology(47, 55, 3, (128, 128, 128, 128), 512)

FACE = Frame(47, 55, 1.0)
# Eyes at (32, 45) and (64, 45), the nose tip at (48, 63), the mouth at (48, 82).
LARGE = Frame(94, 110, 2.0)
PATCHES = (
    Patch("face", 0, 0, 94, 110),
    Patch("inner", 17, 24, 62, 72),
    Patch("upper", 7, 14, 82, 58),
    Patch("lower", 7, 50, 82, 58),
    Patch("side", 0, 14, 58, 78),
)

KINDS = {
    "deepid": Kind("DeepID (Sun, Wang, Tang, CVPR 2014), 160 features of a grey face", Frame(31, 39, 39 / 55), DEEPID),
    "deepid2": Kind("DeepID2 (Sun, Wang, Tang 2014), 160 features", FACE, DEEPID2),
    "deepid2-plus": Kind("DeepID2+ (Sun, Wang, Tang 2014), 512 features", FACE, DEEPID2_PLUS, supervised_levels=True),
    "deepid2-ensemble": Kind("DeepID2 on five parts of the face, fused to 160 features", LARGE, DEEPID2, PATCHES),
}
