// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/channel.h"

#include <algorithm>
#include <climits>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/support/channel_arguments.h>

#include "lib/base/status_macros.h"
#include "lib/rpc/pem.h"
#include "lib/rpc/runtime.h"

namespace shoji::rpc {
namespace {

using Kind = TransportSecurity::Kind;

bool IsPlaintext(const TransportSecurity& security) {
  return security.kind == Kind::kLocalPlaintext || security.kind == Kind::kInsecurePlaintext;
}

// `status` of the files of `security`, saying where they are configured.
absl::Status At(const TransportSecurity& security, const absl::Status& status) {
  if (security.where.empty()) {
    return status;
  }
  return {status.code(), security.where + ": " + std::string(status.message())};
}

// Accepts a listener by its key alone, once TLS has shown that it holds the key of its certificate and that a root
// signed that.
class PinnedKeyVerifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  explicit PinnedKeyVerifier(Bytes public_key) : public_key_(std::move(public_key)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> /*callback*/, grpc::Status* sync_status) override {
    const grpc::string_ref certificate = request->peer_cert();
    if (PublicKeyOf(std::string(certificate.data(), certificate.size())) != public_key_) {
      *sync_status = grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "the listener's key is not the pinned one");
    }
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest* /*request*/) override {}

 private:
  const Bytes public_key_;  // never empty
};

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> PinnedChannelCredentials(const TransportSecurity& security) {
  using grpc::experimental::ExternalCertificateVerifier;
  Bytes public_key = security.server_public_key;
  if (public_key.empty()) {
    ASSIGN_OR_RETURN(public_key, LoadPemPublicKey(security.server_key_file));
  }
  ASSIGN_OR_RETURN(const std::string roots, LoadPemCertificates(security.ca_file));
  grpc::experimental::TlsChannelCredentialsOptions options;
  std::vector<grpc::experimental::IdentityKeyCertPair> identities;
  if (security.kind == Kind::kMutualTls) {
    ASSIGN_OR_RETURN(PemIdentity identity, LoadPemIdentity(security.certificate_file, security.private_key_file));
    identities.push_back({std::move(identity.private_key), std::move(identity.certificate_chain)});
    options.watch_identity_key_cert_pairs();
  }
  options.watch_root_certs();
  options.set_certificate_provider(
      std::make_shared<grpc::experimental::StaticDataCertificateProvider>(roots, std::move(identities)));
  options.set_certificate_verifier(ExternalCertificateVerifier::Create<PinnedKeyVerifier>(std::move(public_key)));
  options.set_verify_server_certs(true);
  options.set_check_call_host(false);  // the key says who it is
  return grpc::experimental::TlsCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> TlsChannelCredentials(const TransportSecurity& security) {
  if (!security.server_key_file.empty()) {
    return PinnedChannelCredentials(security);
  }
  grpc::SslCredentialsOptions options;
  if (!security.ca_file.empty()) {
    ASSIGN_OR_RETURN(options.pem_root_certs, LoadPemCertificates(security.ca_file));
  }
  if (security.kind == Kind::kMutualTls) {
    ASSIGN_OR_RETURN(PemIdentity identity, LoadPemIdentity(security.certificate_file, security.private_key_file));
    options.pem_cert_chain = std::move(identity.certificate_chain);
    options.pem_private_key = std::move(identity.private_key);
  }
  return grpc::SslCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> TlsServerCredentials(const TransportSecurity& security) {
  ASSIGN_OR_RETURN(PemIdentity identity, LoadPemIdentity(security.certificate_file, security.private_key_file));
  const bool is_mutual = security.kind == Kind::kMutualTls;
  grpc::SslServerCredentialsOptions options(is_mutual ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                                      : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  options.pem_key_cert_pairs.push_back({std::move(identity.private_key), std::move(identity.certificate_chain)});
  if (is_mutual) {
    ASSIGN_OR_RETURN(options.pem_root_certs, LoadPemCertificates(security.ca_file));
  }
  return grpc::SslServerCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentialsFor(const TransportSecurity& security) {
  if (IsPlaintext(security)) {
    return grpc::InsecureChannelCredentials();
  }
  auto credentials = TlsChannelCredentials(security);
  if (!credentials.ok()) {
    return At(security, credentials.status());
  }
  return credentials;
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> CreateChannel(const Endpoint& endpoint, const ChannelOptions& options) {
  KeepGrpcRunning();
  ASSIGN_OR_RETURN(const auto credentials, ChannelCredentialsFor(endpoint.security));
  const int max_message_bytes = static_cast<int>(std::min<size_t>(options.max_message_bytes, INT_MAX));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(max_message_bytes);
  arguments.SetMaxSendMessageSize(max_message_bytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
  // Channels to one address must not share a connection: each belongs to one owner with its own life.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // Addresses are the operator's; a proxy from the environment has no part in them.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // What is sealed does not compress, and a small message that unpacks to a huge one is a weapon.
  arguments.SetInt(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE);
  arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  // No retries behind our back: a sealed request may be sent once only.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  if (!endpoint.security.server_name.empty()) {
    arguments.SetSslTargetNameOverride(endpoint.security.server_name);
  }
  return grpc::CreateCustomChannel(endpoint.address.ToString(), credentials, arguments);
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentialsFor(const TransportSecurity& security) {
  if (IsPlaintext(security)) {
    return grpc::InsecureServerCredentials();
  }
  auto credentials = TlsServerCredentials(security);
  if (!credentials.ok()) {
    return At(security, credentials.status());
  }
  return credentials;
}

}  // namespace shoji::rpc
