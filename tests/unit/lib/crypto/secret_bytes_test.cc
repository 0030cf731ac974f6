// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/crypto/secret_bytes.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <ostream>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "lib/crypto/keys.h"
#include "lib/crypto/plaintext_bytes.h"

namespace shoji::crypto {
namespace {

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};

template <typename T>
constexpr bool kIsASecretType = !std::copyable<T> && !std::equality_comparable<T> && !Printable<T> &&
                                !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T>;
static_assert(kIsASecretType<SecretBytes>);
static_assert(kIsASecretType<AeadKey>);
static_assert(kIsASecretType<HpkePrivateKey>);
static_assert(kIsASecretType<PlaintextBytes>);
static_assert(std::is_nothrow_move_constructible_v<SecretBytes>);

// Two kinds of the same size do not stand for each other.
static_assert(AeadKey::kSize == ExporterSecret::kSize);
static_assert(!std::is_convertible_v<AeadKey, ExporterSecret>);
static_assert(!std::is_constructible_v<AeadKey, ExporterSecret>);
static_assert(!std::is_convertible_v<SecretBytes, AeadKey>);

// Sanitizers turn mlock into nothing.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kLocksMemory = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kLocksMemory = false;
#else
constexpr bool kLocksMemory = true;
#endif
#else
constexpr bool kLocksMemory = true;
#endif

// The flags and sizes (in KiB) that the kernel reports for the mapping that holds `address`.
std::string MappingOf(const void* address) {
  std::ifstream smaps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  std::string line;
  std::string out;
  bool inside = false;
  while (std::getline(smaps, line)) {
    unsigned long long begin = 0;
    unsigned long long end = 0;
    if (std::sscanf(line.c_str(), "%llx-%llx ", &begin, &end) == 2) {
      inside = begin <= wanted && wanted < end;
    }
    if (inside) {
      out += line + "\n";
    }
  }
  return out;
}

std::string LineOf(const std::string& text, const std::string& name) {
  const size_t at = text.find(name);
  return at == std::string::npos ? "" : text.substr(at, text.find('\n', at) - at);
}

TEST(SecretBytesTest, InitializeSucceedsAndMayBeRepeated) {
  EXPECT_TRUE(InitializeSecretMemory().ok());
  EXPECT_TRUE(InitializeSecretMemory().ok());
}

TEST(SecretBytesTest, IsZeroFilledAtBirthEvenInReusedMemory) {
  { const SecretBytes dirty = SecretBytes::CopyOf(Bytes(48, 0xaa)); }
  const SecretBytes fresh(48);
  EXPECT_TRUE(std::ranges::all_of(fresh.Expose(), [](uint8_t byte) { return byte == 0; }));
}

TEST(SecretBytesTest, MoveTransfersAndLeavesNothing) {
  SecretBytes a = SecretBytes::CopyOf(AsBytes("key"));
  SecretBytes b = std::move(a);
  EXPECT_EQ(a.size(), 0u);  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(ToString(b.Expose()), "key");
  SecretBytes c(8);
  c = std::move(b);
  EXPECT_EQ(ToString(c.Expose()), "key");
}

TEST(SecretBytesTest, MemoryIsWipedWhenItIsGivenBack) {
  const uint8_t* where = nullptr;
  {
    const SecretBytes secret = SecretBytes::CopyOf(Bytes(32, 0x5a));
    where = secret.Expose().data();
  }
  // The arena is never unmapped, so looking is allowed.
  EXPECT_TRUE(std::all_of(where, where + 32, [](uint8_t byte) { return byte == 0; }));
}

TEST(SecretBytesTest, MemoryIsLockedAndLeftOutOfCoreDumps) {
  const SecretBytes secret(32);
  const std::string mapping = MappingOf(secret.Expose().data());
  const std::string flags = LineOf(mapping, "VmFlags:");
  if (flags.empty() || !kLocksMemory) {
    GTEST_SKIP() << "this kernel does not report mapping flags, or a sanitizer ignores mlock";
  }
  EXPECT_NE(flags.find(" lo"), std::string::npos) << flags;
  EXPECT_NE(flags.find(" dd"), std::string::npos) << flags;
}

TEST(SecretBytesTest, LiveSecretsNeverShareMemoryAcrossThreads) {
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 500; ++i) {
        std::vector<SecretBytes> live;
        for (size_t n = 0; n < 8; ++n) {
          live.push_back(SecretBytes::CopyOf(Bytes(16 + n * 7, static_cast<uint8_t>(t * 8 + static_cast<int>(n)))));
        }
        for (size_t n = 0; n < 8; ++n) {
          const auto expected = static_cast<uint8_t>(t * 8 + static_cast<int>(n));
          ASSERT_TRUE(std::ranges::all_of(live[n].Expose(), [expected](uint8_t byte) { return byte == expected; }));
        }
      }
    });
  }
}

