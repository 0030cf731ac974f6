// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/onednn/primitive.h"

#include <oneapi/dnnl/dnnl.h>

#include <utility>

#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "lib/tensor/tensor.h"

// OpenMP 5.0, sections 3.2.1 and 3.2.3. Declared here because omp.h belongs to the compiler's own runtime, while these
// must reach GNU's, which oneDNN is linked with.
extern "C" {
void omp_set_num_threads(int num_threads);
int omp_get_max_threads(void);
}

namespace shoji::kernels::onednn {
namespace {

Layout ScratchOf(dnnl_primitive_t primitive) {
  const_dnnl_primitive_desc_t description = nullptr;
  if (dnnl_primitive_get_primitive_desc(primitive, &description) != dnnl_success) {
    return {};
  }
  const dnnl_memory_desc_t* scratch = dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
  return scratch == nullptr ? Layout() : Layout(*scratch);
}

}  // namespace

ScopedThreads::ScopedThreads(int num_threads) : before_(omp_get_max_threads()) { omp_set_num_threads(num_threads); }

ScopedThreads::~ScopedThreads() { omp_set_num_threads(before_); }

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create() {
  dnnl_engine_t handle = nullptr;
  if (dnnl_engine_create(&handle, dnnl_cpu, 0) != dnnl_success) {
    return absl::InternalError("oneDNN cannot use this CPU");
  }
  return std::unique_ptr<Engine>(new Engine(handle));
}

Engine::~Engine() { dnnl_engine_destroy(handle_); }

absl::StatusOr<std::unique_ptr<Stream>> Stream::Create(const Engine& engine) {
  dnnl_stream_t handle = nullptr;
  if (dnnl_stream_create(&handle, engine.handle(), dnnl_stream_in_order) != dnnl_success) {
    return absl::InternalError("oneDNN cannot create a stream");
  }
  return std::unique_ptr<Stream>(new Stream(handle));
}

Stream::~Stream() { dnnl_stream_destroy(handle_); }

Primitive::Primitive(dnnl_primitive_t handle, std::vector<Argument> inputs, Argument output, std::string implementation)
    : handle_(handle, dnnl_primitive_destroy),
      inputs_(std::move(inputs)),
      output_(std::move(output)),
      scratch_(ScratchOf(handle)),
      implementation_(std::move(implementation)) {}

Primitive Primitive::WithInputs(std::vector<Argument> inputs) const {
  Primitive out = *this;
  out.inputs_ = std::move(inputs);
  return out;
}

void BoundPrimitive::FreeMemory::operator()(dnnl_memory* memory) const { dnnl_memory_destroy(memory); }

absl::Status BoundPrimitive::Add(const Engine& engine, int id, const Layout& layout, const void* data) {
  dnnl_memory_t memory = nullptr;
  // oneDNN has one memory type for what is read and what is written.
  if (dnnl_memory_create(&memory, &layout.desc(), engine.handle(), const_cast<void*>(data)) != dnnl_success) {
    return absl::ResourceExhaustedError("no memory for a oneDNN memory object");
  }
  memories_.emplace_back(memory);
  arguments_.push_back({id, memory});
  return absl::OkStatus();
}

absl::StatusOr<BoundPrimitive> BoundPrimitive::Create(const Engine& engine, const Primitive& primitive,
                                                      std::span<const float* const> inputs, float* output,
                                                      void* scratch) {
  SHOJI_CHECK(inputs.size() == primitive.inputs().size());
  BoundPrimitive out;
  out.primitive_ = std::make_shared<const Primitive>(primitive);
  for (size_t i = 0; i < inputs.size(); ++i) {
    RETURN_IF_ERROR(out.Add(engine, primitive.inputs()[i].id, primitive.inputs()[i].view, inputs[i]));
  }
  RETURN_IF_ERROR(out.Add(engine, primitive.output().id, primitive.output().view, output));
  if (primitive.scratch_bytes() > 0) {
    RETURN_IF_ERROR(out.Add(engine, DNNL_ARG_SCRATCHPAD, primitive.scratch(), scratch));
  }
  return out;
}

void BoundPrimitive::RebindInput(size_t i, const float* data) {
  SHOJI_CHECK(i < primitive_->inputs().size());
  SHOJI_CHECK(dnnl_memory_set_data_handle(arguments_[i].memory, const_cast<float*>(data)) == dnnl_success);
}

void BoundPrimitive::RebindOutput(float* data) {
  SHOJI_CHECK(dnnl_memory_set_data_handle(arguments_[primitive_->inputs().size()].memory, data) == dnnl_success);
}

absl::Status BoundPrimitive::Run(Stream& stream) const {
  const dnnl_status_t status = dnnl_primitive_execute(primitive_->handle(), stream.handle(),
                                                      static_cast<int>(arguments_.size()), arguments_.data());
  if (status != dnnl_success) {
    return absl::InternalError("oneDNN's " + primitive_->implementation() + " failed with status " +
                               std::to_string(static_cast<int>(status)));
  }
  return absl::OkStatus();
}

absl::Status RunOnce(const Engine& engine, const Primitive& primitive, std::span<const float* const> inputs,
                     float* output) {
  ASSIGN_OR_RETURN(const Shape shape, Shape::Create({static_cast<int64_t>(primitive.scratch_bytes())}));
  Tensor scratch(DataType::kUint8, shape);
  ASSIGN_OR_RETURN(const BoundPrimitive bound,
                   BoundPrimitive::Create(engine, primitive, inputs, output, scratch.mutable_bytes().data()));
  ASSIGN_OR_RETURN(const std::unique_ptr<Stream> stream, Stream::Create(engine));
  return bound.Run(*stream);
}

}  // namespace shoji::kernels::onednn
