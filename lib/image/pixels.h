// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "lib/image/image.h"
#include "lib/image/preprocessing.h"
#include "lib/tensor/tensor.h"

namespace shoji::image {

// The first half of a preprocessing, the client's: `picture` scaled, cropped and put into the model's channel order, as
// uint8 [crop_height, crop_width, channels]. Normalize does the rest. Requires a valid `preprocessing`.
Tensor ToPixels(const Image& picture, const Preprocessing& preprocessing);

}  // namespace shoji::image
