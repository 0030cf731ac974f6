// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// One CUDA device as this process uses it: its memory, counted, and streams that carry bytes to and from it. All CUDA
// errors become statuses here:
//
//   RESOURCE_EXHAUSTED  the device's memory does not suffice; later calls may succeed
//   INTERNAL            a call was refused and the device goes on: our own mistake
//   UNAVAILABLE         the device or its driver failed, or a kernel did what it must not: nothing works any more in
//                       this process, which should end so that a supervisor starts it anew
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <cuda_runtime.h>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "gpu_worker/backend.h"
#include "lib/base/bytes.h"

namespace shoji::accelerator {

class Device;

// Bytes in the device's memory, aligned to 256. Freed in the order of the stream that they were allocated on.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(DeviceMemory&& other) noexcept { *this = std::move(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory() { Free(); }

  size_t size() const { return size_; }
  template <typename T = uint8_t>
  T* data() const {
    return static_cast<T*>(data_);
  }

 private:
  friend class Device;
  DeviceMemory(Device& device, void* data, size_t size, cudaStream_t stream)
      : device_(&device), data_(data), size_(size), stream_(stream) {}
  void Free();

  Device* device_ = nullptr;
  void* data_ = nullptr;
  size_t size_ = 0;
  cudaStream_t stream_ = nullptr;
};

// Work that the device does in order, and page-locked memory through which bytes come and go. Owned by one run at a
// time; see Device::Lend.
class Stream {
 public:
  static absl::StatusOr<std::unique_ptr<Stream>> Create(Device& device);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  cudaStream_t get() const { return stream_; }
  absl::StatusOr<DeviceMemory> Allocate(size_t bytes);
  // Copies `from` to `to` in the device's memory. `from` may change once it returns, though bytes are still on the way.
  absl::Status Upload(ByteSpan from, uint8_t* to);
  // Copies what the device has at `from` once all before is done; waits for it.
  absl::Status Download(const uint8_t* from, std::span<uint8_t> to);
  // Asks `stop` once no more than a few of the steps that Pace marked before are still under way, and marks one more: a
  // run that launches much work calls it before each launch.
  absl::Status Pace(const StopCheck& stop);
  // Waits for all.
  absl::Status Synchronize();

 private:
  // Two halves of page-locked memory: one is copied on this host while the other is on the bus.
  static constexpr size_t kHalves = 2;
  static constexpr size_t kHalfBytes = size_t{1} << 20;

  explicit Stream(Device& device) : device_(device) {}

  Device& device_;
  cudaStream_t stream_ = nullptr;
  uint8_t* staging_ = nullptr;
  cudaEvent_t moved_[kHalves] = {};
  cudaEvent_t paced_[kHalves] = {};
  size_t num_moved_ = 0;
  size_t num_paced_ = 0;
};

struct DeviceOptions {
  int ordinal = 0;  // as CUDA counts those that CUDA_VISIBLE_DEVICES leaves
  // Of all that is allocated here at a time; 0: what is free at the start, less a reserve for what drivers and kernels
  // need beside it.
  uint64_t max_memory = 0;
  // Told once, on any thread, when nothing works any more in this process.
  std::function<void(const absl::Status&)> on_lost = nullptr;
};

// Thread-safe. Outlives all that it allocates and lends.
class Device {
 public:
  // FAILED_PRECONDITION says what is missing, a driver or a device of that number, and what to do.
  static absl::StatusOr<std::unique_ptr<Device>> Open(const DeviceOptions& options);
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device();

  // "NVIDIA H100 80GB HBM3".
  const std::string& name() const { return name_; }
  int num_multiprocessors() const { return num_multiprocessors_; }
  // 80 for compute capability 8.0.
  int architecture() const { return architecture_; }
  uint64_t max_memory() const { return max_memory_; }
  uint64_t memory_in_use() const;

  // A stream that nobody else uses, its work done; goes back when the pointer does, which waits for its work. Makes
  // this device the calling thread's own: every run begins with this.
  struct Return {
    Device* device = nullptr;
    void operator()(Stream* stream) const { device->TakeBack(std::unique_ptr<Stream>(stream)); }
  };
  using LentStream = std::unique_ptr<Stream, Return>;
  absl::StatusOr<LentStream> Lend();

  // OK, or what `error` means; `doing` completes "while". The error of a launch is cudaGetLastError(). Not while this
  // thread records a graph, where the call that asks whether the device goes on is refused.
  absl::Status Check(cudaError_t error, const char* doing);

 private:
  friend class DeviceMemory;
  friend class Stream;

  explicit Device(const DeviceOptions& options) : options_(options) {}
  absl::Status Prepare();
  absl::StatusOr<DeviceMemory> Allocate(size_t bytes, cudaStream_t stream);
  void Free(void* data, size_t bytes, cudaStream_t stream);
  void TakeBack(std::unique_ptr<Stream> stream);

  const DeviceOptions options_;
  std::string name_;
  int num_multiprocessors_ = 1;
  int architecture_ = 0;
  uint64_t max_memory_ = 0;
  cudaMemPool_t pool_ = nullptr;
  mutable absl::Mutex mu_;
  uint64_t in_use_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t never_freed_ ABSL_GUARDED_BY(mu_) = 0;  // of in_use_: its owner is gone, but the device refused to free it
  absl::Status lost_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<Stream>> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::accelerator
