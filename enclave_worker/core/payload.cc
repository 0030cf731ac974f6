// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/payload.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "enclave_worker/core/declassify.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"

namespace shoji::enclave {
namespace {

static_assert(std::endian::native == std::endian::little, "payload floats are little-endian");

// Looks at every value, whatever it finds.
bool AllFinite(std::span<const float> values) {
  bool finite = true;
  for (const float value : values) {
    finite &= std::isfinite(value);
  }
  return finite;
}

}  // namespace

channel::RequestBodySizes RequestSizesOf(const Model& model) {
  channel::RequestBodySizes sizes;
  sizes.tensors = model.input_bytes();
  if (model.preprocessing().has_value()) {
    sizes.picture = model.preprocessing()->num_pixel_bytes();
  }
  return sizes;
}

absl::StatusOr<SecretTensors> InputsOf(const Model& model, ByteSpan plaintext) {
  ASSIGN_OR_RETURN(const channel::RequestView request, channel::ParseRequest(plaintext, RequestSizesOf(model)));
  SecretTensors live;
  if (request.kind == channel::RequestKind::kPicture) {
    absl::StatusOr<Tensor> tensor = image::Normalize(request.body, *model.preprocessing());
    if (!tensor.ok()) {
      return ErrorOf(Reason::kBadInput);
    }
    live.Put(model.manifest().inputs[0].name, *std::move(tensor));
    return live;
  }
  ByteSpan rest = request.body;
  for (const attest::TensorType& input : model.manifest().inputs) {
    Tensor tensor(input.type, input.shape);
    std::memcpy(tensor.mutable_bytes().data(), rest.data(), tensor.size_bytes());
    rest = rest.subspan(tensor.size_bytes());
    const bool finite = AllFinite(tensor.values<float>());
    live.Put(input.name, std::move(tensor));
    if (!finite) {
      return ErrorOf(Reason::kBadInput);
    }
  }
  return live;
}

absl::StatusOr<crypto::PlaintextBytes> OutputsOf(const Model& model, const SecretTensors& live) {
  crypto::PlaintextBytes out(model.output_bytes());
  std::span<uint8_t> rest = out.ExposeMutable();
  for (const attest::TensorType& output : model.manifest().outputs) {
    const Tensor* tensor = live.Find(output.name);
    if (tensor == nullptr || tensor->size_bytes() > rest.size()) {
      return ErrorOf(Reason::kInternal);
    }
    std::memcpy(rest.data(), tensor->bytes().data(), tensor->size_bytes());
    if (output.type == DataType::kFloat32) {  // the only one that a limited model has
      LimitResult(model.results(), {reinterpret_cast<float*>(rest.data()), tensor->num_elements()});
    }
    rest = rest.subspan(tensor->size_bytes());
  }
  return out;
}

}  // namespace shoji::enclave
