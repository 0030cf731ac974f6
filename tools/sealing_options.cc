// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tools/sealing_options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <system_error>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/crypto/secret_bytes.h"
#include "lib/sealed_model/key_file.h"

namespace shoji::tools {

CLI::Option& AddQueriesOption(CLI::App& command, uint64_t& queries) {
  constexpr uint64_t kMaxQueries = UINT64_MAX >> 1U;
  return *command.add_option("--queries", queries, "how many queries each release of the key allows")
              ->check(CLI::Range(uint64_t{1}, kMaxQueries))
              ->type_name("N");
}

bool IsSameFile(const std::string& a, const std::string& b) {
  const auto place = [](const std::string& path) {
    std::error_code error;
    std::filesystem::path canonical = std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
    return error ? std::filesystem::path(path) : canonical;
  };
  std::error_code not_there;
  return std::filesystem::equivalent(a, b, not_there) || place(a) == place(b);
}

absl::StatusOr<std::unique_ptr<OwnerKeyFile>> OwnerKeyFile::Take(const std::string& key, const std::string& new_key) {
  RETURN_IF_ERROR(crypto::InitializeSecretMemory());
  ASSIGN_OR_RETURN(sealed_model::OwnerKey taken,
                   key.empty() ? sealed_model::MakeKeyFile(new_key) : sealed_model::ReadKeyFile(key));
  return std::unique_ptr<OwnerKeyFile>(new OwnerKeyFile(std::move(taken), key.empty() ? new_key : ""));
}

OwnerKeyFile::~OwnerKeyFile() {
  if (!made_.empty()) {
    ::unlink(made_.c_str());
  }
}

}  // namespace shoji::tools
