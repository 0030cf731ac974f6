// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/listener_identity.h"

#include <utility>

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpcpp/security/server_credentials.h>

#include "lib/base/check.h"
#include "lib/base/status_macros.h"

namespace shoji::rpc {
namespace {

using Kind = TransportSecurity::Kind;

absl::StatusOr<ListenerFiles> ReadFiles(const TransportSecurity& security) {
  ListenerFiles out;
  ASSIGN_OR_RETURN(out.identity, LoadPemIdentity(security.certificate_file, security.private_key_file));
  if (security.kind == Kind::kMutualTls) {
    ASSIGN_OR_RETURN(out.client_roots, LoadPemCertificates(security.ca_file));
  }
  return out;
}

grpc_ssl_certificate_config_reload_status Fetch(void* identity, grpc_ssl_server_certificate_config** out) {
  const std::optional<ListenerFiles> files = static_cast<ListenerIdentity*>(identity)->TakeNew();
  if (!files.has_value()) {
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
  }
  const grpc_ssl_pem_key_cert_pair pair = {files->identity.private_key.c_str(),
                                           files->identity.certificate_chain.c_str()};
  // gRPC insists on roots, also where no caller is asked for a certificate and they decide nothing.
  const std::string& roots = files->client_roots.empty() ? files->identity.certificate_chain : files->client_roots;
  *out = grpc_ssl_server_certificate_config_create(roots.c_str(), &pair, 1);
  return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

// gRPC's C++ library has no credentials that ask for certificates anew; its core does.
class FetchingCredentials final : public grpc::ServerCredentials {
 public:
  FetchingCredentials(ListenerIdentity& identity, grpc_ssl_client_certificate_request_type callers)
      : credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(callers, &Fetch, &identity))) {}
  ~FetchingCredentials() override { grpc_server_credentials_release(credentials_); }

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) override {
    SHOJI_CHECK(false);
  }

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  grpc_server_credentials* const credentials_;
};

}  // namespace

absl::StatusOr<std::optional<ListenerFiles>> LoadListenerFiles(const TransportSecurity& security) {
  if (security.kind == Kind::kLocalPlaintext || security.kind == Kind::kInsecurePlaintext) {
    return std::nullopt;
  }
  absl::StatusOr<ListenerFiles> files = ReadFiles(security);
  if (files.ok()) {
    return *std::move(files);
  }
  return security.where.empty()
             ? files.status()
             : absl::Status(files.status().code(), security.where + ": " + std::string(files.status().message()));
}

std::shared_ptr<grpc::ServerCredentials> ListenerIdentity::Credentials() {
  const absl::MutexLock lock(&mu_);
  return std::make_shared<FetchingCredentials>(*this, files_.client_roots.empty()
                                                          ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                                          : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
}

void ListenerIdentity::Replace(ListenerFiles files) {
  const absl::MutexLock lock(&mu_);
  files_ = std::move(files);
  is_new_ = true;
}

std::optional<ListenerFiles> ListenerIdentity::TakeNew() {
  const absl::MutexLock lock(&mu_);
  return std::exchange(is_new_, false) ? std::optional<ListenerFiles>(files_) : std::nullopt;
}

}  // namespace shoji::rpc
