// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/tensor/tensor.h"

#include <algorithm>
#include <new>

namespace shoji {
namespace {
constexpr size_t kAlignment = 64;
}  // namespace

void Tensor::Free::operator()(uint8_t* p) const { ::operator delete (p, std::align_val_t{kAlignment}); }

Tensor::Tensor(DataType type, Shape shape) : Tensor(Uninitialized(type, std::move(shape))) {
  std::memset(data_.get(), 0, size_bytes());
}

Tensor Tensor::Uninitialized(DataType type, Shape shape) {
  Tensor out;
  out.type_ = type;
  out.shape_ = std::move(shape);
  const size_t size = std::max(out.size_bytes(), size_t{1});
  out.data_.reset(static_cast<uint8_t*>(::operator new (size, std::align_val_t{kAlignment})));
  return out;
}

Tensor::Tensor(Tensor&& other) noexcept
    : type_(other.type_), shape_(std::exchange(other.shape_, Shape({0}))), data_(std::move(other.data_)) {}

Tensor& Tensor::operator=(Tensor&& other) noexcept {
  type_ = other.type_;
  shape_ = std::exchange(other.shape_, Shape({0}));
  data_ = std::move(other.data_);
  return *this;
}

Tensor Tensor::Clone() const {
  Tensor out(type_, shape_);
  if (!bytes().empty()) {
    std::memcpy(out.data_.get(), data_.get(), size_bytes());
  }
  return out;
}

Tensor Tensor::Reinterpret(DataType type, Shape shape) && {
  SHOJI_CHECK(data_ != nullptr && shape.num_elements() * SizeOf(type) == size_bytes());
  Tensor out;
  out.type_ = type;
  out.shape_ = std::move(shape);
  out.data_ = std::move(data_);
  shape_ = Shape({0});
  return out;
}

void Tensor::Wipe() {
  if (data_ != nullptr) {
    explicit_bzero(data_.get(), size_bytes());
  }
}

}  // namespace shoji
