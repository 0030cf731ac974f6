// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Private to this folder: activations in oneDNN's words.
#pragma once

#include <oneapi/dnnl/dnnl_types.h>

#include <vector>

#include "lib/kernels/activation.h"

namespace shoji::kernels::onednn {

struct Elementary {
  dnnl_alg_kind_t algorithm = dnnl_alg_kind_undef;
  float alpha = 0;
  float beta = 0;
};

// The one or two elementwise functions whose composition `activation` is; none where oneDNN has no such function.
std::vector<Elementary> ElementaryOf(const Activation& activation);

}  // namespace shoji::kernels::onednn
