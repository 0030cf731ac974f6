// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tools/plan_layers.h"

#include <algorithm>
#include <memory>
#include <variant>

#include "lib/base/status_macros.h"
#include "lib/graph/cut.h"
#include "lib/quantization/check_bound.h"
#include "lib/quantization/program.h"

namespace shoji::tools {
namespace {

using partition::MaskSource;
using partition::Placement;
using partition::Segment;
using quantization::LinearLayer;

LayerPlan PlanLayer(const LinearLayer& layer, const Segment& segment, MaskSource source) {
  LayerPlan out;
  out.name = layer.name;
  out.place = segment.place;
  out.ring = layer.ring;
  out.lo = *std::min_element(layer.lo.begin(), layer.lo.end());
  out.hi = *std::max_element(layer.hi.begin(), layer.hi.end());
  if (segment.place == Placement::kEnclave) {
    return out;
  }
  const bool masked = segment.place == Placement::kBlinded;
  const uint64_t num_messages = masked && source == MaskSource::kShares ? 2 : 1;
  const uint64_t answer = kernels::ring::WordsBytes(layer.geometry, layer.ring);
  const size_t num_limbs = masked ? kernels::ring::WordBytes(layer.ring) : 1;
  out.bytes_out = num_messages * kernels::ring::LimbBytes(layer.geometry, num_limbs);
  out.bytes_in = num_messages * answer;
  out.pad_bytes = masked && source == MaskSource::kPads ? answer : 0;
  if (segment.verify) {
    out.num_checks = quantization::NumChecks(layer.geometry);
    out.log2_error = out.num_checks * quantization::LogCheckErrorBound(layer.geometry);
  }
  return out;
}

absl::Status PlanRegion(const partition::ResolvedPlan& plan, const partition::Region& region, const graph::Graph& graph,
                        const quantization::ActivationRanges& ranges, std::vector<LayerPlan>& layers) {
  const size_t first = plan.segments[region.first_segment].first_node;
  const graph::Graph part = graph::Cut(graph, first, plan.segments[region.end_segment - 1].end_node);
  ASSIGN_OR_RETURN(const std::unique_ptr<quantization::Program> program,
                   quantization::Program::Compile(part, ranges, quantization::CompileOptions()));
  for (const quantization::Step& step : program->steps()) {
    const auto* linear = std::get_if<quantization::LinearStep>(&step.kind);
    if (linear == nullptr) {
      continue;
    }
    size_t segment = region.first_segment;
    while (plan.segments[segment].end_node <= first + step.node) {
      ++segment;
    }
    layers.push_back(PlanLayer(linear->layer, plan.segments[segment], plan.masking.source));
    layers.back().segment = segment;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<LayerPlan>> PlanLayers(const partition::ResolvedPlan& plan, const graph::Graph& graph,
                                                  const quantization::ActivationRanges& ranges) {
  std::vector<LayerPlan> layers;
  for (const partition::Region& region : partition::RegionsOf(plan)) {
    if (region.quantized) {
      RETURN_IF_ERROR(PlanRegion(plan, region, graph, ranges, layers));
    }
  }
  return layers;
}

LayerTotals TotalsOf(const std::vector<LayerPlan>& layers) {
  LayerTotals totals;
  for (const LayerPlan& layer : layers) {
    totals.bytes_out += layer.bytes_out;
    totals.bytes_in += layer.bytes_in;
    totals.pad_bytes += layer.pad_bytes;
  }
  return totals;
}

absl::StatusOr<std::vector<PoolPlan>> PoolsOf(const partition::ResolvedPlan& plan,
                                              const std::vector<LayerPlan>& layers) {
  std::vector<PoolPlan> pools;
  const uint64_t bytes_each = partition::PoolBytesEach(plan);
  for (const partition::Region& region : partition::RegionsOf(plan)) {
    PoolPlan pool = {.region = region};
    for (const LayerPlan& layer : layers) {
      const bool inside = layer.segment >= region.first_segment && layer.segment < region.end_segment;
      pool.pad_bytes += inside ? layer.pad_bytes : 0;
    }
    if (pool.pad_bytes == 0) {
      continue;
    }
    pool.requests = std::min<uint64_t>(plan.masking.pool_requests, bytes_each / pool.pad_bytes);
    if (pool.requests == 0) {
      return absl::InvalidArgumentError("masking.pool holds not even one pad: a request needs one of " +
                                        std::to_string(pool.pad_bytes) + " bytes, and the pool may have " +
                                        std::to_string(bytes_each) + "; raise pool.memory");
    }
    pools.push_back(pool);
  }
  return pools;
}

}  // namespace shoji::tools
