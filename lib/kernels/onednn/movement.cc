// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/onednn/movement.h"

#include <array>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/kernels/onednn/make.h"

namespace shoji::kernels::onednn {
namespace {
constexpr ArgumentQuery kOutput = {DNNL_ARG_DST, dnnl_query_dst_md, 0};
}  // namespace

absl::StatusOr<Primitive> MakeReorder(const Engine& engine, const Layout& from, const Layout& to) {
  ASSIGN_OR_RETURN(const AttributesPointer attributes, MakeAttributes({}));
  dnnl_primitive_desc_t description = nullptr;
  RETURN_IF_DNNL_ERROR(dnnl_reorder_primitive_desc_create(&description, &from.desc(), engine.handle(), &to.desc(),
                                                          engine.handle(), attributes.get()));
  static constexpr std::array<ArgumentQuery, 1> kInput = {{{DNNL_ARG_SRC, dnnl_query_src_md, 0}}};
  return Build(DescriptionPointer(description), kInput, kOutput);
}

absl::StatusOr<Primitive> MakeConcat(const Engine& engine, int64_t axis, std::span<const Layout> parts) {
  ASSIGN_OR_RETURN(const AttributesPointer attributes, MakeAttributes({}));
  std::vector<dnnl_memory_desc_t> descs;
  std::vector<ArgumentQuery> inputs;
  for (const Layout& part : parts) {
    const int index = static_cast<int>(descs.size());
    inputs.push_back({DNNL_ARG_MULTIPLE_SRC + index, dnnl_query_src_md, index});
    descs.push_back(part.desc());
  }
  dnnl_primitive_desc_t description = nullptr;
  RETURN_IF_DNNL_ERROR(dnnl_concat_primitive_desc_create(&description, nullptr, static_cast<int>(descs.size()),
                                                         static_cast<int>(axis), descs.data(), attributes.get(),
                                                         engine.handle()));
  return Build(DescriptionPointer(description), inputs, kOutput);
}

}  // namespace shoji::kernels::onednn
