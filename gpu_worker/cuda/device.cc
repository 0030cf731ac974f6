// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/device.h"

#include <algorithm>
#include <cstring>

#include "lib/base/check.h"
#include "lib/base/status_macros.h"

namespace shoji::accelerator {
namespace {

// What freed memory the pool keeps for the next allocations instead of giving it back to the driver.
constexpr uint64_t kKept = uint64_t{1} << 30;
// Left to the driver, to kernels' local memory and to page tables.
constexpr uint64_t kReserve = uint64_t{512} << 20;
// What the kernels need: int8 matrix instructions.
constexpr int kLeastArchitecture = 75;

std::string TextOf(cudaError_t error) {
  return std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
}

absl::Status NoDevice(const std::string& what) { return absl::FailedPreconditionError(what); }

absl::Status CheckDriver(int ordinal) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver) {
    int driver = 0;
    static_cast<void>(cudaDriverGetVersion(&driver));
    return NoDevice(driver == 0
                        ? "there is no NVIDIA driver here (no libcuda.so.1); install one, or set compute.backend "
                          "to cpu"
                        : "the NVIDIA driver is for CUDA " + std::to_string(driver / 1000) + "." +
                              std::to_string(driver % 1000 / 10) + ", older than this program's CUDA " +
                              std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10) +
                              "; update it, or set compute.backend to cpu");
  }
  if (error != cudaSuccess) {
    return NoDevice("CUDA finds no device: " + TextOf(error) +
                    "; look at nvidia-smi and CUDA_VISIBLE_DEVICES, or set compute.backend to cpu");
  }
  if (ordinal >= count) {
    return NoDevice("there is no CUDA device " + std::to_string(ordinal) + " (compute.device): " +
                    std::to_string(count) + " are visible, counted from 0 (CUDA_VISIBLE_DEVICES)");
  }
  return absl::OkStatus();
}

}  // namespace

DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  if (this != &other) {
    Free();
    device_ = std::exchange(other.device_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    stream_ = std::exchange(other.stream_, nullptr);
  }
  return *this;
}

void DeviceMemory::Free() {
  if (device_ != nullptr) {
    device_->Free(data_, size_, stream_);
    device_ = nullptr;
  }
}

absl::StatusOr<std::unique_ptr<Stream>> Stream::Create(Device& device) {
  std::unique_ptr<Stream> out(new Stream(device));
  constexpr const char* kDoing = "making a stream";
  RETURN_IF_ERROR(device.Check(cudaStreamCreateWithFlags(&out->stream_, cudaStreamNonBlocking), kDoing));
  for (cudaEvent_t* events : {out->moved_, out->paced_}) {
    for (size_t i = 0; i < kHalves; ++i) {
      RETURN_IF_ERROR(
          device.Check(cudaEventCreateWithFlags(&events[i], cudaEventDisableTiming | cudaEventBlockingSync), kDoing));
    }
  }
  void* staging = nullptr;
  RETURN_IF_ERROR(
      device.Check(cudaHostAlloc(&staging, kHalves * kHalfBytes, cudaHostAllocDefault), "locking pages of this host"));
  out->staging_ = static_cast<uint8_t*>(staging);
  return out;
}

// Errors have nobody to tell: a device that fails here fails the next run too.
Stream::~Stream() {
  if (staging_ != nullptr) {
    static_cast<void>(cudaFreeHost(staging_));
  }
  for (cudaEvent_t* events : {moved_, paced_}) {
    for (size_t i = 0; i < kHalves; ++i) {
      if (events[i] != nullptr) {
        static_cast<void>(cudaEventDestroy(events[i]));
      }
    }
  }
  if (stream_ != nullptr) {
    static_cast<void>(cudaStreamDestroy(stream_));
  }
}

absl::StatusOr<DeviceMemory> Stream::Allocate(size_t bytes) { return device_.Allocate(bytes, stream_); }

