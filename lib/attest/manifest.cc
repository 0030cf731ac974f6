// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/manifest.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <string_view>
#include <utility>

#include "lib/attest/serialize.h"
#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "shoji/v1/attestation.pb.h"

namespace shoji::attest {
namespace {

constexpr size_t kMaxManifestBytes = size_t{1} << 20;
constexpr size_t kMaxNameBytes = 256;

absl::Status Malformed(const std::string& what) { return absl::InvalidArgumentError("malformed manifest: " + what); }

template <size_t N>
absl::StatusOr<std::array<uint8_t, N>> FixedBytes(const std::string& bytes, const char* field) {
  if (bytes.size() != N) {
    return Malformed(std::string(field) + " has " + std::to_string(bytes.size()) + " bytes instead of " +
                     std::to_string(N));
  }
  std::array<uint8_t, N> out = {};
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

v1::DataType ToProto(DataType type) {
  switch (type) {
    case DataType::kFloat32:
      return v1::FLOAT32;
    case DataType::kUint8:
      return v1::UINT8;
    case DataType::kInt8:
      return v1::INT8;
    case DataType::kInt32:
      return v1::INT32;
    case DataType::kInt64:
      return v1::INT64;
  }
  return v1::DATA_TYPE_UNSPECIFIED;
}

absl::StatusOr<DataType> FromProto(v1::DataType type) {
  switch (type) {
    case v1::FLOAT32:
      return DataType::kFloat32;
    case v1::UINT8:
      return DataType::kUint8;
    case v1::INT8:
      return DataType::kInt8;
    case v1::INT32:
      return DataType::kInt32;
    case v1::INT64:
      return DataType::kInt64;
    default:
      return Malformed("unknown data type");
  }
}

void ToProto(const TensorType& type, v1::TensorType& out) {
  out.set_name(type.name);
  out.set_data_type(ToProto(type.type));
  for (const int64_t dim : type.shape.dims()) {
    out.add_dims(dim);
  }
}

absl::StatusOr<TensorType> FromProto(const v1::TensorType& in) {
  TensorType out;
  out.name = in.name();
  ASSIGN_OR_RETURN(out.type, FromProto(in.data_type()));
  absl::StatusOr<Shape> shape = Shape::Create({in.dims().begin(), in.dims().end()});
  if (!shape.ok()) {
    return Malformed(std::string(shape.status().message()));
  }
  out.shape = *std::move(shape);
  return out;
}

template <typename Repeated>
absl::StatusOr<std::vector<TensorType>> FromProtoList(const Repeated& in) {
  std::vector<TensorType> out;
  for (const v1::TensorType& type : in) {
    ASSIGN_OR_RETURN(out.emplace_back(), FromProto(type));
  }
  return out;
}

void ToProto(const ModelManifest& model, v1::ModelManifest& out) {
  out.set_name(model.name);
  out.set_model_digest(ToString(model.model_digest));
  out.set_calibration_digest(ToString(model.calibration_digest));
  out.set_preprocessing_digest(ToString(model.preprocessing_digest));
  out.set_labels_digest(ToString(model.labels_digest));
  out.set_plan_digest(ToString(model.plan_digest));
  for (const OpenedSegment& segment : model.opened) {
    v1::OpenedSegment& opened = *out.add_opened();
    opened.set_first_node(segment.first_node);
    opened.set_last_node(segment.last_node);
    for (const std::string& name : segment.operators) {
      opened.add_operators(name);
    }
    for (const TensorType& type : segment.revealed) {
      ToProto(type, *opened.add_revealed());
    }
  }
  out.set_result_opened(model.result_opened);
  for (const TensorType& type : model.inputs) {
    ToProto(type, *out.add_inputs());
  }
  for (const TensorType& type : model.outputs) {
    ToProto(type, *out.add_outputs());
  }
  if (model.sealed.has_value()) {
    attest::ToProto(model.sealed->results, *out.mutable_sealed()->mutable_results());
    out.mutable_sealed()->set_queries_per_release(model.sealed->queries_per_release);
  }
  for (const std::string& name : model.unopened_before) {
    out.add_unopened_before(name);
  }
  out.set_all_verified(model.all_verified);
}

void ToProto(const AwaitedModel& model, v1::AwaitedModel& out) {
  out.set_name(model.name);
  out.set_sealed_digest(ToString(model.sealed_digest));
  for (const PlannedSegment& segment : model.plan) {
    v1::PlannedSegment& planned = *out.add_plan();
    planned.set_start(segment.start);
    planned.set_place(segment.place);
    planned.set_confidential(segment.confidential);
  }
}

absl::StatusOr<SealedTerms> FromProto(const v1::SealedTerms& in) {
  SealedTerms out;
  absl::StatusOr<ResultRule> results = attest::FromProto(in.results());
  if (!results.ok()) {
    return Malformed(std::string(results.status().message()));
  }
  out.results = *results;
  out.queries_per_release = in.queries_per_release();
  if (out.queries_per_release == 0) {
    return Malformed("a sealed model without a budget of queries");
  }
  return out;
}

absl::Status CheckName(const std::string& name) {
  if (name.empty() || name.size() > kMaxNameBytes) {
    return Malformed("a model name of " + std::to_string(name.size()) + " bytes");
  }
  return absl::OkStatus();
}

absl::StatusOr<AwaitedModel> FromProto(const v1::AwaitedModel& in) {
  AwaitedModel out;
  out.name = in.name();
  RETURN_IF_ERROR(CheckName(out.name));
  ASSIGN_OR_RETURN(out.sealed_digest, FixedBytes<32>(in.sealed_digest(), "sealed_digest"));
  for (const v1::PlannedSegment& segment : in.plan()) {
    out.plan.push_back({segment.start(), segment.place(), segment.confidential()});
  }
  return out;
}

absl::StatusOr<ModelManifest> FromProto(const v1::ModelManifest& in) {
  ModelManifest out;
  out.name = in.name();
  RETURN_IF_ERROR(CheckName(out.name));
  ASSIGN_OR_RETURN(out.model_digest, FixedBytes<32>(in.model_digest(), "model_digest"));
  if (!in.calibration_digest().empty()) {
    ASSIGN_OR_RETURN(const auto digest, FixedBytes<32>(in.calibration_digest(), "calibration_digest"));
    out.calibration_digest.assign(digest.begin(), digest.end());
  }
  ASSIGN_OR_RETURN(out.preprocessing_digest, FixedBytes<32>(in.preprocessing_digest(), "preprocessing_digest"));
  ASSIGN_OR_RETURN(out.labels_digest, FixedBytes<32>(in.labels_digest(), "labels_digest"));
  ASSIGN_OR_RETURN(out.plan_digest, FixedBytes<32>(in.plan_digest(), "plan_digest"));
  for (const v1::OpenedSegment& segment : in.opened()) {
    OpenedSegment opened;
    opened.first_node = segment.first_node();
    opened.last_node = segment.last_node();
    opened.operators.assign(segment.operators().begin(), segment.operators().end());
    ASSIGN_OR_RETURN(opened.revealed, FromProtoList(segment.revealed()));
    out.opened.push_back(std::move(opened));
  }
  out.result_opened = in.result_opened();
  ASSIGN_OR_RETURN(out.inputs, FromProtoList(in.inputs()));
  ASSIGN_OR_RETURN(out.outputs, FromProtoList(in.outputs()));
  if (in.has_sealed()) {
    ASSIGN_OR_RETURN(out.sealed, FromProto(in.sealed()));
  }
  out.unopened_before.assign(in.unopened_before().begin(), in.unopened_before().end());
  out.all_verified = in.all_verified();
  if (out.inputs.empty() || out.outputs.empty()) {
    return Malformed("model " + out.name + " has no inputs or no outputs");
  }
  return out;
}

}  // namespace

KeyId KeyIdOf(const HpkePublicKeyBytes& public_key) {
  const digest::Sha256Digest hash = digest::Sha256(public_key);
  KeyId out = {};
  std::copy_n(hash.begin(), out.size(), out.begin());
  return out;
}

Bytes EncodeManifest(const Manifest& manifest) {
  v1::Manifest proto;
  proto.set_protocol_version(kProtocolVersion);
  proto.set_hpke_public_key(ToString(manifest.hpke_public_key));
  proto.set_key_id(ToString(KeyIdOf(manifest.hpke_public_key)));
  proto.set_expires_at_unix_seconds(
      std::chrono::duration_cast<std::chrono::seconds>(manifest.expires_at.time_since_epoch()).count());
  proto.set_software_version(manifest.software_version);
  for (const ModelManifest& model : manifest.models) {
    ToProto(model, *proto.add_models());
  }
  for (const AwaitedModel& model : manifest.awaited) {
    ToProto(model, *proto.add_awaited());
  }
  return SerializeDeterministically(proto);
}

absl::StatusOr<Manifest> DecodeManifest(ByteSpan bytes) {
  if (bytes.size() > kMaxManifestBytes) {
    return Malformed("larger than 1 MiB");
  }
  v1::Manifest proto;
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Malformed("not a Manifest message");
  }
  if (proto.protocol_version() != kProtocolVersion) {
    return absl::FailedPreconditionError("the enclave speaks protocol version " +
                                         std::to_string(proto.protocol_version()) + ", this client version " +
                                         std::to_string(kProtocolVersion) + "; update the older of the two");
  }
  Manifest out;
  ASSIGN_OR_RETURN(out.hpke_public_key, FixedBytes<32>(proto.hpke_public_key(), "hpke_public_key"));
  ASSIGN_OR_RETURN(const KeyId key_id, FixedBytes<16>(proto.key_id(), "key_id"));
  if (key_id != KeyIdOf(out.hpke_public_key)) {
    return Malformed("key_id does not derive from hpke_public_key");
  }
  // Bounds that keep the conversion to the system clock's ticks from overflowing.
  constexpr int64_t kYear2200 = 7258118400;
  if (proto.expires_at_unix_seconds() < 0 || proto.expires_at_unix_seconds() > kYear2200) {
    return Malformed("expires_at_unix_seconds is out of range");
  }
  out.expires_at = SystemTime(std::chrono::seconds(proto.expires_at_unix_seconds()));
  out.software_version = proto.software_version();
  std::set<std::string_view> names;
  for (const v1::ModelManifest& model : proto.models()) {
    ASSIGN_OR_RETURN(ModelManifest decoded, FromProto(model));
    if (!names.insert(model.name()).second) {
      return Malformed("model " + model.name() + " is listed twice");
    }
    out.models.push_back(std::move(decoded));
  }
  for (const v1::AwaitedModel& model : proto.awaited()) {
    ASSIGN_OR_RETURN(AwaitedModel decoded, FromProto(model));
    if (!names.insert(model.name()).second) {
      return Malformed("model " + model.name() + " is listed twice");
    }
    out.awaited.push_back(std::move(decoded));
  }
  return out;
}

ReportData ReportDataFor(const digest::Sha256Digest& manifest_digest, const Nonce& nonce) {
  Bytes message;
  Append(message, "shoji evidence v1");
  Append(message, manifest_digest);
  Append(message, nonce);
  return digest::Sha512(message);
}

}  // namespace shoji::attest
