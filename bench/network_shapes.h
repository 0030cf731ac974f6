// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The linear layers of well-known networks at 224 x 224, in order. Shapes only: benchmarks draw the weights.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/kernels/geometry.h"

namespace shoji::bench {

// What stands between a layer's sums and the next layer.
enum class After : uint8_t {
  kNothing,
  kRelu,
  kReluMaxPool,      // 2 x 2, stride 2 (VGG); in ResNet's stem 3 x 3, stride 2, padded by 1
  kAddRelu,          // the residual is added first
  kReluAveragePool,  // over all positions
};

struct NetworkLayer {
  std::string name;
  kernels::ConvGeometry geometry;
  After after = After::kRelu;
  bool IsConvolution() const { return geometry.input[0] * geometry.input[1] > 1; }
};

struct Network {
  std::string name;
  std::vector<NetworkLayer> layers;
};

Network Vgg16();
Network Vgg19();
Network ResNet50();
Network MobileNetV1();

}  // namespace shoji::bench
