// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/partition/shares.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "lib/base/status_macros.h"

namespace shoji::partition {
namespace {

// Host names are compared without regard to case.
std::string Folded(std::string address) {
  std::transform(address.begin(), address.end(), address.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return address;
}

std::string Name(const AcceleratorIdentity& accelerator) { return "accelerator `" + accelerator.name + "`"; }

std::string NameWithOperator(const AcceleratorIdentity& accelerator) {
  return Name(accelerator) + " of operator `" + accelerator.operator_name + "`";
}

absl::Status CheckHolder(const AcceleratorIdentity& accelerator, const std::string& label) {
  const std::string start = label + ": `source: shares`: ";
  if (accelerator.operator_name.empty()) {
    return absl::InvalidArgumentError(start + Name(accelerator) +
                                      " has no operator, so nobody can tell whether it is another one's; name it "
                                      "with `operator:`");
  }
  if (accelerator.link != LinkSecurity::kMutualTls) {
    return absl::InvalidArgumentError(start + "the link to " + NameWithOperator(accelerator) +
                                      " could be read on the way: each link must be mutually authenticated TLS over "
                                      "TCP that ends inside the enclave; give it `tls:` with `ca`, `certificate` and "
                                      "`private_key` (Unix sockets and plaintext are refused)");
  }
  if (accelerator.public_key.empty()) {
    return absl::InvalidArgumentError(start + NameWithOperator(accelerator) +
                                      " has no pinned key, so anybody whom the CA certifies could answer for it; name "
                                      "its certificate or public key with `tls: {server_key: FILE}`");
  }
  return absl::OkStatus();
}

absl::Status CheckPair(const AcceleratorIdentity& a, const AcceleratorIdentity& b, const std::string& label) {
  if (a.operator_name == b.operator_name) {
    return absl::OkStatus();  // they never get two shares of one mask
  }
  const bool same_key = a.public_key == b.public_key;
  const bool same_address = !a.address.empty() && Folded(a.address) == Folded(b.address);
  if (!same_key && !same_address) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(label + ": `source: shares`: " + NameWithOperator(a) + " and " +
                                    NameWithOperator(b) + " have the same " + (same_key ? "public key" : "address") +
                                    ", so one party could see both shares; give them one `operator:`, or really two");
}

}  // namespace

absl::Status CheckShareHolders(const std::vector<AcceleratorIdentity>& accelerators, const std::string& label) {
  std::set<std::string> operators;
  for (const AcceleratorIdentity& accelerator : accelerators) {
    RETURN_IF_ERROR(CheckHolder(accelerator, label));
    operators.insert(accelerator.operator_name);
  }
  for (size_t i = 0; i < accelerators.size(); ++i) {
    for (size_t j = i + 1; j < accelerators.size(); ++j) {
      RETURN_IF_ERROR(CheckPair(accelerators[i], accelerators[j], label));
    }
  }
  if (operators.size() < 2) {
    return absl::InvalidArgumentError(
        label + ": `source: shares` needs accelerators of at least two operators that do not collude; all that may " +
        "serve it are " + NameWithOperator(accelerators.front()) + (accelerators.size() > 1 ? " and more of it" : "") +
        ". Add one of another operator, or use `source: pads`");
  }
  return absl::OkStatus();
}

}  // namespace shoji::partition
