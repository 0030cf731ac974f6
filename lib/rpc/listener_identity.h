// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a TLS listener presents and demands, which can be replaced while it serves: connections made from then on see
// the new one, those that are there stay.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "lib/rpc/endpoint.h"
#include "lib/rpc/pem.h"

namespace grpc {
class ServerCredentials;
}

namespace shoji::rpc {

// The files of a TLS listener, read and checked.
struct ListenerFiles {
  PemIdentity identity;
  std::string client_roots;  // empty: callers need no certificate
};

// nullopt for a plaintext listener. Errors: a file is missing, not PEM, the key is open to others or not the
// certificate's, each with the place that configures it.
absl::StatusOr<std::optional<ListenerFiles>> LoadListenerFiles(const TransportSecurity& security);

// Holds them for gRPC, which asks at every handshake. Outlives the credentials' servers. Thread-safe.
class ListenerIdentity {
 public:
  explicit ListenerIdentity(ListenerFiles files) : files_(std::move(files)) {}
  ListenerIdentity(const ListenerIdentity&) = delete;
  ListenerIdentity& operator=(const ListenerIdentity&) = delete;

  // For one listener.
  std::shared_ptr<grpc::ServerCredentials> Credentials();
  // Whether callers need a certificate stays as it was.
  void Replace(ListenerFiles files);
  // The files, if gRPC has not got them yet.
  std::optional<ListenerFiles> TakeNew();

 private:
  absl::Mutex mu_;
  ListenerFiles files_ ABSL_GUARDED_BY(mu_);
  bool is_new_ ABSL_GUARDED_BY(mu_) = true;
};

}  // namespace shoji::rpc
