// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/clock.h"
#include "lib/rpc/address.h"
#include "lib/telemetry/log.h"
#include "server/config.h"

namespace shoji::server {

// The whole front end: public services, health and reflection on one port, and a link to each enclave. Untrusted:
// sealed requests and evidence pass through it as bytes. Thread-safe.
class FrontEnd {
 public:
  enum class Drained : uint8_t { kAll, kSomeCutOff };

  // Reads the tokens, connects to the enclaves (in the background) and listens, also for who scrapes its metrics.
  // `clock` and `logger` must outlive it. Errors: the tokens file, TLS files, an address in use.
  static absl::StatusOr<std::unique_ptr<FrontEnd>> Start(const Config& config, const Clock& clock,
                                                         telemetry::Logger& logger);
  FrontEnd(const FrontEnd&) = delete;
  FrontEnd& operator=(const FrontEnd&) = delete;
  // Cuts off what is in flight; Drain first for a clean end.
  virtual ~FrontEnd() = default;

  // With the real port where 0 was asked for.
  virtual const std::vector<rpc::Address>& addresses() const = 0;
  // Where the metrics are; nullopt: nobody can scrape.
  virtual const std::optional<rpc::Address>& metrics_address() const = 0;
  // Calls that hold a slot at an enclave, and calls that wait for one.
  virtual size_t num_in_flight() const = 0;
  virtual size_t num_queued() const = 0;

  // Takes what `config` says of tokens, limits, enclaves, certificates and the log's level, all of it or nothing; no
  // call is lost. The error names what is wrong: a file, or a setting that only a restart changes. Then all stays as it
  // was.
  virtual absl::Status Reload(const Config& config) = 0;
  // A reload that failed before there was a configuration to take.
  virtual void CountRefusedReload() = 0;

  // Turns health to NOT_SERVING and refuses new calls as DRAINING from when this is called, waits for what is in flight
  // and queued up to the configured timeout, cancels the rest, and stops serving.
  virtual Drained Drain() = 0;

 protected:
  FrontEnd() = default;
};

// Checks everything that can be checked without serving: tokens and TLS files.
absl::Status CheckConfig(const Config& config);

}  // namespace shoji::server
