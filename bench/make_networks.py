#!/usr/bin/env python3
# Copyright 2026 The Shoji Authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the well-known image classifiers at full size with seeded random weights, as ONNX files.

    bench/make_networks.py DIR [NETWORK...] [--batch-norm folded|kept]     no NETWORK: all
    bench/make_networks.py --list                                          their names

Graphs and names of nodes are those of torchvision's models as torch.onnx.export writes them (opset 13, dynamic batch,
BatchNormalization folded into the convolutions; `kept` leaves it as nodes of its own, as an export in training mode
does). mobilenet_v1 is no torchvision model and follows the same conventions. The weights mean nothing, but activations
keep a natural spread from layer to layer. The same names and options give the same bytes.

Beside each NETWORK.onnx stands NETWORK.preprocessing.yaml, the torchvision models' own preprocessing.
Needs Debian's python3-onnx and python3-numpy: run it with /usr/bin/python3.
"""

import argparse
import pathlib
import sys
import zlib

import numpy as np
from onnx import TensorProto, helper

PREPROCESSING = """\
# How a picture becomes the model's input tensor: as torchvision's models expect it.
resize: 256
crop: 224
channels: rgb
scale: 0.00392156862745098
mean: [0.485, 0.456, 0.406]
std: [0.229, 0.224, 0.225]
layout: nchw
"""

# Mean squares of an activation of a standard normal variable.
AFTER_RELU = 0.5
AFTER_RELU6 = 0.5
AFTER_SWISH = 0.356
AFTER_GATE = 0.26  # times the square of a sigmoid of small arguments


class Value:
    """A tensor of the graph: its ONNX name, channels, and the mean square its elements are expected to have."""

    def __init__(self, name, channels, square):
        self.name, self.channels, self.square = name, channels, square


class Network:
    """Collects nodes and weights in the order in which an exporter writes them."""

    def __init__(self, name, batch_norm):
        self.name = name
        self.keeps_batch_norm = batch_norm == "kept"
        self.random = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
        self.nodes, self.weights = [], []
        self.input = Value("input", 3, 1.0)

    def normal(self, shape, deviation):
        return self.random.standard_normal(shape, dtype=np.float32) * np.float32(deviation)

    def uniform(self, shape, low, high):
        return (self.random.random(shape, dtype=np.float32) * np.float32(high - low) + np.float32(low)).astype(np.float32)

    def weight(self, name, array):
        array = np.ascontiguousarray(array, dtype="<f4")
        self.weights.append(helper.make_tensor(name, TensorProto.FLOAT, array.shape, array.tobytes(), raw=True))
        return name

    def node(self, op, path, inputs, channels, square, **attributes):
        name = f"{path}/{op}"
        self.nodes.append(helper.make_node(op, inputs, [f"{name}_output_0"], name=name, **attributes))
        return Value(f"{name}_output_0", channels, square)

    def conv(self, x, path, parameters, channels, kernel, stride=1, groups=1, batch_norm=None, gain=1.0):
        """A convolution; with `batch_norm` = (path, prefix of its parameters) normalized, else with a bias."""
        pad = (kernel - 1) // 2
        fan_in = x.channels // groups * kernel * kernel
        weights = self.normal((channels, x.channels // groups, kernel, kernel), fan_in**-0.5)
        attributes = {
            "dilations": [1, 1], "group": groups, "kernel_shape": [kernel] * 2, "pads": [pad] * 4, "strides": [stride] * 2,
        }  # fmt: skip
        if batch_norm is None:
            scale = np.float32(gain * x.square**-0.5)
            names = [self.weight(f"{parameters}.weight", weights * scale)]
            names.append(self.weight(f"{parameters}.bias", self.normal((channels,), 0.1)))
            return self.node("Conv", path, [x.name] + names, channels, gain * gain, **attributes)
        gamma = self.uniform((channels,), 0.7, 1.3) * np.float32(gain)
        beta = self.normal((channels,), 0.2)
        mean = self.normal((channels,), 0.2 * x.square**0.5)
        variance = self.uniform((channels,), 0.7, 1.4) * np.float32(x.square)
        square = gain * gain + 0.08
        if self.keeps_batch_norm:
            names = [self.weight(f"{parameters}.weight", weights)]
            y = self.node("Conv", path, [x.name] + names, channels, x.square, **attributes)
            norm_path, prefix = batch_norm
            parts = (("weight", gamma), ("bias", beta), ("running_mean", mean), ("running_var", variance))
            names = [self.weight(f"{prefix}.{part}", array) for part, array in parts]
            return self.node("BatchNormalization", norm_path, [y.name] + names, channels, square, epsilon=1e-5)
        factor = gamma / np.sqrt(variance + np.float32(1e-5))
        names = [self.weight(f"{parameters}.weight", weights * factor[:, None, None, None])]
        names.append(self.weight(f"{parameters}.bias", beta - mean * factor))
        return self.node("Conv", path, [x.name] + names, channels, square, **attributes)

    def linear(self, x, path, parameters, channels, in_features=None):
        in_features = in_features or x.channels
        weights = self.normal((channels, in_features), (in_features * x.square) ** -0.5)
        names = [self.weight(f"{parameters}.weight", weights)]
        names.append(self.weight(f"{parameters}.bias", self.normal((channels,), 0.1)))
        return self.node("Gemm", path, [x.name] + names, channels, 1.0, alpha=1.0, beta=1.0, transB=1)

    def relu(self, x, path):
        return self.node("Relu", path, [x.name], x.channels, x.square * AFTER_RELU)

    def relu6(self, x, path):
        limits = []
        for i, limit in enumerate((0.0, 6.0)):
            name = f"{path}/Constant" + (f"_{i}" if i else "")
            value = helper.make_tensor("value", TensorProto.FLOAT, (), np.float32(limit).tobytes(), raw=True)
            self.nodes.append(helper.make_node("Constant", [], [f"{name}_output_0"], name=name, value=value))
            limits.append(f"{name}_output_0")
        return self.node("Clip", path, [x.name] + limits, x.channels, x.square * AFTER_RELU6)

    def swish(self, x, path):
        gate = self.node("Sigmoid", path, [x.name], x.channels, 0.25)
        return self.node("Mul", path, [x.name, gate.name], x.channels, x.square * AFTER_SWISH)

    def add(self, a, b, path):
        return self.node("Add", path, [a.name, b.name], a.channels, a.square + b.square)

    def max_pool(self, x, path, kernel, stride, pad=0):
        return self.node("MaxPool", path, [x.name], x.channels, x.square * 1.6, ceil_mode=0, kernel_shape=[kernel] * 2,
                         pads=[pad] * 4, strides=[stride] * 2)  # fmt: skip

    def average_to_row(self, x, path=""):
        pooled = self.node("GlobalAveragePool", path, [x.name], x.channels, x.square * 0.4)
        return self.node("Flatten", "", [pooled.name], x.channels, pooled.square, axis=1)

    def model(self):
        self.nodes[-1].output[0] = "logits"
        graph = helper.make_graph(
            self.nodes, self.name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 224, 224])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1000])],
            initializer=self.weights,
        )  # fmt: skip
        model = helper.make_model(graph, producer_name="shoji-networks", opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 7
        return model


def vgg(net, plan):
    x, i = net.input, 0
    for width in plan:
        if width == "M":
            x = net.max_pool(x, f"/features/features.{i}", 2, 2)
            i += 1
            continue
        x = net.conv(x, f"/features/features.{i}", f"features.{i}", width, 3)
        x = net.relu(x, f"/features/features.{i + 1}")
        i += 2
    # The adaptive pooling to 7 x 7 of a 7 x 7 map, as it is exported.
    x = net.node("AveragePool", "/avgpool", [x.name], x.channels, x.square, kernel_shape=[1, 1], strides=[1, 1])
    x = net.node("Flatten", "", [x.name], x.channels, x.square, axis=1)
    x = net.linear(x, "/classifier/classifier.0", "classifier.0", 4096, 512 * 7 * 7)
    x = net.relu(x, "/classifier/classifier.1")
    x = net.linear(x, "/classifier/classifier.3", "classifier.3", 4096)
    x = net.relu(x, "/classifier/classifier.4")
    return net.linear(x, "/classifier/classifier.6", "classifier.6", 1000)


def resnet(net, depths):
    def conv_bn(x, path, prefix, index, channels, kernel, stride=1, gain=1.0):
        norm = f"bn{index}"
        return net.conv(x, f"{path}/conv{index}", f"{prefix}conv{index}", channels, kernel, stride,
                        batch_norm=(f"{path}/{norm}", f"{prefix}{norm}"), gain=gain)  # fmt: skip

    x = net.conv(net.input, "/conv1", "conv1", 64, 7, 2, batch_norm=("/bn1", "bn1"))
    x = net.max_pool(net.relu(x, "/relu"), "/maxpool", 3, 2, 1)
    for stage, depth in enumerate(depths):
        width = 64 << stage
        for block in range(depth):
            path, prefix = f"/layer{stage + 1}/layer{stage + 1}.{block}", f"layer{stage + 1}.{block}."
            stride = 2 if stage > 0 and block == 0 else 1
            y = net.relu(conv_bn(x, path, prefix, 1, width, 1), f"{path}/relu")
            y = net.relu(conv_bn(y, path, prefix, 2, width, 3, stride), f"{path}/relu_1")
            # A small last gain, as trained networks have: the residual path must not grow with depth.
            y = conv_bn(y, path, prefix, 3, 4 * width, 1, gain=0.4)
            if block == 0:
                down = f"{path}/downsample/downsample"
                x = net.conv(x, f"{down}.0", f"{prefix}downsample.0", 4 * width, 1, stride,
                             batch_norm=(f"{down}.1", f"{prefix}downsample.1"))  # fmt: skip
            # The shortcut is not negative: the ReLU takes little from the sum.
            x = net.relu(net.add(y, x, path), f"{path}/relu_2")
            x.square *= 1.9
    return net.linear(net.average_to_row(x, "/avgpool"), "/fc", "fc", 1000)


def mobilenet_v1(net):
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]

    def conv_bn(x, index, part, channels, kernel, stride=1, groups=1):
        path, prefix = f"/model/model.{index}/model.{index}", f"model.{index}"
        x = net.conv(x, f"{path}.{part}", f"{prefix}.{part}", channels, kernel, stride, groups,
                     (f"{path}.{part + 1}", f"{prefix}.{part + 1}"))  # fmt: skip
        return net.relu(x, f"{path}.{part + 2}")

    x = conv_bn(net.input, 0, 0, 32, 3, 2)
    for i, (channels, stride) in enumerate(plan):
        x = conv_bn(x, i + 1, 0, x.channels, 3, stride, x.channels)
        x = conv_bn(x, i + 1, 3, channels, 1)
    return net.linear(net.average_to_row(x), "/fc", "fc", 1000)


def mobilenet_v2(net):
    plan = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]

    def conv_bn_relu6(x, path, prefix, channels, kernel, stride=1, groups=1):
        x = net.conv(x, f"{path}.0", f"{prefix}.0", channels, kernel, stride, groups, (f"{path}.1", f"{prefix}.1"))
        return net.relu6(x, f"{path}.2")

    x = conv_bn_relu6(net.input, "/features/features.0/features.0", "features.0", 32, 3, 2)
    i = 1
    for expansion, channels, repeats, first_stride in plan:
        for repeat in range(repeats):
            path, prefix, part, y = f"/features/features.{i}", f"features.{i}.conv", 0, x
            stride = first_stride if repeat == 0 else 1
            hidden = x.channels * expansion
            if expansion != 1:
                y = conv_bn_relu6(y, f"{path}/conv/conv.{part}/conv.{part}", f"{prefix}.{part}", hidden, 1)
                part += 1
            y = conv_bn_relu6(y, f"{path}/conv/conv.{part}/conv.{part}", f"{prefix}.{part}", hidden, 3, stride, hidden)
            part += 1
            y = net.conv(y, f"{path}/conv/conv.{part}", f"{prefix}.{part}", channels, 1,
                         batch_norm=(f"{path}/conv/conv.{part + 1}", f"{prefix}.{part + 1}"))  # fmt: skip
            x = net.add(y, x, path) if stride == 1 and x.channels == channels else y
            i += 1
    x = conv_bn_relu6(x, f"/features/features.{i}/features.{i}", f"features.{i}", 1280, 1)
    return net.linear(net.average_to_row(x), "/classifier/classifier.1", "classifier.1", 1000)


def efficientnet_b0(net):
    plan = [(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
            (6, 3, 1, 320, 1)]  # fmt: skip

    def conv_bn(x, path, prefix, channels, kernel, stride=1, groups=1, gain=1.0):
        return net.conv(x, f"{path}.0", f"{prefix}.0", channels, kernel, stride, groups,
                        (f"{path}.1", f"{prefix}.1"), gain)  # fmt: skip

    def conv_bn_swish(x, path, prefix, channels, kernel, stride=1, groups=1):
        return net.swish(conv_bn(x, path, prefix, channels, kernel, stride, groups), f"{path}.2")

    def squeeze_excite(x, path, prefix, squeezed):
        pooled = net.node("GlobalAveragePool", f"{path}/avgpool", [x.name], x.channels, x.square * 0.4)
        y = net.swish(net.conv(pooled, f"{path}/fc1", f"{prefix}.fc1", squeezed, 1), f"{path}/activation")
        y = net.conv(y, f"{path}/fc2", f"{prefix}.fc2", x.channels, 1)
        gate = net.node("Sigmoid", f"{path}/scale_activation", [y.name], x.channels, 0.25)
        return net.node("Mul", path, [gate.name, x.name], x.channels, x.square * AFTER_GATE)

    x = conv_bn_swish(net.input, "/features/features.0/features.0", "features.0", 32, 3, 2)
    for stage, (expansion, kernel, first_stride, channels, repeats) in enumerate(plan, 1):
        for repeat in range(repeats):
            path, prefix = f"/features/features.{stage}/features.{stage}.{repeat}", f"features.{stage}.{repeat}.block"
            block, part, y = f"{path}/block/block", 0, x
            stride = first_stride if repeat == 0 else 1
            hidden = x.channels * expansion
            if expansion != 1:
                y = conv_bn_swish(y, f"{block}.{part}/block.{part}", f"{prefix}.{part}", hidden, 1)
                part += 1
            y = conv_bn_swish(y, f"{block}.{part}/block.{part}", f"{prefix}.{part}", hidden, kernel, stride, hidden)
            part += 1
            y = squeeze_excite(y, f"{block}.{part}", f"{prefix}.{part}", max(1, x.channels // 4))
            part += 1
            y = conv_bn(y, f"{block}.{part}/block.{part}", f"{prefix}.{part}", channels, 1, gain=0.7)
            x = net.add(y, x, path) if stride == 1 and x.channels == channels else y
    x = conv_bn_swish(x, "/features/features.8/features.8", "features.8", 1280, 1)
    return net.linear(net.average_to_row(x, "/avgpool"), "/classifier/classifier.1", "classifier.1", 1000)


VGG16 = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]
VGG19 = [64, 64, "M", 128, 128, "M"] + [256] * 4 + ["M"] + [512] * 4 + ["M"] + [512] * 4 + ["M"]
NETWORKS = {
    "vgg16": lambda net: vgg(net, VGG16),
    "vgg19": lambda net: vgg(net, VGG19),
    "resnet50": lambda net: resnet(net, [3, 4, 6, 3]),
    "resnet152": lambda net: resnet(net, [3, 8, 36, 3]),
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "efficientnet_b0": efficientnet_b0,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", metavar="DIR", nargs="?", type=pathlib.Path, help="where the files go")
    parser.add_argument("networks", metavar="NETWORK", nargs="*", help="which; all if none is named")
    parser.add_argument("--batch-norm", choices=["folded", "kept"], default="folded")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(NETWORKS))
        return
    if arguments.directory is None:
        parser.error("which DIR?")
    for name in arguments.networks:
        if name not in NETWORKS:
            parser.error(f"no network {name!r}; there are: {', '.join(NETWORKS)}")
    arguments.directory.mkdir(parents=True, exist_ok=True)
    for name in arguments.networks or NETWORKS:
        net = Network(name, arguments.batch_norm)
        NETWORKS[name](net)
        data = net.model().SerializeToString(deterministic=True)
        path = arguments.directory / f"{name}.onnx"
        # Never half a file under the name: a run that is cut short leaves the last whole one.
        partial = path.with_suffix(".partial")
        partial.write_bytes(data)
        partial.replace(path)
        path.with_suffix(".preprocessing.yaml").write_text(PREPROCESSING)
        print(f"{path}: {len(data) / 1e6:.1f} MB, {len(net.nodes)} nodes", file=sys.stderr)


if __name__ == "__main__":
    main()
