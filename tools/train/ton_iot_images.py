#!/usr/bin/env python3
# Copyright 2026 The Shoji Authors
# SPDX-License-Identifier: Apache-2.0
"""Turns the records of an IoT device into pictures, a window of consecutive records each; docs/ton_iot.md has the mapping.

Reads a CSV as TON_IoT has them (a byte-order mark, CRLF and padded strings are fine) and writes
OUT/train/CLASS/N.png, OUT/test/CLASS/N.png and OUT/mapping.json. The mapping is made from the training records alone.
"""

import argparse
import csv
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np

SIDE = 32        # pixels, width and height
RECORDS = 16     # of a window; two rows of pixels each
TRAIN_STEP = 4   # training windows overlap, test windows do not
TRAIN_PART = 0.7


def fail(message):
    sys.exit(f"ton_iot_images.py: {message}")


# --- records ---------------------------------------------------------------------------


def read_records(path, class_column, ignored):
    """The feature columns' names, the records (lists of strings) without repeated lines, and the class of each."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        fail(f"{path}: {error}")
    if len(rows) < 2:
        fail(f"{path}: no records")
    header, rows = rows[0], rows[1:]
    if class_column not in header:
        fail(f"{path}: no column '{class_column}'; there are: {', '.join(header)}")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            fail(f"{path}:{number}: {len(row)} fields instead of {len(header)}")
    features = [i for i, name in enumerate(header) if name != class_column and name not in ignored]
    if not 1 <= len(features) <= SIDE:
        fail(f"{path}: {len(features)} feature columns; from 1 to {SIDE} can be drawn")
    # The same line again, time included, is the same record logged twice.
    seen = set()
    unique = [row for row in rows if tuple(row) not in seen and not seen.add(tuple(row))]
    at = header.index(class_column)
    return [header[i] for i in features], [[row[i] for i in features] for row in unique], [row[at] for row in unique]


def runs_of(classes):
    """(class, first, end) of each run of records of one class, in the order of the file."""
    runs, first = [], 0
    for i in range(1, len(classes) + 1):
        if i == len(classes) or classes[i] != classes[first]:
            runs.append((classes[first], first, i))
            first = i
    return runs


# --- mapping ---------------------------------------------------------------------------


def number(text):
    """A cell as a number, or None; the logs spell switches both as words and as digits."""
    try:
        value = float({"true": "1", "false": "0"}.get(text.lower(), text))
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def make_column(values):
    """How the values of a column become levels, from those of the training records."""
    numbers = [number(value) for value in values]
    if None not in numbers:
        return {"kind": "number", "sorted": sorted(numbers)}
    return {"kind": "category", "words": sorted(set(values))}


def levels_of(column, values):
    """Two levels from 0 to 255 for each value: by rank among the training values, and by size between their extremes.
    What the training records did not hold counts as the nearest number, or as level 0."""
    if column["kind"] == "category":
        words = {word: i for i, word in enumerate(column["words"])}
        scale = 255 / max(1, len(words))
        levels = np.array([scale * (words[v] + 1) if v in words else 0 for v in values])
        return levels, levels
    known = np.asarray(column["sorted"])
    numbers = np.array([known[0] if (n := number(v)) is None else n for v in values])
    middle = (np.searchsorted(known, numbers, "left") + np.searchsorted(known, numbers, "right")) / 2
    span = known[-1] - known[0]
    size = (np.clip(numbers, known[0], known[-1]) - known[0]) / span if span > 0 else np.zeros(len(numbers))
    return 255 * middle / len(known), 255 * size


def draw(columns, records):
    """All records as rows of pixels: [record][feature][channel], 8 bit. The third channel is the change against the
    record before in the file; windows do not reach over the ends of runs but for that."""
    out = np.zeros((len(records), len(columns), 3))
    for f, column in enumerate(columns):
        rank, size = levels_of(column, [record[f] for record in records])
        out[:, f, 0], out[:, f, 1] = rank, size
        out[1:, f, 2] = 128 + np.diff(rank) / 2
    out[:1, :, 2] = 128
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def picture(rows):
    """A window of rows as SIDE x SIDE pixels: a feature is a band of columns, a record a band of lines."""
    rows = rows.copy()
    rows[0, :, 2] = 128  # what came before the window is not part of it
    band = np.arange(SIDE) * rows.shape[1] // SIDE
    return np.repeat(rows[:, band], SIDE // RECORDS, axis=0)


def write_png(path, pixels):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b""))


# --- main ------------------------------------------------------------------------------


def split(runs):
    """Of each run the first part for training, the rest, a window's length later, for testing."""
    train, test = [], []
    for name, first, end in runs:
        middle = first + int((end - first) * TRAIN_PART)
        train.append((name, first, middle))
        test.append((name, middle + RECORDS, end))
    return train, test


def windows(spans, rows, step):
    return [(name, picture(rows[i:i + RECORDS])) for name, first, end in spans
            for i in range(first, end - RECORDS + 1, step)]


def write(folder, pictures):
    counts = {}
    for name, pixels in pictures:
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        counts[name] = counts.get(name, 0) + 1
        write_png(target / f"{counts[name]:05d}.png", pixels)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", required=True, help="the records of one device")
    parser.add_argument("--out", required=True, type=Path, help="a folder that does not exist yet")
    parser.add_argument("--class-column", default="type")
    parser.add_argument("--ignore", default="date,time,label,ts",
                        help="columns that are no features, by default %(default)s: when an attack was made, and the class in other words")
    args = parser.parse_args()
    if args.out.exists():
        fail(f"{args.out} exists")

    names, records, classes = read_records(args.csv, args.class_column, args.ignore.split(","))
    train_spans, test_spans = split(runs_of(classes))
    training = [record for _, first, end in train_spans for record in records[first:end]]
    if not training:
        fail(f"{args.csv}: too few records")
    columns = [make_column([record[f] for record in training]) for f in range(len(names))]
    rows = draw(columns, records)
    train = windows(train_spans, rows, TRAIN_STEP)
    known = {pixels.tobytes() for _, pixels in train}
    every_test = windows(test_spans, rows, RECORDS)
    test = [(name, pixels) for name, pixels in every_test if pixels.tobytes() not in known]
    if not train or not test:
        fail(f"{args.csv}: too few records for windows of {RECORDS}")

    counts = {"train": write(args.out / "train", train), "test": write(args.out / "test", test)}
    mapping = {"features": names, "records_of_a_window": RECORDS, "columns": columns}
    (args.out / "mapping.json").write_text(json.dumps(mapping) + "\n")
    print(f"{len(records)} records, {len(names)} features: {', '.join(names)}")
    print(f"{len(train)} training pictures; {len(test)} test pictures, and {len(every_test) - len(test)} left out that "
          f"look like a training picture to the last pixel")
    for part, of_class in counts.items():
        print(f"  {part}: " + ", ".join(f"{name} {of_class[name]}" for name in sorted(of_class)))


if __name__ == "__main__":
    main()
