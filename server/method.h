// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shoji::server {

// What the front end does with a call.
enum class Handling : uint8_t {
  kForwardByKey,    // to the enclave that holds the request's key
  kForwardByModel,  // to an enclave that serves the request's model, or holds the sealed model it names
  kVersion,
  kModels,
  kHealthCheck,
  kHealthWatch,
};

// A public method.
struct Method {
  std::string_view path;
  std::string_view name;  // in the log
  Handling handling = Handling::kVersion;
  std::string enclave_path = {};  // kForward...: the enclave's method of the same messages

  bool needs_token() const { return handling != Handling::kHealthCheck && handling != Handling::kHealthWatch; }
};

// The method at `path`, nullptr when there is none.
const Method* FindMethod(std::string_view path);
// The names of all methods.
std::vector<std::string_view> MethodNames();

}  // namespace shoji::server
