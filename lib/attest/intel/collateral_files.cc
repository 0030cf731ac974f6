// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/intel/collateral_files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "lib/attest/hex.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"

namespace shoji::attest::intel {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSignatureBytes = 64;
constexpr size_t kMaxEntries = 1000;

absl::Status Annotate(const absl::Status& status, const fs::path& path) {
  return {status.code(), path.string() + ": " + std::string(status.message())};
}

bool Exists(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

absl::StatusOr<Bytes> Read(const fs::path& path) { return ReadFile(path.string(), kMaxCollateralBytes); }

absl::StatusOr<Bytes> ReadSignature(const fs::path& path) {
  ASSIGN_OR_RETURN(Bytes bytes, Read(path));
  if (bytes.size() == kSignatureBytes) {
    return bytes;
  }
  while (!bytes.empty() && (bytes.back() == '\n' || bytes.back() == '\r')) {
    bytes.pop_back();
  }
  absl::StatusOr<Bytes> out = DecodeHex(ToString(bytes), kSignatureBytes);
  return out.ok() ? out : Annotate(absl::InvalidArgumentError("expected a signature of 64 bytes"), path);
}

absl::StatusOr<SignedText> ReadSigned(const fs::path& folder, const std::string& name) {
  const fs::path path = folder / (name + ".json");
  const fs::path signature = folder / (name + ".sig");
  SignedText out;
  ASSIGN_OR_RETURN(out.text, Read(path));
  if (Exists(signature)) {
    ASSIGN_OR_RETURN(out.signature, ReadSignature(signature));
  } else {
    absl::StatusOr<SignedText> body = ParsePcsBody(out.text);
    if (!body.ok()) {
      return Annotate(body.status(), path);
    }
    out = *std::move(body);
  }
  ASSIGN_OR_RETURN(out.issuer_chain, Read(folder / (name + "_issuer_chain.pem")));
  return out;
}

absl::StatusOr<Bytes> ReadCrl(const fs::path& path) {
  ASSIGN_OR_RETURN(const Bytes bytes, Read(path));
  absl::StatusOr<Bytes> der = RevocationListToDer(bytes);
  return der.ok() ? std::move(der) : Annotate(der.status(), path);
}

absl::StatusOr<Collateral> ReadFolder(const fs::path& folder) {
  Collateral out;
  out.name = folder.string();
  ASSIGN_OR_RETURN(out.tcb_info, ReadSigned(folder, "tcb_info"));
  ASSIGN_OR_RETURN(out.qe_identity, ReadSigned(folder, "qe_identity"));
  ASSIGN_OR_RETURN(out.root_ca_crl, ReadCrl(folder / "root_ca_crl.der"));
  ASSIGN_OR_RETURN(out.pck_crl, ReadCrl(folder / "pck_crl.der"));
  if (const fs::path chain = folder / "pck_crl_issuer_chain.pem"; Exists(chain)) {
    ASSIGN_OR_RETURN(out.pck_crl_issuer_chain, Read(chain));
  }
  return out;
}

absl::StatusOr<Collateral> ReadJson(const fs::path& path) {
  ASSIGN_OR_RETURN(const Bytes bytes, Read(path));
  absl::StatusOr<Collateral> out = ParseCollateralJson(bytes, path.string());
  return out.ok() ? std::move(out) : Annotate(out.status(), path);
}

// What of a folder's entries may hold collateral, in the order of their names.
absl::StatusOr<std::vector<fs::path>> EntriesOf(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const bool is_folder = it->is_directory(error) && Exists(it->path() / "tcb_info.json");
    if (is_folder || it->path().extension() == ".json") {
      out.push_back(it->path());
    }
    if (out.size() > kMaxEntries) {
      return Annotate(absl::ResourceExhaustedError("more than " + std::to_string(kMaxEntries) + " entries"), folder);
    }
  }
  if (error) {
    return Annotate(absl::NotFoundError(error.message()), folder);
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

absl::StatusOr<std::vector<Collateral>> LoadCollateral(const std::string& path) {
  std::error_code error;
  std::vector<fs::path> entries = {path};
  if (fs::is_directory(path, error) && !Exists(fs::path(path) / "tcb_info.json")) {
    ASSIGN_OR_RETURN(entries, EntriesOf(path));
  }
  std::vector<Collateral> out;
  for (const fs::path& entry : entries) {
    ASSIGN_OR_RETURN(Collateral read, fs::is_directory(entry, error) ? ReadFolder(entry) : ReadJson(entry));
    out.push_back(std::move(read));
  }
  if (out.empty()) {
    return absl::NotFoundError(path + " holds no collateral: neither *.json nor folders with tcb_info.json");
  }
  return out;
}

}  // namespace shoji::attest::intel
