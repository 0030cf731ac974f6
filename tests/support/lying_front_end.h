// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A front end that lies about evidence and is honest otherwise: it passes every call on to a real one, alters what
// comes back from GetEvidence, and counts what it was sent.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "shoji/v1/attestation.pb.h"

namespace shoji::testing {

// Thread-safe; set the lie while no call is in flight.
class LyingFrontEnd {
 public:
  using Lie = std::function<void(const v1::GetEvidenceRequest&, v1::GetEvidenceResponse&)>;

  // Listens on `listen` and passes on to `forward`, both as gRPC writes addresses, in plaintext.
  static absl::StatusOr<std::unique_ptr<LyingFrontEnd>> Start(const std::string& listen, const std::string& forward);
  LyingFrontEnd(const LyingFrontEnd&) = delete;
  LyingFrontEnd& operator=(const LyingFrontEnd&) = delete;
  ~LyingFrontEnd();

  void Tell(Lie lie);
  int num_evidence() const;
  // Calls by which a client gives something away: OpenSession, Infer, ReleaseKey.
  int num_sent() const;

 private:
  struct Impl;
  LyingFrontEnd();
  const std::unique_ptr<Impl> impl_;
};

}  // namespace shoji::testing
