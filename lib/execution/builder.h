// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Grows a CompiledGraph step by step and knows, while it grows, where each value lies and which memory nobody needs any
// more. Private to this folder.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/execution/conv_plan.h"
#include "lib/execution/fusion.h"
#include "lib/execution/program.h"
#include "lib/execution/steps.h"
#include "lib/graph/graph.h"
#include "lib/kernels/blocked/ops.h"
#include "lib/kernels/onednn/layout.h"
#include "lib/kernels/onednn/primitive.h"

namespace shoji::execution {

// A value in memory. A value may lie in several places, in different layouts.
struct Place {
  BufferId buffer = 0;
  kernels::onednn::Layout layout;
  size_t offset = 0;  // of its first byte in the buffer
};

// Nodes are lowered in the order of the graph. Thread-compatible; `graph` must outlive it.
class Builder {
 public:
  static absl::StatusOr<std::unique_ptr<Builder>> Create(const graph::Graph& graph, const CompileOptions& options);
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  const graph::Graph& graph() const { return graph_; }
  const UseTable& uses() const { return uses_; }
  ConvForm conv_form(size_t node) const { return conv_forms_[node]; }
  // Our own kernels on blocks of kernels::onednn::ChannelBlock() channels; null where there are none for this CPU, or
  // where a run has several threads.
  const kernels::blocked::Ops* ops() const { return ops_; }
  const kernels::onednn::Engine& engine() const { return *compiled_->engine; }

  // Whether `value` has been computed (or is an input or constant).
  bool IsReady(graph::ValueId value) const { return !places_[value].empty(); }
  // Where `value`, which is ready, lies now; a row-major place, and one in `layout`, which a reorder makes where there
  // is none (at once for a constant, else as a step).
  const Place& Anywhere(graph::ValueId value) const { return places_[value].front(); }
  absl::StatusOr<Place> Plain(graph::ValueId value);
  absl::StatusOr<Place> In(graph::ValueId value, const kernels::onednn::Layout& layout);
  // A weight, whose bytes lie as `source` says, in `wanted`. Shares the tensor where that changes nothing.
  absl::StatusOr<Place> Weight(const std::shared_ptr<const Tensor>& tensor, const kernels::onednn::Layout& source,
                               const kernels::onednn::Layout& wanted);
  // A constant that `fill` makes of zeros. It is called when all nodes are lowered and holds what it reads itself: what
  // is larger than its source does not stand beside the largest weights while those are packed.
  absl::StatusOr<Place> NewWeight(size_t num_elements, std::function<void(std::span<float>)> fill);

  // Fresh memory for `value` in `layout`, or row-major: where a concatenation needs it, if that is possible.
  absl::StatusOr<Place> NewPlace(graph::ValueId value, const kernels::onednn::Layout& layout);
  absl::StatusOr<Place> NewPlainPlace(graph::ValueId value);
  // Whether NewPlace(value, layout) is part of a concatenation.
  bool IsPart(graph::ValueId value, const kernels::onednn::Layout& layout) const;
  // Where the output of the Concat `node` lies if a part of it has been given its place there.
  std::optional<Place> ConcatPlace(size_t node) const;
  // Whether the memory of `place` is free to be overwritten by the nodes of `executing`, all of which run in one step:
  // no output of the graph lies there, and none but they and nodes done before read what does.
  bool MayOverwrite(const Place& place, std::span<const size_t> executing) const;

  // Says that `value` lies at `place`.
  void SetPlace(graph::ValueId value, const Place& place);
  void MarkDone(size_t node);
  bool IsDone(size_t node) const { return done_[node]; }

  void AddStep(const std::string& name, kernels::onednn::Primitive primitive, std::span<const Place> inputs,
               const Place& output);
  void AddNativeStep(const std::string& name, NativeKernel kernel, std::span<const Place> inputs, const Place& output);
  void AddPlainStep(const std::string& name, PlainKernel kernel, std::vector<Operand> inputs, Operand output);

  // The constants of the graph that no node which is not done reads, each once: the caller may let them go. Those that
  // no step reads either are let go here. Call between nodes.
  std::vector<graph::ValueId> ReleaseConstants();

  // After the last node: brings the outputs into the caller's tensors and lays out the arena.
  absl::StatusOr<std::shared_ptr<const CompiledGraph>> Finish();

 private:
  struct UnfilledWeight {
    BufferId buffer = 0;
    Shape shape;
    std::function<void(std::span<float>)> fill;
  };

  Builder(const graph::Graph& graph, const CompileOptions& options);
  absl::Status PlaceInputsAndConstants();
  absl::Status CountConstant(size_t size_bytes);
  void FillWeights();
  absl::StatusOr<BufferId> NewConstant(std::shared_ptr<const Tensor> tensor);
  absl::Status DeliverOutput(size_t index);
  absl::StatusOr<BufferId> NewBuffer(size_t size_bytes);
  void Touch(BufferId buffer);
  template <typename Kernel>
  void AddKernel(const std::string& name, Kernel kernel, std::span<const Place> inputs, const Place& output);

  const graph::Graph& graph_;
  const CompileOptions options_;
  UseTable uses_;
  const kernels::blocked::Ops* const ops_;
  const std::vector<ConvForm> conv_forms_;  // of each node
  std::unique_ptr<CompiledGraph> compiled_;
  std::vector<std::vector<Place>> places_;                  // of each value
  std::vector<std::vector<graph::ValueId>> values_inside_;  // of each buffer
  std::vector<bool> done_;                                  // of each node
  std::vector<size_t> num_unread_;                          // of each value: uses by nodes that are not done
  std::vector<graph::ValueId> read_constants_;              // not released yet
  std::vector<UnfilledWeight> unfilled_;
  std::map<size_t, Place> concats_;  // by node: outputs that have parts already
  size_t constant_bytes_ = 0;        // of weights that are copies
};

}  // namespace shoji::execution
