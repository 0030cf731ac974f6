// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns from the enclosing function when `expr` (an absl::Status) is an error.
#define RETURN_IF_ERROR(expr)                                           \
  do {                                                                  \
    if (absl::Status status_of_expr_ = (expr); !status_of_expr_.ok()) { \
      return status_of_expr_;                                           \
    }                                                                   \
  } while (false)

#define SHOJI_CONCAT_INNER(a, b) a##b
#define SHOJI_CONCAT(a, b) SHOJI_CONCAT_INNER(a, b)

// Evaluates `expr` (an absl::StatusOr<T>), returns its error, or moves its value into `lhs` (which may declare a
// variable).
#define ASSIGN_OR_RETURN(lhs, ...) SHOJI_ASSIGN_OR_RETURN(SHOJI_CONCAT(status_or_, __LINE__), lhs, __VA_ARGS__)
#define SHOJI_ASSIGN_OR_RETURN(result, lhs, ...) \
  auto result = (__VA_ARGS__);                   \
  if (!result.ok()) {                            \
    return std::move(result).status();           \
  }                                              \
  lhs = *std::move(result)
