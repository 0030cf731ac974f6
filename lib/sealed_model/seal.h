// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/byte_source.h"
#include "lib/base/bytes.h"
#include "lib/digest/sha2.h"
#include "lib/sealed_model/header.h"
#include "lib/sealed_model/keys.h"

namespace shoji::sealed_model {

struct Content {
  PartKind kind = PartKind::kModel;
  ByteSource& source;
  std::string name = {};  // of external data
};

struct Receipt {
  Header header;
  digest::Sha256Digest digest = {};  // SHA-256 of the sealed file: its name in manifests and releases
  uint64_t size = 0;
};

// Seals `contents`, in the order of Header::parts, under a key of their own made from `key`, and writes the file to `path`: all or
// nothing, in memory of a few chunks whatever their size. Errors: those of CheckHeader and of the sources, and what
// writing may meet.
//
// Example:
//   SpanSource onnx(bytes);
//   ASSIGN_OR_RETURN(const Receipt receipt, Seal({.label = "vgg16", .results = rule, .queries_per_release = 1000}, key,
//                                                std::array{Content{PartKind::kModel, onnx}}, "vgg16.sealed"));
absl::StatusOr<Receipt> Seal(const Terms& terms, const OwnerKey& key, std::span<const Content> contents,
                             const std::string& path);

// One model that is in memory.
absl::StatusOr<Receipt> SealModel(const Terms& terms, const OwnerKey& key, ByteSpan onnx, const std::string& path);

}  // namespace shoji::sealed_model
