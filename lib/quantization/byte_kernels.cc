// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/byte_kernels.h"

#include "lib/kernels/ring/linear.h"

namespace shoji::quantization {
namespace {

bool HasAvx512() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
         __builtin_cpu_supports("avx512vbmi") != 0;
}

}  // namespace

const ByteKernels& ByteKernelsFor(kernels::ring::Isa isa) {
  if (isa == kernels::ring::Isa::kAvx512Vnni && HasAvx512()) {
    return kAvx512ByteKernels;
  }
  if (isa != kernels::ring::Isa::kPortable && __builtin_cpu_supports("avx2") != 0) {
    return kAvx2ByteKernels;
  }
  return kPortableByteKernels;
}

}  // namespace shoji::quantization
