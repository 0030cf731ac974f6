// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/workspace_pool.h"

#include <utility>

namespace shoji::enclave {

WorkspacePool::Lease WorkspacePool::Borrow() {
  {
    const absl::MutexLock lock(&mu_);
    if (!idle_.empty()) {
      std::unique_ptr<execution::Workspace> workspace = std::move(idle_.back());
      idle_.pop_back();
      return {*this, std::move(workspace)};
    }
  }
  return {*this, program_.NewWorkspace()};
}

void WorkspacePool::Return(std::unique_ptr<execution::Workspace> workspace) {
  workspace->Wipe();
  const absl::MutexLock lock(&mu_);
  idle_.push_back(std::move(workspace));
}

}  // namespace shoji::enclave
