// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// One function a format, for decode.cc alone. `file` starts with the format's signature; errors do not name the file.
#pragma once

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/image/image.h"

namespace shoji::image {

absl::StatusOr<Image> DecodePng(ByteSpan file);
absl::StatusOr<Image> DecodeJpeg(ByteSpan file);
absl::StatusOr<Image> DecodeBmp(ByteSpan file);

}  // namespace shoji::image
