// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What an enclave states about itself (proto shoji.v1.Manifest). It travels as bytes, and its digest is over exactly
// those bytes; docs/protocol.md section 2.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
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

struct ModelManifest {
  std::string name;
  digest::Sha256Digest model_digest = {};
  Bytes calibration_digest;  // 32 bytes, or empty
  digest::Sha256Digest preprocessing_digest = {};
  digest::Sha256Digest labels_digest = {};
  digest::Sha256Digest plan_digest = {};
  std::vector<OpenedSegment> opened;
  bool result_opened = false;
  std::vector<TensorType> inputs;
  std::vector<TensorType> outputs;
};

struct Manifest {
  HpkePublicKeyBytes hpke_public_key = {};
  SystemTime expires_at;  // whole seconds
  std::string software_version;
  std::vector<ModelManifest> models;
};

// The first 16 bytes of SHA-256 of the HPKE public key; no other derivation is accepted.
KeyId KeyIdOf(const HpkePublicKeyBytes& public_key);

// Deterministic.
Bytes EncodeManifest(const Manifest& manifest);

// Parses hostile bytes. INVALID_ARGUMENT (malformed, wrong lengths, key id that does not derive from the key, duplicate
// model names), FAILED_PRECONDITION (another protocol version).
absl::StatusOr<Manifest> DecodeManifest(ByteSpan bytes);

// SHA-512("shoji evidence v1" || manifest digest || nonce).
ReportData ReportDataFor(const digest::Sha256Digest& manifest_digest, const Nonce& nonce);

}  // namespace shoji::attest
