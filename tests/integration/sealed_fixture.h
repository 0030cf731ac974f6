// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A model's owner and a cluster that serves it: seals the built-in model with the real tool, and releases its key with
// the real client.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/base/bytes.h"
#include "tests/support/cluster.h"
#include "tests/support/process.h"

namespace shoji::testing {

class SealedFixture : public ::testing::Test {
 protected:
  static constexpr char kSealed[] = "secret";         // the name by which the sealed model is served
  static constexpr char kClear[] = "cifar10_resnet";  // the same network, not sealed

  // Seals models/cifar10_resnet.onnx with `arguments` (nodes, --results, --queries) under the owner's key.
  void Seal(const std::vector<std::string>& arguments);
  void SealModel(const std::string& model, const std::vector<std::string>& arguments);
  std::string sealed_file() const { return owner_.File("secret.sealed"); }
  std::string key_file() const { return owner_.File("owner.key"); }

  enum class Beside { kClearModel, kNothing };
  // Starts a cluster that serves the sealed model under `policy`, and beside it the clear one, all in the enclave.
  void Start(const std::string& policy, ClusterOptions options = {}, Beside beside = Beside::kClearModel);
  // Runs `shoji release` with `more` arguments; by default with everything it needs.
  CommandResult Release(const std::vector<std::string>& more = {}) const;
  CommandResult ReleaseWith(const std::string& sealed, const std::string& key,
                            const std::vector<std::string>& more) const;
  std::vector<std::string> AcceptSimulated() const;

  // The scores of a fixed picture, by a session of its own.
  absl::StatusOr<std::vector<float>> Classify(const std::string& model) const;
  static image::Image Picture();

  const TempDir owner_;
  std::unique_ptr<Cluster> cluster_;
};

}  // namespace shoji::testing
