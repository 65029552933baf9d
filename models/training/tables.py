"""Calibrations as the TOML of a card.

in   the `calibration` of evaluate.py or balanced.py: by crops and metric, points with their intervals
out  lines of `[[calibration]]` tables (format: models/README.md)
"""

from __future__ import annotations

import json


def text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a part of TOML's."""
    return json.dumps(value, ensure_ascii=False)


def rate(value: float) -> str:
    return f"{value:.0e}".replace("e-0", "e-")


def interval_words(points: list[dict]) -> str:
    return ", ".join(f"{rate(p['rate'])} is {p['interval'][0]:.1e} to {p['interval'][1]:.1e}" for p in points)


def listed(points: list[dict], key: str) -> str:
    return "[" + ", ".join(f"[{rate(p['rate'])}, {p[key]:.6g}]" for p in points) + "]"


def calibrations(calibration: dict, date: str) -> list[str]:
    lines: list[str] = []
    for mirrored, crops in ((False, "one_crop"), (True, "mirrored")):
        for metric, measured in calibration[crops].items():
            points = measured["calibration"]
            crop = "crop and mirror image averaged" if mirrored else "one crop"
            source = calibration.get("source") or f"{calibration['people']} people of CelebA who are neither in training nor in LFW, {date}"
            if "worst_group" in measured:
                counted = f"{calibration['non_mated']:,} pairs of the same group, sex and age band; each threshold is that of the group that fares worst"
                counted += "".join(f"; {rate(p['rate'])} by the slope of all groups together" for p in points if not p["group"])
            else:
                counted = f"{calibration['mated']:,} mated and {calibration['non_mated']:,} non-mated comparisons"
            words = f"{source}: {counted}, {crop}; 95 % intervals by Wilson as if comparisons were independent: {interval_words(points)}"
            lines += ["", "[[calibration]]", f"metric = {text(metric)}", f"mirrored = {str(mirrored).lower()}",
                      f"source = {text(words)}", f"points = {listed(points, 'threshold')}"]  # fmt: skip
            if "worst_group" in measured:
                lines += [f"worst_group = {text(measured['worst_group'])}", f"average = {listed(points, 'average')}"]
    return lines
