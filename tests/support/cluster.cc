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
  for (const ClusterModel& model : cluster->options_.models) {
    cluster->WritePolicy(model.name, model.policy);
  }
  for (size_t i = 0; i < static_cast<size_t>(cluster->options_.num_accelerators); ++i) {
    cluster->accelerators_.emplace_back();
    cluster->accelerator_addresses_.emplace_back();
    cluster->StartAccelerator(i);
  }
  cluster->WriteConfigs();
  for (size_t i = 0; i < static_cast<size_t>(cluster->options_.num_enclaves); ++i) {
    cluster->enclaves_.emplace_back();
    cluster->StartEnclave(i);
  }
  cluster->StartServer();
  const bool started = cluster->options_.await_start == ClusterOptions::AwaitStart::kListening
                           ? cluster->WaitListening(cluster->options_.start_timeout)
                           : cluster->WaitServing(cluster->options_.start_timeout);
  if (!started) {
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
  if (options_.links == ClusterOptions::Links::kMutualTls) {
    RETURN_IF_ERROR(MakeCertificate("ca"));
    RETURN_IF_ERROR(MakeCertificate("enclave"));
    for (size_t a = 0; a < static_cast<size_t>(options_.num_accelerators); ++a) {
      RETURN_IF_ERROR(MakeCertificate(Indexed("acc", a)));
    }
  }
  return absl::OkStatus();
}

// NAME.pem and NAME.key; "ca" is self-signed and signs the others.
absl::Status Cluster::MakeCertificate(const std::string& name) const {
  std::vector<std::string> argv = {"/usr/bin/openssl",
                                   "req",
                                   "-x509",
                                   "-newkey",
                                   "ec",
                                   "-pkeyopt",
                                   "ec_paramgen_curve:P-256",
                                   "-nodes",
                                   "-days",
                                   "2",
                                   "-subj",
                                   "/CN=" + name,
                                   "-keyout",
                                   dir_.File(name + ".key"),
                                   "-out",
                                   dir_.File(name + ".pem")};
  if (name != "ca") {
    argv.insert(argv.end(), {"-CA", dir_.File("ca.pem"), "-CAkey", dir_.File("ca.key"), "-addext",
                             "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"});
  }
  const CommandResult made = RunCommand(argv);
  return made.exit_code == 0 ? absl::OkStatus() : absl::InternalError("openssl cannot make a certificate: " + made.err);
}