absl::Status Stream::Upload(ByteSpan from, uint8_t* to) {
  constexpr const char* kDoing = "copying to the device";
  for (size_t begin = 0; begin < from.size(); begin += kHalfBytes) {
    const ByteSpan piece = from.subspan(begin, std::min(kHalfBytes, from.size() - begin));
    const size_t half = num_moved_++ % kHalves;
    uint8_t* const staged = staging_ + half * kHalfBytes;
    RETURN_IF_ERROR(device_.Check(cudaEventSynchronize(moved_[half]), kDoing));
    std::memcpy(staged, piece.data(), piece.size());
    RETURN_IF_ERROR(
        device_.Check(cudaMemcpyAsync(to + begin, staged, piece.size(), cudaMemcpyHostToDevice, stream_), kDoing));
    RETURN_IF_ERROR(device_.Check(cudaEventRecord(moved_[half], stream_), kDoing));
  }
  return absl::OkStatus();
}

absl::Status Stream::Download(const uint8_t* from, std::span<uint8_t> to) {
  constexpr const char* kDoing = "copying from the device";
  const size_t pieces = (to.size() + kHalfBytes - 1) / kHalfBytes;
  // Piece i comes while piece i - 1 is taken from the other half.
  for (size_t i = 0; i <= pieces; ++i) {
    if (i < pieces) {
      const size_t half = (num_moved_ + i) % kHalves;
      const size_t begin = i * kHalfBytes;
      RETURN_IF_ERROR(
          device_.Check(cudaMemcpyAsync(staging_ + half * kHalfBytes, from + begin,
                                        std::min(kHalfBytes, to.size() - begin), cudaMemcpyDeviceToHost, stream_),
                        kDoing));
      RETURN_IF_ERROR(device_.Check(cudaEventRecord(moved_[half], stream_), kDoing));
    }
    if (i > 0) {
      const size_t half = (num_moved_ + i - 1) % kHalves;
      const std::span<uint8_t> piece = to.subspan((i - 1) * kHalfBytes);
      RETURN_IF_ERROR(device_.Check(cudaEventSynchronize(moved_[half]), kDoing));
      std::memcpy(piece.data(), staging_ + half * kHalfBytes, std::min(kHalfBytes, piece.size()));
    }
  }
  num_moved_ += pieces;
  return absl::OkStatus();
}

absl::Status Stream::Pace(const StopCheck& stop) {
  constexpr const char* kDoing = "waiting for a kernel";
  cudaEvent_t& event = paced_[num_paced_++ % kHalves];
  RETURN_IF_ERROR(device_.Check(cudaEventSynchronize(event), kDoing));
  RETURN_IF_ERROR(stop ? stop() : absl::OkStatus());
  return device_.Check(cudaEventRecord(event, stream_), kDoing);
}

absl::Status Stream::Synchronize() {
  // Not cudaStreamSynchronize, which would spin on a processor that other runs want.
  const size_t half = num_moved_++ % kHalves;
  RETURN_IF_ERROR(device_.Check(cudaEventRecord(moved_[half], stream_), "waiting for the device"));
  return device_.Check(cudaEventSynchronize(moved_[half]), "waiting for the device");
}

absl::StatusOr<std::unique_ptr<Device>> Device::Open(const DeviceOptions& options) {
  RETURN_IF_ERROR(CheckDriver(options.ordinal));
  std::unique_ptr<Device> out(new Device(options));
  if (const absl::Status prepared = out->Prepare(); !prepared.ok()) {
    return NoDevice("CUDA device " + std::to_string(options.ordinal) +
                    " cannot be used: " + std::string(prepared.message()) +
                    "; look at nvidia-smi, name another with compute.device, or set "
                    "compute.backend to cpu");
  }
  return out;
}

absl::Status Device::Prepare() {
  constexpr const char* kDoing = "preparing it";
  RETURN_IF_ERROR(Check(cudaSetDevice(options_.ordinal), kDoing));
  cudaDeviceProp properties = {};
  RETURN_IF_ERROR(Check(cudaGetDeviceProperties(&properties, options_.ordinal), kDoing));
  name_ = properties.name;
  num_multiprocessors_ = properties.multiProcessorCount;
  architecture_ = 10 * properties.major + properties.minor;
  if (architecture_ < kLeastArchitecture) {
    return absl::FailedPreconditionError("its compute capability " + std::to_string(properties.major) + "." +
                                         std::to_string(properties.minor) + " is too old; 7.5 is the least");
  }
  int pools = 0;
  RETURN_IF_ERROR(Check(cudaDeviceGetAttribute(&pools, cudaDevAttrMemoryPoolsSupported, options_.ordinal), kDoing));
  if (pools == 0) {
    return absl::FailedPreconditionError("its driver has no memory pools");
  }
  size_t free = 0;
  size_t total = 0;
  RETURN_IF_ERROR(Check(cudaMemGetInfo(&free, &total), kDoing));
  max_memory_ = options_.max_memory != 0 ? options_.max_memory : free - std::min<uint64_t>(free, kReserve);
  cudaMemPoolProps pool = {};
  pool.allocType = cudaMemAllocationTypePinned;
  pool.location = {};
  pool.location.type = cudaMemLocationTypeDevice;
  pool.location.id = options_.ordinal;
  RETURN_IF_ERROR(Check(cudaMemPoolCreate(&pool_, &pool), kDoing));
  uint64_t kept = kKept;
  return Check(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &kept), kDoing);
}

