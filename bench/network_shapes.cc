// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "bench/network_shapes.h"

namespace shoji::bench {
namespace {

// A square convolution, padded so that the output is the input divided by the stride, rounded up.
kernels::ConvGeometry Square(int64_t in, int64_t out, int64_t size, int64_t kernel, int64_t stride, int64_t group = 1) {
  kernels::ConvGeometry g;
  g.in_channels = in;
  g.out_channels = out;
  g.group = group;
  g.input = {size, size};
  g.window.kernel = {kernel, kernel};
  g.window.strides = {stride, stride};
  const int64_t pad = kernel / 2;
  g.window.pads = {pad, pad, pad, pad};
  const int64_t output = (size + 2 * pad - kernel) / stride + 1;
  g.output = {output, output};
  return g;
}

Network Vgg(const std::string& name, const std::vector<int>& convolutions_of_blocks) {
  Network network = {name, {}};
  int64_t in = 3;
  int64_t out = 64;
  int64_t size = 224;
  for (size_t block = 0; block < convolutions_of_blocks.size(); ++block) {
    for (int i = 1; i <= convolutions_of_blocks[block]; ++i) {
      const After after = i == convolutions_of_blocks[block] ? After::kReluMaxPool : After::kRelu;
      network.layers.push_back(
          {"conv" + std::to_string(block + 1) + "_" + std::to_string(i), Square(in, out, size, 3, 1), after});
      in = out;
    }
    size /= 2;
    out = block < 3 ? out * 2 : out;
  }
  network.layers.push_back({"fc6", Square(in * size * size, 4096, 1, 1, 1), After::kRelu});
  network.layers.push_back({"fc7", Square(4096, 4096, 1, 1, 1), After::kRelu});
  network.layers.push_back({"fc8", Square(4096, 1000, 1, 1, 1), After::kNothing});
  return network;
}

}  // namespace

Network Vgg16() { return Vgg("vgg16", {2, 2, 3, 3, 3}); }
Network Vgg19() { return Vgg("vgg19", {2, 2, 4, 4, 4}); }

// Version 1.5: the 3 x 3 convolution of a block has the stride.
Network ResNet50() {
  Network network = {"resnet50", {{"conv1", Square(3, 64, 224, 7, 2), After::kReluMaxPool}}};
  int64_t in = 64;
  int64_t size = 56;
  const std::vector<int> blocks = {3, 4, 6, 3};
  for (size_t stage = 0; stage < blocks.size(); ++stage) {
    const int64_t middle = int64_t{64} << stage;
    const int64_t out = 4 * middle;
    for (int block = 0; block < blocks[stage]; ++block) {
      const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      const std::string name = "conv" + std::to_string(stage + 2) + "_" + std::to_string(block + 1);
      network.layers.push_back({name + "_reduce", Square(in, middle, size, 1, 1), After::kRelu});
      network.layers.push_back({name + "_3x3", Square(middle, middle, size, 3, stride), After::kRelu});
      if (block == 0) {
        network.layers.push_back({name + "_shortcut", Square(in, out, size, 1, stride), After::kNothing});
      }
      size /= stride;
      const bool last = stage + 1 == blocks.size() && block + 1 == blocks[stage];
      network.layers.push_back(
          {name + "_expand", Square(middle, out, size, 1, 1), last ? After::kReluAveragePool : After::kAddRelu});
      in = out;
    }
  }
  network.layers.push_back({"fc", Square(in, 1000, 1, 1, 1), After::kNothing});
  return network;
}

Network MobileNetV1() {
  Network network = {"mobilenet_v1", {{"conv1", Square(3, 32, 224, 3, 2), After::kRelu}}};
  int64_t in = 32;
  int64_t size = 112;
  const std::vector<std::pair<int64_t, int64_t>> blocks = {{64, 1},  {128, 2},  {128, 1}, {256, 2}, {256, 1},
                                                           {512, 2}, {512, 1},  {512, 1}, {512, 1}, {512, 1},
                                                           {512, 1}, {1024, 2}, {1024, 1}};
  for (size_t i = 0; i < blocks.size(); ++i) {
    const auto& [out, stride] = blocks[i];
    const std::string name = "conv" + std::to_string(i + 2);
    network.layers.push_back({name + "_depthwise", Square(in, in, size, 3, stride, in), After::kRelu});
    size /= stride;
    network.layers.push_back({name + "_point", Square(in, out, size, 1, 1),
                              i + 1 == blocks.size() ? After::kReluAveragePool : After::kRelu});
    in = out;
  }
  network.layers.push_back({"fc", Square(in, 1000, 1, 1, 1), After::kNothing});
  return network;
}

}  // namespace shoji::bench
