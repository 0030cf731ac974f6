#!/usr/bin/env python3
# Copyright 2026 The Shoji Authors
# SPDX-License-Identifier: Apache-2.0
"""Trains the small residual CIFAR-10 classifier that Shoji ships, and writes it as ONNX.

The script reads pictures that are already on the disk and downloads nothing. The
test pictures are looked at exactly once, after the last epoch; everything that is
printed before that is measured on pictures held out of the training set.
"""

import argparse
import copy
import math
import os
import time
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import nn

LABELS = ["airplane", "automobile", "bird", "cat", "deer",
          "dog", "frog", "horse", "ship", "truck"]
SIDE = 32
PAD = 4
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)

# (output channels, stride) of each residual block; the first layer yields STEM channels.
STEM = 16
BLOCKS = [(16, 1), (64, 2), (160, 2), (160, 1)]

PREPROCESSING = """\
# How a picture becomes the model's input tensor.
resize: 32            # shorter side, bilinear with antialiasing (as Pillow's BILINEAR)
crop: 32              # central crop, width = height
channels: rgb         # rgb | bgr | gray
scale: 0.00392156862745098
mean: [0.4914, 0.4822, 0.4465]
std: [0.2470, 0.2435, 0.2616]
layout: nchw          # nchw | nhwc
"""


# --- network ---------------------------------------------------------------------------


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut; the shortcut is projected if shapes differ."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.projected = stride != 1 or cin != cout
        if self.projected:
            self.skip_conv = nn.Conv2d(cin, cout, 1, stride, bias=False)
            self.skip_bn = nn.BatchNorm2d(cout)
        # Each block starts out as its own shortcut, which steadies the first epochs.
        nn.init.zeros_(self.bn2.weight)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.projected:
            x = self.skip_bn(self.skip_conv(x))
        return F.relu(x + y)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem_conv = nn.Conv2d(3, STEM, 3, 1, 1, bias=False)
        self.stem_bn = nn.BatchNorm2d(STEM)
        channels = STEM
        self.blocks = nn.ModuleList()
        for width, stride in BLOCKS:
            self.blocks.append(Block(channels, width, stride))
            channels = width
        self.fc = nn.Linear(channels, len(LABELS))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = F.relu(self.stem_bn(self.stem_conv(x)))
        for block in self.blocks:
            x = block(x)
        return self.fc(x.mean(dim=(2, 3)))


# --- data ------------------------------------------------------------------------------


