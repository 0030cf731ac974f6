// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/server.h"

#include <algorithm>
#include <climits>
#include <cstdint>
#include <utility>

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/impl/server_initializer.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "lib/base/bytes.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/listener_claim.h"
#include "lib/rpc/runtime.h"

namespace shoji::rpc {
namespace {

// Reflection holds a thread for as long as its caller keeps the stream open, and asks for no token: whoever comes when
// all are held is refused.
constexpr int kMaxReflectionThreads = 8;

// gRPC lists only services that registered a method with it; this adds those whose calls are taken as generic ones.
class ListingReflectionPlugin final : public grpc::reflection::ProtoServerReflectionPlugin {
 public:
  explicit ListingReflectionPlugin(std::vector<std::string> names) : names_(std::move(names)) {}
  void Finish(grpc::ServerInitializer* initializer) override {
    // The server's own list, which is const on the way through here only.
    auto& listed = const_cast<std::vector<std::string>&>(*initializer->GetServiceList());
    listed.insert(listed.end(), names_.begin(), names_.end());
    ProtoServerReflectionPlugin::Finish(initializer);
  }

 private:
  const std::vector<std::string> names_;
};

// gRPC's reflection library adds itself to every server of a process that links it; this keeps it where it is wanted.
class ReflectionOption final : public grpc::ServerBuilderOption {
 public:
  ReflectionOption(Reflection reflection, std::vector<std::string> generic_services)
      : reflection_(reflection), generic_services_(std::move(generic_services)) {}

  void UpdateArguments(grpc::ChannelArguments* /*args*/) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    auto ours = std::make_unique<ListingReflectionPlugin>(generic_services_);
    const std::string name = ours->name();
    std::erase_if(*plugins, [&name](const auto& plugin) { return plugin->name() == name; });
    if (reflection_ == Reflection::kOn) {
      plugins->push_back(std::move(ours));
    }
  }

 private:
  const Reflection reflection_;
  const std::vector<std::string> generic_services_;
};

int Milliseconds(std::chrono::milliseconds duration) {
  return static_cast<int>(std::clamp<int64_t>(duration.count(), 1, INT_MAX));
}

// What a stranger can hold, before any handler has seen a call of his.
void BoundConnections(const ServerOptions& options, grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, Milliseconds(options.max_connection_idle));
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, Milliseconds(options.handshake_timeout));
  if (options.max_connection_age.has_value()) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, Milliseconds(*options.max_connection_age));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, Milliseconds(options.max_connection_age_grace));
  }
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(options.keepalive_timeout));
}

void Configure(const ServerOptions& options, const AsyncCalls* async, grpc::ServerBuilder& builder) {
  BoundConnections(options, builder);
  const int max_message_bytes = static_cast<int>(std::min<size_t>(options.max_message_bytes, INT_MAX));
  builder.SetMaxReceiveMessageSize(max_message_bytes);
  builder.SetMaxSendMessageSize(max_message_bytes);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // What is sealed does not compress, and a small message that unpacks to a huge one is a weapon.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  // Only reflection is served by gRPC's own threads.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  builder.SetOption(std::make_unique<ReflectionOption>(
      options.reflection, async == nullptr ? std::vector<std::string>() : async->service_names));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      const std::vector<grpc::Service*>& services, AsyncCalls* async) {
  KeepGrpcRunning();
  std::unique_ptr<Server> out(new Server());
  grpc::ServerBuilder builder;
  Configure(options, async, builder);
  if (options.max_buffered_bytes.has_value() || options.reflection == Reflection::kOn) {
    out->quota_ = std::make_unique<grpc::ResourceQuota>("server");
    out->quota_->SetMaxThreads(kMaxReflectionThreads);
    out->SetMaxBufferedBytes(options.max_buffered_bytes.value_or(SIZE_MAX));
    builder.SetResourceQuota(*out->quota_);
  }
  std::vector<int> ports(options.listeners.size(), 0);
  for (size_t i = 0; i < options.listeners.size(); ++i) {
    const Endpoint& listener = options.listeners[i];
    ASSIGN_OR_RETURN(std::optional<ListenerFiles> files, LoadListenerFiles(listener.security));
    const bool has_tls = files.has_value();
    out->identities_.push_back(has_tls ? std::make_unique<ListenerIdentity>(*std::move(files)) : nullptr);
    const std::shared_ptr<grpc::ServerCredentials> credentials =
        has_tls ? out->identities_.back()->Credentials() : grpc::InsecureServerCredentials();
    ASSIGN_OR_RETURN(auto claim, ListenerClaim::Take(listener.address));
    out->claims_.push_back(std::move(claim));
    builder.AddListeningPort(listener.address.ToString(), credentials, &ports[i]);
  }
  for (grpc::Service* service : services) {
    builder.RegisterService(service);
  }
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues;
  if (async != nullptr) {
    if (async->generic != nullptr) {
      builder.RegisterAsyncGenericService(async->generic);
    }
    for (size_t i = 0; i < async->num_loops; ++i) {
      queues.push_back(builder.AddCompletionQueue());
    }
  }
  out->server_ = builder.BuildAndStart();
  for (auto& queue : queues) {
    async->loops.push_back(std::make_unique<EventLoop>(std::move(queue), async->coalescing));
  }
  if (out->server_ == nullptr) {
    return absl::UnavailableError("the server could not start; gRPC's log line above says why");
  }
  for (size_t i = 0; i < options.listeners.size(); ++i) {
    Address address = options.listeners[i].address;
    if (address.kind == Address::Kind::kTcp) {
      address.port = static_cast<uint16_t>(ports[i]);
    }
    out->addresses_.push_back(std::move(address));
  }
  return out;
}

Server::~Server() { Shutdown(std::chrono::milliseconds(0)); }

void Server::SetMaxBufferedBytes(size_t max_buffered_bytes) {
  if (quota_ != nullptr) {
    quota_->Resize(max_buffered_bytes);
  }
}

void Server::ReplaceIdentity(size_t index, ListenerFiles files) { identities_[index]->Replace(std::move(files)); }

void Server::Shutdown(std::chrono::milliseconds grace) {
  if (server_ != nullptr) {
    server_->Shutdown(std::chrono::system_clock::now() + grace);
    server_->Wait();
  }
}

absl::Status WriteAddressFile(const std::string& path, const std::vector<Address>& addresses) {
  std::string text;
  for (const Address& address : addresses) {
    text += address.ToString() + "\n";
  }
  return WriteFileAtomically(path, AsBytes(text));
}

}  // namespace shoji::rpc
