// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What an enclave states about itself (proto shoji.v1.Manifest). It travels as bytes, and its digest is over exactly
// those bytes; docs/protocol.md section 2.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/attest/result_rule.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/digest/sha2.h"
#include "lib/tensor/data_type.h"
#include "lib/tensor/shape.h"

namespace shoji::attest {

inline constexpr uint32_t kProtocolVersion = 1;
using KeyId = std::array<uint8_t, 16>;
using HpkePublicKeyBytes = std::array<uint8_t, 32>;
using Nonce = std::array<uint8_t, 32>;
using ReportData = digest::Sha512Digest;

struct TensorType {
  std::string name;
  DataType type = DataType::kFloat32;
  Shape shape;
};

struct OpenedSegment {
  std::string first_node;
  std::string last_node;
  std::vector<std::string> operators;
  std::vector<TensorType> revealed;
};

// What the owner of a sealed model demands, and the enclave enforces.
struct SealedTerms {
  ResultRule results;
  uint64_t queries_per_release = 0;  // at least 1
  bool operator==(const SealedTerms&) const = default;
};

struct ModelManifest {
  std::string name;
  digest::Sha256Digest model_digest = {};  // of a sealed model: of the sealed file
  Bytes calibration_digest;                // 32 bytes, or empty
  digest::Sha256Digest preprocessing_digest = {};
  digest::Sha256Digest labels_digest = {};
  digest::Sha256Digest plan_digest = {};
  std::vector<OpenedSegment> opened;
  bool result_opened = false;
  std::vector<TensorType> inputs;
  std::vector<TensorType> outputs;
  std::optional<SealedTerms> sealed;  // set for a sealed model
  // Nodes before which nothing is opened (partition::NodesBeforeWhichNothingIsOpened), in the graph's order: the last
  // kMaxUnopenedBytes of names, and of a sealed model none that is confidential; empty where nothing is opened.
  std::vector<std::string> unopened_before = {};
  bool all_verified = false;  // every answer of an accelerator is checked before it is used

  static constexpr size_t kMaxUnopenedBytes = size_t{64} << 10;
};

// A segment of a policy that is not resolved yet.
struct PlannedSegment {
  std::string start;  // "from `fc1`": for people
  std::string place;
  bool confidential = false;
  bool operator==(const PlannedSegment&) const = default;
};

// A sealed model that is not served until its owner releases its key, and what the enclave means to do with it.
struct AwaitedModel {
  std::string name;
  digest::Sha256Digest sealed_digest = {};
  std::vector<PlannedSegment> plan;
};

struct Manifest {
  HpkePublicKeyBytes hpke_public_key = {};
  SystemTime expires_at;  // whole seconds
  std::string software_version;
  std::vector<ModelManifest> models;
  std::vector<AwaitedModel> awaited;
};

// The first 16 bytes of SHA-256 of the HPKE public key; no other derivation is accepted.
KeyId KeyIdOf(const HpkePublicKeyBytes& public_key);

// Deterministic.
Bytes EncodeManifest(const Manifest& manifest);

// Parses hostile bytes. INVALID_ARGUMENT (malformed, wrong lengths, key id that does not derive from the key, duplicate
// model names, awaited ones included), FAILED_PRECONDITION (another protocol version).
absl::StatusOr<Manifest> DecodeManifest(ByteSpan bytes);

// SHA-512("shoji evidence v1" || manifest digest || nonce).
ReportData ReportDataFor(const digest::Sha256Digest& manifest_digest, const Nonce& nonce);

}  // namespace shoji::attest