def load_folders(root):
    """Reads CLASS/*.jpg below root (or root/train); returns uint8 NHWC pictures and labels."""
    root = Path(root)
    if not (root / LABELS[0]).is_dir() and (root / "train").is_dir():
        root = root / "train"
    pictures, labels = [], []
    for index, name in enumerate(LABELS):
        files = sorted(p for p in (root / name).iterdir()
                       if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if not files:
            raise SystemExit(f"no pictures of class '{name}' were found")
        for file in files:
            with Image.open(file) as picture:
                pictures.append(np.asarray(picture.convert("RGB")))
            labels.append(index)
    return torch.from_numpy(np.stack(pictures)), torch.tensor(labels)


def load_binary(path):
    """Reads the CIFAR binary layout: one label byte, then 3 x 32 x 32 planar pixels."""
    records = np.fromfile(path, np.uint8).reshape(-1, 1 + 3 * SIDE * SIDE)
    pixels = records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return torch.from_numpy(pixels.copy()), torch.from_numpy(records[:, 0].astype(np.int64))


def split(labels, per_class, generator):
    """Sets per_class pictures of every class aside; returns (training, held-out) indices."""
    train, held = [], []
    for index in range(len(LABELS)):
        members = (labels == index).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        held.append(members[:per_class])
        train.append(members[per_class:])
    return torch.cat(train), torch.cat(held)


def normalize(pictures):
    """uint8 NHWC -> normalized float NCHW (channels-last in memory, which is faster here)."""
    mean = torch.tensor(MEAN) * 255.0
    factor = 1.0 / (torch.tensor(STD) * 255.0)
    return ((pictures.float() - mean) * factor).permute(0, 3, 1, 2)


def augment(padded, indices, cutout, generator):
    """Random crop of the padded pictures, random mirror image, one random grey square."""
    count = len(indices)
    span = torch.arange(SIDE)
    rows = torch.randint(0, 2 * PAD + 1, (count, 1), generator=generator) + span
    cols = torch.randint(0, 2 * PAD + 1, (count, 1), generator=generator) + span
    mirror = torch.rand(count, 1, generator=generator) < 0.5
    cols = torch.where(mirror, cols.flip(1), cols)
    batch = normalize(padded[indices[:, None, None], rows[:, :, None], cols[:, None, :]])
    if cutout > 0:
        low = torch.randint(0, SIDE, (2, count, 1), generator=generator) - cutout // 2
        inside = (span >= low) & (span < low + cutout)
        batch.masked_fill_((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 0.0)
    return batch


# --- training --------------------------------------------------------------------------


@torch.no_grad()
def accuracy(net, pictures, labels):
    net.eval()
    right = 0
    for start in range(0, len(labels), 500):
        logits = net(normalize(pictures[start:start + 500]))
        right += (logits.argmax(1) == labels[start:start + 500]).sum().item()
    return right / len(labels)


def learning_rate(progress, peak, warmup=0.2):
    """One cycle: a linear rise to the peak, then a cosine descent to nearly zero."""
    if progress < warmup:
        return peak * (0.05 + 0.95 * progress / warmup)
    return peak * max(0.001, 0.5 + 0.5 * math.cos(math.pi * (progress - warmup) / (1 - warmup)))


@torch.no_grad()
def update_average(average, net, decay):
    for mine, theirs in zip(average.state_dict().values(), net.state_dict().values()):
        if mine.dtype.is_floating_point:
            mine.lerp_(theirs, 1.0 - decay)
        else:
            mine.copy_(theirs)


def train(args, train_set, held_set):
    generator = torch.Generator().manual_seed(args.seed)
    pictures, labels = train_set
    padded = F.pad(pictures.permute(0, 3, 1, 2).float(), (PAD,) * 4, mode="reflect")
    padded = padded.to(torch.uint8).permute(0, 2, 3, 1).contiguous()

    net = Net().to(memory_format=torch.channels_last)
    average = copy.deepcopy(net)
    decayed = [p for p in net.parameters() if p.ndim > 1]
    free = [p for p in net.parameters() if p.ndim <= 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": args.weight_decay},
         {"params": free, "weight_decay": 0.0}],
        lr=args.lr, momentum=0.9, nesterov=True)
    print(f"parameters: {sum(p.numel() for p in net.parameters())}", flush=True)

    per_epoch = len(labels) // args.batch
    total = args.epochs * per_epoch
    step = 0
    for epoch in range(args.epochs):
        started = time.time()
        net.train()
        order = torch.randperm(len(labels), generator=generator)
        loss_sum = 0.0
        for number in range(per_epoch):
            chosen = order[number * args.batch:(number + 1) * args.batch]
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step / total, args.lr)
            logits = net(augment(padded, chosen, args.cutout, generator))
            loss = F.cross_entropy(logits, labels[chosen], label_smoothing=args.smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            step += 1
            # A short memory at first, so that the average forgets the random start.
            update_average(average, net, min(args.ema, step / (step + 50.0)))
            loss_sum += loss.item()
        # What has been learnt so far is written every epoch: a run that is
        # interrupted leaves a usable file behind.
        write_model(average, args.out)
        print(f"epoch {epoch + 1}/{args.epochs}: loss {loss_sum / per_epoch:.4f}, "
              f"held-out accuracy {accuracy(average, *held_set):.4f}, "
              f"{time.time() - started:.0f} s", flush=True)
    return average


# --- ONNX ------------------------------------------------------------------------------


class Graph:
    """Collects nodes whose names are readable; every output is named after its node."""

    def __init__(self):
        self.nodes = []
        self.weights = []

    def weight(self, name, tensor):
        self.weights.append(numpy_helper.from_array(
            np.ascontiguousarray(tensor.detach().float().numpy()), name))
        return name

    def node(self, kind, name, inputs, output=None, **attributes):
        output = output or name + "_out"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def conv(self, name, module, x):
        weight = self.weight(name + ".weight", module.weight)
        return self.node("Conv", name, [x, weight], dilations=[1, 1], group=1,
                         kernel_shape=list(module.kernel_size),
                         pads=list(module.padding) * 2, strides=list(module.stride))

    def batch_norm(self, name, module, x):
        inputs = [x,
                  self.weight(name + ".scale", module.weight),
                  self.weight(name + ".bias", module.bias),
                  self.weight(name + ".mean", module.running_mean),
                  self.weight(name + ".variance", module.running_var)]
        return self.node("BatchNormalization", name, inputs, epsilon=module.eps)

    def relu(self, name, x):
        return self.node("Relu", name, [x])


def write_model(net, folder):
    """Writes the network with its BatchNormalization nodes intact, labels and preprocessing.

    The graph is spelled out here rather than traced, so that node and tensor names
    stay the same whatever the version of the training library.
    """
    graph = Graph()
    x = graph.conv("stem_conv", net.stem_conv, "input")
    x = graph.batch_norm("stem_bn", net.stem_bn, x)
    x = graph.relu("stem_relu", x)
    for number, block in enumerate(net.blocks, 1):
        name = f"block{number}_"
        y = graph.conv(name + "conv1", block.conv1, x)
        y = graph.batch_norm(name + "bn1", block.bn1, y)
        y = graph.relu(name + "relu1", y)
        y = graph.conv(name + "conv2", block.conv2, y)
        y = graph.batch_norm(name + "bn2", block.bn2, y)
        if block.projected:
            x = graph.conv(name + "skip_conv", block.skip_conv, x)
            x = graph.batch_norm(name + "skip_bn", block.skip_bn, x)
        x = graph.node("Add", name + "add", [y, x])
        x = graph.relu(name + "relu2", x)
    x = graph.node("GlobalAveragePool", "pool", [x])
    x = graph.node("Flatten", "flatten", [x], axis=1)
    graph.node("Gemm", "fc", [x, graph.weight("fc.weight", net.fc.weight),
                              graph.weight("fc.bias", net.fc.bias)],
               output="logits", alpha=1.0, beta=1.0, transB=1)

    model = helper.make_model(
        helper.make_graph(
            graph.nodes, "cifar10_resnet",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(LABELS)])],
            initializer=graph.weights),
        opset_imports=[helper.make_opsetid("", 13)], producer_name="shoji-train")
    model.ir_version = 7
    onnx.checker.check_model(model, full_check=True)

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "cifar10_resnet.onnx"
    partial = target.with_suffix(".part")
    partial.write_bytes(model.SerializeToString())
    os.replace(partial, target)
    (folder / "cifar10_resnet.labels.txt").write_text("\n".join(LABELS) + "\n")
    (folder / "cifar10_resnet.preprocessing.yaml").write_text(PREPROCESSING)


