#!/usr/bin/env python3
# Copyright 2026 The Shoji Authors
# SPDX-License-Identifier: Apache-2.0
"""Accuracy class by class, from what `shoji infer --output json` prints for pictures that lie in folders named after
their class. Reads the lines from files or from standard input.

    shoji infer pictures/*/*.png ... --output json | tools/train/class_report.py
"""

import argparse
import collections
import fileinput
import json
import sys
from pathlib import PurePath


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="by default standard input")
    files = parser.parse_args().files
    total, right, answered, failed = collections.Counter(), collections.Counter(), collections.Counter(), 0
    for number, line in enumerate(fileinput.input(files), start=1):
        try:
            answer = json.loads(line)
            truth = PurePath(answer["picture"]).parent.name
            label = None if "error" in answer else answer["top"][0]["label"]
        except (ValueError, KeyError, IndexError, TypeError):
            sys.exit(f"class_report.py: line {number} is not an answer of `shoji infer --output json`")
        total[truth] += 1
        if label is None:
            failed += 1
            continue
        answered[label] += 1
        right[truth] += label == truth
    if not total:
        sys.exit("class_report.py: no answers")

    # Recall: how many of the class were found. Precision: how many of those called so are.
    width = max(8, *(len(name) for name in total))
    print(f"{'class':{width}}  pictures  right  recall  precision")
    for name in sorted(total):
        precision = f"{100 * right[name] / answered[name]:8.1f}%" if answered[name] else "        -"
        print(f"{name:{width}}  {total[name]:8}  {right[name]:5}  {100 * right[name] / total[name]:5.1f}%  {precision}")
    pictures = sum(total.values())
    largest, count = max(total.items(), key=lambda entry: (entry[1], entry[0]))
    print(f"{'all':{width}}  {pictures:8}  {sum(right.values()):5}  {100 * sum(right.values()) / pictures:5.1f}%")
    print(f"mean of the classes' recalls: {100 * sum(right[n] / total[n] for n in total) / len(total):.1f}%, "
          f"by chance {100 / len(total):.1f}%")
    print(f"always answering '{largest}' would be right for {100 * count / pictures:.1f}%")
    if failed:
        print(f"{failed} pictures got an error instead of an answer, and count as wrong")


if __name__ == "__main__":
    main()
