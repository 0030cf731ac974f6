// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include "lib/base/bytes.h"
#include "lib/base/check.h"
#include "lib/tensor/data_type.h"
#include "lib/tensor/shape.h"

namespace shoji {

// A dense row-major array that owns its memory, 64-byte aligned. Move-only; `Clone` copies. The memory is not wiped at
// destruction: holders of plaintext call `Wipe` (enclave_worker/core does, for every tensor of a request).
// Thread-compatible.
class Tensor {
 public:
  Tensor() = default;  // float32, no elements
  // Zero-filled. Aborts when memory runs out.
  Tensor(DataType type, Shape shape);
  // Of any content, for the caller to fill whole: large ones are touched once only.
  static Tensor Uninitialized(DataType type, Shape shape);
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor&& other) noexcept;
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;
  ~Tensor() = default;

  template <typename T>
  static Tensor Of(Shape shape, std::span<const T> values) {
    Tensor out(DataTypeOf<T>(), std::move(shape));
    SHOJI_CHECK(values.size() == out.num_elements());
    if (!values.empty()) {
      std::memcpy(out.mutable_bytes().data(), values.data(), values.size_bytes());
    }
    return out;
  }
  Tensor Clone() const;

  DataType type() const { return type_; }
  const Shape& shape() const { return shape_; }
  size_t num_elements() const { return shape_.num_elements(); }
  size_t size_bytes() const { return num_elements() * SizeOf(type_); }

  ByteSpan bytes() const { return {data_.get(), data_ == nullptr ? 0 : size_bytes()}; }
  std::span<uint8_t> mutable_bytes() { return {data_.get(), data_ == nullptr ? 0 : size_bytes()}; }

  // The values; T must be the tensor's type.
  template <typename T>
  std::span<const T> values() const {
    SHOJI_CHECK(DataTypeOf<T>() == type_);
    return {reinterpret_cast<const T*>(data_.get()), data_ == nullptr ? 0 : num_elements()};
  }
  template <typename T>
  std::span<T> mutable_values() {
    SHOJI_CHECK(DataTypeOf<T>() == type_);
    return {reinterpret_cast<T*>(data_.get()), data_ == nullptr ? 0 : num_elements()};
  }

  // The same values under another shape of the same element count.
  void Reshape(Shape shape) {
    SHOJI_CHECK(shape.num_elements() == num_elements());
    shape_ = std::move(shape);
  }
  // The same bytes as values of another type; their number must be right. Leaves this tensor empty.
  Tensor Reinterpret(DataType type, Shape shape) &&;
  // Overwrites the values with zeros, in a way the compiler cannot remove.
  void Wipe();

 private:
  struct Free {
    void operator()(uint8_t* p) const;
  };
  DataType type_ = DataType::kFloat32;
  Shape shape_ = Shape({0});
  std::unique_ptr<uint8_t, Free> data_;
};

}  // namespace shoji
