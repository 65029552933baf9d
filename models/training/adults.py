#!/usr/bin/env python3
"""Lays out the adults of FairFace, for `deepid-edge evaluate vectors`.

in   --data FOLDER of checkouts (data.toml); --part train | val; --each N: of each group, all without it
out  --out FOLDER: links to the photographs of the part's adults, named as the table's column `file`;
     beside them labels.csv, the table's own rows of these

Children look far more alike to these networks, and no door should rely on that: they are left out
before minutes are spent on them. Some ages in the table are damaged by a spreadsheet ("03-Sep" is 3
to 9, "Oct-19" 10 to 19); these are children, and the bands of adults are whole.
The training part calibrates, 'val' is for the report alone. Who is drawn depends on the photographs'
names alone.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import sys
from pathlib import Path

from balanced import AGES
from dataset import file_of

TABLES = {"train": "fairface", "val": "fairface-val"}
LABELS = "labels.csv"
FIELDS = ["file", "age", "gender", "race"]


def drawn(rows: list[dict[str, str]], each: int) -> list[dict[str, str]]:
    """`each` of every group, in the order of the table."""
    chosen: set[str] = set()
    for group in sorted({row["race"] for row in rows}):
        files = sorted((row["file"] for row in rows if row["race"] == group), key=lambda file: hashlib.sha256(file.encode()).digest())
        if len(files) < each:
            raise SystemExit(f"adults: {each} of each group are wanted, and the table has {len(files)} adults of {group}: ask for as many, or fewer")
        chosen.update(files[:each])
    return [row for row in rows if row["file"] in chosen]


def laid_out(table: Path, photographs: Path, out: Path, each: int | None) -> int:
    """How many adults there are now in `out`."""
    with table.open(encoding="utf-8", newline="") as stored:
        rows = [row for row in csv.DictReader(stored) if row["age"] in AGES]
    rows = drawn(rows, each) if each else rows
    absent = [row["file"] for row in rows if not (photographs / row["file"]).is_file()]
    if not rows or absent:
        raise SystemExit(f"adults: {photographs}: {len(absent)} of the {len(rows)} adults of {table} are absent, such as {absent[:1]}: check the repository out at the commit in data.toml")
    for row in rows:
        link = out / row["file"]
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(os.path.abspath(photographs / row["file"]))
    with (out / LABELS).open("w", encoding="utf-8", newline="") as stored:
        kept = csv.DictWriter(stored, FIELDS, extrasaction="ignore", lineterminator="\n")
        kept.writeheader()
        kept.writerows(rows)
    return len(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("data", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--part", choices=tuple(TABLES), default="train")
    parser.add_argument("--each", type=int)
    options = parser.parse_args()
    table = file_of(TABLES[options.part], options.data)
    count = laid_out(table, table.parent / "fair_face", options.out, options.each)
    print(f"adults: {count} in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
