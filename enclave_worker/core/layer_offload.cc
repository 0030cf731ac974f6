// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/layer_offload.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "enclave_worker/core/declassify.h"
#include "lib/base/bytes.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/digest/sha2.h"
#include "lib/quantization/check_bound.h"
#include "shoji/internal/v1/accelerator.pb.h"

namespace shoji::enclave {
namespace {

using kernels::ring::Bits;
using kernels::ring::LimbBytes;
using kernels::ring::WordRowBytes;
using kernels::ring::WordsBytes;

// Two operators see one share each; lib/partition has made sure that there are two.
constexpr size_t kNumShareSides = 2;

std::string Varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) {
    out += static_cast<char>(value | 0x80);
  }
  return out + static_cast<char>(value);
}

// What stands before the `length` bytes of a length-delimited field of a message.
std::string FieldStart(int field, size_t length) {
  return Varint(static_cast<uint64_t>(field) << 3 | 2) + Varint(length);
}

// The layer as it is uploaded. With values in the clear the accelerator pads with the zero point: x' = 0.
Bytes Serialize(const quantization::LinearLayer& layer, OutgoingLayer::Form form) {
  const kernels::ConvGeometry& geometry = layer.geometry;
  ::shoji::internal::v1::LinearLayer out;
  out.set_ring_bits(static_cast<uint32_t>(Bits(layer.ring)));
  out.set_num_limbs(static_cast<uint32_t>(NumLimbs(layer, form)));
  out.set_padding(form == OutgoingLayer::Form::kClear ? layer.input_zero_point : 0);
  out.set_in_channels(static_cast<uint64_t>(geometry.in_channels));
  out.set_out_channels(static_cast<uint64_t>(geometry.out_channels));
  out.set_group(static_cast<uint64_t>(geometry.group));
  out.set_in_height(static_cast<uint64_t>(geometry.input[0]));
  out.set_in_width(static_cast<uint64_t>(geometry.input[1]));
  out.set_out_height(static_cast<uint64_t>(geometry.output[0]));
  out.set_out_width(static_cast<uint64_t>(geometry.output[1]));
  for (size_t axis = 0; axis < 2; ++axis) {
    out.add_kernel(static_cast<uint64_t>(geometry.window.kernel[axis]));
    out.add_strides(static_cast<uint64_t>(geometry.window.strides[axis]));
    out.add_dilations(static_cast<uint64_t>(geometry.window.dilations[axis]));
  }
  for (const int64_t pad : geometry.window.pads) {
    out.add_pads(static_cast<uint64_t>(pad));
  }
  // The weights are put behind by hand: the message would copy them, and copy itself again.
  const std::string rest = out.SerializeAsString();
  const std::string start = FieldStart(::shoji::internal::v1::LinearLayer::kWeightsFieldNumber, layer.weights.size());
  Bytes bytes;
  bytes.reserve(rest.size() + start.size() + layer.weights.size());
  Append(bytes, rest);
  Append(bytes, start);
  Append(bytes, ByteSpan(reinterpret_cast<const uint8_t*>(layer.weights.data()), layer.weights.size()));
  return bytes;
}

}  // namespace

const char* NameOf(EnclaveEventKind kind) {
  switch (kind) {
    case EnclaveEventKind::kCheckFailed:
      return "check_failed";
    case EnclaveEventKind::kOffloadFailed:
      return "offload_failed";
    case EnclaveEventKind::kPoolEmpty:
      return "pool_empty";
  }
  return "?";
}

LayerOffload::LayerOffload(const quantization::LinearLayer& layer, const kernels::ring::LinearKernel& kernel,
                           Options options, const ModelContext& context)
    : layer_(layer),
      kernel_(kernel),
      options_(std::move(options)),
      context_(context),
      codec_(layer, BestCodecIsa()),
      expected_({{"", DataType::kUint8,
                  Shape({layer.geometry.output[0], static_cast<int64_t>(WordRowBytes(layer.geometry, layer.ring))})}}) {
  if (!options_.segment.verify) {
    return;
  }
  const bool twice = quantization::LogCheckErrorBound(layer.geometry) > quantization::kMaxLogCheckErrorBound;
  for (int i = 0; i < (twice ? 2 : 1); ++i) {
    keepers_.push_back(std::make_unique<ChallengeKeeper>(layer, ChallengeKeeper::Options(), context.clock));
  }
}

