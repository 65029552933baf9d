"""Telling a face from a picture of it: drawings, teachers, training, conversion and figures of the
liveness network. Run as `python -m liveness.STEP` with `models/training` on the path (README.md).
"""
