// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lib/tensor/tensor.h"

namespace shoji::enclave {

// Tensors that hold plaintext of one request, by the name of the graph's value; wiped when dropped. Owned by the thread
// that runs the request.
class SecretTensors {
 public:
  SecretTensors() = default;
  SecretTensors(SecretTensors&&) = default;
  SecretTensors& operator=(SecretTensors&&) = delete;
  SecretTensors(const SecretTensors&) = delete;
  SecretTensors& operator=(const SecretTensors&) = delete;
  ~SecretTensors() {
    for (auto& [name, tensor] : tensors_) {
      tensor.Wipe();
    }
  }

  void Put(const std::string& name, Tensor tensor) {
    Drop(name);
    tensors_.emplace(name, std::move(tensor));
  }
  // Null when absent.
  const Tensor* Find(const std::string& name) const {
    const auto it = tensors_.find(name);
    return it == tensors_.end() ? nullptr : &it->second;
  }
  void Drop(const std::string& name) {
    const auto it = tensors_.find(name);
    if (it != tensors_.end()) {
      it->second.Wipe();
      tensors_.erase(it);
    }
  }

 private:
  std::map<std::string, Tensor> tensors_;
};

}  // namespace shoji::enclave
