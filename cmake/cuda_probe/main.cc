// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <cuda_runtime.h>

cudaError_t LaunchIncrement(unsigned int* value);

int main(int argc, char**) { return argc > 100 ? static_cast<int>(LaunchIncrement(nullptr)) : 0; }
