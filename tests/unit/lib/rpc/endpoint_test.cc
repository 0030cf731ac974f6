// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/endpoint.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoji::rpc {
namespace {

using ::testing::HasSubstr;
using Kind = TransportSecurity::Kind;

absl::StatusOr<Endpoint> Read(const std::string& text, Role role, Exposure exposure) {
  const config::Document document = *config::Document::Parse(text, "/etc/shoji/x.yaml");
  return ReadEndpoint(*document.root().Map({"address", "tls", "insecure_plaintext"}), role, exposure);
}

std::string ErrorOf(const std::string& text, Role role, Exposure exposure) {
  const absl::StatusOr<Endpoint> endpoint = Read(text, role, exposure);
  return endpoint.ok() ? "OK" : std::string(endpoint.status().message());
}

TEST(EndpointTest, PlaintextStaysOnThisHost) {
  for (const Exposure exposure : {Exposure::kPublic, Exposure::kInternal}) {
    EXPECT_EQ(ErrorOf("address: 127.0.0.1:1", Role::kListen, exposure), "OK");
    EXPECT_EQ(ErrorOf("address: unix:x.sock", Role::kConnect, exposure), "OK");
  }
  EXPECT_THAT(ErrorOf("address: 0.0.0.0:1", Role::kListen, Exposure::kPublic),
              HasSubstr("/etc/shoji/x.yaml:1: key 'address': plaintext on 0.0.0.0:1 would cross the network"));
}

TEST(EndpointTest, PublicPlaintextOverTheNetworkMustBeAskedFor) {
  EXPECT_EQ(Read("{address: 0.0.0.0:1, insecure_plaintext: true}", Role::kListen, Exposure::kPublic)->security.kind,
            Kind::kInsecurePlaintext);
}

TEST(EndpointTest, InternalEndpointOffThisHostNeedsMutualTls) {
  for (const char* text : {"address: 10.0.0.1:1", "{address: 10.0.0.1:1, insecure_plaintext: true}",
                           "{address: 10.0.0.1:1, tls: {certificate: c, private_key: k}}"}) {
    EXPECT_THAT(ErrorOf(text, Role::kListen, Exposure::kInternal), HasSubstr("give it mutual TLS")) << text;
  }
  EXPECT_THAT(ErrorOf("{address: 10.0.0.1:1, tls: {ca: ca}}", Role::kConnect, Exposure::kInternal),
              HasSubstr("give it mutual TLS"));
  EXPECT_EQ(ErrorOf("{address: 10.0.0.1:1, tls: {certificate: c, private_key: k, client_ca: a}}", Role::kListen,
                    Exposure::kInternal),
            "OK");
  EXPECT_EQ(ErrorOf("{address: 10.0.0.1:1, tls: {certificate: c, private_key: k, ca: a}}", Role::kConnect,
                    Exposure::kInternal),
            "OK");
}

TEST(EndpointTest, TlsFilesAreTakenFromTheFolderOfTheDocument) {
  const Endpoint endpoint = *Read("{address: 10.0.0.1:1, tls: {certificate: c.pem, private_key: /k.pem, client_ca: a}}",
                                  Role::kListen, Exposure::kPublic);
  EXPECT_EQ(endpoint.security.kind, Kind::kMutualTls);
  EXPECT_EQ(endpoint.security.certificate_file, "/etc/shoji/c.pem");
  EXPECT_EQ(endpoint.security.private_key_file, "/k.pem");
}

TEST(EndpointTest, PinnedKeyIsTakenFromTheFolderOfTheDocumentAndNeedsARoot) {
  const Endpoint endpoint =
      *Read("{address: 10.0.0.1:1, tls: {ca: a, certificate: c, private_key: k, server_key: s.pem}}", Role::kConnect,
            Exposure::kInternal);
  EXPECT_EQ(endpoint.security.server_key_file, "/etc/shoji/s.pem");
  EXPECT_THAT(ErrorOf("{address: 10.0.0.1:1, tls: {server_key: s.pem}}", Role::kConnect, Exposure::kPublic),
              HasSubstr("the pinned key of 10.0.0.1:1 needs the CA"));
  EXPECT_THAT(ErrorOf("{address: 10.0.0.1:1, tls: {certificate: c, private_key: k, server_key: s}}", Role::kListen,
                      Exposure::kPublic),
              HasSubstr("server_key': unknown key"));
}

TEST(EndpointTest, IncompleteOrContradictoryTlsIsRefused) {
  EXPECT_THAT(ErrorOf("{address: 1.2.3.4:1, tls: {certificate: c}}", Role::kListen, Exposure::kPublic),
              HasSubstr("the key 'private_key' is missing"));
  EXPECT_THAT(ErrorOf("{address: 1.2.3.4:1, tls: {certificate: c}}", Role::kConnect, Exposure::kPublic),
              HasSubstr("go together"));
  EXPECT_THAT(ErrorOf("{address: 1.2.3.4:1, tls: {certificate: c, private_key: k}}", Role::kConnect, Exposure::kPublic),
              HasSubstr("needs the CA"));
  EXPECT_THAT(
      ErrorOf("{address: 1.2.3.4:1, tls: {ca: c}, insecure_plaintext: true}", Role::kConnect, Exposure::kPublic),
      HasSubstr("exclude each other"));
  EXPECT_THAT(ErrorOf("{address: 1.2.3.4:1, tls: {cert: c}}", Role::kListen, Exposure::kPublic),
              HasSubstr("unknown key (did you mean"));
}

TEST(EndpointTest, BadOrMissingAddressNamesTheKey) {
  EXPECT_THAT(ErrorOf("address: nowhere", Role::kListen, Exposure::kPublic),
              HasSubstr("x.yaml:1: key 'address': address \"nowhere\" has no port"));
  EXPECT_THAT(ErrorOf("insecure_plaintext: true", Role::kListen, Exposure::kPublic),
              HasSubstr("the key 'address' is missing"));
}

}  // namespace
}  // namespace shoji::rpc
