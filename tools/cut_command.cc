// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tools/cut_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "lib/attest/result_rule.h"
#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/digest/sha2.h"
#include "lib/graph/cut.h"
#include "lib/graph/model_file.h"
#include "lib/graph/onnx_export.h"
#include "lib/partition/layers.h"
#include "lib/partition/plan.h"
#include "lib/policy_file/policy_file.h"
#include "lib/sealed_model/seal.h"
#include "tools/clear_model.h"
#include "tools/cut_manifest.h"
#include "tools/print_report.h"
#include "tools/sealing_options.h"
#include "tools/stand_ins.h"

namespace shoji::tools {
namespace {

using partition::ResolvedPlan;
using partition::Segment;

struct CutOptions {
  std::string model;
  std::string input_shape;  // empty: what the file fixes
  std::string policy;       // or
  int64_t layers = 0;
  std::string out;
  std::string name;  // empty: the model's file without its extension
  std::string key;
  std::string new_key;
  std::string results = "scores";
  uint64_t queries = 0;
};

absl::Status InFile(const absl::Status& status, const std::string& path) {
  return {status.code(), path + ": " + std::string(status.message())};
}

// The policy, whose file errors name; with `--layers` the model stands for it.
absl::StatusOr<partition::PartitionPolicy> PolicyOf(const CutOptions& options, const graph::Graph& graph) {
  const std::string name = options.name.empty() ? std::filesystem::path(options.model).stem().string() : options.name;
  if (options.policy.empty()) {
    return partition::LastLayersPolicy(name, graph, options.layers);
  }
  ASSIGN_OR_RETURN(partition::PartitionPolicy policy, policy_file::LoadPolicy(options.policy));
  return partition::ForModel(std::move(policy), name);
}

// Resolves the policy and arranges `graph` for it.
absl::StatusOr<ResolvedPlan> PlanFor(const CutOptions& options, graph::Graph& graph) {
  const std::string& where = options.policy.empty() ? options.model : options.policy;
  const absl::StatusOr<partition::PartitionPolicy> policy = PolicyOf(options, graph);
  if (!policy.ok()) {
    return options.policy.empty() ? InFile(policy.status(), where) : policy.status();
  }
  absl::StatusOr<graph::Graph> arranged = partition::ArrangeFor(*policy, std::move(graph));
  if (!arranged.ok()) {
    return InFile(arranged.status(), where);
  }
  graph = *std::move(arranged);
  absl::StatusOr<ResolvedPlan> plan = partition::Resolve(*policy, graph, StandInsFor(*policy));
  if (!plan.ok()) {
    return InFile(plan.status(), where);
  }
  ForgetStandIns(*plan);
  return plan;
}

// That no weights of a confidential segment stand in a file that is not sealed as well. A single number, the bound of
// an activation say, may.
absl::Status CheckSharedWeights(const ResolvedPlan& plan, const graph::Graph& graph) {
  std::map<const Tensor*, size_t> confidential;
  for (const bool collect : {true, false}) {
    for (size_t s = 0; s < plan.segments.size(); ++s) {
      const Segment& segment = plan.segments[s];
      if (segment.confidential != collect) {
        continue;
      }
      for (size_t i = segment.first_node; i < segment.end_node; ++i) {
        for (const graph::ValueId id : graph.nodes[i].inputs) {
          const Tensor* weights = id == graph::kNoValue ? nullptr : graph.values[id].constant.get();
          if (weights == nullptr || weights->shape().num_elements() <= 1) {
            continue;
          }
          if (collect) {
            confidential.emplace(weights, s);
          } else if (const auto found = confidential.find(weights); found != confidential.end()) {
            return absl::InvalidArgumentError("segment " + std::to_string(s + 1) +
                                              " would give away weights of segment " +
                                              std::to_string(found->second + 1) + ", which is confidential: node `" +
                                              graph.nodes[i].name + "` uses `" + graph.values[id].name + "` too");
          }
        }
      }
    }
  }
  return absl::OkStatus();
}

bool HasConfidential(const ResolvedPlan& plan) {
  return std::any_of(plan.segments.begin(), plan.segments.end(),
                     [](const Segment& segment) { return segment.confidential; });
}

// The options that sealing needs, before anything is written.
absl::StatusOr<sealed_model::Terms> TermsOf(const CutOptions& options) {
  if (options.key.empty() == options.new_key.empty()) {
    return absl::InvalidArgumentError(
        "the policy has a confidential segment, which is written sealed or not at all: give the owner's key with --key "
        "FILE, or have one made with --new-key FILE");
  }
  if (options.queries == 0) {
    return absl::InvalidArgumentError(
        "a sealed segment needs --queries N: how many queries one release of its key allows");
  }
  sealed_model::Terms terms;
  ASSIGN_OR_RETURN(terms.results, attest::ResultRule::Parse(options.results));
  terms.queries_per_release = options.queries;
  return terms;
}

// Writes the segments below a folder of its own; what remains of it when it goes is removed.
class Writer {
 public:
  // ALREADY_EXISTS when there is something at `out`.
  static absl::StatusOr<std::unique_ptr<Writer>> Create(const std::string& out) {
    std::error_code error;
    const std::filesystem::file_status status = std::filesystem::symlink_status(out, error);
    if (status.type() != std::filesystem::file_type::not_found) {
      return absl::AlreadyExistsError(out + " exists; cut writes a new folder and overwrites nothing");
    }
    std::filesystem::path folder(out);
    if (!folder.has_filename()) {
      folder = folder.parent_path();  // "DIR/"
    }
    std::unique_ptr<Writer> writer(new Writer(folder.string(), folder.string() + ".partial"));
    if (!std::filesystem::create_directory(writer->partial_, error) || error) {
      writer->partial_.clear();
      return absl::FailedPreconditionError("cannot make the folder " + folder.string() + ".partial" +
                                           (error ? ": " + error.message() : ": it exists"));
    }
    return writer;
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    std::error_code ignored;
    if (!partial_.empty()) {
      std::filesystem::remove_all(partial_, ignored);
    }
  }

