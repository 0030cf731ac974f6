// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the commands that seal have in common.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/sealed_model/keys.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace shoji::tools {

// Adds --queries to `command`, with the bounds that it has in all of them.
CLI::Option& AddQueriesOption(CLI::App& command, uint64_t& queries);

// Whether both paths lead to one file, which need not be there yet.
bool IsSameFile(const std::string& a, const std::string& b);

// The owner's key, as --key and --new-key say. The file of a new one is on the disk before anything is sealed with it,
// and removed again unless what it seals was written: a crash between the two leaves a key for nothing, and never a
// sealed file without its key.
class OwnerKeyFile {
 public:
  // Reads the key at `key`, or where that is empty makes one at `new_key`. Errors: those of
  // lib/sealed_model/key_file.h.
  static absl::StatusOr<std::unique_ptr<OwnerKeyFile>> Take(const std::string& key, const std::string& new_key);
  OwnerKeyFile(const OwnerKeyFile&) = delete;
  OwnerKeyFile& operator=(const OwnerKeyFile&) = delete;
  ~OwnerKeyFile();

  const sealed_model::OwnerKey& key() const { return key_; }
  // What it seals is written.
  void Keep() { made_.clear(); }

 private:
  OwnerKeyFile(sealed_model::OwnerKey key, std::string made) : key_(std::move(key)), made_(std::move(made)) {}

  const sealed_model::OwnerKey key_;
  std::string made_;  // the file to remove; empty: none
};

}  // namespace shoji::tools
