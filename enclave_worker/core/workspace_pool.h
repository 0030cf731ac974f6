// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/execution/program.h"

namespace shoji::enclave {

// The workspaces of one program, lent to one run at a time and wiped when they come back, so that no intermediate value
// outlives its request. Grows to the number of runs at the same time. Thread-safe; outlives its leases.
class WorkspacePool {
 public:
  class Lease {
   public:
    Lease(WorkspacePool& pool, std::unique_ptr<execution::Workspace> workspace)
        : pool_(&pool), workspace_(std::move(workspace)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { pool_->Return(std::move(workspace_)); }
    execution::Workspace& workspace() { return *workspace_; }

   private:
    WorkspacePool* pool_;
    std::unique_ptr<execution::Workspace> workspace_;
  };

  // `program` must outlive the pool.
  explicit WorkspacePool(const execution::Program& program) : program_(program) {}
  WorkspacePool(const WorkspacePool&) = delete;
  WorkspacePool& operator=(const WorkspacePool&) = delete;

  Lease Borrow();

 private:
  void Return(std::unique_ptr<execution::Workspace> workspace);

  const execution::Program& program_;
  absl::Mutex mu_;
  std::vector<std::unique_ptr<execution::Workspace>> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::enclave