Device::~Device() {
  {
    const absl::MutexLock lock(&mu_);
    SHOJI_CHECK(in_use_ == never_freed_);
    idle_.clear();
  }
  if (pool_ != nullptr) {
    static_cast<void>(cudaMemPoolDestroy(pool_));
  }
}

uint64_t Device::memory_in_use() const {
  const absl::MutexLock lock(&mu_);
  return in_use_;
}

absl::StatusOr<Device::LentStream> Device::Lend() {
  RETURN_IF_ERROR(Check(cudaSetDevice(options_.ordinal), "choosing it for a thread"));
  std::unique_ptr<Stream> stream;
  {
    const absl::MutexLock lock(&mu_);
    RETURN_IF_ERROR(lost_);
    if (!idle_.empty()) {
      stream = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (stream == nullptr) {
    ASSIGN_OR_RETURN(stream, Stream::Create(*this));
  }
  return LentStream(stream.release(), Return{this});
}

void Device::TakeBack(std::unique_ptr<Stream> stream) {
  // One that fails is kept too, and lent to nobody since the device is lost: memory may yet be freed in its order.
  static_cast<void>(stream->Synchronize());
  const absl::MutexLock lock(&mu_);
  idle_.push_back(std::move(stream));
}

absl::Status Device::Check(cudaError_t error, const char* doing) {
  if (error == cudaSuccess) {
    return absl::OkStatus();
  }
  static_cast<void>(cudaGetLastError());  // or the next call that succeeds reports it
  const std::string what = std::string("while ") + doing + ": " + TextOf(error);
  if (error == cudaErrorMemoryAllocation) {
    return absl::ResourceExhaustedError("the CUDA device's memory does not suffice, " + what);
  }
  // An error that stays with the process is reported by whatever is called next; that of a launch which was refused
  // (too many resources, no code for this device) is not.
  if (cudaFree(nullptr) == cudaSuccess) {
    return absl::InternalError("CUDA refused a call, " + what);
  }
  const absl::Status lost = absl::UnavailableError("the CUDA device failed, " + what);
  {
    const absl::MutexLock lock(&mu_);
    if (!lost_.ok()) {
      return lost_;
    }
    lost_ = lost;
  }
  if (options_.on_lost) {
    options_.on_lost(lost);
  }
  return lost;
}

absl::StatusOr<DeviceMemory> Device::Allocate(size_t bytes, cudaStream_t stream) {
  {
    const absl::MutexLock lock(&mu_);
    // A tenant reads this: not how much all others use.
    if (bytes > max_memory_ - std::min(in_use_, max_memory_)) {
      return absl::ResourceExhaustedError("the CUDA device's memory does not suffice: " + std::to_string(bytes) +
                                          " bytes are asked for, more than are free");
    }
    in_use_ += bytes;
  }
  void* data = nullptr;
  const absl::Status allocated =
      Check(cudaMallocFromPoolAsync(&data, std::max<size_t>(1, bytes), pool_, stream), "allocating memory");
  if (!allocated.ok()) {
    const absl::MutexLock lock(&mu_);
    in_use_ -= bytes;
    return allocated;
  }
  return DeviceMemory(*this, data, bytes, stream);
}

void Device::Free(void* data, size_t bytes, cudaStream_t stream) {
  static_cast<void>(cudaSetDevice(options_.ordinal));  // on whatever thread the owner ends
  const absl::Status freed = Check(cudaFreeAsync(data, stream), "freeing memory");
  const absl::MutexLock lock(&mu_);
  if (freed.ok()) {
    in_use_ -= bytes;
  } else {
    never_freed_ += bytes;
  }
}

}  // namespace shoji::accelerator
