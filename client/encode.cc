// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/encode.h"

#include <algorithm>
#include <string>
#include <vector>

#include "lib/image/pixels.h"

namespace shoji::client {

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
                                      " tensors, not " + std::to_string(inputs.size()));
  }
  crypto::PlaintextBytes body(model.input_bytes);
  std::span<uint8_t> rest = body.ExposeMutable();
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].type() != types[i].type || !(inputs[i].shape() == types[i].shape)) {
      return absl::InvalidArgumentError("input '" + types[i].name + "' is float32 " + types[i].shape.ToString() +
                                        ", not " + std::string(NameOf(inputs[i].type())) + " " +
                                        inputs[i].shape().ToString());
    }
    const ByteSpan bytes = inputs[i].bytes();
    std::copy(bytes.begin(), bytes.end(), rest.begin());
    rest = rest.subspan(bytes.size());
  }
  return channel::BuildRequest(channel::RequestKind::kTensors, body.Expose(), trailer);
}

}  // namespace shoji::client
