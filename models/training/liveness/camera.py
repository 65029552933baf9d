"""One camera for everything that is drawn: whatever stands before it, live or not, is taken alike.

in   a scene: RGB, float32, 0 … 1, gamma-coded, as large as the frame
out  a frame: RGB, uint8, with the blur, exposure, colour, noise and compression of a cheap camera

Invariant: nothing here knows what the scene shows; live faces and attacks draw from the same
distributions, so that no network can tell the classes by the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

Rng = np.random.Generator


@dataclass(frozen=True)
class Camera:
    """What one camera does with a scene, for as long as a visit lasts."""

    brightness: float
    white: tuple[float, float, float]
    saturation: float
    contrast: float
    gamma: float
    vignette: float
    defocus: float
    sharpness: float
    motion: tuple[float, float]
    noise: float
    chroma_noise: float
    denoise: float
    sharpening: float
    quality: int
    subsampled: bool
    again: int | None

    @staticmethod
    def drawn(rng: Rng) -> Camera:
        # Two of five cameras are good ones: all that a camera does wrong is a third as strong.
        wrong = 0.33 if rng.random() < 0.4 else 1.0
        moving = rng.uniform(0, 5) * wrong if rng.random() < 0.25 else 0.0
        angle = rng.uniform(0, np.pi)
        return Camera(
            brightness=float(np.exp(rng.normal(np.log(0.2), 0.45 * wrong))),
            white=(float(np.exp(rng.normal(0, 0.07 * wrong))), 1.0, float(np.exp(rng.normal(0, 0.08 * wrong)))),
            saturation=1.0 + wrong * float(rng.uniform(-0.3, 0.2)),
            contrast=1.0 + wrong * float(rng.uniform(-0.15, 0.2)),
            gamma=float(np.exp(rng.normal(0, 0.08 * wrong))),
            vignette=float(rng.uniform(0, 0.3)) * wrong if rng.random() < 0.4 else 0.0,
            defocus=float(rng.uniform(0.3, 1.3)) * wrong if rng.random() < 0.35 else 0.0,
            sharpness=1.0 - wrong * float(rng.uniform(0.05, 0.45)) if rng.random() < 0.35 else 1.0,
            motion=(moving * np.cos(angle), moving * np.sin(angle)),
            noise=float(np.exp(rng.uniform(np.log(0.002), np.log(0.025)))) * wrong,
            chroma_noise=float(rng.uniform(0, 0.012)) * wrong if rng.random() < 0.5 else 0.0,
            denoise=float(rng.uniform(0.5, 1.0)) * wrong if rng.random() < 0.35 else 0.0,
            sharpening=float(rng.uniform(0.2, 1.3)) * wrong if rng.random() < 0.45 else 0.0,
            quality=int(rng.integers(50, 97)) if wrong == 1.0 else int(rng.integers(80, 97)),
            subsampled=bool(rng.random() < 0.8),
            again=int(rng.integers(40, 85)) if rng.random() < 0.2 * wrong else None,
        )  # fmt: skip

    def take(self, scene: np.ndarray, rng: Rng) -> np.ndarray:
        """A frame of the scene; the noise is drawn anew each time."""
        light = self._optics(scene)
        light = self._tones(light)
        light = self._noisy(light, rng)
        if self.sharpening:
            light += self.sharpening * (light - cv2.GaussianBlur(light, (0, 0), 1.2))
        frame = (np.clip(light, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
        frame = compressed(frame, self.quality, self.subsampled)
        return compressed(frame, self.again, True) if self.again else frame

    def _optics(self, scene: np.ndarray) -> np.ndarray:
        light = scene
        if self.sharpness < 1.0:
            height, width = scene.shape[:2]
            small = cv2.resize(light, (max(8, int(width * self.sharpness)), max(8, int(height * self.sharpness))), interpolation=cv2.INTER_AREA)
            light = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
        if self.defocus:
            light = cv2.GaussianBlur(light, (0, 0), self.defocus)
        if np.hypot(*self.motion) > 1.0:
            light = cv2.filter2D(light, -1, streak(*self.motion), borderType=cv2.BORDER_REPLICATE)
        return light

    def _tones(self, light: np.ndarray) -> np.ndarray:
        linear = cv2.pow(np.clip(light, 0.0, 1.6), 2.2)
        linear *= np.array(self.white, np.float32) * np.float32(self.exposure(linear))
        if self.vignette:
            linear *= falloff(linear.shape[0], linear.shape[1], self.vignette)[..., None]
        # Highlights roll off before they clip.
        linear = np.where(linear > 0.8, 0.8 + 0.35 * (1.0 - np.exp(-(linear - 0.8) / 0.35)), linear).astype(np.float32)
        coded = cv2.pow(linear, self.gamma / 2.2)
        grey = coded @ np.array([0.299, 0.587, 0.114], np.float32)
        coded = grey[..., None] + (coded - grey[..., None]) * np.float32(self.saturation)
        return (coded - 0.45) * np.float32(self.contrast) + 0.45

    def exposure(self, linear: np.ndarray) -> float:
        """Automatic, as cameras do it: most of the way to the brightness that this one wants."""
        mean = float(linear[::4, ::4, 1].mean()) + 0.01
        return float(np.clip((self.brightness / mean) ** 0.8, 0.35, 5.0))

    def _noisy(self, light: np.ndarray, rng: Rng) -> np.ndarray:
        height, width = light.shape[:2]
        grain = rng.standard_normal((height, width, 3), dtype=np.float32)
        grain = grain * 0.5 + grain[..., 1:2] * 0.7
        strength = self.noise * (0.6 + 0.8 * np.sqrt(np.clip(light[..., 1:2], 0.0, 1.0)))
        light = light + grain * strength
        if self.chroma_noise:
            coarse = rng.standard_normal((height // 4 + 1, width // 4 + 1, 3), dtype=np.float32) * self.chroma_noise
            coarse -= coarse.mean(2, keepdims=True)
            light = light + cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        if self.denoise:
            light = cv2.GaussianBlur(light, (0, 0), self.denoise)
        return light


def streak(dx: float, dy: float) -> np.ndarray:
    """The kernel of a movement by so many pixels while the shutter is open."""
    side = int(np.ceil(max(abs(dx), abs(dy)))) | 1
    kernel = np.zeros((side + 2, side + 2), np.float32)
    middle = (side + 1) / 2.0
    for step in np.linspace(-0.5, 0.5, 4 * side):
        x, y = middle + step * dx, middle + step * dy
        left, top = int(x), int(y)
        for row, column, share in ((top, left, (1 - x % 1) * (1 - y % 1)), (top, left + 1, (x % 1) * (1 - y % 1)),
                                   (top + 1, left, (1 - x % 1) * (y % 1)), (top + 1, left + 1, (x % 1) * (y % 1))):  # fmt: skip
            if 0 <= row < side + 2 and 0 <= column < side + 2:
                kernel[row, column] += share
    return kernel / kernel.sum()


def falloff(height: int, width: int, strength: float) -> np.ndarray:
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    return 1.0 - strength * (x * x + y * y) / 2.0


def compressed(frame: np.ndarray, quality: int, subsampled: bool = True) -> np.ndarray:
    factor = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if subsampled else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
    _, coded = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), settings)
    return cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
