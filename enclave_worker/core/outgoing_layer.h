// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "enclave_worker/core/masking/layer_codec.h"
#include "enclave_worker/core/masking/pad_key.h"
#include "lib/quantization/linear_layer.h"
#include "lib/tensor/tensor.h"

namespace shoji::enclave {

// What is to go to an accelerator for one linear layer, while it is put together row by row. Nobody but declassify.h
// gets the tensor out. Rows may be added from several threads, each row once.
class OutgoingLayer {
 public:
  enum class Form : uint8_t {
    kMasked,  // x' + r
    kRandom,  // r, the other operator's share
    kClear,   // x, for placement `verified`
  };
  // `key` (null for kClear) and `codec` outlive it; `index` is the layer's number under that key.
  OutgoingLayer(const LayerCodec& codec, Form form, const PadKey* key, uint64_t index);
  OutgoingLayer(OutgoingLayer&& other) noexcept;
  OutgoingLayer& operator=(OutgoingLayer&&) = delete;
  ~OutgoingLayer();

  // `q`: the row of activations; unused for kRandom.
  void AddRow(int64_t row, std::span<const uint8_t> q);

  Form form() const { return form_; }
  bool complete() const { return num_rows_ == codec_.layer().geometry.input[0]; }

 private:
  friend class OutgoingLayerAccess;  // declassify.cc

  const LayerCodec& codec_;
  const Form form_;
  const PadKey* key_;
  const uint64_t index_;
  const size_t row_bytes_;
  std::atomic<int64_t> num_rows_ = 0;
  Tensor message_;  // uint8 [in height, limbs, plane bytes]
};

// As many limbs as `layer` goes out in: one in the clear, else the ring's.
size_t NumLimbs(const quantization::LinearLayer& layer, OutgoingLayer::Form form);

}  // namespace shoji::enclave
