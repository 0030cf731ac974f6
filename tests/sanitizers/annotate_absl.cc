// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Thread sanitizer builds only. The distribution's absl is not instrumented, so ThreadSanitizer does not see what
// absl::Mutex orders and would call every guarded member a race. These definitions take the place of the library's own,
// for gRPC's use of them as well, tell the sanitizer, and call on.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/base/options.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

extern "C" {
// Of the sanitizer's runtime; no header declares them.
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}

namespace {

#define SHOJI_TEXT_OF(x) #x
#define SHOJI_TEXT(x) SHOJI_TEXT_OF(x)

// The library's function of this mangled name, given what follows the inline namespace; `start` differs for a const one.
void* Find(const std::string& rest, const char* start = "_ZN4absl") {
  const std::string inline_namespace = SHOJI_TEXT(ABSL_OPTION_INLINE_NAMESPACE_NAME);
  const std::string name = start + std::to_string(inline_namespace.size()) + inline_namespace + rest;
  void* found = ::dlsym(RTLD_NEXT, name.c_str());
  if (found == nullptr) {
    std::fprintf(stderr, "annotate_absl: the library has no %s\n", name.c_str());
    std::abort();
  }
  return found;
}

// While the library looks at conditions, which it does for other threads too, under the lock.
class IgnoreReads {
 public:
  IgnoreReads() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~IgnoreReads() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
  IgnoreReads(const IgnoreReads&) = delete;
  IgnoreReads& operator=(const IgnoreReads&) = delete;
};

enum class Does : unsigned char { kLock, kUnlock, kBoth };

// Calls `real`; the lock is released before and taken after it, as `kDoes` says.
template <Does kDoes, typename Result, typename... Arguments>
Result Through(void* real, void* lock, Arguments... arguments) {
  if constexpr (kDoes != Does::kLock) {
    __tsan_release(lock);
  }
  const IgnoreReads ignore;
  struct Acquire {
    void* lock;
    ~Acquire() {
      if constexpr (kDoes != Does::kUnlock) {
        __tsan_acquire(lock);
      }
    }
  } acquire{lock};
  return reinterpret_cast<Result (*)(Arguments...)>(real)(arguments...);
}

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  static void* const real = Find("5Mutex4LockEv");
  Through<Does::kLock, void>(real, this, this);
}
void Mutex::Unlock() {
  static void* const real = Find("5Mutex6UnlockEv");
  Through<Does::kUnlock, void>(real, this, this);
}
bool Mutex::TryLock() {
  static void* const real = Find("5Mutex7TryLockEv");
  return Through<Does::kLock, bool>(real, this, this);
}
void Mutex::ReaderLock() {
  static void* const real = Find("5Mutex10ReaderLockEv");
  Through<Does::kLock, void>(real, this, this);
}
void Mutex::ReaderUnlock() {
  static void* const real = Find("5Mutex12ReaderUnlockEv");
  Through<Does::kUnlock, void>(real, this, this);
}
void Mutex::LockWhen(const Condition& condition) {
  static void* const real = Find("5Mutex8LockWhenERKNS0_9ConditionE");
  Through<Does::kLock, void>(real, this, this, &condition);
}
void Mutex::Await(const Condition& condition) {
  static void* const real = Find("5Mutex5AwaitERKNS0_9ConditionE");
  Through<Does::kBoth, void>(real, this, this, &condition);
}
bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  static void* const real = Find("5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  return Through<Does::kBoth, bool>(real, this, this, &condition, timeout);
}
bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  static void* const real = Find("5Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  return Through<Does::kBoth, bool>(real, this, this, &condition, deadline);
}

void CondVar::Wait(Mutex* mutex) {
  static void* const real = Find("7CondVar4WaitEPNS0_5MutexE");
  Through<Does::kBoth, void>(real, mutex, this, mutex);
}
bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static void* const real = Find("7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  return Through<Does::kBoth, bool>(real, mutex, this, mutex, timeout);
}
bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static void* const real = Find("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  return Through<Does::kBoth, bool>(real, mutex, this, mutex, deadline);
}

// Its waiters look at an atomic before they take its mutex.
void Notification::Notify() {
  static void* const real = Find("12Notification6NotifyEv");
  Through<Does::kUnlock, void>(real, this, this);
}
void Notification::WaitForNotification() const {
  static void* const real = Find("12Notification19WaitForNotificationEv", "_ZNK4absl");
  Through<Does::kLock, void>(real, const_cast<Notification*>(this), this);
}
bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  static void* const real = Find("12Notification30WaitForNotificationWithTimeoutENS0_8DurationE", "_ZNK4absl");
  return Through<Does::kLock, bool>(real, const_cast<Notification*>(this), this, timeout);
}

ABSL_NAMESPACE_END
}  // namespace absl
