// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What `shoji-model cut` says about the files that it wrote.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "lib/digest/sha2.h"
#include "lib/graph/graph.h"
#include "lib/partition/plan.h"

namespace shoji::tools {

struct CutFile {
  std::string name;  // in the folder
  digest::Sha256Digest digest = {};
};

// "1-blinded.onnx", "2-open.onnx", "3-enclave.sealed"; `index` is from 0.
std::string CutFileName(size_t index, const partition::Segment& segment);

// cut.yaml: the model's inputs and outputs, and for each segment of `plan`, in the order in which they run, its file of
// `files`, its placement, and which tensors it takes and gives. Names stand quoted as in JSON.
std::string CutManifest(const partition::ResolvedPlan& plan, const graph::Graph& graph,
                        const digest::Sha256Digest& model, const std::vector<CutFile>& files);

// A line a file, for people.
std::string CutReport(const partition::ResolvedPlan& plan, const std::vector<CutFile>& files,
                      const std::string& folder);

}  // namespace shoji::tools