TEST(SecretBytesTest, ManyShortLivesFitInTheArena) {
  for (size_t i = 0; i < 4 * kSecretMemorySize / 1024; ++i) {
    const SecretBytes secret(1024);
    ASSERT_EQ(secret.size(), 1024u);
  }
}

TEST(SecretBytesDeathTest, TooLargeAbortsInsteadOfSpillingIntoUnlockedMemory) {
  EXPECT_DEATH(SecretBytes(kMaxSecretSize + 1), "check failed");
}

TEST(SecretBytesDeathTest, AKeyOfTheWrongSizeAborts) { EXPECT_DEATH(AeadKey(SecretBytes(31)), "check failed"); }

TEST(SecretBytesDeathTest, AMovedFromKeyAborts) {
  AeadKey key;
  const AeadKey other = std::move(key);
  EXPECT_DEATH((void)key.Expose(), "check failed");  // NOLINT(bugprone-use-after-move): that is what is tested
}

// Exits with 7 when the error of a process that may not lock memory says what to do.
[[noreturn]] void ExitAfterFailingToLock() {
  // Root may lock without limit: become nobody.
  const bool is_nobody = ::geteuid() != 0 || ::setuid(65534) == 0;
  const rlimit none = {0, 0};
  const bool is_limited = ::setrlimit(RLIMIT_MEMLOCK, &none) == 0;
  const absl::Status status = InitializeSecretMemory();
  const bool explains = status.message().find("memlock") != absl::string_view::npos;
  ::_exit(is_nobody && is_limited && explains ? 7 : 1);
}

TEST(SecretBytesDeathTest, MissingPermissionToLockIsAClearError) {
  if (!kLocksMemory) {
    GTEST_SKIP() << "a sanitizer ignores mlock";
  }
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(ExitAfterFailingToLock(), ::testing::ExitedWithCode(7), "");
}

TEST(PlaintextBytesTest, SmallAndLargeBuffersAreZeroFilledAndKeepTheirBytes) {
  for (const size_t size : {size_t{0}, size_t{1}, PlaintextBytes::kOwnPagesFrom - 1, PlaintextBytes::kOwnPagesFrom,
                            3 * PlaintextBytes::kOwnPagesFrom + 5}) {
    PlaintextBytes buffer(size);
    ASSERT_EQ(buffer.size(), size);
    EXPECT_TRUE(std::ranges::all_of(buffer.Expose(), [](uint8_t byte) { return byte == 0; }));
    std::ranges::fill(buffer.ExposeMutable(), uint8_t{7});
    const PlaintextBytes moved = std::move(buffer);
    EXPECT_EQ(buffer.size(), 0u);  // NOLINT(bugprone-use-after-move): that is what is tested
    EXPECT_TRUE(std::ranges::all_of(moved.Expose(), [](uint8_t byte) { return byte == 7; }));
  }
}

TEST(PlaintextBytesTest, LargeBuffersAreLeftOutOfCoreDumps) {
  const PlaintextBytes buffer(PlaintextBytes::kOwnPagesFrom);
  const std::string flags = LineOf(MappingOf(buffer.Expose().data()), "VmFlags:");
  if (flags.empty()) {
    GTEST_SKIP() << "this kernel does not report mapping flags";
  }
  EXPECT_NE(flags.find(" dd"), std::string::npos) << flags;
}

}  // namespace
}  // namespace shoji::crypto
