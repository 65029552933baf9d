"""Alignment in Python: the similarity that lays a face onto the template, and the crop that it gives.

in   RGB picture, height × width × 3; keypoints in its pixels, 0 at the outer edge of the first
out  RGB crop, uint8: 47 × 55, or of any other template

Deliberately absent: speed. Source of the fit: S. Umeyama, IEEE PAMI 13(4), 1991, without reflection.
"""

from __future__ import annotations

import numpy as np

WIDTH, HEIGHT = 47, 55
# Where right eye, left eye, nose tip and mouth centre belong in the crop, 0 at the outer edge of its
# first pixel (the model's card).
TEMPLATE = np.array([(16.0, 22.5), (32.0, 22.5), (24.0, 31.6), (24.0, 41.0)])


def similarity(template: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares: points ≈ template @ matrix.T + offset, matrix = scale · rotation (Umeyama)."""
    t0, p0 = template - template.mean(0), points - points.mean(0)
    a = (t0 * p0).sum() / (t0 * t0).sum()
    b = (t0[:, 0] * p0[:, 1] - t0[:, 1] * p0[:, 0]).sum() / (t0 * t0).sum()
    matrix = np.array([[a, -b], [b, a]])
    return matrix, points.mean(0) - matrix @ template.mean(0)


def crop(picture: np.ndarray, keypoints: np.ndarray, template: np.ndarray = TEMPLATE, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """The aligned face, each pixel the mean of n × n bilinear samples, n = the shrinking, rounded up."""
    matrix, offset = similarity(template, keypoints[: len(template)])
    samples = max(1, int(np.ceil(np.hypot(matrix[0, 0], matrix[1, 0]))))
    inside = (np.arange(samples) + 0.5) / samples
    y, x, v, u = np.meshgrid(np.arange(size[1]), np.arange(size[0]), inside, inside, indexing="ij")
    at = np.stack([x + u, y + v], axis=-1) @ matrix.T + offset - 0.5
    height, width = picture.shape[:2]
    px, py = np.clip(at[..., 0], 0, width - 1), np.clip(at[..., 1], 0, height - 1)
    left, top = px.astype(int), py.astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    fx, fy = (px - left)[..., None], (py - top)[..., None]
    upper = picture[top, left] * (1 - fx) + picture[top, right] * fx
    lower = picture[bottom, left] * (1 - fx) + picture[bottom, right] * fx
    return np.round((upper * (1 - fy) + lower * fy).mean(axis=(2, 3))).astype(np.uint8)
