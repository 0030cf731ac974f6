// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/model_file.h"

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "lib/base/regular_file.h"
#include "lib/base/status_macros.h"

namespace shoji::graph {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{2} << 30;

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) {
    return ".";
  }
  return slash == 0 ? "/" : path.substr(0, slash);
}

class ExternalFile final : public PositionedSource {
 public:
  explicit ExternalFile(RegularFile file) : file_(std::move(file)) {}

  const std::string& path() const override { return file_.path(); }
  uint64_t size() const override { return file_.size(); }
  absl::Status ReadAt(uint64_t offset, std::span<uint8_t> out) override { return file_.ReadAt(offset, out); }

 private:
  const RegularFile file_;
};

}  // namespace

absl::StatusOr<ImportedModel> ImportModelFile(const std::string& path, ImportOptions options) {
  ASSIGN_OR_RETURN(RegularFile file, RegularFile::Open(path));
  if (file.size() > kMaxFileBytes) {
    return absl::ResourceExhaustedError(path + " has " + std::to_string(file.size()) + " bytes, more than the " +
                                        std::to_string(kMaxFileBytes) + " that are accepted");
  }
  ASSIGN_OR_RETURN(const Folder folder, Folder::Open(FolderOf(path)));
  options.external_data = [&folder](const std::string& name) -> absl::StatusOr<std::unique_ptr<PositionedSource>> {
    ASSIGN_OR_RETURN(RegularFile below, folder.OpenBelow(name));
    return std::make_unique<ExternalFile>(std::move(below));
  };
  options.batch = ImportOptions::Batch::kOne;
  FileSource source(std::move(file));
  absl::StatusOr<ImportedModel> model = ImportModel(source, options);
  if (!model.ok()) {
    return absl::Status(model.status().code(), path + ": " + std::string(model.status().message()));
  }
  return model;
}

}  // namespace shoji::graph
