// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Private to this folder: how its makers turn an operation descriptor into a Primitive.
#pragma once

#include <oneapi/dnnl/dnnl.h>

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/kernels/onednn/post_ops.h"
#include "lib/kernels/onednn/primitive.h"

namespace shoji::kernels::onednn {

// The status of a failed call: RESOURCE_EXHAUSTED or, for whatever oneDNN does not take, UNIMPLEMENTED.
absl::Status ErrorOf(dnnl_status_t status);

#define RETURN_IF_DNNL_ERROR(expr)                                                 \
  do {                                                                             \
    if (const dnnl_status_t dnnl_status_ = (expr); dnnl_status_ != dnnl_success) { \
      return ::shoji::kernels::onednn::ErrorOf(dnnl_status_);                      \
    }                                                                              \
  } while (false)

// A description that leaves the layout to the primitive.
absl::StatusOr<dnnl_memory_desc_t> AnyLayout(std::span<const int64_t> dims);

struct DestroyAttributes {
  void operator()(dnnl_primitive_attr* attributes) const { dnnl_primitive_attr_destroy(attributes); }
};
using AttributesPointer = std::unique_ptr<dnnl_primitive_attr, DestroyAttributes>;
// Scratch memory from the caller, and the post-operations.
absl::StatusOr<AttributesPointer> MakeAttributes(const PostOps& post_ops);

struct DestroyDescription {
  void operator()(dnnl_primitive_desc* description) const { dnnl_primitive_desc_destroy(description); }
};
using DescriptionPointer = std::unique_ptr<dnnl_primitive_desc, DestroyDescription>;

// One argument: its DNNL_ARG_* and the query that tells its layout.
struct ArgumentQuery {
  int id = 0;
  dnnl_query_t query = dnnl_query_undef;
  int index = 0;
};

// The primitive of a description.
absl::StatusOr<Primitive> Build(DescriptionPointer description, std::span<const ArgumentQuery> inputs,
                                const ArgumentQuery& output);

// The first suitable implementation of an operation. Left out are those built on oneDNN's GEMM, which packs its
// operands into heap memory that nobody wipes, and the generic "ref" ones, which are slower than our own. UNIMPLEMENTED
// if none is left.
absl::StatusOr<Primitive> BuildBest(const Engine& engine, const_dnnl_op_desc_t operation, const PostOps& post_ops,
                                    std::span<const ArgumentQuery> inputs, const ArgumentQuery& output);

}  // namespace shoji::kernels::onednn