absl::Status Cluster::StartTaps() {
  if (options_.taps == ClusterOptions::Taps::kNone) {
    return absl::OkStatus();
  }
  for (size_t e = 0; e < static_cast<size_t>(options_.num_enclaves); ++e) {
    const std::string enclave = Indexed("enclave", e);
    ASSIGN_OR_RETURN(enclave_taps_.emplace_back(), Wiretap::Start(SocketOf(enclave + "_tap"), SocketOf(enclave)));
    const bool local = options_.links == ClusterOptions::Links::kUnixSockets;
    for (size_t a = 0; local && a < static_cast<size_t>(options_.num_accelerators); ++a) {
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
            << "evidence: " << (options_.evidence.empty() ? "{kind: simulated, key: simulated.key}" : options_.evidence)
            << "\nmodels:\n";
    for (const ClusterModel& model : options_.models) {
      enclave << "  - name: " << model.name << "\n    file: " << model.onnx << "\n    policy: " << model.name
              << ".policy.yaml\n";
      if (!model.labels.empty()) {
        enclave << "    labels: " << model.labels << "\n";
      }
      if (!model.preprocessing.empty()) {
        enclave << "    preprocessing: " << model.preprocessing << "\n";
      }
      if (!model.ranges.empty()) {
        enclave << "    ranges: " << model.ranges << "\n";
      }
      if (!model.batching.empty()) {
        enclave << "    batching: " << model.batching << "\n";
      }
    }
    enclave << "accelerators:" << (options_.num_accelerators == 0 ? " []\n" : "\n");
    for (size_t a = 0; a < static_cast<size_t>(options_.num_accelerators); ++a) {
      enclave << AcceleratorEntry(e, a);
    }
    WriteText(dir_.File(name + ".yaml"), enclave.str() + options_.enclave_yaml);
  }
  WriteText(dir_.File("server.yaml"), server.str() + options_.server_yaml);
}

std::string Cluster::AcceleratorEntry(size_t enclave, size_t i) const {
  const std::string accelerator = Indexed("acc", i);
  const std::string entry = "  - {name: " + accelerator + ", operator: " + Indexed("op", i) + ", address: \"";
  if (options_.links == ClusterOptions::Links::kMutualTls) {
    return entry + accelerator_addresses_[i] +
           "\", tls: {ca: ca.pem, certificate: enclave.pem, private_key: enclave.key, server_key: " + accelerator +
           ".pem}}\n";
  }
  const bool tapped = options_.taps == ClusterOptions::Taps::kAll;
  return entry + SocketOf(tapped ? accelerator + "_" + Indexed("enclave", enclave) + "_tap" : accelerator) + "\"}\n";
}

void Cluster::WriteAcceleratorConfig(size_t i, const std::string& address) const {
  const std::string name = Indexed("acc", i);
  const std::string tls =
      options_.links == ClusterOptions::Links::kMutualTls
          ? ", tls: {certificate: " + name + ".pem, private_key: " + name + ".key, client_ca: ca.pem}"
          : "";
  WriteText(dir_.File(name + ".yaml"),
            "listen: {address: \"" + address + "\"" + tls + "}\n" + options_.accelerator_yaml);
}

std::unique_ptr<Process> Cluster::StartDaemon(const std::string& binary, const std::string& name,
                                              const std::vector<std::string>& arguments,
                                              const std::vector<std::string>& environment) const {
  std::vector<std::string> argv = {BinDir() + "/" + binary, "--config", dir_.File(name + ".yaml"), "--address-file",
                                   dir_.File(name + ".address")};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  absl::StatusOr<std::unique_ptr<Process>> process = Process::Start({argv, dir_.File(name + ".log"), environment, {}});
  SHOJI_CHECK(process.ok());
  return *std::move(process);
}

void Cluster::StartAccelerator(size_t i) {
  const std::string name = Indexed("acc", i);
  accelerators_[i] = nullptr;
  const bool tls = options_.links == ClusterOptions::Links::kMutualTls;
  std::string& address = accelerator_addresses_[i];
  WriteAcceleratorConfig(i, !tls ? SocketOf(name) : address.empty() ? "127.0.0.1:0" : address);
  const auto hostile = options_.hostile.find(i);
  accelerators_[i] = hostile == options_.hostile.end()
                         ? StartDaemon("shoji-accelerator", name)
                         : StartDaemon("shoji-hostile-accelerator", name, hostile->second);
  // Later starts listen on the port of the first one, where the enclaves look for it.
  if (tls && address.empty() && WaitFor([&] { return !ReadText(dir_.File(name + ".address")).empty(); })) {
    address = ReadText(dir_.File(name + ".address"));
    address.erase(address.find_last_not_of('\n') + 1);
  }
}

void Cluster::StartEnclave(size_t i) {
  enclaves_[i] = nullptr;
  enclaves_[i] = StartDaemon("shoji-enclave", Indexed("enclave", i), {}, options_.enclave_environment);
}

void Cluster::StartServer() {
  server_ = nullptr;
  if (!server_address_.empty()) {
    const std::string config = ReadText(dir_.File("server.yaml"));
    const std::string any_port = "127.0.0.1:0";
    const size_t at = config.find(any_port);
    // Of `listen`, which comes first; later starts find it replaced, and the port for metrics, which stays any.
    if (at != std::string::npos && config.find(server_address_) == std::string::npos) {
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

bool Cluster::WaitListening(std::chrono::milliseconds timeout) {
  return WaitFor(
      [&] {
        bool all = !server_address_.empty();
        for (size_t e = 0; e < enclaves_.size(); ++e) {
          all = all && !ReadText(dir_.File(Indexed("enclave", e) + ".address")).empty();
        }
        return all;
      },
      timeout);
}

std::string Cluster::address() const { return client_tap_ != nullptr ? client_tap_->address() : server_address_; }

absl::StatusOr<std::unique_ptr<client::Session>> Cluster::OpenSession(const std::string& model,
                                                                      const client::Expectations& expectations,
                                                                      const std::string& token) const {
  ASSIGN_OR_RETURN(const Bytes pem, ReadFile(signer_public_key_file(), 4096));
  ASSIGN_OR_RETURN(const attest::Ed25519PublicKey key, attest::ParseEd25519PublicKeyPem(pem));
  client::Session::Options options;
  options.model = model;
  options.appraisal.simulated = client::SimulatedEvidence::kAllow;
  options.appraisal.simulated_signers = {key};
  options.expectations = expectations;
  options.warn = [](const std::string&) {};
  client::ServerSecurity security;
  security.plaintext = client::Plaintext::kAllow;
  client::GrpcTransportOptions transport_options;
  transport_options.token = token;
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
