// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The peer of the accelerator's CUDA kernels: cuBLASLt's int8 matrix product.
#pragma once

#include <cublasLt.h>

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gpu_worker/cuda/device.h"

namespace shoji::bench {

// C [rows][columns] int32 = A [rows][depth] int8 * B [columns][depth] int8, on random A and B of its own. Extents are
// rounded up to multiples of 16, which cuBLASLt's fastest kernels want. Uses the first algorithm that it recommends.
// Thread-compatible.
class CublasLtGemm {
 public:
  static absl::StatusOr<std::unique_ptr<CublasLtGemm>> Create(accelerator::Stream& stream, int64_t rows,
                                                              int64_t columns, int64_t depth);
  CublasLtGemm(const CublasLtGemm&) = delete;
  CublasLtGemm& operator=(const CublasLtGemm&) = delete;
  ~CublasLtGemm();

  absl::Status Launch(cudaStream_t stream);

 private:
  CublasLtGemm() = default;
  absl::Status Describe(int64_t rows, int64_t columns, int64_t depth);

  static constexpr size_t kWorkspaceBytes = size_t{32} << 20;
  cublasLtHandle_t handle_ = nullptr;
  cublasLtMatmulDesc_t product_ = nullptr;
  cublasLtMatrixLayout_t a_layout_ = nullptr;
  cublasLtMatrixLayout_t b_layout_ = nullptr;
  cublasLtMatrixLayout_t c_layout_ = nullptr;
  cublasLtMatmulHeuristicResult_t algorithm_ = {};
  accelerator::DeviceMemory a_;
  accelerator::DeviceMemory b_;
  accelerator::DeviceMemory c_;
  accelerator::DeviceMemory workspace_;
};

}  // namespace shoji::bench
