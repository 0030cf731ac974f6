// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/outgoing_layer.h"

#include <utility>

#include "lib/base/check.h"
#include "lib/kernels/ring/layout.h"

namespace shoji::enclave {

using kernels::ring::LimbRowBytes;
using kernels::ring::PlaneBytes;
using kernels::ring::WordBytes;

size_t NumLimbs(const quantization::LinearLayer& layer, OutgoingLayer::Form form) {
  return form == OutgoingLayer::Form::kClear ? 1 : WordBytes(layer.ring);
}

OutgoingLayer::OutgoingLayer(const LayerCodec& codec, Form form, const PadKey* key, uint64_t index)
    : codec_(codec),
      form_(form),
      key_(key),
      index_(index),
      row_bytes_(LimbRowBytes(codec.layer().geometry, NumLimbs(codec.layer(), form))) {
  SHOJI_CHECK(form == Form::kClear || key != nullptr);
  const kernels::ConvGeometry& geometry = codec.layer().geometry;
  message_ =
      Tensor(DataType::kUint8, Shape({geometry.input[0], static_cast<int64_t>(NumLimbs(codec.layer(), form)),
                                      static_cast<int64_t>(PlaneBytes(geometry.input[1], geometry.in_channels))}));
}

OutgoingLayer::OutgoingLayer(OutgoingLayer&& other) noexcept
    : codec_(other.codec_),
      form_(other.form_),
      key_(other.key_),
      index_(other.index_),
      row_bytes_(other.row_bytes_),
      num_rows_(other.num_rows_.exchange(0)),
      message_(std::move(other.message_)) {}

OutgoingLayer::~OutgoingLayer() {
  if (form_ != Form::kMasked) {  // a masked message hides what it holds; r and x do not
    message_.Wipe();
  }
}

void OutgoingLayer::AddRow(int64_t row, std::span<const uint8_t> q) {
  const std::span<uint8_t> out = message_.mutable_bytes().subspan(static_cast<size_t>(row) * row_bytes_, row_bytes_);
  switch (form_) {
    case Form::kMasked:
      codec_.MaskRow(*key_, index_, row, q, out);
      break;
    case Form::kRandom:
      codec_.RandomRow(*key_, index_, row, out);
      break;
    case Form::kClear:
      codec_.ClearRow(q, out);
      break;
  }
  ++num_rows_;
}

}  // namespace shoji::enclave
