// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/encode.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/image/pixels.h"

namespace shoji::client {
namespace {

// What the enclave would refuse, and may only call malformed.
absl::Status CheckFinite(const Tensor& input, const std::string& name) {
  if (input.type() != DataType::kFloat32) {
    return absl::OkStatus();
  }
  const std::span<const float> values = input.values<float>();
  const auto found = std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  if (found == values.end()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("input '" + name + "': value " + std::to_string(found - values.begin()) + " of " +
                                    std::to_string(values.size()) +
                                    ", counted from 0, is NaN or infinite; models take finite values only");
}

}  // namespace

absl::StatusOr<crypto::PlaintextBytes> EncodePicture(const image::Image& picture, const Model& model,
                                                     channel::Trailer trailer) {
  if (!model.preprocessing.has_value()) {
    return absl::FailedPreconditionError("model '" + model.manifest.name +
                                         "' states no preprocessing: it takes tensors, not pictures");
  }
  Tensor pixels = image::ToPixels(picture, *model.preprocessing);
  crypto::PlaintextBytes request = channel::BuildRequest(channel::RequestKind::kPicture, pixels.bytes(), trailer);
  pixels.Wipe();
  return request;
}

absl::StatusOr<crypto::PlaintextBytes> EncodeTensors(std::span<const Tensor> inputs, const Model& model,
                                                     channel::Trailer trailer) {
  const std::vector<attest::TensorType>& types = model.manifest.inputs;
  if (inputs.size() != types.size()) {
    return absl::InvalidArgumentError("model '" + model.manifest.name + "' takes " + std::to_string(types.size()) +
                                      (types.size() == 1 ? " tensor, not " : " tensors, not ") +
                                      std::to_string(inputs.size()));
  }
  crypto::PlaintextBytes body(model.input_bytes);
  std::span<uint8_t> rest = body.ExposeMutable();
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].type() != types[i].type || !(inputs[i].shape() == types[i].shape)) {
      return absl::InvalidArgumentError("input '" + types[i].name + "' is float32 " + types[i].shape.ToString() +
                                        ", not " + std::string(NameOf(inputs[i].type())) + " " +
                                        inputs[i].shape().ToString());
    }
    RETURN_IF_ERROR(CheckFinite(inputs[i], types[i].name));
    const ByteSpan bytes = inputs[i].bytes();
    std::copy(bytes.begin(), bytes.end(), rest.begin());
    rest = rest.subspan(bytes.size());
  }
  return channel::BuildRequest(channel::RequestKind::kTensors, body.Expose(), trailer);
}

}  // namespace shoji::client
