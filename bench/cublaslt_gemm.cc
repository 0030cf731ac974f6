// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "bench/cublaslt_gemm.h"

#include <random>
#include <string>

#include "lib/base/bytes.h"
#include "lib/base/status_macros.h"

namespace shoji::bench {
namespace {

absl::Status Check(cublasStatus_t status, const char* doing) {
  return status == CUBLAS_STATUS_SUCCESS
             ? absl::OkStatus()
             : absl::InternalError("cuBLASLt, " + std::string(doing) + ": " + cublasLtGetStatusString(status));
}

int64_t RoundUp(int64_t value) { return (value + 15) / 16 * 16; }

absl::StatusOr<accelerator::DeviceMemory> RandomBytes(accelerator::Stream& stream, int64_t size) {
  Bytes bytes(static_cast<size_t>(size));
  std::minstd_rand random(1);  // NOLINT(cert-msc51-cpp): a benchmark's data
  for (uint8_t& byte : bytes) {
    byte = static_cast<uint8_t>(random() >> 8);
  }
  ASSIGN_OR_RETURN(accelerator::DeviceMemory memory, stream.Allocate(bytes.size()));
  RETURN_IF_ERROR(stream.Upload(bytes, memory.data()));
  return memory;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CublasLtGemm>> CublasLtGemm::Create(accelerator::Stream& stream, int64_t rows,
                                                                   int64_t columns, int64_t depth) {
  rows = RoundUp(rows);
  columns = RoundUp(columns);
  depth = RoundUp(depth);
  std::unique_ptr<CublasLtGemm> out(new CublasLtGemm);
  ASSIGN_OR_RETURN(out->a_, RandomBytes(stream, rows * depth));
  ASSIGN_OR_RETURN(out->b_, RandomBytes(stream, columns * depth));
  ASSIGN_OR_RETURN(out->c_, stream.Allocate(static_cast<size_t>(rows * columns) * sizeof(int32_t)));
  ASSIGN_OR_RETURN(out->workspace_, stream.Allocate(kWorkspaceBytes));
  RETURN_IF_ERROR(out->Describe(rows, columns, depth));
  return out;
}

// In cuBLASLt's columns: C^T [columns x rows] = (B as [depth x columns])^T * (A as [depth x rows]).
absl::Status CublasLtGemm::Describe(int64_t rows, int64_t columns, int64_t depth) {
  constexpr const char* kDoing = "describing the product";
  const auto m = static_cast<uint64_t>(columns);
  const auto n = static_cast<uint64_t>(rows);
  const auto k = static_cast<uint64_t>(depth);
  RETURN_IF_ERROR(Check(cublasLtCreate(&handle_), "starting"));
  RETURN_IF_ERROR(Check(cublasLtMatmulDescCreate(&product_, CUBLAS_COMPUTE_32I, CUDA_R_32I), kDoing));
  const cublasOperation_t transposed = CUBLAS_OP_T;
  RETURN_IF_ERROR(Check(
      cublasLtMatmulDescSetAttribute(product_, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof(transposed)), kDoing));
  RETURN_IF_ERROR(Check(cublasLtMatrixLayoutCreate(&b_layout_, CUDA_R_8I, k, m, depth), kDoing));
  RETURN_IF_ERROR(Check(cublasLtMatrixLayoutCreate(&a_layout_, CUDA_R_8I, k, n, depth), kDoing));
  RETURN_IF_ERROR(Check(cublasLtMatrixLayoutCreate(&c_layout_, CUDA_R_32I, m, n, columns), kDoing));
  cublasLtMatmulPreference_t preference = nullptr;
  RETURN_IF_ERROR(Check(cublasLtMatmulPreferenceCreate(&preference), kDoing));
  const size_t workspace = kWorkspaceBytes;
  int found = 0;
  absl::Status status = Check(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                                   &workspace, sizeof(workspace)),
                              kDoing);
  status.Update(Check(cublasLtMatmulAlgoGetHeuristic(handle_, product_, b_layout_, a_layout_, c_layout_, c_layout_,
                                                     preference, 1, &algorithm_, &found),
                      "choosing an algorithm"));
  static_cast<void>(cublasLtMatmulPreferenceDestroy(preference));
  RETURN_IF_ERROR(status);
  return found > 0 ? absl::OkStatus() : absl::InternalError("cuBLASLt has no algorithm for the product");
}

CublasLtGemm::~CublasLtGemm() {
  for (cublasLtMatrixLayout_t layout : {a_layout_, b_layout_, c_layout_}) {
    if (layout != nullptr) {
      static_cast<void>(cublasLtMatrixLayoutDestroy(layout));
    }
  }
  if (product_ != nullptr) {
    static_cast<void>(cublasLtMatmulDescDestroy(product_));
  }
  if (handle_ != nullptr) {
    static_cast<void>(cublasLtDestroy(handle_));
  }
}

absl::Status CublasLtGemm::Launch(cudaStream_t stream) {
  const int32_t one = 1;
  const int32_t zero = 0;
  return Check(
      cublasLtMatmul(handle_, product_, &one, b_.data(), b_layout_, a_.data(), a_layout_, &zero, c_.data(), c_layout_,
                     c_.data(), c_layout_, &algorithm_.algo, workspace_.data(), kWorkspaceBytes, stream),
      "multiplying");
}

}  // namespace shoji::bench
