// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/cluster.h"

#include <csignal>
#include <fstream>
#include <sstream>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "client/grpc_transport.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "lib/attest/simulated/simulated_verifier.h"
#include "lib/base/check.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"

namespace shoji::testing {
namespace {

void WriteText(const std::string& path, const std::string& text) {
  SHOJI_CHECK(WriteFileAtomically(path, AsBytes(text)).ok());
}

std::string ReadText(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

size_t CountOf(const std::string& text, const std::string& word) {
  size_t count = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    ++count;
  }
  return count;
}

std::string Indexed(const char* name, size_t i) { return name + std::to_string(i); }

}  // namespace

std::string BinDir() { return std::string(SHOJI_BINARY_DIR) + "/bin"; }

ClusterModel BuiltInModel(const std::string& policy) {
  const std::string base = std::string(SHOJI_SOURCE_DIR) + "/models/cifar10_resnet";
  return {"cifar10_resnet", base + ".onnx", base + ".labels.txt", base + ".preprocessing.yaml", policy};
}

std::string ReadyPolicy(const std::string& name) {
  return ReadText(std::string(SHOJI_SOURCE_DIR) + "/config/policies/" + name + ".yaml");
}

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Start(ClusterOptions options) {
  std::unique_ptr<Cluster> cluster(new Cluster(std::move(options)));
  RETURN_IF_ERROR(cluster->MakeKeys());
  RETURN_IF_ERROR(cluster->StartTaps());
  cluster->WriteConfigs();
  for (const ClusterModel& model : cluster->options_.models) {
    cluster->WritePolicy(model.name, model.policy);
  }
  for (size_t i = 0; i < static_cast<size_t>(cluster->options_.num_accelerators); ++i) {
    cluster->accelerators_.emplace_back();
    cluster->StartAccelerator(i);
  }
  for (size_t i = 0; i < static_cast<size_t>(cluster->options_.num_enclaves); ++i) {
    cluster->enclaves_.emplace_back();
    cluster->StartEnclave(i);
  }
  cluster->StartServer();
  if (!cluster->WaitServing()) {
    return absl::UnavailableError("the cluster does not serve:\n" + cluster->Logs());
  }
  if (cluster->options_.taps == ClusterOptions::Taps::kAll) {
    ASSIGN_OR_RETURN(cluster->client_tap_, Wiretap::Start("127.0.0.1:0", cluster->server_address_));
  }
  return cluster;
}

absl::Status Cluster::MakeKeys() const {
  const CommandResult made =
      RunCommand({"/usr/bin/openssl", "genpkey", "-algorithm", "ed25519", "-out", dir_.File("simulated.key")});
  const CommandResult published = RunCommand(
      {"/usr/bin/openssl", "pkey", "-in", dir_.File("simulated.key"), "-pubout", "-out", signer_public_key_file()});
  if (made.exit_code != 0 || published.exit_code != 0) {
    return absl::InternalError("openssl cannot make a key: " + made.err + published.err);
  }
  return absl::OkStatus();
}

absl::Status Cluster::StartTaps() {
  if (options_.taps == ClusterOptions::Taps::kNone) {
    return absl::OkStatus();
  }
  for (size_t e = 0; e < static_cast<size_t>(options_.num_enclaves); ++e) {
    const std::string enclave = Indexed("enclave", e);
    ASSIGN_OR_RETURN(enclave_taps_.emplace_back(), Wiretap::Start(SocketOf(enclave + "_tap"), SocketOf(enclave)));
    for (size_t a = 0; a < static_cast<size_t>(options_.num_accelerators); ++a) {
      const std::string accelerator = Indexed("acc", a);
      ASSIGN_OR_RETURN(accelerator_taps_.emplace_back(),
                       Wiretap::Start(SocketOf(accelerator + "_" + enclave + "_tap"), SocketOf(accelerator)));
    }
  }
  return absl::OkStatus();
}

void Cluster::WriteConfigs() const {
  const bool tapped = options_.taps == ClusterOptions::Taps::kAll;
  std::ostringstream server;
  server << "listen: {address: \"127.0.0.1:0\"}\nenclaves:\n";
  for (size_t e = 0; e < static_cast<size_t>(options_.num_enclaves); ++e) {
    const std::string name = Indexed("enclave", e);
    server << "  - {name: " << name << ", address: \"" << SocketOf(tapped ? name + "_tap" : name) << "\"}\n";
    std::ostringstream enclave;
    enclave << "listen: {address: \"" << SocketOf(name) << "\"}\n"
            << "evidence: {kind: simulated, key: simulated.key}\nmodels:\n";
    for (const ClusterModel& model : options_.models) {
      enclave << "  - name: " << model.name << "\n    file: " << model.onnx << "\n    policy: " << model.name
              << ".policy.yaml\n";
      if (!model.labels.empty()) {
        enclave << "    labels: " << model.labels << "\n";
      }
      if (!model.preprocessing.empty()) {
        enclave << "    preprocessing: " << model.preprocessing << "\n";
      }
    }
    enclave << "accelerators:" << (options_.num_accelerators == 0 ? " []\n" : "\n");
    for (size_t a = 0; a < static_cast<size_t>(options_.num_accelerators); ++a) {
      const std::string accelerator = Indexed("acc", a);
      const std::string socket = SocketOf(tapped ? accelerator + "_" + name + "_tap" : accelerator);
      enclave << "  - {name: " << accelerator << ", operator: " << Indexed("op", a) << ", address: \"" << socket
              << "\"}\n";
    }
    WriteText(dir_.File(name + ".yaml"), enclave.str() + options_.enclave_yaml);
  }
  WriteText(dir_.File("server.yaml"), server.str() + options_.server_yaml);
  for (size_t a = 0; a < static_cast<size_t>(options_.num_accelerators); ++a) {
    const std::string name = Indexed("acc", a);
    WriteText(dir_.File(name + ".yaml"), "listen: {address: \"" + SocketOf(name) + "\"}\n" + options_.accelerator_yaml);
  }
}

std::unique_ptr<Process> Cluster::StartDaemon(const std::string& binary, const std::string& name) const {
  absl::StatusOr<std::unique_ptr<Process>> process = Process::Start(
      {{BinDir() + "/" + binary, "--config", dir_.File(name + ".yaml"), "--address-file", dir_.File(name + ".address")},
       dir_.File(name + ".log"),
       {},
       {}});
  SHOJI_CHECK(process.ok());
  return *std::move(process);
}

void Cluster::StartAccelerator(size_t i) {
  accelerators_[i] = nullptr;
  accelerators_[i] = StartDaemon("shoji-accelerator", Indexed("acc", i));
}

void Cluster::StartEnclave(size_t i) {
  enclaves_[i] = nullptr;
  enclaves_[i] = StartDaemon("shoji-enclave", Indexed("enclave", i));
}

void Cluster::StartServer() {
  server_ = nullptr;
  if (!server_address_.empty()) {
    const std::string config = ReadText(dir_.File("server.yaml"));
    const std::string any_port = "127.0.0.1:0";
    const size_t at = config.find(any_port);
    if (at != std::string::npos) {
      WriteText(dir_.File("server.yaml"), config.substr(0, at) + server_address_ + config.substr(at + any_port.size()));
    }
  }
  server_ = StartDaemon("shoji-server", "server");
  if (server_address_.empty() && WaitFor([&] { return !ReadText(dir_.File("server.address")).empty(); })) {
    server_address_ = ReadText(dir_.File("server.address"));
    server_address_.erase(server_address_.find_last_not_of('\n') + 1);
  }
}

void Cluster::WritePolicy(const std::string& model, const std::string& policy) {
  WriteText(dir_.File(model + ".policy.yaml"), policy);
}

bool Cluster::Reload(size_t i) {
  const std::string before = enclave(i).Log();
  enclave(i).Signal(SIGHUP);
  bool taken = false;
  const bool answered = WaitFor([&] {
    const std::string log = enclave(i).Log();
    taken = CountOf(log, " reloaded ") > CountOf(before, " reloaded ");
    return taken || CountOf(log, "reload_refused") > CountOf(before, "reload_refused");
  });
  return answered && taken;
}

bool Cluster::WaitServing(std::chrono::milliseconds timeout) {
  const std::unique_ptr<grpc::health::v1::Health::Stub> stub =
      grpc::health::v1::Health::NewStub(grpc::CreateChannel(server_address_, grpc::InsecureChannelCredentials()));
  return WaitFor(
      [&] {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
        grpc::health::v1::HealthCheckResponse response;
        return stub->Check(&context, {}, &response).ok() &&
               response.status() == grpc::health::v1::HealthCheckResponse::SERVING;
      },
      timeout);
}

std::string Cluster::address() const { return client_tap_ != nullptr ? client_tap_->address() : server_address_; }

absl::StatusOr<std::unique_ptr<client::Session>> Cluster::OpenSession(const std::string& model) const {
  ASSIGN_OR_RETURN(const Bytes pem, ReadFile(signer_public_key_file(), 4096));
  ASSIGN_OR_RETURN(const attest::Ed25519PublicKey key, attest::ParseEd25519PublicKeyPem(pem));
  client::Session::Options options;
  options.model = model;
  options.appraisal.simulated = client::SimulatedEvidence::kAllow;
  options.appraisal.simulated_signers = {key};
  options.expectations.opened_result = client::OpenedResult::kAllow;
  options.warn = [](const std::string&) {};
  client::ServerSecurity security;
  security.plaintext = client::Plaintext::kAllow;
  client::GrpcTransportOptions transport_options;
  ASSIGN_OR_RETURN(transport_options.server, client::PublicEndpoint(address(), security));
  ASSIGN_OR_RETURN(std::unique_ptr<client::Transport> transport,
                   client::CreateGrpcTransport(transport_options, clock_));
  return client::Session::Create(std::move(options), std::move(transport));
}

std::string Cluster::Logs() const {
  std::string out;
  const auto add = [&](const Process* process) { out += process == nullptr ? "" : process->Log() + "\n"; };
  for (const auto& process : accelerators_) {
    add(process.get());
  }
  for (const auto& process : enclaves_) {
    add(process.get());
  }
  add(server_.get());
  return out;
}

}  // namespace shoji::testing
