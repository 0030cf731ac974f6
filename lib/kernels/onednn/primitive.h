// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// oneDNN without its exceptions: an engine, primitives made on it, and primitives bound to memory. oneDNN's OpenMP team
// is as large as ScopedThreads says on the calling thread; a primitive must run under the count it was made under.
#pragma once

#include <oneapi/dnnl/dnnl_types.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/kernels/onednn/layout.h"

namespace shoji::kernels::onednn {

// While it lives, parallel regions that this thread starts have `num_threads` threads. With 1 nothing is started.
class ScopedThreads {
 public:
  explicit ScopedThreads(int num_threads);
  ScopedThreads(const ScopedThreads&) = delete;
  ScopedThreads& operator=(const ScopedThreads&) = delete;
  ~ScopedThreads();

 private:
  int before_;
};

// The CPU. Thread-safe.
class Engine {
 public:
  static absl::StatusOr<std::unique_ptr<Engine>> Create();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  dnnl_engine_t handle() const { return handle_; }

 private:
  explicit Engine(dnnl_engine_t handle) : handle_(handle) {}
  dnnl_engine_t handle_;
};

// An order of execution. Thread-compatible.
class Stream {
 public:
  static absl::StatusOr<std::unique_ptr<Stream>> Create(const Engine& engine);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  dnnl_stream_t handle() const { return handle_; }

 private:
  explicit Stream(dnnl_stream_t handle) : handle_(handle) {}
  dnnl_stream_t handle_;
};

struct Argument {
  int id = 0;     // DNNL_ARG_*
  Layout layout;  // as the caller must provide it
  Layout view;    // the same bytes as the primitive sees them
};

// Code for one operation on tensors of fixed layouts. Needs scratch memory from its caller and keeps nothing of what it
// computes: implementations that allocate memory for themselves are not chosen. Immutable and thread-safe; shares its
// code with copies of itself.
class Primitive {
 public:
  // `handle` is owned from here on. The inputs stand in the order that the maker documents.
  Primitive(dnnl_primitive_t handle, std::vector<Argument> inputs, Argument output, std::string implementation);

  // The same code, with other statements about its inputs.
  Primitive WithInputs(std::vector<Argument> inputs) const;

  const std::vector<Argument>& inputs() const { return inputs_; }
  const Argument& output() const { return output_; }
  size_t scratch_bytes() const { return scratch_.size_bytes(); }
  // oneDNN's name for the code, such as "jit:avx512_core".
  const std::string& implementation() const { return implementation_; }
  dnnl_primitive_t handle() const { return handle_.get(); }
  const Layout& scratch() const { return scratch_; }

 private:
  std::shared_ptr<dnnl_primitive> handle_;
  std::vector<Argument> inputs_;
  Argument output_;
  Layout scratch_;
  std::string implementation_;
};

// A primitive and the memory it works on; running it allocates nothing here. Thread-compatible.
class BoundPrimitive {
 public:
  // The pointers may be null until Rebind sets them. Output and input may be the same memory where the operation is one
  // of single elements. Keeps `primitive`'s code alive; `engine` must outlive it.
  static absl::StatusOr<BoundPrimitive> Create(const Engine& engine, const Primitive& primitive,
                                               std::span<const float* const> inputs, float* output, void* scratch);
  BoundPrimitive(BoundPrimitive&& other) noexcept = default;
  BoundPrimitive& operator=(BoundPrimitive&& other) noexcept = default;
  ~BoundPrimitive() = default;

  void RebindInput(size_t i, const float* data);
  void RebindOutput(float* data);
  absl::Status Run(Stream& stream) const;

 private:
  struct FreeMemory {
    void operator()(dnnl_memory* memory) const;
  };
  BoundPrimitive() = default;
  absl::Status Add(const Engine& engine, int id, const Layout& layout, const void* data);

  std::shared_ptr<const Primitive> primitive_;
  std::vector<std::unique_ptr<dnnl_memory, FreeMemory>> memories_;
  std::vector<dnnl_exec_arg_t> arguments_;  // the inputs, the output, the scratch memory
};

// Binds and runs once: for weights at load time, and tests.
absl::Status RunOnce(const Engine& engine, const Primitive& primitive, std::span<const float* const> inputs,
                     float* output);

}  // namespace shoji::kernels::onednn