absl::StatusOr<std::unique_ptr<LayerOffload>> LayerOffload::Create(const quantization::LinearLayer& layer,
                                                                   const kernels::ring::LinearKernel& kernel,
                                                                   Options options, const ModelContext& context) {
  constexpr int64_t kMaxChannels = int64_t{1} << 20;
  if (layer.geometry.in_channels > kMaxChannels || layer.geometry.out_channels > kMaxChannels) {
    return absl::InvalidArgumentError("layer " + layer.name + " has more than " + std::to_string(kMaxChannels) +
                                      " channels; place it in the enclave");
  }
  std::unique_ptr<LayerOffload> offload(new LayerOffload(layer, kernel, std::move(options), context));
  RETURN_IF_ERROR(offload->AddSides());
  return offload;
}

absl::Status LayerOffload::AddSides() {
  const auto upload = std::make_shared<const Bytes>(Serialize(layer_, form()));
  digest_ = digest::Sha256(*upload);
  if (!uses_shares()) {
    return AddSide(options_.segment.accelerators, upload);
  }
  std::map<std::string, std::vector<partition::AcceleratorIdentity>> by_operator;
  for (const partition::AcceleratorIdentity& identity : options_.segment.accelerators) {
    by_operator[identity.operator_name].push_back(identity);
  }
  if (by_operator.size() < kNumShareSides) {
    return absl::InvalidArgumentError("masking with shares needs accelerators of two operators");
  }
  // The first two by name: fixed, so that no operator ever changes sides, fail-over included.
  for (auto it = by_operator.begin(); sides_.size() < kNumShareSides; ++it) {
    RETURN_IF_ERROR(AddSide(it->second, upload));
  }
  return absl::OkStatus();
}

absl::Status LayerOffload::AddSide(const std::vector<partition::AcceleratorIdentity>& members,
                                   const std::shared_ptr<const Bytes>& upload) {
  std::vector<Accelerator*> accelerators;
  for (const partition::AcceleratorIdentity& identity : members) {
    Accelerator* accelerator = context_.accelerators.Find(identity.name);
    if (accelerator == nullptr) {
      return absl::NotFoundError("accelerator '" + identity.name + "' is not in the deployment");
    }
    registrations_.push_back(
        context_.accelerators.Register(*accelerator, digest_, upload, SubModelFormat::kLinearLayer));
    accelerators.push_back(accelerator);
  }
  AcceleratorGroup::Options group;
  group.patience = std::chrono::nanoseconds(0);  // the enclave can compute the layer itself
  group.attempt_timeout = context_.offload_timeout;
  group.quarantine = &context_.quarantine;
  sides_.push_back(
      std::make_unique<AcceleratorGroup>(std::move(accelerators), context_.readiness, context_.clock, group));
  return absl::OkStatus();
}

size_t LayerOffload::max_batch() const {
  const uint64_t largest =
      std::max(LimbBytes(layer_.geometry, NumLimbs(layer_, form())), WordsBytes(layer_.geometry, layer_.ring));
  return static_cast<size_t>(std::max<uint64_t>(1, context_.max_batch_bytes / largest));
}

absl::StatusOr<std::vector<LayerAnswer>> LayerOffload::Send(size_t side,
                                                            const std::function<OutgoingLayer(size_t)>& message,
                                                            const Execution& execution,
                                                            AcceleratorGroup::Avoided& avoided) const {
  absl::Status released;
  const auto make_inputs = [&](const Accelerator&) {
    std::vector<Tensor> inputs;
    for (size_t i = 0; i < execution.batch; ++i) {
      absl::StatusOr<Tensor> input = LayerInput(options_.segment, message(i));
      released.Update(input.status());
      if (input.ok()) {
        inputs.push_back(*std::move(input));
      }
    }
    return inputs;
  };
  absl::StatusOr<AcceleratorGroup::Answer> answer =
      sides_[side]->ExecuteOn(digest_, make_inputs, expected_, execution, avoided);
  RETURN_IF_ERROR(released);
  RETURN_IF_ERROR(answer.status());
  std::vector<LayerAnswer> answers;
  for (Tensor& output : answer->outputs) {
    answers.push_back({std::move(output), answer->from});
  }
  return answers;
}

void LayerOffload::Accuse(const Accelerator& from) const {
  context_.quarantine.Punish(from, Offence::kWrongAnswer);
  const uint64_t count = ++num_failed_checks_;
  if (context_.events) {
    context_.events({EnclaveEventKind::kCheckFailed, options_.model, layer_.name, from.name(), count});
  }
}

void LayerOffload::Miss() const {
  const uint64_t count = ++num_misses_;
  if (context_.events) {
    context_.events({EnclaveEventKind::kOffloadFailed, options_.model, layer_.name, "", count});
  }
}

bool LayerOffload::Served() const {
  for (const auto& side : sides_) {
    if (!side->Serves(digest_)) {
      return false;
    }
  }
  return true;
}

}  // namespace shoji::enclave
