#!/usr/bin/env python3
# Copyright 2026 The Shoji Authors
# SPDX-License-Identifier: Apache-2.0
"""Times a network of bench/make_networks.py in PyTorch on a CUDA device, in float32 without TF32.

    bench/cuda_open_peer.py MODEL.onnx [--rounds N]

Prints "NAME MICROSECONDS" lines, medians of one request from the input's bytes on the host to the output's: operators
called one after the other, and replayed as a CUDA graph. cuDNN chooses its fastest algorithms beforehand.
"""

import argparse
import statistics
import time

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper


def attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def padded(x, pads, value=0.0):
    """Symmetric pads for the operator itself, or x padded beforehand."""
    top, left, bottom, right = pads
    if (top, left) == (bottom, right):
        return x, (top, left)
    return F.pad(x, (left, right, top, bottom), value=value), (0, 0)


def conv(x, weight, bias, a):
    x, pad = padded(x, a.get("pads", [0] * 4))
    return F.conv2d(x, weight, bias, a.get("strides", [1, 1]), pad, a.get("dilations", [1, 1]), a.get("group", 1))


def run(graph, constants, x):
    values = dict(constants)
    values[graph.input[0].name] = x
    for node in graph.node:
        i = [values.get(name) for name in node.input]
        a = attributes(node)
        if node.op_type == "Conv":
            y = conv(i[0], i[1], i[2] if len(i) > 2 else None, a)
        elif node.op_type == "Relu":
            y = torch.relu(i[0])
        elif node.op_type == "Clip":
            y = torch.clamp(i[0], constants[node.input[1]].item(), constants[node.input[2]].item())
        elif node.op_type == "Sigmoid":
            y = torch.sigmoid(i[0])
        elif node.op_type == "Mul":
            y = i[0] * i[1]
        elif node.op_type == "Add":
            y = i[0] + i[1]
        elif node.op_type == "MaxPool":
            z, pad = padded(i[0], a.get("pads", [0] * 4), float("-inf"))
            y = F.max_pool2d(z, a["kernel_shape"], a.get("strides", [1, 1]), pad, ceil_mode=bool(a.get("ceil_mode", 0)))
        elif node.op_type == "AveragePool":
            y = F.avg_pool2d(i[0], a["kernel_shape"], a.get("strides", [1, 1]))
        elif node.op_type == "GlobalAveragePool":
            y = i[0].mean((2, 3), keepdim=True)
        elif node.op_type == "Flatten":
            y = i[0].flatten(1)
        elif node.op_type == "Concat":
            y = torch.cat(i, a["axis"])
        elif node.op_type == "Gemm":
            y = F.linear(i[0], i[1], i[2])
        elif node.op_type == "Constant":
            continue
        else:
            raise SystemExit(f"no {node.op_type} here")
        values[node.output[0]] = y
    return values[graph.output[0].name]


def median_us(rounds, call):
    times = []
    for i in range(-rounds // 10 - 3, rounds):
        begin = time.perf_counter()
        call()
        if i >= 0:
            times.append((time.perf_counter() - begin) * 1e6)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=100)
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    graph = onnx.load(args.model).graph
    constants = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()).cuda() for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = torch.from_numpy(np.array(numpy_helper.to_array(attributes(node)["value"])))
    shape = [1] + [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim][1:]
    host = torch.randn(shape).pin_memory()
    with torch.inference_mode():
        print("pytorch", median_us(args.rounds, lambda: run(graph, constants, host.cuda(non_blocking=True)).cpu()))
        x = host.cuda()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                run(graph, constants, x)
        torch.cuda.current_stream().wait_stream(side)
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            y = run(graph, constants, x)

        def replay():
            x.copy_(host, non_blocking=True)
            captured.replay()
            y.cpu()

        print("pytorch_graph", median_us(args.rounds, replay))


if __name__ == "__main__":
    main()
