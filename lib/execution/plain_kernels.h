// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// From nodes to geometries and reference kernels: the one place where the shapes and attributes of a node are checked
// against each other. For this folder, lib/quantization and gpu_worker/cuda.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/execution/steps.h"
#include "lib/graph/graph.h"
#include "lib/kernels/activation.h"
#include "lib/kernels/geometry.h"

namespace shoji::execution {

// That `graph` is what graph.h promises and every node can be run: ids in range, every value produced once and before
// it is read, constants of the type and shape they claim, the right number of inputs and outputs, shapes and attributes
// that fit each other. INVALID_ARGUMENT or UNIMPLEMENTED names the node. Everything past this trusts the graph.
absl::Status CheckGraph(const graph::Graph& graph);

// `status` with the node's name and operator before its message.
absl::Status AtNode(const graph::Node& node, const absl::Status& status);

// What an operator does with pairs of elements; none for other operators.
std::optional<kernels::BinaryKind> AnyBinaryKindOf(graph::Op op);

// Geometries of a node of the operator that each is named after. Errors are INVALID_ARGUMENT and do not name the node.
absl::StatusOr<kernels::ConvGeometry> ConvGeometryOf(const graph::Graph& graph, const graph::Node& node);
absl::StatusOr<kernels::GemmGeometry> GemmGeometryOf(const graph::Graph& graph, const graph::Node& node);
absl::StatusOr<kernels::MatMulGeometry> MatMulGeometryOf(const graph::Graph& graph, const graph::Node& node);
// Of all pooling operators, and of a ReduceMean over height and width (UNIMPLEMENTED over other axes).
absl::StatusOr<kernels::PoolGeometry> PoolGeometryOf(const graph::Graph& graph, const graph::Node& node);

// The reference kernel of any operator but Reshape; it wants the node's inputs in order, an absent one as an empty
// span.
absl::StatusOr<PlainKernel> MakePlainKernel(const graph::Graph& graph, const graph::Node& node);

}  // namespace shoji::execution
