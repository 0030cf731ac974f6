// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <grpcpp/generic/async_generic_service.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/endpoint.h"
#include "lib/rpc/event_loop.h"
#include "lib/rpc/listener_identity.h"

namespace grpc {
class ResourceQuota;
class Server;
class Service;
}  // namespace grpc

namespace shoji::rpc {

class ListenerClaim;

enum class Reflection : uint8_t { kOff, kOn };

struct ServerOptions {
  std::vector<Endpoint> listeners;
  // The largest message either way.
  size_t max_message_bytes = kDefaultMaxMessageBytes;
  // On one connection at a time; more wait at the caller. gRPC holds only callers to it that acknowledge its SETTINGS.
  int max_concurrent_streams = 1024;
  // Once messages that have not arrived whole hold more than this, all connections together, calls are cut off with
  // RESOURCE_EXHAUSTED. No hard bound: gRPC's ResourceQuota lags behind several connections that fill it at a time.
  // nullopt: never.
  std::optional<size_t> max_buffered_bytes = std::nullopt;
  // A connection without a call for so long is closed.
  std::chrono::milliseconds max_connection_idle = std::chrono::hours(1);
  // One that is older, give or take a tenth so that not all go at once, takes no new calls, and is closed when those it
  // has are done, or at the latest after the grace. nullopt: of any age.
  std::optional<std::chrono::milliseconds> max_connection_age = std::nullopt;
  std::chrono::milliseconds max_connection_age_grace = std::chrono::minutes(2);
  // One on which nothing has come for so long is asked whether it is still there, and closed without an answer.
  std::chrono::milliseconds keepalive = std::chrono::seconds(30);
  std::chrono::milliseconds keepalive_timeout = std::chrono::seconds(10);
  // A connection that has not done its TLS and HTTP/2 handshakes by then is closed.
  std::chrono::milliseconds handshake_timeout = std::chrono::seconds(20);
  // Server reflection (grpc.reflection.v1alpha), which lists every registered service.
  Reflection reflection = Reflection::kOff;
};

// Loops on which calls are asked for one by one. Outlives the server; its end is after the server's shutdown and before
// the server's end.
struct AsyncCalls {
  size_t num_loops = 1;
  Coalescing coalescing = {};
  // Takes the calls of every method that no service serves itself: `generic->RequestCall` on one of `loops` asks for
  // the next one, which is there before its body has been read. nullptr: such calls are UNIMPLEMENTED.
  grpc::AsyncGenericService* generic = nullptr;
  std::vector<std::string> service_names = {};         // of these methods, for reflection
  std::vector<std::unique_ptr<EventLoop>> loops = {};  // filled by Server::Start
};

// A running gRPC server. Thread-safe.
class Server {
 public:
  // Binds every listener and serves `services`, which must outlive the server, and `async` if it is given. An address
  // that another process serves is ALREADY_EXISTS and is never taken over; a Unix socket left by a dead process is
  // replaced. Other errors: as CheckEndpoint's files.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       const std::vector<grpc::Service*>& services,
                                                       AsyncCalls* async = nullptr);

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Shuts down with no grace.
  ~Server();

  // In the order of the listeners, with the real port where 0 was asked for.
  const std::vector<Address>& addresses() const { return addresses_; }

  // Replaces ServerOptions::max_buffered_bytes, where there was such a bound.
  void SetMaxBufferedBytes(size_t max_buffered_bytes);

  // What listener `index`, which uses TLS, presents to connections made from now on.
  void ReplaceIdentity(size_t index, ListenerFiles files);

  // Stops accepting, waits up to `grace` for calls in flight, cancels the rest and returns when all handlers are done.
  void Shutdown(std::chrono::milliseconds grace);

 private:
  Server() = default;

  std::vector<std::unique_ptr<ListenerClaim>> claims_;
  std::vector<Address> addresses_;
  std::unique_ptr<grpc::ResourceQuota> quota_;                 // null: nothing is bounded
  std::vector<std::unique_ptr<ListenerIdentity>> identities_;  // of the listeners; null: plaintext
  std::unique_ptr<grpc::Server> server_;
};

// Writes one address a line, all or nothing, so that whoever started the process can find its port.
absl::Status WriteAddressFile(const std::string& path, const std::vector<Address>& addresses);

}  // namespace shoji::rpc