# --- main ------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", required=True, metavar="DIR",
                        help="training pictures, one folder per class")
    parser.add_argument("--test", required=True, metavar="FILE",
                        help="test pictures in the CIFAR-10 binary layout")
    parser.add_argument("--out", default="models", metavar="DIR", help="where the model goes")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.2, help="peak of the one-cycle schedule")
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--smoothing", type=float, default=0.1, help="label smoothing")
    parser.add_argument("--cutout", type=int, default=8, help="side of the erased square")
    parser.add_argument("--ema", type=float, default=0.998, help="decay of the weight average")
    parser.add_argument("--held-out", type=int, default=250, metavar="N",
                        help="pictures per class kept out of training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(args.seed)
    started = time.time()
    pictures, labels = load_folders(args.images)
    chosen, held = split(labels, args.held_out, torch.Generator().manual_seed(args.seed))
    print(f"{len(chosen)} training and {len(held)} held-out pictures, "
          f"read in {time.time() - started:.0f} s", flush=True)

    net = train(args, (pictures[chosen], labels[chosen]), (pictures[held], labels[held]))
    print(f"held-out accuracy: {accuracy(net, pictures[held], labels[held]):.4f}")
    print(f"test accuracy: {accuracy(net, *load_binary(args.test)):.4f}")
    print(f"total time: {(time.time() - started) / 60:.1f} min")


if __name__ == "__main__":
    main()
