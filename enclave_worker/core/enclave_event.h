// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the core tells the shell's log: codes, names out of the configuration and the model file, and counts. Nothing in
// it depends on an input.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace shoji::enclave {

enum class EnclaveEventKind : uint8_t {
  kCheckFailed,    // an accelerator's answer was wrong: the layer is recomputed, the accelerator quarantined
  kOffloadFailed,  // no usable answer (lost, late, malformed, refused): the layer is computed in the enclave
  kPoolEmpty,      // no pad was ready: what follows is the policy's `on_empty`
};
// "check_failed", ...
const char* NameOf(EnclaveEventKind kind);

struct EnclaveEvent {
  EnclaveEventKind kind = EnclaveEventKind::kCheckFailed;
  std::string model;
  std::string layer;        // empty for kPoolEmpty
  std::string accelerator;  // the liar, or empty
  uint64_t count = 0;       // of this kind since the model was loaded, this one included
};

// Called from any thread with no lock held; must not block. May be empty.
using EventSink = std::function<void(const EnclaveEvent&)>;

}  // namespace shoji::enclave