  std::string File(const std::string& name) const { return partial_ + "/" + name; }
  // All is written: moves the folder to its place.
  absl::Status Finish() {
    std::error_code error;
    std::filesystem::rename(partial_, out_, error);
    if (error) {
      return absl::FailedPreconditionError("cannot make the folder " + out_ + ": " + error.message());
    }
    partial_.clear();
    return absl::OkStatus();
  }

 private:
  Writer(std::string out, std::string partial) : out_(std::move(out)), partial_(std::move(partial)) {}

  const std::string out_;
  std::string partial_;
};

// What seals the confidential segments.
struct Sealing {
  sealed_model::Terms terms;
  std::unique_ptr<OwnerKeyFile> owner;
};

absl::Status WriteSegments(const graph::ImportedModel& model, const ResolvedPlan& plan,
                           const std::optional<Sealing>& sealing, const Writer& writer, std::vector<CutFile>& files) {
  for (size_t i = 0; i < plan.segments.size(); ++i) {
    const Segment& segment = plan.segments[i];
    CutFile& file = files.emplace_back();
    file.name = CutFileName(i, segment);
    absl::StatusOr<Bytes> onnx = graph::ExportOnnx(graph::Cut(model.graph, segment.first_node, segment.end_node));
    if (!onnx.ok()) {
      return InFile(onnx.status(), "segment " + std::to_string(i + 1));
    }
    if (!segment.confidential) {
      file.digest = digest::Sha256(*onnx);
      RETURN_IF_ERROR(WriteFileAtomically(writer.File(file.name), *onnx));
      continue;
    }
    sealed_model::Terms part = sealing->terms;
    part.label = plan.model + ", segment " + std::to_string(i + 1) + " of " + std::to_string(plan.segments.size());
    ASSIGN_OR_RETURN(const sealed_model::Receipt receipt,
                     sealed_model::SealModel(part, sealing->owner->key(), *onnx, writer.File(file.name)));
    file.digest = receipt.digest;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Cut(const CutOptions& options) {
  ASSIGN_OR_RETURN(graph::ImportedModel model, LoadClearModel(options.model, options.input_shape));
  ASSIGN_OR_RETURN(const ResolvedPlan plan, PlanFor(options, model.graph));
  RETURN_IF_ERROR(CheckSharedWeights(plan, model.graph));
  std::optional<Sealing> sealing;
  if (HasConfidential(plan)) {
    ASSIGN_OR_RETURN(sealed_model::Terms terms, TermsOf(options));
    sealing = {std::move(terms), nullptr};
  } else if (!options.key.empty() || !options.new_key.empty()) {
    return absl::InvalidArgumentError(
        "no segment is `confidential`, so nothing would be sealed; leave the key out, or mark the segment");
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Writer> writer, Writer::Create(options.out));
  if (sealing.has_value()) {
    ASSIGN_OR_RETURN(sealing->owner, OwnerKeyFile::Take(options.key, options.new_key));
  }
  std::vector<CutFile> files;
  RETURN_IF_ERROR(WriteSegments(model, plan, sealing, *writer, files));
  RETURN_IF_ERROR(
      WriteFileAtomically(writer->File("cut.yaml"), AsBytes(CutManifest(plan, model.graph, model.digest, files))));
  RETURN_IF_ERROR(writer->Finish());
  if (sealing.has_value()) {
    sealing->owner->Keep();
  }
  return CutReport(plan, files, options.out);
}

}  // namespace

void AddCutCommand(CLI::App& app, int& exit_code) {
  // Shared with the callback, which lives as long as `app`.
  const auto options = std::make_shared<CutOptions>();
  CLI::App* command =
      app.add_subcommand("cut", "Write each segment of a policy as a file: ONNX, or sealed where it is confidential");
  command->add_option("--model", options->model, "the model to cut (ONNX)")->required()->type_name("FILE");
  AddInputShapeOption(*command, options->input_shape);
  CLI::Option_group* where = command->add_option_group("where to cut", "exactly one of these");
  where->add_option("--policy", options->policy, "at the starts of this policy's segments (YAML)")->type_name("FILE");
  where
      ->add_option("--layers", options->layers,
                   "before the last N layers with weights, which become confidential; the others open")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}))
      ->type_name("N");
  where->require_option(1);
  command->add_option("--out", options->out, "the folder to write; it must not exist")->required()->type_name("DIR");
  command->add_option("--name", options->name, "the model's name, for a policy for any model; default: its file's")
      ->type_name("NAME");
  CLI::Option* key =
      command->add_option("--key", options->key, "the owner's key, for confidential segments")->type_name("FILE");
  command->add_option("--new-key", options->new_key, "the same, and make it first")->type_name("FILE")->excludes(key);
  command
      ->add_option("--results", options->results,
                   "in which form answers may leave an enclave: scores, rounded:DECIMALS, top-k:COUNT")
      ->capture_default_str();
  AddQueriesOption(*command, options->queries);
  command->callback([options, &exit_code] { exit_code = PrintReport(Cut(*options)); });
}

}  // namespace shoji::tools
