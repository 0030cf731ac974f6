// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/onednn/make.h"

#include <algorithm>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/kernels/onednn/elementary.h"

namespace shoji::kernels::onednn {
namespace {

struct DestroyIterator {
  void operator()(dnnl_primitive_desc_iterator* iterator) const { dnnl_primitive_desc_iterator_destroy(iterator); }
};

struct DestroyPostOps {
  void operator()(dnnl_post_ops* post_ops) const { dnnl_post_ops_destroy(post_ops); }
};

std::string ImplementationOf(const dnnl_primitive_desc* description) {
  const char* name = nullptr;
  if (dnnl_primitive_desc_query(description, dnnl_query_impl_info_str, 0, static_cast<void*>(&name)) != dnnl_success) {
    return "?";
  }
  return name;
}

// oneDNN 2.6 generates code by the algorithm: of two functions that differ in their parameters alone it would compute
// one twice.
bool IsTakenFor(const Elementary& a, const Elementary& b) {
  return a.algorithm == b.algorithm && (a.alpha != b.alpha || a.beta != b.beta);
}

bool IsSuitable(std::string_view implementation) {
  const bool own_heap =
      implementation.find("gemm") != std::string_view::npos && implementation.find("brg") == std::string_view::npos;
  return !own_heap && !implementation.starts_with("ref");
}

absl::StatusOr<Argument> ArgumentOf(const dnnl_primitive_desc* description, const ArgumentQuery& query) {
  const dnnl_memory_desc_t* desc = dnnl_primitive_desc_query_md(description, query.query, query.index);
  if (desc == nullptr) {
    return absl::InternalError("oneDNN does not tell the layout of an argument");
  }
  return Argument{query.id, Layout(*desc), Layout(*desc)};
}

// Code generation allocates and may throw.
dnnl_status_t CreatePrimitive(dnnl_primitive_t* primitive, const dnnl_primitive_desc* description) {
  try {
    return dnnl_primitive_create(primitive, description);
  } catch (const std::exception&) {
    return dnnl_runtime_error;
  }
}

dnnl_status_t CreateIterator(dnnl_primitive_desc_iterator_t* iterator, const_dnnl_op_desc_t operation,
                             const dnnl_primitive_attr* attributes, const Engine& engine) {
  try {
    return dnnl_primitive_desc_iterator_create(iterator, operation, attributes, engine.handle(), nullptr);
  } catch (const std::exception&) {
    return dnnl_runtime_error;
  }
}

}  // namespace

absl::Status ErrorOf(dnnl_status_t status) {
  if (status == dnnl_out_of_memory) {
    return absl::ResourceExhaustedError("oneDNN ran out of memory");
  }
  return absl::UnimplementedError("oneDNN does not take this operation (status " +
                                  std::to_string(static_cast<int>(status)) + ")");
}

absl::StatusOr<dnnl_memory_desc_t> AnyLayout(std::span<const int64_t> dims) {
  dnnl_memory_desc_t desc = {};
  RETURN_IF_DNNL_ERROR(
      dnnl_memory_desc_init_by_tag(&desc, static_cast<int>(dims.size()), dims.data(), dnnl_f32, dnnl_format_tag_any));
  return desc;
}

absl::StatusOr<AttributesPointer> MakeAttributes(const PostOps& post_ops) {
  dnnl_primitive_attr_t raw_attributes = nullptr;
  RETURN_IF_DNNL_ERROR(dnnl_primitive_attr_create(&raw_attributes));
  AttributesPointer attributes(raw_attributes);
  RETURN_IF_DNNL_ERROR(dnnl_primitive_attr_set_scratchpad_mode(raw_attributes, dnnl_scratchpad_mode_user));
  if (post_ops.empty()) {
    return attributes;
  }
  dnnl_post_ops_t raw_ops = nullptr;
  RETURN_IF_DNNL_ERROR(dnnl_post_ops_create(&raw_ops));
  const std::unique_ptr<dnnl_post_ops, DestroyPostOps> ops(raw_ops);
  if (post_ops.residual == PostOps::Residual::kAddToOutput) {
    RETURN_IF_DNNL_ERROR(dnnl_post_ops_append_sum(raw_ops, 1.0F));
  }
  std::vector<Elementary> before;
  for (const Activation& activation : post_ops.activations) {
    const std::vector<Elementary> functions = ElementaryOf(activation);
    if (functions.empty()) {
      return absl::UnimplementedError("oneDNN has no such function");
    }
    for (const Elementary& function : functions) {
      if (std::any_of(before.begin(), before.end(), [&](const Elementary& f) { return IsTakenFor(function, f); })) {
        return absl::UnimplementedError("oneDNN takes two functions after a layer for the same");
      }
      before.push_back(function);
      RETURN_IF_DNNL_ERROR(
          dnnl_post_ops_append_eltwise(raw_ops, 1.0F, function.algorithm, function.alpha, function.beta));
    }
  }
  RETURN_IF_DNNL_ERROR(dnnl_primitive_attr_set_post_ops(raw_attributes, raw_ops));
  return attributes;
}

absl::StatusOr<Primitive> Build(DescriptionPointer description, std::span<const ArgumentQuery> inputs,
                                const ArgumentQuery& output) {
  std::vector<Argument> arguments;
  for (const ArgumentQuery& query : inputs) {
    ASSIGN_OR_RETURN(Argument argument, ArgumentOf(description.get(), query));
    arguments.push_back(std::move(argument));
  }
  ASSIGN_OR_RETURN(Argument result, ArgumentOf(description.get(), output));
  dnnl_primitive_t primitive = nullptr;
  RETURN_IF_DNNL_ERROR(CreatePrimitive(&primitive, description.get()));
  return Primitive(primitive, std::move(arguments), std::move(result), ImplementationOf(description.get()));
}

absl::StatusOr<Primitive> BuildBest(const Engine& engine, const_dnnl_op_desc_t operation, const PostOps& post_ops,
                                    std::span<const ArgumentQuery> inputs, const ArgumentQuery& output) {
  ASSIGN_OR_RETURN(const AttributesPointer attributes, MakeAttributes(post_ops));
  dnnl_primitive_desc_iterator_t raw_iterator = nullptr;
  RETURN_IF_DNNL_ERROR(CreateIterator(&raw_iterator, operation, attributes.get(), engine));
  const std::unique_ptr<dnnl_primitive_desc_iterator, DestroyIterator> iterator(raw_iterator);
  while (true) {
    DescriptionPointer description(dnnl_primitive_desc_iterator_fetch(raw_iterator));
    if (description != nullptr && IsSuitable(ImplementationOf(description.get()))) {
      return Build(std::move(description), inputs, output);
    }
    RETURN_IF_DNNL_ERROR(dnnl_primitive_desc_iterator_next(raw_iterator));
  }
}

}  // namespace shoji::kernels::onednn
