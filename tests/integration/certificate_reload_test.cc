// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A front end whose certificates are renewed where they lie, under calls that do not stop.
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/rpc/channel.h"
#include "shoji/v1/inference.grpc.pb.h"
#include "tests/support/cluster.h"
#include "tests/support/crafted_files.h"
#include "tests/support/process.h"

namespace shoji {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

// Who calls, and whom it trusts; both are names of files.
struct Caller {
  std::string name;
  std::string trusts;
};

class CertificateReloadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const auto& [name, issuer] : {std::pair{"ca", ""},
                                       {"new_ca", ""},
                                       {"server", "ca"},
                                       {"renewed", "new_ca"},
                                       {"caller", "ca"},
                                       {"new_caller", "new_ca"}}) {
      const testing::CommandResult made = testing::MakeCertificate(files_, name, issuer);
      ASSERT_EQ(made.exit_code, 0) << made.err;
    }
    Copy("ca.pem", "clients.pem");
    std::ofstream(files_.File("server.yaml"))
        << "listen: {address: \"127.0.0.1:0\", tls: {certificate: server.pem, private_key: server.key, "
           "client_ca: clients.pem}}\nenclaves: [{name: e, address: \"unix:e.sock\"}]\n";
    const std::string address_file = files_.File("address");
    auto server = testing::Process::Start(
        {{testing::BinDir() + "/shoji-server", "--config", files_.File("server.yaml"), "--address-file", address_file},
         files_.File("log"),
         {},
         {}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    ASSERT_TRUE(testing::WaitFor([&] { return std::filesystem::exists(address_file); })) << server_->Log();
    const std::string address = ToString(*ReadFile(address_file, 1000));
    address_ = *rpc::ParseAddress(address.substr(0, address.find('\n')));
  }

  void Copy(const std::string& from, const std::string& to) const {
    std::filesystem::copy_file(files_.File(from), files_.File(to), std::filesystem::copy_options::overwrite_existing);
  }
  // A connection of its own.
  std::unique_ptr<v1::InferenceService::Stub> Connect(const Caller& caller) const {
    rpc::Endpoint endpoint{.address = address_, .security = {}};
    endpoint.security.kind = rpc::TransportSecurity::Kind::kMutualTls;
    endpoint.security.certificate_file = files_.File(caller.name + ".pem");
    endpoint.security.private_key_file = files_.File(caller.name + ".key");
    endpoint.security.ca_file = files_.File(caller.trusts + ".pem");
    const auto channel = rpc::CreateChannel(endpoint, {});
    EXPECT_TRUE(channel.ok()) << channel.status();
    return v1::InferenceService::NewStub(*channel);
  }
  static grpc::Status Call(v1::InferenceService::Stub& stub) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + seconds(30));
    v1::GetVersionResponse version;
    return stub.GetVersion(&context, {}, &version);
  }
  bool CanConnect(const Caller& caller) const { return Call(*Connect(caller)).ok(); }
  // What the log says of a SIGHUP, from then on.
  std::string Reload() {
    const size_t before = server_->Log().size();
    server_->Signal(SIGHUP);
    std::string said;
    EXPECT_TRUE(testing::WaitFor([&] {
      said = server_->Log().substr(before);
      return said.find(" reloaded") != std::string::npos || said.find(" reload_refused") != std::string::npos;
    })) << server_->Log();
    return said;
  }

  const testing::TempDir files_;
  std::unique_ptr<testing::Process> server_;
  rpc::Address address_;
};

TEST_F(CertificateReloadTest, NewConnectionsSeeWhatTheFilesHoldNowAndOldOnesLoseNoCall) {
  const Caller before = {"caller", "ca"};
  const auto old_connection = Connect(before);
  ASSERT_TRUE(Call(*old_connection).ok()) << server_->Log();
  ASSERT_FALSE(CanConnect({"caller", "new_ca"}));

  std::atomic<bool> stop = false;
  std::atomic<int> num_calls = 0;
  std::atomic<int> num_lost = 0;
  std::thread calls([&] {
    while (!stop) {
      num_lost += Call(*old_connection).ok() ? 0 : 1;
      ++num_calls;
    }
  });
  // Between the two files, and with one that is none, nothing changes.
  Copy("renewed.pem", "server.pem");
  EXPECT_THAT(Reload(), HasSubstr("server.key"));
  EXPECT_TRUE(CanConnect(before));
  std::ofstream(files_.File("server.pem")) << "not a certificate";
  EXPECT_THAT(Reload(), AllOf(HasSubstr("reload_refused"), HasSubstr("server.pem")));
  EXPECT_TRUE(CanConnect(before));
  // The same paths, another certificate.
  Copy("renewed.pem", "server.pem");
  Copy("renewed.key", "server.key");
  EXPECT_THAT(Reload(), HasSubstr(" reloaded"));
  EXPECT_TRUE(CanConnect({"caller", "new_ca"}));
  EXPECT_FALSE(CanConnect(before));
  // Another authority of callers.
  Copy("new_ca.pem", "clients.pem");
  EXPECT_THAT(Reload(), HasSubstr(" reloaded"));
  EXPECT_TRUE(CanConnect({"new_caller", "new_ca"}));
  EXPECT_FALSE(CanConnect({"caller", "new_ca"}));
  std::ofstream(files_.File("clients.pem")) << "nor this";
  EXPECT_THAT(Reload(), AllOf(HasSubstr("reload_refused"), HasSubstr("clients.pem")));
  EXPECT_TRUE(CanConnect({"new_caller", "new_ca"}));

  const int so_far = num_calls;
  EXPECT_TRUE(testing::WaitFor([&] { return num_calls > so_far + 2; })) << "the old connection goes on";
  stop = true;
  calls.join();
  EXPECT_EQ(num_lost, 0) << "of " << num_calls << "; " << server_->Log();
}

}  // namespace
}  // namespace shoji
