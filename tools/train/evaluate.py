#!/usr/bin/env python3
# Copyright 2026 The Shoji Authors
# SPDX-License-Identifier: Apache-2.0
"""Runs an exported classifier from its ONNX file alone: accuracy on a CIFAR binary, or photos.

The nodes are interpreted one by one, straight from the file, so the check does not
share any code with the program that trained and wrote the model.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from PIL import Image

SIDE = 32


def load(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    weights = {w.name: torch.from_numpy(numpy_helper.to_array(w).copy())
               for w in model.graph.initializer}
    return model.graph, weights


def evaluate(graph, weights, batch):
    """Interprets the handful of operators that the exported classifier is made of."""
    values = dict(weights)
    values[graph.input[0].name] = batch
    for node in graph.node:
        x = [values[name] for name in node.input]
        a = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type == "Conv":
            top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
            padded = F.pad(x[0], (left, right, top, bottom))
            y = F.conv2d(padded, *x[1:], stride=tuple(a.get("strides", [1, 1])),
                         dilation=tuple(a.get("dilations", [1, 1])), groups=a.get("group", 1))
        elif node.op_type == "BatchNormalization":
            scale, bias, mean, variance = (t.view(1, -1, 1, 1) for t in x[1:5])
            y = (x[0] - mean) / torch.sqrt(variance + a.get("epsilon", 1e-5)) * scale + bias
        elif node.op_type == "Relu":
            y = x[0].clamp(min=0)
        elif node.op_type == "Add":
            y = x[0] + x[1]
        elif node.op_type == "GlobalAveragePool":
            y = x[0].mean(dim=(2, 3), keepdim=True)
        elif node.op_type == "Flatten":
            y = x[0].flatten(a.get("axis", 1))
        elif node.op_type == "Gemm":
            left = x[0].t() if a.get("transA", 0) else x[0]
            right = x[1].t() if a.get("transB", 0) else x[1]
            y = a.get("alpha", 1.0) * (left @ right) + a.get("beta", 1.0) * x[2]
        else:
            raise SystemExit(f"node '{node.name}': operator {node.op_type} is not known here")
        values[node.output[0]] = y
    return values[graph.output[0].name]


def read_preprocessing(path):
    """The preprocessing file is flat, so that a few lines replace a YAML parser."""
    entries = {}
    for line in Path(path).read_text().splitlines():
        key, separator, value = line.split("#")[0].partition(":")
        if separator:
            entries[key.strip()] = value.strip()

    def numbers(text):
        return torch.tensor([float(number) for number in text.strip("[]").split(",")])

    if entries["channels"] != "rgb" or entries["layout"] != "nchw":
        raise SystemExit("this check handles rgb pictures in nchw layout only")
    return float(entries["scale"]), numbers(entries["mean"]), numbers(entries["std"])


def tensor(pictures, preprocessing):
    scale, mean, std = preprocessing
    pixels = torch.from_numpy(np.array(pictures)).float()
    return ((pixels * scale - mean) / std).permute(0, 3, 1, 2).contiguous()


def open_photo(path):
    """Shorter side to 32 pixels, then the central square."""
    with Image.open(path) as photo:
        photo = photo.convert("RGB")
    width, height = photo.size
    ratio = SIDE / min(width, height)
    photo = photo.resize((max(SIDE, round(width * ratio)), max(SIDE, round(height * ratio))),
                         Image.BILINEAR)
    left, top = (photo.width - SIDE) // 2, (photo.height - SIDE) // 2
    return np.asarray(photo.crop((left, top, left + SIDE, top + SIDE)))


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="models/cifar10_resnet.onnx", metavar="FILE")
    parser.add_argument("--test", metavar="FILE", help="pictures in the CIFAR-10 binary layout")
    parser.add_argument("photos", nargs="*", help="photos to classify")
    args = parser.parse_args()

    torch.set_num_threads(2)
    graph, weights = load(args.model)
    preprocessing = read_preprocessing(Path(args.model).with_suffix(".preprocessing.yaml"))
    labels = Path(args.model).with_suffix(".labels.txt").read_text().split()

    if args.test:
        records = np.fromfile(args.test, np.uint8).reshape(-1, 1 + 3 * SIDE * SIDE)
        pictures = records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
        truth = torch.from_numpy(records[:, 0].astype(np.int64))
        right = 0
        for start in range(0, len(truth), 250):
            batch = tensor(pictures[start:start + 250], preprocessing)
            found = evaluate(graph, weights, batch).argmax(1)
            right += (found == truth[start:start + 250]).sum().item()
        print(f"{right} of {len(truth)} right: {100 * right / len(truth):.2f} %")

    for name in args.photos:
        batch = tensor(open_photo(name)[None], preprocessing)
        odds = evaluate(graph, weights, batch).softmax(1)[0]
        best = odds.topk(3)
        print(Path(name).name + ": " + ", ".join(
            f"{labels[i]} {p:.3f}" for p, i in zip(best.values.tolist(), best.indices.tolist())))


if __name__ == "__main__":
    main()
