// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>

namespace shoji::rpc {

// Writes `<folder>/<name>.pem` and `<folder>/<name>.key` (mode 0600): a fresh P-256 certificate for localhost, signed
// by the one called `issuer` in the same folder, or by itself when `issuer` is empty (it may then sign others).
void MakeCertificate(const std::string& folder, const std::string& name, const std::string& issuer);

void WriteText(const std::string& path, const std::string& text);

// A new empty folder that is removed with the object.
class ScratchFolder {
 public:
  ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder();
  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace shoji::rpc
