#!/usr/bin/env python3
# Copyright 2026 The Shoji Authors
# SPDX-License-Identifier: Apache-2.0
"""Trains a small convolutional classifier on the pictures of ton_iot_images.py and writes it as ONNX.

Plain numpy, on one processor; the same pictures and options give the same weights on the same machine. Writes
OUT.onnx, OUT.labels.txt and OUT.preprocessing.yaml. The test pictures are looked at once, after the last epoch.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the order of sums is the same in every run

import argparse
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 32
CHANNELS = (3, 8, 16)
HIDDEN = 48
BATCH = 64

PREPROCESSING = """\
# How a picture becomes the model's input tensor.
resize: 32
crop: 32
channels: rgb
scale: 0.00392156862745098
mean: [0.5, 0.5, 0.5]
std: [0.5, 0.5, 0.5]
layout: nchw
"""


def fail(message):
    sys.exit(f"train_ton_iot.py: {message}")


def read_png(path):
    """The pictures of ton_iot_images.py and no others: RGB, SIDE x SIDE, no filter."""
    data, at, body = path.read_bytes(), 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IDAT":
            body += data[at + 8:at + 8 + size]
        at += 12 + size
    lines = np.frombuffer(zlib.decompress(body), np.uint8).reshape(SIDE, 1 + 3 * SIDE)
    return lines[:, 1:].reshape(SIDE, SIDE, 3)


def read_folder(folder, labels):
    x, y = [], []
    for i, label in enumerate(labels):
        for path in sorted((folder / label).glob("*.png")):
            x.append(read_png(path))
            y.append(i)
    x = np.array(x, np.float32).transpose(0, 3, 1, 2) / 255
    return (x - 0.5) / 0.5, np.array(y)


# --- network: two convolutions with max-pools, two dense layers ------------------------


def columns_of(x):
    """3 x 3 windows of x, padded by one: [N, C*9, H*W]."""
    n, c, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    shifted = [padded[:, :, i:i + h, j:j + w] for i in range(3) for j in range(3)]
    return np.stack(shifted, 2).reshape(n, c * 9, h * w)


def pictures_of(columns, shape):
    """The transpose of columns_of: adds every window back to where it came from."""
    n, c, h, w = shape
    parts = columns.reshape(n, c, 9, h, w)
    out = np.zeros((n, c, h + 2, w + 2), np.float32)
    for k in range(9):
        out[:, :, k // 3:k // 3 + h, k % 3:k % 3 + w] += parts[:, :, k]
    return out[:, :, 1:-1, 1:-1]


def conv_forward(x, weights, bias):
    columns = columns_of(x)
    y = np.maximum(np.matmul(weights, columns) + bias[:, None], 0)
    n, c = y.shape[:2]
    windows = y.reshape(n, c, x.shape[2] // 2, 2, x.shape[3] // 2, 2)
    pooled = windows.max((3, 5))
    return pooled, (x.shape, columns, y, windows, pooled)


def conv_backward(grad, weights, kept, need_input):
    shape, columns, y, windows, pooled = kept
    at_max = windows == pooled[:, :, :, None, :, None]
    grad = (at_max * (grad / at_max.sum((3, 5)))[:, :, :, None, :, None]).reshape(y.shape) * (y > 0)
    grad = grad.astype(np.float32)
    of_weights = np.matmul(grad, columns.transpose(0, 2, 1)).sum(0)
    below = pictures_of(np.matmul(weights.T, grad), shape) if need_input else None
    return below, of_weights, grad.sum((0, 2))


class Network:
    def __init__(self, num_classes, rng):
        def normal(*shape):
            return (rng.standard_normal(shape) * np.sqrt(2 / shape[1])).astype(np.float32)

        features = CHANNELS[2] * (SIDE // 4) ** 2
        self.p = {"conv1.w": normal(CHANNELS[1], 9 * CHANNELS[0]), "conv2.w": normal(CHANNELS[2], 9 * CHANNELS[1]),
                  "dense.w": normal(HIDDEN, features), "head.w": normal(num_classes, HIDDEN)}
        for name in list(self.p):
            self.p[name.replace(".w", ".b")] = np.zeros(len(self.p[name]), np.float32)
        self.moments = {name: (np.zeros_like(v), np.zeros_like(v)) for name, v in self.p.items()}
        self.step = 0

    def forward(self, x):
        p = self.p
        a, kept1 = conv_forward(x, p["conv1.w"], p["conv1.b"])
        b, kept2 = conv_forward(a, p["conv2.w"], p["conv2.b"])
        flat = b.reshape(len(b), -1)
        hidden = np.maximum(flat @ p["dense.w"].T + p["dense.b"], 0)
        return hidden @ p["head.w"].T + p["head.b"], (kept1, kept2, b.shape, flat, hidden)

    def train_batch(self, x, y, weight_of_class, rate):
        p = self.p
        logits, (kept1, kept2, shape, flat, hidden) = self.forward(x)
        share = np.exp(logits - logits.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        weights = weight_of_class[y]
        loss = -(weights * np.log(share[np.arange(len(y)), y] + 1e-12)).sum() / weights.sum()
        grad = share
        grad[np.arange(len(y)), y] -= 1
        grad *= (weights / weights.sum())[:, None]
        g = {"head.w": grad.T @ hidden, "head.b": grad.sum(0)}
        grad = (grad @ p["head.w"]) * (hidden > 0)
        g["dense.w"], g["dense.b"] = grad.T @ flat, grad.sum(0)
        grad = (grad @ p["dense.w"]).reshape(shape)
        grad, g["conv2.w"], g["conv2.b"] = conv_backward(grad, p["conv2.w"], kept2, True)
        _, g["conv1.w"], g["conv1.b"] = conv_backward(grad, p["conv1.w"], kept1, False)
        self.adam(g, rate)
        return loss

    def adam(self, gradients, rate, decay=1e-4):
        self.step += 1
        for name, gradient in gradients.items():
            m, v = self.moments[name]
            m += 0.1 * (gradient - m)
            v += 0.001 * (gradient * gradient - v)
            step = (m / (1 - 0.9 ** self.step)) / (np.sqrt(v / (1 - 0.999 ** self.step)) + 1e-8)
            self.p[name] -= (rate * (step + (decay * self.p[name] if name.endswith(".w") else 0))).astype(np.float32)

    def predict(self, x):
        return np.concatenate([self.forward(x[i:i + 256])[0] for i in range(0, len(x), 256)])


def export(network, num_classes, path):
    def tensor(name, value):
        return numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name)

    weights, nodes, last = [], [], "input"
    for i in (1, 2):
        w = network.p[f"conv{i}.w"].reshape(CHANNELS[i], CHANNELS[i - 1], 3, 3)
        weights += [tensor(f"conv{i}.weight", w), tensor(f"conv{i}.bias", network.p[f"conv{i}.b"])]
        nodes += [helper.make_node("Conv", [last, f"conv{i}.weight", f"conv{i}.bias"], [f"conv{i}_out"], f"conv{i}",
                                   kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
                  helper.make_node("Relu", [f"conv{i}_out"], [f"relu{i}_out"], f"relu{i}"),
                  helper.make_node("MaxPool", [f"relu{i}_out"], [f"pool{i}_out"], f"pool{i}", kernel_shape=[2, 2],
                                   strides=[2, 2])]
        last = f"pool{i}_out"
    nodes += [helper.make_node("Flatten", [last], ["flat"], "flatten"),
              helper.make_node("Gemm", ["flat", "dense.weight", "dense.bias"], ["dense_out"], "dense", transB=1),
              helper.make_node("Relu", ["dense_out"], ["hidden"], "relu3"),
              helper.make_node("Gemm", ["hidden", "head.weight", "head.bias"], ["logits"], "head", transB=1)]
    for name in ("dense", "head"):
        weights += [tensor(f"{name}.weight", network.p[f"{name}.w"]), tensor(f"{name}.bias", network.p[f"{name}.b"])]
    graph = helper.make_graph(nodes, "ton_iot",
                              [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
                              [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, num_classes])], weights)
    model = helper.make_model(graph, producer_name="shoji", opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", required=True, type=Path, help="what ton_iot_images.py wrote")
    parser.add_argument("--out", required=True, help="OUT.onnx, OUT.labels.txt and OUT.preprocessing.yaml")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    labels = sorted(p.name for p in (args.images / "train").iterdir()) if (args.images / "train").is_dir() else []
    if len(labels) < 2:
        fail(f"{args.images}/train holds {len(labels)} classes; two are the least")

    x, y = read_folder(args.images / "train", labels)
    rng = np.random.default_rng(args.seed)
    network = Network(len(labels), rng)
    # Rare classes count more, but not as much as they are rare.
    weight_of_class = (len(y) / len(labels) / np.bincount(y, minlength=len(labels))) ** 0.5
    for epoch in range(args.epochs):
        rate = args.rate * 0.5 * (1 + np.cos(np.pi * epoch / args.epochs))
        order = rng.permutation(len(y))
        losses = [network.train_batch(x[batch], y[batch], weight_of_class, rate)
                  for batch in np.array_split(order, max(1, len(y) // BATCH))]
        print(f"epoch {epoch + 1} of {args.epochs}: loss {np.mean(losses):.3f}", flush=True)

    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    export(network, len(labels), args.out + ".onnx")
    Path(args.out + ".labels.txt").write_text("".join(label + "\n" for label in labels))
    Path(args.out + ".preprocessing.yaml").write_text(PREPROCESSING)
    x, y = read_folder(args.images / "test", labels)
    print(f"{args.out}.onnx: {100 * (network.predict(x).argmax(1) == y).mean():.1f} % of {len(y)} test pictures, "
          f"in numpy; `class_report.py` says it class by class of what was served")


if __name__ == "__main__":
    main()
