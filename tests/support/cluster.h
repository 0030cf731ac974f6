// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The product as it is deployed: accelerators, enclaves and a front end, each a process of its own, over real sockets,
// with a wiretap on every hop where a test asks for one.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/session.h"
#include "lib/base/clock.h"
#include "tests/support/process.h"
#include "tests/support/wiretap.h"

namespace shoji::testing {

struct ClusterModel {
  std::string name;
  std::string onnx;           // path
  std::string labels;         // path; empty: none
  std::string preprocessing;  // path; empty: none
  std::string policy;         // YAML text
  std::string ranges = {};    // path; empty: beside the model, or none
  std::string batching = {};  // YAML; empty: none
};

struct ClusterOptions {
  std::vector<ClusterModel> models;
  int num_accelerators = 1;  // called acc0, acc1, ...; operators op0, op1, ...
  int num_enclaves = 1;
  enum class Taps { kNone, kAll } taps = Taps::kNone;
  // How enclaves reach accelerators: Unix sockets, or mutual TLS on loopback with each accelerator's key pinned (no
  // taps on that hop then).
  enum class Links { kUnixSockets, kMutualTls } links = Links::kUnixSockets;
  std::chrono::milliseconds start_timeout = std::chrono::seconds(30);
  // kListening: for enclaves that serve nothing before an owner has released a key.
  enum class AwaitStart { kServing, kListening } await_start = AwaitStart::kServing;
  // By number: accelerators that are shoji-hostile-accelerator, and its arguments.
  std::map<size_t, std::vector<std::string>> hostile = {};
  // How enclaves attest, in YAML; simulated by the cluster's own key when it is empty.
  std::string evidence = {};
  std::vector<std::string> enclave_environment = {};  // NAME=value
  // YAML appended to the configuration of each process.
  std::string server_yaml;
  std::string enclave_yaml;
  std::string accelerator_yaml;
};

// Thread-compatible. Destroying it kills every process.
class Cluster {
 public:
  // Starts everything and waits until the front end says that it serves.
  static absl::StatusOr<std::unique_ptr<Cluster>> Start(ClusterOptions options);
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  ~Cluster() = default;

  Process& accelerator(size_t i) { return *accelerators_[i]; }
  Process& enclave(size_t i = 0) { return *enclaves_[i]; }
  Process& server() { return *server_; }
  void StartAccelerator(size_t i);
  void StartEnclave(size_t i = 0);
  void StartServer();  // on the same port as before

  // Replaces the policy of a model's file; the enclaves see it at their next start or reload.
  void WritePolicy(const std::string& model, const std::string& policy);
  // Sends SIGHUP to enclave `i` and waits until its log says what came of it: true when the reload was taken.
  bool Reload(size_t i = 0);

  // Whether the front end's health says SERVING, within `timeout`.
  bool WaitServing(std::chrono::milliseconds timeout = std::chrono::seconds(30));

  // Whether every enclave listens, within `timeout`.
  bool WaitListening(std::chrono::milliseconds timeout);

  // Where clients connect: the front end, or the tap before it.
  std::string address() const;
  Wiretap& client_tap() { return *client_tap_; }                    // client <-> front end
  Wiretap& enclave_tap(size_t i = 0) { return *enclave_taps_[i]; }  // front end <-> enclave
  Wiretap& accelerator_tap(size_t enclave, size_t accelerator) {    // enclave <-> accelerator
    return *accelerator_taps_[enclave * static_cast<size_t>(options_.num_accelerators) + accelerator];
  }

  // A session with `model` that accepts this cluster's simulated evidence, and by default opened results.
  absl::StatusOr<std::unique_ptr<client::Session>> OpenSession(
      const std::string& model = "",
      const client::Expectations& expectations = {.opened_result = client::OpenedResult::kAllow,
                                                  .model_digest = std::nullopt,
                                                  .plan_digest = std::nullopt},
      const std::string& token = "") const;
  std::string signer_public_key_file() const { return dir_.File("simulated.pub"); }
  const TempDir& dir() const { return dir_; }
  // All logs, for a failure's message.
  std::string Logs() const;

 private:
  explicit Cluster(ClusterOptions options) : options_(std::move(options)) {}
  absl::Status MakeKeys() const;
  absl::Status MakeCertificate(const std::string& name) const;
  absl::Status StartTaps();
  void WriteConfigs() const;
  void WriteAcceleratorConfig(size_t i, const std::string& address) const;
  std::string AcceleratorEntry(size_t enclave, size_t i) const;
  std::unique_ptr<Process> StartDaemon(const std::string& binary, const std::string& name,
                                       const std::vector<std::string>& arguments = {},
                                       const std::vector<std::string>& environment = {}) const;
  std::string SocketOf(const std::string& name) const { return "unix:" + dir_.File(name + ".sock"); }

  const ClusterOptions options_;
  const TempDir dir_;
  const RealClock clock_;
  std::string server_address_;
  std::vector<std::string> accelerator_addresses_;
  std::unique_ptr<Wiretap> client_tap_;
  std::vector<std::unique_ptr<Wiretap>> enclave_taps_;
  std::vector<std::unique_ptr<Wiretap>> accelerator_taps_;
  std::vector<std::unique_ptr<Process>> accelerators_;
  std::vector<std::unique_ptr<Process>> enclaves_;
  std::unique_ptr<Process> server_;
};

// The built-in model of models/ under `policy`.
ClusterModel BuiltInModel(const std::string& policy);
// The text of config/policies/<name>.yaml.
std::string ReadyPolicy(const std::string& name);
// The folder of the binaries under test.
std::string BinDir();

}  // namespace shoji::testing
