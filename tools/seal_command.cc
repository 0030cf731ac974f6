// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tools/seal_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/bytes.h"
#include "lib/base/file.h"
#include "lib/base/regular_file.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/secret_bytes.h"
#include "lib/digest/sha2.h"
#include "lib/ranges_file/ranges_file.h"
#include "lib/sealed_model/key_file.h"
#include "lib/sealed_model/open.h"
#include "lib/sealed_model/seal.h"
#include "tools/onnx_outline.h"
#include "tools/print_report.h"
#include "tools/sealing_options.h"

namespace shoji::tools {
namespace {

using sealed_model::ConfidentialNodes;

struct SealOptions {
  std::string model;
  std::string key;
  std::string new_key;
  std::string from;
  std::string after;
  std::vector<std::string> nodes;
  uint64_t layers = 0;  // 0: not given
  std::string results;
  uint64_t queries = 0;
  std::string ranges;  // empty: beside the model, where there are any
  std::string label;
  std::string out;
};

struct InspectOptions {
  std::string file;
  std::string key;
};

// The nodes that the options name, which the model must have.
absl::StatusOr<ConfidentialNodes> ChooseNodes(const SealOptions& options, const OnnxOutline& outline) {
  using Extent = ConfidentialNodes::Extent;
  ConfidentialNodes nodes;
  if (!options.from.empty()) {
    nodes = {Extent::kFrom, {options.from}};
  } else if (!options.after.empty()) {
    nodes = {Extent::kAfter, {options.after}};
  } else if (!options.nodes.empty()) {
    nodes = {Extent::kListed, options.nodes};
  } else if (options.layers > 0) {
    ASSIGN_OR_RETURN(std::string first, FirstOfLastLayers(outline, options.layers));
    nodes = {Extent::kFrom, {std::move(first)}};
  }
  for (const std::string& name : nodes.nodes) {
    RETURN_IF_ERROR(CheckNode(outline, name));
  }
  if (nodes.extent == Extent::kAfter && outline.nodes.back().name == options.after) {
    return absl::InvalidArgumentError("there is no node after `" + options.after + "`: nothing would be confidential");
  }
  return nodes;
}

absl::Status InFile(const absl::Status& status, const std::string& path) {
  return {status.code(), path + ": " + std::string(status.message())};
}

absl::StatusOr<sealed_model::Terms> MakeTerms(const SealOptions& options, const OnnxOutline& outline) {
  if (outline.nodes.empty()) {
    return absl::InvalidArgumentError(options.model + ": has no nodes");
  }
  sealed_model::Terms terms;
  terms.label = options.label.empty() ? std::filesystem::path(options.model).stem().string() : options.label;
  absl::StatusOr<ConfidentialNodes> nodes = ChooseNodes(options, outline);
  if (!nodes.ok()) {
    return InFile(nodes.status(), options.model);
  }
  terms.confidential = *std::move(nodes);
  ASSIGN_OR_RETURN(terms.results, attest::ResultRule::Parse(options.results));
  terms.queries_per_release = options.queries;
  return terms;
}

std::string RangesOf(const SealOptions& options) {
  if (!options.ranges.empty()) {
    return options.ranges;
  }
  const std::string beside = ranges_file::RangesPathOf(options.model);
  return ::access(beside.c_str(), R_OK) == 0 ? beside : "";
}

// Digests bytes [begin, end) of `file`.
absl::Status DigestPiece(const RegularFile& file, uint64_t begin, uint64_t end, digest::Sha256Stream& digest) {
  constexpr uint64_t kPiece = uint64_t{1} << 20;
  Bytes buffer(static_cast<size_t>(std::min(kPiece, end - begin)));
  for (uint64_t at = begin; at < end;) {
    const std::span<uint8_t> piece =
        std::span(buffer).first(static_cast<size_t>(std::min<uint64_t>(buffer.size(), end - at)));
    RETURN_IF_ERROR(file.ReadAt(at, piece));
    digest.Update(piece);
    at += piece.size();
  }
  return absl::OkStatus();
}

// The files that a model consists of, each open.
struct ModelFiles {
  RegularFile onnx;
  std::vector<std::string> names;  // of the external ones, each once
  std::vector<RegularFile> external;
};

absl::StatusOr<ModelFiles> OpenModel(const std::string& path, const OnnxOutline& outline) {
  ASSIGN_OR_RETURN(RegularFile onnx, RegularFile::Open(path));
  ModelFiles files = {std::move(onnx), {}, {}};
  const std::filesystem::path folder_path = std::filesystem::path(path).parent_path();
  ASSIGN_OR_RETURN(const Folder folder, Folder::Open(folder_path.empty() ? "." : folder_path.string()));
  for (const ExternalTensor& tensor : outline.external) {
    if (std::find(files.names.begin(), files.names.end(), tensor.file) != files.names.end()) {
      continue;
    }
    absl::StatusOr<RegularFile> file = folder.OpenBelow(tensor.file);
    if (!file.ok()) {
      return InFile(file.status(), path + ": external data");
    }
    files.names.push_back(tensor.file);
    files.external.push_back(*std::move(file));
    if (files.names.size() > sealed_model::kMaxExternalParts) {
      return absl::InvalidArgumentError(path + ": keeps tensors in more than " +
                                        std::to_string(sealed_model::kMaxExternalParts) +
                                        " other files; `onnx.save` with all_tensors_to_one_file=True writes one");
    }
  }
  return files;
}

// As docs/protocol.md, section 2, defines it.
absl::StatusOr<digest::Sha256Digest> DigestOf(const ModelFiles& files, const OnnxOutline& outline) {
  digest::Sha256Stream of_file;
  RETURN_IF_ERROR(DigestPiece(files.onnx, 0, files.onnx.size(), of_file));
  const digest::Sha256Digest onnx = of_file.Finish();
  if (outline.external.empty()) {
    return onnx;
  }
  digest::Sha256Stream digest;
  digest.Update(AsBytes("shoji model with external data v1"));
  digest.Update(onnx);
  for (const ExternalTensor& tensor : outline.external) {
    const auto at = std::find(files.names.begin(), files.names.end(), tensor.file) - files.names.begin();
    const RegularFile& file = files.external[static_cast<size_t>(at)];
    const uint64_t rest = file.size() - std::min(tensor.offset, file.size());
    const uint64_t length = tensor.length.value_or(rest);
    if (length > rest) {
      return absl::InvalidArgumentError(file.path() + " is shorter than a tensor in it");
    }
    Bytes prefix;
    AppendUint64(prefix, length);
    digest.Update(prefix);
    RETURN_IF_ERROR(DigestPiece(file, tensor.offset, tensor.offset + length, digest));
  }
  return digest.Finish();
}

// That the ranges at `path` were taken from the model: once they are sealed nobody can put them right.
absl::Status CheckRanges(const std::string& path, const ModelFiles& files, const OnnxOutline& outline) {
  ASSIGN_OR_RETURN(const ranges_file::RangesFile ranges, ranges_file::LoadRanges(path));
  ASSIGN_OR_RETURN(const digest::Sha256Digest digest, DigestOf(files, outline));
  if (ranges.model != digest) {
    return absl::FailedPreconditionError(path + ": the ranges are of another model than " + files.onnx.path() +
                                         "; calibrate it anew, or name the right file with --ranges");
  }
  return absl::OkStatus();
}

absl::Status CheckOut(const SealOptions& options, const ModelFiles& files) {
  const std::string& out = options.out;
  if (IsSameFile(files.onnx.path(), out)) {
    return absl::InvalidArgumentError("--out is the model itself");
  }
  if (IsSameFile(options.key.empty() ? options.new_key : options.key, out)) {
    return absl::InvalidArgumentError("--out is the owner's key");
  }
  for (const RegularFile& file : files.external) {
    if (IsSameFile(file.path(), out)) {
      return absl::InvalidArgumentError("--out is a file in which the model keeps tensors");
    }
  }
  return absl::OkStatus();
}

std::string Describe(const sealed_model::Header& header, const digest::Sha256Digest& digest) {
  std::string out = "  label         " + header.terms.label + "\n";
  out += "  sealed digest " + HexEncode(digest) + "\n";
  out += "  key id        " + HexEncode(header.owner_key_id) + "\n";
  out += "  confidential  " + sealed_model::Describe(header.terms.confidential) + "\n";
  out += "  results       " + header.terms.results.ToString() + "\n";
  out += "  queries       " + std::to_string(header.terms.queries_per_release) + " for each release of the key\n";
  for (const sealed_model::Part& part : header.parts) {
    std::string name = sealed_model::NameOf(part.kind);
    name.resize(14, ' ');
    out += "  " + name + std::to_string(part.size) + " bytes" + (part.name.empty() ? "" : ", " + part.name) + "\n";
  }
  return out;
}

absl::StatusOr<std::string> RunSeal(const SealOptions& options) {
  ASSIGN_OR_RETURN(const OnnxOutline outline, ReadOnnxOutline(options.model));
  ASSIGN_OR_RETURN(const sealed_model::Terms terms, MakeTerms(options, outline));
  ASSIGN_OR_RETURN(ModelFiles files, OpenModel(options.model, outline));
  RETURN_IF_ERROR(CheckOut(options, files));
  std::deque<FileSource> sources;
  std::vector<sealed_model::Content> contents;
  if (const std::string path = RangesOf(options); !path.empty()) {
    RETURN_IF_ERROR(CheckRanges(path, files, outline));
    ASSIGN_OR_RETURN(RegularFile file, RegularFile::Open(path));
    contents.push_back({sealed_model::PartKind::kRanges, sources.emplace_back(std::move(file))});
  }
  contents.push_back({sealed_model::PartKind::kModel, sources.emplace_back(std::move(files.onnx))});
  for (size_t i = 0; i < files.names.size(); ++i) {
    contents.push_back(
        {sealed_model::PartKind::kExternalData, sources.emplace_back(std::move(files.external[i])), files.names[i]});
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<OwnerKeyFile> owner, OwnerKeyFile::Take(options.key, options.new_key));
  ASSIGN_OR_RETURN(const sealed_model::Receipt receipt, sealed_model::Seal(terms, owner->key(), contents, options.out));
  owner->Keep();
  return options.out + ": sealed, " + std::to_string(receipt.size) + " bytes\n" +
         Describe(receipt.header, receipt.digest);
}

absl::StatusOr<std::string> RunInspect(const InspectOptions& options) {
  ASSIGN_OR_RETURN(sealed_model::SealedFile file, sealed_model::SealedFile::Open(options.file));
  std::string out = options.file + ": a sealed model\n" + Describe(file.header(), file.digest());
  if (options.key.empty()) {
    return out + "not authenticated: name the key with --key to check header and contents\n";
  }
  RETURN_IF_ERROR(crypto::InitializeSecretMemory());
  ASSIGN_OR_RETURN(const sealed_model::OwnerKey key, sealed_model::ReadKeyFile(options.key));
  ASSIGN_OR_RETURN(const sealed_model::FileKey file_key, file.KeyFrom(key));
  ASSIGN_OR_RETURN(const auto reader, sealed_model::PlaintextReader::Create(std::move(file), file_key));
  RETURN_IF_ERROR(sealed_model::CheckAllChunks(*reader));
  return out + "whole: header and contents are as they were sealed\n";
}

void AddSeal(CLI::App& app, int& exit_code) {
  // Shared with the callback, which lives as long as `app`.
  const auto options = std::make_shared<SealOptions>();
  CLI::App* command =
      app.add_subcommand("seal", "Encrypt a model, so that only an enclave that you release it to runs it");
  command->add_option("--model", options->model, "the model (ONNX); its external data is sealed with it")
      ->required()
      ->type_name("FILE");
  CLI::Option_group* key = command->add_option_group("key", "the owner's key");
  key->add_option("--key", options->key, "the file of a key that --new-key made")->type_name("FILE");
  key->add_option("--new-key", options->new_key, "make a key and write it to this file")->type_name("FILE");
  key->require_option(1);
  CLI::Option_group* nodes =
      command->add_option_group("confidential", "what never leaves the enclave; default: all of it");
  nodes->add_option("--confidential-from", options->from, "this node and every later one")->type_name("NODE");
  nodes->add_option("--confidential-after", options->after, "every node behind this one")->type_name("NODE");
  nodes->add_option("--confidential", options->nodes, "these nodes")->type_name("NODE");
  nodes
      ->add_option("--layers", options->layers,
                   "the last N layers with weights, and all that follows the first of them")
      ->check(CLI::Range(uint64_t{1}, uint64_t{100'000}))
      ->type_name("N");
  nodes->require_option(0, 1);
  command->add_option("--results", options->results, "how results may leave: scores, rounded:DECIMALS or top-k:K")
      ->required()
      ->type_name("FORM");
  AddQueriesOption(*command, options->queries).required();
  command
      ->add_option("--ranges", options->ranges,
                   "calibrated ranges, sealed with it; default: MODEL.ranges.yaml, if there")
      ->type_name("FILE");
  command->add_option("--label", options->label, "a name for people, in the clear; default: the model file's")
      ->type_name("TEXT");
  command->add_option("--out", options->out, "the sealed model")->required()->type_name("FILE");
  command->callback([options, &exit_code] { exit_code = PrintReport(RunSeal(*options)); });
}

}  // namespace

void AddSealCommands(CLI::App& app, int& exit_code) {
  AddSeal(app, exit_code);
  const auto options = std::make_shared<InspectOptions>();
  CLI::App* command =
      app.add_subcommand("inspect", "Say what a sealed model demands and, with its key, whether it is whole");
  command->add_option("FILE", options->file, "the sealed model")->required();
  command->add_option("--key", options->key, "the owner's key: checks header and contents")->type_name("FILE");
  command->callback([options, &exit_code] { exit_code = PrintReport(RunInspect(*options)); });
}

}  // namespace shoji::tools
