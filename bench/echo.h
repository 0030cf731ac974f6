// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A gRPC echo through as many processes as a request of the product goes through, over the same kinds of sockets: the
// peer that the product's own costs are measured beside (echo_peer.cc).
#pragma once

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/status/statusor.h"
#include "lib/base/status_macros.h"
#include "shoji/v1/inference.grpc.pb.h"
#include "tests/support/cluster.h"

namespace shoji::bench {

struct EchoSizes {
  size_t request = 0;  // ciphertext
  size_t answer = 0;   // ciphertext
  size_t feature = 0;  // to the third hop; 0: there is none
  size_t output = 0;   // and back
};

// The echo's processes and the client's end.
class Echo {
 public:
  static absl::StatusOr<std::unique_ptr<Echo>> Start(const EchoSizes& sizes) {
    auto out = std::make_unique<Echo>();
    std::vector<std::string> answer = {"--role", "answer", "--bytes", std::to_string(sizes.answer)};
    if (sizes.feature != 0) {
      ASSIGN_OR_RETURN(const std::string third,
                       out->StartPeer("stream", {"--role", "stream", "--bytes", std::to_string(sizes.output)}));
      answer.insert(answer.end(), {"--feature-bytes", std::to_string(sizes.feature), "--forward", third});
    }
    ASSIGN_OR_RETURN(const std::string second, out->StartPeer("answer", answer));
    ASSIGN_OR_RETURN(const std::string first, out->StartPeer("relay", {"--role", "relay", "--forward", second}));
    out->address_ = first;
    out->stub_ = v1::InferenceService::NewStub(grpc::CreateChannel(first, grpc::InsecureChannelCredentials()));
    out->request_.set_key_id(std::string(16, '\0'));
    out->request_.set_session_id(std::string(16, '\0'));
    out->request_.set_sequence(1000);
    out->request_.set_model("cifar10_resnet");
    out->request_.set_ciphertext(std::string(sizes.request, '\0'));
    out->sizes_ = sizes;
    return out;
  }

  const v1::InferRequest& request() const { return request_; }
  const EchoSizes& sizes() const { return sizes_; }
  // Of the first process.
  const std::string& address() const { return address_; }

  absl::Status Call() {
    grpc::ClientContext context;
    v1::InferResponse response;
    const grpc::Status status = stub_->Infer(&context, request_, &response);
    if (!status.ok() || response.ciphertext().size() != sizes_.answer) {
      return absl::InternalError("the echo failed: " + status.error_message());
    }
    return absl::OkStatus();
  }

 private:
  // Returns its address.
  absl::StatusOr<std::string> StartPeer(const std::string& name, std::vector<std::string> flags) {
    const std::string listen = name == "relay" ? "127.0.0.1:0" : "unix:" + dir_.File(name + ".sock");
    const std::string address_file = dir_.File(name + ".address");
    std::vector<std::string> argv = {testing::BinDir() + "/shoji-echo-peer", "--listen", listen, "--address-file",
                                     address_file};
    argv.insert(argv.end(), flags.begin(), flags.end());
    ASSIGN_OR_RETURN(peers_.emplace_back(), testing::Process::Start({argv, dir_.File(name + ".log"), {}, {}}));
    std::string address;
    const bool serves = testing::WaitFor([&] {
      std::ifstream file(address_file);
      return static_cast<bool>(std::getline(file, address));
    });
    if (!serves) {
      return absl::UnavailableError("the echo's " + name + " does not start: " + peers_.back()->Log());
    }
    return address;
  }

  const testing::TempDir dir_;
  std::vector<std::unique_ptr<testing::Process>> peers_;
  std::unique_ptr<v1::InferenceService::Stub> stub_;
  v1::InferRequest request_;
  EchoSizes sizes_;
  std::string address_;
};

}  // namespace shoji::bench
