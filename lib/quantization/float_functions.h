// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Functions of real numbers that give the same bits on every CPU: the C library's may choose by CPU features how they
// round. Private to this folder and its tests.
#pragma once

#include <span>

#include "lib/kernels/activation.h"
#include "lib/kernels/geometry.h"

namespace shoji::quantization {

// e^x to a few units in the last place; no branch and no table.
double Exp(double x);
// Likewise the natural logarithm and the error function.
double Log(double x);
double Erf(double x);

// Activations in double precision.
double Evaluate(const kernels::Activation& activation, double x);

// As lib/kernels/reference has them, computed in double precision and rounded once.
void Activate(const kernels::Activation& activation, std::span<const float> x, std::span<float> y);
void Softmax(const kernels::AxisView& view, std::span<const float> x, std::span<float> y);

}  // namespace shoji::quantization
